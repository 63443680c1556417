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
# # Where on the way do features die?
#
# A merge of two models is one point of a path from one parent to the other. {cite:t}`horn2025tracking`
# look at one such point. Here we walk the whole path and ask for each {term}`feature` of a parent: how
# far does it come? The loss gets worse along the way as well, so we ask, too, which of the two goes first.
#
# **You will learn** at which weight features are lost, and whether a merge has features of its own. **You
# need** [merging](merge), [ceilings and floors](ceilings) and [probes](repartitioned). **It takes**
# fifteen minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import numpy as np
import pandas as pd
import torch
from matplotlib.ticker import PercentFormatter
from scipy import sparse

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features, kernels
from featrack_utils.dictionaries.training import load_sae
from featrack_utils.display import paper, style, training_figures
from featrack_utils.display.text import (
    check,
    count,
    listed,
    number,
    percent,
    points,
    say,
    show,
    verdict,
    with_interval,
)
from featrack_utils.lineage import label
from featrack_utils.matching import classes
from featrack_utils.matching.best_matches import open_matches
from featrack_utils.matching.correlation import correlations, members
from featrack_utils.models import capture, controls, evaluation, loading, merging
from featrack_utils.pipeline import store
from featrack_utils.statistics.bootstrap import double_noise, draw, halves
from featrack_utils.statistics.intervals import (
    UNDEFINED,
    Interval,
    Shares,
    around,
    corrected,
    difference,
    interval,
    over_seeds,
    proportion,
)
from featrack_utils.statistics.persistence import flat
from featrack_utils.statistics.probes import Probe, encoder_probe

# %% tags=["parameters"]
run_dir = "runs/quick"
root_seeds = 3  # dictionaries of the first model; paper: 1
other_seeds = 2  # of every other model; paper: 1
seed = 1337  # of the draws, and of random directions
tau = 0.8  # correlation above which a feature lives; paper: 0.8 for a match
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
evaluation_blocks = 140  # validation blocks per domain
context = 128  # tokens; paper: 256
sweep_points = 21  # weights of the chapter on merging, of which at most ten are used here
interval_draws = 40  # bootstrap draws over groups of documents
probed_features = 60  # at most; half with a partner, half without
followed_features = 100  # at most, of each dictionary of a parent

# %% tags=["hide-input"] jupyter={"source_hidden": true}
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
made = [merge for merge in lineage.merges if merge not in lineage.loaded]
pairs = {m: lineage.parents(m) for m in made if len(lineage.parents(m)) == 2}
method = {m: lineage.models[m].get("method", "slerp") for m in pairs}
ancestor_of = {m: lineage.common_ancestor(pairs[m]) for m in pairs}
first_merge = next(iter(pairs))
own = {}  # the domains that a model was tuned on; for a merge, those of its parents
for name in lineage.order:
    inherited = (d for parent in lineage.parents(name) for d in own[parent])
    own[name] = lineage.trained_on(name) or tuple(dict.fromkeys(inherited))
texts = {d: corpora.validation_blocks(d, evaluation_blocks) for d in lineage.domains}
mix = features.evaluation_mix(texts)
tokens = torch.from_numpy(mix.tokens).long()


def state(name):
    return loading.load_model(store.opened(run / "models" / name)).state_dict()


say(
    f"A mixture of more than two parents has no path: {listed([*map(label, left_out)])} is left out here."
    if (left_out := [merge for merge in lineage.merges if merge not in pairs])
    else ""
)

# %% [markdown]
# ## Reading a mixture
#
# At each weight $t$ we mix the parents as the merge is made ($t = 0$ is the first parent, 1 the second).
# A {term}`dictionary` for every mixture would cost too much. But a parent's dictionary can be read anywhere.
# Its encoder says how active feature $i$ is at a token with the activations $x$:
#
# $$f_i(x) = \operatorname{ReLU}\bigl(w_i \cdot (x - b_\text{dec}) + b_i\bigr).$$
#
# We give it the mixture's activations $x_t$ in place of the parent's own, $x_p$, at the same tokens, and
# correlate. Feature $i$ **lives** at $t$ if
#
# $$r_i(t) = \operatorname{corr}\bigl(f_i(x_t),\, f_i(x_p)\bigr) > \tau .$$
#
# At its own parent every feature has $r = 1$. Where $r$ first falls to $\tau$ lies its {term}`death point`.


# %%
def encode(sae, x, which):
    """Activations of some of a dictionary's features, [n_tokens, n_features]."""
    if sae.cfg.architecture() != "standard":
        return sae.encode(x)[:, which]  # each feature depends on the others
    x = sae.process_sae_in(x)  # less b_dec
    return torch.relu(x @ sae.W_enc[:, which] + sae.b_enc[which])


def raw(model):
    """A model's activations on the evaluation mix, the first position of each block left out."""
    parts = [capture.plain_activations(model, b, lineage.site)[:, 1:] for b in tokens.split(16)]
    return torch.cat(parts).flatten(0, 1).float()


