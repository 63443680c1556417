import numpy as np
import pytest
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.errors import FeatrackError
from featrack_utils.matching.classes import classify, eligible
from featrack_utils.matching.correlation import Pairs, correlations
from featrack_utils.statistics import bootstrap
from featrack_utils.statistics.bootstrap import (
    Draws,
    Matched,
    Sample,
    best_drawn,
    closest,
    copies_merged,
    draw,
    halves,
    mutual_only,
    paired_r,
    resample,
)
from tests.chapters import Chapter
from tests.simulated import Plan, simulate

PLAN = Plan(n_features=60, n_documents=40, tokens_per_document=60, density=0.03)


@pytest.fixture(scope="module")
def pair():
    planted = simulate(PLAN, 0)
    return planted.parent[0], planted.child[0]


def _masks(pair):
    return [eligible(side.acts, side.origin) for side in pair]


def _best_of_all_pairs(pair, documents):
    """Best r of each feature in each replicate, every pair being a candidate."""
    draws, masks = np.asarray(documents, np.float64), _masks(pair)
    sample = Sample({"a": pair}, {"a": masks}, Draws(draws, {}), [0.8], 0.8)
    sides = [sample.weighted(("a", seed)) for seed in (0, 1)]
    grid = np.indices([side.acts.shape[1] for side in pair]).reshape(2, -1).astype(np.int32)
    return best_drawn(*sides, tuple(grid), pair[0].origin, draws)


def _matched(pair, draws, taus):
    """Both directions of two dictionaries' matches under given draws."""
    masks = _masks(pair)
    sample = Sample(
        {"a": pair[:1], "b": pair[1:]}, {"a": masks[:1], "b": masks[1:]}, draws, taus, 1
    )
    ways = (("a", 0), ("b", 0)), (("b", 0), ("a", 0))
    return sample.matched(ways).values()


def _best_by_numpy(pair, rows):
    dense = [side.acts[rows].toarray().astype(np.float64) for side in pair]
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.corrcoef(np.hstack(dense).T)[: dense[0].shape[1], dense[0].shape[1] :]
    return np.nan_to_num(r, nan=0.0)


def test_each_document_once_gives_numpys_correlations(pair):
    (by_a, _), (by_b, _) = _best_of_all_pairs(pair, np.ones((1, 40)))
    r = _best_by_numpy(pair, np.arange(pair[0].origin.size))
    np.testing.assert_allclose(by_a[:, 0], r.max(axis=1), atol=1e-6)
    np.testing.assert_allclose(by_b[:, 0], r.max(axis=0), atol=1e-6)


def test_a_replicate_equals_correlating_the_documents_drawn(pair):
    draws = draw(pair[0], {"m": 1}, 3, seed=1)
    (by_a, index_a), (by_b, _) = _best_of_all_pairs(pair, draws.documents)
    for replicate in range(3):
        times = draws.documents[replicate].astype(int)[pair[0].origin]
        r = _best_by_numpy(pair, np.repeat(np.arange(times.size), times))
        np.testing.assert_allclose(by_a[:, replicate], r.max(axis=1), atol=1e-6)
        np.testing.assert_allclose(by_b[:, replicate], r.max(axis=0), atol=1e-6)
        clear = r.max(axis=1) > 0.1  # rounding settles ties near zero
        np.testing.assert_array_equal(index_a[clear, replicate], r.argmax(axis=1)[clear])


