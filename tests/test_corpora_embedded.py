"""The Python and English corpora, made from what is installed."""

import ast
import sys

import pytest

from featrack_utils.corpora import installed
from featrack_utils.corpora.documents import Document
from featrack_utils.corpora.installed import (
    docstrings,
    english_documents,
    in_mixed_order,
    is_prose,
    package_files,
    prose_paragraphs,
    python_documents,
    standard_library,
)
from featrack_utils.corpora.split import place
from featrack_utils.errors import FeatrackError
from tests.chapters import Chapter

provenance = Chapter("corpora").provenance

NUMPY_STYLE = """Return the evenly :term:`spaced numbers` over a stated interval of the line.

    The end point can *optionally* be left out, see :func:`~numpy.arange` for
    a step instead of a count.

    Parameters
    ----------
    start : array_like
        The starting value of the sequence, which is always a part of it.
    num : int, optional

    See Also
    --------
    arange : Similar to this one, but it is given a step and not a number.

    Examples
    --------
    The interval from two to three is divided into five parts like this:

    >>> linspace(2, 3)
    Not a sentence but the printed answer of the line that stands above it.

    .. code-block:: python

        This is not the prose that you are looking for in any way at all.

    .. note:: This is a warning to the reader of the book that you hold now.
    """


@pytest.fixture(scope="module")
def library():
    """The files of the standard library, which take a moment to find."""
    return standard_library()


@pytest.fixture
def small_stdlib(library):
    wanted = ("argparse.py", "textwrap.py", "heapq.py", "json/decoder.py")
    return list(in_mixed_order({f"python/{name}": library[f"python/{name}"] for name in wanted}))


def test_a_numpy_docstring_leaves_its_sentences_alone():
    assert prose_paragraphs(NUMPY_STYLE) == [
        "Return the evenly spaced numbers over a stated interval of the line.",
        "The end point can optionally be left out, see numpy.arange for a step instead of a count.",
        "The starting value of the sequence, which is always a part of it.",
        "This is a warning to the reader of the book that you hold now.",
    ]


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        (
            "Args:\n    name (str): The name of the file that is to be read.\n",
            ["The name of the file that is to be read."],
        ),
        (
            ":param x: The point at which the function is to be taken.\n:returns: nothing",
            ["The point at which the function is to be taken."],
        ),
        (
            "- The first of two things that are in a list.\n"
            "- The second of two things that are in a list.",
            [
                "The first of two things that are in a list.",
                "The second of two things that are in a list.",
            ],
        ),
        (
            "Here is what you have to do to get it::\n\n"
            "    The call is not to be read as prose at all.\n\n"
            "And this is what comes after the call has ended.",
            ["And this is what comes after the call has ended."],
        ),
        (
            "See the page `on sorting <https://x.y/z>`_ for what it is that a heap is.",
            ["See the page on sorting for what it is that a heap is."],
        ),
        (
            "It is given :class:`_orm.C` or :class:`~B` and each of the **same** words at once.",
            ["It is given C or B and each of the same words at once."],
        ),
        (
            "The rest of *args, **kwargs is what it has as its own and it is all kept here.",
            ["The rest of *args, **kwargs is what it has as its own and it is all kept here."],
        ),
    ],
)
def test_markup_leaves_and_sentences_stay(docstring, expected):
    assert prose_paragraphs(docstring) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Too short to be a sentence.",
        "There is no full stop at the end of this line of words",
        "x = f(a) + g(b) - h(c) * i(d) / j(e) and k(l) or m(n).",
        r"The value is $\alpha$ and it is the one that is used in the sum.",
        "some_name other_name third_name fourth_name is_in the_list of_names here_too.",
    ],
)
def test_what_is_not_prose_is_refused(text):
    assert not is_prose(text)


def test_strings_below_attributes_count_and_strings_in_expressions_do_not():
    source = '"""M."""\nx = 1\n"""A."""\nf("no")\nif x:\n    def g():\n        """G."""\n'
    assert sorted(docstrings(source)) == ["A.", "G.", "M."]
    assert list(docstrings("def broken(:")) == []


def test_the_end_of_a_string_in_an_expression_begins_no_docstring():
    source = 'x = """\nNo.\n"""\ndef f():\n    r"""F."""  # why\ny = 1\nf(\n    """No.""",\n)\n'
    assert list(docstrings(source)) == ["F."]


