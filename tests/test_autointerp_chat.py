"""Asking a chat server that misbehaves: what is repeated, what is not, and what is kept."""

import logging
import time

import pytest

from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation import chat
from tests.chapters import Chapter
from tests.openai_server import ChatServer

KEY = "sk-loopback-0123456789"
TASK = "Say in one phrase what the strong tokens have in common."


def question(n: int = 0) -> str:
    return Chapter("interpretation").explanation_prompt([([f"a{n}", "b"], [9, 0])])


@pytest.fixture
def asking(tmp_path, monkeypatch):
    """Asks a server some questions; returns the answers' texts."""
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))

    def ask(
        server,
        *prompts,
        system=TASK,
        key="TEST_KEY",
        url=None,
        max_requests=100,
        retries=5,
    ):
        monkeypatch.setattr(chat, "RETRIES", retries)
        monkeypatch.setattr(chat, "TIMEOUT", 0.3)
        answers = tmp_path / "answers"
        asked = chat.ChatServer(url or server.url, "tiny", key, answers, max_requests)
        return [answer.strip() for answer in asked.ask(system, prompts)]

    return ask


def test_answers_come_in_the_order_of_the_questions(asking):
    with ChatServer() as server:
        said = asking(server, *map(question, range(9)))
    assert said == [f"a{n}" for n in range(9)]
    assert set(server.authorizations) == {f"Bearer {KEY}"}


@pytest.mark.parametrize("fault", [429, 500, 503, 408, "timeout", "truncated"])
def test_what_may_pass_is_asked_again(asking, fault):
    with ChatServer(fault, fault) as server:
        assert asking(server, question()) == ["a0"]
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (401, "refuses the key in the variable that interpretation.key_variable names"),
        (403, "interpretation.key_variable"),
        ("echo", "refuses the key"),
        (404, "refuses the request with model 'tiny': Error code: 404 - "),
        (404, "status 404 to Bearer [key]"),
        (400, "status 400"),
        ("html", "gave no answer but said: <html>busy</html>"),
        ("error", "the model is loading"),
        ("empty", "gave no answer but said"),
    ],
)
def test_a_refusal_is_one_sentence_in_the_servers_words_and_not_asked_again(asking, fault, said):
    with ChatServer(fault) as server, pytest.raises(FeatrackError) as caught:
        asking(server, question())
    assert said in str(caught.value) and KEY not in str(caught.value)
    assert caught.value.__suppress_context__ and len(server.requests) == 1


def test_a_server_that_fails_again_and_again_is_given_up_with_what_it_said(asking):
    with ChatServer(*[500] * 9) as server, pytest.raises(FeatrackError, match="status 500 to"):
        asking(server, question(), retries=2)
    assert len(server.requests) == 3


def test_a_server_that_is_not_there_or_never_answers_is_one_sentence(asking):
    silent = pytest.raises(FeatrackError, match="No server answers at")
    with ChatServer("timeout") as server, silent:
        asking(server, question(), retries=0)
    with pytest.raises(FeatrackError, match=f"No server answers at {server.url}"):
        asking(server, question(), retries=1)


def test_the_server_says_how_long_to_wait(asking, monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with ChatServer(429, retry_after="90") as server:
        asking(server, question())
    assert len(server.requests) == 2 and max(slept) == 90


def test_a_server_that_asks_to_wait_for_hours_is_not_waited_for(asking):
    with (
        ChatServer(429, retry_after="7200") as server,
        pytest.raises(FeatrackError, match="status 429"),
    ):
        asking(server, question())
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<think>b or c?\n9</think>\n\na0", "a0"),
        ("b or c?</think>a0", "a0"),
        ("<think>b or c, and so on", ""),
        ("a0", "a0"),
    ],
)
def test_thinking_is_no_part_of_what_is_said(asking, content, said):
    with ChatServer() as server:
        server.content = content
        assert asking(server, question()) == [said]


@pytest.mark.parametrize("content", [None, "<think>well"])
def test_an_answer_cut_off_before_anything_is_said_says_nothing_and_isn_t_kept(asking, content):
    with ChatServer() as server:
        server.content = content
        assert asking(server, question()) == [""] == asking(server, question())
        assert len(server.requests) == 2
        server.content = "a0"
        assert asking(server, question()) == ["a0"]


def test_what_got_no_answer_is_not_asked_again_by_the_same_run(tmp_path):
    with ChatServer() as server:
        server.content = None
        asking = chat.ChatServer(server.url, "tiny", "", tmp_path / "answers", 9)
        said = [asking.ask(TASK, [question()]) for _ in range(3)]
    assert said == [[""]] * 3 and len(server.requests) == 1


def test_nothing_is_asked_twice_not_even_at_once_or_by_a_later_run(asking):
    with ChatServer() as server:
        asking(server, question(), question(), question())
        asking(server, question())
        asking(server, question(), url=f"{server.url}/")
        assert len(server.requests) == 1
        asking(server, question(), system=f"{TASK} In French.")
    assert len(server.requests) == 2


def test_no_more_is_asked_than_allowed_earlier_runs_included(asking):
    with ChatServer() as server:
        with pytest.raises(FeatrackError, match=r"3 questions were asked.*max_requests"):
            asking(server, *map(question, range(9)), max_requests=3)
        with pytest.raises(FeatrackError, match="max_requests"):
            asking(server, *map(question, range(9)), max_requests=3)
        assert len(server.requests) == 3
        assert len(asking(server, *map(question, range(9)), max_requests=9)) == 9
    assert len(server.requests) == 9


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
    with ChatServer(500, 429, "timeout", "echo", "leak") as server:
        with pytest.raises(FeatrackError) as caught:
            asking(server, question())
        assert asking(server, question()) == ["Bearer [key] a0"]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    said = [caplog.text, repr(caught), *capfd.readouterr(), *(path.read_text() for path in files)]
    assert len(files) == 1 and len(server.requests) == 5
    assert not any(KEY in text for text in said)


def test_a_key_that_is_missing_or_odd_is_named_by_its_variable(asking, monkeypatch):
    with ChatServer() as server:
        for value in ("", "ключ", 'a"b'):
            monkeypatch.setenv("TEST_KEY", value)
            with pytest.raises(FeatrackError, match=r"TEST_KEY.*holds no key"):
                asking(server, question())


def test_without_a_variable_no_key_is_sent_not_even_one_meant_for_another_server(
    asking, monkeypatch
):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ChatServer() as server:
        assert asking(server, question(), key="") == ["a0"]
    assert server.authorizations == ["Bearer none"]
