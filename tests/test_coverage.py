"""The table of coverage that the book keeps, read back."""

import json

import pytest

from featrack_utils.calibration import measured_coverage
from featrack_utils.errors import FeatrackError

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
