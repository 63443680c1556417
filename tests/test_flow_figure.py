"""The flow diagram: nodes, ribbons and labels."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from featrack_utils.display import style
from featrack_utils.display.flow_figure import columns_of, flow_diagram
from featrack_utils.lineage import Lineage

PAPER = Lineage(
    {
        "base": {"train": ["english", "python"]},
        "lua": {"parent": "base", "train": ["lua"]},
        "stories": {"parent": "base", "train": ["stories"]},
        "merged": {"merge": ["lua", "stories"]},
    }
)


@pytest.fixture(autouse=True)
def colours():
    style.use_style(PAPER)


def drawn(volumes, lineage=PAPER):
    return flow_diagram(volumes, lineage)


def flow_rows(*rows):
    names = ["source_stage", "source_class", "target_stage", "target_class", "volume"]
    return pd.DataFrame(rows, columns=names)


def test_a_base_feature_followed_to_two_models_is_counted_once():
    figure = drawn(
        flow_rows(
            ("base", "eligible", "lua", "from base", 60),
            ("base", "eligible", "lua", "disappearing", 40),
            ("base", "eligible", "stories", "from base", 100),
        )
    )
    labels = {text.get_text() for text in figure.axes[0].texts}
    assert labels == {"Base 100", "Lua, from base 60", "no match 40", "Stories, from base 100"}


def test_a_merged_feature_from_both_is_counted_once_and_novel_ones_have_no_ribbon():
    figure = drawn(
        flow_rows(
            ("lua", "new", "merged", "both", 30),
            ("stories", "new", "merged", "both", 30),
            ("outside", "new", "merged", "novel", 50),
        )
    )
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {"Both 30", "Novel 50"} <= texts
    ribbons = [patch for patch in figure.axes[0].patches if patch.get_alpha() is not None]
    assert len(ribbons) == 2


def test_matches_that_arent_one_to_one_are_hatched_in_the_colour_they_come_from():
    figure = drawn(
        flow_rows(
            ("base", "eligible", "lua", "from base", 40),
            ("base", "eligible", "lua", "fused", 30),
            ("base", "split", "lua", "from base", 20),
            ("base", "eligible", "lua", "disappearing", 10),
        )
    )
    patches = figure.axes[0].patches
    ribbons = [patch for patch in patches if patch.get_alpha() is not None]
    hatched = [patch for patch in patches if patch.get_hatch()]
    assert len(ribbons) == 4 and len([p for p in ribbons if p in hatched]) == 2
    assert len(hatched) == 4  # and the two nodes
    base = to_rgb(style.colour_of("base"))
    assert all(patch.get_edgecolor()[:3] == base for patch in hatched)


def test_the_label_of_split_features_lies_on_none_of_their_ribbons():
    figure = drawn(
        flow_rows(
            *[("base", "split", stage, "from base", 180) for stage in ("lua", "stories")],
            *[("base", "eligible", stage, "from base", 200) for stage in ("lua", "stories")],
            *[("base", "eligible", stage, "disappearing", 1800) for stage in ("lua", "stories")],
            *[(stage, "split", "merged", "both", 250) for stage in ("lua", "stories")],
            *[(stage, "new", "merged", "disappearing", 1600) for stage in ("lua", "stories")],
            *[(stage, "from base", "merged", "both", 400) for stage in ("lua", "stories")],
        )
    )
    figure.canvas.draw()
    axis = figure.axes[0]
    ribbons = [p for p in axis.patches if p.get_alpha() is not None and p.get_hatch()]
    labels = [text for text in axis.texts if text.get_text().startswith("split")]
    assert len(labels) == 4
    for label in labels:
        box = label.get_window_extent()
        for ribbon in ribbons:
            path = ribbon.get_transform().transform_path(ribbon.get_path())
            assert not path.intersects_bbox(box, filled=True), label.get_text()


def test_ribbons_fill_the_node_they_leave():
    figure = drawn(
        flow_rows(
            ("base", "eligible", "lua", "from base", 25),
            ("base", "eligible", "lua", "disappearing", 75),
        )
    )
    ribbons = [p.get_path().vertices for p in figure.axes[0].patches if p.get_alpha() is not None]
    thickness = sorted(abs(points[0, 1] - points[-2, 1]) for points in ribbons)
    assert thickness[1] == pytest.approx(3 * thickness[0])


def test_labels_of_a_column_stay_apart():
    figure = drawn(
        flow_rows(
            *[("lua", "new", "merged", name, 1) for name in ("lua only", "both", "fused")],
            ("lua", "new", "merged", "disappearing", 1000),
        )
    )
    merged = sorted(t.get_position()[1] for t in figure.axes[0].texts if t.get_position()[0] >= 2)
    assert min(np.diff(merged)) > 0.04


LINEAR = {"method": "linear"}
CHAIN = Lineage(
    {
        "root": {"train": ["english"]},
        "chat": {"parent": "root", "train": ["chat"]},
        "code": {"parent": "chat", "train": ["code"]},
    }
)


def test_a_chain_of_tunes_stands_in_a_column_each():
    columns = columns_of(CHAIN)
    assert [{node.stage for node in column} for column in columns] == [{"root"}, {"chat"}, {"code"}]
    figure = drawn(
        flow_rows(
            ("root", "eligible", "chat", "from root", 60),
            ("root", "eligible", "chat", "disappearing", 40),
            ("chat", "from root", "code", "from chat", 60),
            ("outside", "new", "code", "new", 7),
        ),
        CHAIN,
    )
    labels = {text.get_text() for text in figure.axes[0].texts}
    assert labels == {
        "Root 100",
        "no match 40",
        "Chat, from root 60",
        "Code, from chat 60",
        "Code, new 7",
    }


def test_a_merge_of_three_has_a_place_for_every_origin():
    tunes = {name: {"parent": "root", "train": [name]} for name in "xyz"}
    lineage = Lineage(
        {"root": {"train": ["english"]}, **tunes, "mix": {"merge": [*"xyz"]} | LINEAR}
    )
    last = [node.name for node in columns_of(lineage)[-1]]
    assert len(last) == len({(node.name, node.other) for node in columns_of(lineage)[-1]})
    for name in ("all", "several", "x only", "y only", "z only", "novel"):
        assert last.count(name) == 1
    assert [node.stage for node in columns_of(lineage)[1]] == ["x"] * 5 + ["y"] * 5 + ["z"] * 5


def test_the_papers_losses_lie_at_the_edges():
    """The order from top to bottom that the figure had before lineages."""
    assert [(node.stage, node.name) for node in columns_of(PAPER)[1]] == [
        ("lua", "disappearing"),
        ("lua", "fused"),
        ("lua", "new"),
        ("lua", "from base"),
        ("lua", "split"),
        ("stories", "split"),
        ("stories", "from base"),
        ("stories", "new"),
        ("stories", "fused"),
        ("stories", "disappearing"),
    ]
    assert [(node.name, node.other) for node in columns_of(PAPER)[2]] == [
        ("disappearing", "lua"),
        ("fused", "lua"),
        ("lua only", ""),
        ("both", ""),
        ("stories only", ""),
        ("fused", "stories"),
        ("disappearing", "stories"),
        ("novel", ""),
    ]
