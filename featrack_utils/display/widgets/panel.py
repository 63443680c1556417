"""What the widgets share: a panel of controls, readers' mistakes as one sentence, pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import label


class Panel(ipywidgets.VBox):
    """Controls, by argument of `show`, and below them the HTML that it makes of their values.

    What a reader can cause (FeatrackError) stands there as one sentence.
    """

    def __init__(
        self, name: str, controls: Mapping[str, ipywidgets.Widget], show: Callable[..., str]
    ) -> None:
        view = ipywidgets.HTML()
        super().__init__([*controls.values(), view])
        self._name = name

        def update(_change: object = None) -> None:
            try:
                view.value = show(**{key: control.value for key, control in controls.items()})
            except FeatrackError as error:
                view.value = f'<p role="alert">{escape(str(error))}</p>'

        for control in controls.values():
            control.observe(update, names="value")
        update()

    def __repr__(self) -> str:
        # The usual form lists every child, with addresses and values that differ between runs.
        return f"<{self._name}>"


def labelled(
    kind: type[ipywidgets.DOMWidget], description: str, tooltip: str, **traits: Any
) -> ipywidgets.DOMWidget:
    """A control with a visible label and a longer explanation, as wide as the page allows."""
    return kind(
        description=description,
        tooltip=tooltip,
        style={"description_width": "11em"},
        layout=ipywidgets.Layout(width="min(100%, 46em)"),
        **traits,
    )


def feature_controls(
    names: Sequence[str], model: str, feature: int
) -> dict[str, ipywidgets.DOMWidget]:
    """Two controls to choose a feature by: `model`, whose dictionary, and `feature`, its number."""
    return {
        "model": labelled(
            ipywidgets.Dropdown,
            "Dictionary of",
            "The model whose dictionary holds the feature",
            value=model,
            options=[(label(name), name) for name in names],
        ),
        "feature": labelled(
            ipywidgets.IntText, "Feature", "The feature's number in that dictionary", value=feature
        ),
    }


def picture(figure: Figure, alt: str) -> str:
    """A figure as an HTML image that says in words what it shows."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    data = base64.b64encode(drawn.getvalue()).decode()
    return (
        f'<img alt="{escape(alt)}" src="data:image/svg+xml;base64,{data}" '
        'style="max-width: 100%; height: auto; background: white">'
    )
