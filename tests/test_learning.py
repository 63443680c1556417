"""One way to learn dictionaries: what is made where, and what makes it anew."""

import numpy as np
import pytest

from featrack_utils.dictionaries import learning
from featrack_utils.dictionaries.training import load_sae
from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline import store
from tests.test_variants import RECIPE, corpora, run  # noqa: F401 (fixtures)

# ruff: noqa: F811 (fixtures are imported, and then named as arguments)


def made(folder) -> int:
    return (folder / "run.json").stat().st_mtime_ns


def test_a_dictionary_is_trained_and_measured_once(run, corpora):
    base = learning.subject(run, corpora, "base")
    dictionary = learning.train(run, "base-0", base, RECIPE | {"seed": 0})
    found = learning.measure(run, "base-0", base, 4)
    assert (dictionary, found) == (run / "saes" / "base-0", run / "features" / "base-0")
    before = made(dictionary), made(found)
    learning.train(run, "base-0", base, RECIPE | {"seed": 0})
    learning.measure(run, "base-0", base, 4)
    assert (made(dictionary), made(found)) == before
    learning.measure(run, "base-0", base, 5)  # more text: measured anew, not trained anew
    assert made(dictionary) == before[0] and made(found) > before[1]


def test_what_tells_the_weights_apart_is_recorded_and_trains_anew(run, corpora):
    recorded = []
    for step in (None, 3):
        there = learning.subject(run, corpora, "base", mixture="lua", step=step)
        folder = learning.train(run, "one", there, RECIPE | {"seed": 0})
        recorded.append(store.read_record(folder))
    assert [r["parameters"]["step"] for r in recorded] == [None, 3]
    assert recorded[0]["parameters"]["mixture"] == "lua"
    assert recorded[0]["key"] != recorded[1]["key"]


def test_a_dictionary_may_start_from_another(run, corpora):
    base = learning.subject(run, corpora, "base")
    first = learning.train(run, "first", base, RECIPE | {"seed": 0})
    still = RECIPE | {"seed": 1, "learning_rate": 1e-12}
    second = learning.train(run, "second", base, still, start=first)
    one, two = (load_sae(folder).W_dec.detach() for folder in (first, second))
    assert np.allclose(one, two, atol=1e-5)
    assert store.read_record(second)["inputs"].keys() == {"corpora", "base", "first"}


def test_what_is_missing_is_named(run, corpora):
    with pytest.raises(FeatrackError, match="models/lua/ is missing"):
        learning.subject(run, corpora, "lua")
    base = learning.subject(run, corpora, "base")
    with pytest.raises(FeatrackError, match="saes/none/ is missing"):
        learning.train(run, "one", base, RECIPE | {"seed": 0}, start=run / "saes" / "none")
    with pytest.raises(FeatrackError, match="saes/one/ is missing"):
        learning.measure(run, "one", base, 4)
