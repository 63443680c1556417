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
# Some features go through a whole lineage. {cite:t}`horn2025tracking` show in their Figure 3 one for
# *variable assignment*, found in all four of their models. We count such features, ask how many there
# would be anyway, and look at two: chosen by rule, not by eye, and named by what they answer to.
#
# **You will learn** what a {term}`universal chain` is worth, how a feature is chosen by rule, and why its
# name should say what it answers to. **You need** [tracking](tracking) and [floors](floors). **It takes**
# fifteen minutes.

# %% tags=["hide-input"]
from itertools import permutations, product
from typing import NamedTuple

import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib.ticker import PercentFormatter
from scipy.stats import entropy

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features
from featrack_utils.display import cards, style
from featrack_utils.display.shading import in_prose
from featrack_utils.display.text import (
    check,
    count,
    listed,
    number,
    percent,
    say,
    show,
    verdict,
    with_interval,
)
from featrack_utils.interpretation import contexts
from featrack_utils.lineage import Lineage, label
from featrack_utils.matching import classes
from featrack_utils.matching.best_matches import open_matches
from featrack_utils.matching.correlation import correlations
from featrack_utils.matching.flow import steps, universal_chains
from featrack_utils.pipeline import store
from featrack_utils.statistics import bootstrap
from featrack_utils.statistics.intervals import corrected, difference, over_seeds, ratio, undefined
from featrack_utils.statistics.persistence import Persistence, flat, resample

# %% tags=["parameters"]
run_dir = "runs/quick"
root_seeds = 3  # dictionaries of the first model; paper: 1
other_seeds = 2  # of every other model; paper: 1
control_draws = 3  # models with a random MLP for each child; paper: none
context = 128  # tokens; paper: 256
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
class_share = 0.5  # of a feature's activation must fall on a class's tokens
max_density = 0.1  # of all tokens, above which a feature is dense
seed = 1337  # of the random contexts and of the bootstrap
interval_draws = 40  # bootstrap draws over groups of documents and seeds
most_choices = 24  # of one dictionary for each model, if there are more: so many at random

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
matches = open_matches(run)
tau, root = matches.tau, lineage.root
found = features.open_features(run, lineage, root_seeds, other_seeds)

# %% [markdown]
# ## Universal features
#
# A chain takes one feature $i_m$ of each model $m$. It is as strong as its weakest link, and a feature
# of the first model is *universal* if it has a chain that holds:
#
# $$
# \min_{(p, c)}\; r(i_p, i_c) > \tau ,
# $$
#
# over all steps from a parent $p$ to a child $c$. Where models are merged, all ways must lead to one and
# the same feature of the merge. For three models in a row that takes three lines; the package does it
# for any lineage.


# %%
def linked(one, other):
    """Which features of two dictionaries match: bool [d_one, d_other]."""
    i, j, r = matches.best[one, other].pairs
    table = np.zeros((matches.eligible[one].size, matches.eligible[other].size), bool)
    table[i[r > tau], j[r > tau]] = True
    return table


def chained(chosen):
    """The chains through one dictionary of each model, the strongest of each feature."""
    names = dict(zip(lineage.order, chosen, strict=True))
    best = {(a, b): matches.best[names[a], names[b]] for a, b in steps(lineage)}
    return universal_chains(lineage, best, tau)


own = matches.names[root]
seeds_of = [range(len(matches.names[model])) for model in lineage.order]
by_seeds = list(product(*seeds_of))
if len(by_seeds) > most_choices:  # the first stays: seed 0 of each
    others = np.random.default_rng(seed).permutation(np.arange(1, len(by_seeds)))
    by_seeds = [by_seeds[place] for place in (0, *sorted(others[: most_choices - 1]))]
choices = [
    tuple(matches.names[model][s] for model, s in zip(lineage.order, seeds, strict=True))
    for seeds in by_seeds
]
known_chains = {chosen: chained(chosen) for chosen in choices}
first = dict(zip(lineage.order, choices[0], strict=True))
universal = known_chains[choices[0]]

