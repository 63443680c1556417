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
# directions of all models' first {term}`dictionaries <dictionary>` are laid out in one plane by UMAP
# {cite:p}`mcinnes2018umap`, so that directions with a small angle come to lie close together. The
# paper has no such picture; {cite:t}`bricken2023monosemanticity` drew one for dictionaries of several
# sizes on one model. It is pretty, and easy to read too much into, so numbers stand beside it.
#
# **You will learn** what a map shows, what a cluster on it means, and how to tell that from chance.
# **You need** the chapter on [tracking](tracking). **It takes** twenty minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import warnings
from html import escape

import numpy as np
import pandas as pd
import umap
from IPython.display import HTML
from matplotlib import patheffects
from matplotlib.ticker import PercentFormatter
from numba.core.dispatcher import Dispatcher
from safetensors.numpy import load_file
from scipy import sparse
from sklearn.cluster import HDBSCAN
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features
from featrack_utils.display import cards, style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import (
    check,
    count,
    number,
    percent,
    say,
    show,
    verdict,
    with_interval,
)
from featrack_utils.interpretation import contexts
from featrack_utils.lineage import label
from featrack_utils.matching import flow
from featrack_utils.matching.best_matches import open_matches
from featrack_utils.pipeline import store
from featrack_utils.statistics.intervals import LEVEL, Interval

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
def keep_compiled():
    """Has UMAP's functions kept on disk: to compile them in each process would take seconds."""
    for function in {**vars(umap.umap_), **vars(umap.layouts)}.values():
        if isinstance(function, Dispatcher):
            function.enable_caching()


keep_compiled()
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
# from one {term}`root`, and fine-tuning moves neurons without renaming them.
#
# The layout starts from each direction's nearest neighbours. For directions $d_i$ of length one the cosine
# of an angle is a product, so the nearest neighbour of $i$ is
#
# $$\operatorname*{arg\,max}_{j \ne i}\; d_i \cdot d_j .$$
#
# We look for `neighbours` of them exactly, not by an approximate search, and start UMAP from the
# principal components. So the same {term}`seed` draws the same map. Clusters are found on it afterwards.

# %%
folders = {model: run / "saes" / name for model, name in first.items()}


def directions(folder):
    """The rows of a dictionary's decoder, each of length one: [d_sae, d_mlp]."""
    rows = load_file(store.opened(folder) / "sae_weights.safetensors")["W_dec"].astype(float)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


unit = {model: directions(folder) for model, folder in folders.items()}
widths = [*dict.fromkeys(rows.shape[1] for rows in unit.values())]  # of a lineage of one kind: one


def placed(rows):
    """Directions of models of one width in numbers of their own, at right angles to all others."""
    before = sum(widths[: widths.index(rows.shape[1])])
    return np.pad(rows, ((0, 0), (before, sum(widths) - before - rows.shape[1])))


together = np.concatenate([placed(rows) for rows in unit.values()])

cosine = together @ together[0]
cosine[0] = -1  # not itself
two = NearestNeighbors(n_neighbors=2, metric="cosine").fit(together)
assert cosine.argmax() in two.kneighbors(together[:1], return_distance=False)


def build(work):
    """Writes each feature's place on the map and its cluster: numbered by size, -1 for none."""
    k = min(neighbours, len(together) - 1)
    search = NearestNeighbors(n_neighbors=k, metric="cosine").fit(together)
    distance, index = search.kneighbors(together)  # 1 - cosine; each is its own nearest
    reducer = umap.UMAP(
        n_neighbors=k,
        metric="cosine",
        n_epochs=epochs,
        random_state=seed,
        n_jobs=1,
        init="pca",
        precomputed_knn=(index.astype(np.int32), distance.astype(np.float32)),
    )
    points = reducer.fit_transform(together.astype(np.float32))
    found = HDBSCAN(min_cluster_size=least, copy=True).fit_predict(points)
    by_size = pd.Series(found[found >= 0]).value_counts().sort_index()
    rank = by_size.rank(ascending=False, method="first").astype(int) - 1
    table = [(model, i) for model, rows in unit.items() for i in range(len(rows))]
    table = pd.DataFrame(table, columns=["model", "feature"]).astype({"feature": np.int32})
    table[["x", "y"]] = points
    table["cluster"] = [rank.get(one, -1) for one in found]
    table.astype({"cluster": np.int32}).to_parquet(work / "map.parquet")


