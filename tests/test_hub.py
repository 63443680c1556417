"""Text from the hub, asked of a server on the loopback address that speaks its protocol."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featrack_utils.corpora.hub import pinned
from featrack_utils.errors import FeatrackError
from tests.hub_server import Hub

PYTHON = "datasets/nilq/small-python-stack"
STORIES = "datasets/roneneldan/TinyStories"
N_ROWS = 40  # of each file of PYTHON
# Loads the library once, and asks in a fork for each line: what a run of its own would find.
CHILD = """
import datasets, json, logging, os, sys, torch
from pathlib import Path
from featrack_utils.corpora import hub
from featrack_utils.corpora.split import documents_of
from featrack_utils.corpora.documents import SourceConfig
from featrack_utils.errors import FeatrackError

def answer(source, record):
    said = []
    hub.log.warning = lambda text, *words: said.append(text % words)
    try:
        pinned = hub.pinned({"mine": source}, Path(record))
        read = documents_of("mine", SourceConfig.read("mine", pinned["mine"]), 0)
        texts = [(d.text, d.group) for d in read]
    except FeatrackError as error:
        return {"refused": str(error), "said": said}
    return {"texts": texts, "commit": pinned["mine"]["commit"], "said": said}

for line in sys.stdin:
    if os.fork() == 0:
        asked = json.loads(line)
        print(json.dumps({name: answer(*each) for name, each in asked.items()}), flush=True)
        os._exit(0)
    os.wait()
