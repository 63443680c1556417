import numpy as np
import pytest
from scipy import sparse

from featrack_utils.calibration import calibrate
from featrack_utils.docsums import document_sums, replicate_best
from featrack_utils.errors import FeatrackError
from featrack_utils.features import Features
from featrack_utils.intervals import Draws, Shares, bootstrap, draw, interval, over_seeds
from featrack_utils.match import eligible
from featrack_utils.simulate import Plan, simulate

PLAN = Plan(n_features=60, n_documents=40, tokens_per_document=60, density=0.03)


@pytest.fixture(scope="module")
def pair():
    planted = simulate(PLAN, 0)
    return planted.parent[0], planted.child[0]


def _masks(pair):
    return [eligible(side.acts, side.origin) for side in pair]


def _all_pairs(a, b):
    grid = np.indices((a.acts.shape[1], b.acts.shape[1])).reshape(2, -1).astype(np.int32)
    return document_sums(a, b, *grid)


def _best_by_numpy(a, b, rows):
    dense = [side.acts[rows].toarray().astype(np.float64) for side in (a, b)]
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.corrcoef(np.hstack(dense).T)[: a.acts.shape[1], a.acts.shape[1] :]
    return np.nan_to_num(r, nan=-1.0)


def test_each_document_once_gives_numpys_correlations(pair):
    documents = np.ones((1, 40))
    by_a, by_b = replicate_best(_all_pairs(*pair), documents)
    r = _best_by_numpy(*pair, np.arange(pair[0].origin.size))
    np.testing.assert_allclose(by_a[:, 0], r.max(axis=1), atol=1e-6)
    np.testing.assert_allclose(by_b[:, 0], r.max(axis=0), atol=1e-6)


def test_a_replicate_equals_correlating_the_documents_drawn(pair):
    draws = draw(pair[0], {"m": 1}, 3, seed=1)
    by_a, _ = replicate_best(_all_pairs(*pair), draws.documents)
    for replicate in range(3):
        times = draws.documents[replicate].astype(int)[pair[0].origin]
        r = _best_by_numpy(*pair, np.repeat(np.arange(times.size), times))
        np.testing.assert_allclose(by_a[:, replicate], r.max(axis=1), atol=1e-6)


