"""Text as HTML in which it is data, never markup: tokens shaded by activation, samples written."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from IPython.display import HTML

from featrack_utils.interpretation.contexts import visible

# Above this share of full colour, dark text on the colour falls below a contrast of 4.5 : 1.
_FULL_SHADE = 0.7
_INK = "#1a1a1a"
_MARK = '<span class="featrack-mark" style="color: #595959">{}</span>'
_BREAK = _MARK.format("⏎")
_BOX = (
    '<pre class="featrack-sample" tabindex="0" style="margin: 0.2em 0 1em; padding: 0.6em 0.8em; '
    "max-height: 18em; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; "
    f'background: white; color: {_INK}; border: 1px solid #bbb; border-radius: 4px">'
)


class ShadedFeature(NamedTuple):
    """A feature and what it does on some texts.

    Attributes:
        label: HTML.
        contexts: (tokens, activations of the same length) of each text.
        peak: the activation of full colour.
        colour: "#RRGGBB".
        unit: what the numbers are.
    """

    label: str
    contexts: Sequence[tuple[Sequence[str], Sequence[float]]]
    peak: float
    colour: str
    unit: str = "activation"


def token_html(token: str) -> str:
    """One token as escaped HTML: edge spaces, controls and bidi marks are shown as signs.

    A single space before a word stays a space, as it carries the line's rhythm.
    """
    if not token:
        return _MARK.format("∅")
    core = token.strip(" ")
    before = len(token) - len(token.lstrip(" "))
    after = len(token) - before - len(core)
    lead = " " if core and before == 1 else _signs(" " * before)
    if core and unicodedata.combining(core[0]):
        lead += "◌"
    return lead + _spaced(core) + _signs(" " * after)


def _signs(text: str) -> str:
    """Escaped text in which a character that can't be seen is a sign."""
    shown = ((character, visible(character)) for character in text)
    return "".join(escape(c) if sign == c else _MARK.format(sign) for c, sign in shown)


def _spaced(text: str) -> str:
    """The same, but spaces, which inside a text are read as such, stay."""
    return " ".join(map(_signs, text.split(" ")))


def in_prose(text: str) -> str:
    """A token for a sentence of Markdown: code in which no character is markup."""
    shown = "".join(map(visible, text))
    return "<code>" + "".join(f"&#{ord(character)};" for character in shown) + "</code>"


def token_spans(tokens: Sequence[str], acts: Sequence[float], peak: float, colour: str) -> str:
    """Tokens in HTML, each shaded by its activation / peak, the strongest underlined.

    A token's activation is its title.
    """
    strongest = max(range(len(acts)), key=acts.__getitem__)
    spans = []
    for place, (token, act) in enumerate(zip(tokens, acts, strict=True)):
        style = ""
        if act > 0:
            style = f"background: {_shade(colour, act / peak if act < peak else 1)}"
        if act > 0 and place == strongest:
            # Underlined too: the strongest token is found without seeing colours.
            style += "; text-decoration: underline; font-weight: 600"
        attributes = f' style="{style}"' if style else ""
        spans.append(f'<span title="{act:.3g}"{attributes}><bdi>{token_html(token)}</bdi></span>')
    return "".join(spans)


def strip(tokens: Sequence[str], acts: Sequence[float], peak: float, colour: str) -> str:
    """`token_spans` as a paragraph that wraps on a phone."""
    return (
        f'<p style="margin: 0.35em 0; line-height: 1.7; background: white; color: {_INK}; '
        'white-space: pre-wrap; overflow-wrap: anywhere; font-family: monospace; font-size: 0.9em">'
        f"{token_spans(tokens, acts, peak, colour)}</p>"
    )


def shade(*sides: ShadedFeature) -> HTML:
    """Features beside each other on their contexts, one row each; below each other on a phone."""
    rows = [[_legend(side) for side in sides]]
    rows += [
        [strip(*context, side.peak, side.colour) for context, side in zip(row, sides, strict=True)]
        for row in zip(*(side.contexts for side in sides), strict=True)
    ]
    # Each strip is named: below each other, colours alone would not tell the features apart.
    cell = (
        '<div style="border-left: 4px solid {0.colour}; padding: 0.1em 0 0.1em 0.6em; '
        'min-width: 0"><div style="font-size: 0.8em">{0.label}</div>{1}</div>'
    )
    grid = (
        '<div style="display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, '
        '17em), 1fr)); gap: 0.5em 1em; padding: 0.5em 0; border-bottom: 1px solid #ddd">'
    )
    inside = "\n".join(grid + "".join(map(cell.format, sides, row)) + "</div>" for row in rows)
    return HTML(
        '<div class="featrack-tokens" style="background: white; padding: 0.2em 0.8em; '
        f'border-radius: 4px; margin: 0.5em 0; color: {_INK}">\n{inside}\n</div>'
    )


def _shade(colour: str, part: float) -> str:
    return f"{colour}{round(255 * _FULL_SHADE * part):02x}"


def _legend(side: ShadedFeature) -> str:
    return (
        f'<p style="margin: 0 0 0.3em; font-size: 0.8em; color: {_INK}">{escape(side.unit)} 0 '
        '<span style="display: inline-block; width: 6em; height: 0.8em; border: 1px solid #999; '
        "vertical-align: middle; background: linear-gradient(to right, white, "
        f'{_shade(side.colour, 1)})"></span> {side.peak:.3g}, strongest token underlined</p>'
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
    def counted(run: re.Match[str]) -> str:
        return _MARK.format(f"⏎ × {len(run[0]) // len(_BREAK)}") + "\n"

    shown = re.sub(f"({re.escape(_BREAK)}){{3,}}", counted, _spaced(text))
    return shown.replace(_BREAK, f"{_BREAK}\n")
