"""The embedded English corpus: prose from docstrings, read with `ast`, never imported."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from importlib import metadata

from featrack_utils.corpora.dedupe import plain_words_key
from featrack_utils.corpora.documents import Document
from featrack_utils.corpora.modules import Module, distribution_modules, mixed, stdlib_modules
from featrack_utils.corpora.prose import count_sentences, prose_paragraphs

log = logging.getLogger(__name__)

# Pinned dependencies whose docstrings are written as text. Left out on purpose: plotly and
# transformers, whose docstrings are generated or copied from one module to the next.
DISTRIBUTIONS = (
    "scipy",
    "sympy",
    "statsmodels",
    "pandas",
    "sqlalchemy",
    "networkx",
    "numpy",
    "nltk",
    "matplotlib",
    "mpmath",
    "torch",
)
MIN_DOC_SHARE = 0.25  # of a file's characters inside triple quotes: parsing others is not worth it
MIN_SENTENCES, MIN_WORDS = 2, 25  # a document has as many sentences or as many words
_SUITES = ("body", "orelse", "handlers", "finalbody", "cases")  # where statements hold others
_LEAVES = (ast.Expr, ast.Assign, ast.AnnAssign, ast.Return)
_QUOTED = re.compile(r'"""(.*?)"""', re.DOTALL)


def english_modules() -> list[Module]:
    """The files whose docstrings are read: the standard library and DISTRIBUTIONS."""
    modules, missing = stdlib_modules(), []
    for distribution in DISTRIBUTIONS:
        try:
            modules += distribution_modules(distribution)
        except metadata.PackageNotFoundError:
            missing.append(distribution)
    if missing:
        log.warning(
            "the English corpus lacks the docstrings of %s, which are not installed, so its "
            "figures will differ from those of the pinned environment",
            ", ".join(missing),
        )
    return modules


def english_documents(modules: list[Module] | None = None) -> Iterator[Document]:
    """Yields the prose of one docstring at a time, each paragraph once in the whole corpus.

    Two paragraphs are the same when their plain lower-case words are: names, numbers and
    punctuation don't count, so copies with another argument's name are found too.

    Args:
        modules: files to read instead of the standard library and DISTRIBUTIONS.
    """
    seen: set[bytes] = set()
    for module in mixed(english_modules() if modules is None else modules):
        source = module.source()
        if source is None or not _is_worth_parsing(source):
            continue
        for docstring in docstrings(source):
            fresh = []
            for paragraph in prose_paragraphs(docstring):
                key = plain_words_key(paragraph)
                if key not in seen:
                    seen.add(key)
                    fresh.append(paragraph)
            text = "\n\n".join(fresh)
            if count_sentences(text) >= MIN_SENTENCES or len(text.split()) >= MIN_WORDS:
                yield Document(text, origin=module.name, group=module.name)


def docstrings(source: str) -> Iterator[str]:
    """Yields every string that stands as a statement of its own in a Python source.

    Those are the docstrings of modules, classes and functions and the strings written below
    attributes to describe them. A source that this Python can't parse yields none.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        nested = [s for field in _SUITES for s in getattr(node, field, ())]
        for statement in nested:
            match statement:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield text
        pending.extend(s for s in reversed(nested) if not isinstance(s, _LEAVES))


def _is_worth_parsing(source: str) -> bool:
    # Parsing takes most of the time, so a glance at the triple quotes comes first.
    inside = sum(len(text) for text in _QUOTED.findall(source))
    return inside >= MIN_DOC_SHARE * len(source)
