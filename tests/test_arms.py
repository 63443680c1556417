"""Arms of the controls: which there are, from which weights they learn, how far these moved."""

import re
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from featrack_utils.pipeline.profiles import load_profile
from safetensors.numpy import save_file
from safetensors.torch import load_file

from featrack_utils.corpora.tokenizer import Blocks
from featrack_utils.dictionaries import arms, armtraining, features
from featrack_utils.dictionaries import training as sae
from featrack_utils.errors import FeatrackError
from featrack_utils.models import training
from featrack_utils.pipeline import store
from featrack_utils.pipeline.doses import dose_steps, percent

NO_ARMS = {"doses": [], "dosed": [], "warm_start": False, "lm_seed": False}
RECIPE = dict(
    architecture="standard",
    expansion=4,
    l1_coefficient=0.5,
    k=5,
    learning_rate=5e-3,
    train_tokens=40 * 64,
    batch_tokens=64,
    precision="float32",
)


# Doses


def test_doses_fall_on_the_nearest_step_and_never_before_the_first():
    assert dose_steps([0.001, 0.03, 0.1, 0.5], 195) == {"0.1": 1, "3": 6, "10": 20, "50": 98}
    assert dose_steps([], 195) == {}
    assert percent(0.07) == "7"


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
        ({"arms": {"doses": 0.1}}, "arms.doses is 0.1; it must be a list"),
        ({"arms": {"doses": ["much"]}}, "arms.doses is 'much'; it must be a number"),
        ({"arms": {"doses": [0.01, 0.02]}}, "both step 1 of a fine-tune of 39"),
        (
            {"finetune": {"train_tokens": 3 * 1024}},
            "0.3 and 0.1 are both step 1 of a fine-tune of 3",
        ),
        ({"arms": {"dosed": ["luau"]}}, "arms.dosed is 'luau'; choose one of lua, stories"),
        ({"arms": {"dosed": ["base"]}}, "arms.dosed is 'base'"),
        ({"arms": {"dosed": []}}, "arms.dosed is []; name lua, stories or both"),
        ({"arms": {"dosed": ["lua", "lua"]}}, "each once"),
        ({"arms": {"warm_start": 1}}, "arms.warm_start is 1; it must be of type bool"),
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


# Which there are


@pytest.fixture(scope="module")
def run(tmp_path_factory, tokenizer, blocks) -> Path:
    """A run with corpora in name, a base and a Lua model of which step 2 of 8 was kept."""
    run = tmp_path_factory.mktemp("runs") / "run"
    recipe = {
        "train_tokens": 8 * 8 * 16,
        "batch_blocks": 8,
        "learning_rate": 1e-2,
        "weight_decay": 0.0,
        "warmup_share": 0.0,
        "precision": "float32",
        "seed": 1,
    }
    shape = {"d_model": 16, "d_mlp": 24, "n_heads": 2, "n_kv_heads": 1, "context": 16}
    store.make(run / "corpora", lambda work: (work / "words.csv").touch(), parameters={})

    def base(work):
        model = training.new_model(vocab_size=280, seed=1, **shape)
        training.train(model, blocks, work, tokenizer=tokenizer, **recipe)

    def lua(work):
        model = training.load_model(run / "models" / "base")
        training.train(model, blocks + 60, work, tokenizer=tokenizer, **recipe, snapshots=[2])

    for name, build in {"base": base, "lua": lua}.items():
        store.make(run / "models" / name, build, parameters=recipe | shape)
    return run


def test_a_profiles_arms_are_the_doses_in_order_and_then_the_others(run):
    wanted = {"doses": [0.1, 0.3], "dosed": ["lua"], "warm_start": True, "lm_seed": True}
    planned = arms.planned(run, **wanted)
    assert [arm.name for arm in planned] == [
        "lua-at-0",
        "lua-at-10",
        "lua-at-30",
        "base-warm",
        "lua-warm",
        "second",
    ]
    assert [arm.step for arm in planned] == [None, 1, 2, None, None, None]
    assert [arm.model for arm in planned] == ["base", "lua", "lua", "base", "lua", "second"]
    assert [arm.mixture for arm in planned] == ["lua"] * 5 + ["base"]
    assert arms.doses_of(planned, "lua") == {
        "0": "lua-at-0",
        "10": "lua-at-10",
        "30": "lua-at-30",
        "100": "lua-1",
    }
    assert arms.doses_of(planned, "stories") == {"100": "stories-1"}
    assert arms.planned(run, **NO_ARMS) == []


def test_an_arms_weights_are_the_snapshot_or_the_whole_model(run):
    wanted = NO_ARMS | {"doses": [0.25], "dosed": ["lua"]}
    path = armtraining.along(run, arms.planned(run, **wanted), "lua")
    assert list(path) == ["0", "25", "100"]
    assert [str(p.relative_to(run / "models")) for p in path.values()] == [
        "base",
        "lua/snapshots/2",
        "lua",
    ]


def test_a_step_that_was_not_kept_and_a_model_that_is_not_there_are_named(run):
    (_, unkept) = arms.planned(run, **NO_ARMS | {"doses": [0.5], "dosed": ["lua"]})
    with pytest.raises(FeatrackError, match=r"no weights of step 4: run the finetune phase"):
        armtraining.weights(run, unkept)
    with pytest.raises(FeatrackError, match=r"models/stories/ is missing"):
        arms.planned(run, **NO_ARMS | {"doses": [0.5], "dosed": ["stories"]})


# How far the weights moved


