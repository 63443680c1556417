"""The table of coverage that the book keeps, and the benchmark that makes it."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks import coverage as benchmark
from tests.simulated import Plan, simulate


def wilson(hits, n, z=1.959963984540054):
    """Wilson (1927), written out."""
    p, middle = hits / n, 1 + z**2 / n
    half = z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    return [(p + z**2 / (2 * n) + side * half) / middle for side in (-1, 1)]


def test_the_books_own_table_covers_twelve_groups_and_nearly_as_often_as_it_says():
    rows = json.loads((Path(benchmark.__file__).parent / "coverage.json").read_text("utf-8"))
    assert any("12 groups" in row["size"] for row in rows)
    for row in rows:
        low, high = wilson(round(row["coverage"] * row["sets"]), row["sets"])
        assert row["coverage.ci_low"] == pytest.approx(low, abs=1e-9)
        assert row["coverage.ci_high"] == pytest.approx(min(high, 1), abs=1e-9)
        assert high > 0.9, row
    # The simpler method doesn't come near, which is why it isn't used.
    assert max(row["jackknife"] for row in rows if "jackknife" in row) < 0.9


def test_a_jackknife_of_means_is_the_textbooks_interval():
    values = np.random.default_rng(0).normal(size=12)
    without = np.array([np.delete(values, k).mean() for k in range(12)])
    (centre, half), (raw, _) = benchmark.jackknife(values.mean(), without)
    assert centre == pytest.approx(raw) == pytest.approx(values.mean())
    assert half == pytest.approx(stats.t.ppf(0.975, 11) * stats.sem(values))


def test_every_group_is_left_out_once():
    parent = simulate(Plan(60, 96, 40, group_size=2), 0).parent[0]
    weights = benchmark.leave_out(parent, 12, np.random.default_rng(0))
    np.testing.assert_array_equal((weights == 0).sum(axis=0), 1)
    np.testing.assert_array_equal((weights == 0).sum(axis=1), 8)  # a group of two of each domain


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
