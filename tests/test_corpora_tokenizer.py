"""The tokenizer loses nothing, and every position knows its document."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from featrack_utils.corpora.documents import Document
from featrack_utils.corpora.tokenizer import (
    END_OF_TEXT,
    TokenStream,
    blocks,
    encode_documents,
    load_stream,
    save_stream,
    train_tokenizer,
)
from featrack_utils.errors import FeatrackError
from tests.chapters import Chapter

first_tokens = Chapter("corpora").first_tokens

TEXTS = ["def f(x):\n        return x\n" * 20, "the cat and the other cat are there " * 20]
TOKENIZER = train_tokenizer(TEXTS, 286)


def stream_of(*lengths, origins=None):
    """Tokens 0, 1, 2, … in documents of the given lengths."""
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    names = origins or [f"o{i}" for i in range(len(lengths))]
    return TokenStream(np.arange(starts[-1], dtype=np.int32), starts, names, names)


@given(st.text(max_size=80))
def test_any_text_comes_back_from_its_tokens(text):
    ids = TOKENIZER(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert TOKENIZER.decode(ids) == text


def test_the_vocabulary_has_the_size_asked_for_and_one_special_token():
    assert len(TOKENIZER) == 286
    special = (TOKENIZER.bos_token, TOKENIZER.eos_token, TOKENIZER.pad_token, TOKENIZER.unk_token)
    assert set(special) == {END_OF_TEXT} and TOKENIZER.bos_token_id == 0


def test_indentation_merges_into_one_token():
    assert TOKENIZER.tokenize("\n        return")[0] == "Ċ" + 7 * "Ġ"


def test_learning_twice_gives_the_same_vocabulary():
    again = train_tokenizer(iter(TEXTS), 286)
    assert again.backend_tokenizer.to_str() == TOKENIZER.backend_tokenizer.to_str()


def test_a_saved_tokenizer_loads_offline_and_encodes_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    TOKENIZER.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    documents = [Document("return the cat", "a", "a")]
    first, second = (encode_documents(documents, t).tokens for t in (TOKENIZER, loaded))
    assert np.array_equal(first, second)
    assert loaded.bos_token_id == loaded.eos_token_id == loaded.pad_token_id == 0


def test_a_vocabulary_larger_than_the_text_is_refused_with_numbers():
    with pytest.raises(FeatrackError, match=r"only 258 of the 5000 tokens"):
        train_tokenizer(["ab"], 5_000)


def test_each_document_is_led_by_the_end_of_text_token():
    documents = [Document("cat", "a", "g"), Document("the cat", "b", "g")]
    stream = encode_documents(documents, TOKENIZER)
    assert stream.tokens.dtype == np.int32 and stream.starts.dtype == np.int64
    assert (stream.tokens == 0).nonzero()[0].tolist() == stream.starts[:-1].tolist()
    assert stream.origins == ["a", "b"]
    second = stream.tokens[stream.starts[1] + 1 : stream.starts[2]]
    assert TOKENIZER.decode(second) == "the cat"


def test_a_text_that_spells_the_special_token_does_not_get_it():
    stream = encode_documents([Document(f"a{END_OF_TEXT}b", "a", "a")], TOKENIZER)
    assert (stream.tokens == 0).sum() == 1
    assert TOKENIZER.decode(stream.tokens[1:]) == f"a{END_OF_TEXT}b"


def test_blocks_are_consecutive_and_the_tail_is_left_out():
    cut = blocks(stream_of(3, 4), 3)
    assert cut.tokens.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert cut.origin.tolist() == [[0, 0, 0], [1, 1, 1]]


def test_a_block_across_documents_knows_each_positions_origin():
    cut = blocks(stream_of(2, 1, 3, origins=["x", "y", "x"]), 6)
    assert cut.origin.tolist() == [[0, 0, 1, 0, 0, 0]]
    assert cut.tokens.dtype == cut.origin.dtype == np.int32


def test_some_blocks_are_spread_evenly():
    assert blocks(stream_of(20), 2, 2).tokens.tolist() == [[4, 5], [14, 15]]
    assert blocks(stream_of(5), 2, 99).tokens.tolist() == [[0, 1], [2, 3]]


@given(st.integers(1, 60), st.integers(1, 5), st.integers(1, 80))
def test_some_blocks_are_different_blocks_of_the_stream(n_tokens, context, n_blocks):
    if n_tokens < context:
        return
    chosen = blocks(stream_of(n_tokens), context, n_blocks).tokens
    every = blocks(stream_of(n_tokens), context).tokens
    assert len(chosen) == min(n_blocks, len(every)) == len(set(chosen[:, 0].tolist()))
    assert set(chosen[:, 0].tolist()) <= set(every[:, 0].tolist())


def test_a_stream_shorter_than_a_block_is_refused():
    with pytest.raises(FeatrackError, match="3 tokens has no whole block of 4"):
        blocks(stream_of(3), 4)


@pytest.mark.parametrize(("n", "lengths"), [(3, [3]), (4, [3, 1]), (7, [3, 4]), (99, [3, 4])])
def test_a_stream_can_be_cut_short(n, lengths):
    short = first_tokens(stream_of(3, 4), n)
    assert np.diff(short.starts).tolist() == lengths
    assert short.tokens.tolist() == list(range(min(n, 7)))


def test_a_saved_stream_comes_back(tmp_path):
    stream = stream_of(3, 4, origins=["ä", "<b>"])
    save_stream(stream, tmp_path / "s")
    loaded = load_stream(tmp_path / "s")
    assert np.array_equal(loaded.tokens, stream.tokens) and loaded.origins == stream.origins
    assert np.array_equal(loaded.starts, stream.starts) and loaded.tokens.dtype == np.int32


def test_a_stream_of_every_second_number_comes_back(tmp_path):
    stream = stream_of(3, 4)._replace(tokens=np.arange(14, dtype=np.int32)[::2])
    save_stream(stream, tmp_path)
    assert load_stream(tmp_path).tokens.tolist() == [0, 2, 4, 6, 8, 10, 12]


def test_documents_keep_their_groups_on_the_way_to_blocks(tmp_path):
    documents = [Document("cat", f"story/{i}", f"plot/{g}") for i, g in enumerate("abab")]
    stream = encode_documents(documents, TOKENIZER)
    save_stream(stream, tmp_path)
    loaded = load_stream(tmp_path)
    assert loaded.groups == stream.groups == ["plot/a", "plot/b", "plot/a", "plot/b"]
    length = len(stream.tokens) // 4
    cut = blocks(loaded, length)
    assert cut.origin[:, 0].tolist() == [0, 1, 2, 3]
    assert cut.group[:, 0].tolist() == [0, 1, 0, 1]
    assert {*first_tokens(loaded, length).groups} == {"plot/a"}
