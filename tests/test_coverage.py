"""The table of coverage that the book keeps, read back."""

import importlib.util
import json
from pathlib import Path

import pytest

from featrack_utils.errors import FeatrackError
from featrack_utils.statistics.calibration import measured_coverage
from featrack_utils.statistics.simulation import Plan

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "coverage.py"
_SPEC = importlib.util.spec_from_file_location("coverage_benchmark", SCRIPT)
benchmark = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(benchmark)

ROW = {
    "size": "small",
    "figure": "share",
    "rho": [0.5, 1.0],
    "planted": 0.2,
    "bias": 0.01,
    "coverage": 0.9,
    "sets": 10,
}


def wilson(hits, n, z=1.959963984540054):
    """Wilson (1927), written out."""
    p, middle = hits / n, 1 + z**2 / n
    half = z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    return [(p + z**2 / (2 * n) + side * half) / middle for side in (-1, 1)]


def test_the_books_own_table_has_wilsons_intervals_around_every_coverage():
    table = measured_coverage()
    assert len(table) > 0 and table.notna().all(axis=None)
    for row in table.to_dict("records"):
        low, high = wilson(round(row["coverage"] * row["sets"]), row["sets"])
        assert row["coverage.ci_low"] == pytest.approx(low, abs=1e-9)
        assert row["coverage.ci_high"] == pytest.approx(min(high, 1), abs=1e-9)
        assert 0 < row["rho_low"] <= row["rho_high"] <= 1


def test_a_missing_or_foreign_table_says_how_to_make_it(tmp_path):
    path = tmp_path / "coverage.json"
    for text in (None, "{", "[]", json.dumps([{**ROW, "rho": 1}]), json.dumps([{"size": "small"}])):
        if text is not None:
            path.write_text(text)
        with pytest.raises(FeatrackError, match=r"run `python benchmarks/coverage\.py`"):
            measured_coverage(path)
    path.write_text(json.dumps([ROW]))
    assert measured_coverage(path)["rho_high"][0] == 1.0


def test_over_seeds_the_truth_is_what_capture_makes_of_the_planted_share():
    """Each dictionary finds half of its model's features, so any two share half of theirs."""
    plan = Plan(
        60,
        60,
        60,
        persisting=0.5,
        rho=(0.95, 0.95),
        density=0.03,
        density_spread=0.5,
        splitting=0.0,
        copies=0.0,
        dense=0.0,
        dead=0.0,
        capture=0.5,
        seeds=6,
    )
    found = benchmark.calibrate_seeds(2, plan, sets=12, replicates=40)
    planted = {name: truth for name, (truth, _, _) in found.items()}
    # A dictionary's columns: half found, half spent on something no other dictionary has.
    assert planted["ceiling"] == pytest.approx(0.25, abs=0.03)
    assert planted["share"] == pytest.approx(0.125, abs=0.03)
    assert planted["ratio"] == pytest.approx(planted["share"] / planted["ceiling"], abs=0.02)
    assert all(held.estimate >= 0.75 for _, _, held in found.values())
    assert all(abs(bias.estimate) < 0.1 for _, bias, _ in found.values())
    for trained in (1, 5):
        with pytest.raises(FeatrackError, match=f"{trained} of 6 seeds"):
            benchmark.calibrate_seeds(trained, plan, sets=2)
