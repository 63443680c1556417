"""Where the flow diagram's nodes stand, and how many features each stands for."""

from collections import defaultdict
from itertools import pairwise
from typing import NamedTuple

import pandas as pd

from featrack_utils.errors import FeatrackError

_GAP = 0.022  # between nodes, as a part of the diagram's height
# Classes that end or begin between two stages; kept apart for each pair of stages.
WORDS = {"disappearing": "no match", "fused": "fused", "split": "split"}


class Node(NamedTuple):
    stage: str  # where it stands
    name: str  # class
    other: str = ""  # of ends and splits: the stage at the other side


# From top to bottom in each column: Lua's half above, Stories' below, losses at the edges.
ORDER = [
    [Node("base", "split", "lua"), Node("base", "eligible"), Node("base", "split", "stories")],
    [
        Node("lua", "disappearing", "base"),
        Node("lua", "fused", "base"),
        Node("lua", "new"),
        Node("lua", "from base"),
        Node("lua", "split", "merged"),
        Node("stories", "split", "merged"),
        Node("stories", "from base"),
        Node("stories", "new"),
        Node("stories", "fused", "base"),
        Node("stories", "disappearing", "base"),
    ],
    [
        Node("merged", "disappearing", "lua"),
        Node("merged", "fused", "lua"),
        Node("merged", "lua only"),
        Node("merged", "both"),
        Node("merged", "stories only"),
        Node("merged", "fused", "stories"),
        Node("merged", "disappearing", "stories"),
        Node("merged", "novel"),
    ],
]


def links_of(volumes: pd.DataFrame) -> tuple[dict[tuple[Node, Node], float], dict[Node, float]]:
    """Volumes between nodes, and for nodes with features from nowhere how many they are."""
    known = {node for column in ORDER for node in column}
    links: dict[tuple[Node, Node], float] = defaultdict(float)
    born: dict[Node, float] = defaultdict(float)
    for row in volumes.itertuples(index=False):
        source = _node(row.source_stage, row.source_class, row.target_stage)
        target = _node(row.target_stage, row.target_class, row.source_stage)
        for node in (target,) if row.source_stage == "outside" else (source, target):
            if node not in known:
                raise FeatrackError(
                    f"The flow diagram has no place for class {node.name!r} of {node.stage!r}: "
                    "give it the table that featrack_utils.matching.flow.flow makes."
                )
        if row.source_stage == "outside":
            born[target] += row.volume
        else:
            links[source, target] += row.volume
    return links, born


def _node(stage: str, name: str, other: str) -> Node:
    return Node(stage, name, other if name in WORDS else "")


def heights_of(links: dict[tuple[Node, Node], float], born: dict[Node, float]) -> dict[Node, float]:
    """Features that each node stands for: the most it exchanges with any one other stage."""
    exchanged: dict[tuple[Node, str], float] = defaultdict(float)
    for (source, target), volume in links.items():
        exchanged[source, target.stage] += volume
        exchanged[target, source.stage] += volume
    heights: dict[Node, float] = defaultdict(float, born)
    for (node, _), volume in exchanged.items():
        heights[node] = max(heights[node], volume)
    return {node: heights[node] for column in ORDER for node in column if heights[node] > 0}


def stacked(heights: dict[Node, float]) -> dict[Node, tuple[float, float]]:
    """Top and bottom of every node, columns centred; 0 is the top, 1 the bottom."""
    columns = [[node for node in column if node in heights] for column in ORDER]
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


def _crossing(before: Node, node: Node) -> bool:
    """Whether one model's nodes end here and another's begin: twice the gap."""
    return before.stage != node.stage


def _crossings(column: list[Node]) -> int:
    return sum(_crossing(a, b) for a, b in pairwise(column))
