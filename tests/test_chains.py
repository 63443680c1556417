"""Chains through four models, through one model's seeds, and by chance."""

from itertools import permutations

import numpy as np
import pytest
from scipy import sparse

from featrack_utils.errors import FeatrackError
from featrack_utils.matching import chains
from featrack_utils.matching.classes import eligible, turned
from featrack_utils.matching.correlation import copies, correlations
from featrack_utils.matching.flow import universal_chains
from featrack_utils.statistics.simulation import Plan, simulate

EVENTS = np.random.default_rng(0).exponential(size=(2000, 30)) * (
    np.random.default_rng(1).random((2000, 30)) < 0.05
)
NO_COPIES = np.arange(40)


def watching(events, noise=0.0, seed=0):
    """A dictionary whose features watch these events, in this order."""
    acts = EVENTS[:, events]
    acts = acts * (1 + noise * np.random.default_rng(seed).exponential(size=acts.shape))
    return sparse.csr_matrix(acts.astype(np.float32))


def random_dictionaries(n, size, seed):
    """Events that each of `n` dictionaries watches, and their activations."""
    rng = np.random.default_rng(seed)
    events = [rng.permutation(30)[:size] for _ in range(n)]
    return [set(map(int, some)) for some in events], [watching(some) for some in events]


def own_matches(acts):
    return {(s, t): correlations(acts[s], acts[t]) for s, t in permutations(range(len(acts)), 2)}


def test_turned_matches_are_those_of_the_dictionaries_the_other_way_round():
    one, other = watching([0, 0, 1, 2], 1.0, 1), watching([2, 0, 0], 1.0, 2)
    for found, asked in zip(
        turned(correlations(one, other)), correlations(other, one), strict=True
    ):
        for x, y in zip(np.atleast_1d(found), np.atleast_1d(asked), strict=True):
            np.testing.assert_allclose(x, y, atol=1e-12)


def test_each_shape_is_counted_as_the_planted_events_say():
    watched, acts = random_dictionaries(4, 18, 3)
    base, lua, stories, merged = watched
    links = [correlations(acts[a], acts[b]) for a, b in ((0, 1), (0, 2), (1, 3), (2, 3))]
    found = chains.chained(*links, NO_COPIES, 0.8)
    assert [count.features for count in found] == [
        len(base & lua & stories),
        len(base & lua & merged),
        len(base & stories & merged),
        len(base & lua & stories & merged),
    ]
    assert 0 < found.universal.features < found.both.features
    assert all(count.features == count.groups for count in found)


def test_copies_make_many_chains_and_one_group():
    base, rest = watching([0, 0, 0, 1], 0.1, 1), watching([0, 1])
    group = copies(base, 0.8).group
    found = chains.chained(
        *[correlations(base, rest)] * 2, *[correlations(rest, rest)] * 2, group, 0.8
    )
    assert found.universal == (4, 2)


def test_four_seeds_give_the_mean_over_all_ways_to_stand_for_the_models():
    watched, acts = random_dictionaries(4, 18, 5)
    found = chains.unchanged(own_matches(acts), [NO_COPIES] * 4, 0.8)
    assert found.universal.features == len(set.intersection(*watched))
    expected = np.mean(
        [len(watched[a] & watched[b] & watched[c]) for a, b, c in permutations(range(4), 3)]
    )
    assert found.both.features == pytest.approx(expected)


def test_three_seeds_bound_the_chains_of_a_fourth_from_above():
    watched, acts = random_dictionaries(4, 18, 5)
    own = own_matches(acts)
    exact = chains.unchanged(own, [NO_COPIES] * 4, 0.8).universal.features
    bounds = []
    for three in ([0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]):
        some = {(s, t): own[three[s], three[t]] for s, t in permutations(range(3), 2)}
        found = chains.unchanged(some, [NO_COPIES] * 3, 0.8)
        shared = len(set.intersection(*(watched[s] for s in three)))
        assert [count.features for count in found] == [shared] * 4
        bounds.append(found.universal.features)
    assert np.mean(bounds) > exact > 0


def test_the_bound_is_the_smaller_of_what_three_dictionaries_show():
    # Noise makes "the same event" depend on the pair, so paths and pairs of links differ.
    acts = [watching(range(30), 1.6, seed) for seed in range(3)]
    own = own_matches(acts)
    found = chains.unchanged(own, [NO_COPIES] * 3, 0.8)

    def similar(a, b):
        r = np.corrcoef(acts[a].toarray().T, acts[b].toarray().T)[:30, 30:]
        return r > 0.8

    orders = list(permutations(range(3)))
    both = np.mean([(similar(a, b).any(1) & similar(a, c).any(1)).sum() for a, b, c in orders])
    path = np.mean([(similar(a, b) @ similar(b, c)).any(1).sum() for a, b, c in orders])
    assert found.both.features == pytest.approx(both)
    assert found.via_lua.features == found.via_stories.features == pytest.approx(path)
    assert found.universal.features == pytest.approx(min(both, path))


def test_two_seeds_cant_say_what_an_unchanged_model_would_show():
    own = own_matches(random_dictionaries(2, 10, 0)[1])
    assert chains.unchanged(own, [NO_COPIES] * 2, 0.8) is None


def test_planted_chains_are_found_and_none_by_chance():
    planted = simulate(Plan(100, 60, 60, persisting=0.6, density=0.03), 4)
    base, lua = planted.parent[0], planted.child[0]
    models = (base, lua, lua, base)
    masks = [eligible(one.acts, one.origin, 15, 5) for one in models]
    group = copies(base.acts, 0.8, eligible=masks[0]).group
    link = correlations(base.acts, lua.acts, eligible_a=masks[0], eligible_b=masks[1])
    back = turned(link)
    assert chains.chained(link, link, back, back, group, 0.8).universal.features > 20
    assert chains.by_chance(models, masks, group, 0.8).universal == (0, 0)


def test_without_the_direct_matches_the_chains_are_the_same():
    one = watching([0, 1, 2])
    link = correlations(one, one)
    known, unknown = (universal_chains(*[link] * 4, direct, 0.8) for direct in (link, None))
    assert unknown.r_base_merged.isna().all() and known.r_base_merged.notna().all()
    assert unknown.drop(columns="r_base_merged").equals(known.drop(columns="r_base_merged"))


def test_a_threshold_below_what_is_known_is_refused():
    link = correlations(watching([0]), watching([0]), floor=0.9)
    with pytest.raises(FeatrackError, match="floor"):
        chains.chained(link, link, link, link, NO_COPIES, 0.8)
