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
# directions of the four dictionaries of seed 0 are laid out in one plane by UMAP
# {cite:p}`mcinnes2018umap`, so that directions with a small angle come to lie close together. The
# paper has no such picture; {cite:t}`bricken2023monosemanticity` drew one for dictionaries of several
# sizes on one model. It is pretty, and easy to read too much into, so numbers stand beside it.

# %%

import numpy as np
import pandas as pd
from IPython.display import HTML
from scipy import sparse

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features
from featrack_utils.display import cards, mapplot, style
from featrack_utils.display.tables import show_table
from featrack_utils.interpretation import examples, feature_map, mixing, portraits
from featrack_utils.matching import fates
from featrack_utils.pipeline import store
from featrack_utils.pipeline.config import MODELS

style.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
context = 128  # tokens; paper: 256
seed = 1337  # of the layout, and of the features drawn to judge it
tau = 0.8  # correlation above which two features match; paper: 0.8
rule = "best"  # or mutual; paper: best match
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
neighbours = 15  # of each direction that the layout tries to keep close
epochs = 200  # of the layout's optimisation
least = 15  # features of a cluster
judged = 2000  # features drawn to judge the layout
shuffles = 200  # times that the labels are dealt out anew, to see what chance shows

# %% [markdown]
# ## One space for four models?
#
# A decoder row has one entry for each neuron of the model's MLP. Rows of different models can be
# compared only if neuron 7 of one is neuron 7 of the other. Here it is, more or less: all four
# descend from one base, and fine-tuning moves neurons without renaming them. For models trained
# apart this map would show four islands that mean nothing.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
dictionaries = {model: run / "saes" / f"{model}-0" for model in MODELS}
unit = feature_map.directions({m: store.opened(folder) for m, folder in dictionaries.items()})
together = np.concatenate(list(unit.values()))


def build(work):
    points = feature_map.layout(together, neighbours=neighbours, epochs=epochs, seed=seed)
    index = [(model, i) for model, rows in unit.items() for i in range(len(rows))]
    table = pd.DataFrame(index, columns=["model", "feature"]).astype({"feature": np.int32})
    table[["x", "y"]] = points
    table.assign(cluster=feature_map.clusters(points, least)).to_parquet(work / "map.parquet")


settings = {"neighbours": neighbours, "epochs": epochs, "least": least, "seed": seed}
made = store.make(
    run / "map", build, parameters=settings, inputs=dictionaries.values(), code=[feature_map]
)
mapped = pd.read_parquet(made / "map.parquet")
points = mapped[["x", "y"]].to_numpy()

# %% mystnb={"figure": {"caption": "Every feature of four dictionaries, laid out by the angles between decoder rows. Each panel shows one model's features in its colour and those of all models in grey.", "name": "fig-map-models"}, "image": {"alt": "Four panels with the same scatter of points, each with one model's points in colour"}} tags=["hide-input"]
mapplot.map_panels(
    mapped, {style.MODEL_LABELS[m]: (mapped["model"] == m).to_numpy() for m in MODELS}
)

# %% [markdown]
# In {numref}`fig-map-models` look for places that one model has to itself: features that only its
# training called for. Where all four panels are coloured alike, the models write along the same
# directions. Any feature can be found again on this map: its page in the
# [explorer](explorer) marks it.
#
# ## What became of them

# %%
measured = features.open_features(run, lineage, 2, 2)
found = {model: measured[f"{model}-0"] for model in MODELS}
criteria = fates.Criteria(tau, rule, min_positions, min_documents)
best = fates.all_matches(found, criteria)
numbers = np.concatenate([fates.classes(best, criteria)[model] for model in MODELS])
fate = np.array(fates.CLASSES)[numbers]
chained = np.concatenate([fates.universal(best, tau)[model] for model in MODELS])

# %% mystnb={"figure": {"caption": "The same map by what became of the features, in their model's colour (as above). Universal features belong to a chain of matches through all four models.", "name": "fig-map-classes"}, "image": {"alt": "Panels with the same scatter of points, each with one class of features in colour"}} tags=["hide-input"]
kinds = {
    "persisting or inherited": np.isin(fate, ["persisting", "inherited"]),
    "disappearing": fate == "disappearing",
    "emerging or novel": np.isin(fate, ["emerging", "novel"]),
    "universal": chained,
}
mapplot.map_panels(mapped, kinds)

