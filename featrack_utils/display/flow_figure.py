"""The flow diagram (Horn & Elliott, Figure 2): features on their way along a lineage.

Models stand in columns by generation. A node is as high as the features it stands for. Where the
same features are followed to two models, or come from two, each ribbon takes its part of the node's
face and widens or narrows on its way, so nothing is drawn twice. Hatched ribbons are matches that
aren't one to one.
"""

import json
from collections import defaultdict
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from featrack_utils.display.style import GREY, WIDTH, colour_of
from featrack_utils.lineage import Lineage, label
from featrack_utils.matching.flow import SHARED_ORIGINS, origin_names

_HEIGHT = 5.4  # inches
_STEP = 1.0  # from column to column
_NODE_WIDTH = 0.07
_LABEL_STEP = 0.042  # least distance of labels in a column
_GAP = 0.022  # between nodes, as a part of the diagram's height
_LOST = "#8a8a8a"
_SHARED = ("fused", "split")  # matched, but not one to one
# Classes that end or begin between two stages; kept apart for each pair of stages.
_WORDS = {"disappearing": "no match", "fused": "fused", "split": "split"}


class Node(NamedTuple):
    """A class of features of one model.

    Attributes:
        stage: the model at which it stands.
        name: the class.
        other: of ends and splits the model at their other side.
    """

    stage: str
    name: str
    other: str = ""


Links = dict[tuple[Node, Node], float]
Span = tuple[float, float]
Boxes = dict[Node, Span]  # top and bottom; 0 is the diagram's top, 1 its bottom


class Shapes(NamedTuple):
    """What a diagram is drawn of, x in columns and y from 0 (top) to 1: colour, whether hatched."""

    bands: list[tuple[str, bool, float, float, Span, Span]]  # from x to x, there top and bottom
    boxes: list[tuple[str, bool, float, float, float]]  # left, top, bottom
    words: list[tuple[str, float, float, str, str]]  # x, y, where they stand from there, colour
    right: float  # the diagram's edge


def flow_diagram(volumes: pd.DataFrame, lineage: Lineage) -> Figure:
    """Ribbons of features from model to model: grey without a match, hatched if they share one.

    Takes the table of `matching.flow.flow`: source_stage, source_class, target_stage,
    target_class, volume (features).
    """
    shapes = _shapes(volumes, lineage)
    figure = Figure(figsize=(WIDTH, _HEIGHT), layout="constrained")
    axis = figure.subplots()
    way = np.linspace(0, 1, 50)
    eased = way**2 * (3 - 2 * way)
    for colour, hatched, begin, end, start, finish in shapes.bands:
        x = begin + (end - begin) * way
        top, bottom = (a + (b - a) * eased for a, b in zip(start, finish, strict=True))
        around = np.append(x, x[::-1]), np.append(top, bottom[::-1])
        axis.fill(*around, **_look(colour, hatched), alpha=0.38, lw=0, zorder=1)
    for colour, hatched, x, top, bottom in shapes.boxes:
        look = _look(colour, hatched)
        axis.add_patch(Rectangle((x, top), _NODE_WIDTH, bottom - top, **look, lw=0))
    for words, x, y, side, ink in shapes.words:
        text = axis.text(x, y, words, ha=side, va="center", fontsize=10, color=ink, zorder=4)
        text.set_path_effects([patheffects.withStroke(linewidth=2.5, foreground="white")])
    axis.set_xlim(-0.03, shapes.right)
    axis.set_ylim(1.01, -0.01)
    axis.axis("off")
    return figure


def moving_flow(volumes: pd.DataFrame, lineage: Lineage, figure: str = "") -> dict[str, Any]:
    """The same at each threshold in a column `tau`, for `shareplots.moving_threshold`.

    On the built page it takes the place of the figure so named.
    """
    frames = {tau: _shapes(rows, lineage) for tau, rows in volumes.groupby("tau")}
    drawn = json.loads(json.dumps([*frames.values()]), parse_float=lambda x: round(float(x), 4))
    return {"taus": [*frames], "flow": {"figure": figure, "node": _NODE_WIDTH, "frames": drawn}}


