"""How features are shown: links, chips and shaded text, read back from the HTML."""

import numpy as np
import pytest
from bs4 import BeautifulSoup
from scipy import sparse

from featrack_utils.corpora.prepare import Corpora
from featrack_utils.dictionaries.features import Features
from featrack_utils.display import cards, caseplots
from featrack_utils.display.shading import Side, shade_side_by_side
from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation.examples import token_shares
from featrack_utils.interpretation.logit_effects import LogitEffects, Writing

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
    return cards.Known(each, shares, dict.fromkeys(each, effects), Corpora({}, tokenizer, 5))


def test_only_features_of_the_explorers_dictionaries_are_links():
    link = BeautifulSoup(cards.link(ONE), "html.parser").a
    assert (link["href"], link.text) == ("explorer.html#base-0", "base 0")
    assert cards.link(OTHER) == "lua 1 (seed 1)"


def test_a_token_is_shown_as_data():
    html = cards.chips(["<script>", "\n"], ["5 %", "1 %"])
    soup = BeautifulSoup(html, "html.parser")
    assert soup.script is None and soup.find("bdi").text == "<script>"
    assert soup.text == "<script> 5 % ⏎ 1 %"


def cells(html):
    return [[c.text for c in row.find_all("td")] for row in parse(html).select("tbody tr")]


def test_the_table_says_what_a_feature_answers_to_and_where(known):
    (one, other) = cells(cards.where_table(known, [ONE, OTHER]))
    assert one == ["base 0", "b 75 % e 25 %", "25.00 %", "25.00 %", "–", "–"]
    assert other == ["lua 1 (seed 1)", "g 100 %", "0.00 %", "25.00 %", "–", "–"]


def test_the_table_of_effects_names_six_tokens_each_way(known):
    assert cells(cards.logit_table(known, [ONE])) == [
        ["base 0", "a  b  c  d  e  f ", "h  g  f  e  d  c "]
    ]


def test_two_features_are_shaded_on_the_same_text(known):
    soup = parse(cards.together(known, [ONE, OTHER], [1, 6], 24))
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


def test_how_a_match_differs_is_said_in_words_and_numbers(known):
    eye = Writing(np.eye(2), np.eye(2), np.eye(2))
    html = cards.differences(known, {"base-0": eye, "lua-1": eye}, ONE, OTHER)
    assert parse(html).p.text == "Closest match: lua 1 (seed 1). What differs: other places."
    r = np.corrcoef([0, 3, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 2, 0])[0, 1]
    assert cells(html) == [
        [f"{r:.2f}".replace("-", "−"), "0.00", "1.00", "0.00", "–", "0.00", "0.00"]
    ]


def test_features_side_by_side_need_as_many_contexts_each():
    side = Side("a", [(["x"], [1.0])], 1.0, "#0072B2")
    with pytest.raises(FeatrackError, match=r"as many contexts each, but got \[0, 1\]"):
        shade_side_by_side([side, side._replace(contexts=[])])
    with pytest.raises(FeatrackError, match="peak activation above zero"):
        shade_side_by_side([side._replace(peak=0.0)])


def test_lines_and_headings_are_escaped():
    for html in (cards.line("a < b"), cards.heading("a < b"), cards.code("a < b")):
        assert parse(html).text == "a < b"
    assert parse(cards.titled(ONE)).text == "Base: base 0"


def test_the_curve_counts_features_below_each_correlation():
    figure = caseplots.how_many_below(
        {"Lua": [0.9, 0.2, 0.5], "third of the base": [1.0], "untouched": [0.9]}, 0.8, 0.5
    )
    (axis,) = figure.axes
    lua, third = axis.lines[:2]
    assert lua.get_xdata().tolist() == [0.2, 0.5, 0.9] and lua.get_ydata().tolist() == [1, 2, 3]
    assert (lua.get_color(), third.get_color()) == ("#D55E00", "black")
    assert [line.get_linestyle() for line in axis.lines[:3]] == ["-", "-", "--"]
    assert axis.get_yscale() == "log"
    assert len(figure.legends) == 1 and not caseplots.how_many_below({}, 0.8, 0.5).legends
    (nothing,) = caseplots.how_many_below({"Lua": []}, 0.8, 0.5).axes
    assert nothing.texts[-1].get_text() == "no feature to seek"
