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
# # What the published code measures
#
# {cite:t}`horn2025tracking` share their code and models, which made this book possible. Their code
# makes choices that the paper's text doesn't mention, and that anyone might have made. These are
# replication notes. Each choice is a switch of ours, written from what the code does. We turn on one at
# a time, on our models and dictionaries, and set the share beside the {term}`ceiling` and the
# {term}`floor` that the same way of counting gives.
#
# **You will learn** which choices move a share, and which move what it stands beside. **You need**
# [ceilings and floors](ceilings). **It takes** 15 minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import textwrap

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy import sparse
from scipy.stats import beta

from featrack_utils.dictionaries import features, training
from featrack_utils.display import style
from featrack_utils.display.text import check, number, percent, points, say, show, with_interval
from featrack_utils.lineage import label
from featrack_utils.matching import best_matches
from featrack_utils.matching.classes import eligible
from featrack_utils.matching.correlation import correlations, string_correlations, string_means
from featrack_utils.pipeline import store
from featrack_utils.statistics.bootstrap import resample
from featrack_utils.statistics.intervals import Shares
from featrack_utils.statistics.persistence import Persistence, persistence

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the bootstrap
root_seeds = 3  # dictionaries of the first model; paper: 1
other_seeds = 2  # of every other model; paper: 1
control_draws = 3  # models with a random MLP for each child; paper: none
tau = 0.8  # correlation above which two features match; paper: 0.8
rule = "best"  # of the matches in the flow diagram; paper: best match
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
interval_draws = 40  # bootstrap draws over groups of documents; the chapter on ceilings takes more

# %% [markdown]
# ## What the code does, and where
#
# All lines are in the authors' public repository [`nilq/feature-dynamics`](https://github.com/nilq/feature-dynamics),
# at the commits named. We have read them and haven't run them here. Its history holds two scripts that
# compare features, and the paper's text doesn't say which its figures come from:
#
# - `evaluation/autoencoder/correlation.py` correlates **mean activations on token strings**. A feature
#   becomes its mean activation on each string where it is active (lines 33–34 at `1c15844`). Two features
#   correlate over the strings on which both were active (47–52), and two strings are enough (54). At
#   `aaa4faa` the strings on which a feature is silent count as zeros instead (38–39). The features come
#   from the model's own activations (`evaluate.py`, 364–365 at `aaa4faa`).
# - `evaluation/autoencoder/compare.py` correlates **over positions**. A hook that puts the dictionary's
#   reconstruction in the activations' place is registered (`evaluate.py`, 185 at `25a06c5`) and stays
#   while features are computed (`compare.py`, 61–65 and 83–89 at `e233220`). So the features are those of
#   **reconstructions**.
#
# Both count all features, however rare. So "the paper's criterion" has three readings: by its **text**
# (activations correlate above 0.8), and by its **code**, over strings or over positions. Further:
#
# - All four dictionaries have **one seed**, 1337 (line 9 of each
#   `experiments/training/autoencoders/baby-python-*/mlp_out__*_lr1e-4.toml` at `350e653`).
# - Three correlations pair files of **different corpora**: `lua_vs_slerp.toml` and
#   `TinyStories_vs_slerp.toml` in `experiments/correlation/baby-python` (lines 2–3 at `2626853`), and
#   `tiny-stories/TinyStories_vs_slerp.toml` (2–3 at `aaa4faa`).
# - A filter on pairs in `compare.py` (332–335 at `e233220`) asks whether a name such as `lua/123` (made in
#   line 299) equals `lua`. It never does, so no pair passes.
#
# More choices act while dictionaries learn, and aren't among our switches. In
# `models/sparse_autoencoder/model.py` at `25a06c5` the decoder, whose weight has one *column* a feature
# (105–110), is normalised along its rows (148–150). L1 is summed over dimension 1 (266), which is the
# tokens of a block in batches of blocks. Ghost gradients use a loss (251) that is computed only
# afterwards (260), so that the branch can't run. One dictionary of four has ten times the L1 coefficient
# (line 12 of the TinyStories file, 3e-3, against 3e-4 in the others, at `350e653`).
#
# ## One pair of dictionaries
#
# We compare a dictionary of the first model with one of its first child. Another dictionary of the
# first model gives the ceiling, the child with a {term}`random MLP` the floor. A second, much weaker
# check lets the child read *other documents*: no way of counting should find anything there.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
root, child = lineage.edges[0]
names = features.dictionary_names(lineage, root_seeds, other_seeds)
PARENT, AGAIN = names[root][0], names[root][-1]
OTHER_SEED = {"child": names[child][-1], "random MLP": f"{child}.mlp-{control_draws - 1}"}
ONE_SEED = {"child": names[child][0], "random MLP": f"{child}.mlp-0"}
found = features.open_named(run, {PARENT, AGAIN, *OTHER_SEED.values(), *ONE_SEED.values()})
able = {n: eligible(f.acts, f.origin, min_positions, min_documents) for n, f in found.items()}
pair = style.pair_label(root, child)


