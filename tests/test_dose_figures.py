"""The figure of persistence against the dose."""

import numpy as np
import pandas as pd

from featrack_utils.display.dose_figures import dose_response
from featrack_utils.display.style import colour_of, use_style
from featrack_utils.lineage import Lineage


def table(**changes) -> pd.DataFrame:
    rows = {
        "child": ["lua"] * 3 + ["stories"] * 3,
        "percent": ["0", "10", "100"] * 2,
        "ratio": [1.0, 0.9, 0.6, 1.0, 0.8, 0.7],
        "ratio_low": [0.9, 0.8, 0.5, 0.9, 0.7, 0.6],
        "ratio_high": [1.2, 1.0, 0.7, 1.1, 0.9, 0.8],
        "distance": [0, 0.1, 0.4, 0, 0.2, 0.3],
    }
    return pd.DataFrame(rows | changes)


def test_a_response_is_drawn_against_dose_and_distance_in_the_models_colour():
    use_style(Lineage({"base": {"train": ["a"]}, "lua": {"parent": "base", "train": ["b"]}}))
    by_dose, by_distance = dose_response(table()).axes
    for axis, places in ((by_dose, [0, 1, 2]), (by_distance, [0, 0.1, 0.4])):
        line = next(line for line in axis.lines if line.get_label() == "Lua")
        assert line.get_xdata().tolist() == places
        assert line.get_ydata().tolist() == [1.0, 0.9, 0.6]
        assert line.get_color() == colour_of("lua") == "#D55E00"
    assert [label.get_text() for label in by_dose.get_xticklabels()] == ["0", "10", "100"]
    assert by_dose.get_ylim()[1] > 1.2


def test_doses_without_a_ratio_are_left_out_and_none_at_all_is_said():
    some = dose_response(table(ratio=[None, 0.9, 0.6, 1.0, 0.8, 0.7])).axes[0]
    assert np.isnan(some.lines[0].get_ydata()[0]) and not some.texts
    nothing = dict.fromkeys(("ratio", "ratio_low", "ratio_high"))
    for axis in dose_response(table(**nothing)).axes:
        assert [text.get_text() for text in axis.texts] == ["not defined"]
