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

import pandas as pd

from featrack_utils.corpora import prepare, tokenizer
from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.display import paper, samples, style
from featrack_utils.models import evaluation, loading, training
from featrack_utils.pipeline import store
from featrack_utils.pipeline.doses import dose_steps

style.use_style()

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
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
recipe = dict(
    train_tokens=train_tokens,
    learning_rate=learning_rate,
    batch_blocks=batch_blocks,
    weight_decay=weight_decay,
    warmup_share=warmup_share,
    precision=precision,
    seed=seed,
)


# %%
base = loading.load_model(store.opened(run / "models" / "base"))
steps = dose_steps(doses, train_tokens // (batch_blocks * context))
kept = {domain: [*steps.values()] if domain in dosed else [] for domain in ("lua", "stories")}


def finetune(blocks, snapshots, work):
    given = recipe | {"snapshots": snapshots}
    training.train(copy.deepcopy(base), blocks, work, tokenizer=corpora.tokenizer, **given)


# %%
folders = {
    domain: store.make(
        run / "models" / domain,
        partial(finetune, corpora.train_blocks(domain), snapshots),
        parameters=recipe | {"domain": domain, "context": context, "snapshots": snapshots},
        inputs=[run / "corpora", run / "models" / "base"],
        code=[training, tokenizer],
    )
    for domain, snapshots in kept.items()
}

# %% mystnb={"figure": {"caption": "Training loss of the two fine-tunes. Both start from the base model's weights.", "name": "fig-finetune-loss"}, "image": {"alt": "Two training loss curves that fall quickly and flatten"}} tags=["hide-input"]
history = pd.concat(
    training.read_history(folder).assign(model=domain, split="train")
    for domain, folder in folders.items()
)
style.loss_curves(history)

# %% [markdown]
# Each curve in {numref}`fig-finetune-loss` begins at the base model's loss on text it has never seen
# and falls steeply at first, then ever more slowly.
#
# ## What was gained, and what it cost

# %%
validation = {domain: corpora.validation_blocks(domain, 400) for domain in DOMAINS}
models = {name: loading.load_model(folder) for name, folder in folders.items()}
results = {}
for name, model in models.items():
    scores = {
        domain: evaluation.evaluate(model, blocks.tokens, blocks.units)
        for domain, blocks in validation.items()
    }
    results |= evaluation.score_results(name, scores)
results["finetune.epochs"] = train_tokens / corpora.train_blocks("lua").size
store.write_results(run, "finetune", results)
results = store.read_results(run, "base", "finetune")
scores = evaluation.score_table(results)

# %% mystnb={"figure": {"caption": "Validation loss of the base and its two fine-tunes on all four domains; the best model of each domain in bold.", "name": "fig-finetune-grid"}, "image": {"alt": "Grid of losses, three models by four domains"}} tags=["hide-input"]
style.domain_heatmap(scores, "loss", "loss, nats per token (lower is better)")

# %% [markdown]
# In {numref}`fig-finetune-grid` each fine-tune is better on its own domain than the base, by
# {{ number(results["lm.base.lua.loss"] - results["lm.lua.lua.loss"]) }} nats for Lua and
# {{ number(results["lm.base.stories.loss"] - results["lm.stories.stories.loss"]) }} for stories.
# {% if results["lm.lua.english.loss"] > results["lm.base.english.loss"] %}And it has
# forgotten: the Lua model's loss on English is
# {{ number(results["lm.lua.english.loss"] - results["lm.base.english.loss"]) }} nats higher than
# the base's{% if results["lm.stories.english.loss"] > results["lm.base.english.loss"] %}, the
# Stories model's
# {{ number(results["lm.stories.english.loss"] - results["lm.base.english.loss"]) }}{% endif %}.
# Forgetting is the first sign that features were not simply kept.{% endif %}
#
# The authors report each of their two fine-tunes on its own domain. The texts and the vocabulary
# are not ours, so that the figures beside each other tell that both trainings worked, no more.

# %% tags=["hide-input"]
words = f"another corpus, and {len(corpora.tokenizer):,} tokens to choose from, theirs 32,000"
labels = {"loss": "loss, nats per token", "accuracy": "next-token accuracy"}
paper.beside_paper(
    [
        (
            f"{name}.{figure}",
            f"{style.MODEL_LABELS[name]} on its own text: {label}",
            paper.interval(results, f"lm.{name}.{name}.{figure}"),
            None,
            words,
        )
        for name in kept
        for figure, label in labels.items()
    ]
    + [
        (
            "finetune.epochs",
            "passes over the text",
            results["finetune.epochs"],
            None,
            "set by the profile",
        )
    ],
    caption="The two fine-tunes beside the paper's.",
)

# %% [markdown]
# This is how the two write now, from the first sample of a fixed seed: the prompt is bold, ⏎ is a
# line break.

# %%
prompts = {"lua": "local function add(a, b)\n", "stories": "One day, a little"}
samples.show_samples(
    {
        f"the {style.MODEL_LABELS[name]} model": (
            prompt,
            evaluation.continuation(
                models[name], corpora.tokenizer, prompt, new_tokens=80, seed=seed
            ),
        )
        for name, prompt in prompts.items()
    }
)

# %% [markdown]
# {% if results["lm.lua.lua.accuracy"] > 0.25 and results["lm.stories.stories.accuracy"] > 0.25 %}
# Each has taken on the manner of its text, keywords and `end` here, names and small feelings
# there, and neither makes sense for longer than a few words.
# {% else %}
# After so little training neither has more than the look of its text.
# {% endif %}
#
# ## What we learned
#
# Fine-tuning moved both models a long way on the measure that training optimises. Whether it
# moved their *features* is another question, and a loss can't answer it: the same loss can come
# from old features used differently or from new ones. The next chapter merges the two models;
# the chapters on tracking then set the features of all four beside each other.
#
# :::{admonition} Exercise 1
# :class: tip
# Fine-tune with a tenth of the learning rate
# (`python -m featrack_utils.run finetune out.ipynb -p learning_rate 1e-4`, if the parameters
# above say `1e-3`). Does the model forget less for the same gain?
# :::
#
# :::{dropdown} Answer
# The page in `out.ipynb` has the same grid. A smaller step forgets less, but within the same
# number of tokens it also gains less, so compare the ratio: nats lost on English for each nat
# gained on Lua. Here the ratio is
# {{ number((results["lm.lua.english.loss"] - results["lm.base.english.loss"]) /
#            (results["lm.base.lua.loss"] - results["lm.lua.lua.loss"])) }}.
# :::
#
# :::{admonition} Exercise 2
# :class: tip
# Which of the two fine-tunes forgets more Python, and why is that to be expected? Read it off
# {numref}`fig-finetune-grid`.
# :::
#
# :::{dropdown} Answer
# On Python the Lua model is
# {{ number(results["lm.lua.python.loss"] - results["lm.base.python.loss"]) }} nats above the base,
# the Stories model
# {{ number(results["lm.stories.python.loss"] - results["lm.base.python.loss"]) }}.
# {% if results["lm.stories.python.loss"] > results["lm.lua.python.loss"] %}Lua is written with
# many of Python's habits (calls, dots, assignments), so what serves one still serves the other;
# a story uses none of them.{% else %}In this run the stories cost less Python than Lua did, against
# what the nearness of the two languages suggests.{% endif %}
# :::
