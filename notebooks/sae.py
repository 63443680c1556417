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
# # Learning one dictionary
#
# A neuron of the MLP answers to many unrelated things. A *sparse autoencoder* rewrites the same
# activations as a sum of few directions out of many, in the hope that each answers to one thing
# {cite:p}`bricken2023monosemanticity,huben2024sparse`. Those directions are what this book
# calls **features**. This page trains one such dictionary; the run trains
# {{ count("sae.dictionaries") }} of them, every model with several seeds, by this same notebook.

# %%

import pandas as pd

from featrack_utils.corpora import prepare
from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.dictionaries import learning, quality
from featrack_utils.display import style
from featrack_utils.display.tables import show_table
from featrack_utils.pipeline import store

style.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
model = "base"  # whose activations: base, lua, stories or merged
sae_seeds = [0]  # one dictionary each: first weights and order of the text; paper: 1337 for all
precision = "auto"  # bfloat16 where the machine multiplies it faster
context = 128  # tokens; paper: 256
architecture = "standard"  # ReLU with L1, the paper's kind; or topk, batchtopk
expansion = 8  # features per MLP neuron; paper: 16
l1_coefficient = 2.2  # paper: 3e-4, on another scale (and ten times that for one of four)
k = 32  # active features a token; topk and batchtopk only
learning_rate = 1e-3  # paper: 1e-4
train_tokens = 600_000  # activations read
batch_tokens = 1024  # a step; paper: 128 blocks of 24 tokens
evaluation_blocks = 220  # validation blocks per domain, the same for every model

# %% [markdown]
# ## What is captured
#
# The hook `blocks.0.mlp.hook_post` of TransformerLens {cite:p}`nanda2022transformerlens` sits
# after the MLP's gate, just before its output matrix. The hook is there only while a batch
# passes; nothing stays on the model. The first position of each block is left out: it has no
# context, and its activations are unlike all others.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
subject = learning.subject(run, corpora, model)
seen = {domain: corpora.train_blocks(domain) for domain in prepare.TRAINED_ON[model]}
sizes = ", ".join(f"{len(blocks):,} of {domain}" for domain, blocks in seen.items())
print(f"{model} has seen these blocks of {context} tokens: {sizes}")

# %% [markdown]
# ## Training
#
# The activations are scaled to a mean norm of √d, so that one sparsity coefficient means the same
# for all four models. The loss is the squared error plus the coefficient times the L1 norm of the
# features, each weighted by the length of its decoder direction; at the end, every direction is
# scaled to length one and its feature to match {cite:p}`bloom2024saelens`.

# %%
recipe = dict(
    architecture=architecture,
    expansion=expansion,
    l1_coefficient=l1_coefficient,
    k=k,
    learning_rate=learning_rate,
    train_tokens=train_tokens,
    batch_tokens=batch_tokens,
    precision=precision,
)
names = {seed: f"{model}-{seed}" for seed in sae_seeds}
trained = [
    learning.train(run, name, subject, recipe | {"seed": seed}) for seed, name in names.items()
]

# %% mystnb={"figure": {"caption": "Sparsity and precision of one dictionary while it learns.", "name": "fig-sae-history"}, "image": {"alt": "Active features falling and variance explained rising during training"}} tags=["hide-input"]
history = pd.read_csv(trained[0] / "history.csv")
style.dictionary_history(history)

# %% tags=["remove-cell"]
falling = {"sae.history.max_l0": history["l0"].max(), "sae.history.last_l0": history["l0"].iloc[-1]}
if names == {0: "base-0"}:  # the page of the book, not one of its siblings
    store.write_results(run, "sae", falling)

# %% [markdown]
# {numref}`fig-sae-history` is the price of sparsity, followed through the training: while the
# coefficient warms up, the number of active features falls
# {{ number(results["sae.history.max_l0"] / results["sae.history.last_l0"], 0) }}-fold, from
# {{ number("sae.history.max_l0", 0) }} to {{ number("sae.history.last_l0", 0) }} a token, and the
# variance explained has to be won with what is left.
#
# ## Its features on the evaluation mix
#
# Every model reads the same validation blocks of all four domains, and its features on them are
# kept, sparse, for all that follows. The same pass measures how good the dictionary is.

# %%
measured = [learning.measure(run, name, subject, evaluation_blocks) for name in names.values()]

# %%
sums = quality.Sums.load(measured[0] / "sums.safetensors")
rows = [{"text": style.DOMAIN_LABELS[d], **quality.quality(sums, [d])._asdict()} for d in DOMAINS]
names = {
    "l0": "L0",
    "variance_explained": "variance explained",
    "ce_loss_score": "CE score",
    "dead_share": "dead",
    "dense_share": "dense",
}
show_table(
    pd.DataFrame(rows).drop(columns="density").rename(columns=names),
    {"L0": ".1f", "variance explained": ".3f", "CE score": ".3f", "dead": ".1%", "dense": ".1%"},
    caption="The first dictionary of this page on validation text of each domain.",
    notes={"L0": "active a token", "CE score": "1: all is kept", "dead": "on this text"},
)

# %% [markdown]
# Compare the rows of text that the model was trained on with the others: a dictionary describes a
# model *on a distribution*, and this is why every share in the later chapters is measured on a mix
# of all four domains.
#
# ## What we learned
#
# One dictionary, from one seed. It would be easy to take its features for the model's.
# [The next chapter](dictionaries) sets all dictionaries side by side;
# [the chapter on ceilings](ceilings) asks how many of the features would come back with another
# seed.
#
# :::{admonition} Exercise 1
# :class: tip
# Train a TopK dictionary instead (`-p architecture topk`). What happens to the share of dead
# features?
# :::
#
# :::{dropdown} Answer
# TopK fixes the number of active features a token, so L0 is `k` by construction; features that
# are never among the k largest get little gradient and die more easily than under L1.
# :::
#
# :::{admonition} Exercise 2
# :class: tip
# Double `l1_coefficient` and leave all else as it is. Which way do L0 and the variance explained
# go, and which of the two would you rather keep equal between two models?
# :::
#
# :::{dropdown} Answer
# `python -m featrack_utils.run sae out.ipynb -p l1_coefficient …`: both fall. L0 should be kept
# equal, if only one can be: a sparser dictionary has fewer, broader features, and a share of
# matches between two dictionaries of different sparsity measures the sparsity.
# :::
