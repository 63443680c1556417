"""The sweep over t and the balanced point, on lines drawn by hand."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from featrack_utils.display.paper import PAPER
from featrack_utils.errors import FeatrackError
from featrack_utils.models.merge_sweep import (
    at_weight,
    balanced_t,
    compare_to_published,
    crossing,
    sweep,
)
from featrack_utils.models.merging import linear

PLAIN = {"base_lua": 0.0, "base_stories": 0.0, "parent_lua": 1.0, "parent_stories": 1.0}


def line(*weights: float) -> nn.Linear:
    model = nn.Linear(len(weights), 1, bias=False)
    model.load_state_dict({"weight": torch.tensor([weights])})
    return model


def scores(model: nn.Module) -> dict[str, float]:
    lua, stories = model.weight[0].tolist()
    return {"accuracy.lua": lua, "accuracy.stories": stories}


def test_the_sweep_evaluates_every_merge_in_the_order_of_its_ts():
    lua, stories = line(1, 0).state_dict(), line(0, 1).state_dict()
    table = sweep(line(5, 5), lua, stories, [0, 0.25, 1], scores, blend=linear)
    assert list(table.columns) == ["t", "accuracy.lua", "accuracy.stories"]
    assert table.to_numpy().tolist() == [[0, 1, 0], [0.25, 0.75, 0.25], [1, 0, 1]]


def test_the_sweep_uses_slerp_unless_told_otherwise():
    table = sweep(line(5, 5), line(1, 0).state_dict(), line(0, 1).state_dict(), [0.5], scores)
    assert table["accuracy.lua"].item() == pytest.approx(math.sqrt(0.5))


def test_the_sweep_harms_no_parent_even_if_it_is_given_one_as_its_model():
    lua, stories = line(1, 0).train(), line(0, 1)
    seen = []
    table = sweep(
        lua,
        lua.state_dict(),
        stories.state_dict(),
        np.linspace(0, 1, 21),
        lambda model: seen.append(model.training) or scores(model),
        blend=linear,
    )
    assert len(table) == 21
    assert table["accuracy.stories"].tolist() == pytest.approx([i / 20 for i in range(21)])
    assert lua.weight.tolist() == [[1, 0]] and stories.weight.tolist() == [[0, 1]]
    assert lua.training and not any(seen)


def test_a_sweep_with_bad_input_is_refused():
    lua, stories = line(1, 0).state_dict(), line(0, 1).state_dict()
    with pytest.raises(FeatrackError, match="has no t"):
        sweep(line(0, 0), lua, stories, [], scores)
    with pytest.raises(FeatrackError, match="Merge weight t is 2"):
        sweep(line(0, 0), lua, stories, [0, 2], scores)
    with pytest.raises(FeatrackError, match="do not fit the model"):
        sweep(line(0, 0, 0), lua, stories, [0.5], scores)
    with pytest.raises(FeatrackError, match=r"loss is nan at t = 0\.5"):
        sweep(line(0, 0), lua, stories, [0.5], lambda model: {"loss": math.nan})


def test_two_straight_lines_balance_where_they_meet():
    # 1 - t meets t at ½, though ½ is not on the grid
    assert balanced_t([0, 0.4, 1], [1, 0.6, 0], [0, 0.4, 1], **PLAIN) == pytest.approx(0.5)
    # 1 - t meets 3t at ¼
    assert balanced_t([0, 0.3], [1, 0.7], [0, 0.9], **PLAIN) == pytest.approx(0.25)


def test_a_meeting_on_the_grid_is_found_there():
    assert balanced_t([0, 0.5, 1], [1, 0.6, 0], [0, 0.6, 1], **PLAIN) == 0.5


def test_accuracies_count_relative_to_base_and_parent():
    # Lua from 0.5 to 0.3 over a base of 0.1 keeps 1 → ½; Stories from 0.2 to 0.6 over 0.2 keeps
    # 0 → 1: 1 - t/2 = t at ⅔, while the raw accuracies meet at ½.
    t = balanced_t(
        [0, 1],
        [0.5, 0.3],
        [0.2, 0.6],
        base_lua=0.1,
        base_stories=0.2,
        parent_lua=0.5,
        parent_stories=0.6,
    )
    assert t == pytest.approx(2 / 3)


def test_of_several_crossings_the_one_that_keeps_most_counts():
    # They meet at ⅙ (share ⅓), at 5/9 (share ⅔) and at ⅚ (share ½)
    ts = [0, 1 / 3, 2 / 3, 1]
    t = balanced_t(ts, [2 / 3, 0, 1, 0], [0, 2 / 3, 2 / 3, 1 / 3], **PLAIN)
    assert t == pytest.approx(5 / 9)


def test_of_equally_good_crossings_the_lowest_t_counts():
    assert balanced_t([0, 0.5, 1], [0.5] * 3, [0.5, 0.4, 0.5], **PLAIN) == 0


def test_a_sweep_without_a_crossing_is_refused_with_its_end_values():
    with pytest.raises(FeatrackError, match=r"0\.900 → 0\.800 on Lua and 0\.100 → 0\.700"):
        balanced_t([0, 1], [0.9, 0.8], [0.1, 0.7], **PLAIN)


@pytest.mark.parametrize("parent", [0.3, 0.2, math.nan])
def test_a_parent_that_does_not_beat_the_base_is_refused(parent):
    gains = PLAIN | {"base_stories": 0.3, "parent_stories": parent}
    with pytest.raises(FeatrackError, match="Stories fine-tune's accuracy"):
        balanced_t([0, 1], [1, 0], [0, 1], **gains)


@pytest.mark.parametrize("ts", [[1, 0], [0, 0], [0.5]])
def test_a_grid_that_does_not_increase_is_refused(ts):
    with pytest.raises(FeatrackError, match="increasing"):
        balanced_t(ts, [1, 0][: len(ts)], [0, 1][: len(ts)], **PLAIN)


def test_accuracies_that_do_not_fit_the_grid_are_refused():
    with pytest.raises(FeatrackError, match="Lua accuracy must hold"):
        balanced_t([0, 1], [1], [0, 1], **PLAIN)
    with pytest.raises(FeatrackError, match="Stories accuracy must hold"):
        balanced_t([0, 1], [1, 0], [0, math.nan], **PLAIN)


OURS = pd.DataFrame({"t": [0, 0.5, 1], "lua": [0.5, 0.3, 0.1], "stories": [0.2, 0.3, 0.6]})


def test_the_published_sweep_starts_at_lua_on_our_axis_and_ours_stands_beside_it():
    table = compare_to_published(OURS)
    assert table.t_from_lua.is_monotonic_increasing
    assert (table.t_from_lua + table.t_from_stories).tolist() == pytest.approx([1] * 5)
    assert table.iloc[0].tolist() == [0, 1, 0.494, 0.5, 0.247, 0.2]
    # At .4 from Lua: four fifths of the way to the middle.
    assert table.iloc[1][["lua_ours", "stories_ours"]].tolist() == pytest.approx([0.34, 0.28])


def test_the_published_raw_accuracies_meet_near_forty_three_hundredths_from_lua():
    table = compare_to_published(OURS)
    # between .40 (Lua ahead by .023) and .45 (behind by .016): .40 + .05 · 23/39
    t = crossing(table.t_from_lua, table.lua_paper, table.stories_paper)
    assert t == pytest.approx(0.40 + 0.05 * 23 / 39)
    assert round(t, 2) == PAPER["merge.crossing_from_lua"].value


def test_curves_that_never_meet_have_no_crossing():
    assert crossing([0, 1], [0.5, 0.4], [0.1, 0.2]) is None


def test_at_a_weight_each_domain_keeps_a_share_of_its_parents_gain():
    found = at_weight(OURS, 0.5, {"lua": 0.1, "stories": 0.2})
    assert found["lua"] == pytest.approx({"accuracy": 0.3, "kept": 0.5})
    assert found["stories"] == pytest.approx({"accuracy": 0.3, "kept": 0.25})
