"""The status page's tables, on a run that a head can hold."""

import json

import pandas as pd

from featrack_utils import report, store

GOOD = {
    "sae.min_variance_explained": 0.8, "sae.max_l0": 40.0, "sae.max_dead_share": 0.0,
    "lm.base.lua.loss": 5.0, "lm.lua.lua.loss": 4.0, "lm.merged.lua.loss": 4.5,
    "lm.base.stories.loss": 6.0, "lm.stories.stories.loss": 5.0, "lm.merged.stories.loss": 5.5,
    "track.zero_steps.persisting_share.ratio_to_ceiling": 1.01,
    "track.zero_steps.persisting_share.ratio_to_ceiling.ci_low": 0.96,
    "track.zero_steps.persisting_share.ratio_to_ceiling.ci_high": 1.08,
    "calibration.largest_error": 0.01, "calibration.nothing.share": 0.002,
}  # fmt: skip


def test_a_run_that_reaches_everything_says_yes_to_everything():
    assert report.targets(GOOD)["met"].all()


def test_each_target_can_be_missed_by_itself():
    misses = {
        "sae.min_variance_explained": 0.7, "sae.max_l0": 49.0, "sae.max_dead_share": 0.06,
        "lm.lua.lua.loss": 4.6, "lm.stories.stories.loss": 5.6, "lm.merged.lua.loss": 5.1,
        "lm.merged.stories.loss": 6.1, "calibration.largest_error": 0.03,
        "track.zero_steps.persisting_share.ratio_to_ceiling.ci_high": 0.99,
        "calibration.nothing.share": 0.02,
    }  # fmt: skip
    missed = [report.targets(GOOD | {name: value})["met"] for name, value in misses.items()]
    assert [(~met).sum() for met in missed] == [1] * len(misses)
    assert len({(~met).idxmax() for met in missed}) == len(misses) == len(missed[0])


def test_what_a_run_does_not_have_it_has_not_reached():
    table = report.targets({})
    assert not table["met"].any() and table["reached"].isna().all()


def test_phases_stand_in_the_order_of_their_starts(tmp_path):
    (tmp_path / "executed").mkdir()
    for name, minute, took in (("later", 2, 5.0), ("first", 1, 90.0), ("running", 3, None)):
        ran = {"start_time": f"2026-01-01T00:0{minute}:00+00:00", "duration": took}
        path = tmp_path / "executed" / f"{name}.ipynb"
        path.write_text(json.dumps({"metadata": {"papermill": ran}, "cells": []}))
    rows = report.phases(tmp_path).itertuples(index=False, name=None)
    assert list(rows) == [("first", 0.0, 90.0), ("later", 60.0, 5.0)]


def test_artefacts_that_agree_on_a_parameter_share_a_row(tmp_path):
    for name, seed in (("saes/a", 0), ("saes/b", 1), ("corpora", 2)):
        given = {
            "seed": seed,
            "width": 20_000,
            "per": {"lua": None, "on": True},
            "fingerprint": "e",
        }
        store.make(tmp_path / name, lambda work: (work / "x").touch(), parameters=given)
    found = report.records(tmp_path)
    assert list(found) == ["corpora", "saes/a", "saes/b"]
    table = report.parameters(found)
    both = table[table["artefact"] == "2 saes"].set_index("parameter")["value"].to_dict()
    assert both == {"per.lua": "–", "per.on": "yes", "width": "20,000"}
    assert (table["parameter"] == "seed").sum() == 3 and "fingerprint" not in set(
        table["parameter"]
    )


def test_versions_name_machine_and_libraries(tmp_path):
    store.make(tmp_path / "one", lambda work: (work / "x").touch(), parameters={})
    table = report.versions(report.records(tmp_path)).set_index("part")["version"]
    assert {"machine", "Python", *report.LIBRARIES} == set(table.index)
    assert table["pandas"] == pd.__version__
