"""Which text explanations are learnt from and judged on."""

import numpy as np
import pytest

from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation.contexts import by_feature
from tests.autointerp_planted import BLOCK, DEAD, planted
from tests.chapters import Chapter

CHAPTER = Chapter("interpretation")
NONE, TOP, WIDTH = CHAPTER.NONE, CHAPTER.TOP, CHAPTER.WIDTH
excerpts_to_show, true_values = CHAPTER.excerpts_to_show, CHAPTER.true_values
FEATURES = planted()
TEXT = CHAPTER.as_text(FEATURES, BLOCK, seed=1)
COLUMNS = by_feature(FEATURES.acts)
CHOSEN = CHAPTER.excerpts_to_judge(COLUMNS, TEXT, seed=1)


def test_no_document_is_learnt_from_and_judged_on():
    assert not set(TEXT.origin[TEXT.learn]) & set(TEXT.origin[~TEXT.learn])
    for domain in range(4):
        documents = np.unique(TEXT.origin[(FEATURES.domain == domain) & TEXT.learn])
        assert documents.size == 6


def test_a_pair_is_a_token_and_the_one_before_it_in_the_same_block_and_document():
    previous = TEXT.pair_previous[TEXT.pair]
    assert (TEXT.pair_token[TEXT.pair] == TEXT.tokens).all()
    assert set(np.flatnonzero(previous == NONE)) == {
        *range(0, TEXT.tokens.size, BLOCK),
        *range(0, TEXT.tokens.size, BLOCK * 3 // 2),
    }
    inside = np.flatnonzero(previous != NONE)
    assert (previous[inside] == TEXT.tokens[inside - 1]).all()


def test_excerpts_hold_every_position_once_and_each_lies_in_one_document_and_block():
    there = TEXT.positions[TEXT.positions != NONE]
    assert (np.sort(there) == np.arange(TEXT.tokens.size)).all()
    for excerpt in TEXT.positions:
        inside = excerpt[excerpt != NONE]
        assert (np.diff(inside) == 1).all() and 0 < inside.size <= WIDTH
        assert len({*TEXT.origin[inside]}) == 1 == len({*(inside // BLOCK)})


def test_positions_that_are_no_blocks_are_refused():
    with pytest.raises(FeatrackError, match="no blocks of 39"):
        CHAPTER.as_text(FEATURES, 39, seed=1)


def test_simulations_are_judged_on_the_strongest_excerpts_and_on_random_ones_all_held_out():
    for feature in range(DEAD):
        top, random = CHOSEN[feature][:TOP], CHOSEN[feature][TOP:]
        assert len({*TEXT.origin[TEXT.positions[top, 0]]}) == TOP
        assert len({*top, *random}) == 2 * TOP
        assert not TEXT.learnt[CHOSEN[feature]].any()
        values = true_values(COLUMNS, np.array([feature]), TEXT.positions_of(top[None]))
        assert np.nanmax(values, axis=2).min() == FEATURES.acts[:, feature].max()


def test_true_values_are_the_activations_and_nan_beyond_an_excerpt():
    where = np.array([[[3, 4, NONE]], [[9, NONE, NONE]]])
    values = true_values(COLUMNS, np.array([2, 5]), where)
    dense = FEATURES.acts.toarray()
    assert values[0, 0, :2].tolist() == dense[[3, 4], 2].tolist()
    assert values[1, 0, 0] == dense[9, 5] and np.isnan(values).sum() == 3


def test_what_is_shown_to_explain_comes_from_documents_to_learn_from():
    found = excerpts_to_show(COLUMNS, TEXT, 3, seed=1)
    assert TEXT.learnt[found].all() and len({*found}) == found.size >= 3 * TOP - 2
    values = true_values(COLUMNS, np.array([3]), TEXT.positions_of(found[None]))[0]
    assert np.nanmax(values[:TOP], axis=1).min() == 4
    assert (excerpts_to_show(COLUMNS, TEXT, 3, seed=1) == found).all()
    assert excerpts_to_show(COLUMNS, TEXT, DEAD, seed=1).size == TOP  # random ones only