# %% tags=["hide-input"] jupyter={"source_hidden": true}
settings = {"neighbours": neighbours, "epochs": epochs, "least": least, "seed": seed}
# The last bits of a product depend on the number of threads, and a layout magnifies them.
with threadpool_limits(1), warnings.catch_warnings():
    warnings.filterwarnings("ignore", message=".*knn_search_index.*")  # nothing is added later
    made = store.make(run / "map", build, parameters=settings, inputs=folders.values())
mapped = pd.read_parquet(made / "map.parquet")
points, cluster = mapped[["x", "y"]].to_numpy(), mapped["cluster"].to_numpy()

best = flow.first_matches(lineage, matches)
classes = flow.classes(lineage, flow.tracked(lineage, best, tau, rule))
mapped["kind"] = np.array(flow.CLASSES)[np.concatenate([classes[m] for m in lineage.order])]
gone, new = mapped["kind"] == "disappearing", mapped["kind"].isin(["emerging", "novel"])

# %% tags=["hide-input"] jupyter={"source_hidden": true}
PALE, DPI = "#d9d9d9", 220  # as dots of a picture: in vectors the figure would take megabytes


def dots(axis, features, colours):
    axis.scatter(features["x"], features["y"], s=3, c=colours, linewidths=0, rasterized=True)
    # Only who is beside whom means something, so no number stands on the axes.
    axis.set(xticks=[], yticks=[], aspect="equal")
    axis.grid(visible=False)


figure, axes = style.panels(len(lineage.order), 2.3)
figure.set_dpi(DPI)
for axis, model in zip(axes, lineage.order, strict=True):
    own = mapped[mapped["model"] == model]
    dots(axis, mapped, PALE)
    dots(axis, own, style.colour_of(model))
    axis.set_title(f"{label(model)}: {count(len(own))}")
figure.supxlabel("first coordinate of the layout, no unit", fontsize=10)
figure.supylabel("second coordinate", fontsize=10)
show(
    figure,
    "Every feature of the first dictionaries, laid out by the angles between decoder rows. Each panel "
    "shows one model's features in its colour and those of all models in grey.",
    "fig-map-models",
    "Panels with the same scatter of points, each with one model's points in colour",
)

# %% [markdown]
# In {numref}`fig-map-models` look for places that one model has to itself. Where all panels are coloured
# alike, the models write along the same directions. In the book the same map stands below once more, to
# move over: it names each feature and leads to the [explorer](explorer). Choose there what became of a
# feature. Are there regions of {term}`persisting` or of disappearing ones?


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def live_map(mapped, words):
    """The map for the book's page, where map.js draws it to move over and to click.

    `mapped` has the columns model, feature, x, y and kind; `words` says for each feature what it
    answers to, in one line. Nothing is seen of it in JupyterLab.
    """
    models, kinds = (list(dict.fromkeys(mapped[column])) for column in ("model", "kind"))
    places = mapped[["x", "y"]] - mapped[["x", "y"]].min()
    # As far from the edges as a ring around a point is wide; y grows downwards on a screen.
    places = (20 + 960 * places / places.to_numpy().max()).round().astype(int)
    columns = {
        "model": mapped["model"].map(models.index),
        "feature": mapped["feature"],
        "x": places["x"],
        "y": 1000 - places["y"],
        "kind": mapped["kind"].map(kinds.index),
    }
    data = {
        "models": ",".join(models),
        "labels": ",".join(map(label, models)),
        "colours": ",".join(map(style.colour_of, models)),
        "kinds": ",".join(kinds),
        "points": ";".join(",".join(map(str, row)) for row in zip(*columns.values(), strict=True)),
        "words": "\n".join(words),
    }
    attributes = " ".join(f'data-{name}="{escape(text)}"' for name, text in data.items())
    return HTML(f'<div class="featrack-map" hidden {attributes}></div>')


# %% tags=["hide-input"] jupyter={"source_hidden": true}
tokenizer = prepare.open_corpora(store.opened(run / "corpora"), context).tokenizer
pieces = contexts.vocabulary(tokenizer)
shares = [contexts.token_shares(found[name], len(pieces)) for name in first.values()]
shares = sparse.hstack(shares, "csc")  # of each feature's activation on each token
words = [
    " ".join(contexts.quoted(pieces[token]) for token in contexts.strongest_tokens(shares, i, 3)[0])
    for i in range(len(mapped))
]
live_map(mapped, words)

