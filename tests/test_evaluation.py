"""Losses and accuracies of models whose answers are known beforehand."""

import math

import pytest
import torch

from featrack_utils import evaluation
from featrack_utils.evaluation import Evaluation, continuation, evaluate


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
    flat = evaluation.score_results("base", scores)
    assert flat["lm.base.lua.loss"] == 2.5 and len(flat) == 4
    table = evaluation.score_table(flat | {"merge.t": 0.5, "lm.base.parameters_millions": 1.0})
    assert table.to_dict("records") == [
        {"model": "base", "domain": "lua", "loss": 2.5, "accuracy": 0.4},
        {"model": "base", "domain": "python", "loss": 3.5, "accuracy": 0.3},
    ]
