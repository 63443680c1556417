import numpy as np
import pandas as pd
import pytest

from featrack_utils.display import shareplots


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