def _shapes(volumes: pd.DataFrame, lineage: Lineage) -> Shapes:
    links = _links_of(volumes)
    heights = _heights_of(links)
    columns = [[n for n in column if heights[n] > 0] for column in columns_of(lineage)]
    boxes = _stacked(columns, heights)
    left = {node: _STEP * n for n, column in enumerate(columns) for node in column}
    nodes = []
    for node, (top, bottom) in boxes.items():
        # What is fused has come from the other stage and keeps its colour.
        colour = colour_of(node.other if node.name == "fused" else node.stage)
        if node.name == "disappearing":
            colour = _LOST
        nodes.append((colour, node.name in _SHARED, left[node], top, bottom))
    words = [each for column in columns for each in _labels(column, heights, boxes, left, lineage)]
    # The labels of the last column stand at its right.
    longest = max((len(_label(node, heights, lineage)) for node in columns[-1]), default=0)
    right = _STEP * (len(columns) - 1) + 0.1 + 0.036 * longest
    return Shapes(_bands(links, boxes, left), nodes, words, right)


def columns_of(lineage: Lineage) -> list[list[Node]]:
    """Nodes from left to right by generation, in each column from top to bottom.

    In the upper half of a column features that end stand at a model's top, in the lower half at its
    bottom, so that losses lie at the edges.
    """
    generation: dict[str, int] = {}
    for model in lineage.order:
        parents = lineage.parents(model)
        generation[model] = 1 + max((generation[parent] for parent in parents), default=-1)
    columns: list[list[Node]] = [[] for _ in range(1 + max(generation.values()))]
    for number, column in enumerate(columns):
        models = [model for model in lineage.order if generation[model] == number]
        for place, model in enumerate(models):
            upper = 2 * place < len(models)
            nodes = _nodes_of(lineage, model)
            column += nodes if upper or model in lineage.merges else nodes[::-1]
    return columns


def _nodes_of(lineage: Lineage, model: str) -> list[Node]:
    parents, children = lineage.parents(model), lineage.children(model)
    splits = [Node(model, "split", child) for child in children]
    half = (len(children) + 1) // 2
    if not parents:
        return [*splits[:half], Node(model, "eligible"), *splits[half:]]
    ends = {p: [Node(model, name, p) for name in ("disappearing", "fused")] for p in parents}
    if model not in lineage.merges:
        (parent,) = ends
        return [*ends[parent], Node(model, "new"), Node(model, f"from {parent}"), *splits]
    half = (len(parents) + 1) // 2
    sides = [[*ends[parent], Node(model, f"{parent} only")] for parent in parents]
    above = [node for side in sides[:half] for node in side]
    below = [node for side in sides[half:] for node in side[::-1]]
    shared = [Node(model, name) for name in origin_names(parents) if name in SHARED_ORIGINS]
    return [*above, *shared, *below, Node(model, "novel"), *splits]


def _links_of(volumes: pd.DataFrame) -> Links:
    links: Links = defaultdict(float)
    stages = "source_stage", "source_class", "target_stage", "target_class"
    for a, name_a, b, name_b, volume in volumes[[*stages, "volume"]].itertuples(index=False):
        source = Node(a, name_a, b if name_a in _WORDS else "")
        target = Node(b, name_b, a if name_b in _WORDS else "")
        links[source, target] += volume
    return links


def _heights_of(links: Links) -> dict[Node, float]:
    """Features that each node stands for: the most it exchanges with any one other stage."""
    exchanged: dict[tuple[Node, str], float] = defaultdict(float)
    for (source, target), volume in links.items():
        exchanged[source, target.stage] += volume
        exchanged[target, source.stage] += volume
    heights: dict[Node, float] = defaultdict(float)
    for (node, _), volume in exchanged.items():
        heights[node] = max(heights[node], volume)
    return heights


def _stacked(columns: list[list[Node]], heights: dict[Node, float]) -> Boxes:
    """Top and bottom of every node, columns centred; a double gap between two models."""
    gaps = [
        [_GAP * (1 + (one.stage != other.stage)) for one, other in pairwise(column)]
        for column in columns
    ]
    room = 1 - max(sum(column) for column in gaps)
    unit = room / max(sum(heights[node] for node in column) for column in columns)
    boxes = {}
    for column, between in zip(columns, gaps, strict=True):
        place = (1 - sum(between) - unit * sum(heights[node] for node in column)) / 2
        for node, gap in zip(column, [*between, 0.0], strict=False):
            boxes[node] = (place, place + unit * heights[node])
            place = boxes[node][1] + gap
    return boxes


