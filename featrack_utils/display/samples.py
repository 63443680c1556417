"""What a model wrote, as HTML: line breaks are seen, blank lines don't fill the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

from IPython.display import HTML

from featrack_utils.display.shading import signs

_SHOWN_BREAKS = 2  # so many in a row are shown one by one, a longer run as its number
_MARK = '<span style="color: #595959">{}</span>'
_BOX = (
    '<pre class="featrack-sample" tabindex="0" style="margin: 0.2em 0 1em; padding: 0.6em 0.8em; '
    "max-height: 18em; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; "
    'background: white; color: #1a1a1a; border: 1px solid #bbb; border-radius: 4px">'
)


def show_samples(samples: Mapping[str, tuple[str, str]]) -> HTML:
    """Samples by title, each (prompt, the whole text that begins with it); the prompt is bold.

    A line break is shown as ⏎, a run of more than two as its number; the text is escaped.
    """
    shown = "\n".join(
        f'<p style="margin: 0.6em 0 0">{escape(title)}</p>\n'
        f"{_BOX}<strong>{_written(prompt)}</strong>{_written(text.removeprefix(prompt))}</pre>"
        for title, (prompt, text) in samples.items()
    )
    return HTML(f'<div class="featrack-tokens">\n{shown}\n</div>')


def _written(text: str) -> str:
    return "".join(
        _breaks(len(part)) if part.startswith("\n") else " ".join(map(signs, part.split(" ")))
        for part in re.split(r"(\n+)", text)
    )


def _breaks(count: int) -> str:
    if count <= _SHOWN_BREAKS:
        return (_MARK.format("⏎") + "\n") * count
    return _MARK.format(f"⏎ × {count}") + "\n"
