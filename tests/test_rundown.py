"""What the status page says of a run, worked out from records made by hand."""

import hashlib

import nbformat
import pytest

from featrack_utils.display.rundown import (
    duration,
    parameter_table,
    phase_times,
    readable,
    span,
    targets,
)
from featrack_utils.errors import FeatrackError

GOOD = {
    "sae.min_variance_explained": 0.75,
    "sae.max_l0": 48.0,
    "sae.max_dead_share": 0.0,
    "lm.base.lua.loss": 5.0,
    "lm.lua.lua.loss": 4.5,
    "lm.merged.lua.loss": 4.9,
    "lm.base.stories.loss": 5.0,
    "lm.stories.stories.loss": 3.0,
    "lm.merged.stories.loss": 4.0,
    "track.zero_steps.persisting_share.ratio_to_ceiling": 1.01,
    "track.zero_steps.persisting_share.ratio_to_ceiling.ci_low": 0.96,
    "track.zero_steps.persisting_share.ratio_to_ceiling.ci_high": 1.0,
    "calibration.largest_error": 0.02,
    "calibration.nothing.share": 0.01,
}


def test_a_run_on_the_very_limits_has_reached_its_targets():
    table = targets(GOOD)
    assert table["met"].all() and len(table) == 10
    assert table["reached"].tolist()[:4] == ["75.0 %", "48.0", "0.0 %", "0.50 nats"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sae.min_variance_explained", 0.74),
        ("sae.max_l0", 48.1),
        ("sae.max_dead_share", 0.05),
        ("lm.lua.lua.loss", 4.6),
        ("lm.merged.stories.loss", 5.0),
        ("track.zero_steps.persisting_share.ratio_to_ceiling.ci_high", 0.99),
        ("calibration.largest_error", 0.03),
        ("calibration.nothing.share", 0.02),
    ],
)
def test_one_figure_that_falls_short_is_one_target_missed(name, value):
    assert (~targets(GOOD | {name: value})["met"]).sum() == 1


def test_a_control_that_the_run_could_not_make_is_not_met():
    figures = {k: v for k, v in GOOD.items() if not k.startswith("track.")}
    assert targets(figures)["reached"].iloc[7] == "–" and not targets(figures)["met"].iloc[7]


def page(folder, name, start, seconds):
    notebook = nbformat.v4.new_notebook()
    if start:
        notebook.metadata.papermill = {
            "start_time": f"2026-01-01T00:{start}+00:00",
            "duration": seconds,
        }
    nbformat.write(notebook, folder / f"{name}.ipynb")


def test_phases_come_in_the_pipelines_order_and_their_span_is_less_than_their_sum(tmp_path):
    page(tmp_path, "intro", "03:30", 30.0)
    page(tmp_path, "sweep-x", "03:20", 10.0)
    page(tmp_path, "base", "01:00", 60.0)
    page(tmp_path, "sae-lua", "02:30", 90.0)
    page(tmp_path, "sae", "02:00", 90.0)
    page(tmp_path, "status", "09:00", 1.0)
    page(tmp_path, ".base.partial", "00:00", 9.0)
    times = phase_times(tmp_path, ["intro", "base", "sae", "status"])
    assert times["phase"].tolist() == ["base", "sae", "sae-lua", "sweep-x", "intro"]
    assert span(times) == 180 and times["seconds"].sum() == 280


def test_a_page_made_again_keeps_its_place(tmp_path):
    page(tmp_path, "base", "09:00", 1.0)
    page(tmp_path, "sae", "02:00", 1.0)
    times = phase_times(tmp_path, ["intro", "base", "sae"])
    assert times["phase"].tolist() == ["base", "sae"]


def test_a_folder_without_times_is_refused(tmp_path):
    page(tmp_path, "base", None, None)
    with pytest.raises(FeatrackError, match="no executed page"):
        phase_times(tmp_path, ["intro"])


@pytest.mark.parametrize(
    ("seconds", "text"), [(42.6, "43 s"), (59.7, "1 min 00 s"), (11220, "3 h 07 min")]
)
def test_durations_can_be_pictured(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        ([], "none"),
        (True, "yes"),
        (1337, "1337"),
        (2_500_000, "2,500,000"),
        (1e-3, "0.001"),
        ("auto", "auto"),
        ([0.01, 0.3], "0.01, 0.3"),
        ({"lua": {"kind": "files", "n": 1}}, "lua: kind: files; n: 1"),
    ],
)
def test_parameters_read_like_prose(value, text):
    assert readable(value) == text


def test_artefacts_that_agree_share_a_line_and_hashes_of_nothing_are_left_out():
    nothing = hashlib.sha256(b"").hexdigest()
    table = parameter_table(
        {
            "saes/base-0": {"parameters": {"k": 32, "seed": 0}},
            "saes/base-1": {"parameters": {"k": 32, "seed": 1}},
            "corpora": {"parameters": {"files": nothing}},
        }
    )
    assert table.to_numpy().tolist() == [
        ["2 saes", "k", "32"],
        ["saes/base-0", "seed", "0"],
        ["saes/base-1", "seed", "1"],
    ]
