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
# # Feature explorer
#
# **You will learn** to check a number about thousands of features against the features themselves,
# and to ask of a {term}`disappearing` one whether its own model has it twice.
# **You need** [the chapter on tracking](tracking).
# **It takes** ten minutes, or an evening.
#
# Here is every {term}`feature` of one {term}`dictionary` for each model (seed 0): what it fires on,
# how often and how strongly, what it does to the next token, what became of it in the other models,
# and how it was interpreted.

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
import base64
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries.features import open_features
from featrack_utils.display import explorer, page_models, style
from featrack_utils.display.text import check, count, number, percent, say
from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation import contexts, logit_effects, selection
from featrack_utils.lineage import label
from featrack_utils.matching import flow
from featrack_utils.matching.best_matches import FOLDER as MATCHING
from featrack_utils.matching.best_matches import open_matches
from featrack_utils.matching.classes import turned
from featrack_utils.pipeline import store

# %% tags=["parameters", "remove-cell"]
run_dir = "runs/quick"
context = 128  # tokens; paper: 256
seed = 1337  # of the contexts drawn at random
tau = 0.8  # correlation above which two features match; paper: 0.8

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
matches = open_matches(run)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
explorer.page(runs_models=not page_models.unfit(run, lineage))

# %% [markdown]
# :::{dropdown} How to use it
# - **Search** by a token, a word of an interpretation, or a feature's number.
# - **Filter and sort** by model, class, domain, {term}`density`, and correlation with the
#   {term}`best match` in another model or in the model's own other dictionary. A feature that is
#   active too rarely to be judged is {term}`unobserved`.
# - **Reproducible** features have a badge and a filter: every other dictionary of their own model
#   has them, too. What became of the others says little, for their own model may lack them as well.
# - **Copies** share a row. Press its button, or `c`, to see them all.
# - **A feature's page** shows its strongest contexts, each from another document, and others drawn
#   at random from wherever it is active: judge a feature by both. Its shade is the activation,
#   relative to the feature's peak.
# - **Every view has an address** of its own, which can be kept and shared.
# - It works with the keyboard alone, and on a phone.
# :::

# %% [markdown]
# What the page shows is gathered from the chapters before this one. Each feature has a row in the list:
# its class, densities, closest features elsewhere, tokens, words and place.


# %% tags=["hide-input"] jupyter={"source_hidden": true}
class Contents(NamedTuple):
    """What the explorer shows of each model's first dictionary; all but the last two by model."""

    features: dict  # activations on the evaluation mix
    best: dict  # best matches by (earlier, later) model
    own: dict  # each feature's r as `own_r` has it
    copies: dict  # number of each feature's group of copies; −1: can't be judged
    logits: dict  # the tokens that it raises and lowers
    about: pd.DataFrame  # columns model, feature, explanation, simulation_r, x, y, cluster
    vocabulary: list  # text of each token


def own_r(matches):
    """Each first dictionary's features' best r in every other dictionary of their own model.

    The least over those dictionaries, NaN where one has none; models with one are left out.
    """
    return {
        model: selection.closest(matches.best, first, others).r.min(axis=1, skipna=False).to_numpy()
        for model, (first, *others) in matches.names.items()
        if others
    }


def read_contents():
    """What the explorer shows, gathered from the run."""
    found = open_features(run, lineage, root_seeds=1, other_seeds=1)
    logits = {
        model: logit_effects.top_logits(
            run / "models" / model, run / "saes" / f"{model}-0", explorer.LOGITS, lineage.site
        )
        for model in lineage.order
    }
    mapped = pd.read_parquet(store.opened(run / "map") / "map.parquet")
    said = pd.read_parquet(store.opened(run / "interpretation") / "interpretations.parquet")
    columns = ["model", "feature", "explanation", "simulation_r"]
    tokenizer = prepare.open_corpora(store.opened(run / "corpora"), context).tokenizer
    return Contents(
        features={model: found[f"{model}-0"] for model in lineage.order},
        best=flow.first_matches(lineage, matches),
        own=own_r(matches),
        copies={model: matches.copies[f"{model}-0"].group for model in lineage.order},
        logits=logits,
        about=mapped.merge(said[columns], how="left", validate="one_to_one"),
        vocabulary=contexts.vocabulary(tokenizer),
    )


