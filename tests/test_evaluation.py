"""Losses and accuracies of models whose answers are known beforehand."""

import math

import numpy as np
import pytest
import torch

from featrack_utils.corpora.documents import Document
from featrack_utils.corpora.prepare import Corpora
from featrack_utils.corpora.tokenizer import encode_documents
from featrack_utils.models import evaluation
from featrack_utils.models.evaluation import Evaluation, continuation, evaluate


def test_a_model_that_prefers_nothing_loses_ln_of_the_vocabulary(fresh_model, blocks):
    model = fresh_model()
    torch.nn.init.zeros_(model.lm_head.weight)
    result = evaluate(model, blocks)
    assert result.loss == pytest.approx(math.log(280), abs=1e-6)
    assert result.n_tokens == 64 * 15
    # With all logits equal the first token of the vocabulary wins, which no block holds.
    assert result.accuracy == 0


def test_evaluation_adds_up_over_batches_of_any_size(fresh_model, blocks, monkeypatch):
    model = fresh_model()
    at_once = evaluate(model, blocks)
    monkeypatch.setattr(evaluation, "_TOKENS_PER_CHUNK", 5 * 16)
    assert evaluate(model, blocks).loss == pytest.approx(at_once.loss, rel=1e-6)
    assert evaluate(model, blocks).accuracy == at_once.accuracy


def test_a_continuation_begins_with_its_prompt_and_depends_on_the_seed(fresh_model, tokenizer):
    def write(seed):
        return continuation(fresh_model(), tokenizer, "the cat", new_tokens=8, seed=seed)

    assert write(0).startswith("the cat") and len(write(0)) > len("the cat")
    assert write(0) == write(0) != write(1)


def test_a_model_that_knows_the_next_number_is_always_right(fresh_model, blocks):
    model = fresh_model()
    model.forward = lambda input_ids: type(
        "Output", (), {"logits": 50.0 * torch.nn.functional.one_hot(input_ids + 1, 280).float()}
    )
    result = evaluate(model, blocks)
    assert result.accuracy == 1
    assert result.loss == pytest.approx(0, abs=1e-6)


def test_a_continuation_stops_where_the_context_is_full(fresh_model, tokenizer):
    model, asked = fresh_model(), []
    generate = model.generate
    model.generate = lambda ids, **given: asked.append((ids, given)) or generate(ids, **given)
    continuation(model, tokenizer, "the cat", new_tokens=500, seed=0)
    assert asked[0][0].shape[1] + asked[0][1]["max_new_tokens"] == 16


def test_scores_come_back_from_their_results_as_a_table():
    scores = {"lua": Evaluation(2.5, 0.4, 100), "python": Evaluation(3.5, 0.3, 100)}
    flat = evaluation.score_results("lm.base", scores)
    assert flat["lm.base.lua.loss"] == 2.5 and len(flat) == 4
    table = evaluation.score_table(
        flat | {"merge.t": 0.5, "lm.base.parameters_millions": 1.0}, ("lua", "python")
    )
    assert table.to_dict("records") == [
        {"model": "base", "domain": "lua", "loss": 2.5, "accuracy": 0.4},
        {"model": "base", "domain": "python", "loss": 3.5, "accuracy": 0.3},
    ]


def test_documents_give_intervals_and_leave_the_figures_alone(fresh_model, blocks):
    model, origin = fresh_model(), np.arange(len(blocks)).repeat(blocks.shape[1])
    plain, known = (evaluate(model, blocks, o) for o in (None, origin.reshape(blocks.shape)))
    assert evaluation.intervals(plain) == {} and plain[:3] == known[:3]
    assert known.by_document.sum(0) == pytest.approx(
        [known.loss * known.n_tokens, known.accuracy * known.n_tokens, known.n_tokens]
    )
    bounds = evaluation.intervals(known)
    assert bounds["loss.ci_low"] < known.loss < bounds["loss.ci_high"]
    assert bounds == evaluation.intervals(known)


def test_equal_documents_have_an_interval_without_width():
    score = Evaluation(2.0, 0.5, 40, np.tile([20.0, 5.0, 10.0], (4, 1)))
    assert evaluation.intervals(score) == pytest.approx(
        {"loss.ci_low": 2, "loss.ci_high": 2, "accuracy.ci_low": 0.5, "accuracy.ci_high": 0.5}
    )


def test_an_interval_is_about_two_standard_errors_wide_on_each_side():
    hits = np.array([0.0, 10.0] * 50)
    score = Evaluation(1.0, 0.5, 1000, np.stack([0 * hits, hits, 0 * hits + 10], axis=1))
    assert evaluation.intervals(score)["accuracy.ci_low"] == pytest.approx(0.5 - 0.1, abs=0.02)


def test_pooled_texts_count_by_their_tokens():
    documents = np.ones((2, 3))
    one, other = Evaluation(1.0, 0.2, 30, documents), Evaluation(2.0, 0.6, 10, documents)
    together = evaluation.pooled(one, other)
    assert together[:3] == (pytest.approx(1.25), pytest.approx(0.3), 40)
    assert len(together.by_document) == 4


def test_intervals_go_into_results_but_not_into_the_table_of_scores():
    scores = {"lua": Evaluation(2.0, 0.5, 20, np.array([[20.0, 5, 10], [20, 5, 10]]))}
    flat = evaluation.score_results("lm.base", scores)
    flat["lm.base.own.loss"] = 3.0  # of two domains together
    assert flat["lm.base.lua.accuracy.ci_low"] == pytest.approx(0.5) and len(flat) == 7
    table = evaluation.score_table(flat, ["lua"])
    assert len(table) == 1
    assert list(table.columns) == ["model", "domain", "loss", "accuracy"]


def test_counting_alone_loses_the_logarithm_of_each_tokens_share():
    # One and three of token 0 and 1, plus one each: shares 1/3 and 2/3.
    loss = evaluation.unigram_loss(np.array([[0, 1, 1, 1]]), np.array([[0, 1]]), 2)
    assert loss == pytest.approx((math.log(3) + math.log(1.5)) / 2)


def test_an_opening_is_how_the_first_validation_text_begins(tokenizer):
    texts = [Document(text, text, text) for text in ("the cat and the other cat", "def f(x):")]
    streams = {("any", "validation"): encode_documents(texts, tokenizer)}
    opening = evaluation.opening(Corpora(streams, tokenizer, 16), "any", n_tokens=4)
    assert opening and "the cat and the other cat".startswith(opening)
    assert len(tokenizer.encode(opening)) == 4