def unchanged(parent, other):
    return parent, other


# %%
def looks(of=OTHER_SEED, change=unchanged, every=False):
    """The parent and those it is compared with, each changed with it; and who may be judged."""
    parts = {"again": AGAIN, **of, "other documents": of["child"]}
    sides, masks = {"parent": change(found[PARENT], found[PARENT])[0]}, {"parent": able[PARENT]}
    for part, name in parts.items():
        sides[part], masks[part] = change(found[PARENT], found[name])[1], able[name]
    sides["other documents"] = features.other_documents(sides["other documents"])
    if every:
        masks = {part: np.ones_like(mask) for part, mask in masks.items()}
    return sides, masks


# %% [markdown]
# We start from our way of counting: dictionaries of different seeds, correlation over all token
# positions, and only features that are active often enough to be judged. Intervals come from groups
# of documents resampled with replacement, with every match made again.

# %%
FLOORS = {"random_mlp": "random MLP", "other_documents": "other documents"}
kept, texts, strings = {}, {}, {}


def count_positions(name, text, **choice):
    """One way to count, with correlation over positions."""
    sides, masks = looks(**choice)
    sample = resample(
        {part: [one] for part, one in sides.items()},
        [tau],
        tau=tau,
        replicates=interval_draws,
        seed=seed,
        eligible_features={part: [mask] for part, mask in masks.items()},
    )
    texts[name] = text
    kept[name] = persistence(sample, "parent", "child", ceiling="again", floors=FLOORS)


# %%
count_positions("ours", "our way")
count_positions("one_seed", "one seed for both", of=ONE_SEED)
count_positions("no_eligibility", "rare features count", every=True)

# %% [markdown]
# ## Correlation over token strings
#
# With $m_i(s)$ the mean activation of feature $i$ on the token string $s$ where it is active, and
# $S_{ij}$ the strings on which both features were active,
#
# $$r_{ij} = \operatorname{corr}_{s \in S_{ij}} \bigl(m_i(s), m_j(s)\bigr).$$
#
# For one feature of the parent and its best match in the child this takes a few lines of pandas. We take
# the match that rests on most strings:


# %%
def means_by_string(features, feature):
    """Mean activation on each token string where the feature is active."""
    acts = pd.Series(features.acts[:, [feature]].toarray()[:, 0].astype(float))
    return acts[acts > 0].groupby(features.tokens[acts > 0]).mean()


one, other = found[PARENT], found[OTHER_SEED["child"]]
masks = {"eligible_a": able[PARENT], "eligible_b": able[OTHER_SEED["child"]]}
best, a_shared = string_correlations(one.acts, other.acts, one.tokens, **masks)
i = int(a_shared.argmax())
j = best.a_best_index[i]
m = pd.concat([means_by_string(one, i), means_by_string(other, j)], axis=1).dropna()
assert len(m) == a_shared[i]
assert np.isclose(np.corrcoef(m.to_numpy().T)[0, 1], best.a_best_r[i])

# %% [markdown]
# These rows have no interval. Resampling would drop a third of the documents, and some token strings
# with them, which changes this measure by itself.


# %%
def shares_of(counted):
    """Shares, ceiling and floors of one way to count, as counted."""
    shares = {
        part: Shares(np.array([tau]), np.array([share]), np.empty((0, 1)))
        for part, share in counted.items()
    }
    floors = {name: shares[part] for name, part in FLOORS.items()}
    return Persistence(shares["child"], shares["again"], floors, tau)


