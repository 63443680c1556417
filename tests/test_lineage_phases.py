"""The chapters that make models, run on lineages other than the paper's, with tiny models."""

import json
import runpy
from pathlib import Path

import jupytext
import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.stats import pearsonr

from featrack_utils.corpora import prepare
from featrack_utils.corpora.documents import Document
from featrack_utils.corpora.tokenizer import encode_documents
from featrack_utils.lineage import Lineage
from featrack_utils.pipeline import store

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
CONTEXT = 16
TRAINING = {"learning_rate": 1e-2, "batch_blocks": 4, "weight_decay": 0.0, "warmup_share": 0.0}
GIVEN = {"seed": 1, "precision": "float32", "context": CONTEXT}
BASE = {**GIVEN, **TRAINING, "train_tokens": 1280}
BASE |= {"d_model": 16, "d_mlp": 24, "n_heads": 2, "n_kv_heads": 1}
FINETUNE = {**GIVEN, **TRAINING, "train_tokens": 1280, "doses": [0.5], "dosed": ["c"]}
MERGE = {"seed": 1, "context": CONTEXT, "sweep_points": 3, "sweep_blocks": 4, "draws": 20}


def texts(letter: str) -> list[Document]:
    """Documents of one letter, which stands for the language of a domain."""
    words = [letter * n + "." for n in range(1, 9)]
    rng = np.random.default_rng(ord(letter))
    return [
        Document(" ".join(rng.choice(words, size=60)), f"{letter}{number}", f"{letter}{number}")
        for number in range(8)
    ]


@pytest.fixture
def make_run(tmp_path, tokenizer, monkeypatch):
    """Makes a run of a lineage whose domains are single letters, and a way to run its chapters."""
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "tiny"
    monkeypatch.setenv(store.PIPELINE_RUN, str(run))

    def make(models):
        lineage = Lineage(models)
        store.write_lineage(run, lineage)
        streams = {
            (domain, split): encode_documents(texts(domain), tokenizer)
            for domain in lineage.domains
            for split in ("train", "validation")
        }
        opened = prepare.Corpora(streams, tokenizer, CONTEXT)
        monkeypatch.setattr(prepare, "open_corpora", lambda folder, context: opened)
        store.make(run / "corpora", lambda work: (work / "x").touch(), parameters={})
        return run

    return make


def chapter(name: str, run: Path, given: dict) -> dict:
    """Runs a notebook's code with other parameters; returns what it leaves defined."""
    code = []
    for cell in jupytext.read(next(NOTEBOOKS.glob(f"*{name}.py"))).cells:
        if cell.cell_type == "code":
            is_parameters = "parameters" in cell.metadata.get("tags", [])
            values = {"run_dir": str(run), **given}
            lines = [f"{key} = {value!r}" for key, value in values.items()]
            code.append("\n".join(lines) if is_parameters else cell.source)
    script = run / f"{name}.py"
    script.write_text("\n".join(code))
    return runpy.run_path(str(script))


def weights(run: Path, model: str) -> dict[str, np.ndarray]:
    return load_file(run / "models" / model / "model.safetensors")


def distance(run: Path, one: str, other: str) -> float:
    a, b = weights(run, one), weights(run, other)
    return float(np.sqrt(sum(((a[name] - b[name]) ** 2).sum() for name in a)))


def test_a_number_as_t_is_kept_and_several_merges_have_names_of_their_own(make_run):
    run = make_run(
        {
            "a": {"train": ["p"]},
            "x": {"parent": "a", "train": ["x"]},
            "y": {"parent": "a", "train": ["y"]},
            "near-x": {"merge": ["x", "y"], "t": 0.25},
            "both": {"merge": ["near-x", "y"], "method": "linear"},
        }
    )
    chapter("base", run, BASE)
    chapter("finetune", run, FINETUNE)
    chapter("merge", run, MERGE)
    assert store.read_results(run, "merge")["merge.near-x.t"] == 0.25
    assert distance(run, "near-x", "x") < distance(run, "near-x", "y")
    record = json.loads((run / "models" / "both" / "run.json").read_text())
    assert record["parameters"]["weights"] == [0.5, 0.5]


def test_a_fine_tune_of_no_step_keeps_every_neuron_and_its_control_none(make_run):
    run = make_run({"a": {"train": ["p"]}, "x": {"parent": "a", "train": ["x"]}})
    chapter("base", run, BASE)
    chapter("finetune", run, FINETUNE | {"train_tokens": 0, "dosed": []})
    given = {"seed": 1, "context": CONTEXT, "evaluation_blocks": 20, "replicates": 20}
    made = chapter("neurons", run, given | {"tau": 0.8})
    results = store.read_results(run, "neurons")
    for figure in ("share", "median_r", "same_best_share"):
        for end in ("", ".ci_low", ".ci_high"):
            assert results[f"neurons.a_x.{figure}{end}"] == pytest.approx(1, abs=1e-6)
    # Two neurons have one of 24 indices in common by chance, and no reason for the same sign.
    assert results["neurons.a_x.same_best_share.floor"] <= 0.25
    assert abs(results["neurons.a_x.median_r.floor"]) < 0.5
    a, control = (made["neurons"][name].astype(np.float64) for name in ("a", "x.mlp"))
    by_scipy = [pearsonr(a[:, i], control[:, i]).statistic for i in range(24)]
    np.testing.assert_allclose(made["r"]["a", "x.mlp"], by_scipy, atol=1e-5)
