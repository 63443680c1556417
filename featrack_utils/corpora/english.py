"""The embedded text `english`: the prose of docstrings, read as text, never imported."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, pairwise

from featrack_utils.corpora.code import in_mixed_order, package_files
from featrack_utils.corpora.documents import Document

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
_REMEMBERED = 50_000  # words whose kind is known: the same ones come again and again

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
    plain, small = map(sum, zip(*map(_kind, words), strict=True))
    return plain >= 0.85 * len(words) and small >= 0.2 * len(words)


@functools.lru_cache(_REMEMBERED)
def _kind(word: str) -> tuple[bool, bool]:
    """Whether it is a plain word, and whether it is one of the small words of English."""
    return _WORD.match(word) is not None, _SMALL_WORD.match(word) is not None


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
