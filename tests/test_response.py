"""What children keep of one parent, on children of whom we know what they kept."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.display.dose_figures import dose_response
from featrack_utils.display.style import colour_of, use_style
from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import Lineage
from featrack_utils.statistics import response
from featrack_utils.statistics.floors import document_shift
from featrack_utils.statistics.intervals import Shares
from featrack_utils.statistics.response import Compared, Criteria
from featrack_utils.statistics.simulation import Plan, simulate

TAU = 0.8
CRITERIA = Criteria(TAU, replicates=40)


@pytest.fixture(scope="module")
def parents() -> list[Features]:
    """Two dictionaries of one model that find 80 % of its features each."""
    plan = Plan(
        400,
        150,
        100,
        rho=(0.97, 0.97),
        capture=0.8,
        seeds=2,
        copies=0,
        splitting=0,
        dead=0.02,
        density=0.01,
    )
    return simulate(plan, 5).parent


def child(parent: Features, kept: float) -> Features:
    """The parent's columns, shuffled; all but a share of them answer to other documents."""
    rng = np.random.default_rng(0)
    lost = rng.random(parent.acts.shape[1]) >= kept
    lost = sparse.diags(lost.astype(np.float32))
    here, elsewhere = parent.acts, parent.acts[document_shift(parent)]
    acts = here - here @ lost + elsewhere @ lost
    order = rng.permutation(acts.shape[1])
    return parent._replace(acts=sparse.csr_matrix(acts[:, order]))


@pytest.fixture(scope="module")
def compared(parents) -> Compared:
    children = {str(kept): child(parents[0], kept / 100) for kept in (100, 90, 50)}
    return response.compare(parents[:1], children, CRITERIA)


def test_a_child_that_keeps_half_has_half_the_ceiling(compared):
    for name in ("100", "90", "50"):
        figures = response.summary("it", compared, name, "100")
        assert figures["it.ratio_to_ceiling"] == pytest.approx(int(name) / 100, abs=0.05)
        assert figures["it.ratio_to_ceiling"] == pytest.approx(figures["it"])
        assert figures["it.ci_low"] <= figures["it"] <= figures["it.ci_high"]
        assert figures["it.ceiling"] == 1 and figures["it.floor"] < 0.02


def test_features_asked_apart_add_up_to_all_of_them(compared):
    (asked,) = [m.asked for m in compared.matches["50"].kept.values()]
    some = np.arange(asked.size) % 3 == 0
    each = [response.share_kept(compared, "50", [mask]).estimate[0] for mask in (some, ~some)]
    sizes = [(asked & mask).sum() for mask in (some, ~some)]
    assert np.average(each, weights=sizes) == pytest.approx(
        response.share_kept(compared, "50").estimate[0]
    )
    assert response.share_kept(compared, "50", [np.zeros_like(asked)]) is None
    nobody = response.summary("it", compared, "50", "100", [np.zeros_like(asked)])
    assert set(nobody.values()) == {None}


def test_a_dictionary_keeps_all_of_itself_by_either_rule(parents):
    for rule in ("best", "mutual"):
        criteria = CRITERIA._replace(rule=rule, replicates=2)
        itself = response.compare(parents[:1], {"itself": parents[0]}, criteria)
        assert response.share_kept(itself, "itself").estimate[0] == 1


def test_two_dictionaries_of_the_parent_give_the_mean_of_what_each_alone_gives(parents):
    other = {"it": child(parents[1], 0.5)}
    quick = CRITERIA._replace(replicates=2)
    first, second, both = (
        response.share_kept(response.compare(some, other, quick), "it").estimate[0]
        for some in (parents[:1], parents[1:], parents)
    )
    assert both == pytest.approx((first + second) / 2)


def test_equal_draws_give_equal_answers(parents):
    quick = CRITERIA._replace(replicates=5)
    one, two = (response.compare(parents, {"it": parents[1]}, quick) for _ in range(2))
    assert np.array_equal(
        response.share_kept(one, "it").replicates, response.share_kept(two, "it").replicates
    )


@pytest.fixture
def known(compared, monkeypatch) -> Compared:
    """Answers whose shares are those of their children's names, within a hundredth."""

    def kept(_, name, among=None):
        share = float(name)
        replicates = share + 0.01 * np.linspace(-1, 1, 21)[:, None]
        return Shares(np.array([TAU]), np.array([share]), replicates)

    monkeypatch.setattr(response, "share_kept", kept)
    return compared


def test_the_first_change_is_the_dose_from_which_on_the_share_stays_below(known):
    path = {"0": "0.4", "1": "0.2", "3": "0.4", "10": "0.3", "30": "0.2", "100": "0.1"}
    first, ratios = response.dose_response(known, path)
    assert first == "10"
    assert ratios["0"].estimate == 1 and ratios["100"].estimate == pytest.approx(0.25)
    assert response.dose_response(known, {"0": "0.4", "100": "0.4"})[0] is None


def test_a_ratio_to_nothing_is_not_defined_and_no_change(known):
    assert response.dose_response(known, {"0": "0", "100": "0"}) == (None, {"0": None, "100": None})


def test_reproducible_features_are_those_that_another_dictionary_has(parents):
    masks = response.reproducible(parents, CRITERIA)
    for one, (here, there) in enumerate((parents, parents[::-1])):
        ((_, matched),) = (
            response.compare([here], {"it": there}, CRITERIA).matches["it"].kept.items()
        )
        assert np.array_equal(masks[one], matched.asked & (matched.best_r > TAU))
    assert 0.5 < masks[0].mean() < 0.8
    assert response.reproducible(parents[:1], CRITERIA) is None


def test_reproducible_features_are_in_every_other_dictionary(parents):
    two, three = (
        response.reproducible(some, CRITERIA) for some in (parents, [*parents, parents[0]])
    )
    assert all(np.array_equal(a, b) for a, b in zip(two, three[:2], strict=True))
    other = child(parents[0], 0.5)
    fewer = response.reproducible([*parents, other], CRITERIA)[0]
    assert fewer.sum() < two[0].sum() and not (fewer & ~two[0]).any()


def test_kinds_of_features_are_all_and_the_two_that_reproducibility_tells_apart():
    assert response.kinds(None) == {"persisting": None}
    kinds = response.kinds([np.array([True, False])])
    assert list(kinds) == ["persisting", "reproducible", "irreproducible"]
    assert (kinds["reproducible"][0] ^ kinds["irreproducible"][0]).all()


def test_no_parent_an_unknown_rule_and_dead_children_are_refused(parents):
    with pytest.raises(FeatrackError, match="no dictionary of the parent"):
        response.compare([], {"it": parents[0]}, CRITERIA)
    with pytest.raises(FeatrackError, match="'greedy'; choose best or mutual"):
        response.compare(parents, {"it": parents[0]}, CRITERIA._replace(rule="greedy"))
    dead = parents[0]._replace(acts=sparse.csr_matrix(parents[0].acts.shape, dtype=np.float32))
    with pytest.raises(FeatrackError, match="the model gone has no eligible feature"):
        response.compare(parents, {"gone": dead}, CRITERIA)
    with pytest.raises(FeatrackError, match=r"tau"):
        response.compare(parents, {"it": parents[1]}, CRITERIA._replace(tau=1.5))


# The figure


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


def test_a_response_without_its_columns_is_refused():
    with pytest.raises(FeatrackError, match="lack distance"):
        dose_response(table().drop(columns="distance"))
