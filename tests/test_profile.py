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


@pytest.mark.parametrize(
    ("overrides", "unknown", "nearest"),
    [
        ({"sead": 1}, "sead", "seed"),
        ({"mergee": {"x": 0.4}}, "mergee", "merge"),
        ({"merge": {"sweep": 9}}, "merge.sweep", "merge.sweep_"),
        ({"sae": {"l1": 2.0}}, "sae.l1", "sae.l1_coefficient"),
        ({"sae": {"expantion": 4}}, "sae.expantion", "sae.expansion"),
    ],
)
def test_an_unknown_key_at_any_depth_is_answered_with_the_nearest(overrides, unknown, nearest):
    with pytest.raises(FeatrackError) as caught:
        load_profile(SMOKE, overrides)
    start = f"Unknown parameter {unknown}; the nearest known one is {nearest}"
    assert str(caught.value).startswith(start)


def test_a_domain_without_text_is_named():
    assert "lacks luau" in refusal(models={"alone": {"train": ["luau"]}})


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


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("pretraining", "d_model", True),
        ("pretraining", "d_model", "true"),
        ("pretraining", "d_model", "32.5"),
        ("pretraining", "learning_rate", "fast"),
        ("pretraining", "learning_rate", False),
        ("pretraining", "learning_rate", None),
        ("sae", "architecture", 3),
        ("merge", "sweep_points", [5]),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(section, name, value):
    sentence = refusal(**{section: {name: value}})
    assert f"{section}.{name}" in sentence and str(value).lower() in sentence.lower()


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("corpora", "validation_tokens", 0),
        ("corpora", "validation_share", 0.5),
        ("corpora", "vocab_size", 256),
        ("corpora", "context", 1),
        ("corpora", "train_tokens", {"lua": -1}),
        ("corpora", "train_tokens", {"lua": "many"}),
        ("corpora", "sources_of", {"lua": "embedded"}),
        ("pretraining", "n_heads", 0),
        ("pretraining", "n_heads", 5),
        ("pretraining", "n_heads", 32),
        ("pretraining", "n_kv_heads", 3),
        ("pretraining", "learning_rate", float("inf")),
        ("pretraining", "weight_decay", -0.1),
        ("finetune", "batch_blocks", 0),
        ("finetune", "train_tokens", -1),
        ("finetune", "warmup_share", 1.0),
        ("merge", "sweep_points", 2),
        ("sae", "architecture", "gated"),
        ("sae", "expansion", 0),
        ("sae", "l1_coefficient", -1.0),
        ("sae", "l1_coefficient", float("nan")),
        ("sae", "k", 0),
        ("sae", "k", 513),
        ("sae", "batch_tokens", 0),
        ("sae", "train_tokens", 511),
        ("sae", "other_seeds", 1),
        ("tracking", "tau", 1.0),
        ("tracking", "tau", float("nan")),
        ("tracking", "rule", "greedy"),
        ("tracking", "replicates", 0),
        ("tracking", "control_draws", 0),
    ],
)
def test_a_value_outside_its_range_is_refused_by_name(section, name, value):
    assert f"{section}.{name}" in refusal(**{section: {name: value}})


def test_k_may_equal_the_dictionary_and_zero_steps_are_a_control():
    smoke = load_profile(SMOKE)
    d_sae = smoke.sae.expansion * smoke.pretraining.d_mlp
    assert d_sae == 512
    assert load_profile(SMOKE, {"sae": {"k": d_sae}}).sae.k == d_sae
    assert load_profile(SMOKE, {"finetune": {"train_tokens": 0}}).finetune.train_tokens == 0


def test_precision_and_seed_are_checked_too():
    assert "float16" in refusal(precision="float16")
    assert "seed is -1" in refusal(seed=-1)
    assert "device is 'tpu'" in refusal(device="tpu")


def test_a_section_that_is_no_mapping_is_refused():
    assert refusal(merge=0.4).startswith("merge is 0.4; it must be a valid dictionary")


@pytest.mark.parametrize("content", [b"a: [1", b"- 1\n- 2\n", b"", b"\xff\xfe\x00", b"just words"])
def test_a_file_that_holds_no_profile_is_named(tmp_path, content):
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(FeatrackError, match="broken"):
        load_profile(path)


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


@pytest.mark.parametrize(
    "url", ["localhost", "ftp://x", "http://me:secret@x/v1", "http://x/v1?key=secret"]
)
def test_an_endpoint_is_a_web_address_without_secrets(url):
    sentence = refusal(interpretation={"base_url": url})
    assert "interpretation.base_url" in sentence and "secret" not in sentence


@pytest.mark.parametrize("name", ["a;touch x", "..", "../mine", "my run", ".hidden", "trials"])
def test_a_name_that_is_no_folder_of_runs_is_refused(name):
    with pytest.raises(FeatrackError, match="it names a folder of runs/"):
        load_profile(PROFILES / "smoke.yaml", {"name": name})
