"""Features that answer to other documents: what unrelated text would show."""

import numpy as np
import pytest
from scipy import sparse

from featrack_utils.dictionaries.features import Features, other_documents
from featrack_utils.errors import FeatrackError
from featrack_utils.matching.correlation import correlations
from tests.simulated import PLAN, simulate

TAU = 0.8


@pytest.fixture(scope="module")
def planted():
    return simulate(PLAN, 11)


def test_a_shift_moves_whole_documents_within_their_domain():
    origin = np.array([0, 0, 1, 2, 2, 2, 3, 4, 4], np.int32)
    domain = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1], np.int8)
    places = sparse.csr_matrix(np.arange(9, dtype=np.float32)[:, None])
    moved = other_documents(Features(places, origin, domain, origin))
    assert moved.acts.toarray().ravel().tolist() == [2, 3, 4, 5, 0, 1, 7, 8, 6]


def test_a_model_finds_hardly_any_of_its_features_where_it_reads_other_documents(planted):
    base = planted.parent[0]
    best = correlations(base.acts, other_documents(base).acts)
    r = best.a_best_r[best.a_candidates]
    assert (r > TAU).mean() < 0.01
    assert (r > 0.3).mean() < 0.1


def test_a_domain_of_one_document_cannot_be_shifted(planted):
    features = planted.parent[0]
    lonely = features._replace(origin=features.domain.astype(np.int32))
    with pytest.raises(FeatrackError, match="give at least two"):
        other_documents(lonely)