def _bands(
    links: Links, boxes: Boxes, left: dict[Node, float]
) -> list[tuple[str, bool, float, float, Span, Span]]:
    # What comes from nowhere has a node and no ribbon.
    links = {link: volume for link, volume in links.items() if link[0] in boxes}
    starts, ends = (_spans(links, boxes, side) for side in (0, 1))
    bands = []
    for (source, target), start in starts.items():
        colour = _LOST if target.name == "disappearing" else colour_of(source.stage)
        hatched = source.name in _SHARED or target.name in _SHARED
        places = left[source] + _NODE_WIDTH, left[target]
        bands.append((colour, hatched, *places, start, ends[source, target]))
    return bands


def _spans(links: Links, boxes: Boxes, side: int) -> dict[tuple[Node, Node], Span]:
    """Where each ribbon touches its source (side 0) or target (1), in the order of the others."""
    faces: dict[Node, float] = defaultdict(float)
    for link, volume in links.items():
        faces[link[side]] += volume
    order = {node: place for place, node in enumerate(boxes)}
    filled = {node: top for node, (top, _) in boxes.items()}
    spans = {}
    for link in sorted(links, key=lambda link: (order[link[side]], order[link[1 - side]])):
        top, bottom = boxes[link[side]]
        thick = (bottom - top) * links[link] / faces[link[side]]
        spans[link] = (filled[link[side]], filled[link[side]] + thick)
        filled[link[side]] += thick
    return spans


def _look(colour: str, hatched: bool) -> dict[str, object]:
    if not hatched:
        return {"facecolor": colour, "edgecolor": colour}
    pale = tuple(1 - 0.35 * (1 - part) for part in to_rgb(colour))
    return {"facecolor": pale, "edgecolor": colour, "hatch": "//////"}


def _labels(
    column: list[Node],
    heights: dict[Node, float],
    boxes: Boxes,
    left: dict[Node, float],
    lineage: Lineage,
) -> list[tuple[str, float, float, str, str]]:
    nodes = [node for node in column if node.name != "split"]
    centres = _spread([sum(boxes[node]) / 2 for node in nodes])
    spots = {node: (_NODE_WIDTH + 0.03, y, "left") for node, y in zip(nodes, centres, strict=True)}
    splits = [node for node in column if node.name == "split"]
    spots |= {node: _off_ribbons(node, boxes, lineage) for node in splits}
    inks = {node: GREY if node.name in _WORDS else "black" for node in spots}
    return [
        (_label(node, heights, lineage), left[node] + x, y, side, inks[node])
        for node, (x, y, side) in spots.items()
    ]


def _off_ribbons(node: Node, boxes: Boxes, lineage: Lineage) -> tuple[float, float, str]:
    """Where the label of split features covers no ribbon: nothing comes in from the left."""
    top, bottom = boxes[node]
    if node.stage != lineage.root:
        return -0.03, (top + bottom) / 2, "right"
    own = boxes.get(Node(node.stage, "eligible"), (0.5, 0.5))
    return 0.0, top - 0.025 if top < own[0] else bottom + 0.025, "left"


def _label(node: Node, heights: dict[Node, float], lineage: Lineage) -> str:
    words = f"{label(node.stage)}, {node.name}"
    if node.name in _WORDS:
        words = _WORDS[node.name]
    elif node.name == "eligible":
        words = label(node.stage)
    elif lineage.merges == (node.stage,):
        words = label(node.name)  # its origins need no model's name
    return f"{words} {heights[node]:,.0f}"


def _spread(centres: list[float]) -> list[float]:
    """Move labels down where they would overlap, and all of them back by half the shift."""
    moved: list[float] = []
    for centre in centres:
        moved.append(max(centre, moved[-1] + _LABEL_STEP) if moved else centre)
    return list(np.array(moved) - (moved[-1] - centres[-1]) / 2) if moved else []
