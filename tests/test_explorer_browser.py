"""The feature explorer in a real browser: what it finds and shows, its links and its keys."""

import functools
import http.server
import threading

import numpy as np
import pytest
from bs4 import BeautifulSoup
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from featrack_utils.display import shading
from tests import explorer_data
from tests.browser import BROWSER, DESKTOP, DRIVER, open_browser, set_window, wait
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


def all_of(site, field):
    return np.concatenate([np.array(part[field], float) for part in site[1].index.values()])


def test_every_feature_is_counted_and_only_a_page_of_them_drawn(go, site):
    browser = go()
    # Of each model's three copies two are folded away.
    assert status(browser) == "2,048 of 2,048 features in 2,040 rows, sorted by best r"
    assert len(names(browser)) == 25
    assert len(browser.find_elements(By.CSS_SELECTOR, "#featrack-explorer *")) < 3500
    assert go("#?page=82") and len(names(browser)) == 2040 - 81 * 25


def test_a_quoted_token_is_found_exactly_where_it_is_among_the_strongest(go, site):
    vocab, index = site[1].vocab, site[1].index["lua"]
    equals = {i for i, token in enumerate(vocab) if token.strip(" ") == "="}
    expected = {f"Lua {i}" for i, top in enumerate(index["top"]) if equals & set(top)}
    assert set(names(go("#?model=lua&q=%22%3D%22"))) == expected
    first = names(go("#?model=lua&q=%22%3D%22"))[0]
    assert vocab[index["top"][int(first.split()[1])][0]].strip(" ") == "="


def test_words_are_looked_for_in_explanations_and_numbers_among_features(go, site):
    def holds(word, part, i):
        tokens = (site[1].vocab[t].lower() for t in part["top"][i])
        return word in part["text"][i] or any(word in token for token in tokens)

    parts = site[1].index.values()
    both = [all(holds(w, p, i) for w in ("return", "like")) for p in parts for i in range(512)]
    assert status(go("#?q=Return+like")).startswith(f"{sum(both)} of")
    assert names(go("#?q=stories+17")) == ["Stories 17"]
    found = names(go("#?q=17"))[:4]
    assert sorted(found) == ["Base 17", "Lua 17", "Merged 17", "Stories 17"]


def test_a_line_break_can_be_searched_for(go, site):
    has = [i for i, t in enumerate(site[1].vocab) if "\n" in t]
    tops = site[1].index["base"]["top"]
    expected = sum(bool(set(has) & set(top)) for top in tops)
    assert status(go(r"#?model=base&q=\n")).startswith(f"{expected} of")


def test_filters_of_a_link_hold_together(go, site):
    index = site[1].index["lua"]
    density = np.mean(index["density"], axis=0)  # the domains have as many blocks each
    emerging = np.array(index["cls"]) == explorer_data.CLASSES.index("emerging")
    universal = np.array(index["universal"]) == 1
    within = (100 * density >= 0.02) & (100 * density <= 1)
    browser = go("#?model=lua&class=emerging&universal=1&density=0.02..1")
    expected = int((emerging & universal & within).sum())
    assert expected > 0 and status(browser).startswith(f"{expected} of 2,048")
    ticked = browser.find_elements(By.CSS_SELECTOR, ".fx-filters input:checked")
    assert [box.accessible_name.split()[0] for box in ticked] == ["Lua", "emerging", "universal:"]


def test_a_feature_fires_mainly_where_more_than_half_of_its_density_lies(go, site):
    densities = np.concatenate([np.array(p["density"]) for p in site[1].index.values()], axis=1)
    mainly = densities[2] > densities.sum(axis=0) / 2
    assert status(go("#?domain=lua")).startswith(f"{mainly.sum()} of")


def test_undefined_values_come_last_in_either_order(go, site):
    scores = all_of(site, "sim")
    models = [model.capitalize() for model in explorer_data.MODELS]
    for direction, best in (("desc", np.nanmax(scores)), ("asc", np.nanmin(scores))):
        browser = go(f"#?sort=score&order={direction}")
        model, number = names(browser)[0].split()
        assert scores[512 * models.index(model) + int(number)] == best
        follow(browser, f"#?sort=score&order={direction}&page=82")
        cells = browser.find_elements(By.CSS_SELECTOR, "tbody .fx-score")
        assert {cell.text for cell in cells} == {"–\nnot defined"}


