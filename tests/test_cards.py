"""How features are shown: links, chips and shaded text, read back from the HTML."""

import re

import numpy as np
import pytest
from bs4 import BeautifulSoup
from scipy import sparse

from featrack_utils.corpora.prepare import Corpora
from featrack_utils.dictionaries.features import Features
from featrack_utils.display import cards
from featrack_utils.display.shading import in_prose
from featrack_utils.interpretation.contexts import token_shares
from featrack_utils.interpretation.logit_effects import LogitEffects
from tests.chapters import Chapter

ONE, OTHER = cards.Feature("base-0", 0), cards.Feature("lua-1", 1)


def parse(html):
    return BeautifulSoup(html.data, "html.parser")


@pytest.fixture
def known(tokenizer):
    """Two dictionaries of two features on the eight letters a to h, in blocks of four."""
    letters = [tokenizer.encode(c)[0] for c in "abcdefgh"]
    acts = sparse.csr_matrix(np.float32([[0, 3, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 2, 0]]).T)
    labels = (np.arange(8) // 4, np.repeat([0, 1], 4), np.array(letters))
    found = Features(acts, *labels)
    ids = np.tile(np.int32(letters), (2, 1))
    effects = LogitEffects(ids, np.ones((2, 8)), ids[:, ::-1], -np.ones((2, 8)))
    each = {"base-0": found, "lua-1": found}
    shares = {name: token_shares(f, len(tokenizer)) for name, f in each.items()}
    corpora = Corpora({}, tokenizer, 5)
    domains = ("english", "python", "lua")
    return cards.Known(each, shares, dict.fromkeys(each, effects), corpora, domains)


def test_only_features_of_the_explorers_dictionaries_are_links():
    link = BeautifulSoup(cards.link(ONE), "html.parser").a
    assert (link["href"], link.text) == ("explorer.html#base-0", "base 0")
    assert cards.link(OTHER) == "lua 1 (seed 1)"
    dashed = cards.Feature("my-chat-0", 7)
    assert dashed.model == "my-chat" and "explorer.html#my-chat-7" in cards.link(dashed)


def test_a_token_is_shown_as_data():
    html = cards.chips(["<script>", "\n"], ["5 %", "1 %"])
    soup = BeautifulSoup(html, "html.parser")
    assert soup.script is None and soup.find("bdi").text == "<script>"
    assert soup.text == "<script> 5 % ⏎ 1 %"


def test_a_token_in_a_sentence_is_never_markup():
    hostile = ["**b**", "`", "</code><script>", "$x$", "[a](b)", " =", "{numref}`x`"]
    for piece in hostile:
        html = in_prose(piece)
        assert re.fullmatch(r"<code>(&#\d+;)+</code>", html)
        assert BeautifulSoup(html, "html.parser").text == piece.replace(" ", "·")


def cells(html):
    return [[c.text for c in row.find_all("td")] for row in parse(html).select("tbody tr")]


def test_a_table_says_what_a_feature_answers_to_where_and_what_it_raises(known):
    (one, other) = cells(cards.feature_table(known, [ONE, OTHER], {"r": [0.913, None]}))
    assert one == [
        "base 0",
        "0.91",
        "b 75 % e 25 %",
        "English 25.0 %, Python 25.0 %, Lua –",
        "a  b  c  d  e  f ",
    ]
    assert other[:3] == ["lua 1 (seed 1)", "–", "g 100 %"]
    assert other[3] == "Python 25.0 %, English 0.0 %, Lua –"


def test_two_features_are_shaded_on_the_same_text(known):
    soup = parse(cards.together(known, [ONE, OTHER], [(ONE, 1, 0), (OTHER, 1, 0)], seed=0))
    legend, *rows = soup.select("div[style*=grid]")
    assert len(rows) == 2
    first, second = ([p.text for p in row.find_all("p")] for row in rows)
    assert first == ["abcd", "abcd"] and second == ["efgh", "efgh"]
    marked = [
        [s.text for s in row.select("span[title]") if "background" in s.get("style", "")]
        for row in rows
    ]
    assert marked == [["b"], ["e", "g"]]
    assert "3, strongest" in legend.text and "2, strongest" in legend.text
    assert [a["href"] for a in legend.select("a")] == ["explorer.html#base-0"]


def test_a_foretold_example_is_shown_as_data_with_a_link_to_the_explorer():
    example = {
        "feature": 12,
        "explanation": "“<script>” 9",
        "simulation_r": 0.875,
    }
    excerpts = [(["<b>", "x"], [1.0, 0.0], [9.0, 0.0])]
    page = Chapter("interpretation").show_foretold(example, excerpts, "lua").data
    assert 'href="explorer.html#lua-12"' in page and "0.88" in page
    assert "&lt;script&gt;” 9" in page and "<script>" not in page and "<b>" not in page
