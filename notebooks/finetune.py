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
# # Two fine-tunes
#
# The base model now goes two ways. One copy reads **Lua**, a language close to Python in what it
# says and far from it in how it says it; the other reads **stories** for small children. Nothing
# else differs. {cite:t}`horn2025tracking` do the same with the TinyStories of
# {cite:t}`eldan2023tinystories` and Lua from public repositories. The question of this book is
# what happens to the base's features on the way; this chapter makes sure that something did.

# %%
import copy
from functools import partial
from pathlib import Path

import pandas as pd

from featrack_utils import evaluation, lm, plots, store, tokens
from featrack_utils.corpora import prepare
from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.doses import dose_steps

plots.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the order of the text; paper: 1337
precision = "auto"  # bfloat16 where the machine multiplies it faster
context = 128  # tokens; paper: 256
train_tokens = 800_000  # for each fine-tune; paper: 1 epoch
learning_rate = 1e-3  # paper: 2e-5, over many more steps
batch_blocks = 32  # blocks of `context` tokens a step; paper: 64
weight_decay = 0.01  # as published
warmup_share = 0.05  # of the steps; paper: 500 steps
doses = [0.01, 0.03, 0.1, 0.3]  # shares of the steps after which the weights are kept
dosed = ["lua"]  # whose weights are kept on the way

# %% [markdown]
# ## Training both
#
# Both start from the same weights and see the same number of tokens in the same number of steps,
# so neither has had more opportunity to move than the other. Weights are kept on the way, too, for
# [the chapter on doses](dose).

# %%
run = Path(run_dir)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
recipe = dict(
    train_tokens=train_tokens, learning_rate=learning_rate, batch_blocks=batch_blocks,
    weight_decay=weight_decay, warmup_share=warmup_share, precision=precision, seed=seed,
)  # fmt: skip


# %%
base = lm.load_model(store.opened(run / "models" / "base"))
steps = dose_steps(doses, train_tokens // (batch_blocks * context))
kept = {domain: [*steps.values()] if domain in dosed else [] for domain in ("lua", "stories")}


def finetune(blocks, snapshots, work):
    given = recipe | {"snapshots": snapshots}
    lm.train(copy.deepcopy(base), blocks, work, tokenizer=corpora.tokenizer, **given)


# %%
folders = {
    domain: store.make(
        run / "models" / domain,
        partial(finetune, corpora.train_blocks(domain), snapshots),
        parameters=recipe | {"domain": domain, "context": context, "snapshots": snapshots},
        inputs=[run / "corpora", run / "models" / "base"],
        code=[lm, tokens],
    )
    for domain, snapshots in kept.items()
}

# %% mystnb={"figure": {"caption": "Training loss of the two fine-tunes. Both start from the base model's weights.", "name": "fig-finetune-loss"}, "image": {"alt": "Two training loss curves that fall quickly and flatten"}} tags=["hide-input"]
history = pd.concat(
    lm.read_history(folder).assign(model=domain, split="train")
    for domain, folder in folders.items()
)
plots.loss_curves(history)

# %% [markdown]
# Each curve in {numref}`fig-finetune-loss` begins at the base model's loss on text it has never seen
# and falls steeply at first, then ever more slowly.
#
# ## What was gained, and what it cost

# %%
validation = {domain: corpora.validation_blocks(domain, 400).tokens for domain in DOMAINS}
models = {name: lm.load_model(folder) for name, folder in folders.items()}
results = {}
for name, model in models.items():
    scores = {domain: evaluation.evaluate(model, blocks) for domain, blocks in validation.items()}
    results |= evaluation.score_results(name, scores)
store.write_results(run, "finetune", results)
scores = evaluation.score_table(store.read_results(run, "base", "finetune"))

# %% mystnb={"figure": {"caption": "Validation loss of the base and its two fine-tunes on all four domains; the best model of each domain in bold.", "name": "fig-finetune-grid"}, "image": {"alt": "Grid of losses, three models by four domains"}} tags=["hide-input"]
plots.domain_heatmap(scores, "loss", "loss, nats per token (lower is better)")

# %% [markdown]
# In {numref}`fig-finetune-grid` each fine-tune is better on its own domain than the base, by
# {{ number(results["lm.base.lua.loss"] - results["lm.lua.lua.loss"]) }} nats for Lua and
# {{ number(results["lm.base.stories.loss"] - results["lm.stories.stories.loss"]) }} for stories.
# And each has forgotten: the Lua model's loss on English is
# {{ number(results["lm.lua.english.loss"] - results["lm.base.english.loss"]) }} nats higher than
# the base's. Forgetting is the first sign that features were not simply kept.

# %%
prompts = {"lua": "local function add(a, b)\n", "stories": "One day, a little"}
for name, prompt in prompts.items():
    text = evaluation.continuation(
        models[name], corpora.tokenizer, prompt, new_tokens=80, seed=seed
    )
    print(f"--- {name} ---\n{text}\n")

# %% [markdown]
# ## What we learned
#
# Fine-tuning moved both models a long way on the measure that training optimises. Whether it
# moved their *features* is another question, and a loss can't answer it: the same loss can come
# from old features used differently or from new ones. Next, we merge the two.
#
# :::{admonition} Exercise
# :class: tip
# Fine-tune with a tenth of the learning rate. Does the model forget less for the same gain?
# :::
#
# :::{dropdown} Answer
# `python -m featrack_utils.run finetune out.ipynb -p learning_rate 1e-4` prints the same grid.
# Compare the gain on the new domain with the loss on English: a smaller step forgets less, but
# at this budget it also gains less, so compare the ratio.
# :::
