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
# them, as {cite:t}`bills2023language` did with neurons: from the explanation *alone* the activations
# are simulated, and the correlation of simulated with true ones is the explanation's score (their
# Figure 6). We do the same without a chat model, by counting, for every feature of the four
# models; and with any chat model, for whoever has one. The question here is the paper's: are the
# features that persist easier to explain than the others?

# %%
import json

import pandas as pd
from IPython.display import display
from transformers import AutoTokenizer

from featrack_utils.dictionaries import features
from featrack_utils.display import style
from featrack_utils.display.tables import show_table
from featrack_utils.interpretation import contexts
from featrack_utils.interpretation.explain import run as autointerp
from featrack_utils.interpretation.explain import strips, summary
from featrack_utils.interpretation.explain.settings import Interpretation
from featrack_utils.pipeline import store
from featrack_utils.pipeline.config import EDGES, MODELS

style.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the split, the random excerpts, the sample and the bootstrap
context = 128  # tokens; paper: 256
tau = 0.8  # correlation above which two features match; paper: 0.8
min_positions = 30  # active positions a feature needs to be judged
min_documents = 10  # documents it must be active in
replicates = 200  # bootstrap draws over features
explainer = "lookup"  # counting alone; or endpoint: a chat model as well; paper: GPT-4 Turbo
base_url = "http://localhost:8000/v1"  # any server that speaks OpenAI's protocol
chat_model = "your-model"  # its name there
key_variable = "FEATRACK_KEY"  # environment variable that holds the key; "": none is needed
explained_features = 20  # by the chat model, per model, drawn at random; paper: not stated
requests_per_minute = 60  # at most
max_cost = 5.0  # in all, in the currency of the prices
input_price = 1.0  # of a million tokens; look up your provider's
output_price = 4.0  # of a million tokens

# %% [markdown]
# ## Learn on one half of the documents, judge on the other
#
# Half of each domain's documents of the evaluation mix are there to learn from, the other half to
# judge on; no document is on both sides. What is learnt is a **lookup**: the mean activation given a
# token, refined by the token before it where the pair was seen. It is the baseline of Bills et al.
# Each pair's mean is drawn towards its token's, as if the token had been seen once more, so that
# pairs seen once or never do little harm.
#
# Nobody can read a table of thousands of pairs. So each is put into a **sentence** of at most a
# hundred characters: the rules that explain most of the activation, with strengths from 1 to 9.
# `“=” 9 (after “)” 4)` says: strongly active at `=`, but less so where `)` stands before it. Lookup and
# sentence are scored separately, and the sentence's score is that of what it says and no more: 0
# wherever no rule applies. It is the sentence that the [explorer](explorer) shows.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
settings = Interpretation(
    explainer=explainer,
    base_url=base_url,
    chat_model=chat_model,
    key_variable=key_variable,
    explained_features=explained_features,
    requests_per_minute=requests_per_minute,
    max_cost=max_cost,
    input_price=input_price,
    output_price=output_price,
)
parts = {model: store.opened(run / "features" / f"{model}-0") for model in MODELS}
criteria = dict(
    block=context - 1, tau=tau, min_positions=min_positions, min_documents=min_documents, seed=seed
)


# %%
def interpret(folder):
    found = {m: features.load_features(p / "features.safetensors") for m, p in parts.items()}
    place = store.opened(run / "corpora") / "tokenizer"
    tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True)
    ground = autointerp.prepare(found, contexts.vocabulary(tokenizer), **criteria)
    autointerp.write(folder, ground, settings, run / autointerp.ANSWERS)


made = store.make(
    run / "interpretation",
    interpret,
    parameters={**criteria, **vars(settings)},
    inputs=[*parts.values(), run / "corpora"],
    code=[autointerp, features, contexts],
)
own, mates = (pd.read_parquet(made / f"{name}.parquet") for name in ("scores", "mates"))

# %% [markdown]
# ## What such sentences look like
#
# Three features of Lua: one that is explained better than nine tenths of them, the median one, and
# one that only a tenth is worse than. Each is shown on its strongest held-out excerpt and on one
# drawn from all in which it is active: as it is, in colour, and as its sentence foretells it, in
# grey.

# %% tags=["hide-input"]
for example in json.loads((made / "examples.json").read_text()):
    display(strips.beside(example, "lua"))