def count_strings(name, text, **choice):
    """One way to count, with correlation over token strings."""
    sides, masks = looks(**choice)
    parent, asked, counted = sides.pop("parent"), masks.pop("parent"), {}
    for part, one in sides.items():
        both = {"eligible_a": asked, "eligible_b": masks[part]}
        told, behind = string_correlations(parent.acts, one.acts, parent.tokens, floor=0.99, **both)
        who = told.a_candidates
        counted[part] = (told.a_best_r[who] > tau).mean() if who.any() else np.nan
        if part == "child":
            strings[name] = float(np.median(behind[who])) if who.any() else np.nan
    texts[name], kept[name] = text, shares_of(counted)


# %%
count_strings("definition_a", "over token strings")

# %% [markdown]
# The script's other version, at `aaa4faa`, correlates over all strings, those on which a feature is
# silent included:


# %%
def count_strings_with_zeros(name, text):
    sides, masks = looks()
    means = {p: sparse.csr_matrix(string_means(f.acts, f.tokens)) for p, f in sides.items()}
    counted = {}
    for part in set(sides) - {"parent"}:
        both = {"eligible_a": masks["parent"], "eligible_b": masks[part]}
        told = correlations(
            means["parent"].astype(np.float32), means[part].astype(np.float32), **both
        )
        counted[part] = (told.a_best_r[told.a_candidates] > tau).mean()
    texts[name], kept[name] = text, shares_of(counted)


count_strings_with_zeros("strings_with_zeros", "over token strings, silent ones as zeros")

# %% [markdown]
# ## Reconstructions, and other corpora
#
# For `compare.py` we encode each dictionary's own reconstruction again. For the three configurations
# the parent reads the texts that its model was trained on, the child all others: over positions such
# features can't match, for they share none; by token strings they can.


# %%
@torch.no_grad()
def of_reconstruction(name):
    """Features of a dictionary's own reconstruction of the model's activations."""
    sae, acts = training.load_sae(store.opened(run / "saes" / name)), found[name].acts
    parts = (torch.from_numpy(acts[n : n + 4096].toarray()) for n in range(0, acts.shape[0], 4096))
    again = [sparse.csr_matrix(sae.encode(sae.decode(part)).numpy()) for part in parts]
    return found[name]._replace(acts=sparse.vstack(again, format="csr"))


def only(features, rows):
    """The same features, silent on all other token positions."""
    acts = sparse.csr_matrix(sparse.diags_array(rows.astype(np.float32)) @ features.acts)
    acts.eliminate_zeros()
    return features._replace(acts=acts)


again = {id(found[name]): of_reconstruction(name) for name in found}
first_texts = [lineage.domains.index(domain) for domain in lineage.trained_on(root)]


def reconstructed(parent, other):
    return again[id(parent)], again[id(other)]


def across(parent, other):
    first = np.isin(parent.domain, first_texts)
    return only(parent, first), only(other, ~first)


count_positions("reconstructions", "features of reconstructions", change=reconstructed)
count_strings("other_corpora_a", "different corpora, over token strings", change=across)

# %% [markdown]
# Last, each of the two scripts as a whole: one seed, rare features, and its own correlation.

# %%
count_positions(
    "by_compare", "by its code, compare.py", of=ONE_SEED, change=reconstructed, every=True
)
count_strings("by_correlation", "by its code, correlation.py", of=ONE_SEED, every=True)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
figure = Figure(figsize=(style.WIDTH, 0.9 + 0.5 * len(kept)), layout="constrained")
axis = figure.subplots()
TICKS = {
    "ceiling": ("black", 2),
    "random MLP": ("#888888", 3),
    "other documents": ("#cccccc", 3),
}
for place, each in enumerate(kept.values()):
    ends = [each.ceiling(), *(each.floor(name) for name in FLOORS)]
    axis.hlines(place, ends[1].estimate, ends[0].estimate, color="#bbbbbb", lw=1)
    for end, (colour, width) in zip(ends, TICKS.values(), strict=True):
        axis.vlines(end.estimate, place - 0.3, place + 0.3, color=colour, lw=width)
    middle, low, high = each.share()
    axis.hlines(place, low, high, color=style.colour_of(child), lw=3)
    axis.plot(middle, place, "o", ms=8, color=style.colour_of(child), mec="white", zorder=3)
axis.set_yticks(range(len(kept)), [textwrap.fill(text, 22) for text in texts.values()], fontsize=10)
axis.set(ylim=(len(kept) - 0.5, -0.5), xlim=(-0.02, 1.02), xlabel="parent's features found")
axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
axis.grid(axis="y", visible=False)
axis.plot([], [], "o", ms=8, color=style.colour_of(child), label="found in the child")
for name, (colour, width) in TICKS.items():
    axis.plot([], [], "|", color=colour, ms=12, mew=width, label=name)
