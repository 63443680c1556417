"""Survival along the path of a merge: correlations, death points, and the random way beside it."""

import numpy as np
import pytest
import torch
from sae_lens import SAE
from scipy import sparse

from featrack_utils.matching.correlation import members
from featrack_utils.statistics.bootstrap import Draws
from featrack_utils.statistics.intervals import interval
from featrack_utils.statistics.probes import Probe
from tests.chapters import Chapter

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def chapter():
    return Chapter("along", tau=0.8)


def test_a_curve_falls_half_way_where_a_straight_line_has_it(chapter):
    assert chapter.half_way([0, 0.5, 1], [1, 0.75, 0.25]) == pytest.approx(0.75)
    assert chapter.half_way([0, 0.2, 0.4], [1, 0.9, 0.5], 0.8) == pytest.approx(0.25)
    # The first fall counts, and not a later one.
    assert chapter.half_way([0, 1, 2, 3], [1, 0, 1, 0]) == pytest.approx(0.5)


def test_a_curve_that_never_falls_says_so_and_one_that_begins_low_falls_at_once(chapter):
    assert chapter.half_way([0, 1], [1, 0.6]) == 1.0
    assert chapter.half_way([0, 1], [1, 0.9], 0.8, np.inf) == np.inf
    assert chapter.half_way([0.1, 1], [0.3, 0.9]) == 0.1


def test_r_is_numpys_on_all_documents_and_in_every_draw(chapter):
    x, y = (np.maximum(RNG.normal(size=(300, 4)) - 0.5, 0) for _ in range(2))
    y[:, 1] = 2 * x[:, 1]  # the same feature, twice as strong
    y[:, 2] = 0  # dead there
    origin = np.repeat(np.arange(30), 10)
    times = RNG.multinomial(30, [1 / 30] * 30, 5).astype(float)
    r, drawn = chapter.correlate(
        sparse.csr_matrix(x), sparse.csr_matrix(y), members(origin, 30), times
    )
    assert r[1] == pytest.approx(1) and r[2] == 0
    assert r[0] == pytest.approx(np.corrcoef(x[:, 0], y[:, 0])[0, 1])
    for k in range(5):
        rows = np.repeat(np.arange(300), times[k].astype(int)[origin])
        assert drawn[3, k] == pytest.approx(np.corrcoef(x[rows, 3], y[rows, 3])[0, 1])


def test_a_random_way_is_as_long_in_every_tensor_and_leaves_alone_what_did_not_move(chapter):
    torch.manual_seed(0)
    start = {name: torch.randn(8, 5) for name in ("a", "b", "c")}
    end = {"a": start["a"] + 1, "b": start["b"] + 3 * torch.randn(8, 5), "c": start["c"].clone()}
    moved = chapter.as_far_at_random(start, end, 7)
    for name in start:
        ways = [float((other[name] - start[name]).norm()) for other in (moved, end)]
        assert ways[0] == pytest.approx(ways[1], rel=1e-5)
    cosine = torch.cosine_similarity(
        (moved["b"] - start["b"]).flatten(), (end["b"] - start["b"]).flatten(), dim=0
    )
    assert abs(cosine) < 0.5
    again, other = (chapter.as_far_at_random(start, end, seed) for seed in (7, 8))
    assert torch.equal(moved["b"], again["b"]) and not torch.equal(moved["b"], other["b"])


def test_some_of_a_dictionarys_features_are_read_as_the_dictionary_reads_them_all(chapter):
    torch.manual_seed(0)
    sae = SAE.from_dict(
        {"architecture": "standard", "d_in": 6, "d_sae": 12, "dtype": "float32", "device": "cpu"}
    )
    for parameter in sae.parameters():
        parameter.data.normal_()
    x, which = torch.randn(20, 6), np.array([3, 7, 8])
    torch.testing.assert_close(chapter.encode(sae, x, which), sae.encode(x)[:, which])


DRAWS = Draws(
    np.ones((40, 1)), {"p": np.ones((40, 1))}, {"p": np.random.default_rng(3).standard_normal(40)}
)


def test_the_living_are_those_whose_r_exceeds_tau_in_their_class_alone():
    r = np.array([0.95, 0.9, 0.1, 0.2, 0.99])
    kinds = {"own": np.array([True, True, True, True, False]), "none": np.zeros(5, bool)}
    names, class_of = {"p": ("p-0",)}, {("m", "p-0"): kinds}
    chapter = Chapter("along", tau=0.8, names=names, class_of=class_of, draws=DRAWS)
    read = {"p-0": (r, np.tile(r[:, None], (1, 40)))}
    share = interval(chapter.living("m", "p", "own", read), 0.8)
    assert share.estimate == 0.5 and share.low < 0.5 < share.high
    assert chapter.living("m", "p", "none", read) is None
    # Draws that lean to one side widen the interval and don't move the count.
    lean = {"p-0": (r, np.full((5, 40), 0.1))}
    assert interval(chapter.living("m", "p", "own", lean), 0.8).estimate == 0.5


def test_what_a_probe_explains_better_than_a_match_would_is_decodable():
    chapter = Chapter("along", tau=0.8, draws=DRAWS)
    r2 = np.array([0.65, 0.63, 0.9, -2.0])
    told = Probe(r2, np.tile(r2, (40, 1)))
    everyone = np.ones(4, bool)
    assert interval(chapter.decodable(told, everyone, "p"), 0.8).estimate == 0.5
    assert chapter.decodable(told, ~everyone, "p") is None


def test_death_points_are_distances_from_the_features_own_parent():
    ts = np.array([0.0, 0.5, 1.0])
    lines = {"a-0": [[1, 0.6, 0.2], [1, 0.9, 0.9]], "b-0": [[0.2, 0.6, 1], [0.9, 0.9, 1]]}
    walked = {
        ("m", t): {n: (np.array(each)[:, k], None) for n, each in lines.items()}
        for k, t in enumerate(ts)
    }
    chapter = Chapter(
        "along",
        tau=0.8,
        ts={"m": ts},
        pairs={"m": ("a", "b")},
        names={"a": ("a-0",), "b": ("b-0",)},
        class_of={("m", n): {"own": np.ones(2, bool)} for n in lines},
        walked=walked,
    )
    for parent in "ab":
        np.testing.assert_allclose(chapter.death_points("m", parent, "own"), [0.25, np.inf])
    assert chapter.on_axis("m", "b", (0.2, 0.1, 0.4)) == pytest.approx((0.8, 0.6, 0.9))
