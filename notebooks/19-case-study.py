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
# # Meeting features in all models
#
# Numbers about features are hard to believe without having met one. {cite:t}`horn2025tracking` show in
# their Figure 3 a feature for *variable assignment*, found in all four of their models. We look for
# ours by a rule, not by eye, and ask what it really answers to.
#
# :::{admonition} What you will learn
# :class: note
# - how a feature is chosen by rule, so that nobody's taste decides what is shown;
# - how to read a feature: its tokens, its contexts, its effect on the next token;
# - why a feature's name should say what it answers to, not what we hoped for.
#
# You need the [chapter on tracking](tracking). Reading takes fifteen minutes, computing less than one.
# :::

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
from IPython.display import display

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features
from featrack_utils.display import cards, style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import count, listed, number, percent, say
from featrack_utils.interpretation import contexts, selection
from featrack_utils.lineage import label
from featrack_utils.matching import fates
from featrack_utils.matching.best_matches import open_matches
from featrack_utils.pipeline import store

# %% tags=["parameters"]
run_dir = "runs/quick"
root_seeds = 3  # dictionaries of the first model; paper: 1
other_seeds = 2  # of every other model; paper: 1
context = 128  # tokens; paper: 256
class_share = 0.5  # of a feature's activation must fall on a class's tokens
max_density = 0.1  # of all tokens, above which a feature is dense
seed = 1337  # of the random contexts

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
matches = open_matches(run)
found = features.open_features(run, lineage, root_seeds, other_seeds)
first = {model: f"{model}-0" for model in lineage.order}
root = first[lineage.root]
universal = store.opened(run / "tracking") / "universal.csv"
chains = fates.read_chains(universal, lineage, list(first.values()))

# %% [markdown]
# ## The rule
#
# A *class* is a set of tokens, given by a pattern that a whole token must match. A universal chain
# (a feature of each model, linked by correlations above τ) belongs to a class if each of its
# features puts at least half of its activation, on the whole evaluation mix, on the class's tokens.
# The class of the paper's example is *assignment*: `=` with or without spaces, or one of `+=`, `-=`
# and their like; `==` is not one.

# %%
known = cards.read_known(run, lineage, corpora, found)


def matching(pattern):
    """Which tokens of the vocabulary a pattern matches."""
    return contexts.tokens_matching(corpora.tokenizer, pattern)


def share_in_all(table, tokens, names):
    """For each chain, the smallest share of activation that its features put on some tokens."""
    by_model = zip(lineage.order, names, strict=True)
    return np.min([(known.shares[n].T @ tokens)[table[m]] for m, n in by_model], axis=0)


def of_class(pattern):
    """The chains that belong to a class of tokens, best linked first."""
    chosen = chains[share_in_all(chains, matching(pattern), first.values()) >= class_share]
    return chosen.sort_values("min_r", ascending=False)


in_class = {kind: of_class(pattern) for kind, pattern in selection.TOKEN_CLASSES.items()}
ranked = sorted(
    filter(lambda k: len(in_class[k]), in_class), key=lambda k: -in_class[k]["min_r"].max()
)

# %% [markdown]
# A dictionary may hold several copies of one feature, and each makes a chain of its own. Copies are
# features of one dictionary that match *each other* above τ. Chains that start from copies are one
# finding, so we count them once.


# %% tags=["hide-input"]
def distinct(table):
    """How many chains there are if those that start from copies count as one."""
    return len(np.unique(matches.copies[root].group[table[lineage.root]]))


def members(chain):
    """The features of a chain, one of each model."""
    return [cards.Feature(first[model], int(chain[model])) for model in lineage.order]


overview = pd.DataFrame(
    [[k, len(in_class[k]), distinct(in_class[k]), in_class[k]["min_r"].max()] for k in ranked],
    columns=["class", "chains", "distinct", "weakest link"],
)
overview["in the explorer"] = [cards.linked(members(in_class[k].iloc[0])[0]) for k in ranked]
show_table(
    overview.head(7),
    {"weakest link": ".2f"},
    notes={"distinct": "copies once", "weakest link": "r, of the best", "in the explorer": "best"},
    caption="Universal chains of the seed 0 dictionaries by class of token, best linked first.",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"There are {count(len(chains))} universal chains, {count(distinct(chains))} with copies counted "
    f"once, of which {count(distinct(pd.concat(in_class.values())))} belong to a class."
    if len(chains)
    else "In this run **no feature is universal**, so there is none to show. A lower threshold "
    "(`tracking.tau`) or longer training of the dictionaries brings some."
)

