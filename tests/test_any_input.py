"""Whatever is given, the answer is what was asked for or one sentence: inputs at random.

Two thousand, the same each time. `FEATRACK_FUZZ=10000 python -m pytest tests/test_any_input.py`
tries so many, others each time; what fails is kept in .hypothesis/ and tried again first.
"""

import io
import json
import os

import httpx
import openai
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featrack_utils.corpora import hub
from featrack_utils.corpora.documents import Document, SourceConfig
from featrack_utils.corpora.files import file_documents
from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation import chat
from featrack_utils.lineage import Lineage
from featrack_utils.pipeline.profile import Profile, load_profile
from tests.test_profile import SMOKE

ASKED = int(os.environ.get("FEATRACK_FUZZ", 0))
TARGETS = 5
examples = settings(
    max_examples=(ASKED or 2000) // TARGETS,
    derandomize=not ASKED,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
# Words and numbers that mean something here, beside any others.
MEANING = (
    "base lua merged train parent merge method t load reads linear slerp balanced text kind files "
    "hub globs path column seed . .. / ~ * {a} $x 1e999 -1 nan null <think> \u202e \0"
)
WORDS = st.sampled_from([*MEANING.split(" "), "a b", ""])
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | WORDS
    | st.just(10**400)
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


def one_sentence(answer, kind):
    """The answer if it is of a kind; None where it was refused in one sentence."""
    try:
        given = answer()
    except FeatrackError as error:
        said = str(error)
        assert said.isprintable() and 20 < len(said) < 2000, said
        return None
    assert isinstance(given, kind)
    return given


def places(mapping, way=()):
    for key, value in mapping.items():
        yield (*way, key)
        if isinstance(value, dict):
            yield from places(value, (*way, key))


PLACES = sorted(places(yaml.safe_load(SMOKE.read_text())))


@examples
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
def test_any_profile(changes):
    overrides = {}
    for way, value in changes:
        at = overrides
        for step in way[:-1]:
            at = at.setdefault(step, {})
            if not isinstance(at, dict):
                return
        at[way[-1]] = value
    one_sentence(lambda: load_profile(SMOKE, overrides), Profile)


ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "train": st.lists(WORDS, max_size=3) | VALUES,
        "parent": WORDS | VALUES,
        "merge": st.lists(WORDS, max_size=3) | VALUES,
        "method": WORDS | VALUES,
        "t": st.floats() | VALUES,
        "load": VALUES,
        "reads": VALUES,
        "revision": VALUES,
    },
)


@examples
@given(st.dictionaries(WORDS | st.text(max_size=5), ENTRIES | VALUES, max_size=4) | VALUES)
def test_any_lineage(models):
    lineage = one_sentence(lambda: Lineage(models), Lineage)
    if lineage:
        assert {*lineage.order} == {*models} and lineage.root in models


JSON_LINES = st.lists(
    st.dictionaries(st.just("text") | WORDS, VALUES, max_size=3).map(json.dumps)
    | VALUES.map(json.dumps)
    | st.text(max_size=20),
    max_size=4,
).map(lambda lines: "\n".join(lines).encode("utf-8", "surrogatepass"))


def as_parquet(values):
    with io.BytesIO() as file:
        pq.write_table(pa.table({"text": values}), file)
        return file.getvalue()


TABLES = (
    st.lists(st.text(max_size=9) | st.none(), max_size=5)
    | st.lists(st.lists(st.text(max_size=3)), max_size=3)
    | st.lists(st.integers(-9, 9) | st.none(), max_size=5)
    | st.lists(st.binary(max_size=5), max_size=5)
    | st.lists(st.fixed_dictionaries({"role": st.text(), "content": st.text()}), max_size=3).map(
        lambda each: [each]
    )
)


@st.composite
def damaged(draw):
    whole = bytearray(as_parquet(draw(TABLES)))
    for place in draw(st.lists(st.integers(0, len(whole) - 1), max_size=2)):
        whole[place] ^= draw(st.integers(1, 255))
    return bytes(whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole)


FILES = (
    st.tuples(st.sampled_from(["a.txt", "a.jsonl", "a.parquet"]), st.binary(max_size=60))
    | st.tuples(st.just("a.jsonl"), JSON_LINES)
    | st.tuples(st.just("a.txt"), st.text(max_size=60).map(lambda t: t.encode("utf-16")))
    | st.tuples(st.just("a.parquet"), damaged())
)


def is_text(documents):
    for document in documents:
        assert isinstance(document, Document) and document.text.strip()
        document.text.encode()
    return documents


@examples
@given(FILES, WORDS | st.just("text"))
def test_any_file(tmp_path_factory, file, column):
    name, content = file
    path = tmp_path_factory.getbasetemp() / f"any-{name}"
    path.write_bytes(content)
    read = one_sentence(lambda: list(file_documents("prose", [str(path)], column)), list)
    is_text(read or [])


@examples
@given(st.lists(st.dictionaries(st.just("text") | WORDS, VALUES, max_size=3), max_size=3))
def test_any_row_of_the_hub(rows):
    source = SourceConfig.read("prose", {"kind": "hub", "path": "a/b"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "_rows", lambda *_: iter(rows))
        is_text(one_sentence(lambda: list(hub.hub_documents("prose", source, 0)), list) or [])


MESSAGES = st.fixed_dictionaries(
    {
        "choices": st.lists(
            st.fixed_dictionaries({"message": st.fixed_dictionaries({"content": VALUES}) | VALUES})
            | VALUES,
            max_size=2,
        )
        | VALUES
    }
)
REPLIES = st.tuples(
    st.sampled_from([200, 200, 200, 204, 301, 400, 401, 404, 418, 500, 999]),
    (MESSAGES | VALUES).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50),
    st.sampled_from(
        [
            "application/json",
            "text/html",
            "text/event-stream",
            "application/json; charset=utf-7",
            "",
        ]
    ),
)


@pytest.fixture(scope="module")
def replies():
    """Status, content and kind of what any endpoint answers: the list's last."""
    given = []

    def answer(_request):
        status, content, kind = given[-1]
        return httpx.Response(status, content=content, headers={"content-type": kind})

    # One client for all: to make one takes longer than all else here.
    web = httpx.Client(transport=httpx.MockTransport(answer))
    address = "http://localhost/v1"
    client = openai.OpenAI(base_url=address, api_key="none", max_retries=0, http_client=web)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai, "OpenAI", lambda **_: client)
        yield given


@examples
@given(REPLIES)
def test_any_answer_of_an_endpoint(tmp_path_factory, replies, reply):
    replies.append(reply)
    folder = tmp_path_factory.mktemp("answers")
    server = chat.ChatServer("http://localhost/v1", "tiny", "", folder, 9)
    one_sentence(lambda: server.ask("Explain.", ["a"]), list)
