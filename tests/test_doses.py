"""Doses of a fine-tune: which steps they fall on, and which profiles are refused."""

import re
from pathlib import Path

import pytest

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline.profile import dose_steps, load_profile
from tests.chapters import Chapter

# Doses


def test_doses_fall_on_the_nearest_step_and_never_before_the_first():
    assert dose_steps([0.001, 0.03, 0.1, 0.5], 195) == {"0.1": 1, "3": 6, "10": 20, "50": 98}
    assert dose_steps([], 195) == {}
    assert Chapter("planted").dose_percent(0.07) == "7"


def test_a_fine_tune_of_no_step_has_no_doses():
    assert dose_steps([0.01, 0.03], 0) == {}


@pytest.mark.parametrize(
    ("doses", "steps", "sentence"),
    [
        ([0.0], 100, "holds 0.0; choose shares between 0 and 1"),
        ([0.5, 1.0], 100, "holds 1.0"),
        ([-0.1], 100, "holds -0.1"),
        ([float("nan")], 100, "holds nan"),
        ([0.3, 0.1], 100, "in increasing order"),
        ([0.1, 0.1], 100, "write each once"),
        ([0.01, 0.03], 30, "0.03 and 0.01 are both step 1 of a fine-tune of 30; leave one out"),
        ([0.99], 30, "0.99 and 1.0 are both step 30"),
    ],
)
def test_doses_that_are_none_or_fall_together_are_refused(doses, steps, sentence):
    with pytest.raises(FeatrackError, match=sentence.replace(".", r"\.")):
        dose_steps(doses, steps)


PROFILE = Path(__file__).parent.parent / "profiles" / "smoke.yaml"


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"arms": {"doses": [0.1, 1.5]}}, "arms.doses holds 1.5"),
        ({"arms": {"doses": 0.1}}, "arms.doses is 0.1; it must be a valid list"),
        ({"arms": {"doses": ["much"]}}, "arms.doses.0 is 'much'; it must be a valid number"),
        ({"arms": {"doses": [0.01, 0.02]}}, "both step 1 of a fine-tune of 39"),
        (
            {"finetune": {"train_tokens": 3 * 1024}},
            "0.3 and 0.1 are both step 1 of a fine-tune of 3",
        ),
        ({"arms": {"dosed": ["luau"]}}, "arms.dosed holds 'luau'; name models that are fine-tuned"),
        ({"arms": {"dosed": ["base"]}}, "arms.dosed holds 'base'"),
        ({"arms": {"rates": [0]}}, "arms.rates.0 is 0; it must be greater than 0"),
        ({"arms": {"rates": [1.5]}}, "arms.rates.0 is 1.5; it must be less than or equal to 1"),
        ({"arms": {"rates": [0.3, 0.1]}}, "as fractions 1/3, 1/10; write each once, in increasing"),
        ({"arms": {"rates": [0.33, 0.333]}}, "as fractions 1/3, 1/3; write each once"),
        ({"arms": {"lm_seed": "maybe"}}, "arms.lm_seed is 'maybe'"),
    ],
)
def test_arms_that_cannot_be_are_refused_before_anything_runs(section, sentence):
    with pytest.raises(FeatrackError, match=re.escape(sentence)):
        load_profile(PROFILE, section)


def test_switches_and_lists_that_snakemake_hands_over_as_text_are_read():
    given = {"arms": {"doses": ["0.1", "0.5"], "dosed": ["stories"], "lm_seed": "true"}}
    read = load_profile(PROFILE, given).arms
    assert (read.doses, read.dosed, read.lm_seed) == ([0.1, 0.5], ["stories"], True)
    assert load_profile(PROFILE, {"finetune": {"train_tokens": 0}}).finetune.train_tokens == 0