def test_the_order_of_positions_does_not_matter(pair):
    order = np.random.default_rng(2).permutation(pair[0].origin.size)
    mixed = [Features(*(field[order] for field in side)) for side in pair]
    draws = draw(pair[0], {"m": 1}, 5, seed=3)
    for one, other in zip(
        replicate_best(_all_pairs(*pair), draws.documents),
        replicate_best(_all_pairs(*mixed), draws.documents),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_feature_without_its_documents_matches_nothing(pair):
    documents = np.zeros((1, 40))
    documents[0, 0] = 40
    by_a, _ = replicate_best(_all_pairs(*pair), documents)
    silent = (pair[0].acts[pair[0].origin == 0] > 0).sum(axis=0).A1 == 0
    assert silent.any()
    assert (by_a[silent] == -1).all()
    assert np.isfinite(by_a).all()


def test_draws_keep_the_number_of_documents_of_every_domain(pair):
    draws = draw(pair[0], {"base": 3, "lua": 2}, 20, seed=4)
    domain_of = np.array([pair[0].domain[pair[0].origin == d][0] for d in range(40)])
    for domain in range(4):
        assert (draws.documents[:, domain_of == domain].sum(axis=1) == 10).all()
    assert (draws.seeds["base"].sum(axis=1) == 3).all()
    assert draws.seeds["lua"].shape == (20, 2)


def test_the_same_seed_draws_the_same(pair):
    first, again = (draw(pair[0], {"m": 2}, 10, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.documents, again.documents)
    np.testing.assert_array_equal(first.seeds["m"], again.seeds["m"])


def test_a_dictionary_persists_wholly_in_itself(pair):
    a, mask = pair[0], _masks(pair)[0]
    draws = draw(a, {"m": 1}, 30, seed=6)
    shares, _ = bootstrap(a, a, mask, mask, draws, [0.5, 0.8])
    assert interval(shares, 0.8) == (1.0, 1.0, 1.0)


def _constant(value):
    return Shares(np.array([0.8]), np.array([value]), np.full((1, 1), value))


def test_a_pair_of_seeds_weighs_the_product_of_its_counts():
    draws = Draws(np.ones((1, 1)), {"a": np.array([[2.0, 1.0]]), "b": np.array([[2.0, 0.0]])})
    tables = {(0, 0): _constant(0.2), (1, 0): _constant(0.5), (0, 1): _constant(0.9)}
    mean = over_seeds(tables, draws, "a", "b")
    plain = (0.2 + 0.5 + 0.9) / 3
    drawn = (4 * 0.2 + 2 * 0.5) / 6
    # Two seeds show half of their variance, so the deviation is stretched by √2.
    assert mean.replicates[0, 0] == pytest.approx(plain + np.sqrt(2) * (drawn - plain))
    assert mean.estimate[0] == pytest.approx(plain)


def test_one_seed_drawn_alone_brings_all_its_pairs():
    draws = Draws(np.ones((1, 1)), {"a": np.array([[3.0, 0.0, 0.0]])})
    tables = {(0, 1): _constant(0.2), (0, 2): _constant(0.4), (1, 2): _constant(0.9)}
    # Their mean is 0.3, that of all pairs 0.5; three seeds show two thirds of their variance.
    replicate = over_seeds(tables, draws, "a", "a").replicates[0, 0]
    assert replicate == pytest.approx(0.5 - np.sqrt(1.5) * 0.2)


def test_an_interval_stays_within_bounds_and_reaches_its_estimate():
    replicates = np.linspace(0.9, 1.3, 101)[:, None]
    shares = Shares(np.array([0.8]), np.array([0.85]), replicates)
    assert interval(shares, 0.8) == (0.85, 0.85, 1.0)
    with pytest.raises(FeatrackError, match=r"no share at τ = 0\.7"):
        interval(shares, 0.7)


def test_intervals_hold_the_population_share_as_often_as_they_say():
    """Nominal 95 %; with 200 sets, chance alone moves it by 1.5 points (about 10 s)."""
    plan = Plan(80, 100, 100, density=0.01, density_spread=0.8, splitting=0.0)
    result = calibrate(0.5, (0.5, 1.0), sets=200, replicates=200, plan=plan)
    assert 0.90 <= result.coverage.estimate <= 0.99


def test_bad_input_is_named(pair):
    a, b = pair
    masks = _masks(pair)
    draws = draw(a, {"m": 1}, 2, seed=0)
    for taus in ([0.0], [0.5, 1.0]):
        with pytest.raises(FeatrackError, match="tau"):
            bootstrap(a, b, *masks, draws, taus)
    with pytest.raises(FeatrackError, match="different token streams"):
        bootstrap(a, b._replace(tokens=b.tokens + 1), *masks, draws, [0.8])
    with pytest.raises(FeatrackError, match="different documents"):
        bootstrap(a, b._replace(origin=b.origin[::-1]), *masks, draws, [0.8])
    with pytest.raises(FeatrackError, match="first dictionary has no eligible"):
        bootstrap(a, b, np.zeros(60, bool), masks[1], draws, [0.8])
    dead = b._replace(acts=sparse.csr_matrix(b.acts.shape, dtype=np.float32))
    with pytest.raises(FeatrackError, match="second dictionary has no eligible"):
        bootstrap(a, dead, *masks, draws, [0.8])
    with pytest.raises(FeatrackError, match="at least two"):
        draw(a._replace(origin=a.domain.astype(np.int32)), {"m": 1}, 2, seed=0)
    with pytest.raises(FeatrackError, match="replicate"):
        draw(a, {"m": 0}, 2, seed=0)
    with pytest.raises(FeatrackError, match="pair of SAE seeds"):
        over_seeds({}, draws, "m", "m")
    for model in ("m", "unknown"):
        with pytest.raises(FeatrackError, match=f"SAE seeds of the model {model}"):
            over_seeds({(0, 1): _constant(0.5)}, draws, model, model)
