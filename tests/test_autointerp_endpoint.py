"""Asking a chat server that misbehaves: what is repeated, what is not, what is paid and kept."""

import logging
import time

import pytest

from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation.explain import endpoint as endpoint_module
from featrack_utils.interpretation.explain.budget import Budget, Prices
from featrack_utils.interpretation.explain.cache import Answers
from featrack_utils.interpretation.explain.endpoint import Endpoint, _seconds
from featrack_utils.interpretation.explain.prompts import explain
from featrack_utils.interpretation.explain.settings import Interpretation
from tests.openai_server import ChatServer

KEY = "sk-loopback-0123456789"
FREE = Prices(0, 0)


def question(n: int = 0) -> dict:
    return explain("tiny", [([f"a{n}", "b"], [9, 0])])


@pytest.fixture
def asking(tmp_path, monkeypatch):
    """Asks a server some questions; returns the answers' texts."""
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def ask(
        server,
        *requests,
        max_cost=0.0,
        prices=FREE,
        per_minute=100_000,
        key="TEST_KEY",
        first_wait=0.01,
    ):
        with Budget(tmp_path / "spent.jsonl", max_cost, prices) as budget:
            endpoint = Endpoint(
                server.url,
                key,
                Answers(tmp_path / "answers", server.url),
                budget,
                per_minute,
                first_wait=first_wait,
                timeout=0.3,
            )
            answers = endpoint.ask(requests, "asking")
        return [answer["choice"]["message"]["content"] for answer in answers]

    return ask


def test_answers_come_in_the_order_of_the_questions(asking):
    with ChatServer() as server:
        said = asking(server, *map(question, range(9)))
    assert said == [f"a{n}" for n in range(9)]
    assert set(server.authorizations) == {f"Bearer {KEY}"}


@pytest.mark.parametrize("fault", [429, 500, 503, 408, "timeout", "html", "truncated", "empty"])
def test_what_may_pass_is_asked_again(asking, fault):
    with ChatServer(fault, fault) as server:
        assert asking(server, question()) == ["a0"]
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (401, "refuses the key (status 401)"),
        (403, "TEST_KEY"),
        ("echo", "refuses the key"),
        (404, "refuses the request (status 404)"),
        (400, "status 400"),
        ("quota", "insufficient_quota"),
    ],
)
def test_a_refusal_is_one_sentence_and_not_asked_again(asking, fault, said):
    with ChatServer(fault) as server, pytest.raises(FeatrackError) as caught:
        asking(server, question())
    assert said in str(caught.value) and KEY not in str(caught.value)
    assert len(server.requests) == 1


def test_a_server_that_fails_again_and_again_is_given_up_with_what_it_said(asking):
    with ChatServer(*[500] * 9) as server, pytest.raises(FeatrackError, match=r"6 times.*500"):
        asking(server, question())
    assert len(server.requests) == 6


def test_a_server_that_is_not_there_is_one_sentence(asking, monkeypatch):
    monkeypatch.setattr(endpoint_module, "_ATTEMPTS", 2)
    with ChatServer() as server:
        pass
    with pytest.raises(FeatrackError, match=r"2 times, at last with: no whole answer \(Connect"):
        asking(server, question())


@pytest.fixture
def slept(monkeypatch):
    """Seconds that would have been slept, instead of sleeping."""
    seconds = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


def test_the_server_says_how_long_to_wait(asking, slept):
    with ChatServer(429, retry_after="90") as server:
        asking(server, question())
    assert len(server.requests) == 2 and max(slept) == 90


def test_others_wait_as_well_when_the_server_asks_for_it(asking, slept):
    with ChatServer(429, retry_after="90") as server:
        asking(server, question(0), question(1), question(2), question(3), question(4))
    assert sum(seconds > 60 for seconds in slept) >= 2


def test_each_repetition_waits_twice_as_long(asking, slept):
    with ChatServer(500, 500, 500, 500) as server:
        asking(server, question(), first_wait=1.0)
    waits = [seconds for seconds in slept if seconds >= 1]
    assert all(low <= s < low + 1 for low, s in zip((1, 2, 4, 8), waits, strict=True))


def test_a_server_that_asks_to_wait_for_hours_is_not_waited_for(asking):
    with (
        ChatServer(429, retry_after="7200") as server,
        pytest.raises(FeatrackError, match="asks to wait 7200 seconds"),
    ):
        asking(server, question())
    assert len(server.requests) == 1


