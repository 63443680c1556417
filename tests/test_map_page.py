"""The map of the book in a real browser: what the pointer and the keys find on it."""

import pandas as pd
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from featrack_utils.display import style
from featrack_utils.lineage import Lineage
from tests.browser import BROWSER, DRIVER, PHONE, open_browser, set_window
from tests.chapters import Chapter

STATIC = "book/_static"
HOSTILE = "“<img src=x onerror=document.title=1>” “&amp;”"
# Four corners of a square: the two of the root on the left.
MAPPED = pd.DataFrame(
    {
        "model": ["base", "base", "lua", "lua"],
        "feature": [0, 7, 0, 3],
        "x": [0.0, 0, 1, 1],
        "y": [0.0, 1, 0, 1],
        "kind": ["persisting", "disappearing", "persisting", "emerging"],
    }
)
CSP = "default-src 'none'; script-src 'self' file:; style-src 'self' file:"


@pytest.fixture(scope="module")
def page(tmp_path_factory, request):
    style.use_style(
        Lineage({"base": {"train": ["python"]}, "lua": {"parent": "base", "train": ["lua"]}})
    )
    shown = Chapter("map").live_map(MAPPED, ["“a”", HOSTILE, "“c”", ""]).data
    static = (request.config.rootpath / STATIC).as_uri()
    path = tmp_path_factory.mktemp("map") / "map.html"
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>map</title>'
        f'<meta name="viewport" content="width=device-width">'
        f'<meta http-equiv="Content-Security-Policy" content="{CSP}">'
        f'<link rel="stylesheet" href="{static}/map.css"><script src="{static}/map.js"></script>'
        f"<main>{shown}</main></html>"
    )
    return path


@pytest.fixture
def browser(page):
    if not (BROWSER and DRIVER):
        pytest.skip("no Chromium with its driver here")
    with open_browser() as driver:
        set_window(driver, PHONE, 800)
        driver.get(page.as_uri())
        yield driver


def said(browser):
    return browser.find_element(By.CLASS_NAME, "featrack-map-said")


def move_to(browser, x, y):
    """Moves the pointer to a place of the map, from −1 to 1 each way from its middle."""
    canvas = browser.find_element(By.TAG_NAME, "canvas")
    half = canvas.size["width"] / 2 * 0.96
    return ActionChains(browser).move_to_element_with_offset(canvas, int(x * half), int(y * half))


def test_the_pointer_names_the_nearest_feature_and_a_click_opens_it(browser):
    move_to(browser, -0.98, 0.98).perform()
    assert said(browser).text == "Base 0, persisting: “a”"
    move_to(browser, 0.98, -0.98).perform()
    assert said(browser).text == "Lua 3, emerging: never active"
    move_to(browser, 0.98, -0.98).click().perform()
    assert browser.current_url.endswith("explorer.html#lua-3")


def test_tokens_are_shown_as_text_on_a_page_as_narrow_as_a_phone(browser):
    move_to(browser, -0.98, -0.98).perform()
    assert said(browser).text == f"Base 7, disappearing: {HOSTILE}"
    assert browser.title == "map" and not browser.find_elements(By.TAG_NAME, "img")
    assert not browser.get_log("browser")
    assert browser.execute_script("return document.scrollingElement.scrollWidth") <= PHONE


def test_arrow_keys_go_from_point_to_point_and_enter_opens(browser):
    canvas = browser.find_element(By.TAG_NAME, "canvas")
    move_to(browser, -0.98, 0.98).perform()
    canvas.send_keys(Keys.ARROW_RIGHT)
    assert said(browser).text.startswith("Lua 0")
    canvas.send_keys(Keys.ARROW_UP)
    assert said(browser).text.startswith("Lua 3")
    canvas.send_keys(Keys.ENTER)
    assert browser.current_url.endswith("explorer.html#lua-3")


def test_features_that_are_not_chosen_are_not_found(browser):
    model, kind = (Select(each) for each in browser.find_elements(By.TAG_NAME, "select"))
    model.select_by_visible_text("Base")
    kind.select_by_visible_text("persisting")
    move_to(browser, 0.98, 0.98).perform()
    assert "Move over" in said(browser).text
    move_to(browser, -0.98, 0.98).perform()
    assert said(browser).text.startswith("Base 0")


def test_a_notebook_shows_nothing_of_it_and_holds_no_markup_of_the_texts():
    shown = Chapter("map").live_map(MAPPED, ["“a”", HOSTILE, "“c”", ""]).data
    assert shown.startswith('<div class="featrack-map" hidden ') and "<img" not in shown
