"""What the book asks of Sphinx beyond its theme: formulas without scripts, light pages."""

import os
import re
from html import escape
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)


def _mathml(node: nodes.Element, display: str) -> str:
    """The formula as MathML, or as its source with a warning if it can't be read."""
    try:
        return convert(node.astext(), display=display)
    except Exception as error:  # the converter has no common class for its errors
        logger.warning("formula %r can't be read: %r", node.astext(), error, location=node)
        return f"<code>{escape(node.astext())}</code>"


def visit_inline_math(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula inside a line as MathML, which browsers draw without a script."""
    self.body.append(_mathml(node, "inline"))
    raise nodes.SkipNode


def visit_display_math(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a displayed formula as MathML, with its number if it has one."""
    anchor = f' id="{node["ids"][0]}"' if node.get("ids") else ""
    self.body.append(f'<div class="featrack-equation"{anchor}>')
    self.body.append(_mathml(node, "block"))
    if node.get("number"):
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})</span>')
    self.body.append("</div>\n")
    raise nodes.SkipNode


def keep_explorer_apart(_app: Sphinx, config: Config) -> None:
    """Leave scripts, data and styles of the explorer and of the models to their own pages.

    Jupyter Book gives whatever lies under _static to every page, megabytes of data included.
    """
    for name in ("html_js_files", "html_css_files"):
        files = getattr(config, name)
        apart = ("explorer/", "touch/")
        setattr(config, name, [file for file in files if not str(file).startswith(apart)])


def offer_buttons(_app: Sphinx, config: Config) -> None:
    """Show buttons only where they lead somewhere: to the repository, if one is configured.

    Binder, which runs a chapter, is offered for one on GitHub.
    """
    options = config.html_theme_options
    url = os.environ.get("FEATRACK_REPOSITORY") or options.get("repository_url") or ""
    options["repository_url"] = url.rstrip("/")
    options["use_repository_button"] = options["use_issues_button"] = bool(url)
    hosted = re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", options["repository_url"])
    binder = {"binderhub_url": "https://mybinder.org", "notebook_interface": "jupyterlab"}
    options["launch_buttons"] = binder if hosted else {}


def drop_thebe(
    _app: Sphinx, _pagename: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    """Leave out the live-code scripts, which the book doesn't use.

    They would come from another host, and declared twice they are an error in every page.
    """
    context["script_files"] = [
        script
        for script in context.get("script_files", [])
        if "thebe" not in f"{script.filename} {script.attributes.get('body', '')}".lower()
    ]


def unlink_absent(app: Sphinx, docname: str, source: list[str]) -> None:
    """Turn a written page's links to chapters that this run's book lacks into plain words."""
    if not docname.startswith("executed/"):
        link = r"\[([^\]]+)\]\((executed/[\w-]+)\)"
        there = app.env.found_docs
        source[0] = re.sub(link, lambda m: m[0] if m[2] in there else m[1], source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_html_math_renderer("mathml", (visit_inline_math, None), (visit_display_math, None))
    app.connect("config-inited", keep_explorer_apart)
    app.connect("config-inited", offer_buttons)
    app.connect("source-read", unlink_absent)
    # After the theme, which adds scripts at its own late place.
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
