"""The threshold that a reader moves: its numbers against those counted, in a real browser."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from featrack_utils.display import flow_figure, shareplots, style
from featrack_utils.lineage import Lineage
from featrack_utils.statistics.intervals import Shares
from featrack_utils.statistics.persistence import Persistence
from tests.browser import BROWSER, DRIVER, open_browser, set_window

STATIC = Path(__file__).resolve().parents[1] / "book" / "_static"
TAUS = (0.5, 0.8, 0.9)
# No script of the page's own, none from elsewhere, no style in an attribute of the markup.
STRICT = "default-src 'none'; script-src 'self' file:; style-src 'self' file:"


def shares(*estimates):
    """A share at each of three thresholds whose draws lie five points around it."""
    estimate = np.array(estimates)
    draws = estimate + np.linspace(-0.05, 0.05, 21)[:, None]
    return Shares(np.array(TAUS), estimate, draws)


@pytest.fixture(scope="module")
def kept():
    full = Persistence(
        shares(0.5, 0.3, 0.1), shares(0.8, 0.5, 0.3), {"random_mlp": shares(0.3, 0.2, 0.05)}, 0.8
    )
    return {
        ("root", "<b>child</b>"): full,
        ("root", "none"): full._replace(ceilings=shares(*[np.nan] * 3)),
    }


LINEAGE = Lineage({"root": {"train": ["text"]}, "child": {"parent": "root", "train": ["more"]}})
MATCHED = {0.5: 75, 0.8: 50, 0.9: 25}  # of a hundred features, by threshold


@pytest.fixture(scope="module")
def flow():
    """The flow of a hundred features at each threshold, as the chapter on tracking keeps it."""
    style.use_style(LINEAGE)
    ends = lambda n: {"from root": n - 5, "fused": 5, "disappearing": 100 - n}  # noqa: E731
    rows = [
        (tau, "root", "eligible", "child", name, volume)
        for tau, n in MATCHED.items()
        for name, volume in ends(n).items()
    ]
    columns = "tau source_stage source_class target_stage target_class volume"
    return pd.DataFrame(rows, columns=columns.split())


@pytest.fixture(scope="module")
def browser(kept, flow, tmp_path_factory):
    if not (BROWSER and DRIVER):
        pytest.skip("no Chromium with its driver here")
    folder = tmp_path_factory.mktemp("tau")
    for name in ("tau.js", "custom.css"):
        shutil.copy(STATIC / name, folder)
    page = folder / "page.html"
    curves = shareplots.at_thresholds(kept, 0.8) | flow_figure.moving_flow(flow, LINEAGE, "fig-a")
    page.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>τ</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{STRICT}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="custom.css"><script src="tau.js" defer></script></head>'
        '<body><figure id="fig-a"><img alt="Flow &lt;b&gt;"></figure>'
        f"{shareplots.moving_threshold(0.8, curves).data}</body></html>",
        "utf-8",
    )
    with open_browser() as driver:
        driver.get(page.as_uri())
        yield driver


def numbers(browser, place):
    row = browser.find_elements(By.CSS_SELECTOR, ".featrack-tau-pair")[place]
    return [cell.text for cell in row.find_elements(By.TAG_NAME, "dd")]


def slide(browser, keys):
    slider = browser.find_element(By.CSS_SELECTOR, ".featrack-tau input")
    slider.send_keys(keys)
    return slider


def test_the_page_holds_every_threshold_with_its_interval(kept):
    page = shareplots.moving_threshold(0.8, shareplots.at_thresholds(kept, 0.8))
    made = BeautifulSoup(page.data, "html.parser").div
    curves = json.loads(made["data-curves"])
    assert (curves["taus"], curves["tau"]) == ([0.5, 0.8, 0.9], 0.8)
    full, bare = curves["pairs"]
    each = kept["root", "<b>child</b>"]
    for name, figure in (("share", each.share), ("ceiling", each.ceiling)):
        expected = [list(figure(t)) for t in TAUS]
        assert np.allclose(full[name], expected, atol=1e-4)
    # (share − floor) / (ceiling − floor), in one's head
    assert [one[0] for one in full["rescaled"]] == pytest.approx([0.4, 0.3333, 0.2], abs=1e-4)
    assert bare["rescaled"] == bare["ceiling"] == [[None] * 3] * 3
    assert "slider stands here" in made.text
    nothing = {("root", "none"): each._replace(shares=shares(*[np.nan] * 3))}
    assert shareplots.at_thresholds(nothing, 0.8)["pairs"] == []


def test_it_begins_at_the_threshold_used_elsewhere_and_says_so(browser):
    slider = slide(browser, Keys.HOME + Keys.ARROW_RIGHT)
    assert slider.get_attribute("aria-valuetext") == "τ = 0.80" and slider.accessible_name
    assert browser.find_element(By.TAG_NAME, "output").text == "0.80, as elsewhere"
    assert numbers(browser, 0) == [
        "20 % [15, 25]",
        "30 % [25, 35]",
        "50 % [45, 55]",
        "33 % [33, 33]",
    ]
    assert numbers(browser, 1)[2:] == ["–", "–"]


def test_keys_move_it_and_the_marks_follow(browser):
    def left(name):
        mark = browser.find_element(By.CSS_SELECTOR, f".featrack-tau-{name}")
        return browser.execute_script(
            "return parseFloat(arguments[0].style.getPropertyValue('--from'))", mark
        )

    slide(browser, Keys.END)
    assert numbers(browser, 0)[1].startswith("10 %")
    assert (left("floor"), left("share"), left("ceiling")) == (5, 10, 30)
    slide(browser, Keys.HOME)
    assert (left("floor"), left("share"), left("ceiling")) == (30, 50, 80)


def test_the_flow_diagram_moves_in_its_figure_s_place_and_is_the_static_one(browser, flow):
    picture = browser.find_element(By.CSS_SELECTOR, "#fig-a svg")
    assert not browser.find_elements(By.TAG_NAME, "img")
    for keys, (tau, rows) in zip(
        (Keys.HOME, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT), flow.groupby("tau"), strict=True
    ):
        slide(browser, keys)
        axis = flow_figure.flow_diagram(rows, LINEAGE).axes[0]
        labels = [e.text for e in picture.find_elements(By.TAG_NAME, "text")]
        assert labels == [text.get_text() for text in axis.texts]
        said = f"Flow <b>, at τ = {tau:.2f}: {', '.join(labels)}"
        assert picture.accessible_name == said and f"Child, from root {MATCHED[tau] - 5}" in labels
        scale = np.array([360 / (axis.get_xlim()[1] + 0.03), 389 / 1.02])
        ribbons = [p.get_path().vertices for p in axis.patches if p.get_alpha() is not None]
        for path, around in zip(picture.find_elements(By.TAG_NAME, "path"), ribbons, strict=True):
            middle = (around[1:49] + around[98:50:-1]) / 2
            beside = np.array([0, 0.003]) + around[98:50:-1]
            found = browser.execute_script(
                "const [path, points] = arguments;"
                "return points.map(([x, y]) => path.isPointInFill(new DOMPoint(x, y)));",
                path,
                ((np.array([0.03, 0.01]) + np.concatenate([middle, beside])) * scale).tolist(),
            )
            assert found == [True] * 48 + [False] * 48


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_shows_it_whole_and_nothing_breaks_the_strict_policy(browser, theme):
    set_window(browser, 390, 800)
    browser.execute_script(f"document.documentElement.dataset.theme = '{theme}'")
    wide = "return document.scrollingElement.scrollWidth - window.innerWidth"
    assert browser.execute_script(wide) <= 0
    assert browser.find_element(By.CSS_SELECTOR, ".featrack-tau-pair p").text.endswith("</b>")
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []
