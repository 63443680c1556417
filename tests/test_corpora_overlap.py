"""Shares of n-grams, on texts short enough to count by hand."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from tests.chapters import Chapter

overlap = Chapter("corpora")


def ngrams(texts, n):
    return overlap.ngrams(overlap.words_of(texts), n)


def distinct_ngram_share(texts, n):
    return overlap.distinct_share(ngrams(texts, n))


def known_ngram_share(asked, known, n):
    return overlap.known_share(ngrams(asked, n), ngrams(known, n))


def test_four_bigrams_of_which_two_differ():
    # a b, b a, a b, b a
    assert distinct_ngram_share(["a b a b a"], 2) == 0.5


def test_no_ngram_crosses_from_one_text_into_the_next():
    # Only "a b" and "c d": "b c" is not there.
    assert known_ngram_share(["b c"], ["a b", "c d"], 2) == 0.0


def test_punctuation_counts_as_a_word_and_an_apostrophe_does_not_part_one():
    assert distinct_ngram_share(["it's here."], 3) == 1.0


def test_every_occurrence_in_validation_counts():
    # a b (seen), b a (new), a b (seen)
    assert known_ngram_share(["a b a b"], ["x a b"], 2) == pytest.approx(2 / 3)


def test_a_text_has_wholly_seen_itself_and_order_matters():
    text = "the fox saw the small red hen"
    assert known_ngram_share([text], [text], 3) == 1.0
    assert known_ngram_share([" ".join(reversed(text.split()))], [text], 3) == 0.0


def test_short_texts_are_passed_over():
    assert known_ngram_share(["a", "a b"], ["a b", "c"], 2) == 1.0


def test_texts_without_so_many_words_have_no_share():
    assert math.isnan(distinct_ngram_share(["it's here."], 4))
    assert math.isnan(known_ngram_share(["a"], ["a b"], 2))
    assert known_ngram_share(["a b"], ["a"], 2) == 0


@pytest.mark.parametrize("n", [1, 2, 4])
def test_sets_of_tuples_give_the_same_shares(n):
    rng = random.Random(n)
    texts = [" ".join(rng.choices("abcdef", k=rng.randrange(9))) for _ in range(400)]
    sides = texts[:200], texts[200:]

    def grams(texts):
        words = (text.split() for text in texts)
        runs = (zip(*(each[i:] for i in range(n)), strict=False) for each in words)
        return list(itertools.chain.from_iterable(runs))

    train, validation = map(grams, sides)
    assert distinct_ngram_share(sides[0], n) == len(set(train)) / len(train)
    known = sum(gram in set(train) for gram in validation) / len(validation)
    assert known_ngram_share(sides[1], sides[0], n) == pytest.approx(known, abs=1e-12)
