"""Explanations that a person can read: the lookup's few most telling rules, as one line of text.

A sentence such as `“ =” 9 (after “)” 4), “ in” (after “ for” 5)` names tokens, some of them only
after a certain other token, each with a strength from 1 to 9. What is simulated from it is just
that: the strength of the most specific rule named, and 0 elsewhere. So its score is the score of
what is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numba import njit

from featrack_utils.display.shading import visible
from featrack_utils.interpretation.explain.contexts import NONE
from featrack_utils.interpretation.explain.lookup import SIGHTINGS, Lookup

LONGEST = 100  # characters of a sentence
RULES = 12  # more hardly ever fit into one
LEAST = 0.01  # of what is explained already, what one more rule must add
DIGITS = 9  # the greatest strength
SILENT = "never active in the documents it is learnt from"
DIGIT, COMMA, AFTER = len(" 9"), len(", "), len(" (after )")  # what a rule costs beside its tokens
_RUN = 4  # equal characters in a row that are counted rather than shown


class Sentences(NamedTuple):
    """The sentence of every feature of one dictionary, and the rules that it names.

    Attributes:
        text: one sentence per feature.
        token, pair: of each rule; pair NONE: whatever stands before the token. Token NONE: no rule.
        strength: 1 to DIGITS.
        pair_token: as in `Text`.
    """

    text: list[str]
    token: Int[np.ndarray, "d_sae rules"]
    pair: Int[np.ndarray, "d_sae rules"]
    strength: Int[np.ndarray, "d_sae rules"]
    pair_token: Int[np.ndarray, " n_pairs"]

    def values(self, feature: int, pairs: Int[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """What the sentence says of each of some pairs, 0 to DIGITS."""
        tokens, out = self.pair_token[pairs], np.zeros(np.shape(pairs))
        rules = list(
            zip(self.token[feature], self.pair[feature], self.strength[feature], strict=True)
        )
        for token, pair, strength in rules:
            if token != NONE and pair == NONE:
                out[tokens == token] = strength
        for _, pair, strength in rules:
            if pair != NONE:
                out[pairs == pair] = strength
        return out


def quoted(piece: str) -> str:
    """A token's text between quotation marks, with nothing in it that can't be seen."""
    shown = "".join(c if c == " " else visible(c) for c in piece)
    if not shown.strip(" "):
        shown = shown.replace(" ", "·")
    if len(shown) > _RUN and len(set(shown)) == 1:
        shown = f"{shown[0]}×{len(shown)}"
    return f"“{shown}”"


def write(lookup: Lookup, vocabulary: Sequence[str]) -> Sentences:
    """The sentence of every feature; `vocabulary` gives each token's text.

    Rules are taken one at a time, each time the one that explains most of the activation's
    variance per character, as long as they fit.
    """
    names = [quoted(piece) for piece in vocabulary]
    length = np.array([len(name) for name in names])
    n_features = len(lookup.mean)
    shape = (n_features, RULES)
    token, pair = np.full(shape, NONE, np.int32), np.full(shape, NONE, np.int32)
    mean = np.zeros(shape)
    for feature in range(n_features):
        _take_rules(
            *_row(lookup.by_token, feature),
            *_row(lookup.by_pair, feature),
            lookup.n_token,
            lookup.n_pair,
            lookup.pair_token,
            lookup.pair_previous,
            length,
            token[feature],
            pair[feature],
            mean[feature],
        )
    highest = mean.max(axis=1, keepdims=True, initial=0)
    share = np.divide(mean, highest, out=np.zeros(shape), where=highest > 0)
    strength = np.maximum(np.rint(DIGITS * share), 1).astype(np.int8)
    texts = [
        _text(names, lookup.pair_previous, *rules)
        for rules in zip(token, pair, strength, strict=True)
    ]
    return Sentences(texts, token, pair, strength, lookup.pair_token)


def _row(table, feature: int) -> tuple[np.ndarray, np.ndarray]:
    stretch = slice(table.indptr[feature], table.indptr[feature + 1])
    return table.indices[stretch], table.data[stretch]


@njit(cache=True)
def _take_rules(
    tokens,
    token_sums,
    pairs,
    pair_sums,
    n_token,
    n_pair,
    pair_token,
    pair_previous,
    length,
    rule_token,
    rule_pair,
    rule_mean,
):
    """Fills one feature's rules: token, pair (NONE: of the token alone), expected activation."""
    room, explained = LONGEST + 2, 0.0  # the last rule needs no comma and space
    for k in range(rule_token.size):
        best, best_token, best_pair, best_mean, best_size = 0.0, NONE, NONE, 0.0, 0
        for c in range(tokens.size):
            t, n, s, taken, named = tokens[c], n_token[tokens[c]], token_sums[c], False, False
            for j in range(k):
                if rule_token[j] == t:
                    named = True
                    if rule_pair[j] == NONE:
                        taken = True
                    else:  # what a rule for a pair says is taken out of its token's
                        n -= n_pair[rule_pair[j]]
                        s -= (n_pair[rule_pair[j]] + SIGHTINGS) * rule_mean[j]
            size = DIGIT if named else length[t] + DIGIT + COMMA
            if taken or n <= 0 or size > room:
                continue
            mean = s / (n + SIGHTINGS)
            gain = n * mean * mean
            if gain > best * size and mean > 0 and gain > LEAST * explained:
                best, best_token, best_pair, best_mean, best_size = gain / size, t, NONE, mean, size
        for c in range(pairs.size):
            p = pairs[c]
            t, now, taken, named, opened = pair_token[p], 0.0, pair_previous[p] < 0, False, False
            for j in range(k):
                if rule_token[j] == t:
                    named = True
                    if rule_pair[j] == NONE:
                        now = rule_mean[j]
                    else:
                        opened = True
                        taken |= rule_pair[j] == p
            if taken:
                continue
            size = length[pair_previous[p]] + DIGIT + COMMA
            size += 0 if opened else AFTER - COMMA
            size += 0 if named else length[t] + COMMA
            if size > room:
                continue
            mean = (pair_sums[c] + SIGHTINGS * now) / (n_pair[p] + SIGHTINGS)
            gain = n_pair[p] * (mean - now) ** 2
            if gain > best * size and gain > LEAST * explained:
                best, best_token, best_pair, best_mean, best_size = gain / size, t, p, mean, size
        if best_token == NONE:
            return
        rule_token[k], rule_pair[k], rule_mean[k] = best_token, best_pair, best_mean
        room -= best_size
        explained += best * best_size


def _text(
    names: Sequence[str],
    previous: np.ndarray,
    tokens: np.ndarray,
    pairs: np.ndarray,
    strengths: np.ndarray,
) -> str:
    alone: dict[int, str] = {}
    after: dict[int, list[str]] = {}
    for token, pair, strength in zip(tokens, pairs, strengths, strict=True):
        if token != NONE and pair == NONE:
            alone[token] = f" {strength}"
        elif token != NONE:
            after.setdefault(token, []).append(f"{names[previous[pair]]} {strength}")
    rules = []
    for token in dict.fromkeys(tokens[tokens != NONE].tolist()):
        others = f" (after {', '.join(after[token])})" if token in after else ""
        rules.append(names[token] + alone.get(token, "") + others)
    return ", ".join(rules) or SILENT
