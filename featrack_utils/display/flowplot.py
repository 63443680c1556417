"""The flow diagram (Horn & Elliott, Figure 2): features from base through both tunes to merged.

A node is as high as the features it stands for. Where the same features are followed to two
models, or come from two, each ribbon takes its part of the node's face and widens or narrows on
its way, so nothing is drawn twice. Hatched ribbons are matches that aren't one to one.
"""

from collections import defaultdict

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from featrack_utils.display.flowlayout import ORDER, WORDS, Node, heights_of, links_of, stacked
from featrack_utils.display.style import GREY, MODEL_COLOURS, MODEL_LABELS, WIDTH, require_columns

_HEIGHT = 5.4  # inches
_X = {"base": 0.0, "lua": 0.95, "stories": 0.95, "merged": 2.05}
_NODE_WIDTH = 0.07
_LABEL_STEP = 0.042  # least distance of labels in a column
_LOST = "#8a8a8a"
_SHARED = ("fused", "split")  # matched, but not one to one


def flow_diagram(volumes: pd.DataFrame) -> Figure:
    """Ribbons of features from stage to stage: grey without a match, hatched if they share one.

    Takes the table of `matching.flow.flow`: source_stage, source_class, target_stage,
    target_class, volume (features). Raises FeatrackError for a class or stage it doesn't know.
    """
    require_columns(
        volumes, "source_stage", "source_class", "target_stage", "target_class", "volume"
    )
    links, born = links_of(volumes)
    heights = heights_of(links, born)
    figure = Figure(figsize=(WIDTH, _HEIGHT), layout="constrained")
    axis = figure.subplots()
    boxes = stacked(heights)
    _draw_ribbons(axis, links, boxes)
    for node, (top, bottom) in boxes.items():
        corner = (_X[node.stage], top)
        look = _look(_colour(node), node.name in _SHARED)
        axis.add_patch(Rectangle(corner, _NODE_WIDTH, bottom - top, **look, lw=0))
    _write_labels(axis, heights, boxes)
    axis.set_xlim(-0.03, 2.72)
    axis.set_ylim(1.01, -0.01)
    axis.axis("off")
    return figure


def _draw_ribbons(
    axis: Axes,
    links: dict[tuple[Node, Node], float],
    boxes: dict[Node, tuple[float, float]],
) -> None:
    leaving, entering = defaultdict(float), defaultdict(float)
    for (source, target), volume in links.items():
        leaving[source] += volume
        entering[target] += volume
    right = {node: top for node, (top, _) in boxes.items()}
    left = dict(right)
    order = {node: place for place, node in enumerate(boxes)}
    spans = defaultdict(dict)
    for source, target in sorted(links, key=lambda link: (order[link[0]], order[link[1]])):
        top, bottom = boxes[source]
        thick = (bottom - top) * links[source, target] / leaving[source]
        spans[source, target]["start"] = (right[source], right[source] + thick)
        right[source] += thick
    for source, target in sorted(links, key=lambda link: (order[link[1]], order[link[0]])):
        top, bottom = boxes[target]
        thick = (bottom - top) * links[source, target] / entering[target]
        spans[source, target]["end"] = (left[target], left[target] + thick)
        left[target] += thick
    for (source, target), span in spans.items():
        colour = _LOST if target.name == "disappearing" else MODEL_COLOURS[source.stage]
        look = _look(colour, source.name in _SHARED or target.name in _SHARED)
        x0, x1 = _X[source.stage] + _NODE_WIDTH, _X[target.stage]
        axis.add_patch(_ribbon(x0, span["start"], x1, span["end"], look))


def _ribbon(
    x0: float,
    start: tuple[float, float],
    x1: float,
    end: tuple[float, float],
    look: dict[str, object],
) -> PathPatch:
    middle = (x0 + x1) / 2
    (a0, a1), (b0, b1) = start, end
    points = [(x0, a0), (middle, a0), (middle, b0), (x1, b0)]
    points += [(x1, b1), (middle, b1), (middle, a1), (x0, a1), (x0, a0)]
    curve = [Path.CURVE4] * 3
    codes = [Path.MOVETO, *curve, Path.LINETO, *curve, Path.CLOSEPOLY]
    return PathPatch(Path(points, codes), **look, alpha=0.38, lw=0, zorder=1)


def _colour(node: Node) -> str:
    if node.name == "disappearing":
        return _LOST
    # What is fused has come from the other stage and keeps its colour.
    return MODEL_COLOURS[node.other if node.name == "fused" else node.stage]


def _look(colour: str, shared: bool) -> dict[str, object]:
    if not shared:
        return {"facecolor": colour, "edgecolor": colour}
    pale = tuple(1 - 0.35 * (1 - part) for part in to_rgb(colour))
    return {"facecolor": pale, "edgecolor": colour, "hatch": "//////"}


def _write_labels(
    axis: Axes, heights: dict[Node, float], boxes: dict[Node, tuple[float, float]]
) -> None:
    for column in ORDER:
        nodes = [node for node in column if node in boxes and node.name != "split"]
        centres = _spread([sum(boxes[node]) / 2 for node in nodes])
        spots = {
            node: (_NODE_WIDTH + 0.03, y, "left") for node, y in zip(nodes, centres, strict=True)
        }
        spots |= {n: _off_ribbons(n, *boxes[n]) for n in column if n in boxes and n not in spots}
        for node, (x, y, side) in spots.items():
            words = f"{_label(node)} {heights[node]:,.0f}"
            ink = GREY if node.name in WORDS else "black"
            text = axis.text(
                _X[node.stage] + x, y, words, ha=side, va="center", fontsize=10, color=ink, zorder=4
            )
            text.set_path_effects([patheffects.withStroke(linewidth=2.5, foreground="white")])


def _off_ribbons(node: Node, top: float, bottom: float) -> tuple[float, float, str]:
    """Where the label of split features covers no ribbon: nothing comes in from the left."""
    if node.stage != "base":
        return -0.03, (top + bottom) / 2, "right"
    return 0.0, top - 0.025 if node.other == "lua" else bottom + 0.025, "left"


def _label(node: Node) -> str:
    if node.name in WORDS:
        return WORDS[node.name]
    if node.name == "eligible":
        return MODEL_LABELS[node.stage]
    words = {"lua only": "Lua only", "stories only": "Stories only"}
    name = words.get(node.name, node.name)
    # The merged column lies at the edge, where the short form has room.
    return name.capitalize() if node.stage == "merged" else f"{MODEL_LABELS[node.stage]}, {name}"


def _spread(centres: list[float]) -> list[float]:
    """Move labels down where they would overlap, and all of them back by half the shift."""
    moved: list[float] = []
    for centre in centres:
        moved.append(max(centre, moved[-1] + _LABEL_STEP) if moved else centre)
    return list(np.array(moved) - (moved[-1] - centres[-1]) / 2) if moved else []
