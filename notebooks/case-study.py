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
# # Meeting features in four models
#
# Numbers about features are hard to believe without having met one. {cite:t}`horn2025tracking`
# show in their Figure 3 a feature that answers to *variable assignment* and is found in all four
# models. We look for ours by a rule, not by eye, and then for others: two that answer to one kind of
# token each, and the one that answers to the most different tokens.

# %%

import numpy as np
import pandas as pd
from IPython.display import display

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features
from featrack_utils.display import cards, shading, style
from featrack_utils.display.tables import show_table
from featrack_utils.interpretation import examples, logit_effects, selection
from featrack_utils.matching import classes, universal
from featrack_utils.pipeline import store
from featrack_utils.pipeline.config import MODELS

style.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
root_seeds = 3  # dictionaries of the base model; paper: 1
other_seeds = 2  # of every other model; paper: 1
context = 128  # tokens; paper: 256
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
class_share = 0.5  # of a feature's activation must fall on a class's tokens
max_density = 0.1  # of all tokens, above which a feature is dense
shown_tokens = 36  # of each context
seed = 0  # of the random contexts

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
found = features.open_features(run, lineage, root_seeds, other_seeds)
first = [f"{model}-0" for model in MODELS]
of_model = {model: found[f"{model}-0"] for model in MODELS}
listed = store.opened(run / "tracking") / "universal.csv"
every_chain, chains = universal.read_chains(listed, []), universal.read_chains(listed, first)

# %% [markdown]
# ## The rule
#
# A *class* is a set of tokens, given by a pattern that a whole token must match. A universal chain
# (a feature of each model, linked by correlations above τ) belongs to a class if each of its four
# features puts at least half of its activation, on the whole evaluation mix, on the class's tokens.
# Of a class's chains we show the one with the largest weakest link. The class of the paper's example
# is *assignment*: `=` with or without spaces, or one of `+=`, `-=` and their like; `==` is not one.


# %%
def class_chains(name):
    """The chains of seed 0 with the smallest of their four shares on a class of tokens."""
    tokens = examples.tokens_matching(corpora.tokenizer, selection.TOKEN_CLASSES[name])
    shares = [
        examples.activation_share(found[d], tokens)[chains[m]]
        for m, d in zip(MODELS, first, strict=True)
    ]
    return chains.assign(share=np.min(shares, axis=0))


by_class = {name: class_chains(name) for name in selection.TOKEN_CLASSES}
best = {name: examples.choose_chain(table, class_share) for name, table in by_class.items()}

# %%
counts = {name: int((table["share"] >= class_share).sum()) for name, table in by_class.items()}
overview = pd.DataFrame(
    {
        "class": list(counts),
        "pattern": [cards.code(pattern) for pattern in selection.TOKEN_CLASSES.values()],
        "chains": list(counts.values()),
        "weakest link of the best": [best[c]["min_r"] if n else None for c, n in counts.items()],
    }
)
show_table(
    overview,
    {"weakest link of the best": ".3f"},
    caption="Universal chains of the seed 0 dictionaries by class of token.",
)

# %% [markdown]
# {% if results["case.chains"] == 0 -%}
# In this run **no feature is universal**: no chain of correlations above the threshold leads
# through all four models. There is none to show, and the pictures below are missing; the rules stay,
# for a run that has some. A lower `tracking.tau` or longer training of the dictionaries brings some.
# {%- else -%}
# Of {{ count("case.chains") }} chains {{ count("case.chains_in_classes") }} belong to one of these
# classes.
# {%- endif %}
#
# ## The feature for assignment


# %%
def members(chain):
    """The four features of a chain."""
    return [cards.Feature(d, int(chain[m])) for m, d in zip(MODELS, first, strict=True)]


def own_contexts(chain, top, random):
    """Each feature on its own strongest contexts, and below them on some drawn at random."""
    for feature in members(chain):
        f, colour = found[feature.dictionary], style.MODEL_COLOURS[feature.model]
        shown = examples.contexts(
            f, feature.index, corpora, top=top, random=random, width=shown_tokens, seed=seed
        )
        display(cards.titled(feature))
        display(shading.shade_contexts(shown, f.acts[:, [feature.index]].max(), colour))


