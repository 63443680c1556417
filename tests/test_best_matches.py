"""The artefact of best matches: what is in it is what matching afresh gives."""

import shutil
import subprocess

import numpy as np
import pytest
from scipy import sparse

from featrack_utils.dictionaries.features import Features, save_features
from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import Lineage
from featrack_utils.matching.best_matches import match_run, open_matches, sum_block
from featrack_utils.matching.classes import classify, eligible
from featrack_utils.matching.correlation import copies, correlations
from featrack_utils.pipeline import forkserver, store

LINEAGE = Lineage(
    {
        "root": {"train": ["english"]},
        "chat": {"parent": "root", "train": ["chat"]},
        "code": {"parent": "root", "train": ["code"]},
    }
)
CRITERIA = {"min_positions": 5, "min_documents": 2, "tau": 0.6}


def dictionary(seed):
    """A feature of noise for each of 12 columns; features 0 and 1 are the same in all."""
    rng = np.random.default_rng(seed)
    acts = rng.exponential(size=(400, 12)) * (rng.random((400, 12)) < 0.1)
    shared = np.random.default_rng(0).exponential(size=400) * (np.arange(400) % 7 == 0)
    acts[:, 0], acts[:, 1] = shared, 2 * shared
    acts[:, 11] = 0
    tokens = np.arange(400, dtype=np.int32)
    return Features(sparse.csr_matrix(acts.astype(np.float32)), tokens // 20, tokens // 200, tokens)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    for number, name in enumerate(["root-0", "root-1", "chat-0", "code-0"]):

        def write(work, seed=number):
            save_features(dictionary(seed), work / "features.safetensors")

        store.make(run / "features" / name, write, parameters={"seed": number})
    match_run(run, LINEAGE, 2, 1, **CRITERIA)
    return run


def same(one, other):
    for x, y in zip(one, other, strict=True):
        if isinstance(x, tuple):
            same(x, y)
        else:
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    "a, b, seed_a, seed_b",
    [
        ("root-1", "chat-0", 1, 2),
        ("root-0", "root-1", 0, 1),
        ("chat-0", "code-0", 2, 3),
    ],
    ids=["parent and child", "two seeds", "models without an edge"],
)
def test_a_pair_reads_as_it_is_matched_afresh(run, a, b, seed_a, seed_b):
    matches = open_matches(run)
    one, other = dictionary(seed_a), dictionary(seed_b)
    able = [eligible(side.acts, side.origin, 5, 2) for side in (one, other)]
    fresh = correlations(one.acts, other.acts, eligible_a=able[0], eligible_b=able[1])
    same(matches.best[a, b], fresh)
    back = correlations(other.acts, one.acts, eligible_a=able[1], eligible_b=able[0])
    np.testing.assert_allclose(matches.best[b, a].a_best_r, back.a_best_r, atol=1e-12)
    same(matches.tracking(a, b), classify(fresh, 0.6))
    same(matches.tracking(a, b, 0.9, "mutual"), classify(fresh, 0.9, "mutual"))


def test_what_belongs_to_one_dictionary_is_there_too(run):
    matches = open_matches(run)
    assert matches.names == {
        "root": ("root-0", "root-1"),
        "chat": ("chat-0",),
        "code": ("code-0",),
    }
    features = dictionary(2)
    able = eligible(features.acts, features.origin, 5, 2)
    same(matches.copies["chat-0"], copies(features.acts, 0.6, eligible=able))
    np.testing.assert_array_equal(matches.eligible["chat-0"], able)
    assert matches.positions["chat-0"][11] == 0
    assert matches.copies["chat-0"].group[0] == matches.copies["chat-0"].group[1]


def test_it_is_made_once_and_anew_for_other_criteria(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    made = (copy / "matching" / "run.json").stat().st_ino
    match_run(copy, LINEAGE, 2, 1, **CRITERIA)
    assert (copy / "matching" / "run.json").stat().st_ino == made
    match_run(copy, LINEAGE, 2, 1, **CRITERIA | {"tau": 0.9})
    assert (copy / "matching" / "run.json").stat().st_ino != made
    assert open_matches(copy).tau == 0.9


def test_a_pair_that_nobody_compares_is_refused_by_name(run):
    matches = open_matches(run)
    assert ("root-0", "chat-0") in matches.best
    assert ("chat-0", "root-0") in matches.best
    assert ("chat-0", "chat-1") not in matches.best
    with pytest.raises(FeatrackError, match="chat-0 and chat-1 were not matched"):
        matches.best["chat-0", "chat-1"]
    with pytest.raises(FeatrackError, match="missing"):
        open_matches(run / "nothing")


def test_blocks_summed_by_two_processes_give_what_one_process_gives_digit_for_digit(run, tmp_path):
    alone, shared = (shutil.copytree(run, tmp_path / name) for name in ("alone", "shared"))
    module = "featrack_utils.matching.best_matches"
    command = [*forkserver.PYTHON, "-m", module, shared, "root-0", "chat-0"]
    at_once = [subprocess.Popen([*map(str, [*command, block, 150])]) for block in (0, 1)]
    assert [process.wait() for process in at_once] == [0, 0]
    made = [path / "run.json" for path in sorted((shared / "sums").iterdir())]
    before = [path.stat().st_mtime_ns for path in made]
    for place in (alone, shared):
        match_run(place, LINEAGE, 2, 1, **CRITERIA, block_positions=150)
    assert [path.stat().st_mtime_ns for path in made] == before  # taken as they are
    for path in (alone / "matching").glob("*_*.safetensors"):
        assert path.read_bytes() == (shared / "matching" / path.name).read_bytes()
    once, blocks = (open_matches(place).best["root-0", "chat-0"] for place in (run, shared))
    np.testing.assert_allclose(blocks.a_best_r, once.a_best_r, atol=1e-12)


def test_a_block_beyond_the_last_position_adds_nothing(run):
    assert sum_block(run, "root-0", "chat-0", 9, 150).is_dir()
