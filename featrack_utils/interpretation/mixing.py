"""Are the clusters of a map mixed, or is it only that they are large?

A cluster of a hundred features drawn by lot from four equal dictionaries holds all four, too. So
the labels are dealt out anew over the features of the map, clusters staying as they are, and what
is counted then is what chance would show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from featrack_utils.statistics.intervals import LEVEL


class Mixed(NamedTuple):
    """How many clusters hold features of what kind.

    Attributes:
        one_model, all_models: clusters with features of a single model, and of every one.
        replaced: clusters with both features that disappear and features that are new.
    """

    one_model: int
    all_models: int
    replaced: int


def mixed(
    cluster: Int[np.ndarray, " n"],
    model: Sequence[str] | np.ndarray,
    gone: Bool[np.ndarray, " n"],
    new: Bool[np.ndarray, " n"],
) -> Mixed:
    """Counts the clusters (from 0 on; −1: in none) by what they hold."""
    return _count(cluster, *_labels(model, gone, new))


def by_chance(
    cluster: Int[np.ndarray, " n"],
    model: Sequence[str] | np.ndarray,
    gone: Bool[np.ndarray, " n"],
    new: Bool[np.ndarray, " n"],
    draws: int,
    seed: int,
) -> pd.DataFrame:
    """The same counts where each feature gets another's labels: mean, and the middle 95 %.

    A feature's model and what became of it stay together. One row for each field of `Mixed`;
    columns expected, low and high.
    """
    rng = np.random.default_rng(seed)
    models, kinds = _labels(model, gone, new)
    counts = np.empty((draws, len(Mixed._fields)))
    for draw in range(draws):
        order = rng.permutation(len(cluster))
        counts[draw] = _count(cluster, models[order], kinds[order])
    low, high = np.quantile(counts, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    columns = {"expected": counts.mean(axis=0), "low": low, "high": high}
    return pd.DataFrame(columns, index=list(Mixed._fields))


def _labels(model: Sequence[str] | np.ndarray, gone: np.ndarray, new: np.ndarray) -> tuple:
    """Models and kinds (0: gone, 1: new, 2: neither) by number."""
    return np.unique(model, return_inverse=True)[1], np.select([gone, new], [0, 1], 2)


def _count(cluster: np.ndarray, models: np.ndarray, kinds: np.ndarray) -> Mixed:
    inside, n = cluster >= 0, int(cluster.max(initial=-1)) + 1
    has_model, has_kind = (
        np.bincount(cluster[inside] * width + labels[inside], minlength=n * width).reshape(n, width)
        > 0
        for labels, width in ((models, int(models.max()) + 1), (kinds, 3))
    )
    several = has_model.sum(axis=1)
    return Mixed(
        int((several == 1).sum()),
        int((several == has_model.shape[1]).sum()),
        int((has_kind[:, 0] & has_kind[:, 1]).sum()),
    )
