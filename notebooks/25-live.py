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
# # Touch it
#
# Four things of this book that one understands faster with a hand on them: which features fire on a
# text of one's own, what happens on the way from one model to another, how much hangs on the
# threshold, and what a feature does to the next token. Horn & Elliott {cite:yearpar}`horn2025tracking` show the second
# and the third as figures. Each section below starts with a still picture that says it without a
# kernel, then comes the control.
#
# :::{admonition} In the book the controls stand still
# :class: note
# They need a running kernel. After `make book` has made the models, `make lab` opens the chapters in
# JupyterLab: double-click this one, then *Run → Run All Cells*.
# :::

# %% tags=["hide-input"] jupyter={"source_hidden": true}

import numpy as np
import pandas as pd
from IPython.display import display

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features
from featrack_utils.display import cards, style, widgets
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import count, number, percent, say, show
from featrack_utils.display.widgets import ablating, blending, figures, live, reading, thresholds
from featrack_utils.lineage import label
from featrack_utils.matching.best_matches import open_matches
from featrack_utils.pipeline import store

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the text that is generated
context = 128  # tokens; paper: 256
tau = 0.8  # correlation above which two features match; paper: 0.8
rule = "best"  # or mutual; paper: best match
evaluation_blocks = 220  # validation blocks per domain on which features were measured
loss_blocks = 16  # validation blocks per domain for the loss while sliding
code = "local function add(a, b)\n    return a + b\nend"  # read, and gone on from
story = "One day, a little girl"  # the same
tau_low = 0.5  # a loose threshold for the still picture
tau_high = 0.95  # and a strict one

# %% jupyter={"source_hidden": true} tags=["hide-input"]
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
found = features.open_features(run, lineage, 2, 2)
models = live.open_models(run, lineage, found)
matches = open_matches(run)
between = reading.between_models(matches)
last = lineage.order[-1]  # the model that the second and the last section begin with
results = {}

# %% [markdown]
# ## Which features fire on your text?
#
# Each model reads the same text, and its own dictionary (seed 0) says which features are active.
# The strongest of each model get a row; the features of the other models that match it above the
# threshold stand beside it, with their correlation r on the evaluation mix. The shade is the
# activation as a part of the feature's own maximum. A name leads to the feature's page in the
# [explorer](explorer).

# %% tags=["hide-input"] jupyter={"source_hidden": true}
acts = {}
for name, text in (("code", code), ("story", story)):
    ids = live.encode(corpora.tokenizer, text, context)
    acts[name] = {model: live.feature_acts(one, ids) for model, one in models.items()}
    rows = reading.strongest_rows(acts[name], between, tau, top=2)
    results[f"live.{name}.rows"] = len(rows)
    results[f"live.{name}.in_all"] = sum(len(row) == len(models) for row in rows)
    caption = f"The two strongest features of each model on the {name}, with their matches."
    pieces = corpora.pieces(np.array(ids[1:]))
    display(reading.rows_table(rows, pieces, models, caption, linked=True))

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"All {len(models)} models fill {results['live.code.in_all']} of the "
    f"{results['live.code.rows']} rows for the code and {results['live.story.in_all']} of the "
    f"{results['live.story.rows']} for the story. A gap doesn't say that the model lacks the "
    "feature: its dictionary of this seed does, and [another one of the very same "
    "model](ceilings) may hold it."
)

# %% [markdown]
# Now your own. The table follows while you type.

# %% jupyter={"source_hidden": true} tags=["hide-input"]
widgets.text_reader(models, between, corpora, tau=tau, text=code)

# %% [markdown]
# ## From one model to another
#
# Between the weights of two models lies a way of in-between models; a merge is one place on it. At
# every t the model is made in memory, reads some validation text and goes on from a prompt. The
# figure's lower half follows one feature at the three places of the evaluation mix where it is
# strongest. Its dictionary stays as it is. So where the activation falls, the feature may go, or
# the dictionary may fit the model less well.

