"""Two runs differ where their intervals say so; what has none is listed apart."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from featrack_utils import __main__
from featrack_utils.compare import difference, report


def change(a, b):
    """A difference and its ends, of two numbers with their own."""
    tables = (pd.DataFrame([row], columns=["value", "low", "high"]) for row in (a, b))
    return difference(*tables).loc[0].tolist()


def test_the_interval_of_a_difference_adds_the_halves_that_face_each_other_as_squares():
    # Up from a: b's lower half 3 and a's upper half 4 make 5; b's upper 12 and a's lower 5 make 13.
    assert change((10, 5, 14), (30, 27, 42)) == [20, 15, 33]
    assert change((1, 1, 1), (1, 1, 1)) == [0, 0, 0]


def test_for_means_of_normal_numbers_it_is_the_usual_interval():
    half_a, half_b = 1.96 * 0.3 / np.sqrt(50), 1.96 * 0.7 / np.sqrt(20)
    _, *ends = change((1, 1 - half_a, 1 + half_a), (2, 2 - half_b, 2 + half_b))
    half = 1.96 * np.sqrt(0.3**2 / 50 + 0.7**2 / 20)
    assert ends == pytest.approx([1 - half, 1 + half])


def test_where_nothing_but_chance_differs_one_in_twenty_lies_beyond():
    rng = np.random.default_rng(0)
    a, b = ({}, {})
    for results in (a, b):
        for number, value in enumerate(rng.normal(size=1000)):
            ends = {".ci_low": value - 1.96, ".ci_high": value + 1.96}
            results |= {f"x{number}{end}": v for end, v in ({"": value} | ends).items()}
    beyond, _, n_compared = next(report(a, b)).split()[:3]
    assert n_compared == "1000" and 0.03 < int(beyond) / 1000 < 0.07


A = {
    "share": 0.5,
    "share.ci_low": 0.4,
    "share.ci_high": 0.6,
    "flat": 1.0,
    "flat.ci_low": 1.0,
    "flat.ci_high": 1.0,
    "near": 0.5,
    "near.ci_low": 0.4,
    "near.ci_high": 0.6,
    "tokens": 100,
    "same": 3,
    "alone.ci_low": 2,
    "gone": 1,
}
B = A | {
    "share": 0.9,
    "share.ci_low": 0.85,
    "share.ci_high": 0.95,
    "flat": 1.5,
    "flat.ci_low": 1.5,
    "flat.ci_high": 1.5,
    "near": 0.6,
    "near.ci_low": 0.5,
    "near.ci_high": 0.7,
    "tokens": 101,
    "new": 2,
}
del B["gone"]


def written(folder, results):
    folder.mkdir()
    text = results if isinstance(results, str) else json.dumps(results)
    (folder / "results.json").write_text(text)
    return str(folder)


def test_the_clearest_difference_comes_first_and_the_rest_is_listed_apart(tmp_path, capsys):
    a, b = written(tmp_path / "a", A), written(tmp_path / "b", B)
    assert __main__.main(["compare", a, f"{b}/results.json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2 of 3 numbers with intervals")
    assert lines[1] == "  flat: 1 [1, 1] → 1.5 [1.5, 1.5], difference 0.5 [0.5, 0.5]"
    assert lines[2].startswith("  share: 0.5 [0.4, 0.6] → 0.9 [0.85, 0.95], difference 0.4 [0.288,")
    assert lines[3].startswith("1 of 3 numbers without intervals changed")
    assert lines[4:] == [
        "  tokens: 100 → 101",
        "1 numbers are in the first run only.",
        "  gone",
        "1 numbers are in the second run only.",
        "  new",
    ]


def test_a_run_doesnt_differ_from_itself():
    assert [line.split()[0] for line in report(A, A)] == ["0"] * 4


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "[1]",
        "{}",
        '{"x": NaN}',
        '{"x": 1e999}',
        '{"x": "1"}',
        '{"x": true}',
        '{"x": {"y": 1}}',
        '{"x": 0, "x.ci_low": 1, "x.ci_high": 0}',
        pytest.param(f'{{"x": 1{"0" * 400}}}', id="no float is so large"),
        pytest.param("[" * 10**5, id="nested too deeply"),
    ],
)
def test_results_that_arent_are_refused_in_one_sentence(wrong, tmp_path, capsys):
    a, b = written(tmp_path / "a", A), written(tmp_path / "b", wrong)
    assert __main__.main(["compare", a, b]) == 1
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("featrack: ") and told.err.count("\n") == 1
    assert f"{b}/results.json" in told.err


def test_what_isnt_there_and_an_unknown_command_are_refused_in_one_sentence(tmp_path, capsys):
    for arguments in (["compare", str(tmp_path), str(tmp_path / "none")], ["compares"], []):
        assert __main__.main(arguments) == 1
        assert capsys.readouterr().err.count("\n") == 1


def test_the_package_is_a_command():
    command = [sys.executable, "-m", "featrack_utils", "compare", "--help"]
    assert "run_a" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