# %% [markdown]
# {% if results["case.chains"] > 0 -%}
# {% if results["case.assignment.chains"] > 0 -%}
# {{ count("case.assignment.chains") }} universal
# {{ "chain belongs" if results["case.assignment.chains"] == 1 else "chains belong" }} to this class.
# Each of the four features of the best linked one puts at least
# {{ share("case.assignment.share", 0) }} of its activation on assignment operators.
# {%- else -%}
# No chain of these dictionaries belongs to this class: the features for assignment that they found
# don't match well enough. The chain shown is the one that comes nearest, with at least
# {{ share("case.assignment.share", 0) }} of each feature's activation on operators.
# {%- endif %}
# {% if results["case.assignment.combinations"] < results["track.seed_combinations"] -%}
# With several dictionaries for each model there are {{ count("track.seed_combinations") }} ways to
# pick one for each, and in {{ count("case.assignment.combinations") }} of them a chain belongs to
# the class. So whether "the assignment feature" is universal depends on which dictionaries one
# happens to have trained: a finding by itself.
# {%- else -%}
# It doesn't hang on the dictionaries, either: with several for each model there are
# {{ count("track.seed_combinations") }} ways to pick one for each, and a chain belongs to the class
# in all of them.
# {%- endif %}
#
# Each box shows the three contexts in which a feature is most active, every one from another
# document, and below them two drawn at random from all contexts in which it is active at all, so
# that not only the flattering ones are seen. The shade is the activation, from none to that
# feature's maximum.
# {%- endif %}

# %% tags=["hide-input"]
assignment = best["assignment"]
if assignment is not None:
    own_contexts(assignment, top=3, random=2)

# %% [markdown]
# {% if defined("case.assignment.weak") -%}
# The random ones are a warning. {{ percent("case.assignment.weak") }} of the places at which the base's
# feature is active have less than a tenth of its maximum, and there it need not be about anything. An
# L1 dictionary is full of such whispers. The shares and correlations of this book weigh them little, as
# they weigh by activation.
# {%- endif %}
#
# {% if results["case.chains"] > 0 -%}
# How alike are they? First, the correlation between every pair of the four on all tokens of the
# mix. It is blind to scale: twice the activation everywhere leaves r alone. So the feature's
# maximum in each model stands beside it.
# {%- endif %}


# %%
def pairwise(chain):
    """r of every pair of a chain's four features, over all positions of the mix, and maxima."""
    columns = {
        style.MODEL_LABELS[f.model]: found[f.dictionary].acts[:, [f.index]].toarray().ravel()
        for f in members(chain)
    }
    table = pd.DataFrame(columns).corr()
    table["maximum"] = list(universal.peaks(of_model, chain).values())
    return show_table(
        table.rename_axis("r").reset_index(),
        dict.fromkeys(table, ".3f"),
        notes={"maximum": "activation"},
    )


if assignment is not None:
    display(pairwise(assignment))

# %% [markdown]
# {% if defined("case.assignment.peak_ratio") -%}
# {% if results["case.assignment.peak_ratio"] < 1.1 -%}
# They agree in strength, too: the largest maximum is no more than
# {{ number("case.assignment.peak_ratio") }} times the smallest.
# {%- else -%}
# They agree on *where*, not on how strongly: the largest maximum is
# {{ number("case.assignment.peak_ratio", 1) }} times the smallest. Some of that is the dictionaries'
# doing, as each scales its model's activations.
# {%- endif %}
# {%- endif %}

# %% [markdown]
# {% if results["case.chains"] > 0 -%}
# Then what each answers to, where, and what it does to the next token. A feature's *effect on the
# logits* is the direction that it adds to the residual stream, read through the final norm's gain
# and the unembedding {cite:p}`bricken2023monosemanticity`: the tokens that it makes more likely,
# and those it makes less likely, each in its own model.
# {%- endif %}

# %%
writing = {d: (run / "models" / d.split("-")[0], run / "saes" / d) for d in first}
known = cards.Known(
    found,
    {d: examples.token_shares(found[d], len(corpora.tokenizer)) for d in first},
    {
        d: logit_effects.top_logits(store.opened(m), store.opened(s), 8)
        for d, (m, s) in writing.items()
    },
    corpora,
)

