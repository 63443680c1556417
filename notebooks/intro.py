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
# fine-tunes are merged?*
#
# We train a one-layer transformer on English and Python, fine-tune one copy on Lua and one on
# children's stories, merge the two, and take the models' activations apart with sparse
# autoencoders. Then we follow each feature from model to model, as {cite:t}`horn2025tracking` did,
# and ask what they did not: **how many features would seem to be lost if nothing had happened
# at all?**

# %% tags=["remove-cell"]
from pathlib import Path

import pandas as pd

from featrack_utils import flowplot, plots, shareplots, store
from featrack_utils.config import EDGES
from featrack_utils.tables import show_table

plots.use_style()

# %% tags=["parameters", "remove-cell"]
run_dir = "runs/quick"

# %% mystnb={"figure": {"caption": "Features on their way from the base model (left) through two fine-tunes to the merged model (right). A band is as thick as the number of features it stands for; grey bands have no match.", "name": "fig-flow-intro"}, "image": {"alt": "Flow diagram of features from base through Lua and Stories to merged"}} tags=["remove-input"]
run = Path(run_dir)
flowplot.flow_diagram(pd.read_csv(store.opened(run / "tracking") / "flow.csv"))

# %% [markdown]
# **Three numbers**
#
# - {{ share("track.base_lua.persisting_share", 0) }} of the base model's features are found again
#   in the Lua fine-tune, at the paper's threshold.
# - {{ share("track.base.seed_ceiling", 0) }} are found again in *the very same model* when only the
#   dictionary's random seed changes. Another model can hardly be expected to score higher.
# - {{ share(results["track.base_lua.persisting_share"] / results["track.base.seed_ceiling"], 0) }}
#   is what the first number becomes when it is measured against the second.
#
# So "few features persist" is mostly a statement about dictionaries, but not only: the interval of
# that ratio,
# [{{ share("track.base_lua.persisting_share.ratio_to_ceiling.ci_low", 0) }},
# {{ share("track.base_lua.persisting_share.ratio_to_ceiling.ci_high", 0) }}],
# {% if results["track.base_lua.persisting_share.ratio_to_ceiling.ci_high"] < 1 -%}
# excludes 100 %.
# {%- else -%}
# includes 100 %, so with these dictionaries no change can be told from change.
# {%- endif %}

# %% tags=["remove-cell"]
figures = store.read_results(run, "tracking", "ceilings")
keys = {"share": "", "ci_low": ".ci_low", "ci_high": ".ci_high", "ceiling": ".ceiling",
        "floor": ".floor", "ratio": ".ratio_to_ceiling"}  # fmt: skip
headline = pd.DataFrame(
    {"pair": f"{a}_{b}"}
    | {name: figures.get(f"track.{a}_{b}.persisting_share{end}") for name, end in keys.items()}
    for a, b in EDGES
)

# %% mystnb={"figure": {"caption": "The headline: the share of each parent's features that persists (dot, 95 % interval), between what chance would show (grey) and what could be seen at most (black).", "name": "fig-headline"}, "image": {"alt": "Persisting shares of five pairs, each between its floor and its ceiling"}} tags=["remove-input"]
shareplots.shares_with_ceiling(headline)

# %% tags=["remove-input"]
show_table(
    headline.assign(pair=headline["pair"].map(plots.pair_label)).rename(
        columns={"ci_low": "from", "ci_high": "to"}
    ),
    {name: ".1%" for name in ("share", "from", "to", "ceiling", "floor", "ratio")},
    notes={"ratio": "share / ceiling"},
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
