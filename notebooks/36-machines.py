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
# # When one machine is not enough
#
# What would the questions of this book cost of a model as large as those that people use? We measure
# small {term}`dictionaries <dictionary>` here, fit a cost model to some of them, see whether it foretells
# larger ones, and only then ask it about sizes that we can't try.
#
# **You will learn** to estimate hours and memory before you rent a machine, and which assumption breaks
# first. **You need** [what a dictionary is](sae). **It takes** fifteen minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import logging
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.optimize import nnls

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries.activations import KEPT_BYTES, Buffers, training_mixture
from featrack_utils.dictionaries.training import train_sae
from featrack_utils.display import style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import check, count, number, percent, say, show
from featrack_utils.lineage import label
from featrack_utils.matching.correlation import correlations
from featrack_utils.models.loading import load_model
from featrack_utils.pipeline import store

logging.disable(logging.INFO)
os.environ["FEATRACK_DEVICE"] = "cpu"  # a core's seconds are what is measured here

# %% tags=["parameters"]
run_dir = "runs/quick"
context = 128  # tokens; paper: 256
precision = "auto"  # bfloat16 where the machine multiplies it faster
sample_tokens = 20_000  # that the largest dictionary but one reads

# %% [markdown]
# ## What there is to pay for
#
# A model with $N$ weights is read once, $2N$ operations a token. A dictionary of $F$ features on
# activations of width $d$ multiplies by two matrices of $dF$ numbers, forwards and twice backwards, two
# operations each: $12\,dF$ a token. With $S$ dictionaries (seeds) of $T$ tokens each, core-seconds are
#
# $$c(T, F, S) = \alpha T + S\,(\beta + \gamma T + \delta\, T F),$$
#
# where $\alpha$ pays for capturing the activations, once for all seeds, and $\beta$ for starting a training.
# On an equal footing a step costs the same whatever is active. An L1 dictionary, as elsewhere in this book,
# is trained faster here as it grows sparse, so we measure the top-k kind, which computes every feature.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
root = lineage.root
model = load_model(store.opened(run / "models" / root))
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
texts = {domain: corpora.train_blocks(domain) for domain in lineage.reads(root)}
blocks = training_mixture(texts, 2 * sample_tokens)
width = Buffers(model, blocks[:1], lineage.site)[0].shape[1]


