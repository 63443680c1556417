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
# # Token or context?
#
# Some features answer to one token wherever it stands. Others need the words before it. The first kind
# would survive in any model that can tell tokens apart; only the second says much about what an MLP
# has learned. {cite:t}`horn2025tracking` don't separate the two, and {cite:t}`heap2025sparse` find that
# dictionaries of random transformers look interpretable, too. So how much of what is called
# persistence is carried by the token, and by attention, alone?
#
# **You will learn** how to measure what a token explains of a feature, and how to compare features
# one by one, without a {term}`threshold`. **You need** [ceilings and floors](ceilings). **It takes** twenty
# minutes.

# %% tags=["hide-input"]
from itertools import chain
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.ticker import PercentFormatter
from scipy import sparse
from scipy.stats import spearmanr

from featrack_utils.dictionaries import features
from featrack_utils.display import style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import (
    check,
    listed,
    number,
    percent,
    points,
    say,
    show,
    verdict,
    with_interval,
)
from featrack_utils.interpretation import logit_effects
from featrack_utils.lineage import label
from featrack_utils.matching.best_matches import open_matches
from featrack_utils.matching.correlation import correlations, members
from featrack_utils.pipeline import store
from featrack_utils.statistics.bootstrap import halves, paired_r
from featrack_utils.statistics.intervals import Interval, around, difference, interval, ratio
from featrack_utils.statistics.persistence import (
    complement,
    flat,
    merge_origins,
    persistence,
    resample,
)

# %% tags=["parameters"]
run_dir = "runs/quick"
root_seeds = 3  # dictionaries of the first model; paper: 1
other_seeds = 2  # of every other model; paper: 1
context = 128  # tokens; paper: 256
seed = 1337  # of the bootstrap and of the halves of the text
tau = 0.8  # correlation above which two features match; paper: 0.8
rule = "best"  # or mutual; paper: best match
control_draws = 3  # models with a random MLP for each child; paper: none
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
interval_draws = 40  # bootstrap draws over groups of documents and seeds

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
names = features.dictionary_names(lineage, root_seeds, other_seeds)
for _, child in lineage.edges:
    names[f"{child}.mlp"] = [f"{child}.mlp-{draw}" for draw in range(control_draws)]
names[f"{lineage.root}.random"] = [f"{lineage.root}.random-0"]
found = features.open_named(run, chain(*names.values()))
of_models = {model: [found[name] for name in each] for model, each in names.items()}
criteria = {"min_positions": min_positions, "min_documents": min_documents}
sample = resample(of_models, [tau], tau=tau, replicates=interval_draws, seed=seed, **criteria)

# %% [markdown]
# ## How much of a feature is its token?
#
# We predict a feature's activation $x_t$ from the token $w_t$ alone: by the mean over the positions
# $O_t$ where *other* {term}`groups <group>` of documents have that token. Else a rare token would explain
# itself. One position more, with the mean $\bar x$ of all other groups, is added to each mean, so that a
# token that no other group has falls back on $\bar x$:
#
# $$
# \hat x_t = \frac{\sum_{s \in O_t} x_s + \bar x}{|O_t| + 1},
# \qquad
# E_\text{token} = 1 - \frac{\sum_t (x_t - \hat x_t)^2}{\sum_t (x_t - \bar x)^2}.
# $$
#
# Then the same for the pair of a token and the one before it, which falls back on the token. All
# positions of one token in one group have the same prediction. So counts and sums of these *cells* are
# enough, and each cell's squared error is $\sum x^2 - 2 \hat x \sum x + n \hat x^2$.


