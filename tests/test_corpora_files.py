"""The reader's own files, JSON Lines and Parquet, and what can be wrong with them."""

import glob
import json
import os
import subprocess
import tracemalloc
from pathlib import Path
from unittest.mock import Mock

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featrack_utils.corpora.documents import MAX_DOCUMENT_CHARS, SourceConfig
from featrack_utils.corpora.files import file_documents, fingerprint, matched_files
from featrack_utils.corpora.split import documents_of
from featrack_utils.corpora.tokenizer import encode_documents
from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline import forkserver
from tests.test_notebooks import PLANNED, ROOT


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


def test_json_lines_may_begin_with_a_byte_order_mark_and_lack_some_texts(tmp_path):
    rows = '{"text": null}\n{"text": "one\\r\\ntwo"}\n{"text": ""}\n'
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + rows.encode())
    assert [d.text for d in read(tmp_path / "a.jsonl")] == ["one\ntwo"]


def test_half_a_character_becomes_the_sign_for_what_cannot_be_read(tmp_path, tokenizer):
    (tmp_path / "a.jsonl").write_text(r'{"text": "a \ud83d b \ud83d\ude00"}')
    documents = read(tmp_path / "a.jsonl")
    assert [d.text for d in documents] == ["a \ufffd b \U0001f600"]
    assert len(encode_documents(documents, tokenizer).tokens) > 5