def test_heads_sort_and_say_so(go):
    browser = go()
    heads = browser.find_elements(By.CSS_SELECTOR, "thead th")
    head = next(h for h in heads if h.text == "Density")
    head.find_element(By.TAG_NAME, "button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert browser.current_url.endswith("#?sort=density")
    head.find_element(By.TAG_NAME, "button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert [h for h in heads if h.get_attribute("aria-sort")] == [head]


def test_typing_searches_at_once_and_the_address_follows(go):
    browser = go()
    browser.find_element(By.ID, "fx-q").send_keys("stories 3")
    assert names(browser) == ["Stories 3"]
    wait(browser, lambda b: b.current_url.endswith("#?q=stories+3"))


def test_a_context_shows_its_tokens_with_their_activations(go, site):
    made = site[1]
    position, pairs = made.details["base"][40]["c"][0]
    row, place = divmod(position, made.tokens.shape[1])
    start = max(0, place - 15)
    tokens = [made.vocab[t] for t in made.tokens[row, start : place + 9]]
    levels = dict(zip(pairs[::2], pairs[1::2], strict=True))
    line = go("#base-40").find_element(By.CSS_SELECTOR, ".fx-contexts .fx-line")
    before = line.find_elements(By.CSS_SELECTOR, ".fx-before > span > span")
    spans = before + line.find_elements(By.CSS_SELECTOR, ".fx-after > span")
    assert len(before) == place - start and len(spans) == len(tokens)
    for i, (span, token) in enumerate(zip(spans, tokens, strict=True)):
        if len(token) <= 32:
            said = BeautifulSoup(shading.token_html(token), "html.parser").get_text()
            assert span.get_attribute("textContent") == said
        act = levels.get(i, 0) / 255 * made.index["base"]["peak"][40]
        assert float(span.get_attribute("title") or 0) == pytest.approx(act, rel=0.01)
    underlined = line.find_elements(By.CSS_SELECTOR, ".fx-strongest")
    assert [e.text.strip() for e in underlined] == [made.vocab[40]]


def test_matches_stand_side_by_side_with_their_contexts_and_lead_on(go, site):
    match = site[1].index["lua"]["match"]
    browser = go("#lua-40")
    cards = browser.find_elements(By.CSS_SELECTOR, ".fx-card")
    for card, model in zip(cards, ("base", "stories", "merged"), strict=True):
        r = match[model]["r"][40]
        assert card.find_element(By.CSS_SELECTOR, ".fx-rvalue").text == f"r = {r:.3f}"
        verdict = card.find_element(By.CSS_SELECTOR, ".fx-verdict").text
        assert verdict == ("matched" if r > 0.8 else "below 0.8")
        assert len(card.find_elements(By.CSS_SELECTOR, ".fx-lines li")) == 3
    cards[1].find_element(By.CSS_SELECTOR, ".fx-name").click()
    assert settled(browser).find_element(By.TAG_NAME, "h2").text == "Stories 40"
    browser.back()
    wait(browser, lambda b: b.find_element(By.TAG_NAME, "h2").text == "Lua 40")


def test_a_feature_that_never_fires_says_so_everywhere(go):
    browser = go("#merged-511")
    text = browser.find_element(By.ID, "featrack-explorer").text
    assert "It fires on no token" in text and "There are none." in text
    assert text.count("No match: it fires too rarely") == 3
    assert "NaN" not in text and "undefined" not in text and "null" not in text


def test_reproducible_features_have_a_badge_and_a_filter(go, site):
    index = site[1].index["stories"]
    held = [f"Stories {i}" for i, yes in enumerate(index["reproducible"]) if yes]
    browser = go("#?model=stories&reproducible=1&sort=number")
    assert status(browser).startswith(f"{len(held)} of 2,048")
    assert names(browser) == held[:25]
    assert len(browser.find_elements(By.CSS_SELECTOR, "tbody .fx-again")) == 25
    box = browser.find_element(By.CSS_SELECTOR, ".fx-filters input[type=checkbox]:checked + span")
    assert box.text == "Stories"
    tick = next(
        each
        for each in browser.find_elements(By.CSS_SELECTOR, ".fx-filters label")
        if each.text.startswith("reproducible")
    )
    assert tick.text.splitlines()[-1] == str(len(held))
    tick.click()
    assert status(settled(browser)).startswith("512 of 2,048")
    assert "reproducible" not in browser.current_url


def test_a_feature_s_page_gives_r_to_its_own_other_seed_and_says_what_that_means(go, site):
    index = site[1].index["base"]
    for feature, badge, said in (
        (3, "reproducible", "Other dictionaries of its own model have it as well"),
        (1, "not reproducible", "Another dictionary of its own model lacks it (best r 0.625)"),
    ):
        assert index["reproducible"][feature] == (badge == "reproducible")
        browser = go(f"#base-{feature}")
        words = [e.text for e in browser.find_elements(By.CSS_SELECTOR, ".fx-badges li")]
        assert badge in words
        text = browser.find_element(By.ID, "featrack-explorer").text
        assert f"r to own other seed\n{index['own'][feature]:.3f}" in text and said in text


def test_copies_are_one_row_that_opens_and_keeps_its_address(go):
    browser = go("#?model=lua&sort=number&page=2")
    assert "Lua 40" in names(browser) and "Lua 41" not in names(browser)
    button = browser.find_element(By.CSS_SELECTOR, ".fx-copies")
    assert button.text == "+ 2 copies" and button.get_attribute("aria-expanded") == "false"
    button.click()
    assert names(browser)[15:18] == ["Lua 40", "Lua 41", "Lua 42"]
    held = browser.switch_to.active_element
    assert (held.text, held.get_attribute("aria-expanded")) == ("− 2 copies", "true")
    wait(browser, lambda b: b.current_url.endswith("page=2&open=lua-40"))
    assert names(go("#?model=lua&sort=number&page=2&open=lua-40"))[15:18] == [
        "Lua 40",
        "Lua 41",
        "Lua 42",
    ]
    assert browser.find_elements(By.CSS_SELECTOR, "tr.fx-copy .fx-name")[1].text == "Lua 42"
    twins = go("#lua-41").find_elements(By.CSS_SELECTOR, ".fx-twins .fx-name")
    assert [twin.text for twin in twins] == ["Lua 40", "Lua 42"]


def test_a_filter_that_leaves_one_of_the_copies_shows_that_one(go):
    assert names(go("#?q=lua+42")) == ["Lua 42"]


def test_going_back_restores_the_list_its_row_and_its_title(go):
    browser = go("#?model=lua&class=emerging")
    link = browser.find_elements(By.CSS_SELECTOR, "tbody .fx-name")[20]
    name = link.text
    link.click()
    assert settled(browser).title.startswith(name)
    browser.back()
    wait(browser, lambda b: b.switch_to.active_element.text == name)
    assert browser.title == "Features" and browser.current_url.endswith("class=emerging")
    browser.forward()
    wait(browser, lambda b: b.title.startswith(name))


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
