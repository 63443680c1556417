"""What a question may cost at most, and a limit that holds whatever happens."""

import json
import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation.explain.budget import Budget, Prices, estimate, most_tokens

# Two messages of 72 bytes in all are at most 200 tokens, with 64 more for the frame of each.
REQUEST = {
    "messages": [{"content": "ä" * 20}, {"content": "x" * 32}],
    "max_tokens": 50,
}
PRICES = Prices(1e4, 2e4)  # 0.01 and 0.02 a token: at most 2 + 1 for the request
MOST = 3.0


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "spent.jsonl"


def test_no_tokenizer_makes_more_tokens_than_bytes():
    assert most_tokens(REQUEST) == (200, 50)


def test_an_estimate_takes_three_bytes_for_a_token_and_the_longest_answer():
    assert estimate([REQUEST, REQUEST], PRICES) == (2, 48, 100, 2.48, 2 * MOST)
    assert estimate([], PRICES) == (0, 0, 0, 0, 0)


def test_a_request_is_refused_that_might_exceed_what_is_left(ledger):
    with Budget(ledger, 2 * MOST, PRICES) as budget:
        budget.reserve(REQUEST)
        budget.reserve(REQUEST)
        with pytest.raises(FeatrackError, match=r"6 of interpretation\.max_cost 6 is spent"):
            budget.reserve(REQUEST)


def test_what_the_server_counted_replaces_what_was_set_aside(ledger):
    with Budget(ledger, 4.0, PRICES) as budget:
        budget.settle(budget.reserve(REQUEST), {"prompt_tokens": 20, "completion_tokens": 10})
        assert budget.spent == pytest.approx(0.4)
        for nothing in ({}, {"prompt_tokens": 1}, {"prompt_tokens": -1, "completion_tokens": "9"}):
            entry = budget.reserve(REQUEST)
            budget.settle(entry, nothing)
            assert budget.spent == pytest.approx(0.4 + MOST)
            budget.release(entry)


def test_a_later_run_goes_on_from_what_was_spent_and_from_what_was_under_way(ledger):
    with Budget(ledger, 10.0, PRICES) as budget:
        budget.settle(budget.reserve(REQUEST), {"prompt_tokens": 20, "completion_tokens": 10})
        budget.reserve(REQUEST)  # and then it is killed
    with Budget(ledger, 10.0, PRICES) as budget:
        assert budget.spent == pytest.approx(0.4 + MOST)
        budget.reserve(REQUEST)
    with Budget(ledger, 10.0, PRICES) as budget:
        assert budget.spent == pytest.approx(0.4 + 2 * MOST)


def test_a_line_torn_by_a_kill_takes_nothing_with_it(ledger):
    ledger.write_text("[0, 1.5]\n[1, 2.")
    with Budget(ledger, 10.0, PRICES) as budget:
        assert budget.spent == 1.5
        budget.reserve(REQUEST)
    with Budget(ledger, 10.0, PRICES) as budget:
        assert budget.spent == 1.5 + MOST


def test_it_is_on_disk_before_the_request_is_sent(ledger):
    with Budget(ledger, 10.0, PRICES) as budget:
        entry = budget.reserve(REQUEST)
        assert json.loads(ledger.read_text()) == [entry, MOST]


def test_many_at_once_never_exceed_it(ledger):
    def spend(_):
        try:
            budget.reserve(REQUEST)
        except FeatrackError:
            return 0
        return 1

    with Budget(ledger, 10 * MOST + 1, PRICES) as budget, ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(spend, range(50))) == 10
        assert math.isclose(budget.spent, 10 * MOST)


def test_two_runs_dont_spend_from_one_ledger_at_the_same_time(ledger):
    with Budget(ledger, 1.0, PRICES), pytest.raises(FeatrackError, match="Another run"):
        Budget(ledger, 1.0, PRICES).__enter__()
    with Budget(ledger, 1.0, PRICES) as budget:
        assert budget.left == 1.0
