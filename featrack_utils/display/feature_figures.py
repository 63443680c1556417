"""A map of features that the built page can be moved over."""

from collections.abc import Sequence
from html import escape

import pandas as pd
from IPython.display import HTML

from featrack_utils.display.style import colour_of
from featrack_utils.lineage import label


def live_map(mapped: pd.DataFrame, words: Sequence[str]) -> HTML:
    """The map for the book's page, where map.js draws it to move over and to click.

    `mapped` has the columns model, feature, x, y and kind; `words` says for each feature what it
    answers to, in one line. Nothing is seen of it in JupyterLab.
    """
    models, kinds = (list(dict.fromkeys(mapped[column])) for column in ("model", "kind"))
    places = mapped[["x", "y"]] - mapped[["x", "y"]].min()
    # As far from the edges as a ring around a point is wide; y grows downwards on a screen.
    places = (20 + 960 * places / places.to_numpy().max()).round().astype(int)
    columns = {
        "model": mapped["model"].map(models.index),
        "feature": mapped["feature"],
        "x": places["x"],
        "y": 1000 - places["y"],
        "kind": mapped["kind"].map(kinds.index),
    }
    data = {
        "models": ",".join(models),
        "labels": ",".join(map(label, models)),
        "colours": ",".join(map(colour_of, models)),
        "kinds": ",".join(kinds),
        "points": ";".join(",".join(map(str, row)) for row in zip(*columns.values(), strict=True)),
        "words": "\n".join(words),
    }
    attributes = " ".join(f'data-{name}="{escape(text)}"' for name, text in data.items())
    return HTML(f'<div class="featrack-map" hidden {attributes}></div>')
