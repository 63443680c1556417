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
# text of one's own, what happens on the way from one parent to the other, how much hangs on the
# threshold, and what a feature does to the next token. {cite:t}`horn2025tracking` show the second
# and the third as figures. Each section below starts with a still picture that says it without a
# kernel, then comes the control.
#
# :::{admonition} On this page the controls stand still
# :class: note
# They need a running kernel. After `make book` has made the models, `make lab` opens the chapters in
# JupyterLab: right-click `live.py`, *Open With → Jupytext Notebook*, then *Run → Run All Cells*.
# :::

# %%

import numpy as np
import pandas as pd
from IPython.display import display

from featrack_utils.corpora import prepare
from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.dictionaries import features
from featrack_utils.display import cards, flowplot, style, widgets
from featrack_utils.display.tables import show_table
from featrack_utils.display.widgets import ablating, blending, figures, live, reading, thresholds
from featrack_utils.pipeline import store

style.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the text that is generated
context = 128  # tokens; paper: 256
tau = 0.8  # correlation above which two features match; paper: 0.8
rule = "best"  # or mutual; paper: best match
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
evaluation_blocks = 220  # validation blocks per domain on which features were measured
loss_blocks = 16  # validation blocks per domain for the loss while sliding
code = "local function add(a, b)\n    return a + b\nend"  # read, and gone on from
story = "One day, a little girl"  # the same
tau_low = 0.5  # a loose threshold for the still picture
tau_high = 0.95  # and a strict one

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
found = features.open_features(run, lineage, 2, 2)
models = live.open_models(run, found)
known = thresholds.known_matches(found, min_positions, min_documents)

# %% [markdown]
# ## Which features fire on your text?
#
# Each model reads the same text, and its own dictionary (seed 0) says which features are active.
# The strongest of each model get a row; the features of the other models that match it above the
# threshold stand beside it, with their correlation r on the evaluation mix. The shade is the
# activation as a part of the feature's own maximum. A name leads to the feature's page in the
# [explorer](explorer).

# %% tags=["hide-input"]
acts = {}
for name, text in (("code", code), ("story", story)):
    ids = live.encode(corpora.tokenizer, text, context)
    acts[name] = {model: live.feature_acts(one, ids) for model, one in models.items()}
    rows = reading.strongest_rows(acts[name], known.between, tau, top=2)
    caption = f"The two strongest features of each model on the {name}, with their matches."
    pieces = corpora.pieces(np.array(ids[1:]))
    display(reading.rows_html(rows, pieces, models, caption, linked=True))

# %% tags=["remove-cell"]
rows = {n: reading.strongest_rows(each, known.between, tau, top=2) for n, each in acts.items()}
results = {f"live.{n}.rows": len(each) for n, each in rows.items()}
results |= {f"live.{n}.in_all": sum(len(row) == 4 for row in each) for n, each in rows.items()}

# %% [markdown]
# {% if results["live.code.rows"] + results["live.story.rows"] == 0 -%}
# In this run no feature fires on these texts at all.
# {%- else -%}
# All four models fill {{ count("live.code.in_all") }} of the {{ count("live.code.rows") }} rows for
# the code and {{ count("live.story.in_all") }} of the {{ count("live.story.rows") }} for the story.
# A gap doesn't say that the model lacks the feature: its dictionary of this seed does, and
# [another one of the very same model](ceilings) may hold it.
# {%- endif %}
#
# Now your own. The table follows while you type.

# %%
widgets.text_reader(models, known.between, corpora, tau=tau, text=code)

# %% [markdown]
# ## From one parent to the other
#
# At every t the merge is made in memory, reads some validation text and goes on from a prompt. The
# lower half follows one feature, that of the merged model which fires most on the code above, at
# the three places of the evaluation mix where it is strongest. Its dictionary was trained on the
# merge at t = {{ number("merge.t") }} and stays as it is. So where the activation falls, the
# feature may go, or the dictionary may fit the model less well.