parent, child = steps(lineage)[-1]
path = linked(first[lineage.parents(parent)[0]], first[parent]) if lineage.parents(parent) else None
if path is not None:
    through = (path.astype(int) @ linked(first[parent], first[child]).astype(int)).any(axis=1)
    at_start = universal[lineage.parents(parent)[0]]
    assert through[at_start].all()  # whoever has a chain has this part of it, too

# %% [markdown]
# ## How many would there be anyway?
#
# The count has a {term}`ceiling`. If nothing had happened, all models would be the first one, and their
# dictionaries would differ by the {term}`seed` alone. So the first model's own dictionaries stand for all
# of them, in every order.
#
# And it has a {term}`floor`. In the place of each child we put its {term}`control <control model>` with a
# {term}`random MLP`, and count chains from the first model through the controls. What is universal there
# needs nothing that an MLP has learned. For the {term}`random model` there is one dictionary, which stands
# for all children; whoever matches it has a chain, so that floor is an upper bound.
#
# {term}`Copies <copy>` of a feature make a chain each, so we also count each group of copies once.
#
# With fewer dictionaries than models the ceiling is bounded from above. Whoever has a universal chain has
# both first links to two children, and a path through a child to a grandchild. Each of these takes three
# dictionaries, and the smaller count is the bound.


# %%
class Count(NamedTuple):
    """How many features of the first dictionary have a chain; means over dictionaries."""

    features: float
    groups: float  # of copies, with a feature that has one


def counted_once(table, first_model, group):
    """How many features, and groups of copies (int [d_root]), have chains."""
    return Count(len(table), np.unique(group[table[first_model]]).size)


def if_unchanged(lineage, best, names, groups, tau):
    """The ceiling: the root's dictionaries stand for all models, in every order; their mean.

    `best` holds their matches with each other, `groups` their copies. None with fewer than three.
    """
    shapes = [lineage] if len(names) >= len(lineage.order) else shapes_of_three(lineage)
    if len(names) < len(shapes[0].order):
        return None
    means = []
    for shape in shapes:
        counts = []
        for chosen in permutations(names, len(shape.order)):
            stands_for = dict(zip(shape.order, chosen, strict=True))
            links = {(a, b): best[stands_for[a], stands_for[b]] for a, b in steps(shape)}
            table = universal_chains(shape, links, tau)
            counts.append(counted_once(table, shape.root, groups[chosen[0]]))
        means.append(np.mean(counts, axis=0))
    return Count(*map(float, np.min(means, axis=0)))


def shapes_of_three(lineage):
    """The root with two of its children, and with a child and a grandchild, where it has them."""
    pair = {"root": {"train": ["text"]}, "one": {"parent": "root", "train": ["text"]}}
    children = lineage.children(lineage.root)
    parents = ["root"] if len(children) > 1 else []
    parents += ["one"] if any(lineage.children(child) for child in children) else []
    return [Lineage(pair | {"two": {"parent": each, "train": ["text"]}}) for each in parents]


# %%
controls = [f"{m}.mlp-{d}" for m in lineage.order if m != root for d in range(control_draws)]
of_controls = features.open_named(run, [*controls, f"{root}.random-0"])
able = dict(matches.eligible)
for name, one in of_controls.items():
    able[name] = classes.eligible(one.acts, one.origin, min_positions, min_documents)
everything = {**found, **of_controls}
groups = {name: copies.group for name, copies in matches.copies.items()}


def match(a, b):
    masks = {"eligible_a": able[a], "eligible_b": able[b]}
    return correlations(everything[a].acts, everything[b].acts, **masks)


def through_controls(draw):
    """Chains from one of the first model's dictionaries through all children's controls."""
    stand_in = {model: f"{model}.mlp-{draw}" for model in lineage.order}
    stand_in[root] = own[draw % len(own)]
    best = {(a, b): match(stand_in[a], stand_in[b]) for a, b in steps(lineage)}
    known = universal_chains(lineage, best, tau)
    return counted_once(known, root, groups[stand_in[root]])


