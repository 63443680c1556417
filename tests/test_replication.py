from types import SimpleNamespace

import numpy as np
import torch
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.matching.correlation import correlations
from featrack_utils.matching.token_correlation import string_correlations
from featrack_utils.statistics.replication import on_other_corpora, on_reconstructions


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
    parent, child = on_other_corpora(*[_features(np.ones((4, 2)), domain)] * 2, domains=[0, 2])
    np.testing.assert_array_equal(parent.acts.toarray()[:, 0], [1, 0, 1, 0])
    np.testing.assert_array_equal(child.acts.toarray()[:, 0], [0, 1, 0, 1])
    assert parent.acts.nnz == 4


def test_only_token_strings_find_features_across_corpora():
    """The same response to each token string, but to different texts."""
    domain = np.repeat([0, 1, 2, 3], 50)
    strength = np.tile(np.arange(5) + 1.0, 40)
    same = _features(strength[:, None], domain)
    parent, child = on_other_corpora(same, same, domains=[0, 1])
    found = string_correlations(parent.acts, child.acts, same.tokens)
    assert (found.best.a_best_r[0], found.a_shared[0]) == (1.0, 5)
    assert (correlations(parent.acts, child.acts).a_best_r <= 0.8).all()
