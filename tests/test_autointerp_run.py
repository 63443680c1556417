"""From features to interpretations: by counting, and by a chat server, with controls."""

import logging

import numpy as np
import pandas as pd
import pytest

from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation.explain import run, score
from featrack_utils.lineage import Lineage
from featrack_utils.matching.classes import classify, eligible
from featrack_utils.matching.correlation import correlations
from featrack_utils.pipeline.profile import Interpretation
from tests.autointerp_planted import BLOCK, DEAD, LENGTH, VOCABULARY, planted
from tests.openai_server import ChatServer

KEY = "sk-loopback-9876543210"
LINEAGE = Lineage(
    {
        "base": {"train": ["english"]},
        "lua": {"parent": "base", "train": ["lua"]},
        "stories": {"parent": "base", "train": ["stories"]},
        "merged": {"merge": ["lua", "stories"]},
    }
)
CHAIN = Lineage(
    {
        "a": {"train": ["english"]},
        "b": {"parent": "a", "train": ["lua"]},
        "c": {"parent": "b", "train": ["stories"]},
    }
)


CONTROL = "lua.mlp-0"


def prepared_for(lineage):
    found = {model: planted() for model in [*lineage.order, CONTROL]}
    trackings = {}
    for a, b in lineage.edges:
        able = [eligible(found[m].acts, found[m].origin, 5, 2) for m in (a, b)]
        masks = dict(zip(("eligible_a", "eligible_b"), able, strict=True))
        trackings[a, b] = classify(correlations(found[a].acts, found[b].acts, **masks), 0.8)
    enough = {"min_positions": 5, "min_documents": 2}
    return run.prepare(lineage, found, trackings, VOCABULARY, block=BLOCK, seed=1, **enough)


@pytest.fixture(scope="module")
def prepared():
    return prepared_for(LINEAGE)


@pytest.fixture
def settings(monkeypatch):
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def make(server, *, explainer="endpoint", max_requests=10_000):
        return Interpretation(
            explainer=explainer,
            base_url=server.url,
            chat_model="tiny",
            key_variable="TEST_KEY",
            explained_features=2,
            max_requests=max_requests,
        )

    return make


def by(table, **values):
    for name, value in values.items():
        table = table[table[name] == value]
    return table.set_index("feature")


def test_counting_explains_planted_features_and_only_their_own(prepared):
    scores = run.score(prepared, run.count(prepared))
    assert len(scores.own) == (len(LINEAGE.order) + 1) * LENGTH
    said = by(scores.own, model="lua")
    alive = said.index != DEAD
    assert (said["simulation_r"][alive] > 0.98).all() and (said["random_r"][alive] > 0.98).all()
    assert (said["shuffled_r"][alive] < 0.1).all()
    dead = said.loc[DEAD]
    assert dead[["simulation_r", "random_r", "shuffled_r"]].isna().all()
    assert not dead["able"] and not dead["persisting"] and said["persisting"][alive].all()
    # Nothing has changed from model to model, so neither has what an explanation is worth.
    assert set(zip(scores.mates["parent"], scores.mates["child"], strict=True)) == set(
        LINEAGE.edges
    )
    assert (scores.mates["feature"] == scores.mates["mate"]).all()
    assert (scores.mates["foreign_r"] == scores.mates["own_r"]).all()


def test_a_control_is_scored_like_a_model_and_nothing_of_it_persists(prepared):
    own = run.score(prepared, run.count(prepared)).own
    control, model = by(own, model=CONTROL), by(own, model="lua")
    pd.testing.assert_series_equal(control["simulation_r"], model["simulation_r"])
    assert not control["persisting"].any()


def test_the_lookup_over_all_held_out_text_agrees_with_a_plain_correlation(prepared):
    lookup = run.count(prepared)["base"]
    held = ~prepared.text.learn
    columns = prepared.subjects["base"].columns
    found = run.everywhere_r(lookup, columns, np.arange(7))
    dense = columns.toarray()
    values = [
        lookup.simulate(np.array([k]), np.flatnonzero(held)[None, None])[0, 0] for k in range(7)
    ]
    expected = [np.corrcoef(v, dense[held, k])[0, 1] for k, v in enumerate(values)]
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_chat_model_naming_the_right_token_scores_best(prepared, settings, tmp_path):
    with ChatServer() as server:
        scores = run.ask(prepared, settings(server), tmp_path)
    assert len(scores.own) == 2 * (len(LINEAGE.order) + 1) and set(scores.own["explainer"]) == {
        "endpoint"
    }
    assert (scores.own["explanation"] == [VOCABULARY[k] for k in scores.own["feature"]]).all()
    for name in ("simulation_r", "random_r"):
        assert scores.own[name].to_numpy() == pytest.approx(1)
    assert (scores.own["shuffled_r"] < 0.1).all()
    assert scores.mates["foreign_r"].to_numpy() == pytest.approx(1)
    assert scores.mates["own_r"].to_numpy() == pytest.approx(1)


