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
# # Dictionaries trained otherwise
#
# {cite:t}`horn2025tracking` train one kind of dictionary. The chapter on
# [ways to count](robustness) asks its conclusions of other kinds, too. This page trains one such
# set; the run trains as many as its profile lists, each by this notebook. **You will learn** how the
# set's sparsity and precision differ from the run's own. **You need** the chapter on
# [dictionaries](dictionaries). **It takes** two minutes.

# %% tags=["hide-input"]
import pandas as pd

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import jobs, quality
from featrack_utils.display.tables import show_table
from featrack_utils.pipeline import store

# %% tags=["parameters"]
run_dir = "runs/quick"
variant = "expansion-2"  # name of the set
all_pairs = False  # one dictionary of every model, or of the first parent and child alone
precision = "auto"  # bfloat16 where the machine multiplies it faster
context = 128  # tokens; paper: 256
architecture = "standard"  # ReLU with L1, the paper's kind; or topk, batchtopk
expansion = 2  # features per MLP neuron; paper: 16
l1_coefficient = 1.5  # paper: 3e-4, on another scale (and ten times that for one of four)
k = 32  # active features a token; topk and batchtopk only
learning_rate = 8e-3  # paper: 1e-4
train_tokens = 400_000  # activations read
batch_tokens = 1024  # a step; paper: 128 blocks of 24 tokens
evaluation_blocks = 140  # validation blocks per domain, the same for every model

# %% [markdown]
# ## Training
#
# We train only what the comparisons need: the dictionaries of a pair at one seed, and another seed
# of each for the ceiling.

# %% tags=["hide-input"]
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
recipe = jobs.recipe(globals())
wanted = jobs.of_sweep(lineage, all_pairs)
place = run / "sweep" / variant
measured = jobs.train_and_measure(run, corpora, wanted, recipe, evaluation_blocks, place)

# %% [markdown]
# ## What came of it

# %% tags=["hide-input"]
names = {"l0": "L0", "variance_explained": "variance explained"}
rows = [{"dictionary": name, **quality.mean_quality(place, [name])} for name in measured]
show_table(
    pd.DataFrame(rows).rename(columns=names),
    {"L0": ".0f", "variance explained": ".2f"},
    caption=f"Dictionaries of the set {variant}, on the whole evaluation mix.",
)

# %% [markdown]
# ## What we learned
#
# Sparsity and variance explained say how these dictionaries differ from the run's own. What that
# does to shares, [the chapter on ways to count](robustness) tells.
#
# :::{admonition} Exercise 1
# :class: tip
# Which kind of dictionary would you expect to give the highest share of features found again, and
# which the highest ratio to the ceiling?
# :::
#
# :::{dropdown} Answer
# The sparsest gives the highest share: its few features are common, and common ones come back. The
# ceiling rises with it, so nothing follows for the ratio.
# :::
#
# :::{admonition} Exercise 2
# :class: tip
# Why must the parent's second dictionary be trained otherwise, too, and not only the pair that is
# compared?
# :::
#
# :::{dropdown} Answer
# The ceiling asks what would be found if nothing had happened to the model. With a second dictionary
# of the usual kind it would measure the kind as well.
# :::
