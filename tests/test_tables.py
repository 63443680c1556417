import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from featrack_utils.display.shading import ShadedFeature, shade, token_html
from featrack_utils.display.tables import format_cell, show_table
from featrack_utils.statistics.intervals import Interval
from tests.browser import BROWSER, DRIVER, PHONE, open_browser, visit

HOSTILE = ["<script>document.title='hacked'</script>", '"><b>', "&amp;", "\u202e", "\x00", "\n"]


def parse(html):
    return BeautifulSoup(html.data, "html.parser")


def test_numbers_stand_right_and_text_left_without_the_index():
    soup = parse(show_table(pd.DataFrame({"model": ["Base"], "L0": [33.25]}), {"L0": ".1f"}))
    cells = soup.find_all("td")
    assert [cell.text for cell in cells] == ["Base", "33.2"]
    assert [cell["style"] for cell in cells] == ["text-align: left", "text-align: right"]


@pytest.mark.parametrize(
    ("value", "spec", "text"),
    [
        (1234, None, "1,234"),
        (0.5, None, "0.500"),
        (0.213, ".1%", "21.3 %"),
        (-0.0001, ".1%", "0.0 %"),
        (-0.031, ".1pt", "−3.1"),
        (-2, None, "−2"),
        (float("nan"), ".1f", "–"),
        (None, None, "–"),
        (True, None, "yes"),
        (np.int64(7), None, "7"),
        ("a-b", None, "a-b"),
        (Interval(0.482, 0.447, 0.512), ".1%", "48.2 % [44.7, 51.2]"),
        (Interval(0.482, 0.447, None), ".1%", "48.2 %"),
    ],
)
def test_cells_read_well(value, spec, text):
    assert format_cell(value, spec) == text


def test_cells_captions_and_notes_are_escaped():
    html = show_table(pd.DataFrame({"<i>": ["<b>"]}), caption="<u>", notes={"<i>": "<s>"})
    soup = parse(html)
    assert soup.find(["i", "b", "u", "s"]) is None
    assert soup.td.text == "<b>"
    assert soup.find(class_="featrack-caption").text == "<u>"


def test_a_cell_shows_what_cannot_be_seen_as_signs_but_keeps_spaces_and_line_ends():
    text = "a\u202eb\x1b[0m\x00 c\nd 5\u00a0%"
    (cell,) = parse(show_table(pd.DataFrame({"text": [text]}))).find_all("td")
    assert cell.text == "a⟨U+202E⟩b␛[0m␀ c\nd 5\u00a0%"


def test_a_figure_takes_its_interval_into_its_cell():
    df = pd.DataFrame(
        {
            "pair": ["a", "b", "c"],
            "ratio": [0.482, np.nan, 0.5],
            "ratio.ci_low": [0.447, 0.1, np.nan],
            "ratio.ci_high": [0.512, 0.2, 0.6],
            "gain.ci_low": 0.0,
        }
    )
    soup = parse(show_table(df, {"ratio": ".1%"}))
    assert [th.text for th in soup.find_all("th")] == ["pair", "ratio", "gain.ci_low"]
    again = df.assign(ratio=list(map(Interval, *df.filter(like="ratio").to_numpy().T)))
    again = again.drop(columns=["ratio.ci_low", "ratio.ci_high"])
    assert parse(show_table(again, {"ratio": ".1%"})) == soup
    cells = [td.text for td in soup.find_all("td")][1::3]
    assert cells == ["48.2 % [44.7, 51.2]", "–", "50.0 %"]
    assert "right" in soup.find_all("td")[1]["style"]


@pytest.mark.parametrize(
    ("token", "text"),
    [
        (" the", " the"),
        ("\n", "⏎"),
        ("  x ", "··x·"),
        (" ", "·"),
        ("a b", "a b"),
        ("\t", "⇥"),
        ("\x00", "␀"),
        ("\x7f", "␡"),
        ("\u202e", "⟨U+202E⟩"),
        ("\ufeff", "⟨U+FEFF⟩"),
        ("", "∅"),
        ("\u0301", "◌\u0301"),
        ("<b>&amp;", "<b>&amp;"),
    ],
)
def test_what_cannot_be_seen_is_shown_as_a_sign(token, text):
    assert BeautifulSoup(token_html(token), "html.parser").text == text


def test_shade_grows_with_activation_and_the_strongest_token_is_underlined():
    feature = ShadedFeature("", [(["a", "b", "c"], [0.0, 1.0, 2.0])], 2.0, "#0072B2")
    spans = parse(shade(feature)).select("[title]")
    assert [span["title"] for span in spans] == ["0", "1", "2"]
    assert spans[0].get("style") is None
    assert "#0072B259" in spans[1]["style"]
    assert "#0072B2b2" in spans[2]["style"]
    assert "underline" in spans[2]["style"]


def test_contexts_share_one_legend():
    soup = parse(shade(ShadedFeature("", [(["a"], [1.0]), (["b"], [0.0])], 1.0, "#0072B2")))
    assert soup.text.count("activation 0") == 1
    assert "underline" not in soup.find(title="0").get("style", "")


@pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs Chromium and its driver")
def test_a_browser_shows_hostile_tokens_as_data_and_wraps_them_on_a_phone(tmp_path):
    tokens = HOSTILE * 20
    acts = list(range(len(tokens)))
    strip = shade(ShadedFeature("", [(tokens, acts)], float(len(tokens)), "#D55E00")).data
    page = tmp_path / "page.html"
    page.write_text(
        f"<!doctype html><meta charset=utf-8><title>safe</title><main>{strip}</main>", "utf-8"
    )
    with open_browser() as driver:
        report = visit(driver, page, PHONE)
        assert driver.title == "safe"
        assert report.problems() == []
        shown = driver.execute_script(
            "return [...document.querySelectorAll('[title] bdi')].map(e => e.textContent);"
        )
    assert shown[: len(HOSTILE)] == [*HOSTILE[:3], "⟨U+202E⟩", "␀", "⏎"]
