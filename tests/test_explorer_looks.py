"""The feature explorer's looks in a real browser: hostile text, missing files, themes, phones."""

import re
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest
from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver.common.by import By

from featrack_utils.display import explorer, shading
from featrack_utils.pipeline import forkserver
from tests import explorer_data
from tests.browser import BROWSER, DRIVER, PHONE, open_browser, set_window
from tests.explorer_page import follow, opened, press, trouble

pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="no Chromium with its driver here")
ROOT = Path(__file__).resolve().parents[1]
OVERFLOW = "return document.scrollingElement.scrollWidth - window.innerWidth"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return explorer_data.make_site(tmp_path_factory.mktemp("site"), d_sae=64)


@pytest.fixture(scope="module")
def browser():
    with open_browser() as driver:
        yield driver


def seen(token):
    """A token's text by itself, from the signs that the book's other pages use."""
    if not token or re.fullmatch("⟨0x..⟩", token):
        return token or "∅"
    circle = "◌" if unicodedata.combining(token[0]) else ""
    return circle + "".join(map(shading.visible, token[:32])) + "…" * (len(token) > 32)


def test_hostile_tokens_are_shown_as_data_and_run_nothing(browser, site):
    opened(browser, site[0].as_uri() + "#?model=base&sort=number")
    rows = browser.find_elements(By.CSS_SELECTOR, "tbody tr")
    for row, token in zip(rows, explorer_data.HOSTILE, strict=False):
        chip = row.find_element(By.CSS_SELECTOR, ".fx-chip").get_attribute("textContent")
        assert chip == seen(token)
    foreign = "#featrack-explorer :is(script, img, iframe, object, embed, style)"
    for number in range(len(explorer_data.HOSTILE)):
        follow(browser, f"#lua-{number}")
        assert browser.execute_script(f"return document.querySelector('{foreign}')") is None
    assert browser.execute_script("return window.hacked") is None
    with pytest.raises(NoAlertPresentException):
        _ = browser.switch_to.alert.text
    assert browser.get_log("browser") == []


def test_unseen_characters_get_the_signs_that_other_pages_give_them(browser, site):
    opened(browser, site[0].as_uri())
    codes = [
        *range(0x3100),
        *range(0xFE00, 0x10000),
        *range(0x1D160, 0x1D180),
        *range(0xE0000, 0xE0080),
    ]
    # What isn't assigned yet may be, in the browser's newer tables.
    characters = [c for c in map(chr, codes) if unicodedata.category(c) not in ("Cn", "Cs")]
    signs = browser.execute_script("return arguments[0].map(featrackExplorer.visible)", characters)
    assert signs == [shading.visible(c) for c in characters]


def test_each_token_keeps_its_own_direction(browser, site):
    arabic = explorer_data.HOSTILE.index("مرحبا")
    opened(browser, site[0].as_uri() + f"#stories-{arabic}")
    bdi = browser.find_element(By.CSS_SELECTOR, ".fx-contexts .fx-strongest bdi")
    assert bdi.text == "مرحبا" and bdi.value_of_css_property("unicode-bidi") == "isolate"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("meta", None, "The data file meta.js is missing: build the book again"),
        ("index", None, "The data file index.js is missing: build the book again"),
        ("index", "featrackExplorer.receive(", "The data file index.js is damaged"),
        ("lua-0", None, "The data file lua-0.js is missing: build the book again"),
        (
            "lua-0",
            'featrackExplorer.receive("lua-0",Promise.reject());',
            "file lua-0.js is damaged",
        ),
        ("stories-0", "", "The data file stories-0.js is damaged: build the book again."),
        ("meta", 'featrackExplorer.receive("meta",{"format":9});', "data has format 9, this page"),
        ("index", 'featrackExplorer.receive("index",{});', "index.js lacks features of base"),
    ],
)
def test_data_that_is_missing_or_damaged_is_named(browser, site, tmp_path, name, content, said):
    page = Path(shutil.copytree(site[0].parents[1], tmp_path / "site")) / "executed/explorer.html"
    file = page.parents[1] / "_static/explorer/data" / f"{name}.js"
    file.unlink() if content is None else file.write_text(content)
    opened(browser, page.as_uri() + "#lua-3")
    assert said in trouble(browser)


def luminance(colour):
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one, other):
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def channels(css):
    """Red, green, blue, alpha from 0 to 1 of a computed colour."""
    numbers = [float(x) for x in re.findall(r"[\d.]+(?:e-\d+)?", css.removeprefix("color(srgb"))]
    if css.startswith("rgb"):
        numbers[:3] = [x / 255 for x in numbers[:3]]
    return numbers[:3], numbers[3] if len(numbers) > 3 else 1.0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("model", explorer_data.MODELS)
