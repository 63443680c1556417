"""The embedded texts of installed packages: read as text, never imported.

`english` is the prose of docstrings, `python` and `lua` are whole files.
"""

import hashlib
import inspect
import re
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import metadata
from itertools import chain, pairwise
from pathlib import Path

from featrack_utils.corpora.documents import Document, ngrams, words_of
from featrack_utils.errors import FeatrackError

XMAKE = "xmake-wheel"
MIN_LUA_CHARS = 200
MIN_PYTHON_CHARS = 400  # an empty __init__.py teaches nothing
MAX_DIGITS = 0.1  # share of the characters; more make a table of data (stringprep), not code
# Tests repeat themselves and the code they test; the others hold tables or other people's code.
_SKIPPED_FOLDERS = frozenset(
    {"site-packages", "dist-packages", "test", "tests", "testing", "idle_test", "__pycache__"}
    | {"encodings", "pydoc_data", "__phello__", "_vendor", "_vendored", "vendor", "externals"}
)
# Of the standard library: tables of HTML entities, poems, and the build configuration, which
# names the folders of the machine that Python was built on; then stubs, which are no library code.
_SKIPPED_FILES = ("entities.py", "this.py", "antigravity.py", "_markupbase.py", "_sysconfigdata")
_SKIPPED_TOPS = ("config-", "lib-dynload")
_TEMPLATES = "xmake/templates/"  # of new projects, with blanks to fill: not Lua yet
# A comment at the head of a file, one line of which is about a licence.
_LICENCE = re.compile(
    r"\A\s*(?=(?:--[^\n]*\n)*--[^\n]*(?:licen[sc]e|copyright))(?:--[^\n]*(?:\n|$))+\n*",
    re.IGNORECASE,
)

# Dependencies whose docstrings are written as text and whose code is in no other embedded text.
# Left out on purpose: packages whose docstrings are generated or copied from one module to the
# next, such as transformers.
PACKAGES = (
    "scipy",
    "sympy",
    "statsmodels",
    "scikit-learn",
    "pandas",
    "sqlalchemy",
    "networkx",
    "numpy",
    "nltk",
    "matplotlib",
    "mpmath",
    "torch",
)
MIN_SENTENCES, MIN_WORDS = 2, 25  # a document has as many sentences or as many words
MIN_PARAGRAPH_WORDS = 8  # fewer are a label or a heading, not a sentence
_PLAIN_WORD = re.compile(r"(?<![\w.])[a-z]+(?![\w(])")  # no number and no name such as `n_jobs`
_QUOTED = re.compile(r'("""|\'\'\')(.*?)\1', re.DOTALL)

_RULE = re.compile(r"\s*([-=~^\"'`#*+_.:<>!])\1{2,}\s*$")
# The one kind of directive whose body is prose; the body of any other is code, formulas or tables.
_ADMONITION = re.compile(
    r"\.\.\s+(?:note|warning|tip|important|caution|hint|attention|danger|admonition|topic|"
    r"versionadded|versionchanged|deprecated)::[\s\d.]*(.*)"
)
_LABEL = re.compile(
    r"(?:[-*+•]|\(?[0-9a-z][.)])\s+"  # a bullet
    r"|:[a-zA-Z]+(?: [^:`]*)?:(?!`)\s*"  # :param name:
    r"|\*{0,2}\w+ ?\([^)]*\)\s*:\s+|`?\w+`?\s*:\s+(?=[A-Z])"  # name (type):
)
_NUMPY_ARGUMENT = re.compile(r"[`*\w., \[\]|]+ : \S|\*{0,2}\w+(, \*{0,2}\w+)*$")
_FOREIGN_SECTION = re.compile(r"(references?|see also|bibliography|notation|raises)\s*:?$", re.I)

# Of each: the sign without which it can't match (most paragraphs have none), and what it leaves.
_INLINE = (
    ("`", re.compile(r":[\w:+-]+:`([^`<]*?)\s*<[^`>]*>`"), r"\1"),  # :role:`text <target>`
    ("`", re.compile(r":[\w:+-]+:`[~!]?(?:_\w+\.|\.)?([^`]*)`"), r"\1"),  # :role:`target`
    ("`", re.compile(r"`([^`<]+?)\s*<[^`>]*>`_{0,2}"), r"\1"),  # `text <link>`_
    ("]_", re.compile(r"\s*\[[\w#*]+\]_"), ""),  # footnote marks
    ("`", re.compile(r"``([^`]*)``"), r"\1"),
    ("`", re.compile(r"`[~!]?\.?([^`]*)`_{0,2}"), r"\1"),
    ("*", re.compile(r"\*\*([^*\s](?:[^*]*[^*\s])?)\*\*"), r"\1"),
    ("*", re.compile(r"(?<![\w*])\*([^*\s](?:[^*]*[^*\s])?)\*(?![\w*])"), r"\1"),
    ("_", re.compile(r"(?<=\w)_(?=[\s.,;)])"), ""),  # link_ marks
)

