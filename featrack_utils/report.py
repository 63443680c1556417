"""What a run was made with, how long it took, and whether it reached what it should."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from featrack_utils import store

LIBRARIES = (
    "torch", "transformers", "tokenizers", "transformer-lens", "sae-lens", "mergekit", "numpy",
    "scipy", "numba", "pandas", "scikit-learn", "umap-learn", "matplotlib", "snakemake",
    "papermill", "jupytext", "jupyter-book",
)  # fmt: skip
NATS, VARIANCE, L0, DEAD = 0.5, 0.75, 48, 0.05  # a fine-tune's gain; every dictionary's figures
POINTS, FALSE = 0.02, 0.01  # off a planted share; found where nothing persists


def records(run: Path) -> dict[str, dict[str, Any]]:
    """The run.json of every finished artefact, by its folder inside the run.

    Raises:
        FeatrackError: one of them is damaged.
    """
    return {
        str(path.parent.relative_to(run)): store.read_record(path.parent)
        for path in sorted(run.glob("*/**/run.json"))
        if not any(part.startswith(".") for part in path.relative_to(run).parts)
    }


def phases(run: Path) -> pd.DataFrame:
    """When each executed notebook was started, and how long it took, in seconds.

    Columns: phase, started after, took; in the order of their starts. A phase that ran again
    later than the rest is counted from its own start: times are of the last execution.
    """
    rows = []
    for path in (run / "executed").glob("*.ipynb"):
        ran = json.loads(path.read_text())["metadata"].get("papermill", {})
        if ran.get("duration") is not None:  # the phase that asks has not finished
            start = datetime.fromisoformat(ran["start_time"])
            rows.append((path.stem, start.timestamp(), ran["duration"]))
    table = pd.DataFrame(rows, columns=["phase", "started after", "took"])
    table = table.sort_values("started after", ignore_index=True)
    table["started after"] -= table["started after"].min()
    return table


def versions(records: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Columns part, version: the machine and Python of the last artefact, and LIBRARIES."""
    last = max(records.values(), key=lambda record: record["finished"])
    rows = {"machine": last["machine"], "Python": last["python"]}
    rows |= {name: importlib.metadata.version(name) for name in LIBRARIES}
    return pd.DataFrame(rows.items(), columns=["part", "version"])


def parameters(records: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Columns artefact, parameter, value; artefacts of one kind that agree share a row."""
    given = pd.DataFrame(
        [(name.split("/")[0], name, key, _readable(value))
         for name, record in records.items()
         for key, value in _flat(record["parameters"]).items()],
        columns=["kind", "artefact", "parameter", "value"],
    )  # fmt: skip

    def members(names: pd.Series) -> str:
        return names.iloc[0] if len(names) == 1 else f"{len(names)} {names.iloc[0].split('/')[0]}"

    shared = given.groupby(["kind", "parameter", "value"])["artefact"].agg(members).reset_index()
    return shared[["artefact", "parameter", "value"]]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Mappings inside mappings by dotted names; hashes of files, which nobody reads, left out."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif key != "fingerprint":
            flat[prefix + key] = value
    return flat


def _readable(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if value >= 10_000 else str(value)
    if isinstance(value, list):
        return ", ".join(map(_readable, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def targets(results: Mapping[str, float]) -> pd.DataFrame:
    """What a run of the size of `quick` should reach: columns target, reached, met.

    A figure that the run doesn't have is not reached.
    """
    rows = [
        ("variance explained by every dictionary ≥ 0.75", *_least(
            VARIANCE, results.get("sae.min_variance_explained"))),
        ("active features a token (L0) of every dictionary ≤ 48", *_most(
            L0, results.get("sae.max_l0"))),
        ("dead features of every dictionary < 5 %", *_most(
            DEAD, results.get("sae.max_dead_share"))),
    ]  # fmt: skip
    for model in ("lua", "stories"):
        gain = _gap(results, f"lm.base.{model}.loss", f"lm.{model}.{model}.loss")
        rows.append((f"{model}: nats gained on its own text ≥ 0.5", *_least(NATS, gain)))
    for domain in ("lua", "stories"):
        gain = _gap(results, f"lm.base.{domain}.loss", f"lm.merged.{domain}.loss")
        rows.append((f"merged: nats gained on {domain} > 0", *_least(0, gain)))
    name = "track.zero_steps.persisting_share.ratio_to_ceiling"
    low, high = results.get(f"{name}.ci_low"), results.get(f"{name}.ci_high")
    holds = low is not None and low <= 1 <= high
    rows.append(("ratio after no step: the interval holds 1", results.get(name), holds))
    error, found = (results.get(f"calibration.{n}") for n in ("largest_error", "nothing.share"))
    rows.append(("planted shares found again within 0.02", *_most(POINTS, error)))
    rows.append(("found where nothing persists ≤ 0.01", *_most(FALSE, found)))
    return pd.DataFrame(rows, columns=["target", "reached", "met"]).astype({"reached": float})


def _gap(results: Mapping[str, float], one: str, other: str) -> float | None:
    return results[one] - results[other] if {one, other} <= results.keys() else None


def _least(bound: float, value: float | None) -> tuple[float | None, bool]:
    return value, value is not None and value > bound


def _most(bound: float, value: float | None) -> tuple[float | None, bool]:
    return value, value is not None and abs(value) <= bound
