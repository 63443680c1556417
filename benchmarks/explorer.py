"""How soon the feature explorer shows its list, and how long a search takes, in Chromium.

On a run's data, or without one on made-up data of the same size: 8,192 features.
Usage: python -m benchmarks.explorer [runs/quick]
"""

import argparse
import logging
import statistics
import tempfile
from pathlib import Path

from selenium.webdriver.remote.webdriver import WebDriver

from benchmarks.write_page import keep
from featrack_utils.pipeline import store
from tests import explorer_data
from tests.browser import BROWSER, DESKTOP, DRIVER, open_browser, set_window

ROUNDS = 5
QUERIES = ("=", '"="', "return", "the", "a", "in a", "said little", "12", "zzzz", "")
log = logging.getLogger("explorer")

# Milliseconds from the navigation's start until the frame after the list's first row is drawn.
_PAINTED = """
const done = arguments[0];
const look = () => document.querySelector("#featrack-explorer tbody tr")
  ? requestAnimationFrame(() => setTimeout(() => done(performance.now())))
  : setTimeout(look, 2);
look();
"""
# From a key in the search field until the frame after the new list is drawn, and without it.
_SEARCH = """
const [query, done] = [arguments[0], arguments[1]];
const field = document.getElementById("fx-q");
field.value = query;
const start = performance.now();
field.dispatchEvent(new InputEvent("input", {bubbles: true}));
document.body.getBoundingClientRect();
const script = performance.now() - start;
requestAnimationFrame(() => setTimeout(() => done([script, performance.now() - start])));
"""
_DETAIL = """
const done = arguments[0];
const start = performance.now();
location.hash = "#merged-1000";
const look = () => document.querySelector(".fx-contexts") && !document.querySelector("[aria-busy]")
  ? done(performance.now() - start) : setTimeout(look, 2);
look();
"""


def searched(driver: WebDriver, query: str) -> list[float]:
    """Median milliseconds of a search after an empty one, without and with the next frame."""
    rounds = []
    for _ in range(ROUNDS):
        driver.execute_async_script(_SEARCH, "")
        rounds.append(driver.execute_async_script(_SEARCH, query))
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def measure(page: Path) -> dict[str, float]:
    """Milliseconds of loading (median), of the slowest search, and of opening a feature."""
    with open_browser() as driver:
        set_window(driver, DESKTOP, 900)
        driver.set_script_timeout(60)
        loads = []
        for _ in range(ROUNDS):
            driver.get("about:blank")
            driver.get(page.as_uri())
            loads.append(driver.execute_async_script(_PAINTED))
        searches = {query: searched(driver, query) for query in QUERIES}
        detail = driver.execute_async_script(_DETAIL)
    for query, (script, frame) in searches.items():
        log.info("search %r: %.0f ms, with the next frame %.0f ms", query, script, frame)
    return {
        "explorer_first_list_ms": statistics.median(loads),
        "explorer_slowest_search_ms": max(script for script, _ in searches.values()),
        "explorer_slowest_search_frame_ms": max(frame for _, frame in searches.values()),
        "explorer_feature_ms": detail,
    }


def main() -> None:
    """Measure on a run's explorer, or on made-up data, and write into results.json."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("run", type=Path, nargs="?")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if not (BROWSER and DRIVER):
        log.warning("There is no Chromium with its driver here: nothing was measured.")
        return
    with tempfile.TemporaryDirectory() as folder:
        page, _ = explorer_data.make_site(Path(folder), d_sae=2048)
        static = page.parents[1] / "_static" / "explorer"
        if options.run:
            made = store.opened(options.run / "explorer") / "data"
            (static / "data").rename(static / "made-up")
            (static / "data").symlink_to(made.resolve(), target_is_directory=True)
        results = measure(page)
        data = static / "data"
        results["explorer_megabytes"] = sum(f.stat().st_size for f in data.iterdir()) / 1e6
        results["explorer_index_megabytes"] = (data / "index.js").stat().st_size / 1e6
    made = "a run's" if options.run else "made up: 8,192 features"
    keep(results, explorer_data=made)


if __name__ == "__main__":
    main()
