"""A real browser for tests: opens built pages offline and says what is wrong with them."""

import base64
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
PHONE, DESKTOP = 390, 1440  # CSS pixels
_MAX_PIECE = 6000  # CSS pixels of one screenshot's height

_OVERFLOW = """
const page = document.scrollingElement, wide = [];
if (page.scrollWidth > window.innerWidth) {
  for (const element of document.querySelectorAll("main *")) {
    if (element.getBoundingClientRect().right > window.innerWidth + 1) {
      wide.push(element.tagName.toLowerCase() + "." + element.className);
    }
  }
}
return [page.scrollWidth - window.innerWidth, wide.slice(0, 5)];
"""
_BROKEN_IMAGES = """
return [...document.images].filter(i => !(i.complete && i.naturalWidth > 0)).map(i => i.src);
"""
_EXTERNAL = """
return performance.getEntriesByType("resource").map(e => e.name)
  .filter(name => /^(https?:)?\\/\\//.test(name));
"""
_LOAD_LAZY_IMAGES = "for (const image of document.images) image.loading = 'eager';"


@dataclass(frozen=True)
class PageReport:
    """What a browser found wrong with one page at one width; all empty when all is well."""

    overflow: int = 0  # CSS pixels that the page is wider than the window
    too_wide: list[str] = field(default_factory=list)
    console_errors: list[str] = field(default_factory=list)
    broken_images: list[str] = field(default_factory=list)
    external_requests: list[str] = field(default_factory=list)

    def problems(self) -> list[str]:
        """One line for each finding."""
        found = [f"console: {line}" for line in self.console_errors]
        found += [f"broken image: {source}" for source in self.broken_images]
        found += [f"fetched from outside: {address}" for address in self.external_requests]
        if self.overflow > 0:
            found.append(f"{self.overflow} px too wide: {', '.join(self.too_wide)}")
        return found


@contextmanager
def open_browser() -> Iterator[webdriver.Chrome]:
    """A headless Chromium that can reach no host at all, closed afterwards."""
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    for argument in (
        "--no-sandbox",
        "--headless=new",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def wait(driver: webdriver.Chrome, condition: Callable[[webdriver.Chrome], object]) -> None:
    """Waits up to twenty seconds until a condition holds, and asks often."""
    WebDriverWait(driver, 20, poll_frequency=0.02).until(condition)


def visit(driver: webdriver.Chrome, page: Path, width: int, theme: str = "light") -> PageReport:
    """Open a built page in a window `width` CSS pixels wide, in the light or dark theme."""
    set_window(driver, width, 900)
    driver.get_log("browser")  # what earlier pages left there
    driver.get(page.resolve().as_uri())
    driver.execute_script(f"document.documentElement.dataset.theme = '{theme}';")
    driver.execute_script(_LOAD_LAZY_IMAGES)
    driver.execute_async_script(
        "const done = arguments[0];"
        "Promise.allSettled([...document.images].map(i => i.decode())).then(() => done());"
    )
    overflow, too_wide = driver.execute_script(_OVERFLOW)
    return PageReport(
        overflow=max(overflow, 0),
        too_wide=too_wide,
        console_errors=[e["message"] for e in driver.get_log("browser") if e["level"] == "SEVERE"],
        broken_images=driver.execute_script(_BROKEN_IMAGES),
        external_requests=driver.execute_script(_EXTERNAL),
    )


_NO_TRANSITIONS = """
const style = document.createElement("style");
style.textContent = "* { transition: none !important; }";
document.head.append(style);
"""


def set_window(driver: webdriver.Chrome, width: int, height: int) -> None:
    """Make the page's window exactly so large, narrower than a desktop browser would allow."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def save_screenshots(driver: webdriver.Chrome, stem: Path, width: int) -> list[Path]:
    """Save the open page at full height as `stem`.png, in numbered pieces if it is very long."""
    driver.execute_script(_NO_TRANSITIONS)  # the sidebar would be seen on its way
    height = driver.execute_script("return document.scrollingElement.scrollHeight;")
    tops = range(0, height, _MAX_PIECE)
    saved = []
    for piece, top in enumerate(tops):
        clip = {"x": 0, "y": top, "width": width, "height": min(_MAX_PIECE, height - top)}
        shot = driver.execute_cdp_cmd(
            "Page.captureScreenshot",
            {"clip": {**clip, "scale": 1}, "captureBeyondViewport": True},
        )
        suffix = f"-{piece}" if len(tops) > 1 else ""
        target = stem.with_name(f"{stem.name}{suffix}.png")
        target.write_bytes(base64.b64decode(shot["data"]))
        saved.append(target)
    return saved