_WORD = re.compile(r"[(\"'“]*[A-Za-z][a-z]*(?:['’-][A-Za-z]?[a-z]+)*[.,;:!?)\"'’]*$")
_END = re.compile(r"[.!?][)\"'’”]*$")
_START = re.compile(r"[\"'“(]?[A-Z][a-z]*\b|[\"'“(]?(?:A|I)\b")
_SMALL_WORD = re.compile(
    r"\(*(?:the|a|an|of|to|in|is|are|and|or|for|that|this|it|be|with|as|by|on|not|which|from|if|can|"
    "will|has|was|when|at|its|have|you|we|they|may|than|should|but|only|all|each)[.,;:)]*$",
    re.I,
)
_SENTENCE_END = re.compile(r"[.!?][)\"'’”]*(?=\s+[A-Z\"'“(]|$)")

Files = dict[str, tuple[Path, str]]  # by name: where each lies, and the package to credit


def python_documents(files: Iterable[Document] | None = None) -> Iterator[Document]:
    """The files that hold neither little nor mostly numbers; by default the standard library's."""
    for file in in_mixed_order(standard_library()) if files is None else files:
        digits = sum(map(file.text.count, "0123456789"))
        if len(file.text) >= MIN_PYTHON_CHARS and digits <= MAX_DIGITS * len(file.text):
            yield file


def lua_documents(files: Iterable[Document] | None = None) -> Iterator[Document]:
    """The files without licence headers; by default those of the build tool xmake.

    Short files, and those of which most stood in earlier ones, are passed over. Files of one
    folder are one group, as they are much alike.

    Raises:
        FeatrackError: xmake's wheel is not installed, as on systems that it isn't made for.
    """
    if files is None:
        found = package_files(XMAKE, ".lua")
        files = in_mixed_order({n: f for n, f in found.items() if not n.startswith(_TEMPLATES)})
    plain = (
        replace(file, text=_LICENCE.sub("", file.text), group=file.origin.rpartition("/")[0])
        for file in files
    )
    yield from mostly_new(file for file in plain if len(file.text) >= MIN_LUA_CHARS)


def mostly_new(documents: Iterable[Document], n: int = 8) -> Iterator[Document]:
    """Yields the documents of which at most half of the word n-grams stood in earlier ones."""
    seen: set[tuple[str, ...]] = set()
    for document in documents:
        grams = set(ngrams(words_of(document.text), n))
        if len(grams & seen) <= len(grams) / 2:
            seen |= grams
            yield document


def standard_library() -> Files:
    """The files of the running interpreter's standard library that are worth reading."""
    root = Path(sysconfig.get_path("stdlib"))
    found = {path.relative_to(root): path for path in root.rglob("*.py")}
    return {
        f"python/{inside.as_posix()}": (path, "python")
        for inside, path in found.items()
        if _SKIPPED_FOLDERS.isdisjoint(inside.parts[:-1])
        and not path.name.startswith(_SKIPPED_FILES)
        and not inside.parts[0].startswith(_SKIPPED_TOPS)
    }


def package_files(package: str, suffix: str) -> Files:
    """An installed distribution's files of one kind, without its tests.

    Nothing is imported: the distribution's installer left a list of its files behind.

    Raises:
        FeatrackError: it is not installed.
    """
    try:
        listed = metadata.distribution(package).files or ()
    except metadata.PackageNotFoundError:
        raise FeatrackError(
            f"An embedded text is read from the package {package}, which is not installed (not "
            "every system has a wheel of it); install it, or give that corpus text of your own "
            "with kind: files."
        ) from None
    found = {}
    for file in listed:
        if file.suffix == suffix and _SKIPPED_FOLDERS.isdisjoint(file.parts[:-1]):
            # Data files are listed from the packages' folder upwards: ../../../share/x/y.lua.
            name = "/".join(part for part in file.parts if part != "..").removeprefix("share/")
            found[name] = Path(str(file.locate())), package
    return found


def in_mixed_order(files: Files) -> Iterator[Document]:
    """Each file as a document and a group, in an order that depends on the names alone.

    It mixes packages well: stopping early still leaves a bit of everything. What isn't UTF-8 is
    passed over.
    """
    for name in sorted(files, key=lambda name: hashlib.blake2b(name.encode()).digest()):
        path, package = files[name]
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):
            continue
        yield Document(text, name, name, package)


