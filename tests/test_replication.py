from types import SimpleNamespace

import numpy as np
import torch
from scipy import sparse

from featrack_utils.dictionaries.features import Features, other_documents
from featrack_utils.matching.correlation import correlations
from featrack_utils.statistics.persistence import Persistence
from featrack_utils.statistics.replication import (
    found_by_strings,
    on_other_corpora,
    on_reconstructions,
)
from featrack_utils.statistics.simulation import Plan, simulate


def _features(dense, domain=None):
    n = len(dense)
    domain = np.zeros(n, np.int8) if domain is None else np.asarray(domain, np.int8)
    tokens = np.arange(n, dtype=np.int32) % 5
    return Features(sparse.csr_matrix(np.asarray(dense, np.float32)), tokens, domain, tokens)


def _all(features):
    return np.ones(features.acts.shape[1], bool)


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
    found = found_by_strings(parent, child, _all(parent), _all(child), 0.8)
    assert (found.share.estimate[0], found.strings) == (1.0, 5)
    assert (correlations(parent.acts, child.acts).a_best_r <= 0.8).all()


def test_only_eligible_features_are_counted():
    strength = np.tile([1.0, 2.0, 5.0, 3.0, 4.0], 40)
    a = _features(np.column_stack([strength, np.ones(200), strength[::-1]]))
    b = _features(strength[:, None])
    first = np.array([True, False, False])
    assert found_by_strings(a, b, first, _all(b), 0.8).share.estimate[0] == 1.0
    assert found_by_strings(a, b, ~first, _all(b), 0.8).share.estimate[0] == 0.0
    nothing = found_by_strings(a, b, first & ~first, _all(b), 0.8)
    assert np.isnan(nothing.share.estimate[0]) and np.isnan(nothing.strings)


def test_a_share_by_strings_stands_beside_its_ceiling_without_an_interval():
    planted = simulate(Plan(100, 60, 60, persisting=0.5, rho=(0.9, 1.0), density=0.03), 1)
    parent, child = planted.parent[0], planted.child[0]
    masks = (_all(parent), _all(child))
    kept, own, chance = (
        found_by_strings(parent, other, *masks, 0.8).share
        for other in (child, parent, other_documents(child))
    )
    results = Persistence(kept, own, {"other text": chance}, 0.8).as_results("x.share")
    assert results["x.share.ceiling"] == 1.0 > results["x.share"] > 0.3
    assert results["x.share.ratio_to_ceiling"] == results["x.share"]
    assert results["x.share.ci_low"] is results["x.share.ratio_to_ceiling.ci_high"] is None
    assert results["x.share.floor"] is not None
