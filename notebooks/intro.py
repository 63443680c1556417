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
# # featrack
#
# *What happens to the features inside a language model when it is fine-tuned, and when two
# fine-tunes are merged?* We train a small transformer on English and Python, fine-tune one copy on
# Lua and one on children's stories, merge the two, and follow each feature from model to model, as
# {cite:t}`horn2025tracking` did. Then we ask what they did not: **how many features would seem to
# be lost if nothing had happened at all?**
#
# ::::{grid} 1 1 3 3
# :gutter: 2
# :class-container: featrack-headline
#
# :::{grid-item-card} {{ share("track.base_lua.persisting_share", 0) }}
# of the base model's features are found again in the Lua fine-tune.
# :::
# :::{grid-item-card} {{ share("track.base.ceiling", 0) }}
# would be found again in *the very same model*, read a second time.
# :::
# :::{grid-item-card} {{ share("track.base_lua.persisting_share.ratio_to_ceiling", 0) }}
# is the first number out of the second: of what could be found, so much is.
# :::
# ::::

# %% tags=["remove-cell"]

import pandas as pd

from featrack_utils.display import flowplot, shareplots, style
from featrack_utils.display.tables import show_table
from featrack_utils.pipeline import store
from featrack_utils.pipeline.config import EDGES

style.use_style()

# %% tags=["parameters", "remove-cell"]
run_dir = "runs/quick"

# %% mystnb={"figure": {"caption": "Features on their way from the base model (left) through two fine-tunes to the merged model (right). A band is as thick as the number of features it stands for. Grey bands have no match. Hatched ones have one that isn't theirs alone: *fused* features share their child with a closer parent, *split* ones their parent with a closer child. *New* and *novel* ones have no parent.", "name": "fig-flow-intro"}, "image": {"alt": "Flow diagram of features from base through Lua and Stories to merged", "classes": "featrack-first"}} tags=["remove-input"]
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
flowplot.flow_diagram(pd.read_csv(store.opened(run / "tracking") / "flow.csv"))

# %% [markdown]
# :::{admonition} Five words
# :class: note
# - **Feature**: a direction in the model's activations that answers to one kind of thing, such as
#   the `=` of an assignment. A token's activations are a sum of a few features.
# - **Dictionary**: all the features that a *sparse autoencoder* has found in one model. Train it
#   again from another random **seed** and it finds partly other ones.
# - **Persisting**: a feature of a parent model whose activations correlate above a threshold τ
#   with those of some feature of the child, on the same text.
# - **Ceiling**: the share that persists where nothing happened, between two dictionaries of one
#   model.
# - **Ratio**: share / ceiling.
# :::
#
# {% set name = "track.base_lua.persisting_share.ratio_to_ceiling" -%}
# {% set loss = "track.base_lua.unchanged_loss" -%}
# **What follows.** {% if not defined(name) -%}
# In this run two dictionaries of one model have too little in common for a ratio.
# {%- elif results[name + ".ci_high"] < 1 -%}
# Fine-tuning did change features: the ratio, {{ share_ci(name, 0) }}, lies below 100 %.
# {%- else -%}
# The ratio, {{ share_ci(name, 0) }}, includes 100 %: with these dictionaries, change can't be told
# from none.
# {%- endif %}
# {% if defined(loss) -%}
# But {% if results[loss + ".ci_low"] > 0.5 %}most{% elif results[loss + ".ci_high"] < 0.5 %}less
# than half{% else %}about half{% endif %} of what seems lost at the paper's threshold, τ =
# {{ number("track.tau", 1) }}, would seem lost from an unchanged model as well:
# {{ share_ci(loss, 0) }} of it.
# {%- endif %} Both depend on how matches are counted, and [a chapter](robustness) says how.

# %% tags=["remove-cell"]
figures = store.read_results(run, "tracking", "ceilings")


def headline(name, *ends):
    return pd.DataFrame(
        {"pair": f"{a}_{b}"} | {end: figures.get(f"track.{a}_{b}.{name}{end}") for end in ends}
        for a, b in EDGES
    )


BOUNDS = (".ci_low", ".ci_high")
counted = headline("persisting_share", "", *BOUNDS, ".ceiling", ".floor").rename(
    columns=lambda name: name.removeprefix(".") or "share"
)

# %% mystnb={"figure": {"caption": "The headline: the share of each parent's features that persists (dot, 95 % interval), between what chance would show (its floor) and what an unchanged model would (its ceiling).", "name": "fig-headline"}, "image": {"alt": "Persisting shares of five pairs, each between its floor and its ceiling"}} tags=["remove-input"]
shareplots.shares_with_ceiling(counted)

# %% tags=["remove-input"]
RATIOS = {"share / ceiling": "persisting_share", "… copies merged": "copies_merged_share"}
table = counted.assign(pair=counted["pair"].map(style.pair_label))
table = table.rename(columns={"ci_low": "share.ci_low", "ci_high": "share.ci_high"})
for head, name in RATIOS.items():
    ratio = headline(name, *(f".ratio_to_ceiling{end}" for end in ("", *BOUNDS)))
    table[[head, *(head + end for end in BOUNDS)]] = ratio.drop(columns="pair").astype(float)
show_table(
    table,
    dict.fromkeys(("share", "ceiling", "floor", *RATIOS), ".1%"),
    notes={"share": "95 % interval", "… copies merged": "each counted once"},
)

# %% [markdown]
# ## How to read this book
#
# The chapters follow the experiment: text, models, merging, dictionaries, tracking. Every figure
# is made by the code shown with it, every number in the text comes from this run, and each chapter
# can be run again with other parameters.
#
# - **Five minutes:** [Which features persist?](tracking), and then
#   [what the number would be if nothing had happened](ceilings).
# - **Meet a feature:** {% if defined("case.assignment.base") -%}
#   the one for [assignment, in all four models](case-study), or
#   <a href="explorer.html#base-{{ results["case.assignment.base"] | int }}">the same one in the
#   explorer</a>, where
#   {%- else -%}
#   those that [run through all four models](case-study), or any in the
#   [explorer](explorer), where
#   {%- endif %}
#   every feature of every model can be searched and compared.
# - **What changed:** [features lost, found and new](changes), and
#   [how soon they go](dose) as a fine-tune proceeds.
# - **Hands on:** [four controls](live) to type, slide and ablate, in JupyterLab.
#
# These are very small models on text that was partly generated for the purpose. What they can't
# show is said where it matters.
