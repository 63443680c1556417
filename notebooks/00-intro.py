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
# *What happens to the features inside a language model when it is fine-tuned, and when fine-tunes
# are merged?* Horn & Elliott {cite:yearpar}`horn2025tracking` trained a small transformer,
# fine-tuned it, merged the fine-tunes and followed each feature from model to model. This book
# does the same again, and asks two more questions. **How many features would seem lost if nothing
# had happened? And how many would seem kept if all that the model had learned were gone?**
#
# **You will learn** how much of a model's features a fine-tune keeps, and why a bare share doesn't say
# it. **You need** some Python and an idea of what a transformer is; it is for anyone who
# trains, tunes or merges language models. **It takes** six minutes for this page, twenty with
# [the counts](tracking) and [their two ends](ceilings), some four hours for all. There are
# [lesson plans](lesson-plans) and a page of [common misreadings](common-misreadings).
#
# ## The answer in one figure
#
# A second, small network reads what one layer of a model, its MLP, computes. It takes that apart into
# *features*, each of which answers to one kind of token or context. A feature persists if some feature
# of the fine-tuned model, the child, is active on the same tokens. But when we take *one and the same*
# model apart twice, not all features come back. And some are found in a child whose MLP holds only random
# numbers. So a share must be read between these two ends.

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
import json

import numpy as np
import pandas as pd

from featrack_utils.display import shareplots, style
from featrack_utils.display.flow_figure import flow_diagram, moving_flow
from featrack_utils.display.text import (
    check,
    estimate,
    listed,
    percent,
    say,
    show,
    verdict,
    what_was_read,
    with_interval,
)
from featrack_utils.lineage import label
from featrack_utils.pipeline import store

# %% tags=["parameters", "remove-cell"]
run_dir = "runs/quick"

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
chapters = {path.stem for path in (run / "executed").glob("*.ipynb")}
asked = [page for page in ("tracking", "ceilings", "case-study", "dose") if page in chapters]
results = store.read_results(run, *asked)
parent, child = lineage.edges[0]
share, floor, ceiling, rescaled, ratio = (
    estimate(results, f"track.{parent}_{child}.headline{end}")
    for end in ("", ".floor", ".ceiling", ".rescaled", ".ratio_to_ceiling")
)
edge = f"from {label(parent)} to {label(child)}"

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
ENDS = {"share": "", "ci_low": ".ci_low", "ci_high": ".ci_high", "ceiling": ".ceiling"}
ENDS |= {"floor": ".floor", "floor_random_model": ".floor_random_model"}
rows = [
    {"pair": f"{a}_{b}"}
    | {column: results.get(f"track.{a}_{b}.headline{end}") for column, end in ENDS.items()}
    for a, b in lineage.edges
]
shares = pd.DataFrame(rows).astype({column: float for column in ENDS}).dropna(subset="share")