def english_documents(files: Iterable[Document] | None = None) -> Iterator[Document]:
    """Yields the prose of one docstring at a time; without `files`, of all of PACKAGES.

    Each paragraph occurs once in the whole corpus. Two are the same when their plain lower-case
    words are: names, numbers and punctuation don't count, so copies with another argument's name
    are found too.
    """
    seen: set[str] = set()
    if files is None:
        found = [package_files(package, ".py") for package in PACKAGES]
        files = in_mixed_order(dict(chain.from_iterable(each.items() for each in found)))
    for file in files:
        for docstring in docstrings(file.text):
            fresh = []
            for paragraph in prose_paragraphs(docstring):
                key = " ".join(_PLAIN_WORD.findall(paragraph.lower()))
                if key not in seen:
                    seen.add(key)
                    fresh.append(paragraph)
            text = "\n\n".join(fresh)
            n_sentences = len(_SENTENCE_END.findall(text))
            if n_sentences >= MIN_SENTENCES or len(text.split()) >= MIN_WORDS:
                yield replace(file, text=text)


def docstrings(source: str) -> Iterator[str]:
    """Yields every string in triple quotes that stands alone on its lines of a Python source.

    Those are the docstrings of modules, classes and functions and the strings below attributes
    that describe them. To parse the source would take ten times as long.
    """
    for found in _QUOTED.finditer(source):
        before = source[source.rfind("\n", 0, found.start()) + 1 : found.start()].strip()
        after = source[found.end() : source.find("\n", found.end()) + 1].strip()
        if before in ("", "r", "R") and after[:1] in ("", "#"):
            yield found[2].replace("\\\n", "")


def prose_paragraphs(docstring: str) -> list[str]:
    """The unwrapped paragraphs of English prose in a docstring, in order.

    Doctests, code, tables, directives, headings, parameter names and types, references and
    formulas are left out; reStructuredText roles and emphasis leave their text.
    """
    paragraphs = (_plain(" ".join(lines)) for lines in _blocks(inspect.cleandoc(docstring)))
    return [paragraph for paragraph in paragraphs if is_prose(paragraph)]


def is_prose(paragraph: str) -> bool:
    """Whether a paragraph reads as sentences: mostly words, begun and ended like a sentence."""
    words = paragraph.split()
    if len(words) < MIN_PARAGRAPH_WORDS:
        return False
    if not _START.match(paragraph) or not _END.search(paragraph):
        return False
    if any(mark in paragraph for mark in ("\\", "%(", "{", "$", "::", "http", "|", "==")):
        return False
    plain, small = (sum(1 for w in words if kind.match(w)) for kind in (_WORD, _SMALL_WORD))
    return plain >= 0.85 * len(words) and small >= 0.2 * len(words)


def _plain(text: str) -> str:
    for sign, pattern, replacement in _INLINE:
        if sign in text:
            text = pattern.sub(replacement, text)
    return " ".join(text.split())


def _blocks(text: str) -> list[list[str]]:
    """Runs of lines that belong to one paragraph each; whatever is no prose is skipped."""
    blocks: list[list[str]] = [[]]
    skipped_below: int | None = None  # skip while lines are indented deeper than this
    foreign = fenced = doctest = False
    previous_indent = 0
    for raw, following in pairwise([*text.split("\n"), ""]):
        line, indent = raw.strip(), _indent(raw)
        if line.startswith("```"):
            fenced, line = not fenced, ""
        if fenced:
            continue
        if not line:
            doctest = False
            if blocks[-1] and blocks[-1][-1].endswith("::"):
                skipped_below = previous_indent
            blocks.append([])
            continue
        if skipped_below is not None and indent > skipped_below:
            continue
        skipped_below = None
        if _RULE.match(line):
            blocks.append([])
            continue
        if _RULE.match(following):
            foreign = bool(_FOREIGN_SECTION.match(line))
            blocks.append([])
            continue
        doctest = doctest or line.startswith((">>>", "In ["))
        if doctest or foreign:
            continue
        if line.startswith(".."):
            admonition = _ADMONITION.match(line)
            blocks.append([admonition[1]] if admonition and admonition[1] else [])
            skipped_below = None if admonition else indent
        else:
            argument = _indent(following) > indent and _NUMPY_ARGUMENT.match(line)
            rest = "" if argument else _LABEL.sub("", line, count=1) if _LABEL.match(line) else line
            if rest != line or indent < previous_indent - 1:
                blocks.append([])
            if rest:
                blocks[-1].append(rest)
        previous_indent = indent
    return [block for block in blocks if block]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip()) if line.strip() else 0
