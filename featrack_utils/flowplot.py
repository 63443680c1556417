"""The flow diagram (Horn & Elliott, Figure 2): features from base through both tunes to merged.

A node is as high as the features it stands for. Where the same features are followed to two
models, or come from two, each ribbon takes its part of the node's face and widens or narrows on
its way, so nothing is drawn twice.
"""

from collections import defaultdict
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from featrack_utils.errors import FeatrackError
from featrack_utils.plots import GREY, MODEL_COLOURS, MODEL_LABELS, WIDTH, require_columns

_HEIGHT = 5.4  # inches
_X = {"base": 0.0, "lua": 0.95, "stories": 0.95, "merged": 2.05}
_NODE_WIDTH = 0.07
_GAP = 0.022  # between nodes, as a part of the diagram's height
_LABEL_STEP = 0.042  # least distance of labels in a column
# Classes that end or begin between two stages; kept apart for each pair of stages.
_ENDS = {"disappearing": "#8a8a8a", "fused": "#c4c4c4"}
_WORDS = {"disappearing": "no match", "fused": "fused", "split": "split"}


class _Node(NamedTuple):
    stage: str  # where it stands
    name: str  # class
    other: str = ""  # of ends and splits: the stage at the other side


# From top to bottom in each column: Lua's half above, Stories' below, losses at the edges.
_ORDER = [
    [_Node("base", "split", "lua"), _Node("base", "eligible"), _Node("base", "split", "stories")],
    [
        _Node("lua", "disappearing", "base"),
        _Node("lua", "fused", "base"),
        _Node("lua", "new"),
        _Node("lua", "from base"),
        _Node("lua", "split", "merged"),
        _Node("stories", "split", "merged"),
        _Node("stories", "from base"),
        _Node("stories", "new"),
        _Node("stories", "fused", "base"),
        _Node("stories", "disappearing", "base"),
    ],
    [
        _Node("merged", "disappearing", "lua"),
        _Node("merged", "fused", "lua"),
        _Node("merged", "lua only"),
        _Node("merged", "both"),
        _Node("merged", "stories only"),
        _Node("merged", "fused", "stories"),
        _Node("merged", "disappearing", "stories"),
        _Node("merged", "novel"),
    ],
]


def flow_diagram(volumes: pd.DataFrame) -> Figure:
    """Ribbons of features from stage to stage; grey ones end without a match of their own.

    Takes the table of `featrack_utils.flow.flow`: source_stage, source_class, target_stage,
    target_class, volume (features). Raises FeatrackError for a class or stage it doesn't know.
    """
    require_columns(
        volumes, "source_stage", "source_class", "target_stage", "target_class", "volume"
    )
    links, born = _links(volumes)
    heights = _heights(links, born)
    figure = Figure(figsize=(WIDTH, _HEIGHT), layout="constrained")
    axis = figure.subplots()
    boxes = _stack(heights)
    _draw_ribbons(axis, links, boxes)
    for node, (top, bottom) in boxes.items():
        corner = (_X[node.stage], top)
        axis.add_patch(Rectangle(corner, _NODE_WIDTH, bottom - top, color=_colour(node), lw=0))
    _write_labels(axis, heights, boxes)
    axis.set_xlim(-0.03, 2.72)
    axis.set_ylim(1.01, -0.01)
    axis.axis("off")
    return figure


def _links(volumes: pd.DataFrame) -> tuple[dict[tuple[_Node, _Node], float], dict[_Node, float]]:
    """Volumes between nodes, and for nodes with features from nowhere how many they are."""
    known = {node for column in _ORDER for node in column}
    links: dict[tuple[_Node, _Node], float] = defaultdict(float)
    born: dict[_Node, float] = defaultdict(float)
    for row in volumes.itertuples(index=False):
        source = _node(row.source_stage, row.source_class, row.target_stage)
        target = _node(row.target_stage, row.target_class, row.source_stage)
        for node in (target,) if row.source_stage == "outside" else (source, target):
            if node not in known:
                raise FeatrackError(
                    f"The flow diagram has no place for class {node.name!r} of {node.stage!r}: "
                    "give it the table that featrack_utils.flow.flow makes."
                )
        if row.source_stage == "outside":
            born[target] += row.volume
        else:
            links[source, target] += row.volume
    return links, born