# %%
def explained_shares(acts, group, labels):
    """The share of each feature's variance that labels explain, [n_labels, d_sae].

    acts sparse [n_tokens, d_sae]; labels from coarse to fine, each [n_tokens]. Below 0 where a label
    foretells worse than the mean does; NaN for a constant feature.
    """
    levels = []
    for each in (np.zeros_like(group), *labels):
        number_of = np.unique(each, return_inverse=True)[1]
        _, first, cell, count = np.unique(
            number_of * (group.max() + np.int64(1)) + group,
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        elsewhere = np.bincount(number_of)[number_of[first]] - count
        sums = [members(each, each.max() + 1) for each in (number_of, cell)]
        levels.append((first, number_of[first], cell, count, elsewhere, *sums))
    shares = np.empty((len(labels), acts.shape[1]))
    for begin in range(0, acts.shape[1], 64):  # a few features at a time, for the memory
        x = sparse.csr_array(acts[:, begin : begin + 64], dtype=np.float64)
        total, squares = x.sum(axis=0), x.power(2).sum(axis=0)
        variance = squares - total**2 / len(group)
        variance[variance <= 1e-8 * squares] = np.nan
        guess, before = np.zeros((1, x.shape[1])), np.zeros_like(group)
        for level, (first, of, cell, count, elsewhere, by_label, by_cell) in enumerate(levels):
            here = (by_cell @ x).toarray()
            guess = (by_label @ x).toarray()[of] - here + guess[before[first]]
            guess /= elsewhere[:, None] + 1
            before = cell
            if level:
                error = squares + count @ guess**2 - 2 * np.einsum("cf,cf->f", guess, here)
                shares[level - 1, begin : begin + 64] = 1 - error / variance
    return shares


# %% [markdown]
# The same by pandas, position by position, for one feature:

# %%
parent, child = lineage.edges[0]
mix = of_models[parent][0]
n_tokens = len(mix.tokens)
begins = np.arange(n_tokens) % (context - 1) == 0  # what stands before is not in the mix
before = np.where(begins, -1, np.roll(mix.tokens, 1))
bigram = mix.tokens * (mix.tokens.max() + np.int64(2)) + before


def from_other_groups(x, label, fallback):
    table = pd.DataFrame({"x": x, "n": 1, "label": label, "group": mix.group})
    everywhere = table.groupby("label")[["x", "n"]].transform("sum")
    here = table.groupby(["label", "group"])[["x", "n"]].transform("sum")
    return (everywhere["x"] - here["x"] + fallback) / (everywhere["n"] - here["n"] + 1)


feature = np.flatnonzero(sample.eligible[parent][0])[0]
x = mix.acts[:, [feature]].toarray().ravel().astype(float)
by_token = from_other_groups(x, mix.tokens, from_other_groups(x, 0, 0.0))
by_pair = from_other_groups(x, bigram, by_token)
explained = [1 - ((x - guess) ** 2).sum() / (n_tokens * x.var()) for guess in (by_token, by_pair)]

shares = {
    model: [explained_shares(one.acts, mix.group, [mix.tokens, bigram]) for one in each]
    for model, each in of_models.items()
    if model in lineage.order
}
assert np.allclose(shares[parent][0][:, feature], explained, atol=1e-6)


# %% tags=["hide-input"]
def of_eligible(model, level):
    """The share explained, of all eligible features of a model's dictionaries in one row."""
    able = sample.eligible[model]
    return np.concatenate([each[level][ok] for each, ok in zip(shares[model], able, strict=True)])


figure, axis = style.single(2.8)
for level, (words, dashes) in enumerate((("token", "-"), ("token and the one before", "--"))):
    ordered = np.sort(of_eligible(parent, level))
    at_least = 1 - np.arange(ordered.size) / ordered.size
    axis.plot(ordered, at_least, color=style.colour_of(parent), ls=dashes, label=words)
axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="share of a feature's variance that is explained")
axis.set_ylabel("features with at least this share")
axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
axis.legend()
show(
    figure,
    f"How much of {label(parent)}'s features is explained by the current token alone, and by it and the "
    "one before; means of other groups of documents, all seeds.",
    "fig-explained",
    "Two falling curves; the one with the previous token lies higher",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
median_share = {m: [float(np.median(of_eligible(m, level))) for level in (0, 1)] for m in shares}
lines = [
    f"- **{label(m)}**: {percent(one)} by the token, {percent(two)} with the one before."
    for m, (one, two) in median_share.items()
]
say("Of the median feature's variance is explained", "\n".join(lines))

# %% [markdown]
# The table of pairs is a crude stand-in for context: a bigram that other documents lack explains
# nothing. So the second figure is a lower bound for what two tokens tell.
#
# ## Does persistence depend on it?
#
# We sort each parent's {term}`eligible` features by their {term}`token share`, $E_\text{token}$, and cut
# them into three thirds. Each third has its own {term}`share`, {term}`ceiling` and {term}`floor`: what other
# dictionaries find of *these* features. None of the three was looked at for the sorting.

# %%
THIRDS = ("context", "mixed", "token")
CONTROLS = {"random_mlp": "{}.mlp", "random_model": f"{lineage.root}.random"}


def third(model, number):
    """Masks of a model's features, one per dictionary; the cuts are common to all of them."""
    cuts = np.quantile(of_eligible(model, 0), [1 / 3, 2 / 3])
    return [np.digitize(each[0], cuts) == number for each in shares[model]]


def count_third(a, b, number):
    floors = {name: control.format(b) for name, control in CONTROLS.items()}
    return persistence(sample, a, b, rule=rule, among=third(a, number), floors=floors)


kept = {
    edge: {name: count_third(*edge, number) for number, name in enumerate(THIRDS)}
    for edge in lineage.edges
}

# %% tags=["hide-input"]
figure, axes = style.panels(len(kept), 1.6)
for axis, (edge, thirds) in zip(axes, kept.items(), strict=True):
    for place, one in enumerate(thirds.values()):
        share, floor, ceiling = one.share(), one.floor(), one.ceiling()
        axis.hlines(place, floor.estimate, ceiling.estimate, color="#bbbbbb", lw=7)
        axis.plot(one.floor("random_model").estimate, place, "|", color=style.GREY, ms=10, mew=2)
        axis.hlines(place, share.low, share.high, color=style.colour_of(edge[1]), lw=2.5)
        axis.plot(share.estimate, place, "o", color=style.colour_of(edge[1]), ms=7, mec="white")
    axis.set(title=style.pair_label(*edge), xlim=(-0.02, 1.02), ylim=(2.5, -0.5))
    axis.set_yticks(range(3), ["context", "mixed", "token"])
    axis.grid(axis="y", visible=False)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
figure.supxlabel("share of the third that persists", fontsize=11)
show(
    figure,
    "Persistence of features that need context, of mixed ones, and of those that are mostly their "
    "token. Grey bar: from the floor (random MLP) to the ceiling; dot: the share, with its 95 % "
    "interval; tick: the random model.",
    "fig-thirds",
    "Panels, one for each pair, with a bar and a dot for each third",
)

# %% tags=["hide-input"]
rows = [
    {"pair": style.pair_label(*edge), **{name: one.rescaled() for name, one in thirds.items()}}
    for edge, thirds in kept.items()
]
show_table(
    pd.DataFrame(rows),
    dict.fromkeys(THIRDS, ".0%"),
    caption="Rescaled persistence by thirds of what the token explains.",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
OVERLAP = "the intervals overlap, so which of them keeps more isn't clear."
first = kept[parent, child]
low, high = first["context"], first["token"]
bounds = [float(cut) for cut in np.quantile(of_eligible(parent, 0), [1 / 3, 2 / 3])]
say(
    f"Of {label(parent)}'s features the lowest third is explained by its token to less than "
    f"{percent(bounds[0])}, the highest to more than {percent(bounds[1])}. Along "
    f"{style.pair_label(parent, child)} {with_interval(low.share())} of the lowest third persist, and "
    f"{with_interval(high.share())} of the highest. But a child with a random MLP shows "
    f"{percent(low.floor().estimate)} and {percent(high.floor().estimate)} of them as well. "
    f"{{term}}`Rescaled <rescaled persistence>` it is {with_interval(low.rescaled())} for context and "
    f"{with_interval(high.rescaled())} for tokens: "
    + verdict(
        high.rescaled(),
        low.rescaled().high,
        below=verdict(
            high.rescaled(),
            low.rescaled().low,
            below="features that need context keep more, beyond what any MLP passes on.",
            above=OVERLAP,
            unclear=OVERLAP,
        ),
        above="features of the token keep more, even beyond what any MLP passes on.",
        unclear=OVERLAP,
    )
)

# %% [markdown]
# ## How much of persistence is carried by token and attention?
#
# A child with a random MLP still has its embedding and its attention. What it shows of the parent's
# features needs nothing that an MLP has learned. So *floor / share* is the part of the persisting
# share that token and attention carry by themselves. It is a ratio of shares, not of features: the
# features found in the control needn't be the ones found in the child.

# %%
whole = {}
for a, b in lineage.edges:
    floors = {name: control.format(b) for name, control in CONTROLS.items()}
    whole[a, b] = persistence(sample, a, b, rule=rule, floors=floors)


def carried(one):
    return ratio(one.floors["random_mlp"], one.shares, tau)


# %% tags=["hide-input"]
figure, axes = style.single(0.42 * len(kept) + 1.4)
looks = {"context": ("v", -0.18), "all": ("o", 0), "token": ("^", 0.18)}
for place, edge in enumerate(kept):
    parts = {"context": kept[edge]["context"], "all": whole[edge], "token": kept[edge]["token"]}
    for name, (marker, shift) in looks.items():
        one, colour = carried(parts[name]), style.colour_of(edge[1])
        axes.hlines(place + shift, one.low, one.high, color=colour, lw=1.5)
        words = {"label": name} if place == 0 else {}
        axes.plot(one.estimate, place + shift, marker, color=colour, ms=7, mec="white", **words)
axes.set_yticks(range(len(kept)), [style.pair_label(*edge) for edge in kept])
axes.set(ylim=(len(kept) - 0.5, -0.5), xlabel="floor / share")
axes.set_xlim(left=0)
axes.grid(axis="y", visible=False)
axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
show(
    figure,
    "The part of the persisting share that a child with a random MLP shows as well, with 95 % "
    "intervals: for the third that needs context, for all features, and for the third that is mostly "
    "its token.",
    "fig-carried",
    "A dot with an interval for each pair and third",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
part = carried(whole[parent, child])
say(
    f"Along {style.pair_label(parent, child)} the token and attention alone carry "
    f"{with_interval(part)} of what is called persistence: "
    + verdict(
        part,
        0.5,
        below="less than half.",
        above="more than half.",
        unclear="whether that is more or less than half isn't clear.",
    )
    + f" Of the third that needs context it is {with_interval(carried(low))}, of the third that is "
    f"mostly its token {with_interval(carried(high))}."
)

# %% [markdown]
# ## Feature by feature, without a threshold
#
# A threshold throws away how close a match is. So take each feature by itself: its $r$ to the child
# beside its $r$ to *its own model's* other dictionaries. If nothing had happened, the two would be alike.
#
# The largest of many correlations is too large by chance, and more so where all are small. So
# the match is **chosen on one half** of each domain's groups and **measured on the other**, then the
# other way round. That makes $r$ a little too low, since half the text chooses less well; but equally
# for the child, for the own seeds and for the control.
#
# Even a perfect child would show $r < 1$, since neither dictionary reads its model without error.
# Dividing by the geometric mean of the two reliabilities takes that away
# and gives the {term}`disattenuated r`:
#
# $$
# r_\text{disattenuated} = \frac{r(i, j)}{\sqrt{r(i, i')\; r(j, j')}},
# $$
#
# with $j$ the child's feature that matches $i$, and $i'$ and $j'$ their matches in another dictionary of
# their own model. It is near 1 where all distance between $i$ and $j$ is the dictionaries' own. The
# control's null value has the same denominator, since its dictionaries have no second seed. Intervals
# resample groups of documents; the choices stay.

# %%
half = halves(mix, seed)
draws = np.vstack([np.ones(sample.draws.documents.shape[1]), sample.draws.documents])


class HeldOut(NamedTuple):
    """Matches chosen on one half of the text, with r on the other."""

    index: np.ndarray  # [d_sae], the other dictionary's feature; −1: none
    r: np.ndarray  # [1 + draws, d_sae]


def held_out(a, s, b, t, choosing):
    """Best matches where `choosing` holds, and their r everywhere else."""
    one, other = of_models[a][s], of_models[b][t]
    masks = {"eligible_a": sample.eligible[a][s], "eligible_b": sample.eligible[b][t]}
    index = correlations(one.acts[choosing], other.acts[choosing], **masks).a_best_index
    has, rest = index >= 0, ~choosing
    r = np.full((len(draws), index.size), np.nan)
    columns = one.acts[rest][:, has], other.acts[rest][:, index[has]]
    r[:, has] = paired_r(*columns, mix.origin[rest], draws)
    return HeldOut(index, r)


def each_half(*dictionaries):
    """Held-out matches of one dictionary's features in another: chosen on either half."""
    return [held_out(*dictionaries, choosing) for choosing in (half, ~half)]


# %%
own = {
    (m, s): [each_half(m, s, m, t) for t in sample.seeds(m) if t != s]
    for m in lineage.order
    for s in sample.seeds(m)
    if s == 0 or lineage.parents(m)
}


def mean_r(matched, k):
    """Mean r of each feature over dictionaries, chosen on half k: [1 + draws, d_sae]."""
    return np.mean([one[k].r for one in matched], axis=0)


# %%
def compare(a, b):
    """Each feature's r to its own other seeds, to the child and to the control; r corrected."""
    to_child = [each_half(a, 0, b, t) for t in sample.seeds(b)]
    to_control = [each_half(a, 0, f"{b}.mlp", 0)]
    r = {"own": [], "child": [], "control": [], "corrected": [], "null": []}
    for k in (0, 1):
        reliable, control = mean_r(own[a, 0], k), mean_r(to_control, k)
        r["own"].append(reliable)
        r["child"].append(mean_r(to_child, k))
        r["control"].append(control)
        for t, one in enumerate(to_child):
            its_own = mean_r(own[b, t], k)[:, one[k].index]
            both = np.sqrt(np.maximum(reliable, 0.01) * np.maximum(its_own, 0.01))
            r["corrected"].append(one[k].r / both)
            r["null"].append(control / both)
    able = sample.eligible[a][0]
    return {name: [values[:, able] for values in each] for name, each in r.items()}


by_feature = {edge: compare(*edge) for edge in lineage.edges}


def median(each):
    """Median over features, mean over halves and dictionaries: [1 + draws]."""
    return np.mean([np.nanmedian(one, axis=1) for one in each], axis=0)


def with_bounds(values):
    return Interval(float(values[0]), *around(values[1:]))


# %% tags=["hide-input"]
figure, axes = style.panels(2, 2.6)
for axis, name, words in zip(axes, ("child", "control"), (label(child), "random MLP"), strict=True):
    own_r, other = (
        np.mean([one[0] for one in by_feature[parent, child][of]], axis=0) for of in ("own", name)
    )
    colour = style.colour_of(child) if name == "child" else style.GREY
    axis.plot([0, 1], [0, 1], color="black", lw=1)
    axis.plot(own_r, other, ".", color=colour, ms=3, alpha=0.4, mew=0, rasterized=True)
    axis.set(title=f"{label(parent)} → {words}", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axis.set_xticks([0, 0.5, 1])
figure.supxlabel("r to the parent's own other seeds", fontsize=11)
figure.supylabel("r to the other model", fontsize=11)
show(
    figure,
    f"Each dot is a feature of {label(parent)}'s first dictionary: its best r in another model against "
    "its best r in the parent's own other dictionaries, both on text that didn't choose the match. On "
    "the line the model is as close as another seed of the parent.",
    "fig-paired",
    "Two clouds of dots below the diagonal, the control's further below",
)

# %% tags=["hide-input"]
per_edge = {}
for edge, r in by_feature.items():
    middle = {name: median(each) for name, each in r.items()}
    per_edge[edge] = {
        "own": with_bounds(middle["own"]),
        "shift": with_bounds(middle["child"] - middle["own"]),
        "control_shift": with_bounds(middle["control"] - middle["own"]),
        "corrected": with_bounds(middle["corrected"]),
        "null": with_bounds(middle["null"]),
    }
heads = {
    "own": "own seeds",
    "shift": "shift to child",
    "control_shift": "to random MLP",
    "corrected": "disattenuated r",
    "null": "its null",
}
table = pd.DataFrame(per_edge.values()).rename(columns=heads)
table.insert(0, "pair", [style.pair_label(*edge) for edge in per_edge])
show_table(
    table,
    dict.fromkeys(heads.values(), ".2f"),
    caption="Medians over the features of each parent's first dictionary, with 95 % intervals.",
    notes={"own seeds": "median r", "its null": "random MLP"},
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
main = per_edge[parent, child]
say(
    f"Along {style.pair_label(parent, child)} the median feature's r falls by "
    f"{number(-main['shift'].estimate)} from its own other seeds ({{numref}}`fig-paired`), and by "
    f"{number(-main['control_shift'].estimate)} if the child's MLP is random. Its disattenuated r is "
    f"{with_interval(main['corrected'], 2, share=False)}, where a random MLP would give "
    f"{with_interval(main['null'], 2, share=False)}. "
    + verdict(
        main["corrected"],
        main["null"].high,
        below="The child is no closer than its control.",
        above="So the child is closer than its control, and the null is high: a disattenuated r near "
        "one doesn't mean that an MLP has kept what it learned.",
        unclear="The child can't be told from its control.",
    )
)

# %% [markdown]
# ## Do other yardsticks agree?
#
# r asks when two features are active, and how strongly. On the matched pairs of seed 0 we can ask other
# things. Do the two write in the same direction (cosine of the decoders)? On which tokens are both
# active (Jaccard: both / either)? Do they order those tokens alike (Spearman)? Do they push the same next
# tokens (cosine of the effects on the logits)?


# %%
YARDSTICKS = {
    "decoder_cosine": "decoder cosine",
    "jaccard": "shared tokens (Jaccard)",
    "spearman": "strength where both fire (Spearman)",
    "logit_cosine": "logit effects (cosine)",
}
LEAST_TOKENS = 10  # on which both are active, for their order to mean something
matches = open_matches(run)


def cosines(x, y, path_x, path_y):
    """Cosines of the rows of x @ path_x and y @ path_y, which are never held: a path may end in
    the whole vocabulary."""

    def product(x, path_x, y, path_y):
        return ((x @ (path_x @ path_y.T)) * y).sum(axis=1)

    lengths = product(x, path_x, x, path_x) * product(y, path_y, y, path_y)
    return product(x, path_x, y, path_y) / np.sqrt(np.where(lengths > 0, lengths, np.nan))


def order_correlation(one, other):
    """Spearman's correlation of two features' strengths where both are active."""
    if one.size < LEAST_TOKENS or np.ptp(one) == 0 or np.ptp(other) == 0:
        return np.nan
    return spearmanr(one, other).statistic


def writing(name):
    """(W_dec, W_out, W_U): what a feature writes, by way of the stream, to the logits."""
    model = run / "models" / name.rsplit("-", 1)[0]
    return logit_effects.read_writing(model, run / "saes" / name, lineage.site)


def yardsticks(a, b):
    """Each of a's matches in b by every yardstick; NaN where one isn't defined."""
    best = matches.best[a, b]
    i = np.flatnonzero(best.a_best_r > tau)
    j = best.a_best_index[i]
    x, y = found[a].acts[:, i].tocsc(), found[b].acts[:, j].tocsc()
    both_x, both_y = (one.multiply(other > 0).tocsc() for one, other in ((x, y), (y, x)))
    shared = both_x.getnnz(axis=0)
    either = x.getnnz(axis=0) + y.getnnz(axis=0) - shared
    strengths = (np.split(both.data, both.indptr[1:-1]) for both in (both_x, both_y))
    (W_x, *path_x), (W_y, *path_y) = writing(a), writing(b)
    W_x, W_y = W_x[i].astype(np.float64), W_y[j].astype(np.float64)
    directions = np.eye(W_x.shape[1])
    one_space = W_x.shape[1] == W_y.shape[1]
    return pd.DataFrame(
        {
            "r": best.a_best_r[i],
            "decoder_cosine": cosines(W_x, W_y, directions, directions) if one_space else np.nan,
            "jaccard": shared / np.where(either > 0, either, np.nan),
            "spearman": [order_correlation(*pair) for pair in zip(*strengths, strict=True)][
                : i.size
            ],
            "logit_cosine": cosines(W_x, W_y, np.matmul(*path_x), np.matmul(*path_y)),
        }
    )


# %% tags=["hide-input"]
def medians(a, b):
    return yardsticks(a, b).median()


by_yardstick = {f"{a}_{b}": medians(f"{a}-0", f"{b}-0") for a, b in lineage.edges}
by_yardstick |= {a: medians(f"{a}-0", f"{a}-1") for a in dict.fromkeys(a for a, _ in lineage.edges)}
figure, axis = style.single(3.2)
for name, row in by_yardstick.items():
    again = name in lineage.order
    marker = "|" if again else style.MARKERS[list(by_yardstick).index(name) % len(style.MARKERS)]
    size = {"ms": 16, "mew": 2} if again else {"ms": 7, "mec": "white"}
    words = f"{label(name)}, again" if again else style.pair_label(name)
    colour = style.colour_of(name.split("_")[-1])
    axis.plot(row.iloc[1:], range(4), marker, color=colour, label=words, **size)
axis.set_yticks(range(4), YARDSTICKS.values())
axis.set(xlim=(0, 1.02), ylim=(3.5, -0.5), xlabel="median over matched pairs")
figure.legend(loc="outside lower center", ncols=2)
show(
    figure,
    "Matched pairs by four other yardsticks: medians. Seed 0; bars: seeds 0 and 1 of one model.",
    "fig-yardsticks",
    "Four rows of markers, one for each yardstick",
)

# %% [markdown]
# Read each marker against the bar of the parent's own seeds in {numref}`fig-yardsticks`. Features can
# match and yet be active on few of the same tokens: r weighs strong activations most, and weak ones
# come and go.
#
# ## What a merge takes from whom
#
# Two questions remain for merges, and both need controls. Does a merge move back towards the ancestor
# of its parents? Then more of the ancestor's features are found in the merge than in a parent, on the
# same tokens and under the same draws.

# %%
back = {}
for merge in lineage.merges:
    parents = lineage.parents(merge)
    ancestor = lineage.common_ancestor(parents)
    for parent_ in parents:
        if (ancestor, parent_) in whole and ancestor != parent_:
            shares_ = whole[ancestor, merge].shares, whole[ancestor, parent_].shares
            back[merge, parent_] = difference(*shares_, tau)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
lines = []
for (merge, parent_), gap in back.items():
    ancestor = lineage.common_ancestor(lineage.parents(merge))
    in_merge, in_parent = (whole[ancestor, one].share() for one in (merge, parent_))
    floors = [percent(whole[ancestor, one].floor().estimate) for one in (merge, parent_)]
    lines.append(
        f"- {label(merge)} has {with_interval(in_merge)} of {label(ancestor)}'s features, "
        f"{label(parent_)} {with_interval(in_parent)} (with random MLPs {listed(floors)}): "
        + verdict(
            gap,
            0,
            below="the merge is further from the ancestor than this parent.",
            above="the merge has moved back towards the ancestor.",
            unclear="whether it has moved back isn't clear.",
        )
    )
say("\n".join(lines))

# %% [markdown]
# Where do a merge's features come from, and where would they if its MLP were random? The floor of an
# origin is the share of the *control's* features that have it. A parent's second dictionary in the
# merge's place is the ceiling, as in [the chapter before](ceilings). A merge lies so near to its parents
# that dictionaries of equal seeds resemble each other. So the merge's second dictionary is asked, and the
# parents' first.

# %% tags=["hide-input"]
origins, by_origin = {}, {}
other_seed = min(1, other_seeds - 1, control_draws - 1)
for merge in lineage.merges:
    parents = lineage.parents(merge)
    of_merge = merge_origins(sample, merge, parents, rule, other_seed)
    of_control = merge_origins(sample, f"{merge}.mlp", parents, rule, other_seed)
    by_origin[merge] = of_merge
    # The entry "novel" holds the share that isn't.
    turn = {name: complement if name == "novel" else (lambda share: share) for name in of_merge}
    origins[merge] = {
        name: [
            interval(turn[name](share), tau)
            for share in (of_merge[name].shares, of_control[name].shares, of_merge[name].ceilings)
        ]
        for name in of_merge
    }
    table = pd.DataFrame(origins[merge], index=["share", "random MLP", "if unmerged"]).T
    show_table(
        table.rename_axis("origin").reset_index(),
        dict.fromkeys(table.columns, ".0%"),
        caption=f"Origins of {label(merge)}'s features (seed {other_seed}), of its control's, and of a "
        "parent's.",
    )

# %% tags=["remove-input"] jupyter={"source_hidden": true}
for each in by_origin.values():
    excess = each["novel"].excess()
    says = verdict(
        excess,
        0,
        below="The merge has fewer than a parent's second dictionary would seem to have.",
        above="These the merge really made.",
        unclear="Whether merging makes new features can't be told.",
    )
    say(f"*Novel* ones, which no parent has, have an excess of {points(excess)}. {says}")

# %% tags=["remove-cell"]
results = {}
for m, (one, two) in median_share.items():
    results |= {f"context.{m}.token_share.median": one, f"context.{m}.bigram_share.median": two}
    for number_, cut in enumerate(np.quantile(of_eligible(m, 0), [1 / 3, 2 / 3])):
        results[f"context.{m}.token_share.cut_{number_ + 1}"] = cut
for (a, b), thirds in kept.items():
    key = f"context.{a}_{b}"
    results |= flat(f"{key}.carried", carried(whole[a, b]))
    for name, one in thirds.items():
        results |= one.as_results(f"{key}.{name}.persisting_share")
        results |= flat(f"{key}.{name}.carried", carried(one))
    for name, one in per_edge[a, b].items():
        results |= flat(f"{key}.{'own_r' if name == 'own' else name}", one)
for (merge, parent_), gap in back.items():
    results |= flat(f"context.{merge}.back_beyond_{parent_}", gap)
for merge, each in origins.items():
    for name, (_, floor, _) in each.items():
        key, one = f"track.{merge}_origin.{name.replace(' ', '_')}", by_origin[merge][name]
        results |= one.lost_results(key) if name == "novel" else one.as_results(key)
        results |= flat(f"{key}.random_mlp", floor)
for key, row in by_yardstick.items():
    for name, middle in row.items():
        results[f"track.{key}.yardstick.{name}.median"] = None if np.isnan(middle) else middle
store.write_results(run, "context", results)

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"The median feature of {label(parent)} is explained to {percent(median_share[parent][0])} by its "
    f"token, and {percent(part.estimate)} of what persists along {style.pair_label(parent, child)} would "
    "also be shown by a child whose MLP is random. Of features that need context "
    f"{percent(low.share().estimate)} persist, of those that are mostly their token "
    f"{percent(high.share().estimate)}. What the MLP has learned shows in the distance between floor "
    "and ceiling, and without a threshold in the distance of the disattenuated r, "
    f"{number(main['corrected'].estimate)}, from its null, {number(main['null'].estimate)}.",
    "How far such numbers can be trusted is the subject of [calibration](calibration).",
)

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# How much would the token seem to explain of the feature `x` if its own text weren't left out? Predict
# `x` by the plain mean over all positions with the same token, `mix.tokens`, and compute the share of
# the variance that is explained.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
times = np.bincount(mix.tokens)
mean_of_token = np.bincount(mix.tokens, weights=x) / np.maximum(times, 1)
with_own_text = 1 - np.mean((x - mean_of_token[mix.tokens]) ** 2) / x.var()

# %%
answer = ...  # your share, from 0 to 1
check(answer, with_own_text)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
guess = pd.Series(x).groupby(mix.tokens).transform("mean")
answer = guess.var(ddof=0) / x.var()  # the variance between tokens, as in an analysis of variance
check(answer, with_own_text)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# How optimistic is a best match? Compute the median r of the eligible features of the first parent's
# first dictionary with their best match in the child's first dictionary, chosen *and* measured on the
# half `half` of the text, less the median on the other half, where `by_half.r[0]` has the held-out r.
# `np.corrcoef` of two columns will do; `by_half.index` names the matches.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
by_half = each_half(parent, 0, child, 0)[0]
able = sample.eligible[parent][0]
chosen_on = paired_r(
    of_models[parent][0].acts[half][:, able],
    of_models[child][0].acts[half][:, by_half.index[able]],
    mix.origin[half],
    draws[:1],
)
optimism = np.nanmedian(chosen_on) - np.nanmedian(by_half.r[0, able])

# %%
answer = ...  # the difference of the two medians
check(answer, optimism)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
ours, theirs = (of_models[model][0].acts[half].tocsc() for model in (parent, child))
on_chosen = [
    np.corrcoef(ours[:, [i]].toarray().ravel(), theirs[:, [by_half.index[i]]].toarray().ravel())[
        0, 1
    ]
    for i in np.flatnonzero(able)
]
answer = np.nanmedian(on_chosen) - np.nanmedian(by_half.r[0, able])
check(answer, optimism)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# Two features have a disattenuated r of 1, and an r of 0.7. Are they the same feature?
# :::
#
# :::{dropdown} Answer
# Each is then as close to the other as to itself in another dictionary. So the two *models* needn't
# differ. Whether these two *dictionaries* show the same thing is another question: in 0.7 there is much
# that one of them has and the other lacks.
# :::
