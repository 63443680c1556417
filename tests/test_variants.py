import json

import numpy as np
import pytest
import torch

from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.corpora.prepare import Corpora
from featrack_utils.corpora.tokenizer import TokenStream
from featrack_utils.dictionaries.quality import Sums
from featrack_utils.dictionaries.variants import label, learn, mean_quality, needed, opened
from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline import store

RECIPE = {
    "architecture": "standard",
    "expansion": 2,
    "l1_coefficient": 1.0,
    "k": 4,
    "learning_rate": 1e-3,
    "train_tokens": 960,
    "batch_tokens": 96,
    "precision": "float32",
}


@pytest.fixture
def run(tmp_path, model_folder):
    """A run with a base model, and corpora that are named but never read."""
    for name in ("corpora", "models/base"):
        store.make(tmp_path / name, lambda work: (work / "x").write_text(""), parameters={})
    for file in model_folder.iterdir():
        (tmp_path / "models/base" / file.name).symlink_to(file)
    return tmp_path


@pytest.fixture
def corpora(tokenizer, blocks):
    tokens = blocks.ravel()
    starts = np.array([0, len(tokens) // 2, len(tokens)])
    stream = TokenStream(tokens, starts, ["one", "two"])
    streams = {(d, split): stream for d in DOMAINS for split in ("train", "validation")}
    return Corpora(streams, tokenizer, blocks.shape[1])


def test_a_variant_is_trained_once_measured_and_opened_by_name(run, corpora):
    names = ("base-0", "base-1")
    learn(run, "expansion-2", names, corpora, RECIPE, 4)
    found = opened(run, "expansion-2", names)
    assert [f.acts.shape for f in found.values()] == [(4 * 4 * 15, 48)] * 2
    assert (found["base-0"].acts != found["base-1"].acts).nnz > 0
    record = run / "sweep/expansion-2/saes/base-1/run.json"
    before = record.read_text()
    assert json.loads(before)["parameters"]["seed"] == 1
    learn(run, "expansion-2", names, corpora, RECIPE, 4)
    assert record.read_text() == before


def test_a_variant_may_bring_its_own_training(run, corpora):
    from featrack_utils.dictionaries.training import train_sae

    def narrower(bridge, blocks, folder, **recipe):
        train_sae(bridge, blocks, folder, **recipe | {"expansion": 1})

    learn(run, "narrow", ("base-0",), corpora, RECIPE, 2, trainer=narrower)
    assert opened(run, "narrow", ("base-0",))["base-0"].acts.shape[1] == 24


def test_a_missing_dictionary_is_named(run):
    with pytest.raises(FeatrackError, match="sweep/wide/features/base-0"):
        opened(run, "wide", ("base-0",))


def test_quality_is_the_mean_over_dictionaries(tmp_path):
    for name, active in (("a", 2.0), ("b", 4.0)):
        sums = Sums.empty(len(DOMAINS), 1, 2)
        sums.count[0], sums.squares[0], sums.residual[0] = 10, 8, active
        sums.active[0] = torch.tensor([10 * active, 0])
        (tmp_path / "features" / name).mkdir(parents=True)
        sums.save(tmp_path / "features" / name / "sums.safetensors")
    # L0 2 and 4; of the squares 8 a residual of 2 and of 4.
    assert mean_quality(tmp_path, ("a", "b")) == {"l0": 3.0, "variance_explained": 0.625}


def test_a_label_is_the_name_in_words():
    assert label("architecture-topk-k-32") == "TopK k 32"
    assert label("l1_coefficient-4") == "L1 coefficient 4"


def test_base_to_lua_alone_needs_the_first_four_of_the_six_that_all_pairs_need():
    assert needed(True)[:4] == needed(False)
    assert set(needed(False)) == {"base-0", "base-1", "lua-0", "lua-1"}
    assert len(set(needed(True))) == 6
