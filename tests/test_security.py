"""What a hostile text can do in a book: nothing. And where the key of an endpoint stands: nowhere.

The books of `LINEAGES` read texts and have explanations that try to be more than text
(`hostile.py`). Their pages are opened under the strictest policy that the book works under.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, urlsplit

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from selenium.webdriver.common.by import By

from tests.books import KEY, KEY_VARIABLE, LINEAGES
from tests.browser import BROWSER, DRIVER, open_browser, wait
from tests.explorer_page import follow, settled, trouble
from tests.hostile import ANSWERS, HOST, MARKER, MARKUP, WORD

HTML = Path("book", "_build", "html")
needs_browser = pytest.mark.skipif(not (BROWSER and DRIVER), reason="no Chromium with its driver")

# A page of the book that holds no text of a run, and one that has a script of its own besides.
WRITTEN = ("bibliography.html", "search.html")
# What is allowed beside the site's own files: the scripts that the theme writes into every page
# (colours, folding, the page's name) by their hashes, its two buttons' handlers (printing, full
# screen) by theirs, its icons' style sheet by its hash, and style attributes, which tables, shaded
# tokens and code have. Nothing from another host, no eval, no frame, no form to anywhere else.
POLICY = """
default-src 'none'; script-src-elem 'self' {scripts}; script-src-attr 'unsafe-hashes' {handlers};
style-src-elem 'self' {styles}; style-src-attr 'unsafe-inline'; img-src 'self'; font-src 'self';
connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'
"""
# What is made of a corpus's text, or by a script in it. Each line is one finding.
FOUND = """
const [marker, host, word] = arguments, found = [];
const say = (what, element) => found.push(`${what}: ${(element.outerHTML || "").slice(0, 120)}`);
if (window[marker] !== undefined) found.push(`window.${marker} is set`);
for (const element of document.querySelectorAll("*")) {
  for (const { name, value } of element.attributes) {
    const code = name.startsWith("on") || /^\\s*javascript:/i.test(value);
    if (code && value.includes(marker)) say("code in an attribute", element);
    const leads = ["src", "href", "srcset", "action", "data", "content", "xlink:href"];
    const inside = value.startsWith("#"); // a search for such a text, say
    if (leads.includes(name) && value.includes(host) && !inside) say("leads outside", element);
  }
  if (/^(script|style)$/i.test(element.tagName)) {
    if (element.textContent.includes(marker) || element.textContent.includes(host)) {
      say("made of text", element);
    }
  }
}
const made = "img[src=x], iframe, base, meta[http-equiv=refresh], plaintext, textarea:not([id])";
for (const element of document.querySelectorAll(made)) say("made of text", element);
const syntax = "h1, h2, h3, h4, .admonition, .footnote, math, b, main p > strong, th";
for (const element of document.querySelectorAll(syntax)) {
  if (element.textContent.includes(word)) say("made of text", element);
}
for (const entry of performance.getEntriesByType("resource")) {
  if (new URL(entry.name).origin !== location.origin) found.push(`asked for ${entry.name}`);
}
return found;
"""
UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe]")


def hashes(texts: list[str]) -> str:
    """Sources for a policy that allow what is written so, letter for letter."""
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return " ".join(sorted({f"'sha256-{base64.b64encode(each).decode()}'" for each in digests}))


class Site:
    """A built book behind a server on the loopback address, which sends the policy or none."""

    def __init__(self, html: Path, address: str, strict: bool) -> None:
        self.html, self.address, self.strict = html, address, strict
        # What a test has stand at an address. A browser asks for an icon of its own accord.
        self.extra = {"/favicon.ico": ""}
        written = [BeautifulSoup((html / page).read_text(), "html.parser") for page in WRITTEN]
        scripts = [each.text for soup in written for each in soup.find_all("script", src=False)]
        self.scripts = [text for text in scripts if "pagename" not in text]
        self.styles = [each.text for soup in written for each in soup.find_all("style")]
        self.handlers = [each["onclick"] for soup in written for each in soup.select("[onclick]")]

    def policy(self, page: str) -> str:
        """What a page may do. The scripts' hashes are of WRITTEN, and of the page's own name."""
        named = f"DOCUMENTATION_OPTIONS.pagename = '{page.removesuffix('.html')}';"
        return " ".join(
            POLICY.format(
                scripts=hashes([*self.scripts, named]),
                handlers=hashes(self.handlers),
                styles=hashes(self.styles),
            ).split()
        )


@contextmanager
def served(html: Path, *, strict: bool = True) -> Iterator[Site]:
    """A book's site, as long as the context lasts."""

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path in site.extra:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(site.extra[self.path].encode())
            else:
                super().do_GET()

        def end_headers(self) -> None:
            page = urlsplit(self.path).path.removeprefix("/")
            if not page.startswith("_static/"):  # a test changes pages and policy
                self.send_header("Cache-Control", "no-store")
            if site.strict:
                self.send_header("Content-Security-Policy", site.policy(page))
            super().end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(html)))
    server.daemon_threads = True
    site = Site(html, f"http://localhost:{server.server_address[1]}", strict)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def browser():
    with open_browser() as driver:
        yield driver