def saved(folder: Path, **tensors: list[float]) -> Path:
    folder.mkdir()
    arrays = {name.replace("__", "."): np.array(t, np.float32) for name, t in tensors.items()}
    save_file(arrays, folder / "model.safetensors")
    return folder


def test_a_distance_is_relative_to_the_base_in_all_and_in_each_part(tmp_path):
    one = saved(tmp_path / "a", model__mlp__up=[3, 4], lm_head__weight=[0, 12], model__norm=[2, 0])
    two = saved(tmp_path / "b", model__mlp__up=[3, 9], lm_head__weight=[0, 12], model__norm=[2, 0])
    moved = armtraining.weight_distance(one, two)
    assert moved["MLP"] == 1 and moved["unembedding"] == 0
    assert moved["weight_distance"] == pytest.approx(5 / 173**0.5)
    assert moved["norms"] == 0


def test_a_distance_to_itself_is_zero_and_grows_along_a_fine_tune(run):
    lua = run / "models" / "lua"
    base = run / "models" / "base"
    way = [base, lua / "snapshots" / "2", lua]
    steps = [armtraining.weight_distance(base, folder)["weight_distance"] for folder in way]
    assert steps[0] == 0 < steps[1] < steps[2]


# Training


class FakeCorpora(NamedTuple):
    """As much of `Corpora` as an arm needs: blocks that say which domain they are of."""

    numbers: np.ndarray
    tokenizer: object
    context: int = 16

    def train_blocks(self, domain: str) -> np.ndarray:
        return self.numbers + {"english": 0, "python": 5, "lua": 60, "stories": 9}[domain]

    def validation_blocks(self, domain: str, n_blocks: int) -> Blocks:
        origin = np.repeat(np.arange(n_blocks, dtype=np.int32)[:, None], 16, 1)
        return Blocks(self.train_blocks(domain)[:n_blocks], origin)


@pytest.fixture
def corpora(blocks, tokenizer) -> FakeCorpora:
    return FakeCorpora(blocks, tokenizer)


@pytest.fixture
def own_run(run, tmp_path) -> Path:
    return shutil.copytree(run, tmp_path / "run")


def test_arms_are_trained_once_each_and_their_features_kept(own_run, corpora):
    planned = arms.planned(own_run, **NO_ARMS | {"doses": [0.25], "dosed": ["lua"]})
    found = {}
    for arm in planned:
        folder = armtraining.train_arm(own_run, arm, corpora, RECIPE, 6)
        found[arm.name] = features.load_features(folder / "features.safetensors")
        written = (folder / "run.json").stat().st_mtime_ns
        assert armtraining.train_arm(own_run, arm, corpora, RECIPE, 6) == folder
        assert (folder / "run.json").stat().st_mtime_ns == written
    assert [f.acts.shape for f in found.values()] == [(4 * 6 * 15, 96)] * 2
    assert (found["lua-at-0"].acts != found["lua-at-25"].acts).nnz > 0


def test_a_warm_arm_starts_from_the_parents_dictionary(own_run, corpora):
    cold = arms.Arm(arms.PARENT, "base", None, "base", None)
    armtraining.train_arm(own_run, cold, corpora, RECIPE, 6)
    (unchanged, _) = arms.planned(own_run, **NO_ARMS | {"warm_start": True})
    still = RECIPE | {"learning_rate": 1e-12}
    armtraining.train_arm(own_run, unchanged, corpora, still, 6)
    parent, child = (
        sae.load_sae(own_run / "saes" / name).W_dec for name in (arms.PARENT, unchanged.name)
    )
    assert np.allclose(parent.detach(), child.detach(), atol=1e-5)


def test_a_warm_arm_without_its_parent_is_refused(own_run, corpora):
    (unchanged, _) = arms.planned(own_run, **NO_ARMS | {"warm_start": True})
    with pytest.raises(FeatrackError, match=r"saes/base-0/ is missing"):
        armtraining.train_arm(own_run, unchanged, corpora, RECIPE, 6)


def test_the_second_base_differs_from_the_first_in_nothing_but_its_seed(own_run, corpora):
    folder = armtraining.train_second_base(own_run, corpora)
    first, second = (store.read_record(own_run / "models" / n) for n in ("base", arms.SECOND))
    assert second["parameters"] == first["parameters"] | {"seed": 2}
    one, two = (load_file(f / "model.safetensors") for f in (own_run / "models" / "base", folder))
    assert one.keys() == two.keys()
    assert not any(np.array_equal(one[n], two[n]) for n in one if "norm" not in n)


def test_half_way_is_the_first_dose_that_has_half_of_the_gain():
    assert arms.half_way({"0": 5.0, "10": 4.1, "30": 3.8, "100": 3.0}) == ("30", pytest.approx(0.6))
    assert arms.half_way({"0": 5.0, "100": 3.0}) == ("100", 1.0)
    assert arms.half_way({"0": 3.0, "10": 2.0, "100": 3.0}) is None


def test_arms_have_names_in_words():
    made = [
        arms.Arm("stories-at-3", "stories", 6, "stories", None),
        arms.Arm("lua-at-0", "base", None, "lua", None),
        arms.Arm("base-warm", "base", None, "lua", arms.PARENT),
        arms.Arm(arms.SECOND, arms.SECOND, None, "base", None),
    ]
    assert [arms.label(arm) for arm in made] == [
        "Stories, 3 % of the steps",
        "Lua, 0 % of the steps",
        "Base, warm start",
        "Second base",
    ]
