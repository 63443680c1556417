"""The sweep over the merge weight t, and the t at which both domains keep the same share."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from torch import nn
from tqdm.auto import tqdm

from featrack_utils.display.paper import SWEEP
from featrack_utils.errors import FeatrackError
from featrack_utils.models.merging import State, check_t, slerp

logger = logging.getLogger(__name__)


def sweep(
    model: nn.Module,
    lua_state: State,
    stories_state: State,
    ts: Sequence[float],
    evaluate: Callable[[nn.Module], Mapping[str, float]],
    blend: Callable[[State, State, float], State] = slerp,
) -> pd.DataFrame:
    """Evaluates the merge at every t in memory, without writing a file.

    model: any model of the parents' architecture; it is copied and stays as it was.
    evaluate: from a model in evaluation mode to named numbers, such as accuracy by domain.
    Returns: one row a t, in the given order: `t`, then the names that `evaluate` gives.
    Raises: FeatrackError for an empty sweep, a bad t, unfitting parents or a non-finite number.
    """
    weights = [check_t(t) for t in ts]
    if not weights:
        raise FeatrackError("The sweep has no t; give at least one number in [0, 1].")
    # On a copy, because a parent's state dict may share its memory with the model handed in.
    merged = copy.deepcopy(model).eval()
    rows = []
    for t in tqdm(weights, desc="sweep over t"):
        try:
            merged.load_state_dict(blend(lua_state, stories_state, t))
        except RuntimeError as error:
            raise FeatrackError(
                "The parents do not fit the model given to the sweep; "
                f"give a model of their architecture ({error})."
            ) from error
        scores = dict(evaluate(merged))
        for name, value in scores.items():
            if not math.isfinite(value):
                raise FeatrackError(
                    f"{name} is {value} at t = {t:g} of the sweep; check the parents and the data."
                )
        rows.append({"t": t, **scores})
        logger.debug("t = %.3f: %s", t, scores)
    return pd.DataFrame(rows)


def balanced_t(
    ts: Sequence[float],
    lua_accuracy: Sequence[float],
    stories_accuracy: Sequence[float],
    *,
    base_lua: float,
    base_stories: float,
    parent_lua: float,
    parent_stories: float,
) -> float:
    """The t where both domains keep the same share of what their fine-tune gained (METHOD.md §2).

    The share is (accuracy − base) / (parent − base); between grid points it is a straight line.
    Of several crossings the one with the highest common share counts, then the lowest t.

    ts: increasing, 0 is Lua; accuracies: of the merge on each domain at those t.
    Raises: FeatrackError if a parent is not better than the base, if the shares never cross, or
        if the grid is not increasing or does not fit the accuracies.
    """
    grid = np.array([check_t(t) for t in ts])
    shares = [
        _kept_share(domain, accuracy, base, parent, len(grid))
        for domain, accuracy, base, parent in (
            ("Lua", lua_accuracy, base_lua, parent_lua),
            ("Stories", stories_accuracy, base_stories, parent_stories),
        )
    ]
    if len(grid) < 2 or not (np.diff(grid) > 0).all():
        raise FeatrackError("A balanced t needs at least two values of t in increasing order.")
    lua, stories = shares
    t = crossing(grid, lua, stories)
    if t is None:
        raise FeatrackError(
            "The sweep has no balanced t: from its first to its last t the kept share goes "
            f"{lua[0]:.3f} → {lua[-1]:.3f} on Lua and {stories[0]:.3f} → {stories[-1]:.3f} on "
            "Stories without crossing; widen the sweep or fix t yourself."
        )
    return t


def crossing(ts: Sequence[float], lua: Sequence[float], stories: Sequence[float]) -> float | None:
    """The t where two curves meet, straight between grid points; None if they never do.

    Of several crossings the one with the highest value counts, then the lowest t.
    """
    grid, lua, stories = (np.asarray(values, dtype=np.float64) for values in (ts, lua, stories))
    gap = lua - stories
    # (common value, -t), so that max() prefers the lower t among equals.
    crossings = [(lua[i], -grid[i]) for i in np.flatnonzero(gap == 0)]
    for i in np.flatnonzero(gap[:-1] * gap[1:] < 0):
        along = gap[i] / (gap[i] - gap[i + 1])
        common = lua[i] + along * (lua[i + 1] - lua[i])
        crossings.append((common, -(grid[i] + along * (grid[i + 1] - grid[i]))))
    return float(-max(crossings)[1]) if crossings else None


def compare_to_published(swept: pd.DataFrame) -> pd.DataFrame:
    """The authors' published sweep on both axes, in rising order of our t, beside ours.

    swept: columns `t`, `lua`, `stories` (next-token accuracies), straight between its points.
    Columns: `t_from_lua` (ours: 0 is Lua), `t_from_stories` (theirs: 0 is TinyStories), then
    `lua_paper`, `lua_ours`, `stories_paper`, `stories_ours`.
    """
    published = pd.DataFrame(reversed(SWEEP), columns=["t_from_stories", "stories", "lua"])
    t = (1 - published["t_from_stories"]).round(2)
    columns = {"t_from_lua": t, "t_from_stories": published["t_from_stories"]}
    for domain in ("lua", "stories"):
        columns[f"{domain}_paper"] = published[domain]
        columns[f"{domain}_ours"] = np.interp(t, swept["t"], swept[domain])
    return pd.DataFrame(columns)


def at_weight(
    swept: pd.DataFrame, t: float, base: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Accuracy and the kept share of what its parent gained over the base, by domain, at one t.

    swept: as for `compare_to_published`, from t = 0 to t = 1; base: its accuracy by domain.
    Raises: FeatrackError if a parent is not better than the base.
    """
    found = {}
    for domain, parent in (("lua", swept["lua"].iloc[0]), ("stories", swept["stories"].iloc[-1])):
        accuracy = float(np.interp(t, swept["t"], swept[domain]))
        (kept,) = _kept_share(domain, [accuracy], base[domain], parent, 1)
        found[domain] = {"accuracy": accuracy, "kept": float(kept)}
    return found


def _kept_share(
    domain: str, accuracy: Sequence[float], base: float, parent: float, n_ts: int
) -> np.ndarray:
    values = np.asarray(accuracy, dtype=np.float64)
    if values.shape != (n_ts,) or not np.isfinite(values).all():
        raise FeatrackError(
            f"{domain} accuracy must hold one finite number for each of the {n_ts} values of t."
        )
    if not parent > base:
        raise FeatrackError(
            f"The {domain} fine-tune's accuracy {parent:.3f} on its own domain does not beat the "
            f"base's {base:.3f}, so there is no gain to balance; train it for longer or fix t."
        )
    return (values - base) / (parent - base)