# %% [markdown]
# {numref}`fig-map-classes` would show empty regions if whole kinds of features came and went. Whether
# there are any is a question to be counted, below, not looked at.
#
# ## Clusters
#
# HDBSCAN {cite:p}`campello2013density` finds regions that are denser than their surroundings, and may
# leave points in no cluster. We let it look at the layout. In the space of directions itself, with a
# dimension for every neuron, even features that are alike are spread thin, and hardly any region is
# dense: of {{ count("map.judged") }} features drawn at random, it leaves
# {{ share("map.outside_directions", 0) }} in no cluster there, and
# {{ share("map.outside_layout", 0) }} on the layout. The price is that UMAP draws clumps even where
# there are none, so we check the clusters in the space they didn't come from.

# %%
drawn = np.random.default_rng(seed).permutation(len(mapped))[:judged]
outside = {
    name: float(np.mean(feature_map.clusters(space[drawn], least // 2) < 0))
    for name, space in (("layout", points), ("directions", together))
}
cluster = mapped["cluster"].to_numpy()
cohesion = feature_map.cohesion(together, cluster)
anywhere = feature_map.cohesion(together, np.zeros_like(cluster))

# %% [markdown]
# {% if defined("map.cohesion") -%}
# Two features of one cluster have a cosine of {{ number("map.cohesion") }} on average, any two
# features one of {{ number("map.cohesion_anywhere") }}.
# {%- else -%}
# There is no cluster of this size in this run.
# {%- endif %}

# %% mystnb={"figure": {"caption": "Clusters of the map, the largest numbered as in the table below. Grey features are in none. Colours only tell neighbouring clusters apart.", "name": "fig-map-clusters"}, "image": {"alt": "Scatter of points coloured by cluster with numbers on the largest"}} tags=["hide-input"]
mapplot.cluster_map(mapped, numbered=12)

# %%
tokenizer = prepare.open_corpora(store.opened(run / "corpora"), context).tokenizer
pieces = portraits.vocabulary(tokenizer)
shares = sparse.hstack([examples.token_shares(found[m], len(pieces)) for m in MODELS], "csc")
tokens = feature_map.cluster_tokens(cluster, shares, n=6)
central = mapped.iloc[feature_map.most_central(cluster, points)]
counts = pd.crosstab(cluster, mapped["model"]).drop(index=-1, errors="ignore")
table = pd.DataFrame(
    {
        "cluster": counts.index,
        "tokens": [HTML(cards.chips(pieces[i] for i in each)) for each in tokens],
        "example": [
            cards.linked(cards.Feature(f"{model}-0", i))
            for model, i in zip(central["model"], central["feature"], strict=True)
        ],
        **{style.MODEL_LABELS[m]: counts.get(m, 0) for m in MODELS},
    }
)

# %% tags=["hide-input"]
show_table(
    table.head(12),
    caption="The largest clusters: the tokens that most of their activation "
    "falls on, the feature nearest to the middle, and features of each model.",
)

# %% tags=["hide-input", "hide-output"]
show_table(table, caption="All clusters.")

# %% [markdown]
# ## Are the clusters mixed?
#
# Features of all four models in one cluster: do the models share a neighbourhood? Features that
# disappear beside others that are new (*emerging* or *novel*): did one model's dictionary describe
# by these what another's describes by those? A large cluster holds a bit of everything in any case. So
# the labels (model, and what became of the feature) are dealt out anew over all features of the map,
# and the same is counted again.

# %%
labels = {
    "model": mapped["model"],
    "gone": fate == "disappearing",
    "new": np.isin(fate, ["emerging", "novel"]),
}
holding = mixing.mixed(cluster, **labels)
lot = mixing.by_chance(cluster, **labels, draws=shuffles, seed=seed)
names = {
    "one_model": "one model alone",
    "all_models": "all four models",
    "replaced": "both disappearing and new",
}
compared = pd.DataFrame(
    {
        "clusters that hold": names.values(),
        "observed": holding,
        "by chance": lot["expected"].to_numpy(),
        "by chance.ci_low": lot["low"].to_numpy(),
        "by chance.ci_high": lot["high"].to_numpy(),
    }
)
show_table(
    compared,
    {"by chance": ".0f"},
    notes={"by chance": "mean [middle 95 %]"},
    caption=f"Of {len(counts)} clusters.",
)

# %% [markdown]
# {% if results["map.clusters"] == 0 -%}
# There are no clusters in this run to tell by.
# {%- else -%}
# {% for kind, what in [("one_model", "features of one model alone"),
#    ("all_models", "all four models"), ("replaced", "both features that disappear and new ones")] -%}
# {% set name = "map." + kind + "_clusters" -%}
# - {{ count(name) }} of {{ count("map.clusters") }} clusters hold {{ what }}, and
#   {{ count(name + ".chance") }} [{{ count(name + ".chance.ci_low") }},
#   {{ count(name + ".chance.ci_high") }}] would by chance:
#   {% if results[name] > results[name + ".chance.ci_high"] -%}
#   **more** than chance.
#   {%- elif results[name] < results[name + ".chance.ci_low"] -%}
#   **fewer** than chance.
#   {%- else -%}
#   no more and no fewer than chance.
#   {%- endif %}
# {% endfor %}
#
# {% set name = "map.replaced_clusters" -%}
# {% if results[name] > results[name + ".chance.ci_high"] -%}
# What disappears and what is new seek each other's neighbourhood: one model's dictionary describes it
# by these features, another's by those.
# {%- elif results[name] < results[name + ".chance.ci_low"] -%}
# So what disappears and what is new lie side by side in many clusters only because clusters are large
# and both kinds common. If anything, they keep apart: the picture is no evidence that the new
# features are the lost ones under other names.
# {%- else -%}
# That what disappears and what is new lie side by side says nothing then: features dealt out by lot
# do, too.
# {%- endif %}
# {%- endif %}

# %% [markdown]
# ## How far to believe the picture
#
# A plane has no room for directions in hundreds of dimensions; something has to give, and UMAP gives
# up distances to keep neighbours. So the **distance between two clusters means nothing**, nor does
# their **size or density** on the map: UMAP evens both out. Even whether two clumps are one or two
# depends on its settings. What it tries to keep is who is beside whom. How well?
#
# *Trustworthiness* {cite:p}`venna2001neighborhood` is 1 if the nearest on the map are nearest in
# angle, too, and about ½ for points strewn at random. And since we know more than angles, namely which
# features *match*, we can ask: of the features that have a match in the other model, how many have it
# as their nearest neighbour there, on the map and in the space of directions, and how many would by
# chance?

# %%
flat = feature_map.principal(together[drawn])
trusted = feature_map.trust(together[drawn], points[drawn], neighbours)
trusted_flat = feature_map.trust(together[drawn], flat, neighbours)
at = {model: points[mapped["model"] == model] for model in MODELS}


def neighbourhood(a, b):
    near = feature_map.matched_neighbours(at[a], at[b], best[a, b], tau)
    exact = feature_map.matched_neighbours(unit[a], unit[b], best[a, b], tau)
    return {
        "pair": f"{a}_{b}",
        "with a match": near.features,
        "on the map": near.share,
        "by direction": exact.share,
        "by chance": near.chance,
    }


near = pd.DataFrame(neighbourhood(*pair) for pair in best)

# %% [markdown]
# A caution: dictionaries of one seed start from the same random numbers, and that alone puts some of
# their directions side by side. So two more rows ask with another seed, for Lua and for the base
# itself. The latter is the ceiling: the model is the same, and only its dictionary is new.


# %%
def other_seed(model):
    matches = fates.matches(measured["base-0"], measured[f"{model}-1"], criteria)
    rows = feature_map.directions({model: store.opened(run / "saes" / f"{model}-1")})[model]
    exact = feature_map.matched_neighbours(unit["base"], rows, matches, tau)
    return {
        "pair": f"{style.pair_label(f'base_{model}')}, other seed",
        "with a match": exact.features,
        "by direction": exact.share,
        "by chance": exact.chance,
    }


again = pd.DataFrame(other_seed(model) for model in ("lua", "base"))

# %% tags=["hide-input"]
show_table(
    pd.concat([near.assign(pair=near["pair"].map(style.pair_label)), again]),
    {"on the map": ".1%", "by direction": ".1%", "by chance": ".2%"},
    caption="How often the nearest feature of the other model is a match, r > τ.",
)

# %% tags=["remove-cell"]
results = {
    "map.features": len(mapped),
    "map.judged": len(drawn),
    "map.clusters": len(counts),
    "map.outside_layout": outside["layout"],
    "map.outside_directions": outside["directions"],
    "map.cohesion": cohesion,
    "map.cohesion_anywhere": anywhere,
    "map.trustworthiness": trusted,
    "map.trustworthiness_pca": trusted_flat,
}

# %% tags=["remove-cell"]
for kind, row in lot.iterrows():
    results[f"map.{kind}_clusters"] = getattr(holding, kind)
    ends = {"": row["expected"], ".ci_low": row["low"], ".ci_high": row["high"]}
    results |= {f"map.{kind}_clusters.chance{end}": value for end, value in ends.items()}

# %% tags=["remove-cell"]
names = {"on the map": "map", "by direction": "directions", "by chance": "chance"}
results |= {
    f"map.{row['pair']}.nearest_{name}": None if pd.isna(row[column]) else row[column]
    for _, row in near.iterrows()
    for column, name in names.items()
}
ends = dict(
    zip(("base_lua.nearest_other_seed", "base.nearest_ceiling"), again["by direction"], strict=True)
)
results |= {f"map.{name}": None if pd.isna(share) else share for name, share in ends.items()}
store.write_results(run, "map", results)

# %% [markdown]
# {% if defined("map.trustworthiness") -%}
# The map's trustworthiness is {{ number("map.trustworthiness") }}; the two largest principal
# components alone reach {{ number("map.trustworthiness_pca") }}.
# {%- endif %}
# {% if defined("map.base_lua.nearest_map") -%}
# Of the base's features with a match in Lua, {{ share("map.base_lua.nearest_map", 0) }} have one as
# their nearest neighbour on the map, {{ share("map.base_lua.nearest_directions", 0) }} by the
# directions themselves, and {{ share("map.base_lua.nearest_chance") }} would by chance.
# {% if results["map.base_lua.nearest_map"] < results["map.base_lua.nearest_directions"] -%}
# So the map keeps neighbourhoods, not neighbours: it is good for finding a region, and bad for
# deciding whether two features are the same. That question is the correlation's.
# {%- else -%}
# Here the map loses nothing that the directions know of matches.
# {%- endif %}
# {% if defined("map.base_lua.nearest_other_seed") and defined("map.base.nearest_ceiling") -%}
# With a dictionary of Lua that started elsewhere it is
# {{ share("map.base_lua.nearest_other_seed", 0) }} by direction, and
# {{ share("map.base.nearest_ceiling", 0) }} within the base itself.
# {%- endif %}
# {%- else -%}
# No feature of the base has a match in Lua in this run, so there are no matched neighbours to look for.
# {%- endif %}
#
# ## What we learned
#
# {% set name = "map.all_models_clusters" -%}
# {% if results["map.clusters"] == 0 -%}
# With so small a run the directions form no cluster, and the map shows little.
# {%- elif results[name] < results[name + ".chance.ci_low"] -%}
# {{ count(name) }} of {{ count("map.clusters") }} clusters hold features of all four models. That
# sounds like one layout for all, but fewer do than if models made no difference
# ({{ count(name + ".chance") }}): most neighbourhoods are shared, and some lean towards one model.
# {%- elif results[name] > results[name + ".chance.ci_high"] -%}
# {{ count(name) }} of {{ count("map.clusters") }} clusters hold features of all four models, more than
# if models made no difference ({{ count(name + ".chance") }}): they share their neighbourhoods.
# {%- else -%}
# {{ count(name) }} of {{ count("map.clusters") }} clusters hold features of all four models, as many as
# if models made no difference ({{ count(name + ".chance") }}): where a feature lies doesn't tell
# whose it is.
# {%- endif %}
# {% set direct = "map.base_lua.nearest_directions" -%}
# {% if not defined(direct) -%}
# {%- elif results[direct] > 0.5 -%}
# Features that match, found by *when* they are active, mostly also *write* in nearly the same
# direction ({{ share(direct, 0) }} of the base's have a match in Lua as their nearest), which the
# matching was never told.
# {%- else -%}
# Features that match, found by *when* they are active, need not *write* in the same direction: only
# {{ share(direct, 0) }} of the base's have a match in Lua as their nearest.
# {%- endif %}
#
# :::{admonition} Exercises
# :class: tip
# 1. Set `seed` to another number and draw the map again. Which statements above survive?
# 2. Set `neighbours` to 5, then to 100. What happens to the clusters, and what to the
#    trustworthiness?
# 3. Set `least` to 60. More clusters or fewer hold all four models, and what happens to the chance?
# :::
#
# :::{dropdown} Answers
# 1. The table of nearest neighbours and the trustworthiness hardly move, as should the tokens of the
#    clusters. Their number, place and order change: they are the drawing's.
# 2. Few neighbours give many small clumps, many give a few large ones. Trustworthiness, which looks at
#    as many neighbours as the layout, can't be compared between the two.
# 3. There are fewer clusters, and nearly all of them hold everything; but by chance they all do. The
#    larger the cluster, the less such a count says.
# :::