# %% [markdown]
# This reading has a limit that no other chapter has. The encoder looks in *one* direction. A feature that
# turns, and that a new dictionary would find again, seems dead. And one that is still read may no longer
# be used. So three other models are read in the same way: the {term}`ancestor`, the merge with a
# {term}`random MLP`, which is the {term}`floor`, and at each distance a model that has gone **as far in a
# random direction**, tensor by tensor:
#
# $$W_p + \lVert W(t) - W_p\rVert \frac{N}{\lVert N\rVert},\qquad N_{ij} \sim \mathcal N(0, 1).$$


# %%
def as_far_at_random(start, end, seed):
    """Weights as far from the start as the end is, tensor by tensor, in a random direction."""
    step = {name: end[name].double() - start[name].double() for name in start}
    drawn = controls.redrawn(step, lambda name: bool(step[name].any()), seed)
    return {name: (start[name] + drawn[name]).to(start[name].dtype) for name in start}


# %% [markdown]
# ## Which features we follow
#
# We follow {term}`reproducible` features of each parent's dictionaries, at most `followed_features` of each,
# drawn at random. They are of three classes, by what is known *before* the merge. The merge's own
# dictionaries have no say in it.
#
# - **Universal**: the ancestor and the other parent have it, too.
# - **The ancestor's**: the ancestor has it and the other parent doesn't.
# - **Its own**: neither has it. This fine-tune has made it, for its own text.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
names = features.dictionary_names(lineage, root_seeds, other_seeds)
matches = open_matches(run)
found = features.open_features(run, lineage, root_seeds, other_seeds)


def best_r(name, model):
    """Each feature's largest r with the dictionaries of a model, of other seeds than its own."""
    place = int(name.rsplit("-", 1)[1])
    others = [one for k, one in enumerate(names[model]) if k != place]
    others = others or [one for one in names[model] if one != name]
    each = []
    for other in others:
        if (name, other) not in matches.best:
            able = {"eligible_a": matches.eligible[name], "eligible_b": matches.eligible[other]}
            matches.best[name, other] = correlations(found[name].acts, found[other].acts, **able)
        each.append(matches.best[name, other].a_best_r)
    return np.array(each or [matches.eligible[name].astype(float)])


def reproducible(name):
    model = name.rsplit("-", 1)[0]
    return matches.eligible[name] & (best_r(name, model).min(axis=0) > tau)


CLASSES = {"universal": "universal", "ancestor": "the ancestor’s", "own": "its own"}
followed, class_of = {}, {}
for merge, parents in pairs.items():
    for parent, other in (parents, parents[::-1]):
        for name in names[parent]:
            drawn = np.random.default_rng(seed).permutation(np.flatnonzero(reproducible(name)))
            followed[name] = which = np.sort(drawn[:followed_features])
            before, beside = (
                best_r(name, model).max(axis=0)[which] > tau if model != parent else which >= 0
                for model in (ancestor_of[merge], other)
            )
            kinds = before & beside, before & ~beside, ~before & ~beside
            class_of[merge, name] = dict(zip(CLASSES, kinds, strict=True))
saes = {name: load_sae(store.opened(run / "saes" / name)) for name in followed}
some = found[names[lineage.root][0]]
draws = draw(some, {model: len(each) for model, each in names.items()}, interval_draws, seed)
member = members(some.origin, draws.documents.shape[1])

# %% [markdown]
# Correlations come from sums over documents, so that the bootstrap can weigh the documents anew.


# %%
def correlate(x, y, member, draws):
    """r of each column of x with the same one of y: [d] on all documents, and [d, n] in n draws.

    member [n_documents, n_tokens] is 1 where a token is of a document, draws [n, n_documents].
    """
    weights = np.vstack([np.ones(member.shape[0]), draws])
    x, y = (sparse.csr_matrix(one, dtype=np.float64) for one in (x, y))
    parts = (x, y, x.multiply(x), y.multiply(y), x.multiply(y))
    sx, sy, sxx, syy, sxy = (weights @ (member @ part).toarray() for part in parts)
    n = weights @ np.asarray(member.sum(axis=1)).reshape(-1, 1)
    spread = np.sqrt(np.maximum(n * sxx - sx**2, 0) * np.maximum(n * syy - sy**2, 0))
    r = (n * sxy - sx * sy) / np.where(spread > 0, spread, np.inf)  # 0 where one is constant
    return r[0], r[1:].T


def half_way(distances, curve, level=0.5, never=1.0):
    """Where a curve first falls to a level, straight between points; `never`: nowhere."""
    fallen = np.flatnonzero(np.asarray(curve) <= level)
    if not fallen.size or fallen[0] == 0:
        return never if not fallen.size else distances[0]
    k = fallen[0]
    part = (curve[k - 1] - level) / (curve[k - 1] - curve[k])
    return distances[k - 1] + part * (distances[k] - distances[k - 1])


