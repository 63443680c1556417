"""Explaining by counting: the lookup by mental arithmetic, explanations by what they say."""

import numpy as np
import pytest
from scipy import sparse

from featrack_utils.interpretation.explain import lookup, rules
from featrack_utils.interpretation.explain.excerpts import NONE, as_text
from featrack_utils.interpretation.explain.lookup import Lookup
from featrack_utils.interpretation.explain.rules import LONGEST, SILENT, quoted
from tests.autointerp_planted import AFTER, BLOCK, DEAD, VOCABULARY, planted

FEATURES = planted()
TEXT = as_text(FEATURES, BLOCK, seed=1)
TABLE = lookup.learn(FEATURES.acts, TEXT)
EXPLANATIONS = rules.write_explanations(TABLE, VOCABULARY)


def table(pairs, by_pair, n_pair, by_token, n_token, mean=0.0) -> Lookup:
    """One feature; `pairs` are (previous, token)."""
    previous, token = np.array(pairs).T
    return Lookup(
        sparse.csr_matrix([by_pair], dtype=float),
        sparse.csr_matrix([by_token], dtype=float),
        np.array([mean]),
        np.array(n_pair),
        np.array(n_token),
        token,
        previous,
    )


# Token 0 was seen four times with 8 in all, three of them after token 1, with 6 in all.
SMALL = table(
    [(NONE, 0), (1, 0), (2, 0), (0, 1)], [2, 6, 0, 0], [1, 3, 0, 5], [8, 0, 0], [4, 5, 9], mean=0.5
)


def test_a_mean_is_drawn_to_the_coarser_one_as_if_that_had_been_seen_once_more():
    of_token = (8 + 0.5) / (4 + 1)
    assert SMALL.values(0, np.array([0, 1, 2, 3])) == pytest.approx(
        [of_token, (6 + of_token) / 4, of_token, (0 + 0.5 / 6) / 6]
    )


def test_only_documents_to_learn_from_are_learnt_from():
    spoilt = FEATURES.acts.toarray()
    spoilt[~TEXT.learn] = 99
    other = lookup.learn(sparse.csr_matrix(spoilt), TEXT)
    assert (other.by_pair != TABLE.by_pair).nnz == (other.by_token != TABLE.by_token).nnz == 0


def test_what_is_learnt_is_the_mean_given_the_token():
    here = TEXT.learn & (TEXT.tokens == 3)
    assert TABLE.by_token[3, 3] == 4 * here.sum() and TABLE.n_token[3] == here.sum()
    assert TABLE.by_token[3].nnz == 1


def test_a_feature_of_one_token_is_said_in_one_rule():
    assert [EXPLANATIONS.text[k] for k in range(6)] == [f"“w{k}” 9" for k in range(6)]


def test_a_feature_of_a_pair_is_said_with_what_stands_before():
    assert EXPLANATIONS.text[6] == f"“w{AFTER[0]}” (after “w{AFTER[1]}” 9)"


def test_a_feature_that_is_never_active_is_said_to_be_so_and_simulated_as_0():
    assert EXPLANATIONS.text[DEAD] == SILENT
    assert not EXPLANATIONS.values(DEAD, TEXT.pair).any()


def test_an_explanation_is_simulated_as_it_reads():
    expected = np.where(TEXT.tokens == 2, 9, 0)
    assert (EXPLANATIONS.values(2, TEXT.pair) == expected).all()
    after = TEXT.pair_previous[TEXT.pair] == AFTER[1]
    expected = np.where((TEXT.tokens == AFTER[0]) & after, 9, 0)
    assert (EXPLANATIONS.values(6, TEXT.pair) == expected).all()


def test_a_rule_for_a_pair_stands_beside_that_of_its_token_and_the_more_specific_holds():
    # Token 0 is worth 1 in general and 3 after token 1, each seen ninety-nine times.
    both = table([(1, 0), (2, 0)], [300, 100], [99, 99], [400, 0, 0], [198, 99, 99])
    said = rules.write_explanations(both, ["a", "b", "c"])
    assert said.text == ["“a” 6 (after “b” 9, “c” 3)"]
    assert said.values(0, np.array([0, 1])).tolist() == [9, 3]


def test_of_many_tokens_the_most_telling_are_named_in_at_most_a_hundred_characters():
    n = 60
    many = table([(NONE, k) for k in range(n)], [0] * n, [0] * n, range(n, 0, -1), [1] * n)
    said = rules.write_explanations(many, [f"token {k}" for k in range(n)])
    assert LONGEST - 12 < len(said.text[0]) <= LONGEST
    assert said.text[0].startswith("“token 0” 9, “token 1” 9, “token 2” 9")
    named = said.values(0, np.arange(n)) > 0
    assert named.sum() == said.text[0].count("token") and named[: named.sum()].all()


def test_rare_tokens_dont_crowd_out_common_ones():
    # Once with 4 explains less than a hundred times with 2.
    few = table([(NONE, 0), (NONE, 1)], [0, 0], [0, 0], [4, 200], [1, 100])
    assert rules.write_explanations(few, ["a", "b"]).text == ["“b” 9, “a” 9"]


@pytest.mark.parametrize(
    ("piece", "shown"),
    [
        (" =", "“ =”"),
        ("\n", "“⏎”"),
        ("    ", "“····”"),
        (" " * 8, "“·×8”"),
        ("", "“”"),
        ("\u202e", "“⟨U+202E⟩”"),
        ("<script>", "“<script>”"),
        ("a\tb", "“a⇥b”"),
    ],
)
def test_a_token_is_quoted_with_nothing_in_it_that_cant_be_seen(piece, shown):
    assert quoted(piece) == shown
