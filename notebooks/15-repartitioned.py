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
# # Gone, or carved up differently?
#
# A parent feature without a {term}`match` in the child may be gone. Or the child's dictionary holds
# it in pieces, or the child still computes it and its dictionary spends no feature on it.
# {cite:t}`horn2025tracking` call all of these *disappearing*. Here two {term}`probes <probe>` tell
# them apart: can the feature's activations be rebuilt from **a few of the child's features**, or
# read from **the child's raw activations**?
#
# **You will learn** what a dictionary lacks though the model has it, and what to set a probe's success beside. **You need**
# [ceilings and floors](ceilings). **It takes** 20 minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy.linalg import solve_triangular
from scipy.optimize import nnls

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features, jobs
from featrack_utils.dictionaries.training import load_sae
from featrack_utils.display import style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import check, percent, say, show, verdict, with_interval
from featrack_utils.lineage import label
from featrack_utils.matching import classes
from featrack_utils.matching.best_matches import open_matches
from featrack_utils.matching.correlation import correlations
from featrack_utils.models import capture, loading
from featrack_utils.models.retraining import retrain
from featrack_utils.pipeline import store
from featrack_utils.statistics.bootstrap import double_noise, halves
from featrack_utils.statistics.intervals import UNDEFINED, Shares, without_noise
from featrack_utils.statistics.persistence import (
    Persistence,
    combined,
    complement,
    flat,
    persistence,
    resample,
)
from featrack_utils.statistics.probes import Probe, encoder_probe, judged

# %% tags=["parameters"]
run_dir = "runs/quick"
root_seeds = 3  # dictionaries of the first model; paper: 1
other_seeds = 2  # of every other model; paper: 1
control_draws = 3  # models with a random MLP for each child; paper: none
seed = 1337  # of the halves, the sample and the bootstrap
tau = 0.8  # correlation above which two features match; paper: 0.8
min_positions = 30  # active positions a feature needs to be judged
min_documents = 10  # documents it must be active in
replicates = 200  # bootstrap draws over the held-out documents
context = 128  # tokens; paper: 256
evaluation_blocks = 140  # validation blocks per domain
probed_features = 60  # of each kind, with a match and without
precision = "auto"  # bfloat16 where the machine multiplies it faster
architecture = "standard"  # ReLU with L1, the paper's kind; or topk, batchtopk
expansion = 3  # features per MLP neuron; paper: 16
l1_coefficient = 1.5  # the same for every dictionary of the book
k = 32  # active features a token; topk and batchtopk only
learning_rate = 8e-3  # of the dictionary; paper: 1e-4
train_tokens = 400_000  # activations it reads
batch_tokens = 1024  # a step; paper: 128 blocks of 24 tokens

# %% [markdown]
# ## A child that changed harmlessly
#
# What would a probe find if nothing had happened? Asking the parent itself is no answer. The reading
# probe has the form of the encoder that *defined* the feature, so the parent decodes nearly all of
# its own by construction. Any change of the weights ends that, a harmless one, too.
#
# The fair {term}`ceiling` is a child that changed as much as a fine-tune does and had nothing new to
# learn: the parent trained on for as many steps, at the same rate, **on its own text**. (The smallest
# [dose](dose) of a fine-tune would come for free. But it has hardly moved.) The {term}`floor` is the
# child with a {term}`random MLP`.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
root = lineage.root
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
CONTINUED = "continued_root"
tuned = [child for child in lineage.children(root) if child in lineage.tuned]

# %% tags=["hide-input"] jupyter={"source_hidden": true}
names = features.dictionary_names(lineage, root_seeds, other_seeds)
OWN, AGAIN = names[root][0], names[root][1]
chosen = {child: names[child][-1] for child in lineage.children(root)}
floors = {child: f"{child}.mlp-{control_draws - 1}" for child in chosen}
harmless, HARMLESS = (CONTINUED, CONTINUED) if tuned else (root, AGAIN)
if tuned:
    another = store.read_record(run / "models" / tuned[0])["parameters"]["seed"] + 1
    own_text = [*lineage.trained_on(root)]
    retrain(run, corpora, tuned[0], CONTINUED, domains=own_text, seed=another)
    job = jobs.Job(CONTINUED, CONTINUED, jobs.ZERO_SEED, lineage.reads(root))
    jobs.train_and_measure(run, corpora, [job], jobs.recipe(globals()), evaluation_blocks)