def closest_in(best, model, other):
    """Each feature's best partner in another model, −1 for none, and its r, NaN for none."""
    one = best[model, other] if (model, other) in best else turned(best[other, model])
    return one.a_best_index, np.where(one.a_best_index >= 0, one.a_best_r, np.nan)


def kinds_of(best):
    """Classes as `flow` has them, but none is called lost or new that its line has further on.

    A root's feature that every child lacks may stand in a merge of them, and a merge's feature
    without a parent's may be the root's.
    """
    kinds = flow.classes(lineage, flow.tracked(lineage, best, tau))
    unmatched = [explorer.CLASSES.index(name) for name in ("disappearing", "emerging", "novel")]
    for model, numbers in kinds.items():
        line = set(lineage.order) if model == lineage.root else set(lineage.ancestors(model))
        there = [closest_in(best, model, other)[1] > tau for other in line - {model}]
        further = np.isin(numbers, unmatched) & np.any(there, axis=0)
        numbers[further] = explorer.CLASSES.index("elsewhere")
    return kinds


def rounded(values, digits=3):
    """Numbers of so many significant digits; None for a missing one."""
    return [None if pd.isna(value) else float(f"{value:.{digits}g}") for value in values]


def peaks(columns):
    """Each feature's largest activation; 0 if it is never active."""
    return columns.max(axis=0).toarray().ravel()


def index_of(contents, columns):
    """The list's rows as arrays, by model; `columns` are activations by feature."""
    best, kinds = contents.best, kinds_of(contents.best)
    chained = flow.in_chains(lineage, best, tau)
    rows = {}
    for model, found in contents.features.items():
        about = contents.about[contents.about["model"] == model].set_index("feature")
        about = about.reindex(np.arange(found.acts.shape[1]))
        own = contents.own.get(model, np.full(len(about), np.nan))
        shares = contexts.token_shares(found, len(contents.vocabulary))
        density = contexts.densities(columns[model], found.domain, len(lineage.domains))
        closest = {m: closest_in(best, model, m) for m in lineage.order if m != model}
        rows[model] = {
            "cls": kinds[model].tolist(),
            "universal": chained[model].astype(int).tolist(),
            "density": [rounded(row, 4) for row in density],
            "peak": rounded(peaks(columns[model]), 4),
            "match": {
                other: {"i": index.tolist(), "r": rounded(r)}
                for other, (index, r) in closest.items()
            },
            "top": [
                contexts.strongest_tokens(shares, i, explorer.TOP_TOKENS)[0].tolist()
                for i in about.index
            ],
            "own": rounded(own),
            "reproducible": (own > tau).astype(int).tolist(),
            "copies": contents.copies[model].tolist(),
            "text": about["explanation"].fillna("").tolist(),
            "sim": rounded(about["simulation_r"]),
            "xy": [rounded(place, 4) for place in about[["x", "y"]].to_numpy()],
            "cluster": about["cluster"].fillna(-1).astype(int).tolist(),
        }
    return rows


# %% [markdown]
# Beside the list stands the text that all features were measured on, and a feature's own page has its
# contexts, how strongly it is active, and the tokens that it raises and lowers.


# %% tags=["hide-input"] jupyter={"source_hidden": true}
STRONGEST = 6  # contexts of a feature, …
DRAWN = 3  # … and others drawn at random
LEVELS = 255  # of an activation, in parts of the feature's peak
BINS = 10  # of a histogram of activations


def as_base64(values, kind):
    return base64.b64encode(values.astype(kind).tobytes()).decode("ascii")


