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
# does the same again. Then it asks what they did not: **how many features would seem to be lost if
# nothing had happened at all, and how many would seem to be kept if all that was learned were gone?**
#
# **You will learn** how much of a model's features a fine-tune keeps, and how to tell such a number
# from an artefact. **You need** some Python and an idea of what a transformer is; it is for anyone who
# trains, tunes or merges language models. **It takes** ten minutes for this page, half an hour with
# [the counts](tracking) and [their two ends](ceilings), some four hours for all. There are
# [lesson plans](lesson-plans) and a page of [common misreadings](common-misreadings).

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
import numpy as np
import pandas as pd

from featrack_utils.display import shareplots, style
from featrack_utils.display.flow_figure import flow_diagram
from featrack_utils.display.text import (
    check,
    estimate,
    listed,
    number,
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
    caption="The headline. Dots: the share of each parent's reproducible features that its child has, "
    "with a 95 % interval. Grey bar, the floor: what the child would have if its MLP were random. Black "
    "bar, the ceiling: what an unchanged model would have."
    + (
        " Light bar: a model that is random altogether."
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
of the {label(parent)} model's reproducible features are in the {label(child)} model. The *share*.
:::
:::{{grid-item-card}} {percent(ceiling.estimate)}
would be if nothing had happened. The *ceiling*.
:::
:::{{grid-item-card}} {percent(floor.estimate)}
would be if its MLP were random numbers: tokens and attention alone carry them. The *floor*.
:::
:::{{grid-item-card}} {percent(rescaled.estimate)}
of the way from floor to ceiling: **the headline** (95 % interval: {percent(rescaled.low)} to
{percent(rescaled.high)}).
:::
::::
"""
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
stands = f"on that scale it keeps {with_interval(rescaled)}"
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
    above="So part of what the MLP had learned is still there.",
    unclear="Whether anything of what the MLP had learned is still there can't be shown.",
)
second = estimate(results, "dose.second.reproducible_share.rescaled")
apart = (
    f"A second {label(parent)} model, trained on the same text from another seed, comes to "
    f"{with_interval(second)}. So much two models share that have only their text in common."
    if np.isfinite(second.estimate)
    else ""
)
say(
    f"**What follows.** {changed} {left} [Which number answers which question](ceilings) says what the "
    "others are good for.",
    "**What it rests on.** *One* language model was trained for each name in the figure (n = 1). The "
    "intervals say how sure one can be about *these* models, given other text and other "
    f"dictionaries, and not how much another fine-tune would differ. {apart}",
    f"**What the models read.** {what_was_read(run, lineage)} These are very small models on a small "
    "choice of text.",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
show(
    flow_diagram(pd.read_csv(store.opened(run / "tracking") / "flow.csv"), lineage),
    caption="All features on their way from model to model, at the threshold "
    f"τ = {number(results.get('track.tau'), 1)}. A band is as thick as the number of "
    "features it stands for. Grey bands have no match. Hatched ones have one that isn't theirs "
    "alone: *fused* features share their child with a closer parent, *split* ones their parent "
    "with a closer child. *New* and *novel* ones have no parent.",
    name="fig-flow-intro",
    alt=f"Flow diagram of features through the models {listed([*map(label, lineage.order)])}",
)

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
    "The flow diagram counts every match, so it shows the share and neither of its ends. "
    f"{part} would be grey in an unchanged model, too: {edge} {with_interval(loss)} of it."
)

# %% [markdown]
# ## Seven words
#
# - A {term}`feature` is a direction in the model's activations that answers to one kind of thing, such
#   as the `=` of an assignment. A token's activations are a sum of a few features.
# - A {term}`dictionary` is all the features that a *sparse autoencoder* has found in one model. Train
#   it again from another random {term}`seed` and it finds partly other ones.
# - A feature is {term}`reproducible` if the other dictionaries of its own model have it, too.
# - A feature of a parent model is {term}`persisting` if its activations correlate above a
#   {term}`threshold` τ with those of some feature of the child, on the same text.
# - The {term}`ceiling` is the share found where nothing happened.
# - The {term}`floor` is the share found after the child's MLP was replaced by random numbers.
# - {term}`Rescaled persistence <rescaled persistence>` is (share − floor) / (ceiling − floor).
#
# All words have [one place](method-glossary).

# %% [markdown]
# ## A map of the chapters
#
# The chapters follow the experiment. Each says at its head what you will learn and how long it takes,
# and can be run again with other parameters: its sentences follow.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# A lineage without merges, say, has no chapter on merging.
PARTS = {
    "1 · Models": {
        "corpora": "texts",
        "base": "the first model",
        "finetune": "fine-tunes",
        "merge": "merging",
        "neurons": "neurons",
    },
    "2 · Dictionaries": {"sae": "one", "dictionaries": "all", "floors": "floors"},
    "3 · Tracking": {
        "tracking": "counts",
        "ceilings": "two ends",
        "context": "token or context",
        "calibration": "planted truths",
        "repartitioned": "probes",
        "dose": "step by step",
        "rate": "learning rate",
        "robustness": "other counts",
        "published": "the published code",
    },
    "4 · Features": {
        "case-study": "in all models",
        "changes": "lost and new",
        "planted": "planted",
        "map": "a map",
        "interpretation": "in words",
        "explorer": "explorer",
        "live": "hands on",
    },
}
cards = []
for title, pages in PARTS.items():
    links = " · ".join(f"[{words}]({page})" for page, words in pages.items() if page in chapters)
    cards.append(f":::{{grid-item-card}} {title}\n{links}\n:::")
say("::::{grid} 1 2 2 4\n:gutter: 2\n\n" + "\n".join(cards) + "\n::::")

# %% [markdown]
# And by question:

# %% tags=["remove-input"] jupyter={"source_hidden": true}
feature = results.get(f"case.assignment.{lineage.root}")
met = (
    "any of them in the [explorer](explorer)"
    if feature is None
    else f'<a href="explorer.html#{lineage.root}-{feature:.0f}">one of them</a> in the '
    "[explorer](explorer)"
)
# By the chapter that a line is about.
QUESTIONS = {
    "tracking": "**How many features persist?** [Count them](tracking), put the count "
    "[between its two ends](ceilings), and see [where the lower one comes from](floors).",
    "neurons": "**And without dictionaries?** [Neurons](neurons) are compared one by one.",
    "context": "**Which features persist, those of tokens or those of contexts?** "
    "[Token or context?](context)",
    "rate": "**How hard was the model pushed?** [The learning rate](rate) is a dose.",
    "dose": "**How soon do features go?** [Step by step](dose) through a fine-tune.",
    "planted": "**Would a known change be found?** Something is [planted](planted) in a fine-tune's "
    "text and looked for.",
    "calibration": "**Can the counting be trusted?** [Simulated truths](calibration) are found again, "
    "[other ways to count](robustness) are compared, and so is "
    "[what the published code measures](published).",
    "repartitioned": "**Gone, or only seen differently?** [Probes](repartitioned) look for features "
    "without a match in the model itself.",
    "changes": "**Which are lost, and which are new?** [Those that changed](changes), one by one.",
    "sae": "**What is a dictionary?** [One is trained](sae), then [all](dictionaries).",
    "merge": "**How are models merged, and what for?** [Merging](merge) does it at every weight.",
    "explorer": f"**What do features look like?** Meet {met}, [some in all models](case-study), "
    "all [on a map](map), and [in words](interpretation).",
    "live": "**Hands on:** [four controls](live) to type, slide and ablate, in JupyterLab.",
    "corpora": "**What is it made of?** [The texts](corpora), and [this run](status): its targets, "
    "times and versions.",
}
say("\n".join(f"- {line}" for page, line in QUESTIONS.items() if page in chapters))

# %% [markdown]
# ## What we learned
#
# A share of features that persist is no answer. Its place between what nothing would leave and what
# everything would destroy is one. *What comes next*: [the texts](corpora), or, if you have half an hour,
# [the counts](tracking) and [their ends](ceilings).
#
# :::{admonition} Exercise
# :class: tip
# Compute the headline from the numbers on the cards: the share, the ceiling and the floor are in
# `shown`. By how much would it differ if the floor were zero, as it is often taken to be? Give both, as
# a list.
# :::

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
shown = {"share": share.estimate, "ceiling": ceiling.estimate, "floor": floor.estimate}
right = [rescaled.estimate, ratio.estimate]

# %%
answer = ...  # [with the floor, without one]
check(answer, right)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
answer = [(shown["share"] - floor) / (shown["ceiling"] - floor) for floor in (shown["floor"], 0)]
check(answer, right)
