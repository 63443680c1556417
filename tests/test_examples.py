"""Contexts and choices on features whose activations are written out by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.corpora.prepare import Corpora
from featrack_utils.dictionaries.features import Features
from featrack_utils.interpretation.examples import (
    activation_share,
    choose_chain,
    context_positions,
    contexts,
    contexts_at,
    density_by_domain,
    effective_tokens,
    strongest_tokens,
    token_shares,
    tokens_matching,
)


def features(columns, *, tokens=None, origin=None, domain=None) -> Features:
    acts = np.array(columns, dtype=np.float32).T
    n = len(acts)
    return Features(
        sparse.csr_matrix(acts),
        np.array(origin if origin is not None else range(n), dtype=np.int32),
        np.array(domain if domain is not None else [0] * n, dtype=np.int8),
        np.array(tokens if tokens is not None else range(n), dtype=np.int32),
    )


def test_a_pattern_must_match_a_whole_token(tokenizer):
    chosen = tokens_matching(tokenizer, r"\s*[=+]\s*")
    assert len(chosen) == len(tokenizer)
    texts = [tokenizer.decode([i]) for i in np.flatnonzero(chosen)]
    assert {"=", "+"} <= set(texts)
    assert all(text.strip() in ("=", "+") for text in texts)
    assert not tokens_matching(tokenizer, "nothing like this").any()


def test_an_activation_share_is_a_ratio_of_sums_and_0_for_a_dead_feature():
    found = features([[3, 0, 1, 0], [0, 2, 0, 0], [0, 0, 0, 0]], tokens=[5, 6, 7, 5])
    chosen = np.zeros(10, dtype=bool)
    chosen[5] = True
    assert activation_share(found, chosen).tolist() == [0.75, 0, 0]


CHAINS = pd.DataFrame({"base": [4, 0, 2], "min_r": [0.95, 0.85, 0.9]}, index=[10, 11, 12])
SHARE = np.array([0.7, 0, 0.6, 0, 0.1])


def test_of_the_chains_that_qualify_the_best_linked_is_shown():
    assert choose_chain(CHAINS.assign(share=SHARE[CHAINS["base"]]), 0.5)["base"] == 2
    assert choose_chain(CHAINS.assign(share=SHARE[CHAINS["base"]]), 0.65)["base"] == 0
    assert choose_chain(CHAINS.assign(share=SHARE[CHAINS["base"]]), 0.05)["base"] == 4


def test_if_no_chain_qualifies_the_nearest_is_shown():
    assert choose_chain(CHAINS.assign(share=SHARE[CHAINS["base"]]), 0.99)["base"] == 0


def test_without_a_universal_chain_there_is_none_to_show():
    assert choose_chain(CHAINS.iloc[:0].assign(share=[]), 0.5) is None


def test_token_shares_add_up_to_one_and_a_dead_feature_has_none():
    found = features([[3, 0, 1, 0], [0, 2, 0, 0], [0, 0, 0, 0]], tokens=[5, 6, 7, 5])
    shares = token_shares(found, 10)
    assert shares.sum(axis=0).tolist() == [[1, 1, 0]]
    assert shares[5, 0] == 0.75 and shares[7, 0] == 0.25


def test_a_feature_of_k_equally_strong_tokens_answers_to_k():
    found = features([[2, 2, 1, 1, 0], [0, 0, 0, 0, 4], [0] * 5], tokens=[1, 2, 3, 3, 4])
    assert effective_tokens(token_shares(found, 6)) == pytest.approx([3, 1, 0])


def test_the_strongest_tokens_are_those_with_the_largest_shares():
    found = features([[3, 0, 1, 1], [0, 0, 0, 0]], tokens=[5, 6, 7, 2])
    ids, shares = strongest_tokens(token_shares(found, 10), 0, 2)
    assert (ids.tolist(), shares.tolist()) == ([5, 2], [0.6, 0.2])
    assert len(strongest_tokens(token_shares(found, 10), 1, 2)[0]) == 0


@pytest.fixture
def corpora(tokenizer):
    """Blocks of 5 tokens, of which the first of each is not among the features."""
    return Corpora({}, tokenizer, context=5)


def ids(tokenizer, text):
    return [tokenizer.encode(c)[0] for c in text]


def shown(found, corpora, **given):
    given = {"top": 2, "random": 0, "width": 40, "seed": 0} | given
    return contexts(found, 0, corpora, **given)


def test_the_strongest_contexts_come_first_one_of_each_document(corpora, tokenizer):
    found = features(
        [[0, 9, 0, 0, 8, 0, 0, 0, 0, 0, 0, 7]],
        tokens=ids(tokenizer, "abcdefghijkl"),
        origin=[0] * 8 + [1] * 4,
    )
    assert shown(found, corpora) == [
        (list("abcd"), [0, 9, 0, 0]),
        (list("ijkl"), [0, 0, 0, 7]),
    ]


def test_a_context_never_leaves_its_block_and_puts_two_thirds_before_the_position(tokenizer):
    found = features(
        [[0] * 10 + [5] + [0] * 19], tokens=ids(tokenizer, "abcdefghijklmnopqrstuvwxyzabcd")
    )
    wide = Corpora({}, tokenizer, context=16)
    assert "".join(shown(found, wide, top=1, width=40)[0][0]) == "abcdefghijklmno"
    assert "".join(shown(found, wide, top=1, width=6)[0][0]) == "ghijkl"
    found = features([[5] + [0] * 29], tokens=found.tokens)
    assert "".join(shown(found, wide, top=1, width=6)[0][0]) == "abcdef"


def test_random_contexts_are_active_other_than_the_strongest_and_fixed_by_the_seed(
    corpora, tokenizer
):
    strengths = np.zeros(40)
    strengths[::4] = np.arange(10, 0, -1)
    found = features([strengths], tokens=ids(tokenizer, "abcd" * 10))
    drawn = shown(found, corpora, top=3, random=4)
    peaks = [max(acts) for _, acts in drawn]
    assert peaks[:3] == [10, 9, 8]
    assert len(set(peaks)) == 7 and min(peaks) > 0
    assert drawn == shown(found, corpora, top=3, random=4)
    assert drawn[3:] != shown(found, corpora, top=3, random=4, seed=1)[3:]


def test_a_feature_with_fewer_contexts_than_asked_for_shows_those_it_has(corpora, tokenizer):
    found = features([[0, 1, 0, 0]], tokens=ids(tokenizer, "abcd"))
    assert len(shown(found, corpora, top=5, random=5)) == 1
    assert shown(features([[0] * 4], tokens=ids(tokenizer, "abcd")), corpora, random=2) == []


def test_hostile_tokens_come_out_as_text_and_half_a_character_as_a_mark(corpora, tokenizer):
    tokens = [*ids(tokenizer, "<&"), tokenizer.bos_token_id, tokenizer.encode("é")[0]]
    pieces, _ = shown(features([[1, 0, 0, 0]], tokens=tokens), corpora, top=1)[0]
    assert pieces == ["<", "&", "<|endoftext|>", "\ufffd"]


def test_another_feature_can_be_shown_on_the_same_text(corpora, tokenizer):
    found = features([[0, 9, 0, 0], [0, 0, 2, 0]], tokens=ids(tokenizer, "abcd"))
    where = context_positions(found, 0, top=1, random=1, seed=0)
    assert where.tolist() == [1]
    assert contexts_at(found, 1, where, corpora, 40) == [(list("abcd"), [0, 0, 2, 0])]


def test_density_is_the_share_of_each_domains_tokens():
    found = features([[1, 0, 2, 0, 0, 3]], domain=[0, 0, 1, 2, 2, 3])
    table = density_by_domain({"base": (found, 0)})
    assert table["model"].tolist() == ["base"]
    assert table[list(DOMAINS)].to_numpy().tolist() == [[0.5, 1, 0, 1]]
    found = features([[1, 0]], domain=[0, 0])
    (row,) = density_by_domain({"base": (found, 0)}).to_dict("records")
    assert [row[d] for d in DOMAINS] == [0.5, None, None, None]