def test_nothing_read_is_imported(small_stdlib, tmp_path):
    trap = tmp_path / "trap.py"
    trap.write_text('"""' + "This is a sentence that the reader can read. " * 9 + '"""\n1 / 0\n')
    documents = list(english_documents(in_mixed_order({"trap/trap.py": (trap, "trap")})))
    assert len(documents) == 1
    assert "trap" not in sys.modules


def test_a_module_and_its_docstrings_fall_on_the_same_side(small_stdlib):
    code = {d.origin: place(d.group, 3) for d in python_documents(small_stdlib)}
    prose = {d.origin: place(d.group, 3) for d in english_documents(small_stdlib)}
    assert prose and prose.items() <= code.items()


def test_paragraphs_that_differ_in_names_and_numbers_alone_occur_once():
    files = [
        Document(
            f'"""The number {word} is the count of the workers that are in use. It is."""', "", ""
        )
        for word in ("n_jobs", "n_cores", "given")
    ]
    assert len(list(english_documents(files))) == 2


def test_a_second_reading_gives_the_same_documents(small_stdlib):
    assert list(english_documents(small_stdlib)) == list(english_documents(small_stdlib))
    assert list(python_documents(small_stdlib)) == list(python_documents(small_stdlib))


def test_python_documents_are_whole_files_that_python_can_parse(small_stdlib):
    documents = list(python_documents(small_stdlib))
    assert {d.origin for d in documents} == {file.origin for file in small_stdlib}
    assert all(ast.parse(d.text).body for d in documents)


def test_the_standard_library_is_read_without_tests_tables_or_this_machine(library):
    assert "python/argparse.py" in library and len(library) > 300
    for unwanted in ("/test/", "/tests/", "idle_test", "encodings/", "site-packages", "sysconfigd"):
        assert not [name for name in library if unwanted in name]


def test_the_order_of_reading_depends_on_names_alone(library):
    found = dict(list(library.items())[:50])
    order = [file.origin for file in in_mixed_order(found)]
    assert order == [file.origin for file in in_mixed_order(dict(reversed(found.items())))]
    assert order not in (list(found), sorted(found))


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(installed, "PACKAGES", ("no-such-distribution",))
    with pytest.raises(FeatrackError, match="no-such-distribution, which is not installed"):
        next(english_documents())


def test_a_file_of_numbers_is_no_code(library):
    table = Document("table = [\n" + "    0x1f, 12345,\n" * 100 + "]\n", "table.py", "table.py")
    assert list(python_documents([table])) == []
    found = {name: library[f"python/{name}.py"] for name in ("stringprep", "heapq")}
    assert [d.origin for d in python_documents(in_mixed_order(found))] == ["heapq"]


def test_files_that_are_not_text_are_passed_over(tmp_path):
    path = tmp_path / "bad.py"
    path.write_bytes(b"\xff\xfe\0")
    assert list(in_mixed_order({"p/bad.py": (path, "p")})) == []


def test_english_reads_no_package_that_another_embedded_text_reads(library):
    assert {"xmake-wheel", "python"}.isdisjoint(installed.PACKAGES)
    prose = {path for name in installed.PACKAGES for path, _ in package_files(name, ".py").values()}
    assert prose.isdisjoint(path for path, _ in library.values())


def test_provenance_names_versions_and_licences(small_stdlib):
    found = {n: f for n, f in package_files("numpy", ".py").items() if "linalg" in n}
    numpy_files = in_mixed_order(found)
    rows = provenance([*python_documents(small_stdlib), *english_documents(numpy_files)])
    assert rows.index.tolist() == ["python", "numpy"]
    assert rows.loc["python", ["licence", "groups"]].tolist() == ["PSF-2.0", 4]
    version, licence = rows.loc["numpy", ["version", "licence"]]
    assert "BSD" in licence and version[0].isdigit()


def test_credit_goes_to_the_package_whatever_a_path_begins_with():
    lua = Document("local x = 1", "numpy/x.lua", "numpy", package="xmake-wheel")
    own = Document("my text", "xmake/notes.txt", "xmake/notes.txt")
    far = Document("a tale", "somebody/tales/0", "somebody/tales/0", package="somebody/tales")
    rows = provenance([lua, own, far])
    version, licence = rows.loc["xmake-wheel", ["version", "licence"]]
    assert licence == "Apache-2.0" and version
    assert rows.loc["your own files", "licence"] == "as its authors state"
    assert rows.loc["somebody/tales", "characters"] == 6