# %% [markdown]
# Now the walk. At each weight the mixture is made in memory, read by both parents' dictionaries, and scored
# on both parents' text. At the merge's own weight it must be the merge.


# %%
def read(model, names):
    """r of the followed features of some dictionaries, between a model and their own."""
    x, with_own = raw(model).split(1024), {}
    for name in names:
        which = followed[name]
        parts = (encode(saes[name], part, which).detach() for part in x)
        there = sparse.vstack([*map(kernels.active_entries, parts)], format="csr")
        with_own[name] = correlate(there, found[name].acts[:, which], member, draws.documents)
    return with_own


def losses(model, parent):
    """Mean loss on every third block of a parent's own text: as it is, and in each draw."""
    of = [lineage.domains.index(domain) for domain in own[parent]]
    rows = np.flatnonzero(np.isin(mix.domain, of))[::3]
    summed = evaluation.evaluate(model, mix.tokens[rows], mix.origin[rows]).by_document
    times = np.vstack([np.ones(draws.documents.shape[1]), draws.documents])
    times = times[:, np.unique(mix.origin[rows][:, 1:])]
    return (times @ summed[:, 0]) / (times @ summed[:, 2])


# %% tags=["hide-input"] jupyter={"source_hidden": true}
results_of_merge = store.read_results(run, "merge")
ts, t_of, balanced_of, walked, at_random, ends, loss_along = {}, {}, {}, {}, {}, {}, {}
for merge, parents in pairs.items():
    at = "merge" if len(pairs) == 1 else f"merge.{merge}"
    t_of[merge] = results_of_merge[f"{at}.t"]
    balanced_of[merge] = results_of_merge.get(f"{at}.t_balanced")
    grid = np.linspace(0, 1, sweep_points)[:: -(-sweep_points // 10)]
    ts[merge] = np.unique([*grid, 1.0, t_of[merge]])
    states = [state(parent) for parent in parents]
    probe = loading.load_model(run / "models" / ancestor_of[merge])
    both = [name for parent in parents for name in names[parent]]
    ends[merge, "ancestor"] = read(probe, both)
    for parent in parents:
        loss_along[merge, parent, "before"] = losses(probe, parent)
    for t in ts[merge]:
        mixture = merging.merge(states, (1 - t, t), method[merge])
        if t == t_of[merge]:
            torch.testing.assert_close(mixture, dict(state(merge)))
        probe.load_state_dict(mixture)
        walked[merge, t] = read(probe, both)
        for parent in parents:
            loss_along[merge, parent, t] = losses(probe, parent)
    for parent, start, home in zip(parents, states, (0.0, 1.0), strict=True):
        for t in {*ts[merge][1::6], t_of[merge], 1 - home} - {home}:
            mixture = merging.merge(states, (1 - t, t), method[merge])
            probe.load_state_dict(as_far_at_random(start, mixture, seed))
            at_random[merge, parent, t] = read(probe, names[parent])
    probe.load_state_dict(state(f"{merge}.mlp-0"))
    ends[merge, "random_mlp"] = read(probe, both)

# %% [markdown]
# For one feature half-way, the same by numpy:

# %%
parent, other = pairs[first_merge]
name = next(n for p in (parent, other) for n in names[p] if len(followed[n]))
middle = ts[first_merge][len(ts[first_merge]) // 2]
halfway = merging.merge(
    [state(p) for p in (parent, other)], (1 - middle, middle), method[first_merge]
)
probe.load_state_dict(halfway)
there = encode(saes[name], raw(probe), followed[name][:1]).detach().numpy().ravel().astype(float)
at_home = found[name].acts[:, [followed[name][0]]].toarray().ravel()
by_hand = np.corrcoef(there, at_home)[0, 1] if there.any() else 0.0
assert np.isclose(by_hand, walked[first_merge, middle][name][0][0], atol=1e-5)


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def from_parent(merge, parent):
    """The weights tried, the parent's own first, and how far from it they lie."""
    forward = parent == pairs[merge][0]
    order = ts[merge] if forward else ts[merge][::-1]
    return order, order if forward else 1 - order


def living(merge, parent, kind, read):
    """The share of a class that lives in what was read; None: there is none."""
    tables = {}
    for s, name in enumerate(names[parent]):
        mask = class_of[merge, name][kind]
        if mask.any():
            r, drawn = (values[mask] for values in read[name])
            counted, shares = np.mean(r > tau), np.mean(drawn > tau, axis=0)
            # As counted: unlike a best match, r has no choice among candidates to correct for.
            around_it = (counted + shares - shares.mean())[:, None]
            share = Shares(np.array([tau]), np.array([counted]), around_it, int(mask.sum()))
            tables[(s,)] = share
    return over_seeds(tables, draws, parent) if tables else None


def gain_left(merge, parent):
    """Share of a parent's gain in loss that is left, [n_weights, 1 + n_draws]; NaN: no gain."""
    order, _ = from_parent(merge, parent)
    before, after = (loss_along[merge, parent, key] for key in ("before", order[0]))
    gain = np.where((before - after > 0).all(), before - after, np.nan)
    return np.array([(before - loss_along[merge, parent, t]) / gain for t in order])


def of_draws(values):
    """A figure and its interval from the value on all documents and those in the draws."""
    if not np.isfinite(values).all():
        return UNDEFINED
    low, high = around(np.asarray(values[1:]))
    return Interval(float(values[0]), min(low, float(values[0])), max(high, float(values[0])))


each_parent = [(merge, parent) for merge in pairs for parent in pairs[merge]]
alive, halves_of, gains = {}, {}, {}
for merge, parent in each_parent:
    order, away = from_parent(merge, parent)
    gains[merge, parent] = gain_left(merge, parent)
    columns = gains[merge, parent].T
    halves_of[merge, parent, "gain"] = np.array([half_way(away, c) for c in columns])
    if np.isnan(columns).any():
        halves_of[merge, parent, "gain"] = np.full(len(columns), np.nan)
    for kind in CLASSES:
        curve = [living(merge, parent, kind, walked[merge, t]) for t in order]
        alive[merge, parent, kind] = curve if curve[0] else None
        if curve[0]:
            values = np.array([[s.estimate[0], *s.replicates[:, 0]] for s in curve])
            halves_of[merge, parent, kind] = np.array([half_way(away, v) for v in values.T])

# %% [markdown]
# ## Single features
#
# Here are some of the first parent's features on their way, each a line.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
parent = pairs[first_merge][0]
order, away = from_parent(first_merge, parent)
COLOURS = dict(zip(CLASSES, ("#000000", style.PALETTE[4], style.PALETTE[5]), strict=True))
figure, axis = style.single(3.2)
for kind, words in CLASSES.items():
    lines = []
    for name in names[parent]:
        mask = np.flatnonzero(class_of[first_merge, name][kind])[:6]
        lines += [[walked[first_merge, t][name][0][i] for t in order] for i in mask]
    for line in lines[:6]:
        axis.plot(order, line, color=COLOURS[kind], lw=1.2, alpha=0.8)
    axis.plot([], [], color=COLOURS[kind], label=words)
axis.axhline(tau, color=style.GREY, ls="--", lw=1)
axis.set_xlabel(training_figures.weight_label(pairs[first_merge]))
axis.set(xlim=(0, 1), ylim=(-0.1, 1.03), ylabel="r with its activity at home")
figure.legend(loc="outside upper center", ncols=3)
show(
    figure,
    f"Up to six features of {label(parent)} of each class: how well what its encoder reads in the mixture "
    "agrees with what it reads at home. Dashed: τ; a line that crosses it dies there.",
    "fig-traces",
    "Lines that fall from 1 at the parent, at different places, some below the dashed threshold",
)

# %% [markdown]
# ## How many live, and how much of the gain
#
# For each class we count the share that lives at each weight. Beside it stands the share of the parent's
# gain in loss, on its own text, that the mixture still has:
#
# $$\frac{L_\text{ancestor} - L(t)}{L_\text{ancestor} - L_\text{parent}} .$$


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def band(axis, places, shares, look):
    figures = pd.DataFrame([interval(share, tau) for share in shares])
    axis.plot(places, figures["estimate"], **look)
    axis.fill_between(places, figures["low"], figures["high"], color=look["color"], alpha=0.2, lw=0)


published_t, balanced = paper.PAPER["merge.t"].value, balanced_of[first_merge]
figure, axes = style.panels(2 * len(CLASSES), 1.75)
panels = iter(axes)
for kind, words in CLASSES.items():
    for parent in pairs[first_merge]:
        axis, (order, _) = next(panels), from_parent(first_merge, parent)
        axis.axvline(t_of[first_merge], color=style.GREY, ls=":", lw=1)
        axis.axvline(published_t, color=style.GREY, ls="-.", lw=1)
        gain = np.clip(gains[first_merge, parent][:, 0], -0.02, 1.05)
        axis.plot(order, gain, color="black", ls="--", lw=1.2)
        if curve := alive[first_merge, parent, kind]:
            far = [t for t in order if (first_merge, parent, t) in at_random]
            random = [
                living(first_merge, parent, kind, at_random[first_merge, parent, t]) for t in far
            ]
            band(axis, [order[0], *far], [curve[0], *random], {"color": "#999999", "lw": 1.5})
            band(axis, order, curve, {"color": style.colour_of(parent)})
            floor = living(first_merge, parent, kind, ends[first_merge, "random_mlp"])
            axis.axhline(interval(floor, tau).estimate, color="#bbbbbb", lw=3, zorder=0)
        axis.set(title=f"{label(parent)}: {words}", xlim=(0, 1), ylim=(-0.03, 1.06))
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
for words, look in {
    "features that live": {"color": style.colour_of(pairs[first_merge][0])},
    "gain in loss": {"color": "black", "ls": "--", "lw": 1.2},
    "as far at random": {"color": "#999999", "lw": 1.5},
    "random MLP": {"color": "#bbbbbb", "lw": 3},
    f"the merge’s t{', balanced' * (balanced == t_of[first_merge])}": {
        "color": style.GREY,
        "ls": ":",
        "lw": 1,
    },
    f"the paper’s, {published_t}": {"color": style.GREY, "ls": "-.", "lw": 1},
}.items():
    axes[0].plot([], [], label=words, **look)
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
figure.supxlabel(training_figures.weight_label(pairs[first_merge]), fontsize=11)
show(
    figure,
    "The share of each parent's features that live in the mixture, by class, with 95 % bands (a parent in "
    "its colour), and the share of its gain in loss that is left (dashed). Grey: as far from the parent in a "
    "random direction. Light bar: the merge with a random MLP. The paper's weight counts from its "
    "Lua.",
    "fig-along",
    "Panels, a row for each class and a column for each parent, with falling curves",
)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
results = {}


def on_axis(merge, parent, figure):
    """A distance from the parent as a weight t."""
    estimate, low, high = figure
    return figure if parent == pairs[merge][0] else Interval(1 - estimate, 1 - high, 1 - low)


lag, beyond = {}, {}
for merge, parent in each_parent:
    key, kinds = f"along.{merge}.{parent}", [k for k in CLASSES if alive[merge, parent, k]]
    order, _ = from_parent(merge, parent)
    here = int(np.flatnonzero(order == t_of[merge])[0])
    half_gain = halves_of[merge, parent, "gain"]
    results |= flat(f"{key}.gain.half_t", on_axis(merge, parent, of_draws(half_gain)))
    for kind in CLASSES:
        masks = [class_of[merge, name][kind] for name in names[parent]]
        results[f"{key}.{kind}.followed"] = int(sum(mask.sum() for mask in masks))
    for kind in kinds:
        curve, half = alive[merge, parent, kind], halves_of[merge, parent, kind]
        results |= flat(f"{key}.{kind}.half_t", on_axis(merge, parent, of_draws(half)))
        shares = {"at_merge": curve[here], "at_end": curve[-1]}
        shares |= {
            n: living(merge, parent, kind, ends[merge, n]) for n in ("ancestor", "random_mlp")
        }
        if (merge, parent, t_of[merge]) in at_random:
            read_there = at_random[merge, parent, t_of[merge]]
            shares["random_at_merge"] = living(merge, parent, kind, read_there)
            beyond[merge, parent, kind] = difference(curve[here], shares["random_at_merge"], tau)
            results |= flat(f"{key}.{kind}.beyond_random", beyond[merge, parent, kind])
        for end, share in shares.items():
            results |= flat(f"{key}.{kind}.{end}_share", interval(share, tau))
        lag[merge, parent, kind] = of_draws(half - half_gain)
        results |= flat(f"{key}.{kind}.half_after_gain", lag[merge, parent, kind])

# %% tags=["remove-input"] jupyter={"source_hidden": true}
CLASS_WORDS = {"universal": "universal features", "ancestor": "the ancestor's", "own": "its own"}


def fates(parent):
    """What becomes of a parent's classes on the way, in sentences."""
    parts = []
    for kind, words in CLASS_WORDS.items():
        if not alive[first_merge, parent, kind]:
            continue
        key = f"along.{first_merge}.{parent}.{kind}"
        half = of_draws(halves_of[first_merge, parent, kind])
        there, end = (results[f"{key}.{place}_share"] for place in ("at_merge", "at_end"))
        died = (
            f"half are dead at a distance of {with_interval(half, 2, share=False)}"
            if half.estimate < 1
            else "more than half reach the other parent"
        )
        parts.append(
            f"- {words} ({count(results[f'{key}.followed'])} followed): {died}; {percent(there)} live in "
            f"the merge, {percent(end)} in the other parent"
        )
    half_gain = of_draws(halves_of[first_merge, parent, "gain"])
    gain = (
        f"**{label(parent)}.** Half of its gain is lost at a distance of "
        f"{with_interval(half_gain, 2, share=False)}."
        if np.isfinite(half_gain.estimate)
        else f"**{label(parent)}** has gained nothing on its own text that it could lose."
    )
    return f"{gain} Of its features:\n\n" + "\n".join(parts)


say(
    "{numref}`fig-along`, in numbers. Distances run from a feature's own parent, 0, to the other, 1."
    + (
        f" The balanced weight would be t = {number(balanced)}."
        if balanced not in (None, t_of[first_merge])
        else ""
    ),
    *(fates(parent) for parent in pairs[first_merge]),
)


def in_points(gap):
    return f"{points(gap.estimate)} [{number(100 * gap.low, 0)}, {number(100 * gap.high, 0)}]"


SAYS = {
    "below": "die **before** the gain does: the loss doesn't tell that they are gone",
    "above": "**outlive** the gain: they are still read where they no longer help",
    "unclear": "and the gain can't be told apart",
}
for parent in pairs[first_merge]:
    compared = lag.get((first_merge, parent, "own"), UNDEFINED)
    apart = beyond.get((first_merge, parent, "own"), UNDEFINED)
    if np.isfinite(compared.estimate):
        say(
            f"**{label(parent)}**: its own features {verdict(compared, 0, **SAYS)} (their half point less "
            f"the gain's: {with_interval(compared, 2, share=False)}). "
            + (
                verdict(
                    apart,
                    0,
                    below="The way to the other parent kills more of them than a random one of the same length",
                    above="The way to the other parent spares more of them than a random one of the same length",
                    unclear="The way to the other parent can't be told from a random one of the same length",
                )
                + f" (living at the merge's t: {in_points(apart)})."
                if np.isfinite(apart.estimate)
                else ""
            )
        )

# %% [markdown]
# ## Death points
#
# The same, feature by feature: where does each line of {numref}`fig-traces` first cross τ? Those that
# never do reach the other parent alive.


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def death_points(merge, parent, kind):
    """Each feature's distance from its parent where it dies; infinite: nowhere."""
    order, away = from_parent(merge, parent)
    dead = []
    for name in names[parent]:
        r = np.array([walked[merge, t][name][0] for t in order])[:, class_of[merge, name][kind]]
        dead += [half_way(away, line, tau, np.inf) for line in r.T]
    return np.array(dead)


figure, axes = style.panels(2, 2.5)
bins = np.linspace(0, 1, 11)
for axis, parent in zip(axes, pairs[first_merge], strict=True):
    bottom = np.zeros(len(bins))
    for kind, words in CLASSES.items():
        dead = death_points(first_merge, parent, kind)
        heights = [*np.histogram(dead[np.isfinite(dead)], bins)[0], np.isinf(dead).sum()]
        places = [*(bins[:-1] + 0.05), 1.15]
        axis.bar(places, heights, 0.085, bottom=bottom, color=COLOURS[kind], label=words)
        bottom += heights
    axis.set(title=label(parent), xlabel="distance from it")
    axis.set_xticks([0, 0.5, 1, 1.15], ["0", "0.5", "", "lives"])
axes[0].set_ylabel("features")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
show(
    figure,
    "How far from its own parent each followed feature dies, by class; the last bar counts those that live "
    "in the other parent, too.",
    "fig-death-points",
    "Two stacked histograms of death points with a bar for features that never die",
)

# %% [markdown]
# ## Is the encoder's word good?
#
# At one weight there are dictionaries to ask: the merge has its own. There a feature that the parent's
# encoder calls alive should have a {term}`match`, and a dead one none.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
agree = {}
for merge in pairs:
    lives, has = [], []
    for parent in pairs[merge]:
        for name in names[parent]:
            lives.append(walked[merge, t_of[merge]][name][0] > tau)
            has.append(best_r(name, merge).max(axis=0)[followed[name]] > tau)
    lives, has = np.concatenate(lives), np.concatenate(has)
    agree[merge] = {"alive": proportion(has[lives]), "dead": proportion(has[~lives])}
    for end, share in agree[merge].items():
        results |= flat(f"along.{merge}.{end}_with_match_share", share)
lives, dead = agree[first_merge].values()
say(
    f"Of the features that live in {label(first_merge)}, {with_interval(lives)} have a match in its "
    f"dictionaries; of the dead {with_interval(dead)}. "
    + verdict(
        dead,
        0.5,
        below="What the encoder calls dead is mostly missing from a fresh dictionary, too.",
        above="So a dead feature has mostly turned, and a fresh dictionary finds it: a death point says where "
        "the parent's *own* reading ends, and no more.",
        unclear="So a part of the dead features, perhaps most, has only turned.",
    )
)

# %% [markdown]
# ## Features that only the merge has
#
# A merge's reproducible features without a partner in any parent are called {term}`novel`. Are they real?
# No text has ever taught them. Perhaps a parent computes them as well, and only its dictionaries lack them.
# So we fit a [reading probe](repartitioned), $\operatorname{ReLU}(w\cdot x + b)$, on each parent's raw
# activations, and judge it on held-out documents: a feature is {term}`decodable` where $R^2 > \tau^2$.
#
# The same probe reads the merge itself, which is the {term}`ceiling`, and **random mixtures**: the ancestor
# moved as far as the merge is away from it, in random directions, one for each parent. The {term}`floor` is
# the merge with a random MLP. As many features *with* a partner are probed beside them.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
fit = halves(some, seed)
enough = -(-min_positions // 2), -(-min_documents // 2)  # a half must hold half of it


def some_of(name, mask):
    """At most half of `probed_features`, active in both halves, drawn at random."""
    acts, origin = found[name].acts, found[name].origin
    both = [classes.eligible(acts[h], origin[h], *enough) for h in (fit, ~fit)]
    able = np.flatnonzero(mask & np.all(both, axis=0))
    return np.sort(np.random.default_rng(seed).permutation(able)[: -(-probed_features // 2)])


def decodable(probe, chosen, merge):
    """The share of some probed features with R² > τ², with noise and luck in its interval."""
    if not chosen.any():
        return None
    r, drawn = (np.sqrt(np.maximum(r2[..., chosen], 0)) for r2 in probe)
    looks = [each > tau for each in (r[:, None], drawn.T, double_noise(r, drawn.T))]
    share = corrected(np.array([tau]), np.hstack(looks)[None], int(chosen.sum()))
    return over_seeds({(0,): share}, draws, merge)


ROWS = ("itself", "parents", "random_mixtures", "random_mlp")
decoded, probes, novel_count = {}, {}, {}
for merge, parents in pairs.items():
    name = names[merge][0]
    asked = reproducible(name)
    partner = np.max([best_r(name, parent).max(axis=0) for parent in parents], axis=0) > tau
    novel_count[merge] = int((asked & ~partner).sum()), int(asked.sum())
    picked = [some_of(name, asked & mask) for mask in (~partner, partner)]
    is_novel = np.repeat([True, False], [*map(len, picked)])
    if not is_novel.size:
        continue
    target = found[name].acts[:, np.concatenate(picked)]
    states = {model: state(model) for model in {merge, ancestor_of[merge], *parents}}
    start, end = states[ancestor_of[merge]], states[merge]
    read_by = {"itself": [end], "parents": [states[parent] for parent in parents]}
    read_by["random_mixtures"] = [
        as_far_at_random(start, end, seed + k) for k in range(len(parents))
    ]
    read_by["random_mlp"] = [state(f"{merge}.mlp-0")]
    for row, each in read_by.items():
        r2s = []
        for weights in each:
            probe.load_state_dict(weights)
            r2s.append(encoder_probe(target, raw(probe), fit, some.origin, draws, seed))
        probes[merge, row] = Probe(*(np.max(part, axis=0) for part in zip(*r2s, strict=True)))
        for kind, mask in (("novel", is_novel), ("partnered", ~is_novel)):
            if share := decodable(probes[merge, row], mask, merge):
                decoded[merge, row, kind] = share

# %% tags=["hide-input"] jupyter={"source_hidden": true}
WORDS = {
    "itself": f"{label(first_merge)} itself",
    "parents": "either parent",
    "random_mixtures": "either random mixture",
    "random_mlp": "with a random MLP",
}
figure, axis = style.single(2.5)
for place, row in enumerate(ROWS):
    for kind, shift, look in (("novel", 0.12, "o"), ("partnered", -0.12, "s")):
        if share := decoded.get((first_merge, row, kind)):
            dot = interval(share, tau)
            colour = style.colour_of(first_merge) if kind == "novel" else style.GREY
            axis.hlines(place + shift, dot.low, dot.high, color=colour)
            axis.plot(dot.estimate, place + shift, look, color=colour, ms=6)
for words, look, colour in (
    ("novel", "o", style.colour_of(first_merge)),
    ("with a partner", "s", style.GREY),
):
    axis.plot([], [], look, color=colour, label=words)
axis.set(yticks=range(len(ROWS)), yticklabels=[WORDS[row] for row in ROWS])
axis.set(xlim=(-0.02, 1.02), ylim=(len(ROWS) - 0.5, -0.5), xlabel="decodable share")
axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
figure.legend(loc="outside upper center", ncols=2)
show(
    figure,
    "Of the merge's reproducible features, novel ones and those with a partner in a parent: the share that a "
    "probe reads from the raw activations of each model, with 95 % intervals.",
    "fig-novel",
    "Rows of dots, one for each model read, with a dot for novel features and a square for the others",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
for merge in pairs:
    novel, of = novel_count[merge]
    results[f"along.{merge}.novel.count"] = novel
    results[f"along.{merge}.novel.share_of_reproducible"] = novel / of if of else None
    for row in ROWS:
        for kind in ("novel", "partnered"):
            if share := decoded.get((merge, row, kind)):
                end = "" if row == "parents" else f".{row}"
                results |= flat(f"along.{merge}.{kind}.decodable_share{end}", interval(share, tau))
novel, of = novel_count[first_merge]
shares = {row: decoded.get((first_merge, row, "novel")) for row in ROWS}
REAL = {
    "below": "But in noise of the same length it is more.",
    "above": "That is more than noise of the same length leaves, so it is the parents' own.",
    "unclear": "Noise of the same length can't be told apart from them: what comes from the ancestor may be "
    "enough.",
}
if shares["parents"]:
    told = {row: interval(shares[row], tau) for row in ROWS}
    credit = difference(shares["parents"], shares["random_mixtures"], tau)
    alone = difference(shares["itself"], shares["parents"], tau)
    results |= flat(f"along.{first_merge}.novel.decodable_beyond_random", credit)
    results |= flat(f"along.{first_merge}.novel.decodable_in_merge_alone", alone)
    say(
        f"{count(novel)} of {count(of)} reproducible features of {label(first_merge)} have no partner in a "
        f"parent. Of those that were probed {with_interval(told['itself'])} can be read from its own "
        f"activations, {with_interval(told['parents'])} from a parent's, "
        f"{with_interval(told['random_mixtures'])} from a random mixture's, and with a random MLP "
        f"{with_interval(told['random_mlp'])}. "
        + (
            "The probe hardly reads them where they come from, so it has nothing to say about the parents."
            if told["itself"].low < 0.5
            else verdict(
                told["parents"],
                0.5,
                below="Most can't be read in any parent. ",
                above="Most can be read in a parent, so they are hardly the merge's alone: the dictionaries "
                "lack them, and not the models. ",
                unclear="",
            )
            + verdict(credit, 0, **REAL)
            + verdict(
                alone,
                0,
                below="",
                above=f" {in_points(alone)} are left that only the merge itself shows.",
                unclear=" No share can be shown that only the merge itself has.",
            )
        )
    )
else:
    say(
        f"{count(novel)} of {count(of)} reproducible features have no partner, too few to be probed."
    )
store.write_results(run, "along", results)

# %% [markdown]
# Mind the limits. One model was trained for each name (n = 1), and all lie on one path. Novel features come
# from the merge's first dictionary. A probe finds what is there to be found, used or not.
#
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
halves_told = []
for parent in pairs[first_merge]:
    half = {
        kind: of_draws(halves_of[first_merge, parent, kind])
        for kind in CLASSES
        if alive[first_merge, parent, kind]
    }
    if {"universal", "own"} <= half.keys():
        earlier = (
            halves_of[first_merge, parent, "own"] - halves_of[first_merge, parent, "universal"]
        )
        halves_told.append(
            f"Features that {label(parent)} alone has "
            + verdict(
                of_draws(earlier),
                0,
                below="die earlier than universal ones",
                above="live longer than universal ones",
                unclear="and universal ones can't be told apart",
            )
        )
say(
    "Read by their own encoder, features die at a distance from their parent, and not all at once. "
    + "".join(f"{sentence}. " for sentence in halves_told)
    + "A death along the path means little by itself: it needs a random way of the same length beside it. "
    "And what only the merge seems to have must first be looked for in its parents."
)

# %% [markdown]
# What comes next: whether one can tell [beforehand](prediction) which features will be left.
#
# :::{admonition} Exercise 1
# :class: tip
# How far from the first parent is the mixture at $t = \frac12$, as a share of the distance between the
# two parents? Count all weights together. You need `state(name)` for a model's tensors, by name, and
# `mixed`, those of the mixture.
# :::

# %% tags=["hide-input"] jupyter={"source_hidden": true}
# For the check below:
first_parent, second_parent = pairs[first_merge]
states = [state(first_parent), state(second_parent)]
mixed = merging.merge(states, (0.5, 0.5), method[first_merge])


def length(one, other):
    return float(torch.cat([(one[n] - other[n]).double().flatten() for n in one]).norm())


share_of_way = length(mixed, states[0]) / length(states[1], states[0])

# %%
answer = ...  # a share, from 0 to 1
check(answer, share_of_way)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
squares = np.zeros(2)
for tensor, here in state(first_parent).items():
    ways = mixed[tensor] - here, state(second_parent)[tensor] - here
    squares += [float((way.double() ** 2).sum()) for way in ways]
answer = np.sqrt(squares[0] / squares[1])
check(answer, share_of_way)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# A feature's $r$ is 1 at its parent, 0.9 at a distance of 0.2 and 0.5 at 0.4. Where is its death point at
# τ = 0.8? And at which τ would it die half-way between the two places? Give both, as a list.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
line = [0.0, 0.2, 0.4], [1.0, 0.9, 0.5]
expected = [half_way(*line, 0.8), float(np.interp(0.3, *line))]

# %%
answer = ...  # [distance, τ]
check(answer, expected)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = [0.2 + 0.2 * (0.9 - 0.8) / (0.9 - 0.5), (0.9 + 0.5) / 2]
check(answer, expected)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# Why are the classes made without the merge's dictionaries?
# :::
#
# :::{dropdown} Answer
# Else a feature would be called universal *because* it lives in the merge, and universal features would
# survive by definition.
# :::