# %% [markdown]
# ## Scores, and what they would be for the wrong explanation
#
# Each feature is scored on ten excerpts of at most 32 tokens: the five strongest, each of another
# held-out document, and five drawn at random, so that most activations are zero. The r of simulated
# with true activations over these is the **simulation score**. The strongest excerpts flatter:
# wherever a feature answers to several things, they show the loudest one. So there is a
# **random-only** score, too, here over all held-out text. The **detection score** asks less: of
# ten excerpts with the feature and ten without it, both drawn at random, are those with it rated
# higher? A coin scores one half. For the **shuffled** control each feature gets the explanation of
# another one of its model.

# %%
results = summary.results(own, mates, replicates, seed)
explainers = list(dict.fromkeys(own["explainer"]))
NAMES = {
    "features": "features",
    "median_r": "simulation",
    "random_only.median_r": "random-only",
    "detection": "detection",
    "shuffled.median_r": "shuffled",
}


def scores(model, who, names):
    values = {label: results.get(f"autointerp.{model}.{who}.{key}") for key, label in names.items()}
    return {"model": style.MODEL_LABELS[model], "explained by": who, **values}


table = pd.DataFrame(scores(m, who, NAMES) for m in MODELS for who in explainers)
table = table.astype(dict.fromkeys(list(NAMES.values())[1:], float))
show_table(
    table,
    dict.fromkeys(list(NAMES.values())[1:], ".2f"),
    caption="Median scores of the features that are seen often enough.",
)

# %% [markdown]
# {% set a, b = "autointerp.lua.lookup", "autointerp.lua.sentence" -%}
# {% if defined(a + ".median_r") and defined(a + ".random_only.median_r") and
#    defined(b + ".median_r") and defined(b + ".random_only.median_r") and
#    defined(b + ".shuffled.median_r") -%}
# Half of Lua's features are scored above {{ number(a + ".median_r") }} by two tokens alone, and above
# {{ number(b + ".median_r") }} by one line of text; over all held-out text it is
# {{ number(a + ".random_only.median_r") }} and {{ number(b + ".random_only.median_r") }}. Somebody
# else's explanation scores {{ number(b + ".shuffled.median_r") }}.
# {%- if results[b + ".median_r"] > 0.5 %}
# In a model of one layer much of what a feature does depends on the token at hand, so a table of
# tokens goes far; how far it would in a deeper model is another question. Any chat model's score has
# to be read against this baseline, which knows nothing of meaning.
# {%- endif %}
# {%- else -%}
# No score is defined in this run: its features are too rarely active.
# {%- endif %}
#
# ## Are persisting features easier to explain?

# %% mystnb={"figure": {"caption": "After the paper's Figure 6: scores of all features (grey) and of those that persist (outline), for Lua and for the merged model, which the paper calls LuaStories. Above on the strongest and on random excerpts, below on random text alone. Dotted: medians.", "name": "fig-scores"}, "image": {"alt": "Four histograms of scores, two each for Lua and for the merged model, with an outline for persisting features"}} tags=["hide-input"]
shown = "endpoint" if explainer == "endpoint" else "sentence"
summary.histograms(own[own["explainer"] == shown], ("lua", "merged"))

# %% [markdown]
# {numref}`fig-scores` counts as persisting the features of Lua that the base has, too, and those of
# the merged model that Lua or Stories has (r > τ).
# {% set name = "autointerp.lua.sentence" -%}
# {% if defined(name + ".persisting.median_density") and defined(name + ".others.median_density") -%}
# But persisting features may differ in other ways: in Lua half of them are active on more than
# {{ share(name + ".persisting.median_density") }} of the tokens, half of the others on more than
# {{ share(name + ".others.median_density") }}; and how often a feature is active may bear on its
# score.
# {%- endif %}
# So each persisting feature is paired with another one of the same model that is active on as many
# tokens, up to a factor of {{ number("autointerp.density_caliper") }}, no feature twice.

