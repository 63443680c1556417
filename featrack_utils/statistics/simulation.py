"""Paired sparse activations with a known truth, and what the pipeline makes of them.

Documents have a domain and a topic; latent causes fire in them as *events*; a feature *watches* a
latent's events, misses some and sees others larger or smaller (`book/method.md`, simulation).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse, stats

from featrack_utils.dictionaries.features import Features
from featrack_utils.errors import FeatrackError
from featrack_utils.statistics.bootstrap import resample
from featrack_utils.statistics.intervals import LEVEL, UNDEFINED, Interval, interval, shares

SPARSEST, DENSEST = 2e-4, 0.2  # shares of tokens on which a feature fires
N_DOMAINS, TOPICS_PER_DOMAIN = 4, 4
PAIR = ("parent", 0), ("child", 0)


@dataclass(frozen=True)
class Plan:
    """What is planted. Shares of kinds are of the features that are not dead."""

    n_features: int = 2048
    n_documents: int = 500
    tokens_per_document: int = 200  # mean; lengths are log-normal
    group_size: int = 1  # documents of one topic, on which watchers miss the same events
    persisting: float = 0.5
    rho: tuple[float, float] = (0.95, 0.95)  # population r of true mates, uniform between
    splitting: float = 0.05  # parent features whose events two child features share out
    copies: float = 0.1  # of the persisting ones: extra columns of the same parent feature
    dense: float = 0.02  # columns active on 10-40 % of tokens, unrelated in the two models
    dead: float = 0.05  # of all columns
    density: float = 0.004  # median share of tokens on which a feature is active
    density_spread: float = 1.2  # standard deviation of log density
    capture: float = 1.0  # chance that one SAE seed finds a feature that its model has
    seeds: int = 1  # dictionaries per model

    def counts(self) -> dict[str, int]:
        """Columns of each kind, the remainder vanishing (parent) or emerging (child)."""
        dead = round(self.dead * self.n_features)
        alive = self.n_features - dead
        persisting = round(self.persisting * alive)
        count = {"dead": dead, "dense": round(self.dense * alive)}
        count["copy"] = round(self.copies * persisting)
        count["persisting"] = persisting - count["copy"]
        count["splitting"] = round(self.splitting * alive)
        count["vanishing"] = alive - persisting - count["splitting"] - count["dense"]
        count["emerging"] = alive - count["persisting"] - 2 * count["splitting"] - count["dense"]
        if min(count["vanishing"], count["emerging"], count["persisting"] - count["copy"]) < 0:
            raise FeatrackError(
                "The planted kinds add up to more than all features: lower "
                "persisting, splitting, dense or copies (at most half of the persisting)."
            )
        return count


class Truth(NamedTuple):
    """What each column of one dictionary really is."""

    kind: np.ndarray  # str [d_sae]
    latent: np.ndarray  # int64 [d_sae], the events it watches; -1 if dead
    family: np.ndarray  # int64 [d_sae], the latent a split one came from, else latent
    rho: np.ndarray  # float64 [d_sae], population r with another watcher of the same latent


class Planted(NamedTuple):
    """Two simulated models, one dictionary (and its truth) per SAE seed."""

    parent: list[Features]
    child: list[Features]
    parent_truth: list[Truth]
    child_truth: list[Truth]


class _Events(NamedTuple):
    """Firings of latent causes; int64, int64 and float64 [n_events]."""

    row: np.ndarray
    latent: np.ndarray
    size: np.ndarray


class _Latents(NamedTuple):
    """Causes that features can watch: their events and, per latent, float64 [n_latents]."""

    events: _Events
    density: np.ndarray
    rho: np.ndarray
    family: np.ndarray


class _Text(NamedTuple):
    """Simulated documents: labels of each token, and of each document topic and first token."""

    labels: Features  # without activations
    topic: np.ndarray
    starts: np.ndarray  # [n_documents + 1]


def true_best_r(a: Truth, b: Truth) -> np.ndarray:
    """Population r of each column of `a` with its best column in `b`, float64 [d_sae].

    Watchers of the same events correlate at ρ, half of a split feature with the whole at ρ/√2,
    others at nearly 0 (topics make them fire in the same documents).
    """
    same = np.isin(a.latent, b.latent[b.latent >= 0])
    related = np.isin(a.family, b.family[b.family >= 0])
    best = np.where(same, a.rho, np.where(related, a.rho / np.sqrt(2), 0.0))
    return np.where(a.latent >= 0, best, 0.0)


def _dictionary(
    rng: np.random.Generator,
    plan: Plan,
    kind: np.ndarray,
    latent: np.ndarray,
    latents: _Latents,
    text: _Text,
    private_ids: int,
) -> tuple[Features, Truth]:
    """One dictionary in shuffled columns, and their truth; `kind` and `latent` are of the alive."""
    found = rng.random(latent.size) < plan.capture
    is_copy = kind == "copy"
    parts = []
    for part in (found & ~is_copy, found & is_copy):
        columns = np.full(latents.density.size, -1)
        columns[latent[part]] = np.flatnonzero(part)
        parts.append(_watch(rng, latents, text.labels.group, columns))
    missed = np.flatnonzero(~found)
    if missed.size:  # the seed spends these columns on something no other dictionary has
        own = _draw_events(rng, text, latents.density[latent[missed]])
        parts.append((own.row, missed[own.latent], own.size))
    row, column, size = (np.concatenate(field) for field in zip(*parts, strict=True))
    place = rng.permutation(plan.n_features)
    acts = sparse.csr_matrix(
        (size.astype(np.float32), (row, place[column])),
        shape=(text.labels.origin.size, plan.n_features),
    )
    ids = latent.copy()
    ids[missed] = private_ids + np.arange(missed.size)
    truth = Truth(
        np.full(plan.n_features, "dead", dtype="<U10"),
        np.full(plan.n_features, -1),
        np.full(plan.n_features, -1),
        np.zeros(plan.n_features),
    )
    of_alive = Truth(kind, ids, np.where(found, latents.family[latent], ids), latents.rho[latent])
    for whole, alive in zip(truth, of_alive, strict=True):
        whole[place[: latent.size]] = alive
    return text.labels._replace(acts=acts), truth


def simulate(plan: Plan, seed: int) -> Planted:
    """Draw activations of a parent and a child model according to the plan.

    Raises:
        FeatrackError: the plan can't be met.
    """
    count = plan.counts()
    rng = np.random.default_rng(seed)
    text = _draw_text(rng, plan)
    names = ("persisting", "splitting", "vanishing", "emerging")
    kind = np.repeat(
        (*names, "dense_a", "dense_b"), [*(count[n] for n in names), *[count["dense"]] * 2]
    )
    density = rng.lognormal(np.log(plan.density), plan.density_spread, kind.size)
    density = np.clip(density, SPARSEST, DENSEST)
    dense = np.char.startswith(kind, "dense")
    density[dense] = rng.uniform(0.1, 0.4, dense.sum())
    rho = rng.uniform(*plan.rho, kind.size)
    events = _draw_events(rng, text, density)

    # In the child, each split latent's events belong to one of two new latents.
    split = np.flatnonzero(kind == "splitting")
    halves = kind.size + np.arange(2 * split.size)
    split_rank = np.cumsum(kind == "splitting") - 1
    coin = rng.integers(2, size=events.row.size)
    half = np.where(
        kind[events.latent] == "splitting",
        halves.size // 2 * coin + kind.size + split_rank[events.latent],
        events.latent,
    )
    family = np.concatenate([np.arange(kind.size), split, split])
    kind = np.concatenate([kind, np.repeat("half", halves.size)])
    density = density[family] * np.where(kind == "half", 0.5, 1.0)
    latents = (
        _Latents(events, density, rho[family], family),
        _Latents(events._replace(latent=half), density, rho[family], family),
    )
    originals = np.flatnonzero(kind == "persisting")
    copied = rng.choice(originals, count["copy"], replace=False)
    own = (
        np.flatnonzero(np.isin(kind, ("persisting", "splitting", "vanishing", "dense_a"))),
        np.flatnonzero(np.isin(kind, ("persisting", "half", "emerging", "dense_b"))),
    )
    entries = (
        (np.append(kind[own[0]], ["copy"] * copied.size), np.append(own[0], copied)),
        (kind[own[1]], own[1]),
    )
    made = []
    for number in range(2 * plan.seeds):
        model, private_ids = number % 2, kind.size + number * plan.n_features
        made.append(_dictionary(rng, plan, *entries[model], latents[model], text, private_ids))
    (parent, parent_truth), (child, child_truth) = (
        map(list, zip(*made[model::2], strict=True)) for model in (0, 1)
    )
    return Planted(parent, child, parent_truth, child_truth)


def _draw_events(rng: np.random.Generator, text: _Text, density: np.ndarray) -> _Events:
    """Firings of every latent: rates differ by topic and, gamma-wise, by document.

    `density` float [n_latents] is the share of tokens with an event. Sizes are exponential, their
    scale log-normal.
    """
    topic, starts = text.topic, text.starts
    n_documents, n_latents = len(topic), len(density)
    by_topic = rng.gamma(0.7, 1.0, (topic.max() + 1, n_latents)) + 0.05
    rate = by_topic[topic] * rng.gamma(2.0, 0.5, (n_documents, n_latents))
    lengths = np.diff(starts)
    # Normalised so that each latent's expected density on this stream is the one asked for.
    rate *= density / np.average(rate, axis=0, weights=lengths)
    expected = -np.log1p(-np.minimum(rate, 0.8)) * lengths[:, None]
    counts = rng.poisson(expected).ravel()
    cell = np.repeat(np.arange(counts.size), counts)
    document, latent = cell // n_latents, cell % n_latents
    row = starts[document] + (rng.random(cell.size) * lengths[document]).astype(np.int64)
    key = np.sort(row * n_latents + latent)
    key = key[np.diff(key, prepend=-1) > 0]  # one firing at most per token and latent
    row, latent = key // n_latents, key % n_latents
    scale = rng.lognormal(0.0, 0.5, n_latents)
    return _Events(row, latent, rng.exponential(1.0, row.size) * scale[latent])


def _watch(
    rng: np.random.Generator, latents: _Latents, group: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and activations that noisy watchers of the events report.

    An event is missed with its whole group of documents or on its own (chance of being seen √ρ
    in all) and its size is multiplied by log-normal noise, such that two independent watchers of
    a latent have Pearson r = ρ over all tokens. `columns` int [n_latents] is each latent's column,
    −1 if it has none.
    """
    events, rho = latents.events, latents.rho
    seen = np.sqrt(rho)
    keep_group = rng.random((group.max() + 1, rho.size)) < np.sqrt(seen)
    kept = columns[events.latent] >= 0
    kept &= keep_group[group[events.row], events.latent]
    kept &= rng.random(events.row.size) < np.sqrt(seen)[events.latent]
    row, latent, size = (field[kept] for field in events)
    # For exponential sizes E[A]²/E[A²] = 1/2, so the mean's part of the variance is half
    # the density; the size noise E[u²] is then what leaves r at ρ.
    half = latents.density / 2
    second_moment = (1 - half) / seen + half * seen
    spread = np.sqrt(np.log(np.maximum(second_moment, 1.0)))[latent]
    noise = np.exp(spread * rng.standard_normal(row.size) - spread**2 / 2)
    return row, columns[latent], size * noise


