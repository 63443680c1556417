"""Classes of tokens and the chains that belong to them, by mental arithmetic."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from featrack_utils.lineage import Lineage
from tests.chapters import Chapter

CHAPTER = "case-study"
CLASSES = {
    "assignment": (["=", " =", " +=", "= "], ["==", " >=", "x=", "+"]),
    "opening quotation mark": (['"', ' "', " “", "'"], ['""', ' "a', "”"]),
    "opening bracket": (["(", " {", "[["], [")", "(x"]),
    "closing bracket": ([")", "})", "],", "):"], [" )", "(", ")x"]),
    "number": (["7", " 42"], ["v2", "4.2", ""]),
    "end of a sentence": ([".", '?"', "!"], ["x.", ",", " ."]),
    "line break": (["\n", "\n    "], [" ", "\nx"]),
    "article": ([" the", "A", " an", "The"], [" then", " I", "and"]),
    "self": (["self", " self"], ["itself", " selfish"]),
    "condition": ([" if", "else", "elseif", "If"], [" iffy", "endif"]),
    "verb of speech": ([" said", "asked"], [" says", " saidest"]),
}
LINEAGE = Lineage({"base": {"train": ["p"]}, "lua": {"parent": "base", "train": ["q"]}})
FIRST = {"base": "base-0", "lua": "lua-0"}


def features(vocabulary, *each):
    """Columns of shares on tokens, one for each feature: {token: share}."""
    shares = np.zeros((vocabulary, len(each)))
    for feature, on in enumerate(each):
        shares[list(on), feature] = list(on.values())
    return sparse.csc_matrix(shares)


def chains(base, lua):
    return pd.DataFrame({"base": base, "lua": lua, "min_r": np.linspace(0.99, 0.9, len(base))})


def chapter(table, base, lua, **given):
    shares = {"base-0": base, "lua-0": lua}
    return Chapter(
        CHAPTER,
        lineage=LINEAGE,
        root="base",
        first=FIRST,
        universal=table,
        known=SimpleNamespace(shares=shares),
        **given,
    )


def test_a_class_of_tokens_holds_what_its_name_says():
    patterns = Chapter(CHAPTER).TOKEN_CLASSES
    assert patterns.keys() == CLASSES.keys()
    for name, (inside, outside) in CLASSES.items():
        assert [text for text in inside if not re.fullmatch(patterns[name], text)] == [], name
        assert [text for text in outside if re.fullmatch(patterns[name], text)] == [], name


def test_a_chain_belongs_to_a_class_if_each_of_its_features_puts_half_there(tokenizer):
    equals, plus, letter = (tokenizer.encode(c)[0] for c in "=+x")
    base = features(len(tokenizer), {equals: 1}, {equals: 0.5, letter: 0.5}, {letter: 1})
    lua = features(len(tokenizer), {equals: 0.6, letter: 0.4}, {equals: 0.4, plus: 0.6})
    table = chains([0, 1, 2, 0], [0, 0, 0, 1])
    made = chapter(table, base, lua, corpora=SimpleNamespace(tokenizer=tokenizer))
    is_equals = np.arange(len(tokenizer)) == equals
    assert made.share_in_all(table, is_equals, FIRST.values()).tolist() == [0.6, 0.5, 0, 0.4]
    assert made.of_class("=").index.tolist() == [0, 1]
    assert made.of_class("[=+]").index.tolist() == [0, 1, 3]


def test_of_copies_the_best_linked_chain_is_kept():
    table = chains([3, 1, 0, 2], [0, 1, 2, 3])
    # Features 3 and 0 of the base are copies of each other.
    made = Chapter(CHAPTER, root="base", first=FIRST, groups={"base-0": np.array([5, 6, 7, 5])})
    assert made.distinct(table)["base"].tolist() == [3, 1, 2]


def test_features_match_where_r_exceeds_tau():
    pairs = SimpleNamespace(pairs=(np.array([0, 1]), np.array([2, 0]), np.array([0.9, 0.7])))
    matches = SimpleNamespace(
        best={("base-0", "lua-0"): pairs},
        eligible={"base-0": np.ones(2, bool), "lua-0": np.ones(3, bool)},
    )
    made = Chapter(CHAPTER, matches=matches, tau=0.8)
    assert made.linked("base-0", "lua-0").tolist() == [[False, False, True], [False] * 3]


def spread(base, lua, positions):
    """The chains by how many tokens they answer to, and what is shown of the first."""
    table, shown = chains(range(base.shape[1]), range(lua.shape[1])), []
    made = chapter(
        table,
        base,
        lua,
        each_once=table,
        matches=SimpleNamespace(positions=dict.fromkeys(FIRST.values(), np.array(positions))),
        found=dict.fromkeys(FIRST.values(), SimpleNamespace(tokens=np.zeros(1000))),
        display=lambda *each: shown.extend(each),
        members=lambda chain: int(chain["base"]),
        same_text=lambda chain: "same text",
        cards=SimpleNamespace(feature_table=lambda known, chosen: chosen),
    )
    made.run_cell("effective = [")
    return made.spread, shown


def test_equally_strong_tokens_count_as_many_as_they_are_and_unequal_ones_for_less():
    ten = dict.fromkeys(range(10), 0.1)
    uneven = {0: 0.5, 1: 0.25, 2: 0.25}  # 1.5 bits of entropy
    base = features(20, {7: 1}, ten, uneven)
    table, shown = spread(base, base, [10, 10, 10])
    assert table["tokens"].to_dict() == pytest.approx({1: 10, 2: 2**1.5, 0: 1})
    assert table.index.tolist() == [1, 2, 0]
    assert shown == [1, "same text"]


def test_a_chain_answers_to_as_many_tokens_as_the_narrowest_of_its_features():
    four, two = dict.fromkeys(range(4), 0.25), dict.fromkeys(range(2), 0.5)
    table, _ = spread(features(20, four, two), features(20, two, four), [10, 10])
    assert table["tokens"].tolist() == pytest.approx([2, 2])


def test_a_dense_feature_is_not_shown_however_many_tokens_it_answers_to():
    base = features(20, dict.fromkeys(range(20), 0.05), {0: 1})
    table, _ = spread(base, base, [101, 100])  # of a thousand tokens, at most a tenth
    assert table.index.tolist() == [1]
    nothing, shown = spread(base, base, [500, 500])
    assert nothing.empty and shown == []
