"""A planted word: where it stands, what stays as it was, and when it counts as found."""

import numpy as np

from featrack_utils.corpora.tokenizer import TokenStream
from tests.chapters import Chapter

MARK, A, B = 7, 50, 51
PLANTED = Chapter("planted")
PLANT = PLANTED.Plant("tarnik", (A, B), MARK)


def stream(*documents: list[int]) -> TokenStream:
    names = [f"document {i}" for i in range(len(documents))]
    starts = np.cumsum([0, *map(len, documents)])
    return TokenStream(np.concatenate(documents).astype(np.int32), starts, names, names)


def test_the_word_stands_behind_every_mark_and_the_end_makes_room():
    sown = PLANTED.with_plant(stream([0, 1, MARK, 2, 3, 4, MARK, 5]), PLANT, 1.0, 8, seed=0)
    assert sown.tokens.tolist() == [0, 1, MARK, A, B, 2, 3, 4]


def test_a_word_that_does_not_fit_is_left_out():
    sown = PLANTED.with_plant(stream([0, 1, 2, 3, 4, MARK, 5, 6]), PLANT, 1.0, 7, seed=0)
    assert sown.tokens.tolist() == [0, 1, 2, 3, 4, MARK, 5]


def test_blocks_keep_their_places_and_the_tail_is_no_block():
    before = stream([0, 1, MARK, 2, 3, 4], [0, 8, 8, 8, 8, 8, 8])
    sown = PLANTED.with_plant(before, PLANT, 1.0, 6, seed=0)
    assert sown.tokens.tolist() == [0, 1, MARK, A, B, 2, 0, 8, 8, 8, 8, 8]
    assert sown.starts.tolist() == [0, 6, 12]


def test_a_document_begins_later_where_the_word_stands_before_it():
    sown = PLANTED.with_plant(stream([0, MARK, 2], [0, 8, 8, 8, 8]), PLANT, 1.0, 8, seed=0)
    assert sown.tokens.tolist() == [0, MARK, A, B, 2, 0, 8, 8]
    assert sown.starts.tolist() == [0, 5, 8]
    assert sown.origins == ["document 0", "document 1"]


def test_other_documents_stay_as_they_are_and_a_larger_share_holds_a_smaller():
    before = stream(*[[0, MARK, 1, 2, 3, 4]] * 10)
    at = {}
    for share in (0.2, 0.5):
        sown = PLANTED.with_plant(before, PLANT, share, 6, seed=3)
        at[share] = PLANTED.roles(sown.tokens.reshape(-1, 6), PLANT).any(axis=1)
        untouched = before.tokens.reshape(-1, 6)[~at[share]]
        assert np.array_equal(sown.tokens.reshape(-1, 6)[~at[share]], untouched)
    assert (at[0.2].sum(), at[0.5].sum()) == (2, 5)
    assert not (at[0.2] & ~at[0.5]).any()


def test_the_same_seed_plants_the_same_documents_and_another_others():
    before = stream(*[[0, MARK, 1, 2, 3, 4]] * 40)
    one, same, other = (PLANTED.with_plant(before, PLANT, 0.3, 6, s).tokens for s in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_roles_number_the_tokens_of_the_whole_word_alone():
    blocks = np.array([[A, B, A, 3, A, B], [B, A, 1, 1, 1, A]])
    assert PLANTED.roles(blocks, PLANT).tolist() == [[1, 2, 0, 0, 1, 2], [0] * 6]
