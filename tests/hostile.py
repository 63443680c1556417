"""Texts that try to be more than text, for whole books: what they hold must come out as letters.

Between ordinary sentences stand scripts and other markup, the syntax of whatever the book is made
with (MyST, Jinja, TeX, Sphinx), and characters that show nothing or turn their line about. Their
files have such names, too. A chat model that explains features says such things as well.
"""

import contextlib
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from featrack_utils.corpora.documents import Document, SourceConfig
from featrack_utils.corpora.split import documents_of
from tests.openai_server import ChatServer

MARKER = "hacked"  # what scripts would write into the title, into window and into an attribute
WORD = "strewn"  # what syntax would make a heading, a note, a formula of
HOST = "hostile.example"  # where markup would fetch from
_DO = f"document.title='{MARKER}';window.{MARKER}=1;alert('{MARKER}')"
MARKUP = (
    f"<script>{_DO}</script>",
    f"</script></pre></div><script>{_DO}</script>",
    f'<img src=x onerror="{_DO}">',
    f'"><img src=x onerror={_DO}>',
    f"' onmouseover='{_DO}",
    f"<svg onload={_DO}>",
    f"<details open ontoggle={_DO}>",
    f"&lt;script&gt;{_DO}&lt;/script&gt;",
    f"&#60;img src=x onerror={_DO}&#62;",
    f"\\u003cscript\\u003e{_DO}\\u003c/script\\u003e",
    f'<a href="javascript:{_DO}">here</a>',
    f"[here](javascript:{_DO})",
    f"<javascript:{_DO}>",
    f"![picture](http://{HOST}/pixel.png)",
    f'<img src="http://{HOST}/pixel.png">',
    f"<style>@import url(http://{HOST}/style.css);</style>",
    f"<link rel=stylesheet href=//{HOST}/style.css>",
    f"<iframe src=http://{HOST}/></iframe>",
    f"<meta http-equiv=refresh content='0;url=http://{HOST}/'>",
    f"<base href=http://{HOST}/>",
    "<!-- ",
    " -->",
    "]]>",
    "<plaintext>",
    "<textarea>",
)
SYNTAX = (
    "{{ x }}",
    "{{ ''.__class__ }}",
    "{% if x %}",
    "{% endraw %}",
    "{# x #}",
    "\n```{code-cell}\nraise SystemExit\n```\n",
    f"\n```{{raw}} html\n<b>{WORD}</b>\n```\n",
    f"\n:::{{note}}\n{WORD}\n",
    "\n:::\n",
    "{numref}`fig-nowhere`",
    "{cite:p}`nobody2000`",
    "{term}`nothing`",
    "{eval-rst}",
    "\n.. include:: /etc/passwd\n",
    "|substitution|",
    "$$",
    f"${WORD}_{{$",
    "\\begin{align}",
    "[^1]",
    f"\n[^1]: {WORD}\n",
    "`",
    "``",
    "```",
    f"**{WORD}**",
    f"\n# {WORD}\n",
    "\n(target)=\n",
    "\n+++\n",
    f"\n| {WORD} | b |\n|---|---|\n",
    '"}]);',
    "\\",
    "%%javascript",
)
CONTROLS = (
    "\x1b[31mred\x1b[0m",
    "\x07",
    "\x08",
    "\x0b",
    "\x0c",
    "\x7f",
    "\x85",
    "\u00ad",
    "\u0301\u0302\u0303",  # accents without a letter
    "\u200b",
    "\u200f",
    "\u2028",
    "\u2029",
    "\u202e",  # from here on right to left, and never back
    "\u2067",
    "\ufeff",
    "\ufffe",
    "\ue000",
)
IN_JSON = ("\0", "\ud83d", *CONTROLS)  # a plain file with a NUL is no text, and UTF-8 has no halves
NAMES = (
    "<img src=x onerror=hacked=1>",
    "{{ x }}",
    "$$",
    "`{numref}`",
    "[^1]",
    "\u202e",
    "a;touch b",
)
FILES, FILE_CHARS = 60, 8_000  # enough for the profile `smoke`
# A chat model's: on one line, and so short that the token behind it isn't cut off.
ANSWERS = [each for each in (*MARKUP, *SYNTAX) if each.strip() == each and len(each) < 80]


def write_texts(
    folder: Path, domain: str, seed: int = 1, chars: int = FILE_CHARS
) -> dict[str, object]:
    """Writes an embedded text, strewn, to files in a folder; the source that reads them.

    Each file has so many characters, but for what is strewn.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    documents = documents_of(domain, SourceConfig.read(domain, {"kind": "embedded"}), seed)
    for number, texts in enumerate(islice(_chunks(documents, chars), FILES)):
        name = f"{number} {NAMES[number % len(NAMES)]}"
        if number % 10:
            text = "\n\n".join(strewn(each, rng, CONTROLS) for each in texts)
            (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        else:
            rows = [json.dumps({"text": strewn(each, rng, IN_JSON)}) for each in texts]
            (folder / f"{name}.jsonl").write_text("\n".join(rows))
    return {"kind": "files", "globs": [f"{folder.parent.name}/{folder.name}/*"]}


def strewn(text: str, rng: np.random.Generator, controls: tuple[str, ...] = CONTROLS) -> str:
    """The text with something hostile behind each sentence."""
    kinds = MARKUP, SYNTAX, controls
    parts = []
    for sentence in text.split(". "):
        parts.append(f"{sentence}.")
        kind = kinds[rng.integers(len(kinds))]
        parts.append(kind[rng.integers(len(kind))])
    return " ".join(parts)


def _chunks(documents: Iterator[Document], chars: int) -> Iterator[list[str]]:
    """Texts, about so many characters of them together; none is longer."""
    texts: list[str] = []
    for document in documents:
        texts.append(document.text[:chars])
        if sum(map(len, texts)) >= chars:
            yield texts
            texts = []


class HostileChat(ChatServer):
    """Explains a feature as `ChatServer` does, with something hostile before the token.

    While it is asked, it notes the command lines of all processes.
    """

    LOOKS = 25  # requests from one look to the next

    def __init__(self) -> None:
        super().__init__()
        self.command_lines: set[str] = set()

    def answer(self, request: dict[str, Any], fault: int | str | None) -> dict[str, Any]:
        """A whole answer as the protocol has it."""
        number = len(self.requests)
        if number % self.LOOKS == 1:
            self.command_lines |= set(_command_lines())
        system, asked = request["messages"]
        plain = asked["content"]
        for hostile in ANSWERS:
            plain = plain.replace(json.dumps(f"{hostile} ")[1:-1], "")
        whole = super().answer({"messages": [system, {"content": plain}]}, fault)
        if asked["content"].startswith("Excerpt 1\n"):  # it is asked to explain a feature
            message = whole["choices"][0]["message"]
            message["content"] = f"{ANSWERS[number % len(ANSWERS)]} {message['content']}"
        return whole


def _command_lines() -> Iterator[str]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            yield " ".join(process.cmdline())
