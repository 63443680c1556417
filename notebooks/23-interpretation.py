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
# # Can a feature be put into words?
#
# Thousands of features are too many to read. {cite:t}`horn2025tracking` let a chat model explain
# them, as {cite:t}`bills2023language` did with neurons. From the explanation *alone* the activations
# are simulated, and the correlation of simulated with true ones is the explanation's score (their
# Figure 6). We do the same without a chat model, by counting, and with one for whoever has it.
# The paper's question is: are the features that persist easier to explain than the others?
#
# :::{admonition} What you will learn
# :class: note
# - how an explanation is scored, and what the score would be for the wrong explanation;
# - how far one gets by counting tokens, the baseline for every chat model;
# - why persisting features must be compared with others that are as rare.
#
# You need the [chapter on tracking](tracking). Reading takes fifteen minutes, computing one or two.
# :::

# %% tags=["hide-input"]
import json

import pandas as pd
from IPython.display import display

from featrack_utils.display import style
from featrack_utils.display.explanation_figures import score_histograms, show_foretold
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import (
    estimate,
    listed,
    number,
    percent,
    say,
    show,
    verdict,
    with_interval,
)
from featrack_utils.interpretation.explain import score
from featrack_utils.interpretation.explain.run import explain_run
from featrack_utils.lineage import label
from featrack_utils.pipeline import store
from featrack_utils.pipeline.profile import Interpretation

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the split, the random excerpts, the sample and the bootstrap
context = 128  # tokens; paper: 256
replicates = 200  # bootstrap draws over features
explainer = "lookup"  # counting alone; or endpoint: a chat model as well; paper: GPT-4 Turbo
base_url = "http://localhost:8000/v1"  # any server that speaks OpenAI's protocol
chat_model = "your-model"  # its name there
key_variable = "FEATRACK_KEY"  # environment variable that holds the key; "": none is needed
explained_features = 20  # by the chat model, per model, drawn at random; paper: not stated
max_requests = 4000  # to the chat model, in all

# %% [markdown]
# ## Learn on one half of the documents, judge on the other
#
# Half of each domain's documents of the evaluation mix are there to learn from, the other half to
# judge on. No document is on both sides. What is learnt is a **lookup**: the mean activation given a
# token, refined by the token before it where the pair was seen. Of a pair seen $n$ times with
# summed activation $s$, whose token alone is worth $m$, we expect
#
# $$ \hat a = \frac{s + m}{n + 1}, $$
#
# as if the token had been seen once more. This is the baseline of Bills et al.
#
# Nobody can read a table of thousands of pairs. So we also write each feature's **rules** down, in
# at most a hundred characters: those that explain most of the activation, with strengths from 1 to 9.
# `“=” 9 (after “)” 4)` says: strongly active at `=`, but less so where `)` stands before it. The rules
# are scored for what they say and no more: they foretell 0 wherever none applies. They are the
# explanations that the [explorer](explorer) shows.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
settings = Interpretation(
    explainer=explainer,
    base_url=base_url,
    chat_model=chat_model,
    key_variable=key_variable,
    explained_features=explained_features,
    max_requests=max_requests,
)
made = explain_run(run, lineage, settings, context, seed)
own, mates = (pd.read_parquet(made / f"{name}.parquet") for name in ("scores", "mates"))
results = score.results(own, mates, replicates, seed)


def figure(model, who, name):
    return estimate(results, f"autointerp.{model}.{who}.{name}")


# %% [markdown]
# ## What such explanations look like
#
# Here are three features of one model: one that is explained better than nine tenths of them, the
# median one, and one that only a tenth is worse than. Each is shown on its strongest held-out
# excerpt and on one drawn from all in which it is active. In colour stands what the feature does,
# in grey what its rules foretell.

# %% tags=["hide-input"]
child = lineage.order[1]
for example in json.loads((made / "examples.json").read_text())[child]:
    display(show_foretold(example, child))

# %% [markdown]
# ## Scores, and what they would be for the wrong explanation
#
# Each feature is scored on ten excerpts of at most 32 tokens: the five strongest, each of another
# held-out document, and five drawn at random, so that most activations are zero. The r of simulated
# with true activations over these is the **simulation score**. The strongest excerpts flatter:
# wherever a feature answers to several things, they show the loudest one. So there is a
# **random-only** score, too, here over all held-out text.
#
# The **detection score** asks less. Of ten excerpts with the feature and ten without it, both drawn
# at random, are those with it rated higher? A coin scores one half. For the **shuffled** control each
# feature gets the explanation of another one of its model.

