"""Universal chains along any lineage, and what a lineage that nothing happened to would show."""

from itertools import permutations, product

import numpy as np
import pytest
from scipy import sparse

from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import Lineage
from featrack_utils.matching.classes import turned
from featrack_utils.matching.correlation import correlations
from featrack_utils.matching.flow import steps, universal_chains
from tests.chapters import Chapter

CHAPTER = Chapter("case-study")
EVENTS = np.random.default_rng(0).exponential(size=(2000, 30)) * (
    np.random.default_rng(1).random((2000, 30)) < 0.05
)
NO_COPIES = np.arange(40)
TUNES = {name: {"parent": "base", "train": [name]} for name in ("lua", "stories", "tales")}
BASE = {"base": {"train": ["english"]}}
PAPER = Lineage(
    BASE
    | {name: TUNES[name] for name in ("lua", "stories")}
    | {"merged": {"merge": ["lua", "stories"]}}
)
STAR = Lineage(BASE | TUNES)
CHAIN = Lineage(BASE | {"lua": TUNES["lua"], "code": {"parent": "lua", "train": ["code"]}})
THREE = Lineage(BASE | TUNES | {"mix": {"merge": list(TUNES), "method": "linear"}})
LINEAGES = {"two merged": PAPER, "three tunes": STAR, "a chain": CHAIN, "three merged": THREE}


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


def matched(lineage, acts):
    acts = dict(zip(lineage.order, acts, strict=True))
    return {(a, b): correlations(acts[a], acts[b]) for a, b in lineage.edges}


def own_matches(acts):
    best = {(s, t): correlations(acts[s], acts[t]) for s, t in permutations(range(len(acts)), 2)}
    return best, list(range(len(acts))), {s: NO_COPIES for s in range(len(acts))}


def test_turned_matches_are_those_of_the_dictionaries_the_other_way_round():
    one, other = watching([0, 0, 1, 2], 1.0, 1), watching([2, 0, 0], 1.0, 2)
    for found, asked in zip(
        turned(correlations(one, other)), correlations(other, one), strict=True
    ):
        for x, y in zip(np.atleast_1d(found), np.atleast_1d(asked), strict=True):
            np.testing.assert_allclose(x, y, atol=1e-12)


@pytest.mark.parametrize("lineage", LINEAGES.values(), ids=LINEAGES)
def test_an_event_that_all_models_watch_makes_one_chain(lineage):
    watched, acts = random_dictionaries(len(lineage.order), 22, 3)
    found = universal_chains(lineage, matched(lineage, acts), 0.8)
    shared = set.intersection(*watched)
    assert len(found) == len(shared) > 0
    assert list(found.columns[: len(lineage.order)]) == list(lineage.order)
    assert found["min_r"].min() == pytest.approx(1)


@pytest.mark.parametrize("lineage", LINEAGES.values(), ids=LINEAGES)
def test_a_chain_is_as_strong_as_its_weakest_link_and_the_strongest_is_kept(lineage):
    """Two or three noisy watchers of one event in each model: every choice tried by hand."""
    acts = [watching([0] * (2 + n % 2), 2, n) for n in range(len(lineage.order))]
    best = matched(lineage, acts)
    place = {model: n for n, model in enumerate(lineage.order)}
    r = {
        (a, b): np.corrcoef(acts[place[a]].toarray().T, acts[place[b]].toarray().T)
        for a, b in steps(lineage)
    }

    def strength(chosen):
        return min(
            r[a, b][chosen[place[a]], acts[place[a]].shape[1] + chosen[place[b]]]
            for a, b in steps(lineage)
        )

    chains_of = {}
    for chosen in product(*(range(one.shape[1]) for one in acts)):
        chains_of.setdefault(chosen[0], []).append(chosen)
    found = universal_chains(lineage, best, 0.3)
    assert len(found) == acts[0].shape[1]
    for row in found.itertuples():
        chosen = tuple(int(getattr(row, model)) for model in lineage.order)
        strongest = max(chains_of[chosen[0]], key=strength)
        assert row.min_r == pytest.approx(strength(strongest), abs=1e-6)
        assert strength(chosen) == pytest.approx(strength(strongest), abs=1e-6)


