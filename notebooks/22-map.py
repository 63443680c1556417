# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A map of features
#
# What is beside what? A feature writes to its model along one direction, its decoder row. Here the
# directions of all models' first dictionaries are laid out in one plane by UMAP
# {cite:p}`mcinnes2018umap`, so that directions with a small angle come to lie close together. The
# paper has no such picture; {cite:t}`bricken2023monosemanticity` drew one for dictionaries of several
# sizes on one model. It is pretty, and easy to read too much into, so numbers stand beside it.
#
# :::{admonition} What you will learn
# :class: note
# what a map shows and what it doesn't, and how to tell whether a cluster is mixed or only large.
#
# You need the [chapter on tracking](tracking). Reading takes fifteen minutes, computing about one.
# :::

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
from IPython.display import HTML
from scipy import sparse
from sklearn.manifold import trustworthiness

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features
from featrack_utils.display import cards, feature_figures, style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import count, number, percent, say, show, verdict, with_interval
from featrack_utils.interpretation import contexts, feature_map
from featrack_utils.lineage import label
from featrack_utils.matching import fates
from featrack_utils.matching.best_matches import open_matches
from featrack_utils.pipeline import store

# %% tags=["parameters"]
run_dir = "runs/quick"
context = 128  # tokens; paper: 256
seed = 1337  # of the layout, and of the features drawn to judge it
tau = 0.8  # correlation above which two features match; paper: 0.8
rule = "best"  # or mutual; paper: best match
neighbours = 15  # of each direction that the layout tries to keep close
epochs = 200  # of the layout's optimisation
least = 15  # features of a cluster
judged = 2000  # features drawn to judge the layout
shuffles = 200  # times that the labels are shuffled, to see what chance shows

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
matches = open_matches(run)
found = features.open_features(run, lineage, root_seeds=1, other_seeds=1)
first = {model: f"{model}-0" for model in lineage.order}

# %% [markdown]
# ## One space for several models?
#
# A decoder row has one entry for each neuron of the model's MLP. Rows of different models can be
# compared only if neuron 7 of one is neuron 7 of the other. Here it is, more or less: all models descend
# from one root, and fine-tuning moves neurons without renaming them.

# %%
folders = {model: run / "saes" / name for model, name in first.items()}
unit = feature_map.directions({m: store.opened(folder) for m, folder in folders.items()})
together = np.concatenate(list(unit.values()))


def build(work):
    points = feature_map.layout(together, neighbours=neighbours, epochs=epochs, seed=seed)
    index = [(model, i) for model, rows in unit.items() for i in range(len(rows))]
    table = pd.DataFrame(index, columns=["model", "feature"]).astype({"feature": np.int32})
    table[["x", "y"]] = points
    table.assign(cluster=feature_map.clusters(points, least)).to_parquet(work / "map.parquet")


settings = {"neighbours": neighbours, "epochs": epochs, "least": least, "seed": seed}
made = store.make(
    run / "map", build, parameters=settings, inputs=folders.values(), code=[feature_map]
)
mapped = pd.read_parquet(made / "map.parquet")
points, cluster = mapped[["x", "y"]].to_numpy(), mapped["cluster"].to_numpy()

# %% tags=["hide-input"]
show(
    feature_figures.map_panels(
        mapped, {label(m): (mapped["model"] == m).to_numpy() for m in lineage.order}
    ),
    "Every feature of the first dictionaries, laid out by the angles between decoder rows. Each panel "
    "shows one model's features in its colour and those of all models in grey.",
    "fig-map-models",
    "Panels with the same scatter of points, each with one model's points in colour",
)

# %% [markdown]
# In {numref}`fig-map-models` look for places that one model has to itself. Where all panels are coloured
# alike, the models write along the same directions. A feature's page in the [explorer](explorer) marks it
# on this map.
#
# ## What became of them

# %%
best = fates.first_matches(lineage, matches)
classes = fates.classes(lineage, fates.tracked(lineage, best, tau, rule))
fate = np.array(fates.CLASSES)[np.concatenate([classes[model] for model in lineage.order])]
universal = fates.universal(lineage, best, tau)
gone, new = fate == "disappearing", np.isin(fate, ["emerging", "novel"])

# %% tags=["hide-input"]
kinds = {
    "persisting or inherited": np.isin(fate, ["persisting", "inherited"]),
    "disappearing": gone,
    "emerging or novel": new,
    "universal": np.concatenate([universal[model] for model in lineage.order]),
}
show(
    feature_figures.map_panels(mapped, kinds),
    "The same map by what became of the features, in their model's colour. Universal features belong "
    "to a chain of matches through all models.",
    "fig-map-classes",
    "Panels with the same scatter of points, each with one class of features in colour",
)