def _node(stage: str, name: str, other: str) -> _Node:
    return _Node(stage, name, other if name in _WORDS else "")


def _heights(
    links: dict[tuple[_Node, _Node], float], born: dict[_Node, float]
) -> dict[_Node, float]:
    """Features that each node stands for: the most it exchanges with any one other stage."""
    exchanged: dict[tuple[_Node, str], float] = defaultdict(float)
    for (source, target), volume in links.items():
        exchanged[source, target.stage] += volume
        exchanged[target, source.stage] += volume
    heights: dict[_Node, float] = defaultdict(float, born)
    for (node, _), volume in exchanged.items():
        heights[node] = max(heights[node], volume)
    return {node: heights[node] for column in _ORDER for node in column if heights[node] > 0}


def _stack(heights: dict[_Node, float]) -> dict[_Node, tuple[float, float]]:
    """Top and bottom of every node, columns centred; 0 is the top, 1 the bottom."""
    columns = [[node for node in column if node in heights] for column in _ORDER]
    gaps = [_GAP * (len(column) - 1) + _GAP * _crossings(column) for column in columns]
    room = 1 - max(gaps)
    unit = room / max(sum(heights[node] for node in column) for column in columns)
    boxes = {}
    for column, gap in zip(columns, gaps, strict=True):
        place = (1 - gap - unit * sum(heights[node] for node in column)) / 2
        for before, node in zip([None, *column], column, strict=False):
            if before is not None:
                place += _GAP * (1 + _crossing(before, node))
            boxes[node] = (place, place + unit * heights[node])
            place = boxes[node][1]
    return boxes


def _crossing(before: _Node, node: _Node) -> bool:
    """Whether one model's nodes end here and another's begin: twice the gap."""
    return before.stage != node.stage


def _crossings(column: list[_Node]) -> int:
    return sum(_crossing(a, b) for a, b in pairwise(column))


def _draw_ribbons(
    axis: Axes,
    links: dict[tuple[_Node, _Node], float],
    boxes: dict[_Node, tuple[float, float]],
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
        colour = _colour(target) if target.name in _ENDS else MODEL_COLOURS[source.stage]
        x0, x1 = _X[source.stage] + _NODE_WIDTH, _X[target.stage]
        axis.add_patch(_ribbon(x0, span["start"], x1, span["end"], colour))


def _ribbon(
    x0: float, start: tuple[float, float], x1: float, end: tuple[float, float], colour: str
) -> PathPatch:
    middle = (x0 + x1) / 2
    (a0, a1), (b0, b1) = start, end
    points = [(x0, a0), (middle, a0), (middle, b0), (x1, b0)]
    points += [(x1, b1), (middle, b1), (middle, a1), (x0, a1), (x0, a0)]
    curve = [Path.CURVE4] * 3
    codes = [Path.MOVETO, *curve, Path.LINETO, *curve, Path.CLOSEPOLY]
    return PathPatch(Path(points, codes), facecolor=colour, alpha=0.38, lw=0, zorder=1)


def _colour(node: _Node) -> str:
    return _ENDS.get(node.name, MODEL_COLOURS[node.stage])


def _write_labels(
    axis: Axes, heights: dict[_Node, float], boxes: dict[_Node, tuple[float, float]]
) -> None:
    halo = [patheffects.withStroke(linewidth=2.5, foreground="white")]
    for column in _ORDER:
        nodes = [node for node in column if node in boxes]
        centres = _spread([sum(boxes[node]) / 2 for node in nodes])
        for node, y in zip(nodes, centres, strict=True):
            text = axis.text(
                _X[node.stage] + _NODE_WIDTH + 0.03,
                y,
                f"{_label(node)} {heights[node]:,.0f}",
                va="center",
                fontsize=9.5,
                color=GREY if node.name in _WORDS else "black",
                zorder=4,
            )
            text.set_path_effects(halo)


def _label(node: _Node) -> str:
    if node.name in _WORDS:
        return _WORDS[node.name]
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