def _draw_text(rng: np.random.Generator, plan: Plan) -> _Text:
    """Documents of log-normal lengths, domains in equal numbers, topics within domains.

    `group_size` documents of one domain in a row make a group, which has one topic.
    """
    n_documents = plan.n_documents
    lengths = rng.lognormal(0.0, 0.4, n_documents)
    lengths = np.maximum(lengths * plan.tokens_per_document / lengths.mean(), 4).astype(np.int64)
    place, domain = np.divmod(np.arange(n_documents), N_DOMAINS)
    group = place // plan.group_size * N_DOMAINS + domain
    topic = domain * TOPICS_PER_DOMAIN + rng.integers(TOPICS_PER_DOMAIN, size=n_documents)[group]
    document = np.repeat(np.arange(n_documents, dtype=np.int32), lengths)
    tokens = rng.integers(0, 4096, document.size).astype(np.int32)
    labels = Features(
        acts=None,
        origin=document,
        domain=domain[document].astype(np.int8),
        tokens=tokens,
        group=group[document].astype(np.int32),
    )
    return _Text(labels, topic, np.concatenate([[0], np.cumsum(lengths)]))


class Calibration(NamedTuple):
    """What the pipeline made of planted features, over several simulated sets."""

    planted: float  # mean share of eligible parent features with a true r > τ
    share: Interval  # mean of the share reported, over sets
    raw: Interval  # mean of the share as counted, before its noise is corrected
    bias: Interval  # mean of reported − planted, over sets
    sensitivity: Interval  # called / truly persisting features; NaN: none planted
    specificity: Interval  # not called / truly not persisting ones; NaN: none planted
    coverage: Interval  # share of sets whose 95 % interval holds the planted share


