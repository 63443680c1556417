"""What is shown of each feature, against the activations it was made from."""

from pathlib import Path

import numpy as np
import pytest

from featrack_utils.display import explorer
from featrack_utils.interpretation.contexts import window
from tests import explorer_contents
from tests.explorer_contents import PAPER, TAU, TWIN, WIDTH, read


@pytest.fixture(scope="module")
def contents():
    return explorer_contents.contents()


@pytest.fixture(scope="module")
def folder(contents, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("explorer") / "data"
    explorer.write_data(folder, contents, TAU)
    return folder


def dense(contents, model) -> np.ndarray:
    return contents.features[model].acts.toarray()


@pytest.fixture(scope="module")
def index(folder):
    return read(folder, "index")


@pytest.fixture(scope="module")
def details(folder):
    return {model: read(folder, f"{model}-0") + read(folder, f"{model}-1") for model in PAPER.order}


@pytest.mark.parametrize("model", PAPER.order)
def test_counts_densities_and_peaks_are_those_of_the_features(model, index, details, contents):
    acts, domain = dense(contents, model), contents.features[model].domain
    assert [sum(one["h"]) for one in details[model]] == (acts > 0).sum(0).tolist()
    np.testing.assert_allclose(index[model]["peak"], acts.max(0), rtol=1e-3)
    for number in range(4):
        expected = (acts[domain == number] > 0).mean(0)
        np.testing.assert_allclose(index[model]["density"][number], expected, rtol=1e-3)


@pytest.mark.parametrize("model", PAPER.order)
def test_contexts_show_the_activations_around_their_centre(model, details, contents):
    acts = dense(contents, model)
    peak = acts.max(0)
    for feature, one in enumerate(details[model]):
        for centre, pairs in one["c"] + one["r"]:
            left, right = window(centre, WIDTH)
            assert left // WIDTH == centre // WIDTH == (right - 1) // WIDTH
            shown = np.zeros(right - left)
            shown[pairs[::2]] = pairs[1::2]
            expected = acts[left:right, feature]
            assert ((shown > 0) == (expected > 0)).all()
            np.testing.assert_allclose(
                shown * peak[feature] / 255, expected, atol=peak[feature] / 250
            )


@pytest.mark.parametrize("model", PAPER.order)
def test_strongest_contexts_are_each_of_another_document(model, details, contents):
    acts, origin = dense(contents, model), contents.features[model].origin
    for feature, one in enumerate(details[model]):
        centres = [centre for centre, _ in one["c"]]
        strengths = acts[centres, feature]
        assert (np.diff(strengths) <= 0).all() and (strengths > 0).all()
        assert (
            len(set(origin[centres]))
            == len(centres)
            == min(6, len(set(origin[acts[:, feature] > 0])))
        )
        drawn = [centre for centre, _ in one["r"]]
        assert len(set(drawn)) == min(3, np.count_nonzero(acts[:, feature]))


def test_top_tokens_are_those_with_most_of_the_activation(index, contents):
    acts, tokens = dense(contents, "stories"), contents.features["stories"].tokens
    for feature in (0, TWIN, 100):
        mass = np.bincount(tokens, weights=acts[:, feature])
        assert index["stories"]["top"][feature] == np.argsort(-mass, kind="stable")[:5].tolist()
