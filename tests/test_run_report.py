"""What the status page says of a run, worked out from records made by hand."""

import hashlib
import math

import nbformat
import pytest

from featrack_utils.display.run_report import duration, parameter_table, phase_times, readable, span
from featrack_utils.errors import FeatrackError


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


def test_core_seconds_are_shown_where_they_were_counted(tmp_path):
    page(tmp_path, "base", "01:00", 60.0)
    page(tmp_path, "sae", "02:00", 60.0)
    times = tmp_path.parent / "times"
    times.mkdir(exist_ok=True)
    (times / "sae.json").write_text('{"core_seconds": 101.5}')
    counted = phase_times(tmp_path, ["intro", "base", "sae"]).set_index("phase")["core_seconds"]
    assert counted["sae"] == 101.5 and math.isnan(counted["base"])


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