# %%
def measured(tokens, features, seeds):
    """Core-seconds of capturing the activations and training so many dictionaries on them."""
    begun = time.process_time()
    buffers = Buffers(
        model, blocks[: tokens // (context - 1) + 1], lineage.site, precision=precision
    )
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            train_sae(
                buffers,
                Path(folder) / str(seed),
                architecture="topk",
                k=32,
                l1_coefficient=0.0,
                expansion=features // width,
                train_tokens=tokens,
                batch_tokens=512,
                learning_rate=1e-3,
                seed=seed,
                precision=precision,
            )
    return time.process_time() - begun


# %% [markdown]
# The smaller runs fit the constants, the larger ones are to be foretold. We count core-seconds and not
# seconds, because other programs on the machine take time but little of a core's work. The constants can't
# be negative, and relative errors count alike, so we divide by what was measured.

# %%
n = sample_tokens
fitted = [
    (n // 4, 2 * width, 1),
    (n // 2, 2 * width, 1),
    (n // 4, 8 * width, 2),
    (n // 2, 8 * width, 1),
]
foretold = [(n, 8 * width, 1), (n, 4 * width, 2), (2 * n, 12 * width, 1)]


def terms(tokens, features, seeds):
    return np.array([tokens, seeds, seeds * tokens, seeds * tokens * features], float)


measured(*fitted[0])  # what is loaded or compiled once is paid here
paid = np.array([measured(*size) for size in fitted])
design = np.array([terms(*size) for size in fitted]) / paid[:, None]
scale = design.max(axis=0)
constants = nnls(design / scale, np.ones(len(paid)))[0] / scale


ASKED = 0.3  # an estimate may be off by this share


def cost(tokens, features, seeds):
    """Core-seconds by the model."""
    return float(constants @ terms(tokens, features, seeds))


# %% tags=["remove-input"] jupyter={"source_hidden": true}
checked = pd.DataFrame(foretold, columns=["tokens", "features", "seeds"])
checked["foretold"] = [cost(*size) for size in foretold]
checked["measured"] = [measured(*size) for size in foretold]
checked["off by"] = checked["foretold"] / checked["measured"] - 1
figure, axes = style.single(3.0)
axes.loglog(paid, [cost(*size) for size in fitted], "o", mfc="none", color="grey", label="fitted")
axes.loglog(checked["measured"], checked["foretold"], "s", color="black", label="foretold")
ends = [paid.min() / 2, checked["measured"].max() * 2]
axes.fill_between(
    ends, [(1 - ASKED) * x for x in ends], [(1 + ASKED) * x for x in ends], alpha=0.2, lw=0
)
axes.set(xlabel="measured (core-seconds)", ylabel="by the model (core-seconds)")
axes.legend()
show(
    figure,
    "Core-seconds by the cost model against measured ones. The band is "
    f"{percent(ASKED)} wide on either side; squares were foretold from the circles.",
    "fig-cost-model",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
worst = checked["off by"].abs().max()
say(
    f"The dictionaries read {label(root)}'s activations, {count(width)} wide. The worst of the three is off "
    f"by {percent(worst)}, "
    + (
        f"within the {percent(ASKED)} that we ask of an estimate."
        if worst < ASKED
        else f"more than the {percent(ASKED)} that we ask of an estimate: on a machine as busy as this one, "
        "or at sizes as small, read what follows as an order of magnitude."
    )
)

# %% [markdown]
# ## Another machine
#
# The constant $\delta$ is what this machine needs for a token and a feature. By the count above that is
# $12\,d$ operations, which gives its speed. For a graphics card we take the maker's numbers, from NVIDIA's
# data sheet of the H100 (SXM): operations a second in bfloat16, without sparsity, and memory. Which share
# of that peak is reached is an assumption; change it below.

# %%
OPERATIONS = 12  # a token, feature and unit of width
PEAK, REACHED, CARD = 989e12, 0.4, 80e9  # data sheet; our assumption; data sheet, bytes
this_core = OPERATIONS * width / constants[3] if constants[3] else np.nan  # operations a second
MACHINES = pd.DataFrame(
    {  # operations a second; bytes of what holds a model or a dictionary; processor cores
        "speed": [8 * this_core, REACHED * PEAK, 64 * REACHED * PEAK],
        "memory": [16e9, CARD, CARD],
        "cores": [8, 16, 64 * 16],
    },
    index=["laptop (8 cores like ours)", "one H100", "64 H100"],
)
WANTED = {
    "weights": 7e9,
    "d": 4096,  # width of the residual stream
    "features": 131_072,
    "tokens": 500e6,  # that a dictionary reads
    "models": 4,  # a parent, two fine-tunes, a merge
    "seeds": 2,  # dictionaries a model
    "positions": 1e6,  # on which features are compared
    "draws": 200,  # of the bootstrap
    "l0": 64,  # active features a token
}

# %% [markdown]
# Activations are captured once for all seeds of a model if they can be kept, and else again for each.
# Two dictionaries are matched by going through the products of all their pairs of features, draw by draw;
# that is the processor's work, so we measure it here, too.

# %%
rng = np.random.default_rng(0)
acts = sparse.random(1000, 3000, 0.01, "csr", dtype=np.float32, rng=rng)
correlations(acts, acts)  # compiled here
begun = time.process_time()
correlations(acts, acts)
pairs_a_second = acts.shape[1] ** 2 / (time.process_time() - begun)


def hours(machine, wanted=WANTED):
    """Hours of capture, dictionaries and matching."""
    w, speed = wanted, MACHINES.loc[machine, "speed"]
    kept = 2 * w["d"] * w["tokens"] <= KEPT_BYTES
    reads = w["models"] * (1 if kept else w["seeds"])
    edges = w["models"] + 1  # each model with its parents, the merge also with the root
    compared = edges * w["seeds"] ** 2 * w["draws"] * w["features"] ** 2
    return {
        "capture": reads * 2 * w["weights"] * w["tokens"] / speed / 3600,
        "dictionaries": w["models"]
        * w["seeds"]
        * OPERATIONS
        * w["d"]
        * w["features"]
        * w["tokens"]
        / speed
        / 3600,
        "matching": compared / pairs_a_second / MACHINES.loc[machine, "cores"] / 3600,
    }


def memory(w=WANTED):
    """Bytes of what one device must hold, each on its own."""
    return {
        "the model in bfloat16": 2 * w["weights"],
        "a dictionary, its gradient and Adam's two means in float32": 16
        * 2
        * w["d"]
        * w["features"],
        "one model's activations for its other seeds": 2 * w["d"] * w["tokens"],
        "a dictionary's activations on the text compared": 8 * w["positions"] * w["l0"],
    }


# %% tags=["remove-input"] jupyter={"source_hidden": true}
taken = pd.DataFrame({machine: hours(machine) for machine in MACHINES.index})
figure, axes = style.single(3.0)
for mark, (stage, row) in zip("os^", taken.iterrows(), strict=True):
    axes.semilogx(row, row.index, mark, label=stage)
axes.set(xlabel="hours")
axes.legend()
show(
    figure,
    f"Hours for {WANTED['models']} models of {number(WANTED['weights'] / 1e9, 0)} thousand million weights and "
    f"dictionaries of {count(WANTED['features'])} features, by what they are spent on.",
    "fig-cost-large",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
room = MACHINES.loc["one H100", "memory"]
held = pd.Series(memory()).sort_values(ascending=False)
table = pd.DataFrame({"what": held.index, "GB": [*held / 1e9], "share of one H100": [*held / room]})
show_table(table, {"GB": ",.1f", "share of one H100": ",.1%"})

# %% tags=["remove-input"] jupyter={"source_hidden": true}
total = taken.sum()
say(
    f"In all that is {number(total['laptop (8 cores like ours)'] / 24 / 365, 1)} years of a laptop, "
    f"{number(total['one H100'] / 24, 1)} days of one H100, or {number(total['64 H100'], 1)} hours of 64.",
    f"**The assumption that breaks first** is that we keep {held.index[0]}: {count(held.iloc[0] / 1e9)} GB, "
    f"{number(held.iloc[0] / room, 1)} times what the card holds. This book keeps at most "
    f"{number(KEPT_BYTES / 1e9, 1)} GB and captures the rest again for each seed, which the hours above "
    "include. Next come tensors that must be divided over cards, which it doesn't do.",
)

# %% [markdown]
# ## How to get there
#
# Each chapter is a job, and a job that is killed goes on from what it finished. `profiles/cluster/` hands
# them to Slurm, to Kubernetes, or to any scheduler through a script of two lines, from the same
# `Snakefile`: `snakemake --profile profiles/cluster/slurm --config profile=paper`. Jobs find each other's
# artefacts as files, so all machines need to see one folder. With `device: auto` in its profile each job
# computes on the graphics card of its machine, if there is one; `processes: 4` trains a language model on
# four of them. Features on many millions of positions are correlated in blocks of
# `tracking.block_positions`, each a job, whose sums add up to the same digits.
#
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
largest = taken["one H100"].idxmax()
say(
    f"Small trainings foretell larger ones to {percent(worst)}. At {number(WANTED['weights'] / 1e9, 0)} thousand "
    f"million weights most of the hours of one card go into {largest}. What outgrows a card first is "
    f"{held.index[0]}. *What comes next*: [what this run reached](status)."
)

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# How many GB do a dictionary of 32,768 features and what is needed to train it take, at the same width?
# Count weights of encoder and decoder, four numbers each (weight, gradient, two means), four bytes a number.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
smaller = memory(WANTED | {"features": 32_768})
right_bytes = smaller["a dictionary, its gradient and Adam's two means in float32"] / 1e9

# %%
answer = ...  # GB
check(answer, right_bytes)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
weights = 2 * 4096 * 32_768
answer = weights * 4 * 4 / 1e9
check(answer, right_bytes)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# How many times as long would one H100 need for the dictionaries alone with three seeds and twice as many
# features?
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
more = hours("one H100", WANTED | {"seeds": 3, "features": 2 * WANTED["features"]})
right_ratio = more["dictionaries"] / taken.loc["dictionaries", "one H100"]

# %%
answer = ...  # a ratio
check(answer, right_ratio)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = 3 / 2 * 2
check(answer, right_ratio)