figure.legend(loc="outside upper center", ncols=2)
show(
    figure,
    f"Share of the parent's features found along {pair}, one choice changed in each row and the two "
    "scripts as a whole at the bottom, beside the ceiling and the floors counted in the same way. Bars "
    "are 95 % intervals where there are any.",
    "fig-published",
    "One row for each choice: share, ceiling and floors",
)

# %% [markdown]
# ## Reading the figure

# %% tags=["remove-input"] jupyter={"source_hidden": true}
ROOM = 0.05  # between floor and ceiling


def between(each):
    """Where a share lies between its ends, in words."""
    share, top, low = (f().estimate for f in (each.share, each.ceiling, each.floor))
    if top < low:
        return "the floor lies above the ceiling, so that nothing can be told between them"
    if not top - low > ROOM:
        return f"floor and ceiling lie within {points(ROOM)} of each other"
    place = each.rescaled() if np.isfinite(each.share().low) else (share - low) / (top - low)
    words = percent(place) if isinstance(place, float) else with_interval(place)
    return f"{words} of the way from floor to ceiling"


ours, by_strings = kept["ours"], kept["definition_a"]
say(
    f"**By the paper's text**, over positions, {with_interval(ours.share())} are found in "
    "{numref}`fig-published`: " + f"{between(ours)}.",
    f"**Over token strings**, {percent(by_strings.share().estimate)} are found. The ceiling is "
    f"{percent(by_strings.ceiling().estimate)}, and the floor, with a random MLP, "
    f"{percent(by_strings.floor().estimate)}: {between(by_strings)}. Even where the child reads other "
    f"documents {percent(by_strings.floor('other_documents').estimate)} are found. With few strings in "
    f"common a high correlation comes easily. (The median best one rests on "
    f"{number(strings['definition_a'], 0)} strings; where rare features count, on "
    f"{number(strings['by_correlation'], 0)}. Any two points lie on a line.) With silent strings as zeros "
    f"{percent(kept['strings_with_zeros'].share().estimate)} are found, and with a random MLP "
    f"{percent(kept['strings_with_zeros'].floor().estimate)}.",
    f"**Reconstructions.** Of their features {with_interval(kept['reconstructions'].share())} are found "
    f"over positions, beside a floor of {percent(kept['reconstructions'].floor().estimate)}.",
    f"**By its code**, `compare.py` as a whole finds {with_interval(kept['by_compare'].share())}; "
    f"{between(kept['by_compare'])}. `correlation.py` finds "
    f"{percent(kept['by_correlation'].share().estimate)}; {between(kept['by_correlation'])}.",
    f"**Other corpora.** {percent(kept['other_corpora_a'].share().estimate)} are “found” over token "
    "strings in a child that reads none of the parent's text.",
)

# %% [markdown]
# ## The paper's own counts
#
# We could not read the counts of the paper's Figure 2. What can be cited is an intermediate file of the
# authors: `data/flow/all_models_flow.json` at `fe0cf0c`, five months before the paper. It lists 462 flows
# of 16,384 base features. Of these, 456 lead into TinyStories, to 233 different features, and 405 into
# the merged model, to 187. None leads into Lua, which isn't in the file. Its form is that of a third
# comparison in `compare.py` (`correlate_feature_activations`, from line 354 at `e233220`), which sums
# differences of activations and is no correlation.
#
# We count the same in [our own flow diagram](tracking): how many features of the first model have a match
# in a child, and how many different children there are to a match.

# %%
AUTHORS_FLOWS = {"flows": 456, "features": 16_384, "children": 233}  # base to TinyStories
matches = best_matches.open_matches(run)
from_root = {}
for model in (b for a, b in lineage.edges if a == root):
    partner = matches.tracking(PARENT, names[model][0], tau, rule).parent_partner
    matched = partner[partner >= 0]
    from_root[model] = {
        "matched": len(matched) / len(partner),
        "children": len(np.unique(matched)) / max(len(matched), 1),
    }