# %% tags=["hide-input"]
PAIRS = {
    "matched_pairs": "pairs",
    "persisting.median_r": "persisting, median",
    "persisting_minus_matched": "difference",
    "random_only.persisting_minus_matched": "random-only difference",
}
ENDS = {
    f"{k}{end}": f"{label}{end}"
    for k, label in PAIRS.items()
    if "difference" in label
    for end in (".ci_low", ".ci_high")
}
PAIRS |= ENDS
figures = dict.fromkeys(list(PAIRS.values())[1:], ".3f")
matched = pd.DataFrame(scores(m, who, PAIRS) for m in MODELS for who in explainers)
show_table(
    matched.astype(dict.fromkeys(figures, float)),
    figures,
    notes={"difference": "persisting − equally dense"},
    caption="Scores of persisting features less those of equally dense others "
    "[95 % over features].",
)

# %% [markdown]
# {% for model, label in [("lua", "Lua"), ("merged", "the merged model")] -%}
# {% set name = "autointerp." + model + ".sentence.persisting_minus_matched" -%}
# {% if not defined(name) -%}
# - For {{ label }} there are no pairs to compare.
# {% elif results[name + ".ci_low"] > 0 -%}
# - For {{ label }} persisting features are **easier** to explain than equally dense ones, by
#   {{ number(name) }} [{{ number(name + ".ci_low") }}, {{ number(name + ".ci_high") }}] of r.
# {% elif results[name + ".ci_high"] < 0 -%}
# - For {{ label }} persisting features are **harder** to explain than equally dense ones, by
#   {{ number(name) }} [{{ number(name + ".ci_low") }}, {{ number(name + ".ci_high") }}] of r.
# {% else -%}
# - For {{ label }} no difference can be told: {{ number(name) }}
#   [{{ number(name + ".ci_low") }}, {{ number(name + ".ci_high") }}] of r.
# {% endif -%}
# {% endfor %}
#
# That doesn't say why. A feature that follows single tokens is easy to explain by tokens *and* easy
# for another dictionary to find again; both may be the same simplicity, seen twice. All intervals
# of this chapter come from drawing *features*, on one split of the text: documents aren't drawn, as
# they are in [ceilings](ceilings). Features share their documents, so the intervals are too narrow
# for what other text would give.
#
# ## Does the explanation move along?
#
# If two features of different models are the same, an explanation written for one must serve the
# other. So the parent's explanation is scored on its match in the child, beside the child's own.

# %% tags=["hide-input"]
MATES = {
    "count": "pairs",
    "own_median_r": "own",
    "foreign_median_r": "parent's",
    "foreign_minus_own": "difference",
    "foreign_minus_own.ci_low": "difference.ci_low",
    "foreign_minus_own.ci_high": "difference.ci_high",
}


def moved(a, b, who):
    at = f"autointerp.{b}.{who}.mates.{a}"
    values = {label: results.get(f"{at}.{key}") for key, label in MATES.items()}
    return {"pair": style.pair_label(f"{a}_{b}"), "explained by": who, **values}


figures = dict.fromkeys(list(MATES.values())[1:], ".3f")
moves = pd.DataFrame(moved(a, b, who) for a, b in EDGES for who in explainers)
show_table(
    moves.astype(dict.fromkeys(figures, float)),
    figures,
    notes={"own": "median r", "parent's": "median r", "difference": "mean"},
    caption="Explanations of the parent's feature scored on its match in the child "
    "[95 % over features].",
)

# %% [markdown]
# {% set name = "autointerp.lua.sentence.mates.base" -%}
# {% if defined(name + ".foreign_median_r") and defined(name + ".own_median_r") -%}
# What was said of a feature of the base describes its match in Lua with a median score of
# {{ number(name + ".foreign_median_r") }}; what was said of the match itself, with
# {{ number(name + ".own_median_r") }}. A match at r > τ is close to the same thing in words, too,
# as far as these words go{% if defined(name + ".foreign_minus_own") and
# results[name + ".foreign_minus_own.ci_high"] < 0 %}, if a little
# worse{% endif %}.
# {%- else -%}
# In this run no feature of the base has a match in Lua to which its explanation could move.
# {%- endif %}
#
# ## What counting can't see
#
# The lookup sees two tokens. "Inside a string", "the second argument", "a name that was
# assigned before" or "an animal in a tale" mean nothing to it; it can only list the tokens by
# which such things show, and of tokens that it never saw while learning it knows nothing. Nor is a list
# of word pieces an idea: a good score says that a feature is *predictable from tokens*, not that
# anybody understands it. And the score is judged on text like that from which it was learnt.
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
# some from between, and random ones. It writes a phrase, and then, from the phrase alone, foretells
# the number at every token of the held-out excerpts; a number is the mean of 0–9 under the
# log-probabilities of its answer, or the digit written where the server tells none. The three
# controls are the same. Answers are kept in the run's folder `answers`: nothing is paid for twice,
# and a run that was stopped goes on. The prices are examples to be replaced by your provider's.

