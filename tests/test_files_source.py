"""The reader's own files, JSON Lines, Parquet and hub data, and what can be wrong with them."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featrack_utils.corpora.files import MAX_DOCUMENT_CHARS, file_documents
from featrack_utils.corpora.hub import hub_documents
from featrack_utils.corpora.sources import SourceConfig, documents_of
from featrack_utils.errors import FeatrackError


def read(*globs, column="text"):
    return list(file_documents("english", [str(g) for g in globs], column))


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")


def test_of_many_files_each_is_a_group_and_its_sections_are_origins(tmp_path):
    write(tmp_path, **{f"f{i}": f"text {i}\n\n" * 8_000 for i in range(30)})
    documents = read(tmp_path / "*.txt")
    assert {d.group for d in documents} == {f"f{i}.txt" for i in range(30)}
    assert {d.origin for d in documents if d.group == "f3.txt"} == {"f3.txt", "f3.txt#1"}


def test_a_long_novel_becomes_sections_that_are_groups_and_pieces_put_together_are_it(tmp_path):
    novel = "\n\n".join(f"Paragraph {i} " + "word " * 40 for i in range(1_000))
    write(tmp_path, novel=novel)
    documents = read(tmp_path / "novel.txt")
    assert "".join(d.text for d in documents) == novel
    assert 18 <= len({d.group for d in documents}) <= 25
    assert all(d.origin == d.group and len(d.text) <= MAX_DOCUMENT_CHARS for d in documents)


def test_few_books_take_turns_so_that_an_early_stop_has_some_of_each(tmp_path):
    write(tmp_path, a="a word\n\n" * 4_000, b="b word\n\n" * 4_000)
    assert {d.text[0] for d in read(tmp_path / "*.txt")[:2]} == {"a", "b"}


def test_names_of_groups_do_not_depend_on_where_the_folder_lies(tmp_path):
    for folder in (tmp_path / "here", tmp_path / "there" / "deep"):
        folder.mkdir(parents=True)
        write(folder, x="some text", y="other text")
    assert read(tmp_path / "here" / "*") == read(tmp_path / "there" / "deep" / "*")


def test_a_variable_names_the_folder(tmp_path, monkeypatch):
    write(tmp_path, a="text of a")
    monkeypatch.setenv("MY_TEXTS", str(tmp_path))
    assert [d.text for d in read("${MY_TEXTS}/*.txt")] == ["text of a"]


def test_json_lines_and_parquet_rows_are_origins_of_their_own(tmp_path):
    rows = [{"body": "first"}, {"body": "second"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    pq.write_table(pa.table({"body": ["third", None]}), tmp_path / "b.parquet")
    documents = read(tmp_path / "*", column="body")
    assert {d.origin: d.text for d in documents} == {
        "a.jsonl:0": "first",
        "a.jsonl:1": "second",
        "b.parquet:0": "third",
    }


def test_line_ends_and_byte_order_marks_of_other_systems_vanish(tmp_path):
    (tmp_path / "dos.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r")
    assert [d.text for d in read(tmp_path / "dos.txt")] == ["one\ntwo\n"]


def test_a_binary_file_among_texts_is_left_out_with_a_warning(tmp_path, caplog):
    write(tmp_path, good="some text")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0")
    assert [d.text for d in read(tmp_path / "*")] == ["some text"]
    assert "picture.png" in caplog.text


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("$NO_SUCH_VARIABLE/*.txt", ["english", "NO_SUCH_VARIABLE", "not set"]),
        ("nothing/*.txt", ["english", "nothing/*.txt", "matches no file"]),
        ("empty.txt", ["english", "has no text", "empty.txt"]),
        ("binary.txt", ["english", "has no text", "UTF-8"]),
        ("latin.txt", ["english", "has no text", "UTF-8"]),
        ("no_field.jsonl", ["Line 1 of no_field.jsonl", "'text'", "title"]),
        ("number.jsonl", ["Line 1 of number.jsonl", "'text'"]),
        ("list.jsonl", ["Line 1 of list.jsonl", "no fields"]),
        ("broken.jsonl", ["Line 2 of broken.jsonl", "not JSON"]),
        ("bytes.jsonl", ["Line 1 of bytes.jsonl", "not JSON in UTF-8"]),
        ("no_column.parquet", ["no_column.parquet", "'text'", "title"]),
        ("number.parquet", ["number.parquet", "no text column 'text'"]),
        ("damaged.parquet", ["damaged.parquet", "is damaged"]),
    ],
)
def test_bad_input_is_named_in_one_sentence(tmp_path, pattern, words, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text(" \n\n ")
    (tmp_path / "binary.txt").write_bytes(b"abc\0def")
    (tmp_path / "latin.txt").write_bytes("café".encode("latin-1"))
    (tmp_path / "no_field.jsonl").write_text('{"title": "x"}\n')
    (tmp_path / "number.jsonl").write_text('{"text": 3}\n')
    (tmp_path / "list.jsonl").write_text("[1]\n")
    (tmp_path / "broken.jsonl").write_text('{"text": "x"}\n{"text": \n')
    (tmp_path / "bytes.jsonl").write_bytes(b'{"text": "\xff"}\n')
    pq.write_table(pa.table({"title": ["x"]}), tmp_path / "no_column.parquet")
    pq.write_table(pa.table({"text": [3]}), tmp_path / "number.parquet")
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 nothing else")
    with pytest.raises(FeatrackError) as caught:
        read(pattern)
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    write(tmp_path, secret="some text")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(FeatrackError, match=r"can't read secret\.txt"):
        read(tmp_path / "*.txt")


@pytest.fixture
def data_set(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "stories"
    folder.mkdir()
    pq.write_table(pa.table({"story": ["one", "two", " "]}), folder / "train.parquet")
    return str(folder)


def test_rows_of_a_data_set_are_groups_of_their_own(data_set):
    documents = list(hub_documents("stories", data_set, column="story"))
    assert [(d.text, d.group) for d in documents] == [
        ("one", f"{data_set}/0"),
        ("two", f"{data_set}/1"),
    ]


@pytest.mark.parametrize(
    ("split", "column", "words"),
    [("train", "text", ["no column 'text'", "story"]), ("test", "story", ["split 'test'"])],
)
def test_a_wrong_split_or_column_is_named(data_set, split, column, words):
    with pytest.raises(FeatrackError) as caught:
        list(hub_documents("stories", data_set, split, column))
    assert all(word in str(caught.value) for word in words)


def test_without_a_network_the_message_offers_another_source(monkeypatch):
    def unreachable(*_args, **_options):
        raise ConnectionError("Couldn't reach the hub\nand more")

    monkeypatch.setattr("featrack_utils.corpora.hub.load_dataset", unreachable)
    with pytest.raises(FeatrackError, match=r"lua corpus .*some/lua \(Couldn't reach the hub\)"):
        list(hub_documents("lua", "some/lua"))


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "net"},
        {"kind": "files"},
        {"kind": "embedded", "globs": ("*.txt",)},
        {"kind": "hub"},
        {"kind": "files", "globs": ("*",), "dataset": "a/b"},
    ],
)
def test_a_source_that_contradicts_itself_is_refused(options):
    with pytest.raises(FeatrackError):
        SourceConfig(**options)


def test_each_kind_of_source_reaches_its_reader(tmp_path, data_set):
    write(tmp_path, a="some text")
    files = SourceConfig("files", globs=(str(tmp_path / "a.txt"),))
    hub = SourceConfig("hub", dataset=data_set, column="story")
    assert [d.text for d in documents_of("lua", files, seed=0)] == ["some text"]
    assert [d.text for d in documents_of("stories", hub, seed=0)] == ["one", "two"]
    assert next(documents_of("python", SourceConfig(), seed=0)).origin.startswith("python/")
    with pytest.raises(FeatrackError, match="'french'"):
        documents_of("french", SourceConfig(), seed=0)
