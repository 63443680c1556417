"""The flow diagram: nodes, ribbons and labels."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from featrack_utils.display import style
from featrack_utils.display.flowplot import flow_diagram
from featrack_utils.errors import FeatrackError


def flow_rows(*rows):
    names = ["source_stage", "source_class", "target_stage", "target_class", "volume"]
    return pd.DataFrame(rows, columns=names)


def test_a_base_feature_followed_to_two_models_is_counted_once():
    figure = flow_diagram(
        flow_rows(
            ("base", "eligible", "lua", "from base", 60),
            ("base", "eligible", "lua", "disappearing", 40),
            ("base", "eligible", "stories", "from base", 100),
        )
    )
    labels = {text.get_text() for text in figure.axes[0].texts}
    assert labels == {"Base 100", "Lua, from base 60", "no match 40", "Stories, from base 100"}


def test_a_merged_feature_from_both_is_counted_once_and_novel_ones_have_no_ribbon():
    figure = flow_diagram(
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
    figure = flow_diagram(
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
    base = to_rgb(style.MODEL_COLOURS["base"])
    assert all(patch.get_edgecolor()[:3] == base for patch in hatched)


def test_the_label_of_split_features_lies_on_none_of_their_ribbons():
    figure = flow_diagram(
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
    figure = flow_diagram(
        flow_rows(
            ("base", "eligible", "lua", "from base", 25),
            ("base", "eligible", "lua", "disappearing", 75),
        )
    )
    ribbons = [p.get_path().vertices for p in figure.axes[0].patches if p.get_alpha() is not None]
    thickness = sorted(abs(points[0, 1] - points[-2, 1]) for points in ribbons)
    assert thickness[1] == pytest.approx(3 * thickness[0])


def test_labels_of_a_column_stay_apart():
    figure = flow_diagram(
        flow_rows(
            *[("lua", "new", "merged", name, 1) for name in ("lua only", "both", "fused")],
            ("lua", "new", "merged", "disappearing", 1000),
        )
    )
    merged = sorted(t.get_position()[1] for t in figure.axes[0].texts if t.get_position()[0] > 2)
    assert min(np.diff(merged)) > 0.04


def test_an_unknown_class_is_named():
    with pytest.raises(FeatrackError, match="'sideways' of 'lua'"):
        flow_diagram(flow_rows(("base", "eligible", "lua", "sideways", 1)))
