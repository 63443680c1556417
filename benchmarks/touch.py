"""How soon models in a page answer, in Chromium: a first prediction, a key, a step of t.

Four made-up models of quick's shapes with their dictionaries, all three controls on one page, apart
as in the chapter, served on the loopback address. Each figure is in milliseconds, from an input
event until every control in sight shows its answer; a key and a step of t are medians, with the
slowest beside them.
"""

import argparse
import functools
import http.server
import logging
import statistics
import tempfile
import threading
from pathlib import Path

from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.wait import WebDriverWait

from benchmarks.write_page import keep
from featrack_utils.corpora.tokenizer import train_tokenizer
from featrack_utils.display import style
from featrack_utils.lineage import Lineage
from tests import touch_data
from tests.browser import BROWSER, DESKTOP, DRIVER, open_browser, set_window

ROUNDS = 15
WORDS = "the cat and the other cat are there; return x "
TEXTS = ["def f(x):\n    return x\n" * 20, WORDS * 20]
LINEAGE = Lineage(
    {
        "base": {"train": ["english"]},
        "lua": {"parent": "base", "train": ["lua"]},
        "stories": {"parent": "base", "train": ["stories"]},
        "merged": {"merge": ["lua", "stories"], "t": 0.4},
    }
)
log = logging.getLogger("touch")

# What changes, then milliseconds until no control in sight is waiting for an answer.
_CHANGE = f"""
const [selector, value, done] = arguments;
const field = document.querySelector(selector);
const start = performance.now();
field.value = value;
field.dispatchEvent(new InputEvent("input", {{bubbles: true}}));
const look = () => {touch_data.BUSY}
  ? setTimeout(look, 1) : done(performance.now() - start);
look();
"""
_TOKENS = "return document.querySelectorAll('[role=toolbar] button').length"


def change(driver: WebDriver, selector: str, value: str) -> float:
    return driver.execute_async_script(_CHANGE, selector, value)


def typed(driver: WebDriver, text: str, at: int) -> list[float]:
    """Milliseconds of each of a few letters, typed into a text after its first `at` signs."""
    change(driver, "textarea", text)
    texts = [f"{text[:at]}{'xyzw'[i % 4] * (1 + i // 4)}{text[at:]}" for i in range(ROUNDS)]
    return [change(driver, "textarea", each) for each in texts]


def measure(address: str) -> dict[str, float]:
    with open_browser() as driver:
        set_window(driver, DESKTOP, 900)
        driver.set_script_timeout(60)
        driver.get(address)
        WebDriverWait(driver, 20, 0.01).until(
            lambda page: page.find_elements("tag name", "textarea")
        )
        found = {"touch_first_prediction_ms": change(driver, "textarea", "the")}
        text = WORDS
        while driver.execute_script(_TOKENS) < 100:
            text += WORDS[len(text) % len(WORDS)]
            change(driver, "textarea", text)
        log.info("%d tokens", driver.execute_script(_TOKENS))
        times = {
            "touch_key": typed(driver, text, len(text)),
            "touch_key_in_the_middle": typed(driver, text, len(text) // 2),
            "touch_key_at_the_start": typed(driver, text, 1),
        }
        driver.execute_script("document.querySelector('input[type=range]').scrollIntoView()")
        busy = f"return {touch_data.BUSY}"
        WebDriverWait(driver, 20).until(lambda page: not page.execute_script(busy))
        steps = [f"{0.3 + i / 100:.2f}" for i in range(ROUNDS)]
        times["touch_step_of_t"] = [change(driver, "input[type=range]", t) for t in steps]
    for name, each in times.items():
        found |= {f"{name}_ms": statistics.median(each), f"{name}_slowest_ms": max(each)}
    return found


def main() -> None:
    """Measure and write into results.json, leaving other figures there."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if not (BROWSER and DRIVER):
        log.warning("There is no Chromium with its driver here: nothing was measured.")
        return
    style.use_style(LINEAGE)
    with tempfile.TemporaryDirectory() as place:
        run, site = Path(place) / "run", Path(place) / "site"
        tokenizer = train_tokenizer(TEXTS, 280)
        for seed, name in enumerate(LINEAGE.order):
            touch_data.add_model(run, name, tokenizer, seed)
        way = {"ends": ["lua", "stories"], "t": 0.4, "marks": [{"name": "balanced", "t": 0.4}]}
        touch_data.make_site(site, run, LINEAGE, way)
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
        with http.server.ThreadingHTTPServer(("localhost", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            results = measure(f"http://localhost:{server.server_port}/executed/plain.html")
            server.shutdown()
    keep(results)


if __name__ == "__main__":
    main()
