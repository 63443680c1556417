"""Shares of n-grams, on texts short enough to count by hand."""

from __future__ import annotations

import pytest

from featrack_utils.corpora.overlap import distinct_ngram_share, seen_ngram_share
from featrack_utils.errors import FeatrackError


def test_four_bigrams_of_which_two_differ():
    # a b, b a, a b, b a
    assert distinct_ngram_share(["a b a b a"], 2) == 0.5


def test_no_ngram_crosses_from_one_text_into_the_next():
    # Only "a b" and "c d": "b c" is not there.
    assert seen_ngram_share(["b c"], ["a b", "c d"], 2) == 0.0


def test_punctuation_counts_as_a_word_and_an_apostrophe_does_not_part_one():
    assert distinct_ngram_share(["it's here."], 3) == 1.0
    with pytest.raises(FeatrackError, match="4 words"):
        distinct_ngram_share(["it's here."], 4)


def test_every_occurrence_in_validation_counts():
    # a b (seen), b a (new), a b (seen)
    assert seen_ngram_share(["a b a b"], ["x a b"], 2) == pytest.approx(2 / 3)


def test_a_text_has_wholly_seen_itself_and_order_matters():
    text = "the fox saw the small red hen"
    assert seen_ngram_share([text], [text], 3) == 1.0
    assert seen_ngram_share([" ".join(reversed(text.split()))], [text], 3) == 0.0


def test_short_texts_are_passed_over():
    assert seen_ngram_share(["a", "a b"], ["a b", "c"], 2) == 1.0


@pytest.mark.parametrize("n", [0, -1])
def test_a_length_below_one_is_refused(n):
    with pytest.raises(FeatrackError, match="at least 1"):
        distinct_ngram_share(["a b"], n)
