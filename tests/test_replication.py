from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.statistics.bootstrap import draw
from featrack_utils.statistics.replication import (
    found_by_strings,
    on_other_corpora,
    on_reconstructions,
    share_found,
    shares_found,
    shifted,
)
from featrack_utils.statistics.simulation import Plan, simulate
from featrack_utils.statistics.stringdraws import dirichlet


def _features(dense, domain=None):
    n = len(dense)
    domain = np.zeros(n, np.int8) if domain is None else np.asarray(domain, np.int8)
    tokens = np.arange(n, dtype=np.int32) % 5
    return Features(sparse.csr_matrix(np.asarray(dense, np.float32)), tokens, domain, tokens)


def test_a_reconstruction_is_encoded_again():
    # It decodes to twice the feature less a half and encodes by subtracting one half.
    sae = SimpleNamespace(decode=lambda acts: 2 * acts - 0.5, encode=lambda x: torch.relu(x - 0.5))
    again = on_reconstructions(_features([[0.0, 2.0], [0.25, 0.0]]), sae)
    np.testing.assert_array_equal(again.acts.toarray(), [[0, 3], [0, 0]])


def test_on_other_corpora_no_position_is_shared():
    domain = [0, 1, 2, 3]
    parent, child = on_other_corpora(*[_features(np.ones((4, 2)), domain)] * 2)
    np.testing.assert_array_equal(parent.acts.toarray()[:, 0], [1, 1, 0, 0])
    np.testing.assert_array_equal(child.acts.toarray()[:, 0], [0, 0, 1, 1])
    assert parent.acts.nnz == 4


def test_only_definition_a_finds_features_across_corpora():
    """The same response to each token string, but to different texts."""
    domain = np.repeat([0, 1, 2, 3], 50)
    strength = np.tile(np.arange(5) + 1.0, 40)
    parent, child = on_other_corpora(*[_features(strength[:, None], domain)] * 2)
    assert found_by_strings(parent, child, 0.8)[:2] == (1.0, 5)
    assert share_found(parent, child, 0.8) == 0.0


def test_only_eligible_features_are_counted():
    rng = np.random.default_rng(0)
    a = np.maximum(rng.normal(size=(200, 3)), 0)
    b = np.column_stack([a[:, 0], rng.random((200, 2))])
    every, first = np.ones(3, bool), np.array([True, False, False])
    assert share_found(_features(a), _features(b), 0.8) == pytest.approx(1 / 3)
    assert share_found(_features(a), _features(b), 0.8, (first, every)) == 1.0
    assert share_found(_features(a), _features(b), 0.8, (~every, every)) is None
    assert found_by_strings(_features(a), _features(b), 0.8, (~every, every)) == (None,) * 3


PLANTED = simulate(Plan(100, 60, 60, persisting=0.5, rho=(0.9, 1.0), density=0.03), 1)
PARENT, CHILD = PLANTED.parent[0], PLANTED.child[0]


def test_the_share_with_replicates_is_the_share_and_its_interval_holds_it():
    drawn = shares_found(PARENT, CHILD, 0.8, draw(PARENT, {"base": 1}, 50, 0))
    assert drawn.estimate[0] == share_found(PARENT, CHILD, 0.8)
    low, high = np.quantile(drawn.replicates[:, 0], [0.025, 0.975])
    assert low < drawn.estimate[0] < high and high - low < 0.3


def test_without_a_feature_that_fires_no_share_is_defined():
    dead = CHILD._replace(acts=sparse.csr_matrix(CHILD.acts.shape, dtype=np.float32))
    draws = draw(PARENT, {"base": 1}, 5, 0)
    assert shares_found(PARENT, dead, 0.8, draws) is None
    assert shares_found(dead, PARENT, 0.8, draws) is None
    none = np.zeros(100, bool)
    assert shares_found(PARENT, CHILD, 0.8, draws, (none, ~none)) is None


def test_shifted_features_match_by_chance_alone():
    assert share_found(PARENT, CHILD, 0.8) > 0.3
    assert share_found(PARENT, shifted(CHILD), 0.8) == 0.0


def test_by_strings_replicates_come_with_weights_and_lie_around_the_share():
    weights = dirichlet(PARENT, 30, 0)
    found = found_by_strings(PARENT, CHILD, 0.8, weights=weights)
    assert found.share == found_by_strings(PARENT, CHILD, 0.8).share == found.drawn.estimate[0]
    assert np.std(found.drawn.replicates) > 0
    assert abs(found.drawn.replicates.mean() - found.share) < 0.1