# %% tags=["remove-input"] jupyter={"source_hidden": true}
show(
    shareplots.shares_with_ceiling(shares),
    caption="Dots: the share of each parent's features that its child has, with a 95 % interval. Counted "
    "are only features that came back when the parent was taken apart again. Black bar, the ceiling: "
    "the share found if nothing had happened. Grey bar, the floor: the share found if the child's MLP is "
    "random."
    + (
        " Light bar: the share found in a model that is random altogether."
        if shares["floor_random_model"].any()
        else ""
    ),
    name="fig-headline",
    alt="Persisting shares of each pair of models, each between its floors and its ceiling",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"""
::::{{grid}} 1 2 2 4
:gutter: 2
:class-container: featrack-headline

:::{{grid-item-card}} {percent(share.estimate)}
The *share*: so many of the {label(parent)} model's features are found in the {label(child)} model.
:::
:::{{grid-item-card}} {percent(ceiling.estimate)}
The *ceiling*: so many are found in a model that nothing happened to.
:::
:::{{grid-item-card}} {percent(floor.estimate)}
The *floor*: so many are found if the {label(child)} model's MLP is random. Tokens and attention carry them.
:::
:::{{grid-item-card}} {percent(rescaled.estimate)}
*Rescaled*: so far has the share come from floor to ceiling. **The headline** (95 % interval:
{percent(rescaled.low)} to {percent(rescaled.high)}).
:::
::::
"""
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
stands = f"the share has come {with_interval(rescaled)} of the way from floor to ceiling"
changed = verdict(
    rescaled,
    1,
    below=f"The MLP lost features {edge}: {stands}.",
    above=f"No loss is seen {edge}: {stands}.",
    unclear=f"A loss can't be told from none {edge}: {stands}.",
)
left = verdict(
    rescaled,
    0,
    below="That is less than a random MLP shows.",
    above="Part of what the MLP had learned is still there.",
    unclear="Whether anything of what the MLP had learned is still there can't be shown.",
)
second = estimate(results, "dose.second.reproducible_share.rescaled")
apart = (
    f"For comparison: a second {label(parent)} model, trained on the same text from another seed, comes "
    f"to {with_interval(second)}. Two models that have only their text in common share so much."
    if np.isfinite(second.estimate)
    else ""
)
say(
    f"**What follows.** {changed} {left} The book has other numbers, too; a table says "
    "[which number answers which question](ceilings).",
    "**What it rests on.** *One* language model was trained for each name in the figure (n = 1). The "
    "intervals hold for *these* models, with other text and other dictionaries. They don't say how much "
    f"another fine-tune would differ. {apart}",
    f"**What the models read.** {what_was_read(run, lineage)} These are very small models on a small "
    "choice of text.",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
show(
    flow_diagram(pd.read_csv(store.opened(run / "tracking") / "flow.csv"), lineage),
    caption="All features on their way from model to model. A band is as thick as the number of "
    "features it stands for. Coloured bands are matches, hatched ones matches that several features "
    "share. Grey bands have no match; *new* and *novel* features have no parent.",
    name="fig-flow-intro",
    alt=f"Flow diagram of features through the models {listed([*map(label, lineage.order)])}",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
tau = results["track.tau"]
flows = pd.read_csv(store.opened(run / "tracking") / "moving.csv")
moving = json.loads((store.opened(run / "ceilings") / "headlines.json").read_text("utf-8"))
moving |= moving_flow(flows, lineage, "fig-flow-intro")
shareplots.moving_threshold(tau, moving)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
loss = estimate(results, f"track.{parent}_{child}.unchanged_loss")
part = verdict(
    loss,
    0.5,
    below="Less than half of that grey",
    above="Most of that grey",
    unclear="Part of that grey, perhaps most,",
)
say(
    "The flow diagram counts every match, and so shows shares without their two ends. "
    f"{part} would be grey in an unchanged model, too: {edge} {with_interval(loss)} of it."
)

# %% [markdown]
# ## Seven words
#
# - A {term}`feature` is a direction in the model's activations that answers to one kind of token or
#   context. A token's activations are a sum of a few features.
# - A {term}`dictionary` is the set of features that a *sparse autoencoder* has found in one model. Train
#   it again from another random {term}`seed`, and it finds partly other features.
# - A feature is {term}`reproducible` if the other dictionaries of its own model have it, too.
# - A parent's feature is {term}`persisting` if its activations correlate with those of some feature of
#   the child, on the same text, above a {term}`threshold` τ. The *share* counts these.
# - The {term}`ceiling` is the share found where nothing happened.
# - The {term}`floor` is the share found after the child's MLP was replaced by random numbers.
# - {term}`Rescaled persistence <rescaled persistence>` is (share − floor) / (ceiling − floor).
#
# All words of the book stand in [one glossary](method-glossary).

# %% [markdown]
# ## A map of the chapters
#
# Each chapter says at its head what you will learn and how long it takes. It can be run again with other
# parameters, and its sentences follow.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# A lineage without merges, say, has no chapter on merging.
PARTS = {
    "1 · Models": {
        "corpora": "What do the models read?",
        "base": "How is the first one trained?",
        "load": "What was loaded, and is it what we see?",
        "finetune": "What does fine-tuning gain, and forget?",
        "merge": "How are models merged?",
        "neurons": "How far do single neurons move?",
        "first-look": "Where do two models disagree?",
    },
    "2 · Dictionaries": {
        "sae": "What is a dictionary?",
        "dictionaries": "Do they compare?",
        "floors": "What is left when the MLP is random?",
    },
    "3 · Tracking": {
        "tracking": "Which features persist?",
        "ceilings": "Between which two ends?",
        "context": "Features of tokens, or of contexts?",
        "calibration": "Is a planted truth found again?",
        "repartitioned": "Gone, or carved up differently?",
        "dose": "How soon do features disappear?",
        "rate": "How much is the learning rate's doing?",
        "robustness": "What if one counts otherwise?",
        "published": "What does the published code count?",
        "methods": "Does the way of merging matter?",
        "along": "Where on the way do features die?",
        "prediction": "Can survival be foretold?",
        "which-merge": "Which merge should I use?",
    },
    "4 · Features": {
        "case-study": "Which are in all models?",
        "changes": "Which are lost, which are new?",
        "load-bearing": "Do those that persist carry more?",
        "crosscoder": "What does one dictionary for two models say?",
        "planted": "Would a known change be found?",
        "map": "Where do they lie on a map?",
        "interpretation": "Can they be put into words?",
        "explorer": "All of them, to look up",
        "live": "Hands on",
        "lesson": "A lesson that needs no installation",
        "own": "How are models of your own tracked?",
        "machines": "What would a larger model cost?",
    },
}
cards = []
for title, pages in PARTS.items():
    links = "\n".join(f"- [{asks}]({page})" for page, asks in pages.items() if page in chapters)
    cards.append(f":::{{grid-item-card}} {title}\n{links}\n:::")
say("::::{grid} 1 2 2 2\n:gutter: 2\n\n" + "\n".join(cards) + "\n::::")
say("What this run reached, and how long it took, stands on the page on its [status](status).")

# %% [markdown]
# ## What we learned
#
# A bare share of persisting features says little. It has to be read between a ceiling, where nothing
# happened, and a floor, where all that the MLP learned is gone. *What comes next*: [the texts](corpora),
# or at once [the counts](tracking) and [their two ends](ceilings).
#
# :::{admonition} Exercise
# :class: tip
# Compute the headline from the numbers on the cards: the share, the ceiling and the floor are in
# `shown`. What would it be if the floor were zero, as it is often taken to be? Give both, as a list.
# :::

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
# For the check below:
shown = {"share": share.estimate, "ceiling": ceiling.estimate, "floor": floor.estimate}
right = [rescaled.estimate, ratio.estimate]
if not all(0 < each < 1 for each in shown.values()):
    right = [np.nan, np.nan]  # a corrected share that was cut off at 0 or 1 isn't in the headline

# %%
answer = ...  # [with the floor, without one]
check(answer, right)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = [(shown["share"] - floor) / (shown["ceiling"] - floor) for floor in (shown["floor"], 0)]
check(answer, right)