counted = [counted_once(one, root, groups[c[0]]) for c, one in known_chains.items()]
mean = Count(*np.mean(counted, axis=0))
lowest = [through_controls(draw) for draw in range(control_draws)]
floor = Count(*np.mean(lowest, axis=0))
in_random = [np.flatnonzero(match(name, f"{root}.random-0").a_best_r > tau) for name in own]
at_random = Count(
    np.mean([one.size for one in in_random]),
    np.mean([np.unique(groups[n][one]).size for n, one in zip(own, in_random, strict=True)]),
)
ceiling = if_unchanged(lineage, matches.best, own, groups, tau)
ceiling = ceiling or Count(np.nan, np.nan)  # it takes three dictionaries

# %% tags=["hide-input"]
figure, axis = style.single(2.4)
for place in (0, 1):
    axis.hlines(place, floor[place], ceiling[place], color="#bbbbbb", lw=8)
    axis.plot(at_random[place], place, "|", color=style.GREY, ms=14, mew=2)
    axis.plot([one[place] for one in lowest], [place] * len(lowest), ".", color=style.GREY, ms=5)
    spread = [one[place] for one in counted]
    axis.plot(spread, [place] * len(spread), ".", color=style.colour_of(root), ms=4)
    axis.plot(mean[place], place, "o", color=style.colour_of(root), ms=9, mec="white")