def test_retry_after_is_seconds_or_a_date_and_anything_else_is_ignored():
    assert _seconds("3") == 3
    assert _seconds("Thu, 01 Jan 1970 00:00:00 GMT") == 0
    assert _seconds("Fri, 31 Dec 9999 23:59:59 GMT") > 1e9
    assert [_seconds(odd) for odd in (None, "soon", "nan", "")] == [None] * 4


def test_requests_are_started_no_faster_than_asked(asking, slept):
    with ChatServer() as server:
        asking(server, *map(question, range(5)), per_minute=1)
    assert sorted(round(seconds / 60) for seconds in slept) == [0, 1, 2, 3, 4]


def test_a_server_without_log_probabilities_is_asked_without(asking):
    with_logprobs = question() | {"logprobs": True, "top_logprobs": 20}
    with ChatServer("logprobs") as server:
        assert asking(server, with_logprobs) == ["a0"]
    assert ["logprobs" in request for request in server.requests] == [True, False]


def test_nothing_is_asked_twice_not_even_at_once_or_by_a_later_run(asking):
    with ChatServer() as server:
        asking(server, question(), question(), question())
        asking(server, question())
        assert len(server.requests) == 1
        asking(server, question() | {"temperature": 1})
    assert len(server.requests) == 2


def test_a_damaged_answer_is_named(asking, tmp_path):
    with ChatServer() as server:
        asking(server, question())
        (kept,) = (tmp_path / "answers").rglob("*.json")
        kept.write_text(kept.read_text()[:-9])
        with pytest.raises(FeatrackError, match=f"{kept.name} is damaged"):
            asking(server, question())


def test_what_was_answered_before_a_refusal_is_kept(asking):
    with ChatServer() as server:
        asking(server, question(0))
        server.faults = [400]
        with pytest.raises(FeatrackError):
            asking(server, question(0), question(1))
        assert asking(server, question(0), question(1)) == ["a0", "a1"]
    assert len(server.requests) == 3


def test_the_key_is_nowhere_but_in_the_header(asking, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with ChatServer(500, 429, "html", "timeout", "echo", "leak") as server:
        with pytest.raises(FeatrackError) as caught:
            asking(server, question())
        assert asking(server, question()) == ["Bearer [key] a0"]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    said = [caplog.text, repr(caught), *capfd.readouterr(), *(path.read_text() for path in files)]
    assert len(files) == 2 and "asked again" in caplog.text
    assert not any(KEY in text for text in said)


def test_a_key_that_is_missing_or_odd_is_named_by_its_variable(asking, monkeypatch):
    with ChatServer() as server:
        for value, said in (("", "is not set"), ("ключ", "holds characters")):
            monkeypatch.setenv("TEST_KEY", value)
            with pytest.raises(FeatrackError, match=f"TEST_KEY.*{said}"):
                asking(server, question())
        asking(server, question(), key="")
    assert server.authorizations == [None]


@pytest.mark.parametrize(
    "url",
    ["localhost:8000", "ftp://host/v1", "https://me:secret@host/v1", "https://host/v1?key=secret"],
)
def test_an_address_with_a_secret_or_without_a_host_is_refused_without_repeating_it(url):
    with pytest.raises(FeatrackError, match=r"interpretation\.base_url") as caught:
        Interpretation("endpoint", url, "tiny", "", 2, 60, 1.0, 1.0, 1.0)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"explainer": "gpt"}, "choose one of lookup, endpoint"),
        ({"max_cost": -1}, "max_cost is -1"),
        ({"explained_features": 1}, "must be 2 or more"),
        ({"requests_per_minute": 0}, "is 0"),
        ({"output_price": float("nan")}, "output_price is nan"),
    ],
)
def test_a_setting_out_of_range_is_named(changed, said):
    fine = dict(
        explainer="lookup",
        base_url="http://localhost/v1",
        chat_model="tiny",
        key_variable="",
        explained_features=2,
        requests_per_minute=60,
        max_cost=0.0,
        input_price=0.0,
        output_price=0.0,
    )
    assert Interpretation(**fine).explainer == "lookup"
    with pytest.raises(FeatrackError, match=said):
        Interpretation(**fine | changed)