def meta_of(contents):
    """The models, the vocabulary and the text."""
    first = contents.features[lineage.root]
    token_bytes = 2 if len(contents.vocabulary) <= 1 << 16 else 4
    return {
        "format": explorer.FORMAT,
        "profile": run.name,
        "tau": tau,
        "d_sae": first.acts.shape[1],
        "width": context - 1,
        "models": [
            {
                "key": key,
                "label": label(key),
                "colour": style.colour_of(key),
                "parents": list(lineage.parents(key)),
            }
            for key in lineage.order
        ],
        "domains": list(lineage.domains),
        "classes": list(explorer.CLASSES),
        "vocab": list(contents.vocabulary),
        "token_bytes": token_bytes,
        "tokens": as_base64(first.tokens, f"<u{token_bytes}"),
        "block_domain": as_base64(first.domain[:: context - 1], "u1"),
    }


def relative(columns):
    """Each activation's share of its feature's peak, and that feature."""
    feature = np.repeat(np.arange(columns.shape[1]), np.diff(columns.indptr))
    return columns.data.astype(float) / peaks(columns)[feature], feature


def histograms(columns):
    """How many activations lie in each of ten equal bins from 0 to the feature's peak."""
    share, feature = relative(columns)
    bins = np.minimum((share * BINS).astype(int), BINS - 1)
    counts = np.bincount(feature * BINS + bins, minlength=columns.shape[1] * BINS)
    return counts.reshape(-1, BINS)


def packed_contexts(columns, origin):
    """Each feature's strongest contexts (c) and random ones (r), as the explorer reads them.

    A context is [centre, [offset, level, offset, level, …]]: the position shown in the middle and,
    by their distance from the first position shown, those where the feature is active.
    """
    rng = np.random.default_rng(seed)
    strongest = contexts.strongest_positions(columns, origin, STRONGEST)
    # In 255ths of the feature's peak, rounded up so that no activation becomes 0.
    level = np.ceil(relative(columns)[0] * LEVELS).astype(int)

    def packed(centre, active, strength):
        left, right = contexts.window(centre, context - 1)
        inside = slice(*np.searchsorted(active, (left, right)))
        pairs = np.column_stack([active[inside] - left, strength[inside]])
        return [centre, pairs.ravel().tolist()]

    found = []
    for top, (start, stop) in zip(strongest, pairwise(columns.indptr), strict=True):
        active, strength = columns.indices[start:stop], level[start:stop]
        drawn = rng.choice(active, min(DRAWN, active.size), replace=False)
        each = {"c": top[top != contexts.NOWHERE], "r": drawn}
        found.append(
            {k: [packed(c, active, strength) for c in v.tolist()] for k, v in each.items()}
        )
    return found


def details_of(columns, found, logits):
    """What the page of each of a model's features shows."""
    parts = {
        "h": histograms(columns).tolist(),
        "up": logits.up.tolist(),
        "down": logits.down.tolist(),
        "upv": [rounded(row) for row in logits.up_effect],
        "downv": [rounded(row) for row in logits.down_effect],
    }
    shown = packed_contexts(columns, found.origin)
    rows = zip(*parts.values(), strict=True)
    return [one | dict(zip(parts, row, strict=True)) for one, row in zip(shown, rows, strict=True)]


def write_data(folder, contents):
    """Fills a folder with the explorer's files; features match by best match above τ."""
    if (n := len(contents.features[lineage.root].tokens)) % (context - 1):
        raise FeatrackError(
            f"The features' {n} positions are no blocks of {context - 1}; "
            "give the context length of this run."
        )
    folder.mkdir(exist_ok=True)
    columns = {model: contexts.by_feature(each.acts) for model, each in contents.features.items()}
    explorer.write(folder, "meta", meta_of(contents))
    explorer.write(folder, "index", index_of(contents, columns))
    for model, each in contents.features.items():
        details = details_of(columns[model], each, contents.logits[model])
        for chunk, start in enumerate(range(0, len(details), explorer.CHUNK)):
            part = details[start : start + explorer.CHUNK]
            explorer.write(folder, f"{model}-{chunk}", part)


# %% tags=["remove-cell"] jupyter={"source_hidden": true}
def build(work):
    write_data(work / "data", read_contents())