# %%
if assignment is not None:
    display(cards.where_table(known, members(assignment)))
    display(cards.logit_table(known, members(assignment)))

# %% [markdown]
# {% if results["case.chains"] > 0 -%}
# Last, all four on the **same text**: two places where the base's feature is strongest, one where
# Lua's is, one where the merged model's is, and one drawn at random.
# {%- endif %}


# %%
def same_text(chain):
    """All four features on places that the base, Lua and the merged model choose."""
    chosen = members(chain)
    where = [(chosen[0], 2, 0), (chosen[1], 1, 0), (chosen[3], 1, 1)]
    places = [
        examples.context_positions(found[f.dictionary], f.index, top=t, random=r, seed=seed)
        for f, t, r in where
    ]
    return cards.together(known, chosen, np.unique(np.concatenate(places)), 24)


if assignment is not None:
    display(same_text(assignment))

# %% [markdown]
# ## Which assignment?
#
# Look at the contexts again. Python's style puts spaces around the `=` of a *statement*, and none around
# the `=` that gives an *argument* its name or default, and to our tokenizer these are different tokens.
# How many features does each model have for either, with at least half of their activation on it?

# %%
kinds = {"statement": r"\s+[-+*/|&]?=\s*", "argument": r"="}
able = {
    d: classes.eligible(found[d].acts, found[d].origin, min_positions, min_documents) for d in first
}
matching = {k: examples.tokens_matching(corpora.tokenizer, p) for k, p in kinds.items()}
answering = {
    k: {d: able[d] & (examples.activation_share(found[d], tokens) >= class_share) for d in first}
    for k, tokens in matching.items()
}
rows = [
    {
        "=": kind,
        **{style.MODEL_LABELS[d[:-2]]: int(mask.sum()) for d, mask in masks.items()},
        "universal": int(
            np.all([masks[d][chains[m]] for m, d in zip(MODELS, first, strict=True)], axis=0).sum()
        ),
    }
    for kind, masks in answering.items()
]
show_table(
    pd.DataFrame(rows),
    notes={"universal": "chains"},
    caption="Features of the seed 0 dictionaries by the = they answer to.",
)

# %%
to_others = selection.closest(found, able, first[0], first[1:], answering["statement"][first[0]])
nearest = None
if len(to_others.r) and to_others.r.shape[1] == len(first) - 1:
    number = to_others.r.min(axis=1).idxmax()
    nearest = pd.Series([number, *to_others.index.loc[number]], index=MODELS)
    nearest["min_r"] = to_others.r.min(axis=1).max()

# %% [markdown]
# {% set one, many = "case.argument.universal", "case.statement.universal" -%}
# {% if results[many] == 0 and results[one] > 0 and defined("case.statement.nearest_min_r") -%}
# So the universal feature is the one for named **arguments**. For assignment **statements**, the paper's
# example, the base has {{ count("case.statement.base") }} features and Lua
# {{ count("case.statement.lua") }}, and no chain leads through four models. It isn't that a model lacks
# them; each divides the work among several features, and each divides it differently. A larger
# dictionary splits features more finely {cite:p}`bricken2023monosemanticity`, so what is universal at
# one width need not be at another. The nearest (below) has a correlation of at least
# {{ number("case.statement.nearest_min_r") }} with its closest match in each of the other models.
# {%- elif results[many] > 0 -%}
# {{ count(many) }} {{ "chain is" if results[many] == 1 else "chains are" }} about assignment
# statements, the paper's example, and {{ count(one) }} about named arguments. Below is the nearest to
# a universal feature for statements, by its smallest correlation with another model.
# {%- else -%}
# Neither has a universal feature in this run.
# {%- endif %}


# %%
def meet(chain, heading):
    """A chain in short: where, r of every pair, effects, one strong and one random context."""
    display(cards.heading(heading))
    display(cards.where_table(known, members(chain)), pairwise(chain))
    display(cards.logit_table(known, members(chain)))
    own_contexts(chain, top=1, random=1)