else:
    say("No child is fine-tuned here, so the parent itself stands in for a harmless child.")

# %% [markdown]
# ## Whom we ask
#
# We ask for the parent's {term}`reproducible` features, for what only one dictionary has ever seen
# may be noise. For each child we sample some that have a match in it, and some that have none. Probes
# are fitted on half of each domain's documents and judged on the other half, so only features that
# are active in both halves are asked.

# %%
found = features.open_named(run, [OWN, AGAIN, HARMLESS, *chosen.values(), *floors.values()])
parent = found[OWN]
matches = open_matches(run)
asked = matches.eligible[OWN].copy()
for other in names[root][1:]:
    asked &= matches.best[OWN, other].a_best_r > tau

models = {root: OWN, "harmless": HARMLESS, **chosen} | {f: f for f in floors.values()}
criteria = dict(min_positions=min_positions, min_documents=min_documents)
sample = resample(
    {model: [found[name]] for model, name in models.items()},
    [tau],
    tau=tau,
    replicates=replicates,
    seed=seed,
    **criteria,
)
fit = halves(parent, seed)


def has_match(model):
    """Which of the parent's features have a match in a model's dictionary."""
    pair = ((root, 0), (model, 0))
    matched = sample.matched([pair])[pair]
    return matched.asked & (matched.best_r > tau)