def test_moments_are_the_same_however_many_features_are_summed_at_once(pair, monkeypatch):
    draws, masks = draw(pair[0], {"a": 2}, 5, seed=1), _masks(pair)
    found = []
    for room in (bootstrap.ROOM, 7 * 40):  # seven features' sums over 40 documents
        monkeypatch.setattr(bootstrap, "ROOM", room)
        found.append(Sample({"a": pair}, {"a": masks}, draws, [0.8], 0.8).weighted(("a", 0)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_the_order_of_positions_does_not_matter(pair):
    order = np.random.default_rng(2).permutation(pair[0].origin.size)
    mixed = [side.at(order) for side in pair]
    documents = draw(pair[0], {"m": 1}, 5, seed=3).documents
    one, other = (_best_of_all_pairs(sides, documents) for sides in (pair, mixed))
    for (r, _), (mixed_r, _) in zip(one, other, strict=True):
        np.testing.assert_allclose(r, mixed_r, atol=1e-6)


def test_links_are_the_pairs_above_the_threshold_in_each_draw(pair):
    """Every pair that is near τ, by numpy, on the documents that each replicate drew."""
    tau = 0.8
    sample = resample(
        {"a": [pair[0]], "b": [pair[1]]},
        [tau],
        tau=tau,
        replicates=3,
        seed=0,
        min_positions=5,
        min_documents=3,
    )
    known = correlations(pair[0].acts, pair[1].acts, floor=0.3)
    chapter = Chapter("case-study", sample=sample, tau=tau)
    i, j, looks = chapter.links_drawn(("a", 0), ("b", 0), known.pairs)
    assert looks.shape[1] == 7 and looks.any(axis=1).all() and len(i) > 5
    x, y = (one.acts.toarray().astype(float) for one in pair)
    for number, times in enumerate(
        [np.ones(sample.draws.documents.shape[1]), *sample.draws.documents]
    ):
        rows = np.repeat(np.arange(len(x)), times[pair[0].origin].astype(int))
        for k in range(len(i)):
            r = np.corrcoef(x[rows, i[k]], y[rows, j[k]])[0, 1]
            assert abs(r - tau) < 1e-4 or looks[k, number] == (r > tau)


def test_a_feature_without_its_documents_matches_nothing(pair):
    documents = np.zeros((1, 40))
    documents[0, 0] = 40
    (by_a, _), _ = _best_of_all_pairs(pair, documents)
    silent = (pair[0].acts[pair[0].origin == 0] > 0).sum(axis=0).A1 == 0
    assert silent.any()
    assert (by_a[silent] == 0).all()
    assert np.isfinite(by_a).all()


def test_the_closest_candidates_are_enough(pair, monkeypatch):
    """Few, noisy documents and copies: as hard a case as an evaluation mix should be."""
    plan = Plan(300, 40, 60, rho=(0.5, 1.0), copies=0.3, density=0.02)
    planted = simulate(plan, 3)
    sides = planted.parent[0], planted.child[0]
    draws = draw(sides[0], {"m": 1}, 60, seed=5)
    few = _matched(sides, draws, [0.5, 0.8])
    monkeypatch.setattr(bootstrap, "CLOSEST", 10_000)
    monkeypatch.setattr(bootstrap, "BEHIND", 2.0)
    monkeypatch.setattr(bootstrap, "LOWEST", 1e-6)
    monkeypatch.setattr(bootstrap, "MARGIN", 1.0)
    whole = _matched(sides, draws, [0.5, 0.8])
    for one, other in zip(few, whole, strict=True):
        for k in (0, 1):
            shares = [(m.exceeded[m.asked, 1:61] > k).mean(axis=0) for m in (one, other)]
            assert np.abs(shares[0] - shares[1]).max() < 0.01
            assert np.abs(shares[0] - shares[1]).mean() < 0.001


def test_a_pair_is_a_candidate_if_it_is_close_for_one_of_its_features(monkeypatch):
    monkeypatch.setattr(bootstrap, "CLOSEST", 1)
    i, j = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    # 0-0 leads both its features; 0-1 leads those of b's 1, 1-0 those of a's 1; 1-1 none.
    kept = closest(Pairs(i, j, np.array([0.9, 0.6, 0.7, 0.5])))
    np.testing.assert_array_equal(kept, [[0, 0, 1], [0, 1, 0]])
    # With two places each it would be kept, but for being far behind both 0.9 and 0.7.
    monkeypatch.setattr(bootstrap, "CLOSEST", 2)
    assert closest(Pairs(i, j, np.array([0.9, 0.6, 0.7, 0.5])))[0].size == 4
    assert closest(Pairs(i, j, np.array([0.9, 0.6, 0.7, 0.2])))[0].size == 3


def test_the_whole_mix_drawn_once_gives_the_rules_of_the_whole_mix(pair):
    masks, tau = _masks(pair), 0.5
    once = Draws(np.ones((1, 40)), {})
    matched, _ = _matched(pair, once, [tau])
    best = correlations(pair[0].acts, pair[1].acts, eligible_a=masks[0], eligible_b=masks[1])
    for view, rule in ((matched, "best"), (mutual_only(matched), "mutual")):
        found = classify(best, tau, rule).parent == "persisting"
        np.testing.assert_array_equal(view.asked & (view.best_r > tau), found)
        for look in (0, 1):
            np.testing.assert_array_equal(view.asked & (view.exceeded[:, look] == 1), found)


def test_a_group_of_copies_is_found_once():
    found = np.array([1, 0, 0, 1, 0], np.uint8)
    matched = Matched(
        np.array([0.8]),
        np.where(found, 0.9, 0.1),
        np.array([1, 1, 1, 1, 0], bool),
        np.stack([found, found, 1 - found], axis=1),
        np.stack([found, found], axis=1) > 0,
    )
    groups = copies_merged(matched, np.array([0, 1, 0, 2, -1], np.int32))
    # Features 0 and 2 are copies, one of them found; 1 is alone and lost; 3 alone and found.
    np.testing.assert_array_equal(groups.best_r, [0.9, 0.1, 0.9])
    np.testing.assert_array_equal(groups.exceeded.T, [[1, 0, 1], [1, 0, 1], [1, 1, 0]])
    assert groups.asked.all()


def test_draws_keep_the_number_of_documents_of_every_domain(pair):
    draws = draw(pair[0], {"base": 3, "lua": 2}, 20, seed=4)
    domain_of = np.array([pair[0].domain[pair[0].origin == d][0] for d in range(40)])
    for domain in range(4):
        assert (draws.documents[:, domain_of == domain].sum(axis=1) == 10).all()
    assert (draws.seeds["base"].sum(axis=1) == 3).all()
    assert draws.seeds["lua"].shape == (20, 2)


def test_all_documents_of_a_group_are_drawn_as_often_as_it_is(pair):
    two_each = pair[0]._replace(group=pair[0].origin % 20)  # both of one domain
    documents = draw(two_each, {"m": 1}, 20, seed=4).documents
    np.testing.assert_array_equal(documents[:, :20], documents[:, 20:])
    domain_of = np.array([pair[0].domain[pair[0].origin == d][0] for d in range(20)])
    for domain in range(4):  # of the five groups five are drawn
        assert (documents[:, :20][:, domain_of == domain].sum(axis=1) == 5).all()


def test_documents_that_are_their_own_groups_are_drawn_as_if_there_were_none(pair):
    alone = pair[0]._replace(group=pair[0].origin + 7)
    first, other = (draw(side, {"m": 1}, 10, seed=5) for side in (pair[0], alone))
    np.testing.assert_array_equal(first.documents, other.documents)


def _one_pair(values, copies):
    """Two features on documents of 5 positions, `copies` documents in a row being the same."""
    n = values.shape[1] * copies
    position = np.repeat(np.arange(n), 5).astype(np.int32)
    columns = [np.repeat(np.repeat(side, copies), 5)[:, None] for side in values]
    domain = np.zeros(position.size, np.int8)
    return [
        Features(sparse.csr_matrix(c, dtype=np.float32), position, domain, position, group)
        for group in [(position // copies).astype(np.int32)]
        for c in columns
    ]


def test_intervals_of_copied_documents_are_as_wide_as_r_really_scatters():
    """Twelve independent documents, each there ten times: a sample of 12, not of 120."""
    rng = np.random.default_rng(8)

    def sample():
        common = rng.random(12)
        return np.stack([common + 0.7 * rng.random(12) for _ in "ab"])

    # The truth, from new documents each time and by numpy alone.
    really = np.std([np.corrcoef(sample())[0, 1] for _ in range(4000)])
    by_group, by_document = [], []
    for seed in range(40):
        sides = _one_pair(sample(), copies=10)
        lone = [side._replace(group=None) for side in sides]
        for case, spread in ((sides, by_group), (lone, by_document)):
            documents = draw(case[0], {"m": 1}, 100, seed=seed).documents
            (by_a, _), _ = _best_of_all_pairs(case, documents)
            spread.append(by_a[0].std())
    assert 0.75 * really < np.mean(by_group) < 1.25 * really
    assert np.mean(by_document) < 0.4 * really


def test_the_same_seed_draws_the_same(pair):
    first, again = (draw(pair[0], {"m": 2}, 10, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.documents, again.documents)
    np.testing.assert_array_equal(first.seeds["m"], again.seeds["m"])


def test_a_domain_of_one_group_is_named(pair):
    a = pair[0]
    with pytest.raises(FeatrackError, match="at least two"):
        draw(a._replace(origin=a.domain.astype(np.int32), group=None), {"m": 1}, 2, seed=0)
    with pytest.raises(FeatrackError, match="1 group of documents"):
        draw(a._replace(group=a.domain.astype(np.int32)), {"m": 1}, 2, seed=0)


def test_half_of_each_domains_groups_is_chosen_and_none_is_divided(pair):
    two_each = pair[0]._replace(group=pair[0].origin % 20)  # five groups a domain
    chosen = halves(two_each, seed=3)
    whole = np.bincount(two_each.group, chosen) / np.bincount(two_each.group)
    assert np.isin(whole, [0, 1]).all()
    for domain in range(4):
        assert len(set(two_each.group[chosen & (two_each.domain == domain)])) == 2
    by_document = halves(pair[0], seed=3)
    assert len(set(pair[0].origin[by_document])) == 20


def test_a_domain_of_one_group_cannot_be_halved(pair):
    with pytest.raises(FeatrackError, match="give at least two"):
        halves(pair[0]._replace(group=pair[0].domain.astype(np.int32)), 0)


def test_r_under_a_weighting_is_that_of_repeated_documents(pair):
    x, y = (side.acts[:, :6] for side in pair)
    counts = np.random.default_rng(2).integers(0, 3, 40)
    r = paired_r(x, y, pair[0].origin, np.stack([np.ones(40), counts]))
    repeated = np.repeat(np.arange(x.shape[0]), counts[pair[0].origin])
    for row, rows in zip(r, (np.arange(x.shape[0]), repeated), strict=True):
        alike = _best_by_numpy([side.at(rows) for side in pair], slice(None))
        varies = np.isfinite(row)
        np.testing.assert_allclose(row[varies], np.diag(alike)[:6][varies], atol=1e-6)
    assert varies.any()


def test_a_constant_feature_has_no_r(pair):
    dense = np.random.default_rng(3).random((pair[0].origin.size, 3))
    dense[:, 0] = 0
    x = sparse.csr_matrix(dense)
    r = paired_r(x, x, pair[0].origin, np.ones((1, 40)))[0]
    assert np.isnan(r[0])
    np.testing.assert_allclose(r[1:], 1)