# %% tags=["hide-input"]
estimate = json.loads((made / "estimate.json").read_text())
results |= {f"autointerp.estimate.{name}": value for name, value in estimate.items()}
labels = {
    "requests": "requests",
    "input_tokens": "input tokens, about",
    "output_tokens": "output tokens, at most",
    "cost": "cost, about",
    "at_most": "cost, at most",
}
show_table(
    pd.DataFrame([estimate]).rename(columns=labels),
    {"cost, about": ".2f", "cost, at most": ".2f"},
    caption=f"For {explained_features} features of each model and their matches.",
)

# %% [markdown]
# A run whose estimate exceeds what is left of `max_cost` doesn't start; and before each request
# the most that it can cost is set aside, those under way included, so that the limit holds for all
# runs together.

# %% tags=["remove-cell"]
store.write_results(run, "interpretation", results)

# %% [markdown]
# ## What we learned
#
# {% macro ci(name) -%}
# {% if defined(name) %}{{ number(name) }} [{{ number(name + ".ci_low") }}, {{ number(name + ".ci_high") }}]{% else %}not defined{% endif %}
# {%- endmacro -%}
# | | paper, Figure 6 | ours [95 % CI over features] | another feature's explanation | why they differ |
# |---|---|---|---|---|
# | who explains | GPT-4 Turbo | counting of tokens{% if defined("autointerp.lua.endpoint.median_r") %}, and a chat model{% endif %} | | none is fetched or paid for by default |
# | score of Lua's features | a histogram | median r {{ ci("autointerp.lua.sentence.median_r") }} | {{ ci("autointerp.lua.sentence.shuffled.median_r") }} | the excerpts, the explainer and the dictionaries are others |
# | of the merged model's | a histogram | median r {{ ci("autointerp.merged.sentence.median_r") }} | {{ ci("autointerp.merged.sentence.shuffled.median_r") }} | the same |
# | persisting less equally dense, Lua | all features beside the persisting ones, of whatever density | {{ ci("autointerp.lua.sentence.persisting_minus_matched") }} | | ours are paired by density |
#
# We know the paper's Figure 6 as a picture and have no certain figures from it, so none are given.
#
# {% set name = "autointerp.merged.sentence" -%}
# {% if defined(name + ".median_r") and defined(name + ".shuffled.median_r") and
#    defined("autointerp.lua.sentence.median_r") -%}
# One line about tokens simulates half of Lua's features with r above
# {{ number("autointerp.lua.sentence.median_r") }} and half of the merged model's with r above
# {{ number(name + ".median_r") }}, where explanations of other features score about
# {{ number(name + ".shuffled.median_r") }}.
# {%- if defined(name + ".persisting_minus_matched") and
#    results[name + ".persisting_minus_matched.ci_low"] > 0 %}
# What persists is easier to say, and not only because it is rarer.
# {%- endif %}
# A claim that a chat model "understands" features begins above this line.
# {%- else -%}
# At this size too little is active to be explained.
# {%- endif %}
#
# Next: find a feature yourself in the [explorer](explorer), by a token, a word of its
# explanation, or its score.
#
# :::{admonition} Exercise
# :class: tip
# In the explorer, find a feature with a high detection score and a low simulation score. What does its
# sentence get right?
# :::
#
# :::{dropdown} Answer
# It names tokens that stand in the right excerpts, but not the places or the strengths: the kind of
# text, and not the token. A feature that is active along a whole stretch of text looks like that.
# :::
#
# :::{admonition} Exercise
# :class: tip
# Which explanation of at most a hundred characters would beat the sentence for the worst example
# above? Try it as a chat model would: foretell a number for each token of an excerpt you have not
# looked at.
# :::
#
# :::{dropdown} Answer
# One that names what the tokens have in common or what stands before them, if there is anything.
# For many of the badly scored features there may be nothing: they are what is left of several causes.
# :::
