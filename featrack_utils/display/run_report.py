"""What a run was: how long its phases took, and the parameters of all its artefacts."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from featrack_utils.display.tables import format_cell
from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline import store

_OF_NOTHING = hashlib.sha256(b"").hexdigest()
_SEPARATED = 10_000  # from here on thousands are separated; seeds and widths are not


def phase_times(executed: Path, pages: Sequence[str], without: str = "status") -> pd.DataFrame:
    """When each phase of a run started and how long it took, in the pipeline's order.

    That order is the book's, whose first page, the summary, is made last; "sae-chat" follows "sae".
    Phases that aren't pages stand before the summary.

    executed: folder of executed notebooks. pages: the book's pages in reading order. without: the
        page that asks, which isn't finished.
    Columns: `phase`, `started` (UTC), `seconds`, `core_seconds` (of all its threads; NaN where
        they weren't counted).
    Raises: FeatrackError if no notebook there says how long it took.
    """
    order = [*pages[1:], *pages[:1]]
    places = {page: place for place, page in enumerate(order)}
    rows = []
    for path in sorted(executed.glob("[!.]*.ipynb")):
        name, metadata = path.stem, nbformat.read(path, as_version=4).metadata
        ran = metadata.get("papermill", {})
        if name == without or ran.get("duration") is None:
            continue
        place = places.get(name, places.get(name.split("-")[0], len(order) - 1.5))
        started = datetime.fromisoformat(ran["start_time"])
        cores = _core_seconds(executed.parent / store.TIMES / f"{name}.json")
        rows.append((place, name not in places, started, name, ran["duration"], cores))
    if not rows:
        raise FeatrackError(f"{executed}/ holds no executed page with its times; run `make book`.")
    columns = ["phase", "started", "seconds", "core_seconds"]
    return pd.DataFrame(
        [(name, started, *took) for _, _, started, name, *took in sorted(rows)], columns=columns
    )


def _core_seconds(path: Path) -> float:
    return json.loads(path.read_text())["core_seconds"] if path.is_file() else math.nan


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

    records: run.json by artefact, such as "saes/chat-0". Columns: `artefact`, `parameter`, `value`.
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