# %% tags=["hide-input"]
explainers = list(dict.fromkeys(own["explainer"]))
columns = {
    "simulation": "median_r",
    "random-only": "random_only.median_r",
    "detection": "detection",
    "shuffled": "shuffled.median_r",
}
rows = [
    {"model": label(model), "explained by": who}
    | {title: figure(model, who, name).estimate for title, name in columns.items()}
    for model in lineage.order
    for who in explainers
]
show_table(
    pd.DataFrame(rows),
    dict.fromkeys(columns, ".2f"),
    caption="Median scores of the features that are seen often enough.",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
medians = {
    who: [figure(model, who, "median_r").estimate for model in lineage.order] for who in explainers
}
wrong = number(figure(child, "rules", "shuffled.median_r").estimate)
say(
    verdict(
        figure(child, "lookup", "median_r"),
        0.5,
        below="Two tokens, the one at hand and the one before it, simulate few features well.",
        above="**Half of a model's features are simulated well from two tokens**: the one at hand "
        "and the one before it.",
        unclear="Whether two tokens simulate half of the features well can't be told.",
    )
    + f" Knowing no more, the lookup reaches a median r of "
    f"{listed([number(r) for r in medians['lookup']])} in {listed([*map(label, lineage.order)])}. Written down as one "
    f"line of rules, it still reaches {listed([number(r) for r in medians['rules']])}. Somebody "
    f"else's explanation scores {wrong} in {label(child)}."
)

# %% [markdown]
# This is the baseline that any other explanation has to be read against. The lookup knows no
# meaning, no grammar and nothing that stands further back. So a chat model that reaches the same
# score has not shown that it *understood* a feature: counting gets as far. And in a model of one
# layer much of what a feature does depends on the token at hand; in a deeper one less may.
#
# ## Are persisting features easier to explain?

# %% tags=["hide-input"]
shown = "endpoint" if "endpoint" in explainers else "rules"
compared = (child, lineage.order[-1])
show(
    score_histograms(own[own["explainer"] == shown], compared),
    caption="After the paper's Figure 6: scores of all features (grey) and of those that persist "
    f"(outline), for {label(compared[0])} and {label(compared[1])}. Above on the strongest and on "
    "random excerpts, below on random text alone. Dotted: medians.",
    name="fig-scores",
    alt="Four histograms of scores, two for each model, with an outline for persisting features",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
dense, other = (
    percent(results.get(f"autointerp.{child}.rules.{kind}.median_density"), 2)
    for kind in ("persisting", "others")
)
say(
    "A feature of {numref}`fig-scores` persists if a model that its own was made from has it, too "
    "(of the first model: if one made from it has). But persisting features may differ in other "
    f"ways. In {label(child)} half of them are active on more than {dense} of the tokens, half of "
    f"the others on more than {other}; and how often a feature is active may bear on its score. So "
    "each is paired with another one of the same model that is active on as many tokens, up to a "
    f"factor of {number(results['autointerp.density_caliper'])}, no feature twice."
)

# %% tags=["hide-input"]
rows = [
    {
        "model": label(model),
        "explained by": who,
        "pairs": results.get(f"autointerp.{model}.{who}.matched_pairs"),
        "difference": figure(model, who, "persisting_minus_matched"),
        "random-only difference": figure(model, who, "random_only.persisting_minus_matched"),
    }
    for model in lineage.order
    for who in explainers
]
show_table(
    pd.DataFrame(rows),
    {"difference": ".3f", "random-only difference": ".3f"},
    notes={"difference": "persisting − equally dense"},
    caption="Scores of persisting features less those of equally dense others.",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
lines = []
for model in lineage.order:
    difference = figure(model, "rules", "persisting_minus_matched")
    found = verdict(
        difference,
        0,
        below="persisting features are **harder** to explain than equally dense ones",
        above="persisting features are **easier** to explain than equally dense ones",
        unclear="no difference between persisting features and equally dense ones can be told",
    )
    lines.append(f"- In {label(model)} {found}: {with_interval(difference, 3, share=False)} of r.")
say("\n".join(lines))

# %% [markdown]
# That doesn't say why. A feature that follows single tokens is easy to explain by tokens *and* easy
# for another dictionary to find again; both may be the same simplicity, seen twice. And all intervals
# of this chapter come from drawing *features*, on one split of the text. Features share their
# documents, so the intervals are too narrow for what other text would give.
#
# ## Does the explanation move along?
#
# If two features of different models are the same, an explanation written for one must serve the
# other. So the parent's explanation is scored on its match in the child, beside the child's own.

# %% tags=["hide-input"]
rows = []
for a, b in lineage.edges:
    for who in explainers:
        row = {"pair": style.pair_label(a, b), "explained by": who}
        row["pairs"] = results.get(f"autointerp.{b}.{who}.mates.{a}.count")
        row["own"] = figure(b, who, f"mates.{a}.own_median_r").estimate
        row["parent's"] = figure(b, who, f"mates.{a}.foreign_median_r").estimate
        row["difference"] = figure(b, who, f"mates.{a}.foreign_minus_own")
        rows.append(row)
show_table(
    pd.DataFrame(rows),
    dict.fromkeys(("own", "parent's", "difference"), ".3f"),
    notes={"own": "median r", "parent's": "median r", "difference": "mean"},
    caption="Explanations of the parent's feature scored on its match in the child.",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
parent, tuned = lineage.edges[0]
foreign, its_own, change = (
    figure(tuned, "rules", f"mates.{parent}.{name}")
    for name in ("foreign_median_r", "own_median_r", "foreign_minus_own")
)
say(
    f"What was said of a feature of {label(parent)} describes its match in {label(tuned)} with a "
    f"median score of {number(foreign.estimate)}; what was said of the match itself, with "
    f"{number(its_own.estimate)}.",
    verdict(
        change,
        0,
        below="So something is lost when an explanation moves to the match.",
        above="The parent's words serve the child's feature even better than its own.",
        unclear="No loss can be told from the differences of single pairs.",
    ),
)

# %% [markdown]
# ## What counting can't see
#
# The lookup sees two tokens. "Inside a string", "the second argument", "a name that was
# assigned before" or "an animal in a tale" mean nothing to it. It can only list the tokens by
# which such things show. Nor is a list of word pieces an idea: a good score says that a feature is
# *predictable from tokens*, on text like that from which it was learnt.
#
# ## Ask a chat model
#
# Three settings name one: an address, a model and the environment variable that holds the key.
# Any server that speaks OpenAI's protocol will do, on your own machine or elsewhere:
#
# ```sh
# export FEATRACK_KEY=...
# make book CONFIG="interpretation='{explainer: endpoint, base_url: https://…/v1, chat_model: …}'"
# ```
#
# It is shown excerpts of the documents to learn from, with activations from 0 to 9: the strongest,
# some from between, and random ones. It writes a phrase. Then, from the phrase alone, it foretells
# the number at every token of the held-out excerpts: the mean of 0–9 under the log-probabilities
# of its answer, or the digit written where the server tells none. The three controls are the same.
# Answers are kept in the run's folder `answers`: nothing is asked twice, and a run that was stopped
# goes on. A feature takes some fifty questions, its matches included. At most `max_requests` are
# asked in all, so look up what that many cost at your provider.

# %% tags=["remove-cell"]
store.write_results(run, "interpretation", results)

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"One line about tokens simulates half of {label(child)}'s features with r above "
    f"{number(medians['rules'][1])}, where explanations of other features score about {wrong}. A "
    'claim that a chat model "understands" features begins above this line. We know the paper\'s '
    "Figure 6, explained by GPT-4 Turbo, as a picture, and have no certain figures to set beside.",
    "Next: find a feature yourself in the [explorer](explorer), by a token, a word of its "
    "explanation, or its score.",
)

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# In the explorer, find a feature with a high detection score and a low simulation score. What does its
# explanation get right?
# :::
#
# :::{dropdown} Answer
# It names tokens that stand in the right excerpts, but not the places or the strengths: the kind of
# text, and not the token. A feature that is active along a whole stretch of text looks like that.
# :::
#
# :::{admonition} Exercise 2
# :class: tip
# Which explanation of at most a hundred characters would beat the rules for the worst example above?
# :::
#
# :::{dropdown} Answer
# One that names what the tokens have in common or what stands before them, if there is anything.
# Badly scored features may have nothing: they are what is left of several causes.
# :::
