"""Made-up data for the feature explorer's page, in its format, with a hostile vocabulary."""

import base64
import math
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from featrack_utils.display import explorer
from featrack_utils.display.explorer import write

FILES = Path(__file__).resolve().parents[1] / "book" / "_static" / "explorer"
DOMAINS = ("english", "python", "lua", "stories")
MODELS = {"base": "#0072B2", "lua": "#D55E00", "stories": "#009E73", "merged": "#CC79A7"}
PARENTS = {"base": [], "lua": ["base"], "stories": ["base"], "merged": ["lua", "stories"]}
CLASSES = (
    "persisting",
    "disappearing",
    "unobserved",
    "emerging",
    "inherited",
    "novel",
    "elsewhere",
)
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</script><script>window.hacked = 1</script>",
    "'\"`&amp;${1}",
    "\u202egnp.exe",
    "\u2066isolated",
    "\u2028",
    "\x00\x1b[31m",
    "\n\n    ",
    "\t",
    "⟨0xE2⟩",
    "",
    " ",
    "a" * 400,
    "\u0301e\u0323\u0302",
    "مرحبا",
    " שלום",
    "\ud800",
    "\u200b",
    "🙂",
)
PLAIN = (
    "=",
    "==",
    "+",
    "(",
    ")",
    "[",
    "]",
    ":",
    ",",
    ".",
    "return",
    "def",
    "class",
    "if",
    "else",
    "for",
    "in",
    "not",
    "None",
    "self",
    "import",
    "local",
    "end",
    "function",
    "then",
    "nil",
    "the",
    "a",
    "of",
    "to",
    "and",
    "was",
    "said",
    "little",
    "once",
    "upon",
    "time",
    "happy",
    "sad",
    "big",
    "red",
    "friend",
    "value",
    "name",
    "list",
    "index",
    "count",
    "table",
    "string",
    "number",
)
FIRST_COPY, N_COPIES = 40, 3  # of every model features 40, 41 and 42 are copies
_CHUNK = 256
_BEFORE, _AFTER = 15, 8
_SILENT = 20  # features of every model that never fire


class MadeUp(NamedTuple):
    """What was written, for tests to compare with; by model, `tokens` [blocks, width]."""

    vocab: list[str]
    tokens: np.ndarray
    index: dict[str, dict[str, Any]]
    details: dict[str, list[dict[str, Any]]]


def make(
    folder: Path, d_sae: int = 2048, blocks: int = 120, width: int = 63, seed: int = 0
) -> MadeUp:
    """Writes meta.js, index.js and every chunk of four models into `folder`.

    Feature i of each model answers to token i (modulo the vocabulary), so that searching,
    matches and contexts have answers one can tell without computing; the last ones are silent.
    """
    rng = np.random.default_rng(seed)
    vocab = [*HOSTILE, *PLAIN, *(f" {word}" for word in PLAIN), *_words(rng, 400)]
    tokens = rng.integers(0, len(vocab), size=blocks * width)
    domain = np.arange(blocks) * len(DOMAINS) // blocks
    folder.mkdir(parents=True, exist_ok=True)
    write(
        folder,
        "meta",
        {
            "format": 3,
            "profile": "made up",
            "tau": 0.8,
            "d_sae": d_sae,
            "width": width,
            "models": [
                {"key": k, "label": k[:1].upper() + k[1:], "colour": c, "parents": PARENTS[k]}
                for k, c in MODELS.items()
            ],
            "domains": DOMAINS,
            "classes": CLASSES,
            "vocab": vocab,
            "token_bytes": 2,
            "tokens": _base64(tokens.astype("<u2")),
            "block_domain": _base64(domain.astype("u1")),
        },
    )
    where = [np.flatnonzero(tokens == token) for token in range(len(vocab))]
    index, details = {}, {}
    for model in MODELS:
        index[model] = _index(rng, model, d_sae, vocab)
        details[model] = [
            _details(rng, where[i % len(vocab)], width, len(vocab), i >= d_sae - _SILENT)
            for i in range(d_sae)
        ]
        for chunk in range(math.ceil(d_sae / _CHUNK)):
            part = details[model][chunk * _CHUNK : (chunk + 1) * _CHUNK]
            write(folder, f"{model}-{chunk}", part)
    write(folder, "index", index)
    return MadeUp(vocab, tokens.reshape(blocks, width), index, details)


def make_site(folder: Path, d_sae: int = 512) -> tuple[Path, MadeUp]:
    """A bare page with the explorer beside its files, as they lie in the built book."""
    static = folder / "_static" / "explorer"
    shutil.copytree(FILES, static, ignore=shutil.ignore_patterns("data"))
    page = folder / "executed" / "explorer.html"
    page.parent.mkdir()
    page.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Features</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"></head><body><main>'
        f'<h1>Features</h1>{explorer.page().data}<h2 id="what-we-learned">What we learned</h2>'
        "</main></body></html>",
        "utf-8",
    )
    return page, make(static / "data", d_sae)