# %%
blend = blending.open_blend(run)
mix = features.evaluation_mix(
    {domain: corpora.validation_blocks(domain, evaluation_blocks) for domain in DOMAINS}
)
blocks = {domain: corpora.validation_blocks(domain, loss_blocks).tokens for domain in DOMAINS}
losses = blending.loss_curve(blend, np.linspace(0, 1, 11), blocks)
followed = int(acts["code"]["merged"].max(axis=0).argmax())
places = blending.strongest_places(found["merged-0"], followed, mix, 3)
t = store.read_results(run, "merge")["merge.t"]

# %% mystnb={"figure": {"caption": "Above: loss of the merge on four domains against its weight. Below: the activation of one feature of the merged model at its three strongest places. Dotted: the weight of this book's merged model.", "name": "fig-live-merge"}, "image": {"alt": "Four loss curves against the merge weight, and below them three curves of a feature's activation"}} tags=["hide-input"]
grid = sorted(set(losses["t"]))
activations = blending.feature_curve(blend, grid, models["merged"], followed, places)
figures.merge_figure(losses, activations, f"merged {followed}", t)

# %% [markdown]
# And what it writes at both ends and at that weight, from the same prompt and the same random
# numbers:

# %% tags=["hide-input"]
written = [
    {"t": weight, "goes on": blending.text_at(blend, weight, corpora, story, seed)}
    for weight in (0, t, 1)
]
show_table(
    pd.DataFrame(written),
    {"t": ".2f"},
    caption="What the merge writes at three weights; 0 is Lua, 1 is Stories.",
)

# %%
widgets.merge_slider(
    blend,
    models,
    found,
    mix,
    blocks,
    losses,
    corpora,
    t=t,
    model="merged",
    feature=followed,
    prompt=story,
    seed=seed,
)

# %% [markdown]
# ## How much hangs on the threshold
#
# The same features, the same correlations, and two thresholds: which features are "the same" is
# decided by τ alone.

# %% mystnb={"figure": {"caption": "Where features go if a correlation above {{ number('live.tau_low.tau') }} counts as the same feature.", "name": "fig-live-low"}, "image": {"alt": "Flow diagram at a loose threshold: most bands go on"}} tags=["hide-input"]
flowplot.flow_diagram(thresholds.volumes_at(known, tau_low, rule))

# %% mystnb={"figure": {"caption": "The same if it takes more than {{ number('live.tau_high.tau') }}.", "name": "fig-live-high"}, "image": {"alt": "Flow diagram at a strict threshold: most bands end"}} tags=["hide-input"]
flowplot.flow_diagram(thresholds.volumes_at(known, tau_high, rule))

# %% tags=["remove-cell"]
for name, at in (("tau_low", tau_low), ("tau_high", tau_high)):
    shares = thresholds.shares_at(known, at, rule).set_index("pair")
    results |= {f"live.{name}.{column}": shares.loc["base_lua", column] for column in shares}
    results[f"live.{name}.tau"] = at

# %% [markdown]
# From {numref}`fig-live-low` to {numref}`fig-live-high` the share of the base's features that
# persist in Lua goes from {{ share("live.tau_low.share") }} to {{ share("live.tau_high.share") }},
# and what another seed finds in the base itself from {{ share("live.tau_low.ceiling") }} to
# {{ share("live.tau_high.ceiling") }}.
# {% if defined("live.tau_low.ratio") and defined("live.tau_high.ratio") -%}
# Their ratio goes from {{ percent("live.tau_low.ratio") }} to {{ percent("live.tau_high.ratio") }}.
# {%- endif %}
# These are single dictionaries of seed 0; [the chapter on ceilings](ceilings) has all seeds and
# the intervals.

# %%
widgets.threshold_slider(known, tau=tau, rule=rule)