def test_a_run_that_was_stopped_goes_on_and_nothing_is_asked_again(prepared, settings, tmp_path):
    with ChatServer() as server:
        run.ask(prepared, settings(server), tmp_path / "whole")
        needed = len(server.requests)
        server.faults = [None] * 30 + [400]
        with pytest.raises(FeatrackError, match="status 400"):
            run.ask(prepared, settings(server), tmp_path / "stopped")
        stopped = run.ask(prepared, settings(server), tmp_path / "stopped")
        assert len(server.requests) == 2 * needed + 1  # the one that was refused
        run.ask(prepared, settings(server), tmp_path / "stopped")
        assert len(server.requests) == 2 * needed + 1
    assert stopped.own["simulation_r"].notna().all()


def test_no_more_is_asked_than_max_requests(prepared, settings, tmp_path):
    with ChatServer() as server, pytest.raises(FeatrackError, match="max_requests"):
        run.ask(prepared, settings(server, max_requests=7), tmp_path)
    assert len(server.requests) == 7


def test_any_lineage_can_be_explained(tmp_path, settings):
    with ChatServer() as server:
        chosen = settings(server, explainer="lookup")
        run.write(tmp_path, CHAIN, prepared_for(CHAIN), chosen, tmp_path)
    mates = pd.read_parquet(tmp_path / "mates.parquet")
    assert set(zip(mates["parent"], mates["child"], strict=True)) == {("a", "b"), ("b", "c")}
    assert set(pd.read_parquet(tmp_path / "interpretations.parquet")["model"]) == {"a", "b", "c"}


def test_answers_of_no_use_leave_their_excerpt_out(prepared, settings, tmp_path):
    with ChatServer() as server:
        server.faults = ["short"] * 10_000
        scores = run.ask(prepared, settings(server), tmp_path)
    assert scores.own[["simulation_r", "random_r", "shuffled_r"]].isna().all(axis=None)
    found = score.results(scores.own, scores.mates, {}, 10, 1)
    assert found["autointerp.lua.endpoint.median_r"] is None
    assert found["autointerp.lua.endpoint.mates.base.foreign_minus_own"] is None


def test_what_is_written_has_one_row_for_each_feature_and_never_the_key(
    prepared, settings, tmp_path, caplog, capfd
):
    (folder := tmp_path / "interpretation").mkdir()
    caplog.set_level(logging.INFO)
    with ChatServer("leak", 429, 500) as server:
        run.write(folder, LINEAGE, prepared, settings(server), tmp_path / "answers")
    table = pd.read_parquet(folder / "interpretations.parquet")
    assert list(table.columns) == list(run.COLUMNS)
    assert [*zip(table["model"], table["feature"], strict=True)] == [
        (model, feature) for model in LINEAGE.order for feature in range(LENGTH)
    ]
    assert table["explainer"].value_counts().to_dict() == {"lookup": 24, "endpoint": 8}
    assert table.loc[table["feature"] == DEAD, "simulation_r"].isna().all()
    scores = pd.read_parquet(folder / "scores.parquet")
    assert set(scores["explainer"]) == {"lookup", "endpoint"}
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    said = [caplog.text, *capfd.readouterr()]
    assert "[key]" in "".join(table["explanation"]) and len(written) > 30
    assert not any(KEY.encode() in data for data in written) and not any(KEY in t for t in said)


def test_counting_alone_asks_nobody_and_is_the_same_each_time(prepared, settings, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with ChatServer() as server:
            chosen = settings(server, explainer="lookup")
            run.write(tmp_path / name, LINEAGE, prepared, chosen, tmp_path / "answers")
        assert not server.requests
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(files) == 3 and not (tmp_path / "answers").exists()
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
