"""What a dictionary misses and how closely it matches, against plain resampling of documents."""

import numpy as np
import pytest
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.statistics import bootstrap, gains

DOCUMENTS, LENGTH = 30, 20
N = DOCUMENTS * LENGTH


def features(columns, documents=DOCUMENTS) -> Features:
    acts = sparse.csr_matrix(np.array(columns, dtype=np.float32).T)
    n = documents * LENGTH
    zeros = np.zeros(n, dtype=np.int8)
    return Features(acts, np.repeat(np.arange(documents, dtype=np.int32), LENGTH), zeros, zeros)


def planted(rng, n=N, density=0.2):
    return rng.exponential(size=n) * (rng.random(n) < density)


@pytest.fixture
def model():
    """Of base-0's features lua-0 keeps the first, half keeps the second and lacks the third."""
    rng = np.random.default_rng(0)
    first, second, third = (planted(rng) for _ in range(3))
    noisy = second + planted(rng, density=0.15)
    return {
        "base-0": features([first, second, third, np.zeros(N)]),
        "lua-0": features([planted(rng), noisy, first, second + 0.9 * third]),
        "lua-1": features([planted(rng), planted(rng), planted(rng), second + 2 * planted(rng)]),
    }


@pytest.fixture
def able(model):
    return {name: np.asarray(f.acts.sum(axis=0)).ravel() > 0 for name, f in model.items()}


def drawn(model, replicates=60):
    return bootstrap.draw(model["base-0"], {"base": 1}, replicates, seed=1)


def test_the_best_r_of_every_replicate_is_that_of_the_documents_repeated(model, able):
    draws = drawn(model)
    (found,) = gains.best_r_intervals(
        model, able, "base-0", np.array([1]), ["lua-0", "lua-1"], draws
    )
    x = model["base-0"].acts[:, [1]].toarray().ravel()
    others = [f.acts.toarray() for n, f in model.items() if n.startswith("lua")]

    def best(counts):
        times = counts.astype(int)[model["base-0"].origin]
        rows = np.repeat(np.arange(N), times)
        return max(np.corrcoef(x[rows], y[rows])[0, 1] for side in others for y in side.T)

    plain = best(np.ones(DOCUMENTS))
    each = np.array([best(counts) for counts in draws.documents])
    low, high = np.quantile(each - 2 * (each.mean() - plain), [0.025, 0.975])
    assert tuple(found) == pytest.approx((plain, low, high), abs=1e-5)
    assert low < plain < high


def test_an_interval_holds_the_true_r_in_about_95_of_100_sets():
    rng = np.random.default_rng(3)
    held, sets, documents = 0, 80, 60
    truth = 1 / np.sqrt(2)  # r of x with x + an independent copy of itself
    for _ in range(sets):
        x, noise = (planted(rng, documents * LENGTH) for _ in range(2))
        model = {"a-0": features([x], documents), "b-0": features([x + noise], documents)}
        able = dict.fromkeys(model, np.array([True]))
        draws = bootstrap.draw(model["a-0"], {"a": 1}, 100, seed=1)
        (found,) = gains.best_r_intervals(model, able, "a-0", np.array([0]), ["b-0"], draws)
        held += found.low <= truth <= found.high
    assert 0.86 <= held / sets <= 1


def test_without_features_to_ask_or_to_answer_no_interval_is_made_up(model, able):
    draws = drawn(model, 5)
    assert gains.best_r_intervals(model, able, "base-0", np.array([], int), ["lua-0"], draws) == []
    nobody = able | {"lua-0": np.zeros(4, bool)}
    (found,) = gains.best_r_intervals(model, nobody, "base-0", np.array([0]), ["lua-0"], draws)
    assert np.isnan(found).all()


def test_the_share_missed_is_counted_among_the_features_asked(model, able):
    draws = drawn(model)
    asked = np.array([True, True, True, False])
    found = gains.missed(model, able, ("base-0", asked), "lua-0", [0.3, 0.8], draws)
    r = np.corrcoef(model["base-0"].acts.toarray()[:, :3].T, model["lua-0"].acts.toarray().T)
    best = r[:3, 3:].max(axis=1)
    assert found.asked == 3
    assert found.share.taus.tolist() == [0.3, 0.8]
    expected = [(best <= tau).mean() for tau in (0.3, 0.8)]
    assert found.share.estimate.tolist() == pytest.approx(expected)
    assert found.share.replicates.shape == (60, 2)
    assert (
        gains.missed(model, able, ("base-0", ~able["base-0"] & asked), "lua-0", [0.8], draws)
        is None
    )
    nobody = able | {"lua-0": np.zeros(4, bool)}
    assert gains.missed(model, nobody, ("base-0", asked), "lua-0", [0.8], draws) is None