"""


def parquet(**columns) -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.table(columns), written, row_group_size=10)
    return written.getvalue()


def ask(child: subprocess.Popen, **asked: tuple[dict, Path]) -> dict[str, dict]:
    """What a fork of its own finds at each source, given the record of an earlier run."""
    questions = {
        name: ({"kind": "hub"} | source, str(record)) for name, (source, record) in asked.items()
    }
    child.stdin.write(json.dumps(questions) + "\n")
    child.stdin.flush()
    return json.loads(child.stdout.readline())


@pytest.fixture(scope="module")
def hub():
    with Hub() as hub:
        code = [[f"file {part} of row {n}\n" * 5 for n in range(N_ROWS)] for part in "ab"]
        files = {
            f"data/train-0000{part}-of-00002.parquet": parquet(content=texts)
            for part, texts in enumerate(code)
        }
        rest = {"data/validation-00000-of-00001.parquet": parquet(content=["held out"])}
        hub.commit(PYTHON, {"README.md": b"---\nlicense: mit\n---\n", **files, **rest})
        hub.commit(STORIES, {"data/train-00000-of-00001.parquet": parquet(text=["a tale"])})
        lines = b'{"text": null}\n{"text": "whole"}\n'
        hub.commit("datasets/some/lines", {"train.jsonl": lines})
        hub.commit("datasets/some/halves", {"train.jsonl": lines + b'{"text": "a \\ud83d"}\n'})
        said = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
        columns = {"words": [["a", "b"]], "number": [3], "chat": [said]}
        columns["kind"] = pa.array(["x"]).dictionary_encode()
        hub.commit("datasets/some/columns", {"train.parquet": parquet(**columns)})
        hub.commit("datasets/some/damaged", {"train.parquet": b"PAR1 nothing else"})
        hub.commit("datasets/some/empty", {"README.md": b"nothing\n"})
        hub.commit(
            "datasets/some/several",
            {
                "README.md": b"---\nconfigs:\n- config_name: one\n  data_files: one.jsonl\n"
                b"- config_name: two\n  data_files: two.jsonl\n---\n",
                "one.jsonl": b'{"text": "of one"}\n',
                "two.jsonl": b'{"text": "of two"}\n',
            },
        )
        hub.commit("datasets/some/gated", {"train.parquet": parquet(text=["secret"])})
        hub.gated.add("datasets/some/gated")
        yield hub


@pytest.fixture(scope="module")
def found(hub, tmp_path_factory) -> dict[str, dict]:
    """What a first run finds, a cut connection among it, and what a second, after a change."""
    home = tmp_path_factory.mktemp("hub")
    columns = {"path": "some/columns"}
    code = {"path": "nilq/small-python-stack", "column": "content"}
    first = hub.at(PYTHON, "main")[0]
    hub.cuts["train-00000-of-00002.parquet"] = [500]
    asked = {
        "shuffled": code,
        "in order": code | {"buffer": 0},
        "split": code | {"split": "validation"},
        "revision": code | {"revision": first},
        "lines": {"path": "some/lines"},
        "halves": {"path": "some/halves"},
        "words": columns | {"column": "words"},
        "number": columns | {"column": "number"},
        "chat": columns | {"column": "chat"},
        "kind": columns | {"column": "kind"},
        "no column": columns | {"column": "text"},
        "no split": code | {"split": "test"},
        "no such revision": code | {"revision": "v9"},
        "no such name": {"path": "nilq/no-such-stack"},
        "no name": {"path": "../nilq"},
        "gated": {"path": "some/gated"},
        "damaged": {"path": "some/damaged"},
        "empty": {"path": "some/empty"},
        "several": {"path": "some/several"},
        "subset": {"path": "some/several", "subset": "two"},
    }
    # A folder of that name in the working directory isn't what is meant.
    (home / "some" / "lines").mkdir(parents=True)
    nothing = home / "nothing"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=hub.environment(home / "cache"),
        cwd=home,
        text=True,
    )
    answers = ask(child, **{name: (source, nothing) for name, source in asked.items()})
    read = home / "corpora"
    read.mkdir()
    recorded = {"mine": {"kind": "hub", **code, "commit": first}}
    (read / "run.json").write_text(
        json.dumps({"key": "", "files": {}, "parameters": {"sources": recorded}})
    )
    hub.commit(PYTHON, {"data/train-00000-of-00001.parquet": parquet(content=["another"])})
    answers |= ask(
        child,
        again=(code, read),
        anew=(code, nothing),
        other=(code | {"revision": "main"}, read),
    )
    child.stdin.close()
    assert child.wait() == 0
    return answers


def test_each_row_is_a_group_named_by_its_text_alone(found):
    texts, ordered = found["shuffled"]["texts"], found["in order"]["texts"]
    assert len({group for _, group in texts}) == 2 * N_ROWS
    assert sorted(texts) == sorted(ordered) and texts != ordered
    assert [text for text, _ in ordered[:2]] == ["file a of row 0\n" * 5, "file a of row 1\n" * 5]
    assert all(group.startswith("nilq/small-python-stack/") for _, group in texts)


def test_a_cut_connection_is_taken_up_where_it_broke(hub, found):
    assert not hub.cuts["train-00000-of-00002.parquet"]
    assert len(found["shuffled"]["texts"]) == 2 * N_ROWS


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("split", ["held out"]),
        ("lines", ["whole"]),
        ("chat", ["Why?\n\nSo."]),
        ("kind", ["x"]),
        ("subset", ["of two"]),
    ],
)
def test_what_is_text_is_read(found, name, texts):
    assert sorted(text for text, _ in found[name]["texts"]) == texts


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("words", "Row 0 of the data set some/columns of the mine corpus holds a list in column"),
        ("number", "holds a int in column 'number', not text"),
        ("no column", "has no column 'text' (it has 'words', 'number', 'chat', 'kind')"),
        ("no split", "can't read split 'test' of the data set nilq/small-python-stack (Bad split"),
        ("no such revision", "has no such revision on the hub; name a branch"),
        ("no such name", "nilq/no-such-stack is no data set on the hub, or a private one"),
        ("no name", "../nilq is no data set on the hub"),
        ("gated", "some/gated is gated; accept its terms on its page on the hub, log in"),
        ("damaged", "can't read split 'train' of the data set some/damaged ("),
        ("empty", "can't read split 'train' of the data set some/empty ("),
        (
            "several",
            "can't read split 'train' of the data set some/several (Config name is missing",
        ),
    ],
)
def test_what_cannot_be_read_is_told_in_one_sentence(found, name, words):
    sentence = found[name]["refused"]
    assert words in sentence and "mine" in sentence
    assert (
        "\n" not in sentence and sentence.endswith(".") and ".." not in sentence.replace("../", "")
    )


def test_a_run_stays_with_the_commit_that_it_has_read_and_says_that_there_is_another(hub, found):
    now = hub.at(PYTHON, "main")[0]
    first = found["shuffled"]["commit"]
    assert found["revision"]["commit"] == found["again"]["commit"] == first != now
    assert len(found["again"]["texts"]) == 2 * N_ROWS
    [said] = found["again"]["said"]
    assert f"read: {first[:8]}, now: {now[:8]}" in said and "has changed on the hub" in said
    assert found["anew"]["commit"] == found["other"]["commit"] == now
    assert not found["anew"]["said"] and [text for text, _ in found["anew"]["texts"]] == ["another"]


@pytest.mark.parametrize(
    ("offline", "words"),
    [
        (
            True,
            "is on the hub, and HF_HUB_OFFLINE is set; unset it, or know that without a network",
        ),
        (False, "can't be reached on the hub ([Errno 111] Connection refused); try again, or know"),
    ],
)
def test_without_a_network_one_sentence_names_what_works(monkeypatch, tmp_path, offline, words):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    source = {"kind": "hub", "path": "some/lines"}
    with pytest.raises(FeatrackError) as caught:
        pinned({"mine": source}, tmp_path)
    assert words in str(caught.value) and str(caught.value).endswith("the profiles quick and real.")
    # What a run has read once needs no network to be known.
    recorded = {"parameters": {"sources": {"mine": source | {"commit": "abc"}}}}
    (tmp_path / "run.json").write_text(json.dumps(recorded | {"key": "", "files": {}}))
    assert pinned({"mine": source}, tmp_path)["mine"]["commit"] == "abc"