def calibrate(
    plan: Plan, *, sets: int, tau: float = 0.8, replicates: int = 200, seed: int = 0
) -> Calibration:
    """Run correlation, matching and bootstrap on simulated pairs of dictionaries.

    Intervals of means are Student's over sets (at least two), those of proportions Wilson's over
    features or sets.

    Raises:
        FeatrackError: the plan can't be met.
    """
    rows, called_truth = [], []
    for number in range(sets):
        simulated = simulate(plan, seed + number)
        models = {"parent": simulated.parent, "child": simulated.child}
        sample = resample(models, [tau], tau=tau, replicates=replicates, seed=seed + number)
        (matched,) = sample.matched([PAIR]).values()
        called = matched.best_r[matched.asked] > tau
        true_r = true_best_r(simulated.parent_truth[0], simulated.child_truth[0])
        truth = true_r[matched.asked] > tau
        share, low, high = interval(shares(matched), tau)
        rows.append((truth.mean(), share, called.mean(), low <= truth.mean() <= high))
        called_truth.append(np.stack([called, truth]))
    planted, share, raw, holds = np.array(rows, dtype=float).T
    called, truth = np.concatenate(called_truth, axis=1)
    return Calibration(
        planted=float(planted.mean()),
        share=mean_interval(share),
        raw=mean_interval(raw),
        bias=mean_interval(share - planted),
        sensitivity=proportion(called[truth]),
        specificity=proportion(~called[~truth]),
        coverage=proportion(holds > 0),
    )


def mean_interval(values: np.ndarray) -> Interval:
    """A mean with Student's 95 % interval; values [n], n ≥ 2."""
    half = stats.t.ppf((1 + LEVEL) / 2, values.size - 1) * stats.sem(values)
    return Interval(*(float(values.mean() + side * half) for side in (0, -1, 1)))


def proportion(hits: Sequence[bool] | np.ndarray) -> Interval:
    """A share of hits with Wilson's 95 % interval; undefined of none."""
    if len(hits) == 0:
        return UNDEFINED
    test = stats.binomtest(int(np.sum(hits)), len(hits))
    bounds = test.proportion_ci(LEVEL, method="wilson")
    return Interval(float(test.statistic), float(bounds.low), float(bounds.high))