def _words(rng: np.random.Generator, number: int) -> list[str]:
    syllables = [c + v for c in "bdfgklmnprstvw" for v in ("a", "e", "i", "o", "u", "an", "er")]
    return [" " + "".join(rng.choice(syllables, size=rng.integers(1, 4))) for _ in range(number)]


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")


def _index(rng: np.random.Generator, model: str, d_sae: int, vocab: list[str]) -> dict[str, Any]:
    silent = np.arange(d_sae) >= d_sae - _SILENT
    unread = silent | (np.arange(d_sae) % 5 == 4)
    own = {"base": (0, 1, 2), "merged": (4, 5, 2)}.get(model, (0, 3, 2))
    scale = 10 ** rng.uniform(-4, -1.5, size=d_sae)
    density = scale * rng.dirichlet(np.full(len(DOMAINS), 0.4), size=d_sae).T
    top = (np.arange(d_sae)[:, None] + 7 * np.arange(5)) % len(vocab)
    tops = [[] if quiet else row for row, quiet in zip(top.tolist(), silent, strict=True)]
    # Read from numbers, so that nothing drawn later changes: two in five are reproducible.
    again = 0.5 + np.arange(d_sae) % 5 / 8
    group = np.arange(d_sae)
    group[FIRST_COPY : FIRST_COPY + N_COPIES] = FIRST_COPY
    return {
        "cls": np.where(silent, 2, rng.choice(own, size=d_sae, p=(0.45, 0.4, 0.15))).tolist(),
        "universal": (rng.random(d_sae) < 0.1).astype(int).tolist(),
        "own": _gaps(again, silent),
        "reproducible": ((again > 0.8) & ~silent).astype(int).tolist(),
        "copies": np.where(silent, -1, group).tolist(),
        "density": [[float(f"{x:.4g}") for x in row] for row in np.where(silent, 0, density)],
        "peak": [float(f"{x:.4g}") for x in np.where(silent, 0, rng.gamma(4, 2, size=d_sae))],
        "match": {
            other: {
                "i": np.where(silent, -1, np.arange(d_sae)).tolist(),
                "r": _gaps(rng.beta(2, 1, size=d_sae), silent),
            }
            for other in MODELS
            if other != model
        },
        "top": tops,
        "text": [
            "" if no else _explanation(vocab, row) for row, no in zip(tops, unread, strict=True)
        ],
        "sim": _gaps(rng.random(d_sae), unread),
        "xy": np.round(rng.normal(size=(d_sae, 2)), 3).tolist(),
        "cluster": [-1] * d_sae,
    }


def _gaps(values: np.ndarray, undefined: np.ndarray) -> list[float | None]:
    pairs = zip(values.tolist(), undefined, strict=True)
    return [None if gap else round(value, 3) for value, gap in pairs]


def _explanation(vocab: list[str], top: list[int]) -> str:
    return f"fires on {vocab[top[0]]} before {vocab[top[1]].strip()} and its like"


def _details(
    rng: np.random.Generator, at: np.ndarray, width: int, n_tokens: int, silent: bool
) -> dict[str, Any]:
    if silent:
        return {"c": [], "r": [], "h": [0] * 10, "up": [], "down": [], "upv": [], "downv": []}
    centres = rng.permutation(at)[:9]
    contexts = [_context(rng, int(p), width, max(40, 255 - 20 * i)) for i, p in enumerate(centres)]
    effects = np.sort(rng.gamma(2, 0.3, size=8))[::-1]
    return {
        "c": contexts[:6],
        "r": contexts[6:],
        "h": [int(400 * math.exp(-0.6 * i) * rng.uniform(0.5, 1.5)) for i in range(10)],
        "up": rng.integers(0, n_tokens, size=8).tolist(),
        "down": rng.integers(0, n_tokens, size=8).tolist(),
        "upv": [float(f"{x:.3g}") for x in effects],
        "downv": [float(f"{-x:.3g}") for x in effects],
    }


def _context(rng: np.random.Generator, centre: int, width: int, level: int) -> list[Any]:
    start = max(centre // width * width, centre - _BEFORE)
    end = min((centre // width + 1) * width, centre + _AFTER + 1)
    pairs = []
    for place in range(end - start):
        if start + place == centre:
            pairs += [place, level]
        elif rng.random() < 0.08:
            pairs += [place, int(rng.integers(1, level))]
    return [centre, pairs]