# A half must hold half of what makes a feature eligible.
enough = -(-min_positions // 2), -(-min_documents // 2)
in_both_halves = np.all(
    [classes.eligible(parent.acts[h], parent.origin[h], *enough) for h in (fit, ~fit)], axis=0
)


def some_of(kind):
    """At most `probed_features` of a kind, drawn at random."""
    able = np.flatnonzero(kind & in_both_halves)
    return np.sort(np.random.default_rng(seed).permutation(able)[:probed_features])


kinds, picked = {}, {}
for child in chosen:
    kinds[child] = asked & has_match(child), asked & ~has_match(child)
    picked[child] = [some_of(kind) for kind in kinds[child]]

# %% [markdown]
# Each feature of the sample stands for several of the parent's. And as another sample would have come
# out differently, the intervals resample the features, too, kind by kind.


# %%
class ProbedSample(NamedTuple):
    """What each probed feature stands for."""

    weight: np.ndarray  # float64 [n_probed], how many features of the parent
    draws: np.ndarray  # float64 [n_replicates, n_probed], how often a replicate drew it


def sampled(probed, asked, replicates, seed):
    """The sample, and masks of its kinds; of each so many were `asked` about and `probed`."""
    rng = np.random.default_rng(seed)
    of_kind = np.repeat(np.arange(len(probed)), probed)
    weight = np.repeat([a / max(p, 1) for a, p in zip(asked, probed, strict=True)], probed)
    draws = [rng.multinomial(n, np.full(n, 1 / n), size=replicates) for n in probed if n]
    drawn = np.concatenate(draws, axis=1) if draws else np.zeros((replicates, 0))
    masks = [of_kind == kind for kind in range(len(probed))]
    return ProbedSample(weight.astype(float), drawn.astype(float)), masks


samples = {}
for child in chosen:
    sizes = [len(p) for p in picked[child]], [kind.sum() for kind in kinds[child]]
    samples[child] = sampled(*sizes, replicates, seed)

# %% [markdown]
# The raw activations of the MLP, before any dictionary, come from the same tokens.

# %%
mix = features.evaluation_mix(
    {domain: corpora.validation_blocks(domain, evaluation_blocks) for domain in lineage.domains}
)
tokens = torch.from_numpy(mix.tokens).long()


def raw_activations(model):
    bridge = loading.boot(store.opened(run / "models" / model))
    parts = [
        capture.mlp_activations(bridge, batch, lineage.site)[:, 1:] for batch in tokens.split(16)
    ]
    return torch.cat(parts).flatten(0, 1).float()


# %% [markdown]
# ## Two probes
#
# The *rebuilding* probe takes the ten features of the child that correlate best and weighs them,
# never negatively. The *reading* probe is what a dictionary's encoder is, fitted for this one feature:
#
# $$\hat f_\text{rebuilt} = c + \sum_{j=1}^{10} w_j\, g_j \;\text{ with } w_j \ge 0,
# \qquad \hat f_\text{read} = \operatorname{ReLU}(w \cdot x + b).$$
#
# Both are fitted on one half of the documents and judged on the other by R². Here is the first, for many
# features at once. The child's activations stay sparse, and a triangular factor of the candidates' Gram
# matrix takes the place of thousands of tokens.

# %%
CANDIDATES = 10


def sparse_probe(target, acts, fit, origin, draws):
    """Rebuild each target from its closest features, by non-negative least squares."""
    pairs = correlations(target[fit], acts[fit], floor=0.01).pairs
    columns, error = acts.tocsc(), np.empty((int((~fit).sum()), target.shape[1]))
    for k in range(target.shape[1]):
        mine = pairs.i == k
        closest = pairs.j[mine][np.argsort(-pairs.r[mine], kind="stable")[:CANDIDATES]]
        x = columns[:, closest].toarray().astype(np.float64)
        y = target[:, [k]].toarray()[:, 0].astype(np.float64)
        x, y = x - x[fit].mean(axis=0), y - y[fit].mean()
        error[:, k] = y[~fit] - x[~fit] @ non_negative(x[fit], y[fit])
    return judged(error, target, fit, origin, draws)


def non_negative(x, y):
    """Non-negative weights of least squares, of x [n, n_candidates] and y [n], both centred."""
    if x.shape[1] == 0:
        return np.zeros(0)
    gram = x.T @ x
    gram[np.diag_indices_from(gram)] *= 1 + 1e-6  # keeps equal candidates apart
    factor = np.linalg.cholesky(gram)
    return nnls(factor.T, solve_triangular(factor, x.T @ y, lower=True))[0]


# %% [markdown]
# A feature is zero on most tokens, which no linear function of the activations is. So the second probe
# cuts off what is below zero. It starts from the weights of a ridge regression and is fitted by Adam: see
# `fitted` in `featrack_utils.statistics.probes`.
#
# R² compares a probe's errors with those of the mean, on the documents that it hasn't seen: all of them,
# and those that each draw of the bootstrap holds.


# %%
def better(one, other):
    """A probe that explains of each feature what the better of two does."""
    return Probe(*(np.maximum(a, b) for a, b in zip(one, other, strict=True)))


def ask(target, other, activations, draws):
    """Both probes of one model, rebuilt from features and read from activations; the better."""
    common = (fit, parent.origin, draws)
    rebuilt = sparse_probe(target, other, *common)
    read = encoder_probe(target, activations, *common, seed)
    return {"rebuilt": rebuilt, "read": read, "either": better(rebuilt, read)}


answers = {child: {} for child in chosen}
for model in (harmless, *chosen, *floors.values()):
    raw = raw_activations(model)
    for child in chosen:
        source = {harmless: "harmless", child: "child", floors[child]: "floor"}.get(model)
        if source:
            target = parent.acts[:, np.concatenate(picked[child])]
            other = {"harmless": HARMLESS, "child": chosen[child], "floor": floors[child]}[source]
            answers[child][source] = ask(target, found[other].acts, raw, sample.draws)

# %% [markdown]
# For one feature the rebuilding probe takes a few lines of numpy and scipy, if all activations may be
# dense. It gives the same:

# %%
child = next(iter(chosen))
feature = np.concatenate(picked[child])[0]
y = parent.acts[:, [feature]].toarray()[:, 0].astype(float)
G = found[chosen[child]].acts.astype(float)
mean, square = (np.asarray(x[fit].mean(axis=0)).ravel() for x in (G, G.multiply(G).tocsr()))
with np.errstate(invalid="ignore"):
    r = G[fit].T @ (y[fit] - y[fit].mean()) / np.sqrt(square - mean**2)
G = G[:, np.argsort(-np.nan_to_num(r), kind="stable")[:10]].toarray()
weights, _ = nnls(G[fit] - G[fit].mean(axis=0), y[fit] - y[fit].mean())
error = y - y[fit].mean() - (G - G[fit].mean(axis=0)) @ weights
r2 = 1 - np.sum(error[~fit] ** 2) / np.sum((y[~fit] - y[~fit].mean()) ** 2)
assert np.isclose(answers[child]["child"]["rebuilt"].r2[0], r2, atol=1e-3)

# %% [markdown]
# ## Of the features without a match
#
# A single match at r > τ explains more than τ² of a feature's variance, so we call a feature
# {term}`decodable` if a probe explains that much on held-out documents. Their share is corrected for
# noise [as ever](calibration). Another draw of documents judges a feature otherwise, which the correction
# widens; another sample holds other features, which needs no widening.


# %%
def decodable_share(probe, tau, sample, among):
    """Share of the features that `among` (bool [n_probed]) stand for with R² > τ²; None: no one."""
    if not among.any():
        return None
    weight, drawn = sample.weight[among], sample.draws[:, among]
    r, drawn_r = (np.sqrt(np.maximum(r2[..., among], 0)) for r2 in probe)
    decodes = drawn_r > tau
    counted = np.average(probe.r2[among] > tau**2, weights=weight)
    documents = np.average(decodes, axis=1, weights=weight)
    weighed = drawn * weight
    total = weighed.sum(axis=1)
    # A replicate that draws no such feature has nothing to add.
    both = np.where(total > 0, (weighed * decodes).sum(axis=1) / np.maximum(total, 1e-9), documents)
    further = double_noise(r, drawn_r.T) > tau
    by_documents = without_noise(counted, decodes.T, further, weight)
    replicates = by_documents + both - documents
    estimate = np.array([by_documents.mean()])
    return Shares(np.array([tau]), estimate, replicates[:, None], raw=np.array([counted]))


# %% [markdown]
# Where the ceiling lies less than five percentage points above the floor, no place between them can be
# told.

# %%
ROOM = 0.05


def rescaled_between(each):
    """Rescaled, if there is room between floor and ceiling."""
    room = each.ceiling().estimate - each.floor().estimate
    return each.rescaled() if room > ROOM else UNDEFINED


SOURCES = {"child": "child", "harmless": "changed harmlessly", "floor": "random MLP"}
results = {}
lost = {}
for child in chosen:
    features_of, masks = samples[child]
    for probe in ("rebuilt", "read", "either"):
        each = {
            source: decodable_share(answers[child][source][probe], tau, features_of, masks[1])
            for source in SOURCES
        }
        if each["child"]:
            lost[child, probe] = Persistence(
                each["child"], each["harmless"], {"random_mlp": each["floor"]}, tau
            )
            name = f"probe.{root}_{child}.lost_{probe}_share"
            results |= lost[child, probe].as_results(name)
            results |= flat(f"{name}.rescaled", rescaled_between(lost[child, probe]))

# %% tags=["hide-input"] jupyter={"source_hidden": true}
figure, axes = style.panels(len(chosen), 2.6)
LINES = {"child": "-", "harmless": "--", "floor": ":"}
for axis, child in zip(axes, chosen, strict=True):
    for source, line in LINES.items():
        values = answers[child][source]["read"].r2[samples[child][1][1]]
        ordered = np.sort(np.clip(values, 0, 1))
        at_least = 1 - np.arange(ordered.size) / max(ordered.size, 1)
        ink = style.colour_of(child) if source == "child" else "black"
        axis.step([0, *ordered, 1], [1, *at_least, 0], color=ink, ls=line, where="pre")
    axis.axvline(tau**2, color=style.GREY, lw=1)
    axis.set(title=style.pair_label(root, child), xlim=(0, 1), ylim=(0, 1))
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
for source, line in LINES.items():
    axes[0].plot(
        [], [], color="black" if source != "child" else style.GREY, ls=line, label=SOURCES[source]
    )
figure.supxlabel("held-out R² (below 0 drawn at 0)", fontsize=11)
figure.supylabel("features with at least this R²", fontsize=11)
figure.legend(loc="outside upper center", ncols=3)
show(
    figure,
    "Held-out R² of the reading probe, for reproducible features of the parent without a match in the "
    "child: asked of the child, of a child that changed harmlessly, and of the child with a random "
    "MLP. The vertical line: decodable.",
    "fig-probes",
    "Falling curves for child, harmless child and random MLP",
)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
rows = [
    {
        "child": label(child),
        "decoded from": {"rebuilt": "few features", "read": "activations", "either": "either"}[
            probe
        ],
        "decodable": each.share(),
        "changed harmlessly": each.ceiling(),
        "random MLP": each.floor(),
        "rescaled": rescaled_between(each),
    }
    for (child, probe), each in lost.items()
]
show_table(
    pd.DataFrame(rows),
    dict.fromkeys(("decodable", "changed harmlessly", "random MLP", "rescaled"), ".0%"),
    "Of the parent's reproducible features without a match in the child, those that probes find.",
)

# %% [markdown]
# Not decodable doesn't mean that nothing is left: a feature whose R² lies just below the line of
# {numref}`fig-probes` counts as not decodable. And decodable doesn't mean used: a probe finds what is
# there for it to find, whether or not the model reads it. A random MLP uses nothing.
#
# ## What became of all of them
#
# We probed as many matched as unmatched features. Since one kind is more common than the other, each
# is weighted by how many features of the parent it stands for. A feature **persists** if it has a
# match. It was **re-partitioned** if it has none and either probe finds it. It is **gone** if neither
# does. With the share $m$ that has a match, and the share $d$ of the others that is decodable, these
# are $m$, $(1 - m)\,d$ and $(1 - m)(1 - d)$.

# %%
FATES = {"persisting": "persist", "repartitioned": "were re-partitioned", "gone": "are gone"}
OTHERS = {"child": lambda child: child, "harmless": lambda _: "harmless", "floor": floors.get}


def fates(child, source):
    """Shares of the parent's features by what became of them in one model; None: not defined."""
    model = OTHERS[source](child)
    match = persistence(sample, root, model, among=[asked]).shares
    without = ~has_match(model)[np.concatenate(picked[child])]
    probe, features_of = answers[child][source]["either"], samples[child][0]
    decoded = decodable_share(probe, tau, features_of, without)
    if decoded is None:
        return None
    no_match = complement(match)
    gone = combined(np.multiply, no_match, complement(decoded))
    parts = match, combined(np.multiply, no_match, decoded), gone
    return dict(zip(FATES, parts, strict=True))


told = {child: {source: fates(child, source) for source in SOURCES} for child in chosen}
told = {child: each for child, each in told.items() if all(each.values())}
for child, each in told.items():
    for fate in FATES:
        three = [each[source][fate] for source in SOURCES]
        name = f"gone.{root}_{child}.{fate}_share"
        if fate == "gone":
            kept = Persistence(*(complement(share) for share in three[:2]), {}, tau)
            results |= kept.lost_results(name)
        else:
            kept = Persistence(three[0], three[1], {"random_mlp": three[2]}, tau)
            results |= kept.as_results(name)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
figure = Figure(figsize=(style.WIDTH, 0.9 + 1.1 * len(told)), layout="constrained")
axis = figure.subplots()
shades = {"persisting": 1, "repartitioned": 0.45, "gone": 0.1}
places = []
for n, (child, each) in enumerate(told.items()):
    for m, source in enumerate(SOURCES):
        left, place = 0.0, 4 * n + m
        places.append((place, f"{label(child)}, {SOURCES[source]}" if m else label(child)))
        for fate, alpha in shades.items():
            width = float(each[source][fate].estimate[0])
            colour = style.colour_of(child) if source == "child" else style.GREY
            axis.barh(place, width, left=left, color=colour, alpha=alpha, height=0.8)
            if width > 0.06:
                dark = "white" if fate == "persisting" else "black"
                middle = left + width / 2
                axis.text(
                    middle, place, f"{width:.0%}", ha="center", va="center", color=dark, size=9
                )
            left += width
axis.set_yticks(*(zip(*places, strict=True) if places else ([], [])))
axis.set(xlim=(0, 1), xlabel="parent's reproducible features")
axis.invert_yaxis()
axis.grid(visible=False)
axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
for fate, alpha in shades.items():
    axis.barh(0, 0, color=style.GREY, alpha=alpha, label=FATES[fate])
figure.legend(loc="outside upper center", ncols=3)
show(
    figure,
    "What became of the parent's reproducible features in each child, and what the same look makes of "
    "a child that changed harmlessly and of the child with a random MLP.",
    "fig-fates",
    "Stacked bars: persisting, re-partitioned, gone",
)

# %% [markdown]
# ## One verdict
#
# The question is about features without a match: are they still there? Between what a harmless change
# leaves decodable and what a random MLP leaves, we ask whether the child keeps more than half of the
# way, by either probe.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
VERDICTS = {
    "below": "Most of the features that disappear are gone: the dictionary isn't to blame.",
    "above": "Most of the features that disappear are still there, and only the dictionary lacks them.",
    "unclear": "Whether most of them are still there can't be told from this sample.",
}
verdicts = {}
for child in chosen:
    if (child, "either") not in lost:
        verdicts[child] = "All of the features asked have a match."
        continue
    each = lost[child, "either"]
    where = rescaled_between(each)
    rescaled = (
        f"Rescaled, that is {with_interval(where)}. {verdict(where, 0.5, **VERDICTS)}"
        if np.isfinite(where.estimate)
        else "A harmless change leaves hardly more than a random MLP, so probes have nothing to say here."
    )
    verdicts[child] = (
        f"{with_interval(each.share())} of the features without a match can still be decoded, where "
        f"{percent(each.ceiling().estimate)} can after a harmless change and "
        f"{percent(each.floor().estimate)} with a random MLP. {rescaled}"
    )
say(
    *(f"**{label(child)}**: {text}" for child, text in verdicts.items()),
    "The intervals come from resampled documents and from a resampled sample of features; they are "
    "corrected for noise. One harmless child and one random MLP of each child were asked.",
)

# %% tags=["remove-cell"]
results = {name: value for name, value in results.items() if value is not None}
store.write_results(run, "repartitioned", results)

# %% [markdown]
# ## What we learned
#
# A feature *disappears* in one of three ways: the child's dictionary lacks it, or carves it up differently,
# or it is really {term}`gone`. What a probe finds must stand beside a harmless change and a random MLP, too: the parent's own
# activations say nothing, because there the probe is the encoder.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
for child in told:
    gone = Persistence(*(told[child][s]["gone"] for s in ("child", "harmless")), {}, tau)
    say(
        f"In {label(child)} {with_interval(gone.share())} of the parent's reproducible features are "
        f"gone, after a harmless change {with_interval(gone.ceiling())}."
    )

# %% [markdown]
# What comes next: [how soon they go](dose), step by step through a fine-tune.
#
# :::{admonition} Exercise 1
# :class: tip
# Show the tautology. Read `activations`, the parent's own, with the encoder of the dictionary `sae`
# that defined the features. Which R² has it for the feature called `feature`? (`y` holds its
# activations.)
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
activations, sae = raw_activations(root), load_sae(store.opened(run / "saes" / OWN))
by_construction = 1.0

# %%
answer = ...  # an R², at most 1
check(answer, by_construction)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
with torch.no_grad():
    encoded = torch.cat([sae.encode(part)[:, feature] for part in activations.split(4096)])
answer = 1 - np.sum((y - encoded.numpy()) ** 2) / np.sum((y - y.mean()) ** 2)
check(answer, by_construction)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# Which share of the features that were probed in the first child, with a match or without, does neither
# of its probes find? Their R² stand in `r2_rebuilt` and `r2_read`.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
child = next(iter(chosen))
r2_rebuilt, r2_read = (answers[child]["child"][p].r2 for p in ("rebuilt", "read"))
undecodable = float(np.mean(answers[child]["child"]["either"].r2 <= tau**2))

# %%
answer = ...  # a share, from 0 to 1
check(answer, undecodable)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = 1 - np.mean((r2_rebuilt > tau**2) | (r2_read > tau**2))
check(answer, undecodable)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# How can a feature be read from the activations and be missing in a dictionary of the same activations?
# :::
#
# :::{dropdown} Answer
# A dictionary has a fixed number of features and chooses what to spend them on. Two of them choose
# differently; what one leaves out is still a direction that a probe made for it can find.
# :::
