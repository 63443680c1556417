"""Dictionaries that a profile asks for beside its own."""

import pytest

from featrack_utils.pipeline.profiles import load_profile
from featrack_utils.pipeline.trials import PUBLISHED
from tests.test_config import PROFILES, SMOKE, refusal


def swept(*entries):
    return load_profile(SMOKE, {"robustness": {"sweep": list(entries)}}).swept()


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
        ([{}], "robustness.sweep[0] is {}"),
        ([4], "robustness.sweep[0] is 4"),
        ({"expansion": 4}, "robustness.sweep"),
        ([{"expansion": "wide"}], "robustness.sweep[0].expansion"),
        ([{"l1_coefficient": -1.0}], "robustness.sweep[0]: sae.l1_coefficient"),
        ([{"k": 513}], "k-513"),
        ([{"expansion": 4}, {"expansion": 4}], "a second time"),
    ],
)
def test_a_sweep_that_cannot_be_trained_is_refused_by_place(entries, says):
    assert says in refusal(robustness={"sweep": entries})


def test_the_published_training_needs_l1():
    sae = {"architecture": "topk"}
    assert "published.training" in refusal(sae=sae, published={"training": ["ten_times"]})
    load_profile(SMOKE, {"sae": sae, "published": {"training": []}})


@pytest.mark.parametrize(
    ("training", "says"),
    [
        (["wrong_axes"], "'wrong_axes'; the nearest choice is 'wrong_axis'"),
        (["ten_times", "l1_over_tokens"], "the nearest choice is 'over_tokens'"),
        (["ten_times", "ten_times"], "name each choice once"),
        (True, "published.training is True; it must be a list"),
        ("wrong_axis", "published.training is 'wrong_axis'; it must be a list"),
    ],
)
def test_a_choice_that_nobody_published_is_refused_and_the_nearest_named(training, says):
    assert says in refusal(published={"training": training})


def test_every_choice_may_be_trained_or_none():
    for training in ([], ["ten_times"], list(PUBLISHED)):
        made = load_profile(SMOKE, {"published": {"training": training}})
        assert made.published.training == training


def test_quick_leaves_out_what_the_others_train():
    profiles = {
        n: load_profile(PROFILES / f"{n}.yaml") for n in ("smoke", "quick", "real", "paper")
    }
    trained = {name: len(profile.published.training) for name, profile in profiles.items()}
    assert trained == {"smoke": 3, "quick": 0, "real": 3, "paper": 3}
    pairs = {name: profile.robustness.all_pairs for name, profile in profiles.items()}
    assert pairs == {"smoke": True, "quick": False, "real": True, "paper": True}
    assert 0 < len(profiles["quick"].swept()) < len(profiles["real"].swept())
