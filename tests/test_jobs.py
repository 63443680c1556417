"""Dictionaries as jobs: which are wanted, what is made where, and what makes it anew."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from featrack_utils.corpora.prepare import Corpora
from featrack_utils.corpora.tokenizer import TokenStream
from featrack_utils.dictionaries import activations, features, jobs
from featrack_utils.dictionaries.jobs import Job
from featrack_utils.dictionaries.training import load_sae
from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import Lineage
from featrack_utils.models import controls, loading, training
from featrack_utils.models.retraining import retrain
from featrack_utils.pipeline import store

MODELS = {
    "root": {"train": ["prose", "code"]},
    "child": {"parent": "root", "train": ["verse"]},
    "grandchild": {"parent": "child", "train": ["prose"]},
}
DOMAINS = ("prose", "code", "verse")
RECIPE = dict(
    architecture="standard",
    expansion=2,
    l1_coefficient=1.0,
    k=4,
    learning_rate=1e-3,
    train_tokens=960,
    batch_tokens=96,
    precision="float32",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tokenizer, blocks) -> Path:
    """A run with corpora in name, a root and a child of which step 2 of 8 was kept."""
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
    store.write_lineage(run, Lineage(MODELS))

    def root(work):
        model = training.new_model(vocab_size=280, seed=1, **shape)
        training.train(model, blocks, work, tokenizer=tokenizer, **recipe)

    def child(work):
        model = loading.load_model(run / "models" / "root")
        training.train(model, blocks + 60, work, tokenizer=tokenizer, **recipe, snapshots=[2])

    for name, build in {"root": root, "child": child}.items():
        given = recipe | shape | {"domains": list(MODELS[name]["train"])}  # as the chapters record
        store.make(run / "models" / name, build, parameters=given)
    return run


@pytest.fixture
def run(trained, tmp_path) -> Path:
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def lineage() -> Lineage:
    return Lineage(MODELS)


@pytest.fixture
def corpora(tokenizer, blocks):
    """Blocks that say which domain they are of: the numbers in each begin elsewhere."""
    streams = {}
    for start, domain in enumerate(DOMAINS):
        tokens = (blocks + 20 * start).ravel()
        starts = np.array([0, len(tokens) // 2, len(tokens)])
        for split in ("train", "validation"):
            streams[domain, split] = TokenStream(tokens, starts, *[["one", "two"]] * 2)
    return Corpora(streams, tokenizer, blocks.shape[1])


def made(folder: Path) -> int:
    return (folder / "run.json").stat().st_mtime_ns


def weights_of(run: Path, name: str) -> np.ndarray:
    return load_sae(run / "saes" / name).W_dec.detach().numpy()


def test_a_model_has_a_dictionary_per_seed_that_reads_what_its_line_has_read(lineage):
    of_root, of_child = (jobs.of_model(lineage, model, (0, 2)) for model in ("root", "child"))
    assert [job.name for job in of_root] == ["root-0", "root-2"]
    assert of_root[1] == Job("root-2", "root", 2, ("prose", "code"))
    assert of_child[0].reads == ("prose", "code", "verse")
    with pytest.raises(FeatrackError, match="no model 'chidl'; the nearest is child"):
        jobs.of_model(lineage, "chidl", (0,))


def test_a_recipe_is_what_all_dictionaries_of_a_set_have_in_common():
    declared = RECIPE | {"run_dir": "runs/quick", "evaluation_blocks": 5, "seed": 3}
    assert jobs.recipe(declared) == RECIPE


def test_after_no_step_the_parents_weights_are_read_through_the_childs_text(lineage):
    job = jobs.of_zero_steps(lineage, "child")
    assert job == Job("child-at-0", "root", 1, ("prose", "code", "verse"))
    again = jobs.of_zero_steps(lineage, "child", again=True)
    assert again == job._replace(name="child-again-at-0", seed=0)


def test_a_control_has_a_dictionary_per_draw_that_reads_what_its_models_own_does(lineage):
    first, second = jobs.of_controls(lineage, "child", "mlp", 2)
    assert first == Job("child.mlp-0", "child.mlp-0", 0, DOMAINS, like="child-0")
    assert (second.name, second.seed, second.like) == ("child.mlp-1", 1, "child-0")
    with pytest.raises(FeatrackError, match="no model 'chidl'"):
        jobs.of_controls(lineage, "chidl", "mlp", 2)


def test_a_controls_dictionary_is_as_sparse_as_its_models_own(run, lineage, corpora):
    (job,) = jobs.of_controls(lineage, "child", "mlp", 1)
    with pytest.raises(FeatrackError, match=r"models/child\.mlp-0/ is missing"):
        jobs.train_and_measure(run, corpora, [job], RECIPE, 2)
    controls.make_control(run, "child", job.model, controls.Redraw("mlp", 0), job.seed)
    wanted = [*jobs.of_model(lineage, "child", (0,)), job]
    jobs.train_and_measure(run, corpora, wanted, RECIPE, 2)
    assert "child-0" in store.read_record(run / "saes" / job.name)["inputs"]
    jobs.train_and_measure(run, corpora, wanted, RECIPE | {"architecture": "topk"}, 2)
    recorded = store.read_record(run / "saes" / job.name)
    assert "child-0" not in recorded["inputs"]  # TopK's L0 is its k


def test_a_dictionary_is_trained_and_measured_once(run, lineage, corpora):
    wanted = jobs.of_model(lineage, "root", (0, 1))
    found = jobs.train_and_measure(run, corpora, wanted, RECIPE, 4)
    assert found == {f"root-{s}": run / "features" / f"root-{s}" for s in (0, 1)}
    opened = features.open_features(run, Lineage({"root": MODELS["root"]}), 2, 1)
    assert [f.acts.shape for f in opened.values()] == [(3 * 4 * 15, 48)] * 2
    assert (opened["root-0"].acts != opened["root-1"].acts).nnz > 0
    folders = [run / kind / "root-0" for kind in ("saes", "features")]
    before = [*map(made, folders)]
    jobs.train_and_measure(run, corpora, wanted, RECIPE, 4)
    assert [*map(made, folders)] == before
    jobs.train_and_measure(run, corpora, wanted, RECIPE, 5)  # more text: not trained anew
    assert made(folders[0]) == before[0] and made(folders[1]) > before[1]


def test_a_dictionary_is_the_same_alone_and_beside_others(run, trained, lineage, corpora, tmp_path):
    both = jobs.of_model(lineage, "root", (0, 1))
    jobs.train_and_measure(run, corpora, both, RECIPE, 2)
    alone = shutil.copytree(trained, tmp_path / "alone")
    jobs.train_and_measure(alone, corpora, both[1:], RECIPE, 2)
    for kind in ("saes", "features"):
        one, other = (store.read_record(r / kind / "root-1") for r in (run, alone))
        assert one["files"] == other["files"]


def test_jobs_with_the_same_weights_and_text_share_what_is_captured(
    run, lineage, corpora, monkeypatch
):
    captured = []
    plain = activations.plain_activations
    monkeypatch.setattr(
        activations, "plain_activations", lambda *g: captured.append(1) or plain(*g)
    )
    jobs.train_and_measure(run, corpora, jobs.of_model(lineage, "root", (0,)), RECIPE, 2)
    alone = len(captured)
    jobs.train_and_measure(run, corpora, jobs.of_model(lineage, "root", (1, 2, 3)), RECIPE, 2)
    assert alone > 0 and len(captured) == 2 * alone


def test_what_tells_the_weights_and_the_text_apart_is_recorded_and_trains_anew(run, corpora):
    job = Job("one", "root", 0, ("prose",))
    keys = set()
    for changed in (job, job._replace(model="child"), job._replace(model="child", step=2)):
        for given in (changed, changed._replace(reads=("verse",))):
            jobs.train_and_measure(run, corpora, [given], RECIPE, 2)
            record = store.read_record(run / "saes" / "one")
            recorded = record["parameters"]
            assert (recorded["model"], recorded["step"]) == (given.model, given.step)
            assert recorded["reads"] == list(given.reads)
            keys.add(record["key"])
    assert len(keys) == 6


def test_a_dictionary_may_start_from_another(run, lineage, corpora):
    (first,) = jobs.of_model(lineage, "root", (0,))
    second = Job("second", "root", 1, DOMAINS, start="root-0")
    still = RECIPE | {"learning_rate": 1e-12}
    jobs.train_and_measure(run, corpora, [first, second], still, 2)
    assert np.allclose(weights_of(run, "root-0"), weights_of(run, "second"), atol=1e-5)
    record = store.read_record(run / "saes" / "second")
    assert record["inputs"].keys() == {"corpora", "root", "root-0"}


def test_weights_are_the_snapshot_or_the_whole_model(run):
    found = [jobs.weights(run, "child", step) for step in (None, 2)]
    assert [str(p.relative_to(run / "models")) for p in found] == ["child", "child/snapshots/2"]


def test_a_retrained_root_differs_from_the_first_in_nothing_but_its_seed(run, corpora):
    folder = retrain(run, corpora, "root", "second", seed=2)
    first, second = (store.read_record(run / "models" / n) for n in ("root", "second"))
    assert second["parameters"] == first["parameters"] | {"seed": 2}
    one, two = (load_file(f / "model.safetensors") for f in (run / "models" / "root", folder))
    assert one.keys() == two.keys()
    assert not any(np.array_equal(one[n], two[n]) for n in one if "norm" not in n)


def test_a_retrained_child_starts_from_its_parent_and_reads_what_it_is_told(run, corpora):
    def moved(**changed) -> float:
        again = retrain(run, corpora, "child", "again", **changed)
        return loading.weight_distance(run / "models" / "root", again)

    usual = moved()
    assert moved(learning_rate=1e-9) < 1e-5 < usual
    assert moved(domains=["prose"]) != usual
    assert store.read_record(run / "models" / "again")["parameters"]["domains"] == ["prose"]


def test_a_distance_of_weights_is_relative_and_of_the_chosen_tensors(tmp_path):
    for name, tensors in {"one": ([3.0], [0.0, 4.0]), "other": ([3.0], [3.0, 8.0])}.items():
        (tmp_path / name).mkdir()
        arrays = dict(zip("ab", map(np.float32, tensors), strict=True))
        save_file(arrays, tmp_path / name / "model.safetensors")
    folders = tmp_path / "one", tmp_path / "other"
    assert loading.weight_distance(*folders) == 1.0  # 5 of 5
    assert loading.weight_distance(*folders, lambda name: name == "a") == 0.0
    assert loading.weight_distance(*folders, lambda name: name == "b") == 1.25


def test_what_is_missing_is_named(run, corpora):
    def train(**changed):
        wanted = Job("one", "root", 0, ("prose",))._replace(**changed)
        jobs.train_and_measure(run, corpora, [wanted], RECIPE, 2)

    with pytest.raises(FeatrackError, match="models/grandchild/ is missing"):
        train(model="grandchild")
    with pytest.raises(FeatrackError, match="no weights of step 4: run the finetune phase"):
        train(model="child", step=4)
    with pytest.raises(FeatrackError, match="saes/none/ is missing"):
        train(start="none")


# Sets of dictionaries trained otherwise


def test_a_variant_stands_beside_the_runs_own_dictionaries(run, lineage, corpora):
    wanted = jobs.of_model(lineage, "root", (0,))
    place = run / "sweep" / "expansion-1"
    jobs.train_and_measure(run, corpora, wanted, RECIPE | {"expansion": 1}, 2, place)
    assert features.open_named(place, ["root-0"])["root-0"].acts.shape[1] == 24
    assert not (run / "saes").exists()
    with pytest.raises(FeatrackError, match="sweep/wide/features/root-0"):
        features.open_named(run / "sweep" / "wide", ["root-0"])


def test_the_first_pair_alone_needs_the_first_five_of_those_that_all_pairs_need(lineage):
    few, all_pairs = ([j.name for j in jobs.of_sweep(lineage, a)] for a in (False, True))
    assert few == ["root-0", "root-1", "child-0", "child-1", "child.mlp-0"]
    assert all_pairs == [*few, "grandchild-0"]
    alone = jobs.of_sweep(Lineage({"root": MODELS["root"]}), all_pairs=True)
    assert [job.name for job in alone] == ["root-0", "root-1"]