# %% jupyter={"source_hidden": true} tags=["hide-input"]
ends = blending.ends_of(lineage)
blend = blending.open_blend(run, ends)
mix = features.evaluation_mix(
    {domain: corpora.validation_blocks(domain, evaluation_blocks) for domain in lineage.domains}
)
blocks = {d: corpora.validation_blocks(d, loss_blocks).tokens for d in lineage.domains}
grid = np.linspace(0, 1, 11)
losses = blending.loss_curve(blend, grid, blocks)
followed = int(acts["code"][last].max(axis=0).argmax())
places = blending.strongest_places(found[f"{last}-0"], followed, mix, 3)
activations = blending.feature_curve(blend, grid, models[last], followed, places)
t = store.read_results(run, "merge")["merge.t"] if len(lineage.parents(last)) == 2 else 0.5

# %% tags=["hide-input"] jupyter={"source_hidden": true}
first, second = map(label, ends)
show(
    figures.blend_figure(losses, activations, last, followed, ends, t),
    caption=f"Above: loss on each kind of text on the way from {first} to {second}. Below: the "
    f"activation of feature {followed} of the {label(last)} model at its three strongest places. "
    f"Dotted: t = {number(t)}.",
    name="fig-live-merge",
    alt="Loss curves against the weight, and below them three curves of a feature's activation",
)

# %% [markdown]
# And what it writes at both ends and at that weight, from the same prompt and the same random
# numbers:

# %% tags=["hide-input"] jupyter={"source_hidden": true}
written = [
    {"t": weight, "goes on": blending.text_at(blend, weight, corpora, story, seed)}
    for weight in (0, t, 1)
]
show_table(
    pd.DataFrame(written),
    {"t": ".2f"},
    caption=f"What the model writes at three weights; 0 is {first}, 1 is {second}.",
)

# %% jupyter={"source_hidden": true} tags=["hide-input"]
widgets.merge_slider(
    blend,
    models,
    found,
    mix,
    blocks,
    losses,
    corpora,
    t=t,
    model=last,
    feature=followed,
    prompt=story,
    seed=seed,
)

