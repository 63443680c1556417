from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import sparse

from featrack_utils.features import Features
from featrack_utils.replication import (
    Found,
    on_other_corpora,
    on_reconstructions,
    share_found,
    shared_strings,
)


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
    assert share_found(parent, child, 0.8, published=True) == 1.0
    assert share_found(parent, child, 0.8) == 0.0
    assert shared_strings(parent, child) == 5


def test_only_eligible_features_are_counted():
    rng = np.random.default_rng(0)
    a = np.maximum(rng.normal(size=(200, 3)), 0)
    b = np.column_stack([a[:, 0], rng.random((200, 2))])
    every, first = np.ones(3, bool), np.array([True, False, False])
    assert share_found(_features(a), _features(b), 0.8) == pytest.approx(1 / 3)
    assert share_found(_features(a), _features(b), 0.8, masks=(first, every)) == 1.0
    assert share_found(_features(a), _features(b), 0.8, masks=(~every, every)) is None


def test_a_ratio_needs_a_ceiling():
    assert Found(0.2, 0.4).ratio == 0.5
    assert Found(0.2, 0.0).ratio is Found(None, 0.4).ratio is None