# %% [markdown]
# ## Clusters
#
# HDBSCAN {cite:p}`campello2013density` finds regions that are denser than their surroundings, and may
# leave points in no cluster. We let it look at the layout. In the space of directions itself, with a
# dimension for every neuron, even features that are alike are spread thin. The price is that UMAP draws
# clumps even where there are none. So what do the clusters mean? We ask in places they didn't come from.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
drawn = np.random.default_rng(seed).permutation(len(mapped))[:judged]
outside = {
    name: np.mean(HDBSCAN(min_cluster_size=least // 2, copy=True).fit_predict(space[drawn]) < 0)
    for name, space in (("layout", points), ("directions", together))
}
# Neighbouring numbers differ; none of the models' own colours is asked to mean a cluster.
COLOURS = ("#332288", "#88CCEE", "#117733", "#999933", "#882255", "#AA4499", "#661100", "#6699CC")
figure, axis = style.single(4.6)
figure.set_dpi(DPI)
inside = mapped[mapped["cluster"] >= 0]
dots(axis, mapped[mapped["cluster"] < 0], PALE)
dots(axis, inside, [COLOURS[one % len(COLOURS)] for one in inside["cluster"]])
halo = [patheffects.withStroke(linewidth=2.5, foreground="white")]
for one, rows in inside[inside["cluster"] < 7].groupby("cluster"):
    axis.text(*rows[["x", "y"]].median(), one, ha="center", va="center", path_effects=halo)
axis.set(xlabel="first coordinate of the layout, no unit", ylabel="second coordinate")
show(
    figure,
    "Clusters of the map, the largest numbered as in the table. Grey features are in none. Colours only "
    "tell neighbouring clusters apart.",
    "fig-map-clusters",
    "Scatter of points coloured by cluster with numbers on the largest",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"Of {count(len(drawn))} features drawn at random, {percent(outside['directions'])} are in no "
    f"cluster in the space of directions, and {percent(outside['layout'])} on the layout "
    "({numref}`fig-map-clusters`)."
)

# %% [markdown]
# ## Are clusters about tokens?
#
# The layout knows decoder rows alone: what a feature *writes*. Nothing told it what a feature answers
# to. If features of one cluster answer to the same tokens, that is news. For each cluster we take the
# six tokens that most of its members' activation falls on, and the share of the activation there. Chance
# needs a control, for six tokens fit a small group of any features rather well. So membership is
# **shuffled**: clusters keep their sizes, and members are dealt out at random.


# %%
def by_token(cluster):
    """Of each cluster's activation, every member counted alike, the share on each token."""
    inside = np.flatnonzero(cluster >= 0)
    ones = np.ones(inside.size), (inside, cluster[inside])
    members = sparse.csc_matrix(ones, shape=(cluster.size, cluster.max() + 1))
    mass = (shares @ members).toarray()
    return mass / mass.sum(axis=0)


def on_six_tokens(cluster):
    """The share of each cluster's activation on its six strongest tokens."""
    return np.sort(by_token(cluster), axis=0)[-6:].sum(axis=0)


rng = np.random.default_rng(seed)
share = on_six_tokens(cluster)
shuffled = np.array([on_six_tokens(rng.permutation(cluster)) for _ in range(40)])
highest = np.quantile(shuffled, 1 - (1 - LEVEL) / 2, axis=0)
about_tokens = float(np.mean(share > highest))

# %% tags=["hide-input"] jupyter={"source_hidden": true}
size = np.bincount(cluster[cluster >= 0])
figure, (axis,) = style.panels(1, 2.8, columns=1)
for place, kept in zip(size, shuffled.T, strict=True):
    axis.plot([place] * 2, np.quantile(kept, [0.025, 0.975]), color="#bbbbbb", lw=2)
axis.plot([], [], color="#bbbbbb", lw=2, label="shuffled, 95 %")
axis.plot(size, share, "o", ms=4, color="black", alpha=0.7, label="clusters of the map")
axis.set(xscale="log", ylim=(0, 1), xlabel="features of the cluster", ylabel="on six tokens")
axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
figure.legend(loc="outside upper center", ncols=2)
show(
    figure,
    "Share of a cluster's activation that falls on its six strongest tokens, against its size, beside "
    "what groups of equal sizes show when membership is shuffled.",
    "fig-map-tokens",
    "Dots for clusters lie above grey bars for shuffled groups of the same size",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"{percent(about_tokens)} of {count(len(size))} clusters lie above the range that shuffling shows "
    f"({{numref}}`fig-map-tokens`), where {percent((1 - LEVEL) / 2, 1)} would by chance. Of the median cluster's activation "
    f"{percent(float(np.median(share)))} falls on six tokens, and {percent(float(np.median(shuffled)))} "
    "when shuffled. "
    + (
        "So most clusters are about certain tokens: features that write alike answer alike."
        if about_tokens > 0.5
        else "So what most clusters have in common isn't a few tokens."
    )
)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
tokens = np.argsort(-by_token(cluster), axis=0, kind="stable")[:6].T
counts = pd.crosstab(cluster, mapped["model"]).drop(index=-1, errors="ignore")
counts = counts.reindex(columns=lineage.order).rename(columns=label)
of_models = counts.to_numpy()
middle = mapped[["x", "y"]] - mapped.groupby("cluster")[["x", "y"]].transform("median")
central = mapped.loc[(middle**2).sum(axis=1).groupby(mapped["cluster"]).idxmin()]
central = central[central["cluster"] >= 0]
named = zip(central["model"].map(first), central["feature"], strict=True)
counts.insert(0, "tokens", [HTML(cards.chips(pieces[i] for i in each)) for each in tokens])
counts.insert(1, "example", [cards.linked(cards.Feature(*each)) for each in named])
show_table(
    counts.rename_axis("cluster").reset_index().head(7),
    caption="The largest clusters: their tokens, the feature nearest to the middle, and how many "
    "features of each model they hold.",
)

# %% [markdown]
# ## Are the clusters mixed?
#
# Features of all models in one cluster: do the models share a neighbourhood? Features that *disappear*
# beside others that are *new*: did one model's dictionary describe by these what another's describes by
# those? A large cluster holds a bit of everything. So the labels (model, and what became of the feature)
# are shuffled over all features of the map, and the same is counted again.


# %%
def holding(order):
    """How many clusters hold features of what kind, with the labels in some order."""
    labels = pd.DataFrame({"model": mapped["model"], "gone": gone, "new": new}).iloc[order]
    held = labels.reset_index(drop=True)[cluster >= 0].groupby(cluster[cluster >= 0])
    models, both = held["model"].nunique(), held["gone"].any() & held["new"].any()
    every = len(lineage.order)
    return {
        "one_model": sum(models == 1),
        "all_models": sum(models == every),
        "replaced": sum(both),
    }


as_they_are = holding(np.arange(len(mapped)))
draws = pd.DataFrame(holding(rng.permutation(len(mapped))) for _ in range(shuffles))
low, high = (draws.quantile(q) for q in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
chance = {kind: Interval(draws[kind].mean(), low[kind], high[kind]) for kind in draws}

# %% tags=["remove-input"] jupyter={"source_hidden": true}
held = {
    "one_model": "features of one model alone",
    "all_models": f"features of all {len(lineage.order)} models",
    "replaced": "both features that disappear and new ones",
}


def beside_chance(kind, below, above, unclear):
    """Whether fewer or more clusters are of a kind than shuffled labels show."""
    return verdict(chance[kind], as_they_are[kind], below=above, above=below, unclear=unclear)


for kind, what in held.items():
    compared = beside_chance(
        kind, "**fewer** than by chance", "**more** than by chance", "as by chance"
    )
    say(
        f"- {count(as_they_are[kind])} of {count(len(counts))} clusters hold {what}, {compared}: "
        f"{with_interval(chance[kind], share=False)} would."
    )
say(
    beside_chance(
        "replaced",
        "If anything, what disappears and what is new keep apart: the picture is no evidence that the "
        "new features are the disappearing ones under other names.",
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


# %% tags=["hide-input"] jupyter={"source_hidden": true}
centred = together[drawn] - together[drawn].mean(axis=0)
flat = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T  # two principal components
closest = min(neighbours, (len(drawn) - 1) // 2)
trusted, trusted_flat = (
    trustworthiness(together[drawn], plane, n_neighbors=closest, metric="cosine")
    for plane in (points[drawn], flat)
)
place = {model: points[mapped["model"] == model] for model in lineage.order}


def nearest(a, b, name):
    """Of a's features with a match in b's dictionary of this name: is the nearest there a match?

    The share on the map, by direction, and by chance; only eligible features of b take part.
    Directions of two widths have no angle between them.
    """
    pair = matches.best[first[a], name]
    i, j, r = pair.pairs
    matched = sparse.coo_array((r > tau, (i, j)), (len(unit[a]), pair.b_candidates.size)).tocsr()
    asked, able = np.flatnonzero(matched.sum(axis=1)), np.flatnonzero(pair.b_candidates)
    if not asked.size:
        return [np.nan] * 3

    def hits(one, other):
        search = NearestNeighbors(n_neighbors=1).fit(other[able])
        return matched[asked, able[search.kneighbors(one[asked])[1][:, 0]]].mean()

    on_map = hits(place[a], place[b]) if name == first[b] else np.nan
    theirs = directions(run / "saes" / name)
    by_direction = hits(unit[a], theirs) if theirs.shape[1] == unit[a].shape[1] else np.nan
    return on_map, by_direction, matched.sum() / (asked.size * able.size)


edge = lineage.edges[0]
again = [(edge[0], m, name) for m in reversed(edge) for name in matches.names[m][1:2]]
asked = [(a, b, first[b]) for a, b in lineage.edges] + again
columns = ["on the map", "by direction", "by chance"]
near = pd.DataFrame([nearest(*each) for each in asked], index=asked, columns=columns)
pairs = [
    style.pair_label(a, b) + ("" if name == first[b] else ", other seed") for a, b, name in asked
]
show_table(
    near.assign(pair=pairs)[["pair", *columns]],
    {"on the map": ".0%", "by direction": ".0%", "by chance": ".2%"},
    caption="How often the nearest feature of the other model is a match, r > τ.",
)

# %% tags=["remove-cell"]
results = {
    "map.features": len(mapped),
    "map.clusters": len(counts),
    "map.outside_layout": outside["layout"],
    "map.outside_directions": outside["directions"],
    "map.clusters_about_tokens": about_tokens,
    "map.on_six_tokens": float(np.median(share)),
    "map.on_six_tokens.shuffled": float(np.median(shuffled)),
    "map.trustworthiness": trusted,
    "map.trustworthiness_pca": trusted_flat,
}
for kind, each in chance.items():
    results[f"map.{kind}_clusters"] = int(as_they_are[kind])
    ends = zip(("", ".ci_low", ".ci_high"), each, strict=True)
    results |= {f"map.{kind}_clusters.chance{end}": float(value) for end, value in ends}
for (a, b, name), row in near.iterrows():
    key = f"map.{a}_{b}" if name == first[b] else f"map.{a}_{b}.other_seed"
    for column, short in (("on the map", "map"), ("by direction", "directions")):
        results[f"{key}.nearest_{short}"] = None if pd.isna(row[column]) else row[column]
# A cluster whose features are never active has no share on six tokens, and so no median.
results = {name: None if pd.isna(value) else value for name, value in results.items()}
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
    f"{percent(about_tokens)} of the clusters are about certain tokens, beyond what groups of any "
    "features show. "
    + beside_chance(
        "all_models",
        "Fewer hold features of all models than if models made no difference: some neighbourhoods lean "
        "towards one model.",
        "More hold features of all models than if models made no difference: they share their "
        "neighbourhoods.",
        "As many hold features of all models as if models made no difference: where a feature lies "
        "doesn't tell whose it is.",
    ),
    "Features that match were found by *when* they are active. Whether they also *write* in the same "
    f"direction the matching was never told: {percent(row['by direction'])} of {parent}'s have a match as "
    f"their nearest in {child}. Next: [features in words](interpretation).",
)

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# What is the mean cosine between a feature and the *others* of its cluster, over all features that are
# in one? You need `together`, with a direction a row, and `cluster`, −1 for none. A hint: the sum of a
# cluster's directions holds all products with them at once.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
inside = [together[cluster == number] for number in range(len(size))]
sums = [(rows @ rows.T).sum(axis=1) - (rows**2).sum(axis=1) for rows in inside]
cohesion = float(np.concatenate([s / (len(s) - 1) for s in sums]).mean()) if sums else np.nan

# %%
answer = ...  # a mean cosine
check(answer, cohesion)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
some = cluster >= 0
total = np.zeros((len(size), together.shape[1]))
np.add.at(total, cluster[some], together[some])
own = np.einsum(
    "id,id->i", together[some], total[cluster[some]]
)  # itself included, by a cosine of 1
answer = np.mean((own - 1) / (size[cluster[some]] - 1))
check(answer, cohesion)

# %% [markdown]
# Compare it with that of any two features, `(together.mean(axis=0) ** 2).sum()`, nearly. Clusters were
# found on the layout, which was made from these directions. So this number alone is no proof of anything.
#
# :::{admonition} Exercise 2
# :class: tip
# In which share of the clusters does one model have more than half of the features? `of_models` has a
# row for each cluster and a column for each model.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
in_clusters = mapped[cluster >= 0].groupby("cluster")["model"]
dominated = float((in_clusters.value_counts(normalize=True).groupby("cluster").max() > 0.5).mean())

# %%
answer = ...  # a share, from 0 to 1
check(answer, dominated)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = np.mean(of_models.max(axis=1) > of_models.sum(axis=1) / 2)
check(answer, dominated)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# Set `seed` to another number and draw the map again. Which statements above survive?
# :::
#
# :::{dropdown} Answer
# Nearest neighbours and trustworthiness hardly move. The clusters' number, place and order change:
# they are the drawing's.
# :::