# %% [markdown]
# {numref}`fig-map-classes` would show empty regions if whole kinds of features came and went.
#
# ## Clusters
#
# HDBSCAN {cite:p}`campello2013density` finds regions that are denser than their surroundings, and may
# leave points in no cluster. We let it look at the layout. In the space of directions itself, with a
# dimension for every neuron, even features that are alike are spread thin. The price is that UMAP draws
# clumps even where there are none, so we check the clusters in the space they didn't come from.

# %%
drawn = np.random.default_rng(seed).permutation(len(mapped))[:judged]
outside = {
    name: float(np.mean(feature_map.clusters(space[drawn], least // 2) < 0))
    for name, space in (("layout", points), ("directions", together))
}
cohesion = feature_map.cohesion(together, cluster)
anywhere = feature_map.cohesion(together, np.zeros_like(cluster))

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"Of {count(len(drawn))} features drawn at random, {percent(outside['directions'])} are in no cluster "
    f"in the space of directions, and {percent(outside['layout'])} on the layout. Two features of one "
    f"cluster have a cosine of {number(cohesion)} on average, any two features one of {number(anywhere)}."
)

# %% tags=["hide-input"]
show(
    feature_figures.cluster_map(mapped, numbered=7),
    "Clusters of the map, the largest numbered as in the table. Grey features are in none. Colours only "
    "tell neighbouring clusters apart.",
    "fig-map-clusters",
    "Scatter of points coloured by cluster with numbers on the largest",
)

# %% tags=["hide-input"]
tokenizer = prepare.open_corpora(store.opened(run / "corpora"), context).tokenizer
pieces = contexts.vocabulary(tokenizer)
shares = [contexts.token_shares(found[name], len(pieces)) for name in first.values()]
tokens = feature_map.cluster_tokens(cluster, sparse.hstack(shares, "csc"), n=6)
central = mapped.iloc[feature_map.most_central(cluster, points)]
counts = pd.crosstab(cluster, mapped["model"]).drop(index=-1, errors="ignore")
counts = counts.reindex(columns=lineage.order).rename(columns=label)
counts.insert(0, "tokens", [HTML(cards.chips(pieces[i] for i in each)) for each in tokens])
named = central["model"].map(first), central["feature"]
counts.insert(
    1, "example", [cards.linked(cards.Feature(*each)) for each in zip(*named, strict=True)]
)
show_table(
    counts.rename_axis("cluster").reset_index().head(7),
    caption="The largest clusters: the tokens that most of their activation falls on, the feature "
    "nearest to the middle, and features of each model.",
)

# %% [markdown]
# ## Are the clusters mixed?
#
# Features of all models in one cluster: do the models share a neighbourhood? Features that *disappear*
# beside others that are *new*: did one model's dictionary describe by these what another's describes by
# those? A large cluster holds a bit of everything. So the labels (model, and what became of the feature)
# are shuffled over all features of the map, and the same is counted again.

# %%
holding = feature_map.mixed(cluster, mapped["model"], gone, new)._asdict()
chance = feature_map.mixed_by_chance(cluster, mapped["model"], gone, new, draws=shuffles, seed=seed)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
held = {
    "one_model": "features of one model alone",
    "all_models": f"features of all {len(lineage.order)} models",
    "replaced": "both features that disappear and new ones",
}


def beside_chance(kind, below, above, unclear):
    """Whether fewer or more clusters are of a kind than shuffled labels show."""
    return verdict(chance[kind], holding[kind], below=above, above=below, unclear=unclear)


for kind, what in held.items():
    compared = beside_chance(
        kind, "**fewer** than by chance", "**more** than by chance", "as by chance"
    )
    say(
        f"- {count(holding[kind])} of {count(len(counts))} clusters hold {what}, {compared}: "
        f"{with_interval(chance[kind], share=False)} would."
    )
say(
    beside_chance(
        "replaced",
        "If anything, what disappears and what is new keep apart: the picture is no evidence that the "
        "new features are the lost ones under other names.",
        "What disappears and what is new seek each other's neighbourhood: one model's dictionary "
        "describes it by these features, another's by those.",
        "That what disappears and what is new lie side by side says nothing: shuffled ones do, too.",
    )
)

# %% [markdown]
# ## How far to believe the picture
#
# A plane has no room for directions in hundreds of dimensions, and UMAP gives up distances to keep
# neighbours. So the **distance between two clusters means nothing**, nor does their **size or density**:
# UMAP evens both out. What it tries to keep is who is beside whom. How well?
#
# *Trustworthiness* {cite:p}`venna2001neighborhood` is 1 if the nearest on the map are nearest in
# angle, too, and about ½ for points strewn at random. We also know which features *match*: how many of
# those that have a match have it as their nearest neighbour, on the map and in the space of directions,
# and how many would by chance? Dictionaries of one seed start from the same random numbers, which alone
# puts some directions side by side. So we also ask other seeds, of the child and of the first model.


# %%
centred = together[drawn] - together[drawn].mean(axis=0)
flat = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T  # two principal components
closest = min(neighbours, (len(drawn) - 1) // 2)
trusted, trusted_flat = (
    trustworthiness(together[drawn], plane, n_neighbors=closest, metric="cosine")
    for plane in (points[drawn], flat)
)
place = {model: points[mapped["model"] == model] for model in lineage.order}


def nearest(a, b, name):
    """How often a match is the nearest of the features of b's dictionary of this name."""
    rows = feature_map.directions({b: store.opened(run / "saes" / name)})[b]
    pair = matches.best[first[a], name]
    exact = feature_map.matched_neighbours(unit[a], rows, pair, tau)
    near = feature_map.matched_neighbours(place[a], place[b], pair, tau)
    return {
        "pair": style.pair_label(a, b) + ("" if name == first[b] else ", other seed"),
        "with a match": exact.features,
        "on the map": near.share if name == first[b] else None,
        "by direction": exact.share,
        "by chance": exact.chance,
    }


edge = lineage.edges[0]
again = [(edge[0], m, name) for m in reversed(edge) for name in matches.names[m][1:2]]
asked = [(a, b, first[b]) for a, b in lineage.edges] + again
near = pd.DataFrame([nearest(*each) for each in asked], index=asked)
near[near.columns[2:]] = near[near.columns[2:]].astype(float)
show_table(
    near,
    {"on the map": ".0%", "by direction": ".0%", "by chance": ".2%"},
    caption="How often the nearest feature of the other model is a match, r > τ.",
)

# %% tags=["remove-cell"]
results = {
    "map.features": len(mapped),
    "map.clusters": len(counts),
    "map.outside_layout": outside["layout"],
    "map.outside_directions": outside["directions"],
    "map.cohesion": cohesion,
    "map.cohesion_anywhere": anywhere,
    "map.trustworthiness": trusted,
    "map.trustworthiness_pca": trusted_flat,
}
for kind, each in chance.items():
    results[f"map.{kind}_clusters"] = holding[kind]
    ends = zip(("", ".ci_low", ".ci_high"), each, strict=True)
    results |= {f"map.{kind}_clusters.chance{end}": value for end, value in ends}
for (a, b, name), row in near.iterrows():
    key = f"map.{a}_{b}" if name == first[b] else f"map.{a}_{b}.other_seed"
    for column, short in (("on the map", "map"), ("by direction", "directions")):
        results[f"{key}.nearest_{short}"] = None if pd.isna(row[column]) else row[column]
store.write_results(run, "map", results)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
row, (parent, child) = near.iloc[0], map(label, edge)
say(
    f"The map's trustworthiness is {number(trusted)}; the two largest principal components alone reach "
    f"{number(trusted_flat)}. Of {parent}'s features with a match in {child}, {percent(row['on the map'])} have "
    f"one as their nearest neighbour on the map, {percent(row['by direction'])} by the directions "
    f"themselves, and {percent(row['by chance'], 2)} would by chance. "
    + (
        "So the map keeps neighbourhoods, not neighbours: it is good for finding a region, and bad for "
        "deciding whether two features are the same. That question is the correlation's."
        if row["on the map"] < row["by direction"]
        else ""
    )
)

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"{count(holding['all_models'])} of {count(len(counts))} clusters hold features of all models. "
    + beside_chance(
        "all_models",
        "Fewer do than if models made no difference: some neighbourhoods lean towards one model.",
        "More do than if models made no difference: they share their neighbourhoods.",
        "As many do as if models made no difference: where a feature lies doesn't tell whose it is.",
    ),
    "Features that match were found by *when* they are active. Whether they also *write* in the same "
    f"direction the matching was never told: {percent(row['by direction'])} of {parent}'s have a match as "
    f"their nearest in {child}.",
)

# %% [markdown]
# :::{admonition} Exercises
# :class: tip
# 1. Set `seed` to another number and draw the map again. Which statements above survive?
# 2. Set `neighbours` to 5, then to 100. What happens to the clusters, and what to the trustworthiness?
# :::
#
# :::{dropdown} Answers
# 1. Nearest neighbours and trustworthiness hardly move. The clusters' number, place and order change:
#    they are the drawing's.
# 2. Few neighbours give many small clumps, many give a few large ones. Trustworthiness, which looks at
#    as many neighbours as the layout, can't be compared between the two.
# :::