# %% [markdown]
# ## What one feature does to the next token
#
# A feature is a direction in which it writes into the MLP's activation. Subtract what it writes,
# leave everything else as it is (what the dictionary can't explain included), and look at the next
# token. These models have one layer, so only what is active on the last token counts. For the code
# above and the merged model we ablate every feature that is active there, each alone, and show
# the one that moves most.

# %%
ids = live.encode(corpora.tokenizer, code, context)
moves = ablating.effects(models["merged"], ids)
removed = int(moves["feature"].iloc[0]) if len(moves) else 0
ablated = ablating.ablate(models["merged"], ids, removed)
results |= {
    "live.ablated.active": len(moves),
    "live.ablated.moved": ablated.moved,
    "live.ablated.median": moves["moved"].median() if len(moves) else None,
    "live.ablated.stronger": int((ablated.acts[-1] < moves["activation"]).sum()),
}

# %% mystnb={"figure": {"caption": "Probabilities of the token after the code, with every feature in place and with one of them ablated, on a logarithmic axis: the ten tokens that change most.", "name": "fig-live-ablation"}, "image": {"alt": "Ten rows with a token each and two marks, its probability with and without a feature"}} tags=["hide-input"]
changes = ablating.largest_changes(ablated, corpora)
figures.probability_figure(changes, "merged")

# %% tags=["hide-input"]
named = [cards.linked(cards.Feature("merged-0", int(number))) for number in moves["feature"]]
show_table(
    moves.assign(feature=named).head(5),
    {"activation": ".2f", "moved": ".1%"},
    notes={"moved": "of the next token's probability"},
    caption="The five features whose ablation moves most.",
)

# %% tags=["remove-cell"]
store.write_results(run, "live", results)

# %% [markdown]
# {% if results["live.ablated.active"] == 0 -%}
# In this run no feature is active on the code's last token, so nothing changes.
# {%- else -%}
# On the last token {{ count("live.ablated.active") }} features are active. The one in
# {numref}`fig-live-ablation` moves {{ share("live.ablated.moved") }} of the probability to other
# tokens; half of them move less than {{ share("live.ablated.median", 2) }}.
# {% if results["live.ablated.stronger"] == 0 -%}
# Here it is the most strongly active one, too. That need not be so: try other texts.
# {%- else -%}
# It isn't the strongest: {{ count("live.ablated.stronger") }} of the others are more active.
# {%- endif %}
# {%- endif %}

# %%
widgets.ablation(models, corpora, text=code, model="merged", feature=removed)

# %% [markdown]
# ## What we learned
#
# - **On any text a feature is something to look at**, and so is its match.
#   {% set rows = results["live.code.rows"] + results["live.story.rows"] -%}
#   {% set whole = results["live.code.in_all"] + results["live.story.in_all"] -%}
#   {% if rows > 0 %}All four models fill {{ count(whole) }} of the {{ count(rows) }} rows that two
#   texts gave.{% endif %}
# - **The threshold decides how much persists.** Between {{ number("live.tau_low.tau") }} and
#   {{ number("live.tau_high.tau") }} the share in Lua goes from {{ share("live.tau_low.share") }} to
#   {{ share("live.tau_high.share") }}, and the ceiling with it.
# - **Where a feature is active is half of what there is to know about it.** What it does shows when it
#   is taken out.
#   {% if results["live.ablated.active"] > 0 -%}
#   Of {{ count("live.ablated.active") }} features active on one token the one that matters most moves
#   {{ share("live.ablated.moved") }} of the probability, the median one
#   {{ share("live.ablated.median", 2) }}.
#   {%- endif %}
#
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
# In the last control take any feature of the base and a text on whose last token it isn't active.
# What do you expect, and why wouldn't it be so in a model of two layers?
# :::
#
# :::{dropdown} Answer
# Nothing changes. The MLP is the last thing that happens at a position before the token is
# predicted. With a second layer, attention would carry what a feature wrote at an earlier position
# to the last one.
# :::
