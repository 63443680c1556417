"""Explaining by counting: the lookup by mental arithmetic, and what it says of itself."""

import numpy as np
import pytest
from scipy import sparse

from featrack_utils.interpretation.chat import LONGEST
from featrack_utils.interpretation.contexts import quoted
from tests.autointerp_planted import AFTER, BLOCK, DEAD, VOCABULARY, planted
from tests.chapters import Chapter

CHAPTER = Chapter("interpretation")
NONE, SILENT, Lookup, learn = CHAPTER.NONE, CHAPTER.SILENT, CHAPTER.Lookup, CHAPTER.learn
FEATURES = planted()
TEXT = CHAPTER.as_text(FEATURES, BLOCK, seed=1)
TABLE = learn(FEATURES.acts, TEXT, VOCABULARY)


def table(pairs, by_pair, n_pair, by_token, n_token, names=(), mean=0.0) -> Lookup:
    """One feature; `pairs` are (previous, token)."""
    previous, token = np.array(pairs).T
    return Lookup(
        sparse.csr_matrix([by_pair], dtype=float),
        sparse.csr_matrix([by_token], dtype=float),
        np.array([mean]),
        np.array(n_pair),
        np.array(n_token),
        TEXT._replace(pair_token=token, pair_previous=previous),
        names,
    )


# Token 0 was seen four times with 8 in all, three of them after token 1, with 6 in all.
SMALL = table(
    [(NONE, 0), (1, 0), (2, 0), (0, 1)], [2, 6, 0, 0], [1, 3, 0, 5], [8, 0, 0], [4, 5, 9], mean=0.5
)


def test_a_mean_is_drawn_to_the_coarser_one_as_if_that_had_been_seen_once_more():
    of_token = (8 + 0.5) / (4 + 1)
    assert SMALL.values(0) == pytest.approx(
        [of_token, (6 + of_token) / 4, of_token, (0 + 0.5 / 6) / 6]
    )


def test_only_documents_to_learn_from_are_learnt_from():
    spoilt = FEATURES.acts.toarray()
    spoilt[~TEXT.learn] = 99
    other = learn(sparse.csr_matrix(spoilt), TEXT, VOCABULARY)
    assert (other.by_pair != TABLE.by_pair).nnz == (other.by_token != TABLE.by_token).nnz == 0


def test_what_is_learnt_is_the_mean_given_the_token():
    here = TEXT.learn & (TEXT.tokens == 3)
    assert TABLE.by_token[3, 3] == 4 * here.sum() and TABLE.n_token[3] == here.sum()
    assert TABLE.by_token[3].nnz == 1


def test_a_feature_is_said_by_its_tokens_the_most_telling_first():
    assert [TABLE.explanation(k) for k in range(6)] == [f"“w{k}” 9" for k in range(6)]
    assert TABLE.explanation(6) == f"“w{AFTER[0]}” 9"
    assert TABLE.explanation(DEAD) == SILENT
    # A hundred times with 2 is more than once with 4.
    few = table([(NONE, 0), (NONE, 1)], [0, 0], [0, 0], [4, 200], [1, 100], names=["a", "b"])
    assert few.explanation(0) == "“b” 4, “a” 9"


def test_a_feature_that_is_never_active_is_simulated_as_0():
    assert not TABLE.values(DEAD).any()


def test_of_many_tokens_as_many_are_named_as_fit_into_a_hundred_characters():
    n = 60
    names = [f"token {k}" for k in range(n)]
    many = table([(NONE, k) for k in range(n)], [0] * n, [0] * n, range(n, 0, -1), [1] * n, names)
    said = many.explanation(0)
    assert LONGEST - 14 < len(said) <= LONGEST and said.startswith("“token 0” 9, “token 1” 9")


@pytest.mark.parametrize(
    ("piece", "shown"),
    [
        (" =", "“ =”"),
        ("\n", "“⏎”"),
        ("    ", "“····”"),
        ("", "“”"),
        ("\u202e", "“⟨U+202E⟩”"),
        ("<script>", "“<script>”"),
        ("a\tb", "“a⇥b”"),
    ],
)
def test_a_token_is_quoted_with_nothing_in_it_that_cant_be_seen(piece, shown):
    assert quoted(piece) == shown
