"""Screenshots of every page of the built book: `python -m tests.screenshots OUTDIR`."""

import argparse
import logging
import sys
from pathlib import Path

from tests.browser import DESKTOP, PHONE, open_browser, save_screenshots, visit

logger = logging.getLogger("screenshots")


def main() -> int:
    """Save each page at both widths and log what is wrong; the status is 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("outdir", type=Path)
    parser.add_argument("--html", type=Path, default=Path("book/_build/html"))
    parser.add_argument("--theme", choices=("light", "dark"), default="light")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    pages = [
        page
        for page in sorted(arguments.html.rglob("*.html"))
        if not {"_static", "_sources"} & set(page.relative_to(arguments.html).parts)
        and page.name not in ("index.html", "genindex.html", "search.html")
    ]
    if not pages:
        logger.error("No pages under %s: build the book first.", arguments.html)
        return 1
    arguments.outdir.mkdir(parents=True, exist_ok=True)
    wrong = 0
    with open_browser() as driver:
        for page in pages:
            for width in (PHONE, DESKTOP):
                report = visit(driver, page, width, arguments.theme)
                shots = save_screenshots(driver, arguments.outdir / f"{page.stem}-{width}", width)
                problems = report.problems()
                wrong += len(problems)
                logger.info("%s at %d px: %s", page.stem, width, "; ".join(problems) or "well")
                logger.debug("saved %s", shots)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
