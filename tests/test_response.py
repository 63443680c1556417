"""What children keep of one parent, on children of whom we know what they kept."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from featrack_utils import response
from featrack_utils.curves import ratio_to_ceiling
from featrack_utils.doseplots import dose_response
from featrack_utils.errors import FeatrackError
from featrack_utils.features import Features
from featrack_utils.floors import document_shift
from featrack_utils.intervals import Shares, interval
from featrack_utils.response import Criteria, Response
from featrack_utils.simulate import Plan, simulate

TAU = 0.8
CRITERIA = Criteria(TAU, replicates=40)


@pytest.fixture(scope="module")
def parents() -> list[Features]:
    """Two dictionaries of one model that find 80 % of its features each."""
    plan = Plan(
        400, 150, 100, rho=(0.97, 0.97), capture=0.8, seeds=2, copies=0, splitting=0, dead=0.02,
        density=0.01,
    )  # fmt: skip
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
def answers(parents):
    children = {str(kept): child(parents[0], kept / 100) for kept in (100, 90, 50)}
    return response.responses(parents[:1], children, CRITERIA)


def test_a_child_that_keeps_half_has_half_the_ceiling(answers):
    for kept in ("100", "90", "50"):
        ratio = ratio_to_ceiling(answers[kept].share, answers["100"].share, TAU)
        assert ratio.estimate == pytest.approx(int(kept) / 100, abs=0.05)
        assert ratio.low <= ratio.estimate <= ratio.high
    assert interval(answers["100"].share, TAU) == (1, 1, 1)


def test_chance_finds_next_to_nothing(answers):
    assert all(answer.floor < 0.02 for answer in answers.values())


def test_a_dictionary_keeps_all_of_itself_by_either_rule(parents):
    for rule in ("best", "mutual"):
        criteria = CRITERIA._replace(rule=rule, replicates=2)
        itself = response.responses(parents[:1], {"itself": parents[0]}, criteria)["itself"]
        assert itself.share.estimate[0] == 1


def test_two_dictionaries_of_the_parent_give_the_mean_of_what_each_alone_gives(parents):
    other = {"it": child(parents[1], 0.5)}
    quick = CRITERIA._replace(replicates=2)
    first, second, both = (
        response.responses(some, other, quick)["it"].share.estimate[0]
        for some in (parents[:1], parents[1:], parents)
    )
    assert both == pytest.approx((first + second) / 2)


def test_equal_draws_give_equal_answers(parents):
    twice = [
        response.responses(parents, {"it": parents[1]}, CRITERIA._replace(replicates=5))["it"]
        for _ in range(2)
    ]
    assert np.array_equal(twice[0].share.replicates, twice[1].share.replicates)


def answer(share: float, spread: float = 0.01) -> Response:
    replicates = share + spread * np.linspace(-1, 1, 21)[:, None]
    return Response(Shares(np.array([TAU]), np.array([share]), replicates), 0.0)


def test_the_first_change_is_the_dose_from_which_on_the_share_stays_below():
    path = {"0": answer(0.4), "1": answer(0.2), "3": answer(0.4), "10": answer(0.3)}
    path |= {"30": answer(0.2), "100": answer(0.1)}
    first, ratios = response.first_below(path, path["0"], TAU)
    assert first == "10"
    assert ratios["0"].estimate == 1 and ratios["100"].estimate == pytest.approx(0.25)
    assert response.first_below({"0": answer(0.4)}, answer(0.4), TAU)[0] is None


def test_a_ratio_to_nothing_is_not_defined_and_no_change():
    path = {"0": answer(0.0), "100": answer(0.0)}
    assert response.first_below(path, path["0"], TAU) == (None, {"0": None, "100": None})


def test_a_gap_has_no_sign():
    assert response.gap(answer(0.2), answer(0.5), TAU) == pytest.approx(0.3)
    assert response.gap(answer(0.5), answer(0.2), TAU) == pytest.approx(0.3)


def test_no_parent_an_unknown_rule_and_dead_children_are_refused(parents):
    with pytest.raises(FeatrackError, match="no dictionary of the parent"):
        response.responses([], {"it": parents[0]}, CRITERIA)
    with pytest.raises(FeatrackError, match="'greedy'; choose best or mutual"):
        response.responses(parents, {"it": parents[0]}, CRITERIA._replace(rule="greedy"))
    dead = parents[0]._replace(acts=sparse.csr_matrix(parents[0].acts.shape, dtype=np.float32))
    with pytest.raises(FeatrackError, match="the model gone has no eligible feature"):
        response.responses(parents, {"gone": dead}, CRITERIA)
    with pytest.raises(FeatrackError, match=r"tau"):
        response.responses(parents, {"it": parents[1]}, CRITERIA._replace(tau=1.5))


# The figure


def table(**changes) -> pd.DataFrame:
    rows = {
        "child": ["lua"] * 3 + ["stories"] * 3, "percent": ["0", "10", "100"] * 2,
        "ratio": [1.0, 0.9, 0.6, 1.0, 0.8, 0.7], "ratio_low": [0.9, 0.8, 0.5, 0.9, 0.7, 0.6],
        "ratio_high": [1.2, 1.0, 0.7, 1.1, 0.9, 0.8], "distance": [0, 0.1, 0.4, 0, 0.2, 0.3],
    }  # fmt: skip
    return pd.DataFrame(rows | changes)


def test_a_response_is_drawn_against_dose_and_distance_in_the_models_colour():
    by_dose, by_distance = dose_response(table()).axes
    for axis, places in ((by_dose, [0, 1, 2]), (by_distance, [0, 0.1, 0.4])):
        line = next(line for line in axis.lines if line.get_label() == "Lua")
        assert line.get_xdata().tolist() == places
        assert line.get_ydata().tolist() == [1.0, 0.9, 0.6]
        assert line.get_color() == "#D55E00"
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
