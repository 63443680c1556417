"""What streams are made of, counted by hand."""

import numpy as np
import pytest

from featrack_utils.corpora import counting
from featrack_utils.corpora.documents import Document
from featrack_utils.corpora.tokenizer import TokenStream, encode_documents
from featrack_utils.errors import FeatrackError


def stream_of(*documents, origins=None):
    """Documents of given token ids, each led by token 0."""
    rows = [np.array([0, *ids], np.int32) for ids in documents]
    starts = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    return TokenStream(np.concatenate(rows), starts, origins or [f"o{i}" for i in range(len(rows))])


def test_tokens_are_counted_without_those_that_lead_documents():
    made = counting.makeup(stream_of([5, 5, 7], [7, 5], [9]), 2)
    assert (made.distinct, made.median) == (3, 2)
    assert made.p90 == pytest.approx(2.8)  # of 1, 2 and 3
    assert made.frequent.tolist() == [5, 7]
    assert counting.makeup(stream_of([5]), 4).frequent.tolist() == [5]


def test_texts_come_back_and_can_be_cut(tokenizer):
    words = ["the cat and the cat", "return x"]
    stream = encode_documents([Document(text, text, text) for text in words], tokenizer)
    assert counting.texts(stream, tokenizer) == words
    beginnings = counting.texts(stream, tokenizer, longest=1)
    assert all(beginnings)
    assert all(map(str.startswith, words, beginnings))
    n_tokens = len(stream.tokens) - 2
    assert counting.chars_per_token(stream, words) == sum(map(len, words)) / n_tokens
    one_each = sum(map(len, beginnings)) / 2
    assert counting.chars_per_token(stream, beginnings, longest=1) == one_each
    with pytest.raises(FeatrackError, match="no text"):
        counting.chars_per_token(stream_of([]), [""])


def test_a_sample_is_never_the_rest_of_a_text_nor_the_one_that_was_cut():
    stream = stream_of([1], [2], [3], [4], origins=["a", "a", "b", "c"])
    assert {counting.sample(stream, seed) for seed in range(20)} == {0, 2}
    assert counting.sample(stream_of([1]), 3) == 0


def test_odd_documents_can_be_left_out():
    stream = stream_of([1, 2], [3, 4], [5, 6])
    # 8, 6 and 1 characters in two tokens each
    assert counting.of_most(stream, ["a" * 8, "b" * 6, "c"], 2 / 3) == 3.5