# %% [markdown]
# ## How much hangs on the threshold
#
# The same features, the same correlations, and two thresholds: which features are "the same" is
# decided by τ alone.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
show(
    thresholds.flow_at(lineage, matches, tau_low, rule),
    caption=f"Where features go if a correlation above {number(tau_low)} counts as the same "
    "feature.",
    name="fig-live-low",
    alt="Flow diagram at a loose threshold: most bands go on",
)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
show(
    thresholds.flow_at(lineage, matches, tau_high, rule),
    caption=f"The same if it takes more than {number(tau_high)}.",
    name="fig-live-high",
    alt="Flow diagram at a strict threshold: most bands end",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
parent, child = lineage.edges[0]
low, high = (
    thresholds.shares_at(lineage, matches, at, rule).set_index("pair").loc[f"{parent}_{child}"]
    for at in (tau_low, tau_high)
)
results |= {f"live.tau_low.{name}": value for name, value in low.items()}
results |= {f"live.tau_high.{name}": value for name, value in high.items()}
say(
    f"From {{numref}}`fig-live-low` to {{numref}}`fig-live-high` the share of the "
    f"{label(parent)} model's features that persist in {label(child)} goes from "
    f"{percent(low['share'])} to {percent(high['share'])}, and what another seed finds in "
    f"{label(parent)} itself from {percent(low['ceiling'])} to {percent(high['ceiling'])}. Their "
    f"ratio goes from {percent(low['ratio'])} to {percent(high['ratio'])}. These are single "
    "dictionaries of seed 0; [the chapter on ceilings](ceilings) has all seeds and the intervals."
)

# %% jupyter={"source_hidden": true} tags=["hide-input"]
widgets.threshold_slider(lineage, matches, tau=tau, rule=rule)

# %% [markdown]
# ## What one feature does to the next token
#
# A feature is a direction in which it writes into the MLP's activation. Subtract what it writes,
# leave everything else as it is (what the dictionary can't explain included), and look at the next
# token. These models have one layer, so only what is active on the last token counts. On the code
# above we ablate every feature that is active there, each alone, and show the one that moves most.

# %% jupyter={"source_hidden": true} tags=["hide-input"]
ids = live.encode(corpora.tokenizer, code, context)
moves = ablating.effects(models[last], ids)
removed = int(moves["feature"].iloc[0]) if len(moves) else 0
ablated = ablating.ablate(models[last], ids, removed)
stronger = int((ablated.acts[-1] < moves["activation"]).sum())
results |= {
    "live.ablated.active": len(moves),
    "live.ablated.moved": ablated.moved,
    "live.ablated.median": moves["moved"].median() if len(moves) else None,
    "live.ablated.stronger": stronger,
}
store.write_results(run, "live", results)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
show(
    figures.probability_figure(ablating.largest_changes(ablated, corpora), last),
    caption=f"Probabilities of the token after the code in the {label(last)} model, with every "
    f"feature in place and without feature {removed}, on a logarithmic axis: the ten tokens that "
    "change most.",
    name="fig-live-ablation",
    alt="Ten rows with a token each and two marks, its probability with and without a feature",
)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
named = [cards.linked(cards.Feature(f"{last}-0", int(number))) for number in moves["feature"]]
show_table(
    moves.assign(feature=named).head(5),
    {"activation": ".2f", "moved": ".0%"},
    notes={"moved": "of the next token's probability"},
    caption="The five features whose ablation moves most.",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
strength = (
    f"It isn't the strongest: {count(stronger)} of the others are more active."
    if stronger
    else "Here none is more active. That need not be so: try other texts."
)
say(
    f"On the last token {count(len(moves))} features are active. The one in "
    f"{{numref}}`fig-live-ablation` moves {percent(ablated.moved, 1)} of the probability to other "
    f"tokens; half of them move less than {percent(moves['moved'].median(), 1)}. {strength}"
)

# %% jupyter={"source_hidden": true} tags=["hide-input"]
widgets.ablation(models, corpora, text=code, model=last, feature=removed)

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
rows = results["live.code.rows"] + results["live.story.rows"]
whole = results["live.code.in_all"] + results["live.story.in_all"]
say(
    "- **On any text a feature is something to look at**, and so is its match. All "
    f"{len(models)} models fill {whole} of the {rows} rows that two texts gave.\n"
    f"- **The threshold decides how much persists.** Between τ = {number(tau_low)} and "
    f"{number(tau_high)} the share in {label(child)} goes from {percent(low['share'])} to "
    f"{percent(high['share'])}, and the ceiling with it.\n"
    "- **Where a feature is active is half of what there is to know about it.** What it does shows "
    f"when it is taken out. Of {count(len(moves))} features active on one token the one that "
    f"matters most moves {percent(ablated.moved, 1)} of the probability, the median one "
    f"{percent(moves['moved'].median(), 1)}.",
)

# %% [markdown]
# :::{admonition} Exercise
# :class: tip
# Type a sentence of a story, then a line of Lua, then both. Which rows stay?
# :::
#
# :::{dropdown} Answer
# Features that answer to a token, such as an opening bracket, stay wherever the token is. Those that
# answer to the kind of text go with it: what stands before a token counts, what stands after it
# can't.
# :::
#
# :::{admonition} Exercise
# :class: tip
# In the last control take any feature of one model and a text on whose last token it isn't active.
# What do you expect, and why wouldn't it be so in a model of two layers?
# :::
#
# :::{dropdown} Answer
# Nothing changes. The MLP is the last thing that happens at a position before the token is
# predicted. With a second layer, attention would carry what a feature wrote at an earlier position
# to the last one.
# :::
