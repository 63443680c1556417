import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba

from featrack_utils.display import shareplots, style, training_figures
from featrack_utils.lineage import Lineage

FOUR = Lineage(
    {
        "base": {"train": ["english", "python"]},
        "lua": {"parent": "base", "train": ["lua"]},
        "stories": {"parent": "base", "train": ["stories"]},
        "merged": {"merge": ["lua", "stories"]},
    }
)
PAIRS = ["base_lua", "base_stories", "lua_merged"]


@pytest.fixture(autouse=True)
def lineage_in_use():
    style.use_style(FOUR)


def legend_of(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def shares(**changes):
    columns = {
        "pair": PAIRS,
        "share": [0.2, 0.21, 0.3],
        "ci_low": [0.18, 0.19, 0.28],
        "ci_high": [0.22, 0.23, 0.32],
        "ceiling": [0.3, 0.3, 0.4],
        "floor": [0.01, 0.01, 0.02],
    }
    return pd.DataFrame(columns | changes)


def test_pairs_are_named_as_arrows():
    assert style.pair_label("base_lua") == style.pair_label("base", "lua") == "Base → Lua"
    assert style.pair_label("my-base", "my-chat") == "My-base → My-chat"


def test_names_stand_in_the_lineages_order_and_strangers_at_the_end():
    assert style.in_order(["other", "merged", "base", "merged"]) == ["base", "merged", "other"]


def test_figures_are_not_left_open_in_pyplot():
    shareplots.shares_with_ceiling(shares())
    assert plt.get_fignums() == []


def test_every_dot_stands_at_its_share_and_in_its_childs_colour():
    axis = shareplots.shares_with_ceiling(shares()).axes[0]
    (dots,) = [each for each in axis.collections if isinstance(each, PathCollection)]
    assert dots.get_offsets()[:, 0].tolist() == [0.2, 0.21, 0.3]
    assert tuple(dots.get_facecolor()[0]) == to_rgba(style.colour_of("lua"))
    assert axis.get_yticklabels()[0].get_text() == "Base → Lua"


def ranges(figure):
    """Ends of the thin lines from floor to ceiling."""
    thin, *_ = [each for each in figure.axes[0].collections if each.get_linewidth()[0] == 1]
    return [tuple(np.round(line[:, 0], 6)) for line in thin.get_segments() if len(line)]


def test_a_thin_line_reaches_from_floor_to_ceiling():
    figure = shareplots.shares_with_ceiling(shares())
    assert ranges(figure) == [(0.01, 0.3), (0.01, 0.3), (0.02, 0.4)]


def test_an_unknown_ceiling_and_floor_are_left_out():
    nothing = [np.nan] * 3
    figure = shareplots.shares_with_ceiling(shares(ceiling=nothing, floor=nothing))
    assert ranges(figure) == []
    assert "floor" not in legend_of(figure)


def test_a_random_model_is_a_second_floor_of_its_own_grey():
    figure = shareplots.shares_with_ceiling(shares().assign(floor_random_model=0.005))
    assert {"floor", "random model"} <= set(legend_of(figure))
    assert "random model" not in legend_of(shareplots.shares_with_ceiling(shares()))


def test_best_match_bars_sum_to_all_features_that_have_a_best_match():
    r = {"base_lua": np.array([0.1, 0.5, 0.9, np.nan])}
    axis = shareplots.best_match_histogram(r, {"base_lua": np.array([0.5, 0.5])}, 0.8).axes[0]
    heights = [bar.get_height() for bar in axis.patches if hasattr(bar, "get_height")]
    assert sum(heights) == pytest.approx(1.0)


def test_each_pair_has_the_outline_of_its_own_parent_and_none_without():
    r = {pair: np.full(4, 0.5) for pair in ("base_lua", "lua_merged", "base_merged")}
    own = {"base_lua": np.array([0.11, 0.12]), "lua_merged": np.array([0.91, 0.92])}
    axes = shareplots.best_match_histogram(r, own, 0.8).axes
    outlines = [
        [p.get_path().vertices for p in axis.patches if not hasattr(p, "get_height")]
        for axis in axes
    ]
    highest = [points[0][:, 0][points[0][:, 1] > 0.9].mean() for points in outlines[:2]]
    assert highest == pytest.approx([0.1125, 0.9125], abs=0.02)
    assert all((points[:, 1] == 0).all() for points in outlines[2])


def test_the_best_model_of_a_domain_is_bold():
    losses = pd.DataFrame(
        {
            "model": ["base", "lua"] * 2,
            "domain": ["english"] * 2 + ["lua"] * 2,
            "loss": [1, 2, 4, 3],
        }
    )
    axis = training_figures.domain_heatmap(losses).axes[0]
    bold = {text.get_text() for text in axis.texts if text.get_fontweight() == "bold"}
    assert bold == {"1.00", "3.00"}


def test_each_pair_has_its_own_threshold_panel():
    curve = pd.DataFrame({"pair": PAIRS * 2, "tau": [0.5] * 3 + [0.8] * 3, "share": 0.5})
    figure = shareplots.threshold_curve(curve, 0.8)
    assert [axis.get_title() for axis in figure.axes] == [style.pair_label(p) for p in PAIRS]
    assert legend_of(figure) == ["persisting"]


def test_loss_curves_hold_each_model_twice_training_and_validation():
    history = pd.DataFrame(
        [(m, t, 3.0, s) for m in ("base", "lua") for t in (0, 10) for s in ("train", "validation")],
        columns=["model", "tokens", "loss", "split"],
    )
    axis = training_figures.loss_curves(history).axes[0]
    assert len(axis.lines) == 4
    assert [text.get_text() for text in axis.get_legend().get_texts()][:2] == ["Base", "Lua"]
    alone = history[(history["model"] == "base") & (history["split"] == "train")]
    assert training_figures.loss_curves(alone).axes[0].get_legend() is None


def test_equal_figures_are_equal_files(tmp_path):
    style.use_style()
    for name in ("a.svg", "b.svg"):
        figure = shareplots.shares_with_ceiling(shares())
        figure.savefig(tmp_path / name, metadata={"Date": None})
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_models_get_colours_in_order_and_a_domain_that_of_the_model_tuned_on_it():
    models = {"a": {"train": ["x", "y"]}, "b": {"parent": "a", "train": ["z"]}}
    style.use_style(Lineage(models))
    assert style.colour_of("a") == style.PALETTE[0]
    assert style.colour_of("z") == style.colour_of("b") == style.PALETTE[1]
    assert style.colour_of("x") == style.PALETTE[2] != style.colour_of("y")
    assert style.colour_of("elsewhere") == style.GREY
