"""Which of a parent's features persist, which were re-partitioned, which are gone (METHOD.md §5).

Matches are counted among all of the parent's eligible features, probes ask a sample of those
with a match and of those without. Here the two are put together.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from featrack_utils.errors import FeatrackError
from featrack_utils.statistics import curves
from featrack_utils.statistics.intervals import Shares
from featrack_utils.statistics.probes import Probe
from featrack_utils.statistics.simex import double_noise, without_noise

# Of features with a match, and of those without: decodable, and not.
_CELLS = (("match_decodable", "match_undecodable"), ("repartitioned", "gone"))


class Sample(NamedTuple):
    """Probed features, and what each of them stands for."""

    weight: np.ndarray  # float64 [n_probed], how many features of the parent
    draws: np.ndarray  # float64 [n_replicates, n_probed], how often a replicate drew it


def sampled(
    probed: Sequence[int], asked: Sequence[int], replicates: int, seed: int
) -> tuple[Sample, list[np.ndarray]]:
    """Features drawn anew, kind by kind, and masks of the kinds, bool [n_probed] each.

    Of each kind so many of the parent's features were `asked` about and so many `probed`.
    """
    rng = np.random.default_rng(seed)
    kinds = np.repeat(np.arange(len(probed)), probed)
    weight = np.repeat([a / max(p, 1) for a, p in zip(asked, probed, strict=True)], probed)
    draws = [rng.multinomial(n, np.full(n, 1 / n), size=replicates) for n in probed if n]
    drawn = np.concatenate(draws, axis=1) if draws else np.zeros((replicates, 0))
    sample = Sample(weight.astype(float), drawn.astype(float))
    return sample, [kinds == kind for kind in range(len(probed))]


def either(one: Probe, other: Probe) -> Probe:
    """A probe that explains of each feature what the better of two does."""
    return Probe(*(np.maximum(a, b) for a, b in zip(one, other, strict=True)))


def decodable_share(probe: Probe, tau: float, sample: Sample, among: np.ndarray) -> Shares | None:
    """Share of the features that `among` (bool [n_probed]) stand for with R² > τ²; None: no one.

    A single feature that matches at r > τ predicts the target with R² > τ², so this asks of
    several features, or of the activations, what a match asks of one. A replicate judges on
    other documents, which `without_noise` widens, and then asks other features, which
    needs no widening: that is a plain sample of them.

    Raises: FeatrackError for a sample of other features or other draws than the probe's.
    """
    if sample.draws.shape != probe.replicates.shape:
        raise FeatrackError(
            f"The probe has replicates {probe.replicates.shape} and the sample "
            f"{sample.draws.shape}: both need one row a replicate and one column a feature."
        )
    if not among.any():
        return None
    weight, drawn = sample.weight[among], sample.draws[:, among]
    r, drawn_r = (np.sqrt(np.maximum(r2[..., among], 0)) for r2 in probe)
    decodes = drawn_r > tau
    estimate = np.array([np.average(probe.r2[among] > tau**2, weights=weight)])
    documents = np.average(decodes, axis=1, weights=weight)
    weighed = drawn * weight
    total = weighed.sum(axis=1)
    # A replicate that draws no such feature has nothing to add.
    both = np.where(total > 0, (weighed * decodes).sum(axis=1) / np.maximum(total, 1e-9), documents)
    further = double_noise(r, drawn_r.T) > tau
    by_documents = without_noise(estimate[0], decodes.T, further, weight)
    replicates = by_documents + both - documents
    return Shares(np.array([tau]), estimate, replicates[:, None])


def fates(
    match: Shares | None, with_match: Shares | None, without: Shares | None
) -> dict[str, Shares | None]:
    """Shares of all the parent's features by what became of them; None where not defined.

    `match`: the share with a match; `with_match`, `without`: of these, and of the others, the
    share that is decodable. "persisting", and its parts match_decodable and match_undecodable;
    "repartitioned": no match, but decodable; "gone": neither.
    """
    found: dict[str, Shares | None] = dict.fromkeys(("persisting", *itertools.chain(*_CELLS)))
    if match is None:
        return found
    found["persisting"] = match
    for (yes, no), kind, share in zip(
        _CELLS, (match, _rest(match)), (with_match, without), strict=True
    ):
        found[yes] = _product(kind, share)
        found[no] = _product(kind, share and _rest(share))
    return found


def _rest(share: Shares) -> Shares:
    return Shares(share.taus, 1 - share.estimate, 1 - share.replicates)


def _product(kind: Shares, share: Shares | None) -> Shares | None:
    """A share of a share; a share of none is none."""
    if share is None:
        return kind if not kind.estimate.any() else None
    return Shares(kind.taus, kind.estimate * share.estimate, kind.replicates * share.replicates)


def constant(share: float | None, like: Shares | None) -> Shares | None:
    """A share without spread, where only its value is of interest."""
    if share is None or like is None:
        return None
    return Shares(like.taus, np.full(1, share), np.full_like(like.replicates, share))


def summary(
    prefix: str,
    found: Mapping[str, Shares | None],
    unchanged: Mapping[str, Shares | None],
    by_chance: Mapping[str, Shares | None],
    tau: float,
) -> dict[str, float | None]:
    """Fates beside those of an unchanged model and of chance: flat for results.json.

    As `curves.summary`, and for what is gone as `curves.lost_summary`: in an unchanged model
    there is least of it. A fate of which one of the three isn't defined is left out.
    """
    results: dict[str, float | None] = {}
    for fate, share in found.items():
        name, top, chance = f"{prefix}.{fate}_share", unchanged[fate], by_chance[fate]
        if share is None or top is None or chance is None:
            continue
        floor = float(chance.estimate[0])
        if fate == "gone" and floor > 0:
            results |= curves.lost_summary(name, share, top, 1 - floor, tau)
        else:
            results |= curves.summary(name, share, top, floor, tau)
    return results