def test_the_strongest_shade_leaves_its_token_legible(browser, site, theme, model):
    scheme = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    opened(browser, site[0].as_uri() + f"#{model}-40")
    token = browser.find_element(By.CSS_SELECTOR, ".fx-contexts .fx-strongest")
    browser.execute_script("arguments[0].style.setProperty('--level', 1)", token)
    ground, _ = channels(
        browser.find_element(By.ID, "featrack-explorer").value_of_css_property("background-color")
    )
    shade, alpha = channels(token.value_of_css_property("background-color"))
    mixed = [alpha * s + (1 - alpha) * g for s, g in zip(shade, ground, strict=True)]
    ink, _ = channels(token.value_of_css_property("color"))
    muted, _ = channels(
        browser.find_element(By.CSS_SELECTOR, ".fx-hint").value_of_css_property("color")
    )
    assert (luminance(ground) > 0.5) == (theme == "light")
    assert contrast(ink, mixed) >= 4.5 and contrast(muted, ground) >= 4.5
    assert "underline" in token.value_of_css_property("text-decoration")


@pytest.mark.parametrize("hash_", ["", "#?q=zzz", "#lua-0", "#base-13", "#merged-63", "#nobody-1"])
def test_a_phone_never_scrolls_sideways(browser, site, hash_):
    set_window(browser, PHONE, 800)
    try:
        opened(browser, site[0].as_uri() + hash_)
        browser.execute_script(
            "for (const d of document.querySelectorAll('details')) d.open = true"
        )
        assert browser.execute_script(OVERFLOW) <= 0
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_every_control_has_a_name_and_the_table_its_roles(browser, site):
    opened(browser, site[0].as_uri())
    controls = browser.find_elements(
        By.CSS_SELECTOR, "#featrack-explorer :is(a, button, input, select)"
    )
    shown = [control for control in controls if control.is_displayed()]
    assert len(shown) > 40 and all(control.accessible_name for control in shown)
    set_window(browser, PHONE, 800)
    parts = [".fx-list", *(f".fx-list tbody {tag}" for tag in ("tr", "th", "td"))]
    roles = [browser.find_element(By.CSS_SELECTOR, part).aria_role for part in parts]
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert roles == ["table", "row", "rowheader", "cell"]
    assert browser.find_element(By.CSS_SELECTOR, ".fx-form").aria_role == "search"
    assert browser.find_element(By.CSS_SELECTOR, "[role=status]").aria_role == "status"
    follow(browser, "#base-5")
    pictures = browser.find_elements(By.CSS_SELECTOR, "#featrack-explorer :is(svg, canvas)")
    shown = [picture for picture in pictures if picture.is_displayed()]
    assert len(shown) == 2 and all(picture.accessible_name for picture in shown)


def test_the_books_own_scripts_and_the_explorer_leave_each_other_alone(browser, site, tmp_path):
    book = tmp_path / "book"
    (book / "executed").mkdir(parents=True)
    shutil.copytree(ROOT / "book/_ext", book / "_ext")
    shutil.copytree(site[0].parents[1] / "_static", book / "_static")
    shutil.copy(ROOT / "book/_static/logo.svg", book / "_static")
    (book / "_static/touch/data").mkdir(parents=True)
    for name in (
        "core.js",
        "client.js",
        "data/meta.js",
        "data/base.js",
    ):  # of a page not built here
        (book / "_static/touch" / name).write_text("throw 'not wanted';")
    for name in ("references.bib", "bibliography.md"):
        shutil.copy(ROOT / "book" / name, book)
    shutil.copy(ROOT / "_config.yml", tmp_path)
    (book / "_toc.yml").write_text(
        "format: jb-book\nroot: executed/explorer\nchapters:\n- file: bibliography\n"
    )
    (book / "executed/explorer.md").write_text(
        f"# Explorer\n\n{explorer.page().data}\n\n## Learned\n\nIt.\n"
    )
    command = [*forkserver.PYTHON, "-m", "featrack_utils.pipeline.book", "book"]
    command += ["--toc", "book/_toc.yml"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    html = book / "_build/html"
    pages = [(html / f"{n}.html").read_text("utf-8") for n in ("bibliography", "executed/explorer")]
    assert "explorer/data" not in pages[0] and not any("_static/touch" in page for page in pages)
    assert (html / "_static/touch/data/base.js").exists()
    opened(browser, (html / "executed/explorer.html").as_uri())
    for hash_ in (
        "#lua-3",
        "#?q=return&model=lua",
        "#nobody-1",
        "#learned",
        "#%E0%A4%A",
        "#base-1",
    ):
        follow(browser, hash_)
    browser.find_element(By.TAG_NAME, "body").send_keys("/")
    assert browser.switch_to.active_element.get_attribute("id") == "fx-q"
    press(browser, "the")
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []
