"""From features to interpretations: by counting, and by a chat server, with controls."""

import logging

import numpy as np
import pandas as pd
import pytest

from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation.explain import run, summary
from featrack_utils.interpretation.explain.cache import Answers
from featrack_utils.interpretation.explain.settings import Interpretation
from featrack_utils.pipeline.config import EDGES, MODELS
from tests.autointerp_planted import BLOCK, DEAD, LENGTH, VOCABULARY, planted
from tests.openai_server import ChatServer

KEY = "sk-loopback-9876543210"


@pytest.fixture(scope="module")
def ground():
    found = {model: planted() for model in MODELS}
    return run.prepare(
        found, VOCABULARY, block=BLOCK, tau=0.8, min_positions=5, min_documents=2, seed=1
    )


@pytest.fixture
def settings(monkeypatch):
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def make(server, *, explainer="endpoint", max_cost=100.0, price=1.0):
        return Interpretation(
            explainer=explainer,
            base_url=server.url,
            chat_model="tiny",
            key_variable="TEST_KEY",
            explained_features=2,
            requests_per_minute=1_000_000,
            max_cost=max_cost,
            input_price=price,
            output_price=price,
        )

    return make


def by(table, **values):
    for name, value in values.items():
        table = table[table[name] == value]
    return table.set_index("feature")


def test_counting_explains_planted_features_and_only_their_own(ground):
    scores = run.count_scores(ground, run.count(ground))
    assert len(scores.own) == len(MODELS) * 2 * LENGTH
    said = by(scores.own, model="lua", explainer="sentence")
    alive = said.index != DEAD
    assert (said["simulation_r"][alive] > 0.999).all() and (said["random_r"][alive] > 0.999).all()
    assert (said["detection"][alive] == 1).all() and (said["shuffled_r"][alive] < 0.1).all()
    dead = said.loc[DEAD]
    assert dead[["simulation_r", "random_r", "detection", "shuffled_r"]].isna().all()
    assert not dead["able"] and not dead["persisting"] and said["persisting"][alive].all()
    # Nothing has changed from model to model, so neither has what an explanation is worth.
    assert set(zip(scores.mates["parent"], scores.mates["child"], strict=True)) == set(EDGES)
    assert (scores.mates["feature"] == scores.mates["mate"]).all()
    assert (scores.mates["foreign_r"] == scores.mates["own_r"]).all()


def test_the_lookup_over_all_held_out_text_agrees_with_a_plain_correlation(ground):
    lookup, _ = run.count(ground)["base"]
    held = ~ground.text.learn
    found = lookup.everywhere_r(ground.subjects["base"].columns, np.arange(7))
    dense = ground.found["base"].acts.toarray()
    values = [
        lookup.simulate(np.array([k]), np.flatnonzero(held)[None, None])[0, 0] for k in range(7)
    ]
    expected = [np.corrcoef(v, dense[held, k])[0, 1] for k, v in enumerate(values)]
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("logprobs", [True, False])
def test_a_chat_model_that_names_the_right_token_scores_best(ground, settings, tmp_path, logprobs):
    with ChatServer(logprobs=logprobs) as server:
        scores = run.ask(ground, settings(server), tmp_path)
    assert len(scores.own) == 2 * len(MODELS) and set(scores.own["explainer"]) == {"endpoint"}
    assert (scores.own["explanation"] == [VOCABULARY[k] for k in scores.own["feature"]]).all()
    for name, expected in (("simulation_r", 1), ("random_r", 1), ("detection", 1)):
        assert scores.own[name].to_numpy() == pytest.approx(expected)
    assert (scores.own["shuffled_r"] < 0.1).all()
    assert scores.mates["foreign_r"].to_numpy() == pytest.approx(1)
    assert scores.mates["own_r"].to_numpy() == pytest.approx(1)


def test_as_much_is_asked_as_was_estimated_and_nothing_again(ground, settings, tmp_path):
    with ChatServer() as server:
        chosen = settings(server)
        ahead = run.rehearse(ground, chosen)
        run.ask(ground, chosen, tmp_path)
        assert len(server.requests) == ahead.requests > 0
        run.ask(ground, chosen, tmp_path)
        assert len(server.requests) == ahead.requests
        assert run.rehearse(ground, chosen, Answers(tmp_path, server.url)).requests == 0


def test_a_run_that_was_stopped_goes_on(ground, settings, tmp_path):
    with ChatServer() as server:
        server.faults = [None] * 30 + [400]
        with pytest.raises(FeatrackError, match="status 400"):
            run.ask(ground, settings(server), tmp_path)
        done = len(server.requests) - 1
        stopped = run.ask(ground, settings(server), tmp_path)
        assert len(server.requests) == run.rehearse(ground, settings(server)).requests + 1
    assert done >= 30 and stopped.own["simulation_r"].notna().all()


def test_what_would_cost_too_much_is_not_begun(ground, settings, tmp_path):
    with ChatServer() as server, pytest.raises(FeatrackError, match=r"questions would cost about"):
        run.ask(ground, settings(server, max_cost=0.01), tmp_path)
    assert not server.requests


def test_a_budget_is_not_exceeded_even_if_the_estimate_was_too_low(ground, settings, tmp_path):
    with ChatServer() as server:
        server.usage = {"prompt_tokens": 900, "completion_tokens": 100}
        costly = settings(server, price=1000.0, max_cost=0)
        ahead = run.rehearse(ground, costly)
        limit = ahead.cost + 0.5
        with pytest.raises(FeatrackError, match="The budget is used up"):
            run.ask(ground, settings(server, price=1000.0, max_cost=limit), tmp_path)
        assert 0 < len(server.requests) <= limit  # each has cost 1


def test_answers_of_no_use_leave_their_excerpt_out(ground, settings, tmp_path):
    with ChatServer() as server:
        server.faults = ["short"] * 10_000
        scores = run.ask(ground, settings(server), tmp_path)
    assert scores.own[["simulation_r", "random_r", "detection", "shuffled_r"]].isna().all(axis=None)
    found = summary.results(scores.own, scores.mates, 10, 1)
    assert found["autointerp.lua.endpoint.median_r"] is None
    assert found["autointerp.lua.endpoint.mates.base.foreign_minus_own"] is None


def test_what_is_written_has_one_row_for_each_feature_and_never_the_key(
    ground, settings, tmp_path, caplog, capfd
):
    (folder := tmp_path / "interpretation").mkdir()
    caplog.set_level(logging.INFO)
    with ChatServer("leak", 429, 500) as server:
        run.write(folder, ground, settings(server), tmp_path / "answers")
    table = pd.read_parquet(folder / "interpretations.parquet")
    assert list(table.columns) == list(run.COLUMNS)
    assert [*zip(table["model"], table["feature"], strict=True)] == [
        (model, feature) for model in MODELS for feature in range(LENGTH)
    ]
    assert table["explainer"].value_counts().to_dict() == {"sentence": 24, "endpoint": 8}
    assert table.loc[table["feature"] == DEAD, "simulation_r"].isna().all()
    scores = pd.read_parquet(folder / "scores.parquet")
    assert set(scores["explainer"]) == {"lookup", "sentence", "endpoint"}
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    said = [caplog.text, *capfd.readouterr()]
    assert "[key]" in "".join(table["explanation"]) and len(written) > 40
    assert not any(KEY.encode() in data for data in written) and not any(KEY in t for t in said)


def test_counting_alone_asks_nobody_and_is_the_same_each_time(ground, settings, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with ChatServer() as server:
            chosen = settings(server, explainer="lookup")
            run.write(tmp_path / name, ground, chosen, tmp_path / "answers")
        assert not server.requests
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(files) == 5 and not (tmp_path / "answers").exists()
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
