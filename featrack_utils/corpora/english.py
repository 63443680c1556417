"""The embedded text `english`: the prose of docstrings, read as text, never imported."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Iterator

from featrack_utils.corpora.documents import Document, SourceFile, mixed, package_files

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

_RULE_SIGNS = frozenset("-=~^\"'`#*+_.:<>!")
_RULE = re.compile(r"^\s*([-=~^\"'`#*+_.:<>!])\1{2,}\s*$")
_TABLE = re.compile(r"^\s*(\+[-=+]{3,}|\|.*\||[-=]{2,}(\s+[-=]{2,})+)\s*$")
_DIRECTIVE = re.compile(r"^\.\.\s+([\w:.-]+)::\s*(.*)$")
# Directives whose body is prose; the body of any other (code, math, tables) is left out.
_ADMONITION = re.compile(
    "note|warning|tip|important|caution|hint|attention|danger|admonition|topic|"
    "versionadded|versionchanged|deprecated"
)
_BULLET = re.compile(r"^(?:[-*+•]|\(?[0-9a-z][.)])\s+")
_FIELD = re.compile(r"^:[a-zA-Z]+(?: [^:`]*)?:(?!`)\s*")
_GOOGLE_ARGUMENT = re.compile(r"^\*{0,2}\w+ ?\([^)]*\)\s*:\s+|^`?\w+`?\s*:\s+(?=[A-Z])")
_NUMPY_ARGUMENT = re.compile(r"^[`*\w., \[\]|]+ : \S|^\*{0,2}\w+(, \*{0,2}\w+)*$")
_FOREIGN_SECTION = re.compile(r"^(references?|see also|bibliography|notation|raises)\s*:?$", re.I)

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

_WORD = re.compile(r"[A-Za-z][a-z]*(?:['’-][A-Za-z]?[a-z]+)*[.,;:!?)\"'’]*$")
_END = re.compile(r"[.!?][)\"'’”]*$")
_START = re.compile(r"[\"'“(]?[A-Z][a-z]*\b|[\"'“(]?(?:A|I)\b")
_SMALL_WORD = re.compile(
    "(?:the|a|an|of|to|in|is|are|and|or|for|that|this|it|be|with|as|by|on|not|which|from|if|can|"
    "will|has|was|when|at|its|have|you|we|they|may|than|should|but|only|all|each)[.,;:)]*$",
    re.I,
)
_SENTENCE_END = re.compile(r"[.!?][)\"'’”]*(?=\s+[A-Z\"'“(]|$)")


def english_files() -> list[SourceFile]:
    """The Python files of PACKAGES."""
    return [file for package in PACKAGES for file in package_files(package, ".py")]


def english_documents(files: list[SourceFile] | None = None) -> Iterator[Document]:
    """Yields the prose of one docstring at a time; without `files`, of all of PACKAGES.

    Each paragraph occurs once in the whole corpus. Two are the same when their plain lower-case
    words are: names, numbers and punctuation don't count, so copies with another argument's name
    are found too.
    """
    seen: set[str] = set()
    for file in mixed(english_files() if files is None else files):
        for docstring in docstrings(file.read()):
            fresh = []
            for paragraph in prose_paragraphs(docstring):
                key = " ".join(_PLAIN_WORD.findall(paragraph.lower()))
                if key not in seen:
                    seen.add(key)
                    fresh.append(paragraph)
            text = "\n\n".join(fresh)
            n_sentences = len(_SENTENCE_END.findall(text))
            if n_sentences >= MIN_SENTENCES or len(text.split()) >= MIN_WORDS:
                yield Document(text, origin=file.name, group=file.name, package=file.package)


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
    if (
        len(words) < MIN_PARAGRAPH_WORDS
        or not _END.search(paragraph)
        or not _START.match(paragraph)
    ):
        return False
    if any(mark in paragraph for mark in ("\\", "%(", "{", "$", "::", ">>>", "http", "|", "==")):
        return False
    plain = sum(map(_is_word, words))
    return plain >= 0.85 * len(words) and sum(map(_is_small_word, words)) >= 0.2 * len(words)


@functools.lru_cache(_REMEMBERED)
def _is_word(word: str) -> bool:
    return _WORD.match(word.lstrip("(\"'“")) is not None


@functools.lru_cache(_REMEMBERED)
def _is_small_word(word: str) -> bool:
    return _SMALL_WORD.match(word.lstrip("(")) is not None


def _plain(text: str) -> str:
    for sign, pattern, replacement in _INLINE:
        if sign in text:
            text = pattern.sub(replacement, text)
    text = " ".join(text.split())
    return text[:-1] if text.endswith("::") else text


def _blocks(text: str) -> list[list[str]]:
    """Runs of lines that belong to one paragraph each; whatever is no prose is skipped."""
    blocks: list[list[str]] = [[]]
    lines = text.split("\n")
    literal_at: int | None = None  # skip while lines are indented deeper than this
    foreign = fenced = doctest = False
    previous_indent = 0
    for number, raw in enumerate(lines):
        line = raw.strip()
        indent = len(raw) - len(raw.lstrip())
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if line.startswith("```"):
            fenced = not fenced
            blocks.append([])
            continue
        if fenced:
            continue
        if not line:
            doctest = False
            if blocks[-1] and blocks[-1][-1].endswith("::") and literal_at is None:
                literal_at = previous_indent
            blocks.append([])
            continue
        if literal_at is not None and indent > literal_at:
            continue
        literal_at = None
        if _is_rule(following) or _is_rule(line) or _is_table(line):
            if not _is_rule(line):
                foreign = bool(_FOREIGN_SECTION.match(line))
            blocks.append([])
            continue
        doctest = doctest or line.startswith((">>>", "In ["))
        if doctest or foreign:
            continue
        if line.startswith(".."):
            literal_at = _skip_from(line, indent, blocks)
            previous_indent = indent
            continue
        line, begins = _strip_label(line, indent, following)
        if begins or indent < previous_indent - 1:
            blocks.append([])
        if line:
            blocks[-1].append(line)
        previous_indent = indent
    return [block for block in blocks if block]


def _is_rule(line: str) -> bool:
    # The first sign settles nearly every line, several times faster than the pattern.
    return line.lstrip()[:1] in _RULE_SIGNS and _RULE.match(line) is not None


def _is_table(line: str) -> bool:
    return line[:1] in ("+", "|", "-", "=") and _TABLE.match(line) is not None


def _skip_from(line: str, indent: int, blocks: list[list[str]]) -> int | None:
    """Opens a paragraph for a directive of prose, or says from which indent to skip."""
    directive = _DIRECTIVE.match(line)
    blocks.append([])
    if directive and _ADMONITION.fullmatch(directive[1]):
        text = re.sub(r"^[\d.]+\s*", "", directive[2])
        if text:
            blocks[-1].append(text)
        return None
    return indent


def _strip_label(line: str, indent: int, following: str) -> tuple[str, bool]:
    """The line without a bullet or an argument's name, and whether it begins a paragraph."""
    deeper = len(following) - len(following.lstrip()) > indent and following.strip()
    if deeper and _NUMPY_ARGUMENT.match(line):
        return "", True
    for label in (_BULLET, _FIELD, _GOOGLE_ARGUMENT):
        found = label.match(line)
        if found:
            return line[found.end() :], True
    return line, False
