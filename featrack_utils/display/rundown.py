"""What a run was: its phases and their times, its parameters, and the targets it reached."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from featrack_utils.display.tables import format_cell, with_interval
from featrack_utils.errors import FeatrackError

# What is needed before anything can be said about features: dictionaries that are good enough and
# alike, fine-tunes that moved, a merge that serves both domains.
_LEAST_VARIANCE = 0.75
_MOST_ACTIVE = 48
_MOST_DEAD = 0.05
_LEAST_GAIN = 0.5  # nats per token
_POINTS = 0.02  # off a planted share
_FALSE = 0.01
_OF_NOTHING = hashlib.sha256(b"").hexdigest()
_SEPARATED = 10_000  # from here on thousands are separated; seeds and widths are not


def targets(results: Mapping[str, float]) -> pd.DataFrame:
    """What a run should reach before its shares mean anything, and whether it did.

    Columns: `target`, `reached` (text), `met`. Raises KeyError or FeatrackError for a missing
    result.
    """
    gains = {
        (model, domain): results[f"lm.base.{domain}.loss"] - results[f"lm.{model}.{domain}.loss"]
        for model, domain in (
            ("lua", "lua"),
            ("stories", "stories"),
            ("merged", "lua"),
            ("merged", "stories"),
        )
    }
    variance, active, dead = (
        results[f"sae.{name}"] for name in ("min_variance_explained", "max_l0", "max_dead_share")
    )
    domains = {"lua": "Lua", "stories": "stories"}
    rows = [
        (
            f"each dictionary explains at least {format_cell(_LEAST_VARIANCE, '.0%')} of variance",
            format_cell(variance, ".1%"),
            variance >= _LEAST_VARIANCE,
        ),
        (
            f"with at most {_MOST_ACTIVE} active features a token",
            format_cell(active, ".1f"),
            active <= _MOST_ACTIVE,
        ),
        (
            f"and fewer than {format_cell(_MOST_DEAD, '.0%')} dead ones",
            format_cell(dead, ".1%"),
            dead < _MOST_DEAD,
        ),
    ]
    for (model, domain), gain in gains.items():
        reached = f"{format_cell(gain, '.2f')} nats"
        if model == "merged":
            rows.append(
                (f"the merged model beats the base on {domains[domain]}", reached, gain > 0)
            )
        else:
            rows.append(
                (
                    f"the {domains[domain].title()} fine-tune gains at least {_LEAST_GAIN} "
                    f"nats on {domains[domain]}",
                    reached,
                    gain >= _LEAST_GAIN,
                )
            )
    rows += _of_the_measure(results)
    return pd.DataFrame(rows, columns=["target", "reached", "met"]).astype({"met": bool})


def _of_the_measure(results: Mapping[str, float]) -> list[tuple[str, str, bool]]:
    """Rows of `targets`: a child that nothing happened to, and planted truths."""
    name = "track.zero_steps.persisting_share.ratio_to_ceiling"
    ratio, low, high = (results.get(f"{name}{end}") for end in ("", ".ci_low", ".ci_high"))
    known = None not in (ratio, low, high)
    error, false = (results[f"calibration.{key}"] for key in ("largest_error", "nothing.share"))
    return [
        (
            "after a fine-tune of no step the ratio's interval holds 100%",
            with_interval(ratio, low, high, ".1%"),
            known and low <= 1 <= high,
        ),
        (
            f"planted shares are found within {100 * _POINTS:.0f} points",
            f"{format_cell(error, '.1pt')} points",
            error <= _POINTS,
        ),
        (
            f"and at most {_FALSE:.0%} is found where nothing persists",
            format_cell(false, ".1%"),
            false <= _FALSE,
        ),
    ]


def phase_times(executed: Path, pages: Sequence[str], without: str = "status") -> pd.DataFrame:
    """When each phase of a run started and how long its kernel ran, in the pipeline's order.

    That order is the book's, whose first page, the summary, is made last; "sae-lua" follows "sae".
    Phases that aren't pages stand before the summary.

    executed: folder of executed notebooks. pages: the book's pages in reading order. without: the
        page that asks, which isn't finished.
    Columns: `phase`, `started` (UTC), `seconds`.
    Raises: FeatrackError if no notebook there says how long it took.
    """
    order = [*pages[1:], *pages[:1]]
    places = {page: place for place, page in enumerate(order)}
    rows = []
    for path in sorted(executed.glob("[!.]*.ipynb")):
        name, ran = path.stem, nbformat.read(path, as_version=4).metadata.get("papermill", {})
        if name != without and ran.get("duration") is not None:
            started = datetime.fromisoformat(ran["start_time"])
            place = places.get(name, places.get(name.split("-")[0], len(order) - 1.5))
            rows.append((place, name not in places, started, name, ran["duration"]))
    if not rows:
        raise FeatrackError(f"{executed}/ holds no executed page with its times; run `make book`.")
    table = pd.DataFrame(sorted(rows), columns=["place", "beside", "started", "phase", "seconds"])
    return table[["phase", "started", "seconds"]]


def span(times: pd.DataFrame) -> float:
    """Seconds from the first start to the last end: less than the sum where phases ran together."""
    ends = times["started"] + pd.to_timedelta(times["seconds"], unit="s")
    return (ends.max() - times["started"].min()).total_seconds()


def duration(seconds: float) -> str:
    """ "43 s", "2 min 05 s", "3 h 07 min": what a reader can picture."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def parameter_table(records: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """The parameters of all artefacts; those of one kind that agree on one share a line.

    records: run.json by artefact, such as "saes/base-0". Columns: `artefact`, `parameter`, `value`.
    """
    given = pd.DataFrame(
        [
            (name.split("/")[0], name, key, readable(value))
            for name, record in records.items()
            for key, value in record["parameters"].items()
            if value != _OF_NOTHING
        ],
        columns=["kind", "artefact", "parameter", "value"],
    )
    groups = given.groupby(["kind", "parameter", "value"], sort=False)["artefact"]
    shared = groups.agg(_members).reset_index()
    return shared.sort_values(["kind", "parameter"], kind="stable")[
        ["artefact", "parameter", "value"]
    ]


def _members(names: pd.Series) -> str:
    kind = names.iloc[0].split("/")[0]
    return names.iloc[0] if len(names) == 1 else f"{len(names)} {kind}"


def readable(value: Any) -> str:
    """A parameter as prose has it: no brackets, no quotes, thousands separated."""
    if value is None or value == [] or value == {}:
        return "none"
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {readable(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(readable, value))
    if isinstance(value, float):
        return format_cell(value, ".6g")
    large = isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _SEPARATED
    return format_cell(value, ",d" if large else None if isinstance(value, bool) else "d")
