import numpy as np
import pandas as pd
import pytest

from featrack_utils.display import shareplots, style
from featrack_utils.lineage import Lineage


def test_a_distribution_counts_the_features_with_at_least_an_r2():
    style.use_style(Lineage({"base": {"train": ["x"]}, "lua": {"parent": "base", "train": ["y"]}}))
    figure = shareplots.probe_distributions(
        {"Base → Lua": (np.array([-np.inf, 0.5, 0.9]), np.array([1.0]))}, 0.8
    )
    child, parent, mark = figure.axes[0].lines
    assert child.get_color() == style.colour_of("lua")
    # All have 0 or more, two thirds 0.5 or more, one third 0.9 or more.
    np.testing.assert_allclose(child.get_xdata(), [0, 0, 0.5, 0.9, 1])
    np.testing.assert_allclose(child.get_ydata(), [1, 1, 2 / 3, 1 / 3, 0])
    assert parent.get_xdata()[1] == 1
    assert mark.get_xdata()[0] == pytest.approx(0.64)


def test_errors_of_recovered_shares_are_drawn_in_points_with_their_intervals():
    rows = pd.DataFrame(
        {"planted": [0.2], "bias": [0.01], "bias.ci_low": [-0.005], "bias.ci_high": [0.03]}
    )
    figure = shareplots.recovered_shares(rows, 0.02)
    axis = figure.axes[0]
    points = axis.lines[-1]
    assert (points.get_xdata()[0], points.get_ydata()[0]) == (0.2, 1.0)
    bars = [c for c in axis.collections if hasattr(c, "get_segments")]
    assert bars[0].get_segments()[0][:, 1] == pytest.approx([-0.5, 3])
    # The legend stands outside the axes, on no point.
    assert axis.get_legend() is None
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "error [95 % CI]",
        "asked for: ± 2 points",
    ]


def test_a_specification_curve_sorts_ratios_and_marks_their_choices():
    rows = pd.DataFrame(
        {
            "pair": ["base_lua"] * 3 + ["lua_merged"],
            "ratio": [0.9, 0.5, np.nan, 0.1],
            "rule": ["best", "mutual", "best", "best"],
        }
    )
    curve, below = shareplots.specification_curve(rows, "base_lua", ["rule"]).axes
    assert list(curve.lines[0].get_ydata()) == [0.5, 0.9]
    assert [text.get_text() for text in below.get_yticklabels()] == ["rule best", "rule mutual"]
    assert [list(line.get_xdata()) for line in below.lines] == [[1], [0]]