# %% tags=["remove-input"] jupyter={"source_hidden": true}
theirs = AUTHORS_FLOWS["flows"] / AUTHORS_FLOWS["features"]
per_match = AUTHORS_FLOWS["children"] / AUTHORS_FLOWS["flows"]
shares, children = ([one[part] for one in from_root.values()] for part in ("matched", "children"))
say(
    f"In the authors' file {percent(theirs, 1)} of the base's features have a match in TinyStories, and "
    f"there are {number(per_match)} different children to a match: half of the matches share theirs. In "
    f"our diagram {percent(min(shares))} to {percent(max(shares))} of {label(root)}'s features have a match "
    f"in a child, with {number(min(children))} to {number(max(children))} children to a match. The two "
    "don't compare: theirs is another measure, on a larger model and at a threshold that we don't know.",
)

# %% tags=["remove-cell"]
results = {
    "published.rare": sum(
        int((f.acts.getnnz(axis=0) > 0)[~able[n]].sum()) for n, f in found.items()
    )
}
for model, counted in from_root.items():
    results |= {f"track.{root}_{model}.flow.{name}": x for name, x in counted.items()}
for name, each in kept.items():
    results |= each.as_results(f"published.{name}.share")
results |= {f"published.{name}.strings": n for name, n in strings.items() if np.isfinite(n)}
ends = {}
for word in ("share", "ratio"):
    values = [getattr(each, word)().estimate for each in kept.values()]
    values = [value for value in values if np.isfinite(value)] or [np.nan]
    ends[word] = min(values), max(values)
    for end, value in zip(("lowest", "highest"), ends[word], strict=True):
        results[f"published.{end}.{word}_found"] = value if np.isfinite(value) else None
store.write_results(run, "published", results)

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
share_ends, ratio_ends = (" to ".join(map(percent, ends[word])) for word in ("share", "ratio"))
say(
    "None of these choices is odd by itself, and the paper's question stands. But of one and the same "
    f"pair of models, {label(root)} and {label(child)}, the share found runs from {share_ends} "
    f"with the way of counting, and share / ceiling from {ratio_ends}. A share without the choices "
    "behind it, its ceiling and its floor is not a finding about models.",
    f"Over token strings a child whose MLP is random “keeps” {percent(by_strings.floor().estimate)}, "
    f"where {label(child)} keeps {percent(by_strings.share().estimate)}. "
    + (
        "That measure doesn't tell a model that remembers from one that never learned."
        if by_strings.floor().estimate >= by_strings.share().estimate
        else ""
    ),
)

# %% [markdown]
# What comes next: [features one by one](case-study).
#
# :::{admonition} Exercise 1
# :class: tip
# How high does $r$ come by chance alone? Draw many pairs of $n$ independent normal numbers, for $n = 3$
# and $n = 30$, and give the two shares of pairs with $r > \tau$.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
# r's exact distribution: (1 + r) / 2 follows a beta distribution with both parameters n / 2 − 1.
by_chance = [float(beta(n / 2 - 1, n / 2 - 1).sf((1 + tau) / 2)) for n in (3, 30)]

# %%
answer = ...  # [share for 3 strings, share for 30]
check(answer, by_chance, within=0.02)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
rng = np.random.default_rng(0)
answer = []
for n in (3, 30):
    x, y = rng.normal(size=(2, 20_000, n))
    x, y = (v - v.mean(axis=1, keepdims=True) for v in (x, y))
    r = (x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    answer.append((r > tau).mean())
check(answer, by_chance, within=0.02)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# Demand ten shared strings of every match by token strings. Which share of the parent's candidates keeps
# its best match above τ? There are `best.a_best_r`, `best.a_candidates` and `a_shared`.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
who = best.a_candidates
above, shared = best.a_best_r[who] > tau, a_shared[who]
with_ten = 1 - np.mean(~above | (shared < 10)) if who.any() else np.nan

# %%
answer = ...  # a share, from 0 to 1
check(answer, with_ten)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
enough = (best.a_best_r > tau) & (a_shared >= 10) & best.a_candidates
answer = enough.sum() / max(best.a_candidates.sum(), 1)
check(answer, with_ten)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# Suppose that every feature is found, in the child and in the parent's other dictionary. What tells you
# whether to be glad?
# :::
#
# :::{dropdown} Answer
# The floors. A measure that finds features in a child with a random MLP, or where the child reads other
# documents, finds them anywhere. A ratio of two shares near 100 % is near 100 % whatever happened to the
# model.
# :::