names = ["corpora", "map", "interpretation", MATCHING]
names += [f"models/{model}" for model in lineage.order]
names += [f"features/{model}-0" for model in lineage.order]
made = store.make(
    run / "explorer",
    build,
    parameters={"tau": tau, "context": context, "seed": seed},
    inputs=[run / name for name in names],
    code=[explorer, style, flow, contexts, logit_effects, selection, prepare],
)
megabytes = sum(path.stat().st_size for path in (made / "data").iterdir()) / 1e6
store.write_results(run, "explorer", {"explorer.megabytes": megabytes})

# %% tags=["remove-input"] jupyter={"source_hidden": true}
merged = "and one of a merge is *inherited* if a parent has it, " if lineage.merges else ""
say(
    f"A feature of {label(lineage.root)} is *persisting* if a model made from it has it, one of a "
    f"fine-tune if its parent has it, {merged}all by the threshold that [tracking](tracking) used; "
    "what these classes can't mean is said in [ceilings](ceilings). None is called *disappearing* or "
    "new whose own line has it further on, in a merge or in the root: it is *elsewhere*. Place and "
    "cluster come from the [map](map).",
    "The page needs no server and fetches nothing from elsewhere. Its data take "
    f"{number(megabytes, 1)} MB, most of which is loaded when a feature is opened.",
)

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
root = lineage.root
kinds = flow.classes(lineage, flow.tracked(lineage, flow.first_matches(lineage, matches), tau))
disappearing = kinds[root] == flow.CLASSES.index("disappearing")
own = own_r(matches).get(root)  # None where there is one dictionary
asked = own is not None and disappearing.any()
again = (own[disappearing] > tau).mean() if asked else None

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"Of the {label(root)} model's features {count(disappearing.sum())} have no match in a model made "
    f"from it, and {percent(again)} of those are {{term}}`reproducible`. For the others the "
    "question is whether the first dictionary found anything in the first place.",
    "A class is a threshold's verdict on one number. A feature's page shows what the number stands "
    "for: the closest feature of each other model, its correlation, and what both do in their "
    "contexts. Near misses and lucky hits are plain to see there, and no table shows them.",
    "*What comes next*: [four controls](live) to type, slide and ablate.",
)

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# Compute that share: of the root's {term}`eligible` features without a match above `tau` in any
# child, how many are reproducible? `matches.best[a, b].a_best_r` holds the best correlation of each
# feature of dictionary `a` in `b`, `matches.eligible[a]` says which can be judged,
# `matches.names[root]` names the root's dictionaries, `lineage.children(root)` its children.
# :::

# %%
answer = ...  # a share, from 0 to 1
check(answer, np.nan if again is None else again)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
first, *others = matches.names[root]
in_children = [matches.best[first, f"{c}-0"].a_best_r for c in lineage.children(root)]
in_own = [matches.best[first, other].a_best_r for other in others] or [np.nan]
lost = matches.eligible[first] & (np.max(in_children, axis=0) <= tau)
answer = np.sum(lost & (np.min(in_own, axis=0) > tau)) / lost.sum()
check(answer, np.nan if again is None else again)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# How many features of the root have at least one {term}`copy`? And how many rows of the
# explorer's list do they fill? `matches.copies[a].group` gives each feature the number of its group
# of copies, −1 if it can't be judged.
# :::

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
# For the check below:
groups = pd.Series(matches.copies[first].group).loc[lambda g: g >= 0]
sizes = groups.value_counts()
many = [sizes[sizes > 1].sum(), (sizes > 1).sum()]

# %%
answer = ...  # [features, rows]
check(answer, many)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
group = matches.copies[first].group
_, members = np.unique(group[group >= 0], return_counts=True)
answer = [members[members > 1].sum(), np.count_nonzero(members > 1)]
check(answer, many)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# Filter for reproducible features that disappear, and sort by *best r*. What do those just
# below the threshold share with their closest match, and what not?
# :::
#
# :::{dropdown} Answer
# Often they share the tokens, but not their weights: two dictionaries cut the same activity at
# different places. [Gone, or carved up differently?](repartitioned) asks how often.
# :::
