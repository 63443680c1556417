"""Explanations that a person can read: the lookup's few most telling rules, as one line of text.

An explanation such as `“ =” 9 (after “)” 4), “ in” (after “ for” 5)` names tokens, some of them
only after a certain other token, each with a strength from 1 to 9. What is simulated from it is
just that: the strength of the most specific rule named, and 0 elsewhere. So its score is the score
of what is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from featrack_utils.interpretation.explain.excerpts import NONE
from featrack_utils.interpretation.explain.lookup import SIGHTINGS, Lookup
from featrack_utils.interpretation.visible import visible

LONGEST = 100  # characters of an explanation
MOST_RULES = 12  # more hardly ever fit into one
LEAST = 0.01  # of what is explained already, what one more rule must add
STRONGEST = 9
SILENT = "never active in the documents it is learnt from"
DIGIT, COMMA, AFTER = len(" 9"), len(", "), len(" (after )")  # what a rule costs beside its tokens
_RUN = 4  # equal characters in a row that are counted rather than shown


class Rule(NamedTuple):
    """A token, or a pair of tokens, and how active the feature is there."""

    token: int
    pair: int  # NONE: whatever stands before the token
    strength: float  # a mean while rules are chosen, 1 to STRONGEST as written


class Explanations(NamedTuple):
    """The written explanation of every feature of one dictionary, and the rules that it names."""

    text: list[str]
    rules: list[list[Rule]]
    pair_token: Int[np.ndarray, " n_pairs"]

    def values(self, feature: int, pairs: Int[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """What the explanation says of each of some pairs, 0 to STRONGEST."""
        tokens, out = self.pair_token[pairs], np.zeros(np.shape(pairs))
        # A rule for a pair is more specific than one for its token alone, so it comes later.
        for rule in sorted(self.rules[feature], key=lambda rule: rule.pair != NONE):
            there = tokens == rule.token if rule.pair == NONE else pairs == rule.pair
            out[there] = rule.strength
        return out


def quoted(piece: str) -> str:
    """A token's text between quotation marks, with nothing in it that can't be seen."""
    shown = "".join(c if c == " " else visible(c) for c in piece)
    if not shown.strip(" "):
        shown = shown.replace(" ", "·")
    if len(shown) > _RUN and len(set(shown)) == 1:
        shown = f"{shown[0]}×{len(shown)}"
    return f"“{shown}”"


def write_explanations(lookup: Lookup, vocabulary: Sequence[str]) -> Explanations:
    """The explanation of every feature; `vocabulary` gives each token's text."""
    names = [quoted(piece) for piece in vocabulary]
    lengths = np.array([len(name) for name in names])
    rules = [_with_strengths(choose_rules(lookup, f, lengths)) for f in range(len(lookup.mean))]
    text = [_text(names, lookup.pair_previous, each) for each in rules]
    return Explanations(text, rules, lookup.pair_token)


def choose_rules(lookup: Lookup, feature: int, lengths: Int[np.ndarray, " vocab"]) -> list[Rule]:
    """One feature's most telling rules, their strengths as mean activations.

    Rules are taken one at a time, each time the one that explains most of the activation's squares
    per character of `lengths`, as long as they fit into LONGEST.
    """
    tokens, token_sums = _row(lookup.by_token, feature)
    pairs, pair_sums = _row(lookup.by_pair, feature)
    inside = lookup.pair_previous[pairs] != NONE
    pairs, pair_sums = pairs[inside], pair_sums[inside]
    token_of = np.searchsorted(tokens, lookup.pair_token[pairs])  # place of each pair's token
    n_tokens, n_pairs = lookup.n_token[tokens].astype(float), lookup.n_pair[pairs]
    token_length, previous_length = lengths[tokens], lengths[lookup.pair_previous[pairs]]

    token_taken, pair_taken = np.zeros(tokens.size, bool), np.zeros(pairs.size, bool)
    opened = np.zeros(tokens.size, bool)  # "(after …)" stands behind the token already
    said = np.zeros(tokens.size)  # activation that the token's own rule gives
    rules: list[Rule] = []
    room, explained = LONGEST + COMMA, 0.0  # the last rule needs no comma
    while len(rules) < MOST_RULES:
        named = token_taken | opened
        token_means = token_sums / (n_tokens + SIGHTINGS)
        token_gains = n_tokens * np.maximum(token_means, 0) ** 2
        token_sizes = DIGIT + np.where(named, 0, token_length + COMMA)
        token_gains[token_taken] = 0

        before = said[token_of]
        pair_means = (pair_sums + SIGHTINGS * before) / (n_pairs + SIGHTINGS)
        pair_gains = n_pairs * (pair_means - before) ** 2
        pair_sizes = previous_length + DIGIT + np.where(opened[token_of], COMMA, AFTER)
        pair_sizes = pair_sizes + np.where(named[token_of], 0, token_length[token_of] + COMMA)
        pair_gains[pair_taken] = 0

        gains = np.concatenate([token_gains, pair_gains])
        sizes = np.concatenate([token_sizes, pair_sizes])
        fits = (sizes <= room) & (gains > LEAST * explained)
        worth = np.where(fits, gains / sizes, 0)
        best = int(worth.argmax()) if worth.size else 0
        if not worth.size or worth[best] <= 0:
            break
        if best < tokens.size:
            rules.append(Rule(int(tokens[best]), NONE, token_means[best]))
            token_taken[best], said[best] = True, token_means[best]
        else:
            pair = best - tokens.size
            of, mean = token_of[pair], pair_means[pair]
            rules.append(Rule(int(tokens[of]), int(pairs[pair]), mean))
            pair_taken[pair] = opened[of] = True
            # What a rule for a pair says is taken out of its token's.
            n_tokens[of] -= n_pairs[pair]
            token_sums[of] -= (n_pairs[pair] + SIGHTINGS) * mean
        room -= sizes[best]
        explained += gains[best]
    return rules


def _row(table: sparse.csr_matrix, feature: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a feature's row isn't empty, in order, and its values."""
    stretch = slice(table.indptr[feature], table.indptr[feature + 1])
    return table.indices[stretch], table.data[stretch].copy()


def _with_strengths(rules: list[Rule]) -> list[Rule]:
    """The same rules with strengths from 1 to STRONGEST in place of mean activations."""
    highest = max((rule.strength for rule in rules), default=0)
    return [
        rule._replace(strength=max(round(STRONGEST * rule.strength / highest), 1)) for rule in rules
    ]


def _text(names: Sequence[str], previous: np.ndarray, rules: list[Rule]) -> str:
    alone, after = {}, {}
    for rule in rules:
        if rule.pair == NONE:
            alone[rule.token] = f" {rule.strength}"
        else:
            before = names[previous[rule.pair]]
            after.setdefault(rule.token, []).append(f"{before} {rule.strength}")
    parts = []
    for token in dict.fromkeys(rule.token for rule in rules):
        others = f" (after {', '.join(after[token])})" if token in after else ""
        parts.append(names[token] + alone.get(token, "") + others)
    return ", ".join(parts) or SILENT
