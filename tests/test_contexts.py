"""Contexts, positions and shares on features whose activations are written out by hand."""

import re

import numpy as np
import pytest
from scipy import sparse

from featrack_utils.corpora.prepare import Corpora
from featrack_utils.dictionaries.features import Features
from featrack_utils.interpretation.contexts import (
    WIDTH,
    by_feature,
    contexts_at,
    densities,
    positions_of,
    strongest_positions,
    strongest_tokens,
    token_shares,
    tokens_matching,
    vocabulary,
    window,
)
from tests.chapters import Chapter

EXPLORER = Chapter("explorer")


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


def test_token_shares_add_up_to_one_and_a_dead_feature_has_none():
    found = features([[3, 0, 1, 0], [0, 2, 0, 0], [0, 0, 0, 0]], tokens=[5, 6, 7, 5])
    shares = token_shares(found, 10)
    assert shares.sum(axis=0).tolist() == [[1, 1, 0]]
    assert shares[5, 0] == 0.75 and shares[7, 0] == 0.25


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


def shown(found, corpora, *, top=2, random=0, seed=0):
    positions = positions_of(found, 0, top=top, random=random, seed=seed)
    return contexts_at(found, 0, positions, corpora)


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


def test_a_context_never_leaves_its_block(tokenizer):
    found = features(
        [[0] * 10 + [5] + [0] * 19], tokens=ids(tokenizer, "abcdefghijklmnopqrstuvwxyzabcd")
    )
    wide = Corpora({}, tokenizer, context=16)
    assert "".join(shown(found, wide, top=1)[0][0]) == "abcdefghijklmno"


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
    where = positions_of(found, 0, top=1, random=1, seed=0)
    assert where.tolist() == [1]
    assert contexts_at(found, 1, where, corpora) == [(list("abcd"), [0, 0, 2, 0])]


def test_density_is_the_share_of_each_kinds_tokens_and_undefined_without_any():
    columns = by_feature(features([[1, 0, 2, 0, 0, 3]]).acts)
    found = densities(columns, np.array([0, 0, 1, 2, 2, 3]), 5)
    assert found[:4, 0].tolist() == [0.5, 1, 0, 1] and np.isnan(found[4, 0])
    assert EXPLORER.peaks(columns).tolist() == [3]


def columns(*activations) -> sparse.csc_matrix:
    return sparse.csc_matrix(np.array(activations, dtype=np.float32).T)


def test_the_strongest_come_first_and_each_from_another_document():
    acts = columns([1, 9, 0, 8, 3, 0], [0, 0, 0, 0, 0, 0], [2, 2, 0, 0, 2, 0])
    origin = np.array([0, 0, 0, 0, 1, 2])
    assert strongest_positions(acts, origin, 3).tolist() == [
        [1, 4, -1],
        [-1, -1, -1],
        [0, 4, -1],
    ]
    assert strongest_positions(acts, origin, 1).tolist() == [[1], [-1], [0]]


@pytest.fixture(scope="module")
def random_acts():
    rng = np.random.default_rng(0)
    dense = rng.integers(1, 9, (400, 30)) * (rng.random((400, 30)) < rng.random(30) ** 2)
    return dense.astype(np.float32), rng.integers(0, 25, 400)


def test_any_activations_give_what_sorting_gives(random_acts):
    dense, origin = random_acts
    found = strongest_positions(sparse.csc_matrix(dense), origin, 4)
    for feature, row in enumerate(found):
        ranked = sorted(np.flatnonzero(dense[:, feature]), key=lambda p: -dense[p, feature])
        expected = []
        for position in ranked:
            if origin[position] not in origin[expected]:
                expected.append(position)
        assert row[row >= 0].tolist() == expected[:4]


def packed_contexts(acts, origin, seed):
    """As the explorer's chapter packs them, in blocks of 100 positions."""
    return Chapter("explorer", context=101, seed=seed).packed_contexts(by_feature(acts), origin)


def drawn(acts, seed):
    """The centres of each feature's random contexts."""
    packed = packed_contexts(acts, np.arange(acts.shape[0]), seed)
    return [[centre for centre, _ in one["r"]] for one in packed]


def test_random_positions_are_active_and_none_is_drawn_twice(random_acts):
    dense, _ = random_acts
    for feature, row in enumerate(drawn(sparse.csc_matrix(dense), seed=1)):
        active = np.flatnonzero(dense[:, feature])
        assert set(row) <= set(active)
        assert len(set(row)) == len(row) == min(EXPLORER.DRAWN, len(active))


def test_every_active_position_is_equally_likely_to_be_drawn():
    acts = columns(*[[0, 5, 0, 1, 1, 1, 2]] * 6000)
    counts = np.bincount(np.ravel(drawn(acts, seed=0)), minlength=7)
    assert counts[[0, 2]].tolist() == [0, 0]
    np.testing.assert_allclose(counts[[1, 3, 4, 5, 6]], 3600, rtol=0.05)


def test_the_seed_fixes_the_draw(random_acts):
    acts = sparse.csc_matrix(random_acts[0])
    assert drawn(acts, seed=7) == drawn(acts.tocsr(), seed=7) != drawn(acts, seed=8)


def test_a_stored_zero_is_not_active():
    acts = by_feature(sparse.csc_matrix((np.float32([0, 2]), [0, 1], [0, 2]), shape=(3, 1)))
    assert strongest_positions(acts, np.arange(3), 2).tolist() == [[1, -1]]
    assert drawn(acts, seed=0) == [[1]]


def test_a_histogram_has_ten_equal_bins_up_to_the_peak():
    acts = columns([0, 0.5, 1, 9.9, 10, 4])
    by_hand = by_feature(acts)
    assert EXPLORER.histograms(by_hand).tolist() == [[1, 1, 0, 0, 1, 0, 0, 0, 0, 2]]


def test_packed_contexts_hold_the_activations_around_their_centres(random_acts):
    dense, origin = random_acts
    packed = packed_contexts(sparse.csc_matrix(dense), origin, seed=0)
    for feature, one in enumerate(packed):
        centres = [centre for centre, _ in one["c"]]
        strongest = dense[centres, feature]
        assert (np.diff(strongest) <= 0).all() and (strongest > 0).all()
        assert len(set(origin[centres])) == len(centres)
        for centre, pairs in one["c"] + one["r"]:
            left, right = window(centre, 100)
            shown = np.zeros(right - left)
            shown[pairs[::2]] = pairs[1::2]
            expected = dense[left:right, feature] / dense[:, feature].max()
            np.testing.assert_allclose(shown / 255, expected, atol=1 / 250)


def test_a_window_has_fifteen_positions_before_and_eight_after_inside_its_block():
    assert WIDTH == 24
    assert window(50, 100) == (35, 59)
    assert window(104, 100) == (100, 113)
    assert window(198, 100) == (183, 200)


def test_pieces_of_characters_are_shown_as_bytes_and_all_else_as_text(tokenizer):
    pieces = vocabulary(tokenizer)
    for number, piece in enumerate(pieces):
        text = tokenizer.decode([number])
        assert piece == text or (
            "\ufffd" in text and re.fullmatch(r"(⟨0x[89A-F][0-9A-F]⟩)+", piece)
        )
    assert {"⟨0xE2⟩", "<|endoftext|>", " ", "\n", "\x00", " the"} <= set(pieces)