@pytest.mark.parametrize("lineage", [*LINEAGES.values(), *CHAPTER.shapes_of_three(PAPER)])
def test_the_chains_of_every_draw_are_those_of_its_links(lineage):
    """Each draw's chains by the strongest links, with thresholds in the place of draws."""
    acts = [watching([*range(12), *range(6)], 1.2, n) for n in range(len(lineage.order))]
    best = matched(lineage, acts)
    taus = np.array([0.5, 0.6, 0.7, 0.8, 0.999999])
    links = {
        edge: CHAPTER.Links(
            best[edge].pairs.i, best[edge].pairs.j, best[edge].pairs.r[:, None] > taus
        )
        for edge in steps(lineage)
    }
    drawn = CHAPTER.chains_drawn(lineage, links, 18)
    for having, tau in zip(drawn.T, taus, strict=True):
        expected = universal_chains(lineage, best, tau)[lineage.root]
        assert set(np.flatnonzero(having)) == set(expected)
    assert 0 < drawn[:, 3].sum() < 18 and not drawn[:, 4].any()


def test_without_chains_the_table_is_empty_but_has_its_columns():
    none = correlations(watching([0, 1]), watching([2, 3]))
    found = universal_chains(PAPER, dict.fromkeys(PAPER.edges, none), 0.8)
    assert len(found) == 0
    assert list(found.columns) == [*PAPER.order, "min_r"]


def test_copies_are_counted_once_as_a_group():
    one = watching([0, 0, 1])
    best = dict.fromkeys(CHAIN.edges, correlations(one, one))
    found = universal_chains(CHAIN, best, 0.8)
    assert CHAPTER.counted_once(found, "base", np.array([0, 0, 1])) == (3, 2)


# --- if nothing had happened --------------------------------------------------------------------


def test_four_dictionaries_show_what_an_unchanged_model_would():
    watched, acts = random_dictionaries(4, 20, 5)
    found = CHAPTER.if_unchanged(PAPER, *own_matches(acts), 0.8)
    assert found == (len(set.intersection(*watched)),) * 2


def test_three_dictionaries_bound_it_from_above():
    watched, acts = random_dictionaries(4, 20, 5)
    exact = CHAPTER.if_unchanged(PAPER, *own_matches(acts), 0.8).features
    bounds = []
    for three in ([0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]):
        found = CHAPTER.if_unchanged(PAPER, *own_matches([acts[s] for s in three]), 0.8)
        assert found.features == len(set.intersection(*(watched[s] for s in three)))
        bounds.append(found.features)
    assert np.mean(bounds) > exact > 0


def test_the_bound_is_the_smaller_of_what_three_dictionaries_show():
    # Two noisy watchers of each event: which of them match depends on the pair of dictionaries.
    acts = [watching([*range(15)] * 2, 1.6, seed) for seed in range(3)]
    bound = CHAPTER.if_unchanged(PAPER, *own_matches(acts), 0.8)

    def similar(a, b):
        r = np.corrcoef(acts[a].toarray().T, acts[b].toarray().T)[:30, 30:]
        return r > 0.8

    orders = list(permutations(range(3)))
    both = np.mean([(similar(a, b).any(1) & similar(a, c).any(1)).sum() for a, b, c in orders])
    path = np.mean([(similar(a, b) @ similar(b, c)).any(1).sum() for a, b, c in orders])
    assert both != path
    assert bound.features == pytest.approx(min(both, path))
    # A chain of three models needs no bound, three tunes of one model have no path.
    assert CHAPTER.if_unchanged(CHAIN, *own_matches(acts), 0.8).features == pytest.approx(path)
    assert CHAPTER.if_unchanged(STAR, *own_matches(acts), 0.8).features == pytest.approx(both)


def test_two_seeds_cant_say_what_an_unchanged_model_would_show():
    assert CHAPTER.if_unchanged(PAPER, *own_matches(random_dictionaries(2, 10, 0)[1]), 0.8) is None


def test_a_threshold_below_what_is_known_is_refused():
    link = correlations(watching([0]), watching([0]), floor=0.9)
    with pytest.raises(FeatrackError, match="floor"):
        universal_chains(PAPER, dict.fromkeys(PAPER.edges, link), 0.8)
    with pytest.raises(FeatrackError, match="tau"):
        universal_chains(PAPER, dict.fromkeys(PAPER.edges, link), 1.8)
