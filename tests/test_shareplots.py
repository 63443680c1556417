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
