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
# # Fine-tuning
#
# The base model now goes on to other text. {cite:t}`horn2025tracking` tune one copy on **Lua**, a
# language close to Python in what it says and far from it in how it says it, and another on the
# **stories** for small children of {cite:t}`eldan2023tinystories`. The question of this book is what
# happens to the base's features on the way. This chapter makes sure that something did.
#
# **You will learn** what a fine-tune gains on its own text, what it forgets of the rest, and why its
# learning rate matters. **You need** [the chapter before](base). **It takes** five minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from functools import partial

import numpy as np
import pandas as pd

from featrack_utils.corpora import prepare, tokenizer
from featrack_utils.display import paper, shading, style, training_figures
from featrack_utils.display.text import check, count, estimate, listed, number, percent, say, show
from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import label
from featrack_utils.models import evaluation, loading, training
from featrack_utils.pipeline import store
from featrack_utils.pipeline.profile import dose_steps

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the order of the text; paper: 1337
precision = "auto"  # bfloat16 where the machine multiplies it faster
context = 128  # tokens; paper: 256
train_tokens = 800_000  # for each fine-tune; paper: 1 epoch
learning_rate = 1e-4  # a thirtieth of the base model's, as in the paper: 2e-5
batch_blocks = 32  # blocks of `context` tokens a step; paper: 64
weight_decay = 0.01  # as published
warmup_share = 0.05  # of the steps; paper: 500 steps
doses = [0.03, 0.3]  # shares of the steps after which the weights are kept
dosed = ["lua"]  # whose weights are kept on the way

# %% tags=["hide-input"]
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
tuned = lineage.tuned
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
parent_of = {model: lineage.parents(model)[0] for model in tuned}
for model, parent in parent_of.items():
    if "merge" in lineage.models[parent]:
        raise FeatrackError(
            f"models.{model} is tuned from the merge {parent}, but merges are made last; tune it "
            f"from one of {', '.join(m for m in lineage.order if m not in lineage.merges)}."
        )

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    "In this run there are these fine-tunes: "
    + "; ".join(
        f"**{label(model)}**, from {label(parent_of[model])}, on "
        f"{listed([*map(label, lineage.trained_on(model))])}"
        for model in tuned
    )
    + "."
)

# %% [markdown]
# ## Training them
#
# Each fine-tune starts from the weights of its parent and sees the same number of tokens in the
# same number of steps, so that none has had more opportunity to move than another. Weights are
# kept on the way, too, for [the chapter on doses](dose).