axis.set_yticks([0, 1], ["features", "groups of copies"])
axis.set(xlim=(0, None), ylim=(1.5, -0.5), xlabel="universal features")
axis.grid(axis="y", visible=False)
show(
    figure,
    "Universal features: the mean (large dot) over choices of one dictionary for each model (small "
    "dots). Grey bar: from the floor, where all children have a random MLP (grey dots: the draws), to "
    "the ceiling, if nothing had happened. Tick: the random model.",
    "fig-universal",
    "Two rows with a dot between floor and ceiling",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
each = [one.features for one in counted]
bounded = 2 < len(own) < len(lineage.order)
rescaled = (mean.features - floor.features) / (ceiling.features - floor.features)
say(
    f"Between the dictionaries of seed 0 there are {count(each[0])} universal features; over "
    f"{count(len(choices))} choices of dictionaries from {count(min(each))} to {count(max(each))}. The mean, "
    f"{count(mean.features)}, stands between {count(floor.features)} with random MLPs and "
    f"{count(ceiling.features)} if nothing had happened: {{term}}`rescaled <rescaled persistence>` that is {percent(rescaled)}. "
    f"With copies merged it is {count(mean.groups)} between {count(floor.groups)} and "
    f"{count(ceiling.groups)}. These are counts; their intervals follow.",
    f"It would take {count(len(lineage.order))} dictionaries of the {label(root)} model to know this "
    f"ceiling; we have {count(len(own))}. Every universal chain contains simpler patterns that need only "
    "three: the first links to two children, and the path through a child to a grandchild. The rarer "
    "of these is an upper limit for the true ceiling, so the rescaled share is a lower one."
    if bounded
    else "",
)

# %% [markdown]
# ## How sure are these counts?
#
# To know, we resample the documents, as for [any share](ceilings). In each {term}`replicate` every link
# of every chain has another r, so the chains are joined anew. A feature has a chain in a draw if, on some
# way through the models, *all* links hold in this draw. So models are taken out of the lineage one by one.
# Where links meet in a model, both must hold; where several ways lead on, one is enough.


# %%
def chains_drawn(lineage, links, size):
    """Which of the root's features have a chain: bool [size, 1 + 2 R], on the mix and in the draws.

    `links` holds the pairs of features that match along every step, in any of these looks.
    """
    parts = []
    for step in steps(lineage):
        i, j, looks = links[step]
        parts.append(
            (pd.DataFrame(dict(zip(step, (i, j), strict=True))), np.packbits(looks, axis=1))
        )
    for model in (*lineage.order[1:], None):  # at last what is left is joined in the root
        here = [part for part in parts if model is None or model in part[0]]
        rest = [part for part in parts if model is not None and model not in part[0]]
        (table, bits), *others = here
        for more, its in others:
            shared = [*table.columns.intersection(more.columns)]
            one = table.assign(**{"in one": range(len(table))})
            joined = one.merge(more.assign(**{"in other": range(len(more))}), on=shared)
            bits = bits[joined.pop("in one")] & its[joined.pop("in other")]
            table = joined[bits.any(axis=1)]
            bits = bits[bits.any(axis=1)]
        if model is not None:
            table = table.drop(columns=model)
            way = table.groupby([*table.columns]).ngroup().to_numpy()
            by_way = np.argsort(way, kind="stable")
            starts = np.flatnonzero(np.diff(way[by_way], prepend=-1))
            table = table.iloc[by_way[starts]]
            bits = np.bitwise_or.reduceat(bits[by_way], starts) if starts.size else bits
        parts = [*rest, (table, bits)]
    ((table, bits),) = parts
    n_looks = next(iter(links.values())).looks.shape[1]
    having = np.zeros((size, n_looks), bool)
    having[table[lineage.root]] = np.unpackbits(bits, axis=1, count=n_looks).astype(bool)
    return having


# %% [markdown]
# On the whole mix these must be the chains counted above. Shares of the first model's {term}`eligible`
# features are then corrected for noise, as every share is; seeds are resampled beside the documents; and
# share, ceiling and both floors come from the same draws.

# %%
of_models = {model: [*matches.names[model]] for model in lineage.order}
of_models |= {
    f"{m}.mlp": [f"{m}.mlp-{d}" for d in range(control_draws)] for m in lineage.order if m != root
}
of_models[f"{root}.random"] = [f"{root}.random-0"]
sample = resample(
    {model: [everything[name] for name in names] for model, names in of_models.items()},
    [tau],
    tau=tau,
    replicates=interval_draws,
    seed=seed,
    eligible_features={model: [able[n] for n in names] for model, names in of_models.items()},
)
known_links, known_draws = {}, {}


class Links(NamedTuple):
    """Pairs of features that match on the whole mix or in some draw of R."""

    i: np.ndarray
    j: np.ndarray
    looks: np.ndarray  # bool [n, 1 + 2 R]: the whole mix, the draws, these with twice the noise


def links_drawn(a, b, pairs):
    """Which pairs of two dictionaries' features, each a model and a seed, match in any look.

    Far below τ on the whole mix they have no chance.
    """
    i, j, r = (part[pairs.r > tau - bootstrap.BEHIND] for part in pairs)
    sides, origin = (sample.weighted(a), sample.weighted(b)), sample.dictionary(a)[0].origin
    drawn = np.empty((r.size, len(sample.draws.documents)), np.float32)
    # Of each feature one pair at a time, so that its best is that pair's.
    nth = pd.Series(i).groupby(i).cumcount().to_numpy()
    for n in range(nth.max(initial=-1) + 1):
        some = nth == n
        of_pairs = (i[some], j[some]), origin, sample.draws.documents
        (best_r, _), _ = bootstrap.best_drawn(*sides, *of_pairs)
        drawn[some] = best_r[i[some]]
    looks = np.hstack([r[:, None], drawn, bootstrap.double_noise(r, drawn)]) > tau
    ever = looks.any(axis=1)
    return Links(i[ever], j[ever], looks[ever])


def links(a, b):
    """The links of two dictionaries in all looks, made once."""
    if (a, b) not in known_links:
        one, other = of_models[a[0]][a[1]], of_models[b[0]][b[1]]
        is_known = one in found and other in found
        pairs = (matches.best[one, other] if is_known else match(one, other)).pairs
        known_links[a, b] = links_drawn(a, b, pairs)
    return known_links[a, b]


def universal_share(shape, stands_for, merged=False):
    """Share of a root dictionary's features, or groups of copies, with a chain through dictionaries."""
    _, s = stands_for[shape.root]
    along = {(a, b): links(stands_for[a], stands_for[b]) for a, b in steps(shape)}
    key = *along, *stands_for.values()
    if key not in known_draws:
        known_draws[key] = chains_drawn(shape, along, able[own[s]].size)
    having = known_draws[key]
    if merged:
        of = groups[own[s]]
        having = np.array([having[of == group].any(axis=0) for group in np.unique(of[of >= 0])])
    else:
        having = having[sample.eligible[root][s]]
    return corrected(np.array([tau]), having[None], len(having))


def over_choices(shape, models, choices, merged):
    """The mean share over choices of dictionaries: a seed of each of the shape's models."""
    each = {
        seeds: universal_share(
            shape, dict(zip(shape.order, zip(models, seeds, strict=True), strict=True)), merged
        )
        for seeds in choices
    }
    return over_seeds(each, sample.draws, *models)


def between(merged=False):
    """Universal features between the ceiling and both floors, with intervals."""
    share = over_choices(lineage, lineage.order, by_seeds, merged)
    stand_ins = [root, *(f"{model}.mlp" for model in lineage.order[1:])]
    draws = [(d % len(own), *[d] * (len(stand_ins) - 1)) for d in range(control_draws)]
    in_one = Lineage({"a": {"train": ["text"]}, "b": {"parent": "a", "train": ["text"]}})
    to_random = [(s, 0) for s in range(len(own))]
    floors = {
        "random_mlp": over_choices(lineage, stand_ins, draws, merged),
        "random_model": over_choices(in_one, [root, f"{root}.random"], to_random, merged),
    }
    shapes = [lineage] if len(own) >= len(lineage.order) else shapes_of_three(lineage)
    shapes = [shape for shape in shapes if len(own) >= len(shape.order)]
    ceilings = [
        over_choices(shape, [root] * n, permutations(range(len(own)), n), merged)
        for shape in shapes
        for n in [len(shape.order)]
    ]
    rarest = min(ceilings, key=lambda one: one.counted[0], default=undefined(share))
    return Persistence(share, rarest, floors, tau)


spans = {"features": between(), "groups of copies": between(merged=True)}
per_choice = [len(known_chains[c]) / able[c[0]].sum() for c in choices]
assert np.isclose(spans["features"].raw(), np.mean(per_choice))

# %% tags=["hide-input"]
figure, axis = style.single(2.4)
for place, span in enumerate(spans.values()):
    axis.hlines(place, span.floor().estimate, span.ceiling().estimate, color="#bbbbbb", lw=8)
    axis.plot(span.floor("random_model").estimate, place, "|", color=style.GREY, ms=14, mew=2)
    axis.hlines(place, *span.share()[1:], color=style.colour_of(root), lw=2)
    axis.plot(span.share().estimate, place, "o", color=style.colour_of(root), ms=9, mec="white")
    axis.plot(span.raw(), place, ".", color=style.GREY, ms=5)
axis.set_yticks([0, 1], spans)
axis.set(xlim=(0, None), ylim=(1.5, -0.5), xlabel=f"of {label(root)}'s, the universal ones")
axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
axis.grid(axis="y", visible=False)
show(
    figure,
    "The share that is universal, corrected for noise, with its 95 % interval (small dot: as counted), "
    "between the floor with random MLPs and the ceiling (grey bar). Tick: the random model.",
    "fig-universal-share",
    "Two rows, each with a dot and its interval between floor and ceiling",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
span, once = spans.values()
carried = ratio(span.floors["random_mlp"], span.shares, tau)
say(
    f"Of the first model's eligible features {with_interval(span.share())} are universal, beside a floor "
    f"of {with_interval(span.floor())} with random MLPs, {with_interval(span.floor('random_model'))} in the "
    "random model"
    + (
        f", and a ceiling of {with_interval(span.ceiling())}. Rescaled that is "
        f"{with_interval(span.rescaled())}. "
        if len(own) > 2
        else ". A ceiling takes three dictionaries of the first model. "
    )
    + verdict(
        difference(span.shares, span.floors["random_mlp"], tau),
        0,
        below="Fewer than with random MLPs: that is no sign of anything learned.",
        above="So some features go through all models that no random MLP would show.",
        unclear="Whether any of them needs what the MLPs have learned isn't clear.",
    ),
    f"With copies merged it is {with_interval(once.share())} of the groups, beside "
    f"{with_interval(once.floor())} with random MLPs. "
    + verdict(
        difference(once.shares, once.floors["random_mlp"], tau),
        0,
        below="That is fewer.",
        above="That is more, so it isn't the copies' doing.",
        unclear="So with copies counted once it can't be told whether any universal feature needs what "
        "the MLPs have learned.",
    ),
    f"Token and attention carry {with_interval(carried)} of the "
    "universal features: as large a part would be universal if no MLP had learned anything.",
)

# %% [markdown]
# ## Named by what they answer to
#
# A *class* is a set of tokens, given by a pattern that a whole token must match. A chain belongs to a
# class if each of its features puts at least half of its activation, on the whole
# {term}`evaluation mix`, on the class's tokens. The class of the paper's example holds `=` with or
# without spaces, and `+=`, `-=` and their like; `==` is not in it.

# %%
TOKEN_CLASSES = {
    "assignment": r"\s*[-+*/|&]?=\s*",
    "opening quotation mark": r"\s*[\"'\u201c\u2018]",
    "opening bracket": r"\s*[\[({]+",
    "closing bracket": r"[\])}]+[,;:.]?",
    "number": r"\s*\d+",
    "end of a sentence": r"[.!?]+[\"')]?",
    "line break": r"\n\s*",
    "article": r"\s*([Aa]n?|[Tt]he)",
    "self": r"\s*self",
    "condition": r"\s*([Ii]f|elif|else|elseif)",
    "verb of speech": r"\s*(said|asked|cried|whispered|replied|shouted|told|answered|called)",
}
operators = contexts.tokens_matching(corpora.tokenizer, TOKEN_CLASSES["assignment"])
assert "==" not in corpora.pieces(np.flatnonzero(operators))  # it compares
known = cards.read_known(run, lineage, corpora, found)


def share_in_all(table, tokens, names):
    """For each chain, the smallest share of activation that its features put on some tokens."""
    by_model = zip(lineage.order, names, strict=True)
    return np.min([(known.shares[n].T @ tokens)[table[m]] for m, n in by_model], axis=0)


def of_class(pattern):
    """The chains that belong to a class of tokens, best linked first."""
    tokens = contexts.tokens_matching(corpora.tokenizer, pattern)
    return universal[share_in_all(universal, tokens, first.values()) >= class_share]


def distinct(table):
    """One chain of each group of copies, the best linked."""
    group = pd.Series(groups[first[root]][table[root]], index=table.index)
    return table[~group.duplicated()]


def members(chain):
    """The features of a chain, one of each model."""
    return [cards.Feature(first[model], int(chain[model])) for model in lineage.order]


in_class = {kind: distinct(of_class(p)) for kind, p in TOKEN_CLASSES.items()}
sizes = pd.Series({kind: len(table) for kind, table in in_class.items()}).sort_values()
sizes = sizes[sizes > 0]

# %% tags=["hide-input"]
if len(sizes):
    figure, axis = style.single(0.3 * len(sizes) + 1)
    axis.barh(sizes.index, sizes, color=style.colour_of(root))
    axis.set(xlabel="universal features, copies counted once")
    axis.grid(axis="y", visible=False)
    show(
        figure,
        "Universal features of the seed 0 dictionaries by the class of token that they answer to.",
        "fig-token-classes",
        "Bars, one for each class of token",
    )


# %% tags=["remove-input"] jupyter={"source_hidden": true}
def token_of(chain):
    """The token that a chain's first feature answers to most, for a sentence."""
    ids, _ = contexts.strongest_tokens(known.shares[first[root]], int(chain[root]), 1)
    return in_prose(corpora.pieces(ids)[0])


each_once = distinct(universal)
lines = [
    f"- {cards.link(members(chain)[0])}: the token {token_of(chain)}, weakest link r = "
    f"{number(chain['min_r'])}"
    for _, chain in each_once.head(6).iterrows()
]
say(
    f"Of {count(len(universal))} universal features {count(len(each_once))} are left with copies counted "
    "once. The best linked ones lead to their pages in the explorer:",
    "\n".join(lines),
) if len(universal) else say(
    "In this run **no feature is universal**, so there is none to show. A lower threshold "
    "(`tracking.tau`) or longer training of the dictionaries brings some."
)

# %% [markdown]
# ## One feature in full
#
# We show the best linked chain of the paper's class. If there is none, or if no model reads Python,
# it is the best linked chain of any class. Its features stand side by side: what they answer to, on
# which text, and which next tokens they raise {cite:p}`bricken2023monosemanticity`. Then all of them on
# the **same text**: two places where the first model's feature is strongest, one where the last model's
# is, and two drawn at random from wherever the first is active at all, so that not only the flattering
# ones are seen.

# %%
python = "python" in lineage.domains
ranked = sorted(sizes.index, key=lambda kind: -in_class[kind]["min_r"].max())
kind = "assignment" if python and "assignment" in ranked else next(iter(ranked), None)
case = in_class[kind].iloc[0] if kind else None


def same_text(chain):
    """A chain's features on places that the first and the last of them choose."""
    chosen = members(chain)
    return cards.together(known, chosen, [(chosen[0], 2, 2), (chosen[-1], 1, 0)], seed)


if case is not None:
    display(cards.feature_table(known, members(case), caption="One universal chain."))
    display(same_text(case))

# %% [markdown]
# ## Does it earn its name?
#
# The class gave the feature its name. A feature for *assignment* would be silent where the same token
# assigns nothing: in `~=`, which a tokenizer may cut in two, in a cookie's `sugar=wafer`, in a regular
# expression. A feature for the *token* fires there, too. So we look at every place where the feature's
# strongest token stands, at its surroundings where it is active, and at the character before it.

# %% tags=["hide-input"]
active, weak, seen = pd.Series(dtype=bool), np.nan, {}
if case is not None:
    mix, index = found[first[root]], int(case[root])
    strength = mix.acts[:, [index]].toarray().ravel()
    (token,), _ = contexts.strongest_tokens(known.shares[first[root]], index, 1)
    places = np.flatnonzero(mix.tokens == token)
    inside = (places % (context - 1) > 0) & (places % (context - 1) < context - 2)
    places = places[inside]  # with a token before and after it
    active = pd.Series(strength[places] > 0)
    around = pd.Series(
        ["".join(corpora.pieces(mix.tokens[p - 1 : p + 2])) for p in places], dtype=str
    )
    domain = pd.Series(mix.domain[places]).map(dict(enumerate(lineage.domains)))
    weights = pd.Series(strength[places])
    seen = {
        d: weights[domain == d].groupby(around[domain == d]).sum().idxmax()
        for d in lineage.domains
        if (weights[domain == d] > 0).any()
    }
    compared = pd.Series(corpora.pieces(mix.tokens[places - 1]), dtype=str).str[-1].isin([*"~<>!="])
    weak = np.mean(strength[strength > 0] < strength.max() / 10)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
if case is not None:
    where = [f"{percent(on.mean())} in {label(d)}" for d, on in active.groupby(domain, sort=False)]
    examples = [f"{in_prose(text)} in {label(d)}" for d, text in seen.items()]
    say(
        f"The token is {token_of(case)}. It stands at {count(len(places))} places, and the feature is "
        f"active at {percent(active.mean())} of them: {listed(where)}. Where it is strongest the token "
        f"stands in {listed(examples)}.",
        f"At {percent(weak)} of its places the feature has less than a tenth of its maximum, and there it "
        "need not be about anything: the random contexts are a warning.",
    )
if case is not None and kind == "assignment" and compared.any():
    silent = active[compared].mean() <= 0.5
    say(
        f"At {count(compared.sum())} places a `~`, `<`, `>`, `!` or `=` stands before it, so nothing is "
        f"assigned. There the feature is active at {percent(active[compared].mean())}. "
        + (
            "So it does tell an assignment from a comparison."
            if silent
            else f"Its honest name is *the token* {token_of(case)}, not assignment."
        )
    )

# %% [markdown]
# ## One that answers to many tokens
#
# A feature of one token might be called a copy of the vocabulary. So the last rule asks for the
# opposite: among the universal chains without a {term}`dense <density>` feature, the one that answers to
# the *most different* tokens, by the perplexity of its activation over tokens (e to the entropy of the
# shares: ten equally strong tokens give 10). Of a chain we take the smallest of its features' counts.

# %%
of_chains = {n: known.shares[n][:, each_once[m].to_numpy(int)] for m, n in first.items()}
effective = [np.exp(entropy(shares.toarray())) for shares in of_chains.values()]
density = [matches.positions[n][each_once[m]] / len(found[n].tokens) for m, n in first.items()]
spread = each_once.assign(tokens=np.min(effective, axis=0), density=np.max(density, axis=0))
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
holding = sum(
    (share_in_all(table, operators, names) >= class_share).any()
    for names, table in known_chains.items()
    if len(table)
)
assigning = len(in_class["assignment"])
results = {
    "track.seed_combinations": len(choices),
    "track.universal_count.lowest": min(each),
    "track.universal_count.highest": max(each),
    "track.universal_count.rescaled": rescaled,
    "case.chains": len(universal),
    "case.chains_distinct": len(each_once),
    "case.assignment.distinct": assigning,
    "case.assignment.combinations": holding,
    "case.combinations": len(choices),
    "case.spread.tokens": widest,
    "case.spread.median": median,
}
ends = {"": counted[0], ".mean": mean, ".unchanged": ceiling, ".floor": floor}
for end, one in {**ends, ".floor_random_model": at_random}.items():
    results[f"track.universal_count{end}"] = one.features
    results[f"track.universal_count.copies_merged{end}"] = one.groups
if case is not None:
    name = "case.assignment" if kind == "assignment" else "case.other"
    results |= {f"{name}.{key}": case[key] for key in (*lineage.order, "min_r")}
    results |= {f"{name}.active_on_token": active.mean(), f"{name}.weak": weak}
results = {name: value if np.isfinite(value) else None for name, value in results.items()}
results |= span.as_results("track.universal_share")
results |= once.as_results("track.universal_share.copies_merged")
results |= flat("track.universal_share.carried", carried)
store.write_results(run, "case-study", results)

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"{count(mean.features)} features go through all {len(lineage.order)} models; {count(floor.features)} "
    f"would with random MLPs, and {count(ceiling.features)} at most if nothing had happened.",
    (
        f"The paper shows one for assignment, chosen by its authors. Our rule finds {count(assigning)} "
        f"with copies counted once, and finds some in {count(holding)} of {count(len(choices))} choices of "
        "dictionaries. Its name came from our rule; what it answers to came from the data."
    )
    if python
    else "No model of this lineage reads Python, so the paper's example isn't asked for.",
    f"The median universal chain answers to {number(median, 1)} tokens. The nearer that is to one, the "
    "more of what is universal is about single tokens, and the less about shared *concepts*. Next we "
    "turn to [what changes](changes)."
    if len(spread)
    else "",
)

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# Python's style puts no spaces around the `=` that gives an argument its name or default. How many
# universal features, copies counted once, answer to the token `=` alone? `corpora.pieces(ids)` gives
# the text of tokens, `known.shares[name]` each feature's shares [vocabulary, features].
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
of_bare_token = len(distinct(of_class("=")))

# %%
answer = ...  # a number of features
check(answer, of_bare_token)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
bare = [i for i, piece in enumerate(corpora.pieces(range(len(corpora.tokenizer)))) if piece == "="]
answering = set()
for _, chain in universal.iterrows():
    parts = [known.shares[f.dictionary][:, [f.index]].toarray()[bare].sum() for f in members(chain)]
    if min(parts) >= class_share:
        answering.add(groups[first[root]][int(chain[root])])
answer = len(answering)
check(answer, of_bare_token)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# Compute the strength of the best linked universal chain from the activations themselves:
# `found[name].acts` are sparse, [positions, features]; `members(chain)` gives names and numbers.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
strongest = universal["min_r"].max()

# %%
answer = ...  # a correlation
check(answer, strongest)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = np.nan
if len(universal):
    of_model = {
        f.model: found[f.dictionary].acts[:, [f.index]].toarray().ravel()
        for f in members(universal.iloc[0])
    }
    answer = min(np.corrcoef(of_model[a], of_model[b])[0, 1] for a, b in steps(lineage))
check(answer, strongest)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# Look at the random contexts of the first feature. Would you have given it this name, had you seen
# only these?
# :::
#
# :::{dropdown} Answer
# The strongest contexts show a feature at its clearest; where it is weak it may do something else. An
# interpretation has to be scored on both, as [a later chapter](interpretation) does.
# :::