def test_categories_and_long_strings_in_parquet_are_text(tmp_path):
    frame = pd.DataFrame({"text": pd.Categorical(["one", "two", None, "one"])})
    frame.to_parquet(tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": pa.array(["x"], pa.large_string())}), tmp_path / "b.parquet")
    assert sorted(d.text for d in read(tmp_path / "*")) == ["one", "one", "two", "x"]


def test_stories_in_one_file_divided_by_the_end_of_text_mark_are_documents(tmp_path):
    write(tmp_path, tales="One tale.\n\nIts end.\n<|endoftext|>\nAnother.\n<|endoftext|>\n")
    documents = read(tmp_path / "tales.txt")
    assert [d.text for d in documents] == ["One tale.\n\nIts end.", "Another."]
    assert [d.origin for d in documents] == ["tales.txt:0", "tales.txt:1"]
    assert {d.group for d in documents} == {"tales.txt"}


def test_folders_with_links_to_themselves_are_looked_into_once(tmp_path):
    deep = tmp_path / "texts" / "deep"
    deep.mkdir(parents=True)
    write(deep, a="text of a")
    write(tmp_path / "texts", b="text of b")
    for link in ("again", "and-again"):
        (deep / link).symlink_to(tmp_path / "texts", target_is_directory=True)
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    names = [file.name for file in matched_files("english", [f"{tmp_path}/**/*.txt"])]
    assert sorted(names) == ["a.txt", "b.txt"]
    assert len(matched_files("english", [f"{tmp_path}/*/**/deep/**"])) == 2
    with pytest.raises(FeatrackError, match="matches no file"):
        matched_files("english", [str(tmp_path / "itself")])


@pytest.mark.parametrize("pattern", ["*.txt", "**/*.txt", "**", "*/**/*", "d/**/f/*", "**/f/**"])
def test_without_links_patterns_match_as_in_the_standard_library(tmp_path, pattern):
    for folder in ("d/e/f", "d/f", ".hidden", "d/**odd", "."):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        write(tmp_path / folder, x="text", y="text")
    whole = str(tmp_path / pattern)
    expected = {Path(path) for path in glob.glob(whole, recursive=True) if Path(path).is_file()}
    assert set(matched_files("english", [whole])) == expected


def test_names_with_braces_blanks_and_quotes_are_names(tmp_path):
    write(tmp_path, **{"vol {1}": "text one", "it's $(x)": "text two"})
    assert {d.text for d in read(tmp_path / "vol {1}.txt", tmp_path / "it's*")} == {
        "text one",
        "text two",
    }


def test_names_that_look_like_patterns_or_variables_are_names_where_they_are_there(tmp_path):
    write(tmp_path, **{"vol [1]": "text one", "cost $5": "text two", "vol 1": "not meant"})
    assert {d.text for d in read(tmp_path / "vol [1].txt", tmp_path / "cost $5.txt")} == {
        "text one",
        "text two",
    }


def test_a_large_file_is_never_in_memory_as_a_whole(tmp_path):
    paragraph = "слово за словом 🙂 " * 40 + "\n\n"
    (tmp_path / "large.txt").write_text(paragraph * 8_000, encoding="utf-8")
    tracemalloc.start()
    n_chars = sum(len(d.text) for d in file_documents("prose", [f"{tmp_path}/large.txt"]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_chars == 8_000 * len(paragraph)
    assert peak < (tmp_path / "large.txt").stat().st_size / 1.5  # of characters, one takes 4 bytes


@pytest.mark.parametrize("part", [1, 7, 10_000])
def test_parts_of_any_length_give_the_same_documents(tmp_path, monkeypatch, part):
    tales = "\n<|endoftext|>\n".join(f"Tale {i}.\r\n\r\nIts end é." for i in range(20))
    write(tmp_path, tales=tales, prose="One word and another.\n\n" * 300)
    whole = read(tmp_path / "*.txt")
    monkeypatch.setattr("featrack_utils.corpora.files.PART_CHARS", part)
    assert read(tmp_path / "*.txt") == whole and len(whole) > 20


def test_chat_messages_are_joined_by_empty_lines_without_their_speakers(tmp_path):
    said = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": said}))
    assert [d.text for d in read(tmp_path / "a.jsonl")] == ["Why?\n\nBecause."]


def test_a_file_that_goes_while_it_is_read_is_named(tmp_path, monkeypatch):
    write(tmp_path, gone="some text")
    (tmp_path / "gone.jsonl").write_text('{"text": "x"}')
    monkeypatch.setattr(Path, "open", Mock(side_effect=OSError(5, "Input/output error")))
    for name in ("gone.txt", "gone.jsonl"):
        with pytest.raises(FeatrackError, match=rf"^{name} in .* \(Input/output error\); mend it"):
            read(tmp_path / name)


def test_a_file_whose_name_is_not_utf_8_is_named_all_the_same(tmp_path):
    name = os.path.join(os.fsencode(tmp_path), b"caf\xe9.jsonl")
    with open(name, "wb") as file:
        file.write(b"no JSON")
    with pytest.raises(FeatrackError) as caught:
        read(tmp_path / "*.jsonl")
    assert str(caught.value).encode().startswith("Line 1 of caf\ufffd.jsonl".encode())


def test_the_fingerprint_follows_the_files_that_are_read_and_no_others(tmp_path):
    sources = {"a": {"kind": "files", "globs": [f"{tmp_path}/*.txt"]}, "lua": {"kind": "embedded"}}
    write(tmp_path, one="text")
    before = fingerprint(sources)
    (tmp_path / "other.md").write_text("not matched")
    assert fingerprint(sources) == before
    write(tmp_path, **{"two {2}": "text"})
    assert fingerprint(sources) != before


def test_a_run_can_be_planned_in_a_folder_with_blanks_on_files_with_braces_in_their_names(tmp_path):
    write(tmp_path, **{f"vol {{{i}}}": "some text" for i in range(3)})
    place = tmp_path / "My Projects (1)"
    place.mkdir()
    for name in PLANNED:
        (place / name).symlink_to(ROOT / name)
    source = {"kind": "files", "globs": [f"{tmp_path}/*.txt"]}
    command = [*forkserver.PYTHON, "-m", "snakemake", "--dry-run", "--quiet", "--nolock"]
    corpora = f"corpora={json.dumps({'sources_of': {'lua': source}})}"
    planned = subprocess.run(
        [*command, "--cores", "1", "--config", "profile=smoke", corpora],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert planned.returncode == 0, planned.stdout + planned.stderr


def test_a_binary_file_among_texts_is_left_out_with_a_warning(tmp_path, caplog):
    write(tmp_path, good="some text")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0")
    assert [d.text for d in read(tmp_path / "*")] == ["some text"]
    assert "picture.png" in caplog.text


def test_a_parquet_file_with_a_damaged_page_is_named(tmp_path):
    pq.write_table(
        pa.table({"text": [f"text {i} " * 50 for i in range(999)]}), tmp_path / "a.parquet"
    )
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:60] + b"\xff" * 400 + whole[460:])
    with pytest.raises(FeatrackError, match=r"^a\.parquet in the english corpus .* is damaged"):
        read(tmp_path / "a.parquet")


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    write(tmp_path, secret="some text")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(FeatrackError, match=r"can't read secret\.txt"):
        read(tmp_path / "*.txt")


def test_each_kind_of_source_reaches_its_reader(tmp_path):
    write(tmp_path, a="some text")
    files = SourceConfig.read("lua", {"kind": "files", "globs": [str(tmp_path / "a.txt")]})
    assert [d.text for d in documents_of("lua", files, seed=0)] == ["some text"]
    assert next(documents_of("python", SourceConfig.read("python", {}), seed=0)).origin.startswith(
        "python/"
    )