# %%
recipe = dict(
    train_tokens=train_tokens,
    learning_rate=learning_rate,
    batch_blocks=batch_blocks,
    weight_decay=weight_decay,
    warmup_share=warmup_share,
    precision=precision,
    seed=seed,
)
steps = dose_steps(doses, train_tokens // (batch_blocks * context))
texts = {
    model: np.concatenate([corpora.train_blocks(d) for d in lineage.trained_on(model)])
    for model in tuned
}


def finetune(model, given, work):
    weights = loading.load_model(run / "models" / parent_of[model])
    training.train(weights, texts[model], work, tokenizer=corpora.tokenizer, **given)


# %%
folders = {}
for model in tuned:
    given = recipe | {"snapshots": [*steps.values()] if model in dosed else []}
    folders[model] = store.make(
        run / "models" / model,
        partial(finetune, model, given),
        parameters=given | {"domains": [*lineage.trained_on(model)], "context": context},
        inputs=[run / "corpora", run / "models" / parent_of[model]],
        code=[training, tokenizer],
        resumes=True,
    )

# %% tags=["hide-input"]
history = pd.concat(
    pd.read_csv(folder / "history.csv").assign(model=model, split="train")
    for model, folder in folders.items()
)
show(
    training_figures.loss_curves(history),
    caption="Training loss of the fine-tunes. Each starts from its parent's weights.",
    name="fig-finetune-loss",
    alt="Training loss curves that fall quickly and flatten",
)

# %% [markdown]
# Each curve in {numref}`fig-finetune-loss` begins at the parent's loss on the new text and falls steeply
# at first, then ever more slowly.
#
# ## What was gained, and what it cost
#
# Every model is measured on every {term}`domain`, on text that none of them has trained on.

# %%
validation = {domain: corpora.validation_blocks(domain, 400) for domain in lineage.domains}
models = {model: loading.load_model(folder) for model, folder in folders.items()}
root = lineage.root
remembered, figures = {}, {}
for model in tuned:
    scores = evaluation.evaluate_each(models[model], validation)
    own = evaluation.pooled(*(scores[d] for d in lineage.trained_on(model)))
    remembered[model] = evaluation.pooled(*(scores[d] for d in lineage.trained_on(root)))
    figures |= evaluation.score_results(f"lm.{model}", scores | {"own": own})

# %%
for model in tuned:
    held_out = np.concatenate([validation[d].tokens for d in lineage.trained_on(model)])
    alone = evaluation.unigram_loss(texts[model], held_out, len(corpora.tokenizer))
    figures[f"lm.{model}.unigram_loss"] = alone
    figures[f"lm.{model}.epochs"] = train_tokens / texts[model].size
store.write_results(run, "finetune", figures)
before = ["base"] if root not in lineage.loaded else []
before += ["load"] if lineage.loaded else []
results = store.read_results(run, *before, "finetune")

# %% tags=["hide-input"]
table = evaluation.score_table(results, lineage.domains)
show(
    training_figures.domain_heatmap(table),
    caption="Validation loss of the base and its fine-tunes on every domain; the best model of "
    "each domain in bold.",
    name="fig-finetune-grid",
    alt="Grid of losses, models by domains",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
loss = table.set_index(["model", "domain"])["loss"]


def change(model, domain):  # nats above the parent
    return loss[model, domain] - loss[parent_of[model], domain]


gained = [
    f"{number(-change(model, d))} nats for {label(model)} on {label(d)}"
    for model in tuned
    for d in lineage.trained_on(model)
]
kept = lineage.trained_on(root)
lost = [
    f"on {label(d)} by {listed([f'{number(change(m, d))} ({label(m)})' for m in tuned])}"
    for d in kept
]
say(
    "By {numref}`fig-finetune-grid` the loss falls from parent to fine-tune on the text that is "
    f"trained on: {listed(gained)}.",
    f"On what the base was made for it changes, too: {listed(lost)}. A rise is forgetting, and "
    "forgetting is the first sign that features were not simply kept.",
)

# %% [markdown]
# How deep does forgetting go? The yardstick is again a model that knows only how common each token
# is. The {term}`root` had a lead over it. The share of that lead which a fine-tune has lost is
#
# $$\frac{L - L_\text{root}}{L_\text{counts} - L_\text{root}} ,$$
#
# with losses $L$ on the text that the root was trained on. At 1 it knows no more of it than token
# counts do.

# %%
before = results[f"lm.{root}.own.loss"]
lead = results[f"lm.{root}.unigram_loss"] - before
known = lead if lead > 0 else np.nan  # what the root didn't know can't be forgotten
forgotten = {model: (remembered[model].loss - before) / known for model in tuned}

# %% tags=["remove-input"] jupyter={"source_hidden": true}
gone = [f"{label(m)} has lost {percent(share)}" for m, share in forgotten.items()]
say(
    f"On {listed([*map(label, kept)])} together {label(root)} leads token counts by "
    f"{number(lead)} nats. Of that lead {listed(gone)}."
    if lead > 0
    else f"On {listed([*map(label, kept)])} together {label(root)} is no better than token counts "
    f"({number(-lead)} nats worse), so it has no lead that could be lost."
)

# %% [markdown]
# ## The learning rate
#
# How much is forgotten depends on the **learning rate**. The authors fine-tune at a thirtieth of the rate
# at which their base was trained. A fine-tune at a much higher rate is another experiment, and
# [a later chapter](rate) measures how much of the model it overwrites.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
base_rate = store.read_record(run / "models" / root)["parameters"].get("learning_rate", np.nan)
ratio = learning_rate / base_rate
theirs = paper.PAPER["finetune.learning_rate"].value / paper.PAPER["base.learning_rate"].value
SAME = 1.25  # times theirs at most
if np.isnan(ratio):
    say(
        f"At which rate {label(root)} was trained isn't known here, for it was loaded. So whether "
        "“fine-tuning” means in this run what it means in the paper can't be told."
    )
else:
    say(
        f"Here it is {number(ratio, 3)} times the root's, theirs {number(theirs, 3)} times. "
        + (
            "So “fine-tuning” means in this run what it means in the paper."
            if 1 / SAME < ratio / theirs < SAME
            else "So what this run says of fine-tuning is said of fine-tuning at another rate than the paper's."
        )
    )

# %% tags=["hide-input"]
words = f"another corpus, and {len(corpora.tokenizer):,} tokens to choose from, theirs 32,000"
of_base = f"{number(ratio, 3)} and {number(theirs, 3)} times the base's"
if np.isnan(ratio):
    of_base = f"of the base's not known, and {number(theirs, 3)} times"
rows = [("finetune.learning_rate", "learning rate", learning_rate, None, of_base)]
for model in tuned:
    named = f"{label(model)} on its own text: "
    for figure, text in {"loss": "loss, nats per token", "accuracy": "accuracy"}.items():
        name = f"{model}.{figure}" if f"{model}.{figure}" in paper.PAPER else None
        ours = estimate(results, f"lm.{model}.own.{figure}")
        spec = ".0%" if figure == "accuracy" else ".2f"
        rows.append((name, named + text, ours, None, words, spec))
    alone = results[f"lm.{model}.unigram_loss"]
    rows.append((None, named + "loss of token counts alone", alone, None, None, ".2f"))
paper.beside_paper(rows, caption="The fine-tunes beside the paper's.")

# %% [markdown]
# The authors report each of their fine-tunes on its own domain. The texts and the vocabulary are not
# ours, so that the figures beside each other tell that both trainings worked, no more.
#
# This is how the fine-tunes write now, from the first sample of a fixed seed. Each prompt begins the
# first validation text of the domain; it is bold, and ⏎ is a line break. Look for the manner of the
# text (keywords here, names and small feelings there), and for how soon the sense is lost.

# %%
written = {}
for model in tuned:
    domain = lineage.trained_on(model)[0]
    prompt = evaluation.opening(corpora, domain)
    text = evaluation.continuation(
        models[model], corpora.tokenizer, prompt, new_tokens=80, seed=seed
    )
    written[f"{label(model)}, after the beginning of a text of {label(domain)}"] = (prompt, text)
shading.show_samples(written)

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
most = max(forgotten, key=forgotten.get)
rate = f"At {number(ratio, 2)} times the base's learning rate"
if np.isnan(ratio):
    rate = f"At a learning rate of {learning_rate:g}"
say(
    f"{rate}, {count(train_tokens)} tokens lowered the loss on the text trained on: {listed(gained)}. "
    + (
        f"The price is what the base knew: {label(most)} has lost {percent(forgotten[most])} of its lead "
        "over token counts. What is said of features in later chapters is said of this much forgetting."
        if lead > 0
        else "The base knew no more than token counts do, so there was nothing to forget."
    )
)

# %% [markdown]
# Whether fine-tuning moved their {term}`features <feature>` is another question, and a loss can't answer it. The same
# loss can come from old features used differently, or from new ones. The chapters on tracking set the
# features of all models beside each other. Before that, fine-tunes are [merged](merge).
#
# :::{admonition} Exercise 1
# :class: tip
# How many nats has the first fine-tune forgotten on the root's text for each nat that it gained on its own?
# Take means over domains. You need `loss[model, domain]`, `tuned[0]`, `root` and `lineage.trained_on(…)`.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
first = tuned[0]
parent = parent_of[first]
losses = loss.unstack()
price = -(losses.loc[first] - losses.loc[parent])[[*kept]].mean() / (
    (losses.loc[first] - losses.loc[parent])[[*lineage.trained_on(first)]].mean()
)

# %%
answer = ...  # nats forgotten for each nat gained
check(answer, price)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
lost_each = [loss[first, d] - loss[parent, d] for d in kept]
gained_each = [loss[parent, d] - loss[first, d] for d in lineage.trained_on(first)]
answer = np.mean(lost_each) / np.mean(gained_each)
check(answer, price)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# How often does the first fine-tune read its text? You need `train_tokens`, and for each domain that it is
# trained on `corpora.train_blocks(domain)`.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
passes = results[f"lm.{first}.epochs"]

# %%
answer = ...  # passes over the text
check(answer, passes)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
available = sum(corpora.train_blocks(d).size for d in lineage.trained_on(first))
answer = train_tokens / available  # below 1: it never sees all of it
check(answer, passes)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# Which fine-tune has forgotten most of each domain of the root, and is that what you would have
# expected? Read it off {numref}`fig-finetune-grid`.
# :::
#
# :::{dropdown} Answer
# A text that has much in common with the root's, as Lua has calls, dots and assignments in common with
# Python, should rehearse what the two share. A text that has little lets it fade.
# :::