@pytest.fixture(scope="module", params=LINEAGES)
def html(request, books) -> Path:
    """The built book of a lineage."""
    return books[request.param] / HTML


@pytest.fixture(scope="module")
def pages(html, books) -> list[str]:
    """Every page of the first book, and those of the second that the first doesn't have."""
    first = pages_of(books[next(iter(LINEAGES))] / HTML)
    return first if first == pages_of(html) else sorted({*pages_of(html)} - {*first})


def pages_of(html: Path) -> list[str]:
    found = (page.relative_to(html).as_posix() for page in html.rglob("*.html"))
    return sorted(page for page in found if not page.startswith("_static/"))


@pytest.fixture(scope="module")
def site(html, browser):
    """The book under the policy."""
    with served(html) as site:
        site.strict = False
        browser.get(f"{site.address}/{WRITTEN[0]}")
        styles = "return [...document.querySelectorAll('head > style')].map(s => s.textContent)"
        site.styles += browser.execute_script(styles)
        site.strict = True
        yield site


def opened(browser, address: str):
    """The browser at an address, without what it said of earlier ones."""
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(address)
    return browser


def findings(browser) -> list[str]:
    """What is made of hostile text on the open page, and what the browser had to refuse."""
    refused = [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    return [*browser.execute_script(FOUND, MARKER, HOST, WORD), *refused]


@needs_browser
def test_no_page_runs_or_fetches_or_is_changed_by_what_its_texts_say(site, pages, browser):
    wrong = {}
    browser.get_log("browser")
    for page in pages:
        browser.get(f"{site.address}/{page}")
        said = findings(browser)  # an alert would stop this with an error
        title = re.search("<title>(.*?)</title>", (site.html / page).read_text(), re.DOTALL)
        if title and browser.title != unescape(title[1]).strip():
            said.append(f"the title is {browser.title!r}")
        if said:
            wrong[page] = said
    assert {"executed/explorer.html", "executed/merge.html"} & {*pages}
    assert wrong == {}


@needs_browser
def test_under_the_policy_a_script_in_a_page_is_refused_and_without_it_runs(
    site, browser, monkeypatch
):
    page = (site.html / WRITTEN[0]).read_text()
    hostile = "".join(MARKUP[:3]).replace(f";alert('{MARKER}')", "")  # an alert would stop us
    monkeypatch.setitem(site.extra, f"/{WRITTEN[0]}", page.replace("</body>", f"{hostile}</body>"))
    opened(browser, f"{site.address}/{WRITTEN[0]}")
    said = " ".join(findings(browser))
    assert browser.title != MARKER and f"window.{MARKER} is set" not in said
    assert said.count("Executing inline script violates") == 2
    assert "Executing inline event handler violates" in said
    assert "code in an attribute" in said and "made of text" in said
    monkeypatch.setattr(site, "strict", False)
    opened(browser, f"{site.address}/{WRITTEN[0]}")
    assert browser.title == MARKER
    assert f"window.{MARKER} is set" in findings(browser)


@needs_browser
def test_under_the_policy_a_page_that_asks_another_host_is_refused_and_found(
    site, browser, monkeypatch
):
    page = (site.html / WRITTEN[0]).read_text()
    asks = f'<img src="http://{HOST}/a.png"><script src="http://{HOST}/b.js"></script>'
    monkeypatch.setitem(site.extra, f"/{WRITTEN[0]}", page.replace("</body>", f"{asks}</body>"))
    said = findings(opened(browser, f"{site.address}/{WRITTEN[0]}"))
    assert sum(each.startswith("leads outside") for each in said) == 2
    assert sum("violates the following Content Security Policy" in each for each in said) == 2


@needs_browser
def test_under_the_policy_search_and_explorer_work(site, browser):
    opened(browser, f"{site.address}/search.html?q=dictionary")
    results = "return document.querySelectorAll('#search-results li .context').length"
    wait(browser, lambda b: b.execute_script(results) > 0)
    assert findings(browser) == []
    settled(opened(browser, f"{site.address}/executed/explorer.html"))
    assert len(browser.find_elements(By.CSS_SELECTOR, "tbody .fx-name")) == 25
    assert trouble(browser) == "" and findings(browser) == []


@needs_browser
@pytest.mark.parametrize("html", ["chain"], indirect=True)  # a page runs no model of another shape
def test_under_the_policy_live_models_work(site, browser):
    opened(browser, f"{site.address}/executed/live.html")
    answers = "return [...document.querySelectorAll('.ft-answer')].map(e => e.textContent)"
    browser.execute_script("document.querySelector('.featrack-touch').scrollIntoView()")
    wait(browser, lambda b: any(b.execute_script(answers)))
    assert browser.find_elements(By.CSS_SELECTOR, ".ft-trouble") == []
    assert findings(browser) == []


@needs_browser
def test_a_hostile_explanation_stands_in_the_explorer_letter_for_letter(browser, books):
    run = books["chain"] / "runs" / "chain"
    rows = pd.read_parquet(run / "interpretation" / "interpretations.parquet")
    hostile = rows[rows["explanation"].str.startswith(tuple(ANSWERS))]
    assert len(hostile) > len(LINEAGES["chain"])
    with served(books["chain"] / HTML) as site:
        settled(opened(browser, f"{site.address}/executed/explorer.html"))
        for row in hostile.itertuples():
            text = follow(browser, f"#{row.model}-{row.feature}").find_element(By.TAG_NAME, "main")
            assert row.explanation in text.text
            assert browser.execute_script(FOUND, MARKER, HOST, WORD) == []
            follow(browser, f"#?q={quote(row.explanation)}")
            assert browser.execute_script(FOUND, MARKER, HOST, WORD) == []


def test_the_hostile_texts_are_on_the_pages_as_letters(html):
    raw = {page.stem: page.read_text() for page in (html / "executed").glob("*.html")}
    corpora = unescape(re.sub("<[^>]*>", "", raw["corpora"]))
    # Lines are wrapped there.
    words = "".join(corpora.split())
    assert any("".join(each.split()) in words for each in MARKUP if len(each) > 20)
    unseen = {name: {*UNSEEN.findall(unescape(markup))} for name, markup in raw.items()}
    assert {name: found for name, found in unseen.items() if found} == {}


def test_the_hostile_book_was_built_with_warnings_as_errors_and_without_any(html):
    checkout = html.parents[2]
    build = [checkout / "Snakefile", checkout / "featrack_utils" / "pipeline" / "book.py"]
    assert any(re.search(r"[\s\"]-W[\s\"]", path.read_text()) for path in build)
    assert "WARNING" not in (checkout.parent / "said.txt").read_text()


def test_the_key_of_an_endpoint_is_in_no_file_no_log_and_no_process_list(books):
    place = books["chain"].parent
    seen = json.loads((place / "chat.json").read_text())
    assert seen["keys"] == [f"Bearer {KEY}"]  # so it was used
    # While it was asked; snakemake's own line is among them, which shows that the list is whole.
    assert any("--config" in line and KEY_VARIABLE in line for line in seen["command_lines"])
    assert [line for line in seen["command_lines"] if KEY in line] == []
    made = [path for path in place.rglob("*") if path.is_file() and path.name != "chat.json"]
    assert [path for path in made if KEY.encode() in path.read_bytes()] == []
    checkout = place / "featrack"
    kinds = {path.relative_to(checkout).parts[0] for path in made if checkout in path.parents}
    assert {"runs", "book", ".snakemake"} <= kinds
