"""The feature explorer in a real browser: where its links lead, and which keys work."""

import functools
import http.server
import threading

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests import explorer_data
from tests.browser import BROWSER, DESKTOP, DRIVER, open_browser, set_window
from tests.explorer_page import follow, names, opened, press, settled, status, trouble

pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="no Chromium with its driver here")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return explorer_data.make_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def browser():
    with open_browser() as driver:
        set_window(driver, DESKTOP, 900)
        yield driver


@pytest.fixture
def go(site, browser):
    """Opens the page at a hash, afresh, and gives the browser that shows it."""

    def visit(hash_=""):
        return opened(browser, site[0].as_uri() + hash_)

    return visit


def test_going_back_restores_the_list_its_row_and_its_title(go):
    browser = go("#?model=lua&class=emerging")
    link = browser.find_elements(By.CSS_SELECTOR, "tbody .fx-name")[20]
    name = link.text
    link.click()
    assert settled(browser).title.startswith(name)
    browser.back()
    WebDriverWait(browser, 3).until(lambda b: b.switch_to.active_element.text == name)
    assert browser.title == "Features" and browser.current_url.endswith("class=emerging")
    browser.forward()
    WebDriverWait(browser, 3).until(lambda b: b.title.startswith(name))


@pytest.mark.parametrize(
    ("hash_", "said"),
    [
        ("#lua-512", "Lua has no feature 512: it has those from 0 to 511."),
        ("#nobody-1", "“nobody-1” is no feature: links look like base-0, lua-0"),
        ("#%E0%A4%A", "“%E0%A4%A” is no feature"),
        ("#%3Cimg%20src=x%20onerror=alert(1)%3E", "“<img src=x onerror=alert(1)>” is no feature"),
        ("#?class=lost&r=x&model=lua", "what isn’t there: class=lost, r=x. The rest holds."),
    ],
)
def test_a_link_that_leads_nowhere_says_so_and_shows_a_list(go, hash_, said):
    browser = go(hash_)
    assert said in trouble(browser)
    assert len(names(browser)) == 25


def test_an_anchor_of_the_page_itself_stays_one(go):
    browser = go("#?model=lua")
    follow(browser, "#what-we-learned")
    assert trouble(browser) == "" and status(browser).startswith("512 of")


def test_everything_can_be_done_from_the_keyboard(go):
    browser = go("#?model=base")
    browser.find_element(By.TAG_NAME, "body").send_keys("/")
    assert browser.switch_to.active_element.get_attribute("id") == "fx-q"
    press(browser, "count", Keys.ARROW_DOWN)
    rows = names(browser)
    assert browser.switch_to.active_element.text == rows[0]
    press(browser, "j", Keys.ARROW_DOWN, "k", Keys.END)
    assert browser.switch_to.active_element.text == rows[-1]
    press(browser, Keys.HOME, "j", Keys.ENTER)
    assert browser.find_element(By.TAG_NAME, "h2").text == rows[1]
    press(browser, "j")
    assert browser.find_element(By.TAG_NAME, "h2").text == rows[2]
    press(browser, "k", "k", Keys.ESCAPE)
    assert browser.switch_to.active_element.text == rows[0]


def test_a_row_s_copies_open_and_close_by_key(go):
    browser = go("#?model=base&sort=number&page=2")
    press(browser, "/", Keys.ARROW_DOWN, Keys.HOME)
    press(browser, *"j" * 15, "c")
    assert browser.switch_to.active_element.text == "Base 40"
    press(browser, "j")
    assert browser.switch_to.active_element.text == "Base 41"
    press(browser, "k", "c", "j")
    assert browser.switch_to.active_element.text == "Base 43"
    press(browser, "k", Keys.TAB)
    assert browser.switch_to.active_element.text == "+ 2 copies"


def test_arrows_cross_the_edge_of_a_page(go):
    browser = go("#?sort=number&model=lua")
    browser.find_elements(By.CSS_SELECTOR, "tbody .fx-name")[0].send_keys(Keys.END)
    press(browser, "j")
    assert browser.switch_to.active_element.text == "Lua 25"
    press(browser, "k")
    assert browser.switch_to.active_element.text == "Lua 24"


def test_it_works_the_same_from_a_web_host(site, browser):
    root = site[0].parents[1]
    handler = functools.partial(Quiet, directory=str(root))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://localhost:{server.server_port}/executed/explorer.html#stories-7"
        assert opened(browser, address).find_element(By.TAG_NAME, "h2").text == "Stories 7"
        assert browser.find_elements(By.CSS_SELECTOR, ".fx-contexts .fx-strongest")
    finally:
        server.shutdown()
        server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_models_of_any_name_are_found_and_told_apart_by_kin(browser, tmp_path, monkeypatch):
    models = {"GPT-2": "#0072B2", "My-chat": "#D55E00", "merge-2": "#009E73"}
    parents = {"GPT-2": [], "My-chat": ["GPT-2"], "merge-2": ["My-chat"]}
    monkeypatch.setattr(explorer_data, "MODELS", models)
    monkeypatch.setattr(explorer_data, "PARENTS", parents)
    page, _ = explorer_data.make_site(tmp_path / "site", d_sae=256)
    opened(browser, page.as_uri() + "#My-chat-12")
    assert browser.title.startswith("My-chat 12")
    cards = [
        card.text.splitlines()[0] for card in browser.find_elements(By.CSS_SELECTOR, ".fx-card")
    ]
    assert cards == ["GPT-2 12 parent", "Merge-2 12 child"]
    opened(browser, page.as_uri() + "#?q=gpt-2+12")
    assert names(browser) == ["GPT-2 12"]
