"""A profile is read whole, or refused in a sentence that names what to mend."""

from pathlib import Path

import pytest
import yaml

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline.profile import load_profile

PROFILES = Path(__file__).parent.parent / "profiles"
SMOKE = PROFILES / "smoke.yaml"


def refusal(**overrides) -> str:
    with pytest.raises(FeatrackError) as caught:
        load_profile(SMOKE, overrides)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence
    return sentence


# own.yaml waits for the reader's models: tests/test_families.py.
SHIPPED = sorted(path for path in PROFILES.glob("*.yaml") if path.stem != "own")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_profile_loads_under_its_own_name(path):
    assert load_profile(path).name == path.stem


def test_an_unknown_profile_is_answered_with_the_known_ones():
    with pytest.raises(FeatrackError, match=r"No profile 'quik' .* quick, .*smoke"):
        load_profile(PROFILES / "quik.yaml")


@pytest.mark.parametrize("key", ["seed", "pretraining.d_mlp", "corpora.train_tokens.lua", "merge"])
def test_a_missing_key_is_named(tmp_path, key):
    mapping = yaml.safe_load(SMOKE.read_text())
    *way, last = key.split(".")
    holder = mapping
    for step in way:
        holder = holder[step]
    del holder[last]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mapping))
    with pytest.raises(FeatrackError, match=last):
        load_profile(tmp_path / "mine.yaml")


def test_an_empty_text_laid_over_is_no_missing_value():
    laid = load_profile(SMOKE, {"arms": {"planted_model": ""}})
    assert laid.arms.planted_model == ""


def test_overrides_are_laid_over_the_file_without_wiping_their_neighbours():
    plain = load_profile(SMOKE)
    changed = load_profile(
        SMOKE, {"merge": {"sweep_points": 9}, "corpora": {"train_tokens": {"lua": 7_000}}}
    )
    assert changed.merge.sweep_points == 9
    assert changed.merge.sweep_blocks == plain.merge.sweep_blocks
    assert changed.corpora.train_tokens == plain.corpora.train_tokens | {"lua": 7_000}
    assert changed.pretraining == plain.pretraining


def test_numbers_that_snakemake_hands_over_as_text_are_numbers():
    profile = load_profile(
        SMOKE,
        {
            "sae": {"other_seeds": "3", "l1_coefficient": "2.5"},
            "corpora": {
                "train_tokens": {"lua": "7_000"},
                "sources_of": {"lua": {"kind": "files", "globs": ["*.lua"], "column": "*"}},
            },
        },
    )
    assert (profile.sae.other_seeds, profile.sae.l1_coefficient) == (3, 2.5)
    assert profile.corpora.train_tokens["lua"] == 7_000
    assert profile.corpora.sources_of["lua"]["globs"] == ["*.lua"]
    assert profile.corpora.sources_of["lua"]["column"] == "*"


def test_a_rate_that_yaml_reads_as_text_is_taken_as_the_number_it_looks_like():
    assert yaml.safe_load("6e-4") == "6e-4"
    assert (
        load_profile(SMOKE, {"pretraining": {"learning_rate": "6e-4"}}).pretraining.learning_rate
        == 0.0006
    )


def test_k_may_equal_the_dictionary_and_zero_steps_are_a_control():
    smoke = load_profile(SMOKE)
    d_sae = smoke.sae.expansion * smoke.pretraining.d_mlp
    assert d_sae == 256
    assert load_profile(SMOKE, {"sae": {"k": d_sae}}).sae.k == d_sae
    assert load_profile(SMOKE, {"finetune": {"train_tokens": 0}}).finetune.train_tokens == 0


CHAIN = {"a": {"train": ["english"]}, "b": {"parent": "a", "train": ["lua"]}}


def test_models_of_other_names_take_the_place_of_the_profiles():
    profile = load_profile(SMOKE, {"models": CHAIN, "arms": {"dosed": ["b"]}})
    assert profile.lineage.order == ("a", "b")


def test_a_known_models_entry_is_laid_over_the_profiles():
    profile = load_profile(SMOKE, {"models": {"merged": {"t": "0.3"}}})
    assert profile.models["merged"] == {"merge": ["lua", "stories"], "method": "slerp", "t": 0.3}
    assert profile.lineage.order == ("base", "lua", "stories", "merged")


def test_a_dose_of_a_model_that_is_not_tuned_is_refused():
    assert "arms.dosed holds 'lua'; name models that are fine-tuned here: b" in refusal(
        models=CHAIN, arms={"dosed": ["lua"]}
    )
