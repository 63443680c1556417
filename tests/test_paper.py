"""The table beside the paper: its cells, its missing ones, and what it refuses."""

import math

from bs4 import BeautifulSoup

from featrack_utils.display.paper import PAPER, Row, beside_paper
from featrack_utils.statistics.intervals import Interval


def cells(html) -> list[list[str]]:
    rows = BeautifulSoup(html.data, "html.parser").find_all("tr")
    return [[cell.get_text(" ") for cell in row.find_all(["th", "td"])] for row in rows]


def test_ours_stands_beside_the_papers_figure_in_the_same_format():
    row = ("base.accuracy", "accuracy", (0.5, 0.45, 0.55), 0.75, "other text")
    header, line = cells(beside_paper([row]))
    assert header == ["what", "paper", "ours (95 % interval)", "ceiling", "why they differ"]
    assert line[1:] == ["41.9 %", "50.0 % [45.0, 55.0]", "75.0 %", "other text"]
    assert line[0] == f"accuracy {PAPER['base.accuracy'].source}"


def test_rows_of_different_kinds_keep_their_own_formats():
    table = cells(beside_paper([("base.loss", "loss", 3.0), ("sae.expansion", "width", 8.0)]))
    assert [row[1:] for row in table] == [["paper", "ours"], ["3.103", "3.000"], ["16", "8"]]


def test_figures_that_are_missing_are_dashes_and_columns_that_are_empty_go():
    rows = [Row("track.tau", "τ", 0.8, why="none"), Row(None, "share <i>", None, 0.29, spec=".0%")]
    header, first, second = cells(beside_paper(rows))
    assert header == ["what", "paper", "ours", "ceiling", "why they differ"]
    assert first[1:] == ["0.8", "0.8", "–", "none"]
    assert second == ["share <i>", "–", "–", "29 %", "–"]
    assert "paper" not in cells(beside_paper([rows[1]]))[0]


def test_numbers_stand_right():
    soup = BeautifulSoup(beside_paper([("base.loss", "loss", 3.0)]).data, "html.parser")
    assert ["right" in td["style"] for td in soup.find_all("td")] == [False, True, True]


def test_an_interval_that_isnt_defined_is_left_out():
    header, line = cells(beside_paper([("base.loss", "loss", Interval(3, math.nan, math.nan))]))
    assert header == ["what", "paper", "ours"] and line[2] == "3.000"


def test_every_figure_says_where_it_is_from():
    assert all(figure.source for figure in PAPER.values())
    assert PAPER["merge.t"].value == 0.58
