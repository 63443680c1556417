"""From features to scores: by counting, and by a chat server, with controls."""

import logging

import numpy as np
import pandas as pd
import pytest

from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation import chat
from featrack_utils.interpretation.contexts import by_feature
from featrack_utils.lineage import Lineage
from featrack_utils.matching.classes import classify, eligible
from featrack_utils.matching.correlation import correlations
from featrack_utils.matching.flow import found_in_neighbour
from tests.autointerp_planted import BLOCK, DEAD, LENGTH, VOCABULARY, planted
from tests.chapters import Chapter
from tests.openai_server import ChatServer

CHAPTER = Chapter("interpretation", vocabulary=VOCABULARY, seed=1)
TEXT = CHAPTER.text = CHAPTER.as_text(planted(), BLOCK, seed=1)
Subject, score, everywhere_r = CHAPTER.Subject, CHAPTER.score, CHAPTER.everywhere_r
KEY = "sk-loopback-9876543210"
LINEAGE = Lineage(
    {
        "base": {"train": ["english"]},
        "lua": {"parent": "base", "train": ["lua"]},
        "stories": {"parent": "base", "train": ["stories"]},
        "merged": {"merge": ["lua", "stories"]},
    }
)
CONTROL = "lua.mlp-0"


def tracked(lineage):
    found = planted()
    able = eligible(found.acts, found.origin, 5, 2)
    best = correlations(found.acts, found.acts, eligible_a=able, eligible_b=able)
    return dict.fromkeys(lineage.edges, classify(best, 0.8))


def counted(lineage):
    """Each model's features, and a control's: the same ones, explained by counting."""
    found, persisting = planted(), found_in_neighbour(lineage, tracked(lineage))
    return {
        model: Subject(
            by_feature(found.acts),
            eligible(found.acts, found.origin, 5, 2),
            persisting.get(model, np.zeros(LENGTH, bool)),
            CHAPTER.learn(found.acts, TEXT, VOCABULARY),
            np.arange(LENGTH),
        )
        for model in [*lineage.order, CONTROL]
    }


@pytest.fixture(scope="module")
def by_counting():
    return score(TEXT, counted(LINEAGE), tracked(LINEAGE), seed=1)


@pytest.fixture
def ask(monkeypatch):
    """Has a chat model explain two features of each model."""
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def scored(server, answers, max_requests=10_000):
        asking = chat.ChatServer(server.url, "tiny", "TEST_KEY", answers, max_requests)
        subjects = {
            model: CHAPTER.asked(each, asking)._replace(sample=np.array([2, 5]))
            for model, each in counted(LINEAGE).items()
        }
        return score(TEXT, subjects, tracked(LINEAGE), seed=1)

    return scored


def by(table, **values):
    for name, value in values.items():
        table = table[table[name] == value]
    return table.set_index("feature")


def test_counting_explains_planted_features_and_only_their_own(by_counting):
    own, mates = by_counting
    assert len(own) == (len(LINEAGE.order) + 1) * LENGTH
    said = by(own, model="lua")
    alive = said.index != DEAD
    assert (said["simulation_r"][alive] > 0.98).all() and (said["random_r"][alive] > 0.98).all()
    assert (said["shuffled_r"][alive] < 0.1).all()
    dead = said.loc[DEAD]
    assert dead[["simulation_r", "random_r", "shuffled_r"]].isna().all()
    assert not dead["able"] and not dead["persisting"] and said["persisting"][alive].all()
    # Nothing has changed from model to model, so neither has what an explanation is worth.
    assert set(zip(mates["parent"], mates["child"], strict=True)) == set(LINEAGE.edges)
    assert (mates["feature"] == mates["mate"]).all()
    assert (mates["foreign_r"] == mates["own_r"]).all()


def test_a_control_is_scored_like_a_model_and_nothing_of_it_persists(by_counting):
    own, _ = by_counting
    control, model = by(own, model=CONTROL), by(own, model="lua")
    pd.testing.assert_series_equal(control["simulation_r"], model["simulation_r"])
    assert not control["persisting"].any()


def test_the_lookup_over_all_held_out_text_agrees_with_a_plain_correlation():
    each, held = counted(LINEAGE)["base"], ~TEXT.learn
    found = everywhere_r(each.explainer, each.columns, np.arange(7))
    dense = each.columns.toarray()
    where = np.flatnonzero(held)[None, None]
    values = [each.explainer.simulate(np.array([k]), where)[0, 0] for k in range(7)]
    expected = [np.corrcoef(v, dense[held, k])[0, 1] for k, v in enumerate(values)]
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_chat_model_naming_the_right_token_scores_best(ask, tmp_path):
    with ChatServer() as server:
        own, mates = ask(server, tmp_path)
    assert len(own) == 2 * (len(LINEAGE.order) + 1) and set(own["explainer"]) == {"endpoint"}
    assert (own["explanation"] == [VOCABULARY[k] for k in own["feature"]]).all()
    for name in ("simulation_r", "random_r"):
        assert own[name].to_numpy() == pytest.approx(1)
    assert (own["shuffled_r"] < 0.1).all()
    assert mates["foreign_r"].to_numpy() == pytest.approx(1)
    assert mates["own_r"].to_numpy() == pytest.approx(1)


def test_a_run_that_was_stopped_goes_on_and_nothing_is_asked_again(ask, tmp_path):
    with ChatServer() as server:
        ask(server, tmp_path / "whole")
        needed = len(server.requests)
        server.faults = [None] * 30 + [400]
        with pytest.raises(FeatrackError, match="status 400"):
            ask(server, tmp_path / "stopped")
        stopped, _ = ask(server, tmp_path / "stopped")
        assert len(server.requests) == 2 * needed + 1  # the one that was refused
        ask(server, tmp_path / "stopped")
        assert len(server.requests) == 2 * needed + 1
    assert stopped["simulation_r"].notna().all()


def test_no_more_is_asked_than_max_requests(ask, tmp_path):
    with ChatServer() as server, pytest.raises(FeatrackError, match="max_requests"):
        ask(server, tmp_path, max_requests=7)
    assert len(server.requests) == 7


def test_a_chain_of_models_can_be_explained():
    a, b, c = (
        {"train": ["english"]},
        {"parent": "a", "train": ["lua"]},
        {"parent": "b", "train": ["lua"]},
    )
    chain = Lineage({"a": a, "b": b, "c": c})
    own, mates = score(TEXT, counted(chain), tracked(chain), seed=1)
    assert set(zip(mates["parent"], mates["child"], strict=True)) == set(chain.edges)
    assert set(own["model"]) == {"a", "b", "c", CONTROL}


def test_answers_of_no_use_leave_their_excerpt_out(ask, tmp_path):
    with ChatServer() as server:
        server.faults = ["short"] * 10_000
        own, mates = ask(server, tmp_path)
    assert own[["simulation_r", "random_r", "shuffled_r"]].isna().all(axis=None)
    assert mates[["foreign_r", "own_r"]].isna().all(axis=None)


def test_the_key_is_in_no_score_and_no_answer(ask, tmp_path, caplog, capfd):
    caplog.set_level(logging.INFO)
    with ChatServer("leak", 429, 500) as server:
        own, mates = ask(server, tmp_path)
    written = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    tables = [table.to_json() for table in (own, mates)]
    assert "[key]" in "".join(own["explanation"]) and len(written) > 30
    assert not any(KEY in text for text in [caplog.text, *capfd.readouterr(), *written, *tables])


def test_counting_is_the_same_each_time(by_counting):
    again = score(TEXT, counted(LINEAGE), tracked(LINEAGE), seed=1)
    for one, other in zip(by_counting, again, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