# %% [markdown]
# ## One feature in full
#
# We show the best linked chain of the paper's class. If there is none, or if no model reads Python,
# it is the best linked chain of any class. And since a chain depends on the dictionaries that one
# happens to have, we count in how many choices of dictionaries the paper's class has one.

# %%
python = "python" in lineage.domains
kind = "assignment" if python and "assignment" in ranked else next(iter(ranked), None)
case = in_class[kind].iloc[0] if kind else None
operators = matching(selection.TOKEN_CLASSES["assignment"])
choices = fates.read_chains(universal, lineage).groupby("dictionaries")
holding = sum(
    (share_in_all(table, operators, names.split()) >= class_share).any() for names, table in choices
)
ways = root_seeds * other_seeds ** (len(lineage.order) - 1)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
assigning = distinct(in_class["assignment"])
say(
    f"Distinct chains in the class of assignment: {count(assigning)} with the seed 0 dictionaries. "
    f"There are {count(ways)} ways to pick one dictionary for each model, and in {count(holding)} of "
    "them a chain belongs to the class."
    if python
    else "No model of this lineage reads Python, so the paper's example isn't asked for.",
    "" if case is not None else "No chain of any class is found, so the figures below are missing.",
)

# %% [markdown]
# What does each of the chain's features answer to, on which text, and what does it do to the next
# token? A feature's *effect on the logits* is the direction that it adds to the residual stream,
# read through the final norm's gain and the unembedding {cite:p}`bricken2023monosemanticity`.


# %%
if case is not None:
    display(cards.feature_table(known, members(case), caption="One universal chain."))

# %% [markdown]
# Then all of them on the **same text**: two places where the first model's feature is strongest, one
# where the last model's is, and two drawn at random from wherever the first is active at all, so
# that not only the flattering ones are seen. The shade is the activation, up to a feature's maximum.


# %%
def same_text(chain):
    """A chain's features on places that the first and the last of them choose."""
    chosen = members(chain)
    return cards.together(known, chosen, [(chosen[0], 2, 2), (chosen[-1], 1, 0)], seed)


if case is not None:
    display(same_text(case))


# %% [markdown]
# How alike are they? Here is the correlation of every pair, over all tokens of the mix. It is blind
# to scale: twice the activation everywhere leaves r alone. So the maximum stands beside it.


# %%
def activations(feature):
    """One feature's activation at every position of the mix."""
    return found[feature.dictionary].acts[:, [feature.index]].toarray().ravel()


columns = {label(f.model): activations(f) for f in members(case)} if case is not None else {}
pairwise = pd.DataFrame(columns).corr().assign(maximum=[x.max() for x in columns.values()])
if columns:
    table = pairwise.rename_axis("r").reset_index()
    display(show_table(table, {"maximum": ".2g"}, notes={"maximum": "activation"}))

# %% tags=["remove-input"] jupyter={"source_hidden": true}
if columns:
    strength = columns[label(lineage.root)]
    weak = np.mean(strength[strength > 0] < strength.max() / 10)
    say(
        f"The random contexts are a warning. At {percent(weak)} of its places the first feature has "
        "less than a tenth of its maximum, and there it need not be about anything."
    )

# %% [markdown]
# ## Does it earn its name?
#
# The class gave the feature its name. A feature for *assignment* would be silent where the same token
# assigns nothing: in `~=` or `!=`, which a tokenizer may cut in two, or in a cookie's `sugar=wafer`.
# A feature for the *token* fires there, too. So we look at every place where the feature's strongest
# token stands, by domain, and at the character before it.

# %%
if columns:
    mix = found[root]
    (token,), _ = contexts.strongest_tokens(known.shares[root], members(case)[0].index, 1)
    places = np.flatnonzero(mix.tokens == token)
    places = places[places % (context - 1) > 0]  # with a token before it
    active = pd.Series(strength[places] > 0)
    domain = pd.Series(mix.domain[places]).map(dict(enumerate(lineage.domains)))
    before = pd.Series(corpora.pieces(mix.tokens[places - 1]), dtype=str).str[-1]
    compared = before.isin(list("~<>!="))

