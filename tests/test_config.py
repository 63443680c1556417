"""A profile is read whole, or refused in a sentence that names what to mend."""

from pathlib import Path

import pytest
import yaml

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline.profiles import load_profile

PROFILES = Path(__file__).parent.parent / "profiles"
SMOKE = PROFILES / "smoke.yaml"


def refusal(**overrides) -> str:
    with pytest.raises(FeatrackError) as caught:
        load_profile(SMOKE, overrides)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence
    return sentence


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_profile_loads_under_its_own_name(path):
    assert load_profile(path).name == path.stem


def test_an_unknown_profile_is_answered_with_the_known_ones():
    with pytest.raises(FeatrackError, match=r"No profile 'quik' .* quick, .*smoke"):
        load_profile(PROFILES / "quik.yaml")


@pytest.mark.parametrize(
    ("overrides", "unknown", "nearest"),
    [
        ({"sead": 1}, "sead", "seed"),
        ({"mergee": {"t": 0.4}}, "mergee", "merge"),
        ({"merge": {"sweep": 9}}, "merge.sweep", "merge.sweep_"),
        ({"sae": {"l1": 2.0}}, "sae.l1", "sae.l1_coefficient"),
        ({"sae": {"expantion": 4}}, "sae.expantion", "sae.expansion"),
        (
            {"corpora": {"sources_of": {"lua": {"glob": ["*.lua"]}}}},
            "corpora.sources_of.lua.glob",
            "corpora.sources_of.lua.globs",
        ),
        ({7: 7}, "7", ""),
    ],
)
def test_an_unknown_key_at_any_depth_is_answered_with_the_nearest(overrides, unknown, nearest):
    with pytest.raises(FeatrackError) as caught:
        load_profile(SMOKE, overrides)
    start = f"Unknown parameter {unknown}; the nearest known one is {nearest}"
    assert str(caught.value).startswith(start)


def test_an_unknown_domain_is_named():
    assert "luau" in refusal(corpora={"train_tokens": {"luau": 1}})


@pytest.mark.parametrize("key", ["seed", "base.d_mlp", "corpora.train_tokens.lua", "merge"])
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


def test_overrides_are_laid_over_the_file_without_wiping_their_neighbours():
    plain = load_profile(SMOKE)
    changed = load_profile(
        SMOKE, {"merge": {"t": 0.25}, "corpora": {"train_tokens": {"lua": 7_000}}}
    )
    assert changed.merge.t == 0.25
    assert changed.merge.sweep_points == plain.merge.sweep_points
    assert changed.corpora.train_tokens == plain.corpora.train_tokens | {"lua": 7_000}
    assert changed.base == plain.base


def test_numbers_that_snakemake_hands_over_as_text_are_numbers():
    profile = load_profile(
        SMOKE,
        {
            "sae": {"other_seeds": "3", "l1_coefficient": "2.5"},
            "merge": {"t": "null"},
            "corpora": {
                "train_tokens": {"lua": "7_000"},
                "sources_of": {"lua": {"kind": "files", "globs": ["*.lua"], "column": "*"}},
            },
        },
    )
    assert (profile.sae.other_seeds, profile.sae.l1_coefficient) == (3, 2.5)
    assert profile.merge.t is None
    assert profile.corpora.train_tokens["lua"] == 7_000
    assert profile.corpora.sources_of["lua"]["globs"] == ["*.lua"]
    assert profile.corpora.sources_of["lua"]["column"] == "*"


def test_a_rate_that_yaml_reads_as_text_is_taken_as_the_number_it_looks_like():
    assert yaml.safe_load("6e-4") == "6e-4"
    assert load_profile(SMOKE, {"base": {"learning_rate": "6e-4"}}).base.learning_rate == 0.0006


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("base", "d_model", True),
        ("base", "d_model", "true"),
        ("base", "d_model", 32.0),
        ("base", "d_model", "32.5"),
        ("base", "learning_rate", "fast"),
        ("base", "learning_rate", False),
        ("base", "learning_rate", None),
        ("sae", "architecture", 3),
        ("merge", "t", [0.5]),
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
        ("corpora", "sources_of", {"lua": {"kind": "embeded"}}),
        ("corpora", "sources_of", {"lua": "embedded"}),
        ("corpora", "sources_of", {"lua": {"kind": "files", "globs": "*.lua"}}),
        ("base", "n_heads", 0),
        ("base", "n_heads", 5),
        ("base", "n_heads", 32),
        ("base", "n_kv_heads", 3),
        ("base", "learning_rate", float("inf")),
        ("base", "weight_decay", -0.1),
        ("finetune", "batch_blocks", 0),
        ("finetune", "train_tokens", -1),
        ("finetune", "warmup_share", 1.0),
        ("merge", "t", -0.01),
        ("merge", "t", 1.01),
        ("merge", "t", float("nan")),
        ("merge", "t", "nan"),
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
    ],
)
def test_a_value_outside_its_range_is_refused_by_name(section, name, value):
    assert f"{section}.{name}" in refusal(**{section: {name: value}})


def test_k_may_equal_the_dictionary_and_zero_steps_are_a_control():
    smoke = load_profile(SMOKE)
    d_sae = smoke.sae.expansion * smoke.base.d_mlp
    assert d_sae == 512
    assert load_profile(SMOKE, {"sae": {"k": d_sae}}).sae.k == d_sae
    assert load_profile(SMOKE, {"finetune": {"train_tokens": 0}}).finetune.train_tokens == 0


def test_precision_and_seed_are_checked_too():
    assert "float16" in refusal(precision="float16")
    assert "seed is -1" in refusal(seed=-1)


def test_a_section_that_is_no_mapping_is_refused():
    assert refusal(merge=0.4) == "merge must be a mapping of parameters."


@pytest.mark.parametrize("content", [b"a: [1", b"- 1\n- 2\n", b"", b"\xff\xfe\x00", b"just words"])
def test_a_file_that_holds_no_profile_is_named(tmp_path, content):
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(FeatrackError, match="broken"):
        load_profile(path)


def test_the_number_of_seeds_is_the_bases_own():
    sae = load_profile(PROFILES / "quick.yaml").sae
    assert [len(sae.seeds(model)) for model in ("base", "lua", "merged")] == [3, 2, 2]


@pytest.mark.parametrize("name", ["a;touch x", "..", "../mine", "my run", ".hidden", "trials"])
def test_a_name_that_is_no_folder_of_runs_is_refused(name):
    with pytest.raises(FeatrackError, match="it names a folder of runs/"):
        load_profile(PROFILES / "smoke.yaml", {"name": name})
