"""Dictionaries that a profile asks for beside its own."""

import pytest

from featrack_utils.pipeline.profile import load_profile
from tests.test_profile import PROFILES, SMOKE, refusal


def swept(*entries):
    return load_profile(SMOKE, {"robustness": {"sweep": list(entries)}}).swept


def test_each_entry_is_the_section_sae_with_a_change():
    plain = load_profile(SMOKE).sae
    made = swept({"l1_coefficient": 4.0}, {"k": 4, "architecture": "topk"})
    assert list(made) == ["l1_coefficient-4", "architecture-topk-k-4"]
    assert made["l1_coefficient-4"].l1_coefficient == 4.0
    assert made["l1_coefficient-4"].expansion == plain.expansion
    assert (made["architecture-topk-k-4"].architecture, plain.architecture) == ("topk", "standard")


def test_numbers_within_an_entry_may_be_text():
    assert swept({"expansion": "4"})["expansion-4"].expansion == 4


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        (
            [{"expantion": 4}],
            "robustness.sweep[0].expantion; the nearest known one is robustness.sweep[0].expansion",
        ),
        ([{"expansion": 4}, {"root_seeds": 2}], "robustness.sweep[1].root_seeds"),
        ([{}], "robustness.sweep[0] is empty"),
        ([4], "robustness.sweep.0 is 4; it must be a valid dictionary"),
        ({"expansion": 4}, "robustness.sweep"),
        ([{"expansion": "wide"}], "robustness.sweep[0].expansion"),
        ([{"l1_coefficient": -1.0}], "robustness.sweep[0].l1_coefficient"),
        ([{"k": 513}], "k-513"),
        ([{"expansion": 4}, {"expansion": 4}], "a second time"),
    ],
)
def test_a_sweep_that_cannot_be_trained_is_refused_by_place(entries, says):
    assert says in refusal(robustness={"sweep": entries})


def test_quick_sweeps_less_than_real():
    quick, real = (load_profile(PROFILES / f"{name}.yaml") for name in ("quick", "real"))
    assert (quick.robustness.all_pairs, real.robustness.all_pairs) == (False, True)
    assert 0 < len(quick.swept) < len(real.swept)