# %% tags=["remove-input"] jupyter={"source_hidden": true}
if columns:
    name = cards.in_prose(corpora.pieces([token])[0])
    where = [f"{percent(on.mean())} in {label(d)}" for d, on in active.groupby(domain, sort=False)]
    say(
        f"The token is {name}. It stands at {count(len(places))} places after another token, and "
        f"the feature is active at {percent(active.mean())} of them: {listed(where)}."
    )
if columns and kind == "assignment" and compared.any():
    say(
        f"At {count(compared.sum())} of these places a `~`, `<`, `>`, `!` or `=` stands before it, so "
        f"nothing is assigned. There the feature is active at {percent(active[compared].mean())}. "
        + (
            f"Its honest name is *the token* {name}, not assignment."
            if active[compared].mean() > 0.5
            else "So it does tell an assignment from a comparison."
        )
    )

# %% [markdown]
# ## One that answers to many tokens
#
# A feature of one token might be called a copy of the vocabulary. So the last rule asks for the
# opposite: among the universal chains without a dense feature, the one that answers to the *most
# different* tokens, by the perplexity of its activation over tokens (e to the entropy of the shares:
# ten equally strong tokens give 10). Of a chain we take the smallest of its features' counts.

# %%
effective = [contexts.effective_tokens(known.shares[n])[chains[m]] for m, n in first.items()]
density = [matches.positions[n][chains[m]] / len(found[n].tokens) for m, n in first.items()]
spread = chains.assign(tokens=np.min(effective, axis=0), density=np.max(density, axis=0))
spread = spread[spread["density"] <= max_density].sort_values("tokens", ascending=False)
widest, median = spread["tokens"].max(), spread["tokens"].median()
if len(spread):
    display(cards.feature_table(known, members(spread.iloc[0])), same_text(spread.iloc[0]))

# %% tags=["remove-input"] jupyter={"source_hidden": true}
if len(spread):
    say(
        f"It answers to {number(widest, 0)} tokens in this sense, the median chain to "
        f"{number(median, 1)}. What they have in common is for the reader to say; it may be a mere form."
    )

# %% tags=["remove-cell"]
results = {
    "case.chains": len(chains),
    "case.chains_distinct": distinct(chains),
    "case.assignment.distinct": assigning,
    "case.assignment.combinations": holding,
    "case.combinations": ways,
    "case.spread.tokens": widest if len(spread) else None,
    "case.spread.median": median if len(spread) else None,
}
if columns:
    name = "case.assignment" if kind == "assignment" else "case.other"
    results |= {f"{name}.{key}": case[key] for key in (*lineage.order, "min_r")}
    results |= {f"{name}.active_on_token": active.mean(), f"{name}.weak": weak}
store.write_results(run, "case-study", results)

# %% [markdown]
# ## What we learned

# %% tags=["hide-input"]
row = {
    "question": "features for assignment in all models",
    "paper, Figure 3": "one, chosen by its authors",
    "ours, by rule": f"{count(assigning)} distinct" if python else "not asked",
    "with other dictionaries": f"in {count(holding)} of {count(ways)} choices",
    "why they differ": "another corpus and size; one dictionary per model there",
}
show_table(pd.DataFrame([row]))

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"The first feature shown is found in all {len(lineage.order)} models: training did not have to "
    "reinvent it. Its name came from our rule; what it answers to came from the data."
    if columns
    else "At this size and threshold we can't show a universal feature of a class.",
    f"The median universal chain answers to {number(median, 1)} tokens. The nearer that is to one, the "
    "more of what is universal is about single tokens, and the less about shared *concepts*."
    if len(spread)
    else "",
)

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# Python's style puts spaces around the `=` of a statement, and none around the `=` that gives an
# argument its name or default: different tokens. How many distinct universal chains answer to either?
# :::
#
# :::{dropdown} Answer
# `distinct(of_class(r"\s+[-+*/|&]?=\s*"))` for statements, `distinct(of_class("="))` for arguments. Where
# one has none, its models divide the work among several features, each in its own way: a larger
# dictionary splits more finely, so what is universal at one width need not be at another.
# :::
#
# :::{admonition} Exercise 2
# :class: tip
# Look at the random contexts of the first feature. Would you have given it this name, had you seen
# only these?
# :::
#
# :::{dropdown} Answer
# The strongest contexts show a feature at its clearest; where it is weak it may do something else. An
# interpretation has to be scored on both, as [a later chapter](interpretation) does.
# :::
