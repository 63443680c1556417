"""What the widgets share: a named panel, readers' mistakes as one sentence, pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from featrack_utils.display.shading import visible
from featrack_utils.display.style import MODEL_LABELS
from featrack_utils.errors import FeatrackError

_LABELS = {"description_width": "11em"}
WIDE = ipywidgets.Layout(width="min(100%, 46em)")


class Panel(ipywidgets.VBox):
    """Controls, and below them what they change; as text it is its name alone."""

    def __init__(self, name: str, children: Sequence[ipywidgets.Widget]) -> None:
        super().__init__(list(children))
        self._name = name

    def __repr__(self) -> str:
        # The usual form lists every child, with addresses and values that differ between runs.
        return f"<{self._name}>"


def labelled(
    kind: type[ipywidgets.DOMWidget], description: str, tooltip: str, **traits: Any
) -> ipywidgets.DOMWidget:
    """A control with a visible label and a longer explanation, as wide as the page allows."""
    return kind(
        description=description, tooltip=tooltip, style=dict(_LABELS), layout=WIDE, **traits
    )


def feature_controls(
    names: Sequence[str], model: str, feature: int
) -> tuple[ipywidgets.Dropdown, ipywidgets.IntText]:
    """Two controls to choose a feature by: whose dictionary, and its number there."""
    choice = labelled(
        ipywidgets.Dropdown,
        "Dictionary of",
        "The model whose dictionary holds the feature",
        value=model,
        options=[(MODEL_LABELS[name], name) for name in names],
    )
    number = labelled(
        ipywidgets.IntText, "Feature", "The feature's number in that dictionary", value=feature
    )
    return choice, number


def connect(
    controls: Sequence[ipywidgets.Widget],
    update: Callable[[], None],
    said: ipywidgets.HTML,
    shown: Sequence[ipywidgets.HTML],
) -> None:
    """Runs `update` now and after every change of a control's value.

    What a reader can cause (FeatrackError) appears as one sentence in `said`, and `shown` is
    emptied, so that nothing stale stands below it.
    """

    def run(_change: object = None) -> None:
        try:
            update()
        except FeatrackError as error:
            for view in shown:
                view.value = ""
            said.value = f'<p role="alert">{escape(str(error))}</p>'
        else:
            said.value = ""

    for control in controls:
        control.observe(run, names="value")
    run()


def picture(figure: Figure, alt: str) -> str:
    """A figure as an HTML image that says in words what it shows."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    data = base64.b64encode(drawn.getvalue()).decode()
    return (
        f'<img alt="{escape(alt)}" src="data:image/svg+xml;base64,{data}" '
        'style="max-width: 100%; height: auto; background: white">'
    )


def plain_html(text: str) -> str:
    """Text of several lines as escaped HTML; what would show nothing is shown as a sign."""
    shown = "".join(c if c in "\n " else visible(c) for c in text)
    return f'<pre style="white-space: pre-wrap; overflow-wrap: anywhere">{escape(shown)}</pre>'