if nearest is not None:
    meet(nearest, "Nearest to a universal feature for assignment statements")

# %% [markdown]
# ## Two more, of other classes
#
# Of the other classes in the table, the two whose best chain has the largest weakest link, shown in
# the same way but shorter: one strongest and one random context for each model.

# %%
others = sorted(
    (c for c, n in counts.items() if n and c != "assignment"), key=lambda c: -best[c]["min_r"]
)[:2]

# %% tags=["hide-input"]
for name in others:
    meet(best[name], f"The class “{name}”")

# %% [markdown]
# {% if results["case.other_classes"] == 0 -%}
# No chain belongs to any other class here.
# {%- endif %}
#
# ## One that answers to many tokens
#
# A feature that answers to one token might be called a copy of the vocabulary. So the last rule asks
# for the opposite: among the universal chains none of whose features is dense, the one that answers to
# the *most different* tokens. How many those are is measured by the perplexity of the feature's
# activation over tokens (e to the entropy of the shares): a feature of ten equally strong tokens has
# 10. The smallest of a chain's four counts.

# %%
spread = chains.assign(
    tokens=np.min(
        [
            examples.effective_tokens(known.shares[d])[chains[m]]
            for m, d in zip(MODELS, first, strict=True)
        ],
        axis=0,
    ),
    density=np.max(
        [selection.density(found[d].acts)[chains[m]] for m, d in zip(MODELS, first, strict=True)],
        axis=0,
    ),
)
spread = spread[spread["density"] <= max_density].sort_values("tokens", ascending=False)

# %% tags=["hide-input"]
if len(spread):
    meet(spread.iloc[0], "Most different tokens")

# %% [markdown]
# Many tokens may still be of one kind. So the same question as above is put for classes and for
# plain forms of words: on which of them do all four features put the most of their activation?

# %%
kinds_of_token = {**selection.TOKEN_CLASSES, **selection.FORMS}
matching = {
    kind: examples.tokens_matching(corpora.tokenizer, pattern)
    for kind, pattern in kinds_of_token.items()
    if len(spread)
}
on_kind = pd.DataFrame(
    {
        "kind of token": list(matching),
        "all four": [
            universal.share_in_all(of_model, spread.iloc[0], tokens) for tokens in matching.values()
        ],
        "all tokens": [tokens[of_model["base"].tokens].mean() for tokens in matching.values()],
    }
).sort_values("all four", ascending=False)
show_table(
    on_kind.head(3),
    {"all four": ".0%", "all tokens": ".0%"},
    notes={"all four": "of the activation, at least", "all tokens": "of the mix"},
    caption="Where the activation of this chain's features falls.",
)

# %% tags=["remove-cell"]
operators = examples.tokens_matching(corpora.tokenizer, selection.TOKEN_CLASSES["assignment"])
on_operators = {d: examples.activation_share(f, operators) >= class_share for d, f in found.items()}
qualified = [
    names
    for names, group in every_chain.groupby("dictionaries")
    if np.all(
        [on_operators[d][group[m]] for m, d in zip(MODELS, names.split(), strict=True)], axis=0
    ).any()
]
in_classes = np.any([table["share"] >= class_share for table in by_class.values()], axis=0)

# %% tags=["remove-cell"]
results = {
    "case.chains": len(chains),
    "case.chains_in_classes": in_classes.sum(),
    "case.other_classes": len(others),
    "case.assignment.chains": counts["assignment"],
    "case.assignment.combinations": len(qualified),
    "case.spread.tokens": spread["tokens"].iloc[0] if len(spread) else None,
    "case.spread.median": spread["tokens"].median() if len(spread) else None,
    "case.spread.min_r": spread["min_r"].iloc[0] if len(spread) else None,
    "case.spread.on_kind": on_kind["all four"].iloc[0] if len(spread) else None,
    "case.spread.kind_in_mix": on_kind["all tokens"].iloc[0] if len(spread) else None,
    "case.class_share": class_share,
}

# %% tags=["remove-cell"]
for kind, row in zip(kinds, rows, strict=True):
    results[f"case.{kind}.universal"] = row["universal"]
    results |= {f"case.{kind}.{m}": row[style.MODEL_LABELS[m]] for m in MODELS}
results["case.statement.nearest_min_r"] = None if nearest is None else nearest["min_r"]
if assignment is not None:
    strengths = found[first[0]].acts[:, [int(assignment["base"])]].data
    results["case.assignment.weak"] = np.mean(strengths < strengths.max() / 10)
    heights = universal.peaks(of_model, assignment).values()
    results["case.assignment.peak_ratio"] = max(heights) / min(heights)
    results |= {f"case.assignment.{key}": assignment[key] for key in ("share", "min_r", *MODELS)}
store.write_results(run, "case-study", results)

# %% [markdown]
# {% if defined("case.spread.tokens") -%}
# It answers to {{ number("case.spread.tokens", 0) }} tokens in this sense, where the median chain
# answers to {{ number("case.spread.median", 1) }}; its weakest link correlates at
# {{ number("case.spread.min_r") }}.
# {% if results["case.spread.on_kind"] >= results["case.class_share"] -%}
# And yet it answers to a kind: each of the four puts at least {{ share("case.spread.on_kind", 0) }} of
# its activation on the first row's, which are {{ share("case.spread.kind_in_mix", 0) }} of all tokens.
# They differ as strings and share a form, and the model has seen it.
# {%- else -%}
# None of our kinds holds as much as {{ share("case.class_share", 0) }} of it in all four. What its
# tokens have in common is for the reader to say.
# {%- endif %}
# {%- else -%}
# There is no such chain in this run.
# {%- endif %}
#
# ## What we learned
#
# | | paper, Figure 3 | ours | with other dictionaries | why they differ |
# |---|---|---|---|---|
# | assignment | a feature for variable assignment is found in all four models | {% if results["case.chains"] == 0 %}no universal feature at all{% elif results["case.assignment.chains"] > 0 %}{{ count("case.assignment.chains") }}: {{ count("case.statement.universal") }} for statements, {{ count("case.argument.universal") }} for named arguments; weakest link r = {{ number("case.assignment.min_r") }}{% else %}none at this threshold{% endif %} | in {{ count("case.assignment.combinations") }} of {{ count("track.seed_combinations") }} choices | another corpus and size; one dictionary per model there, and a feature chosen by the authors, here by rule |
# | others | not shown | {{ count("case.other_classes") }} more by class{% if defined("case.spread.tokens") %}, and one of many tokens{% endif %} | not sought | |
#
# {% if results["case.statement.universal"] > 0 -%}
# A feature that answers to assignment statements is found in all four models: fine-tuning did not have
# to reinvent it.
# {% elif results["case.assignment.chains"] > 0 -%}
# The feature shown is found in all four models: fine-tuning did not have to reinvent it. But its name
# is ours. Called after its class it would pass for the paper's example; one more question to the data
# made it a feature for named arguments.
# {% endif -%}
# {% if results["case.chains"] > 0 -%}
# {% if defined("case.spread.median") -%}
# The median universal chain answers to {{ number("case.spread.median", 1) }} tokens
# {%- if results["case.spread.median"] < 5 %}: most of what is universal here is about single tokens, and
# that should temper any talk of shared *concepts*{% endif %}.
# {%- endif %}
# {%- else -%}
# The paper shows a universal feature; at this size and threshold we can't.
# {%- endif %}
#
# :::{admonition} Exercise
# :class: tip
# Write a rule for another universal feature, say one for `return`, and look at its contexts.
# :::
#
# :::{dropdown} Answer
# Give `class_chains` a pattern of your own, such as `r'\s*return'`, in place of the one it looks up.
# If the share stays low, look at which tokens share the feature: a dictionary of this size often puts
# words that *begin a statement* together.
# :::
#
# :::{admonition} Exercise
# :class: tip
# Look at the random contexts of the feature for assignment. Would you have called it that, had you
# seen only these?
# :::
#
# :::{dropdown} Answer
# The strongest contexts show what a feature is at its clearest. Where it is weakly active it may do
# something else, and most of the places where a feature is active are weak. An interpretation has to
# be scored on both, which a later chapter does.
# :::
