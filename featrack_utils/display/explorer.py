"""The data of the feature explorer: classic scripts that a page can load from a file, too.

Each file is one call, `featrackExplorer.receive("name", data)`: `meta` (vocabulary and text),
`index` (a row of arrays for each model) and the features' details in chunks, `<model>-<chunk>`.
A page that is opened from a file may not fetch, but may add scripts. The data are a promise of
JSON, deflated to a third of its size, in base64, which no token can break out of.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from IPython.display import HTML
from jaxtyping import Float, Int
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.display.style import colour_of
from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation import contexts
from featrack_utils.interpretation.logit_effects import LogitEffects
from featrack_utils.lineage import Lineage, label
from featrack_utils.matching import chains, flow
from featrack_utils.matching.classes import turned
from featrack_utils.matching.flow import Best

FORMAT = 3
CHUNK = 256  # features in one file of details
# Beside `flow.CLASSES`: no neighbour has it, but a model further along its line does.
ELSEWHERE = "elsewhere"
CLASSES = (*flow.CLASSES, ELSEWHERE)
LOGITS = 8  # tokens shown that a feature raises, and that it lowers
TOP_TOKENS = 5
# In book/_static/explorer/, each after those it needs.
STYLES = [f"{name}.css" for name in ("explorer", "form", "list", "feature")]
_PARTS = "data text state search figures controls list matches feature main"
SCRIPTS = [f"{name}.js" for name in _PARTS.split()]
_AT = "../_static/explorer"  # seen from a page of the book
# What a browser makes of it; from a disk nothing else would compress it.
_UNPACK = (
    'new Response(new Blob([Uint8Array.from(atob("DATA"),c=>c.charCodeAt(0))]).stream()'
    '.pipeThrough(new DecompressionStream("deflate"))).json()'
)
PAGE = "book/_build/html/executed/explorer.html"


class Contents(NamedTuple):
    """What the explorer shows; mappings by model, `best` by (earlier, later) model.

    `own` holds each feature's best r in another dictionary of its own model, the least of them if
    there are several: a feature is reproducible if it exceeds τ. NaN where it can't be judged; no
    entry for a model with one dictionary. `copies` numbers groups of copies (−1: can't be judged).
    `about` has the columns model, feature, explanation, simulation_r, x, y and cluster
    for each feature. `width` is the number of positions of a block.
    """

    lineage: Lineage
    features: Mapping[str, Features]
    best: Best
    own: Mapping[str, Float[np.ndarray, " d_sae"]]
    copies: Mapping[str, Int[np.ndarray, " d_sae"]]
    logits: Mapping[str, LogitEffects]
    about: pd.DataFrame
    vocabulary: Sequence[str]
    width: int
    profile: str
    seed: int


def write_data(folder: Path, contents: Contents, tau: float) -> None:
    """Fills `folder` with the explorer's files; features match by best match above τ.

    Raises FeatrackError: the features' positions don't fill blocks.
    """
    if (n := len(contents.features[contents.lineage.root].tokens)) % contents.width:
        raise FeatrackError(
            f"The features' {n} positions are no blocks of {contents.width}; "
            "give the context length of this run."
        )
    folder.mkdir(exist_ok=True)
    columns = {model: contexts.by_feature(f.acts) for model, f in contents.features.items()}
    _write(folder, "meta", _meta(contents, tau))
    _write(folder, "index", _index(contents, tau, columns))
    for model, found in contents.features.items():
        details = _details(columns[model], found, contents.logits[model], contents)
        for chunk, start in enumerate(range(0, len(details), CHUNK)):
            _write(folder, f"{model}-{chunk}", details[start : start + CHUNK])


def page(runs_models: bool = False) -> HTML:
    """A place for the explorer, its styles and scripts; a notebook shows the way to the page.

    With `runs_models` features can be tried on the reader's text (page_models.py).
    """
    styles = [f'<link rel="stylesheet" href="{_AT}/{name}">' for name in STYLES]
    scripts = [f'<script defer src="{_AT}/{name}"></script>' for name in SCRIPTS]
    live = " data-live" if runs_models else ""
    return HTML(
        "\n".join(styles) + f'\n<div id="featrack-explorer"{live}><p>The explorer belongs to the '
        f"rendered book: open <code>{PAGE}</code> in a browser.</p></div>\n"
        "<noscript><p>The explorer needs JavaScript; the rest of the book does without.</p>"
        "</noscript>\n" + "\n".join(scripts)
    )


def _meta(contents: Contents, tau: float) -> dict[str, Any]:
    lineage = contents.lineage
    first = contents.features[lineage.root]
    token_bytes = 2 if len(contents.vocabulary) <= 1 << 16 else 4
    return {
        "format": FORMAT,
        "profile": contents.profile,
        "tau": tau,
        "d_sae": first.acts.shape[1],
        "width": contents.width,
        "models": [
            {
                "key": key,
                "label": label(key),
                "colour": colour_of(key),
                "parents": list(lineage.parents(key)),
            }
            for key in lineage.order
        ],
        "domains": list(lineage.domains),
        "classes": list(CLASSES),
        "vocab": list(contents.vocabulary),
        "token_bytes": token_bytes,
        "tokens": _base64(first.tokens, f"<u{token_bytes}"),
        "block_domain": _base64(first.domain[:: contents.width], "u1"),
    }


def _index(
    contents: Contents, tau: float, columns: Mapping[str, sparse.csc_matrix]
) -> dict[str, Any]:
    lineage, best = contents.lineage, contents.best
    kinds, chained = _kinds(lineage, best, tau), chains.in_chains(lineage, best, tau)
    rows = {}
    for model, found in contents.features.items():
        about = contents.about[contents.about["model"] == model].set_index("feature")
        about = about.reindex(np.arange(found.acts.shape[1]))
        own = contents.own.get(model, np.full(len(about), np.nan))
        shares = contexts.token_shares(found, len(contents.vocabulary))
        density = contexts.densities(columns[model], found.domain, len(lineage.domains))
        closest_in = {m: _closest(best, model, m) for m in lineage.order if m != model}
        rows[model] = {
            "cls": kinds[model].tolist(),
            "universal": chained[model].astype(int).tolist(),
            "density": [_rounded(row, 4) for row in density],
            "peak": _rounded(contexts.peaks(columns[model]), 4),
            "match": {
                other: {"i": index.tolist(), "r": _rounded(r)}
                for other, (index, r) in closest_in.items()
            },
            "top": [
                contexts.strongest_tokens(shares, i, TOP_TOKENS)[0].tolist() for i in about.index
            ],
            "own": _rounded(own),
            "reproducible": (own > tau).astype(int).tolist(),
            "copies": contents.copies[model].tolist(),
            "text": about["explanation"].fillna("").tolist(),
            "sim": _rounded(about["simulation_r"]),
            "xy": [_rounded(place, 4) for place in about[["x", "y"]].to_numpy()],
            "cluster": about["cluster"].fillna(-1).astype(int).tolist(),
        }
    return rows


def _kinds(lineage: Lineage, best: Best, tau: float) -> dict[str, np.ndarray]:
    """Classes as `flow` has them, but none is called lost or new that its line has further on.

    A root's feature that every child lacks may stand in a merge of them, and a merge's feature
    without a parent's may be the root's.
    """
    kinds = flow.classes(lineage, flow.tracked(lineage, best, tau))
    unmatched = [CLASSES.index(name) for name in ("disappearing", "emerging", "novel")]
    for model, numbers in kinds.items():
        line = set(lineage.order) if model == lineage.root else set(lineage.ancestors(model))
        there = [_closest(best, model, other)[1] > tau for other in line - {model}]
        further = np.isin(numbers, unmatched) & np.any(there, axis=0)
        numbers[further] = CLASSES.index(ELSEWHERE)
    return kinds


def _closest(best: Best, model: str, other: str) -> tuple[np.ndarray, np.ndarray]:
    """Each feature's best partner in another model, −1 for none, and its r, NaN for none."""
    one = best[model, other] if (model, other) in best else turned(best[other, model])
    return one.a_best_index, np.where(one.a_best_index >= 0, one.a_best_r, np.nan)


def _details(
    columns: sparse.csc_matrix, found: Features, logits: LogitEffects, contents: Contents
) -> list[dict[str, Any]]:
    parts = {
        "h": contexts.histograms(columns).tolist(),
        "up": logits.up.tolist(),
        "down": logits.down.tolist(),
        "upv": [_rounded(row) for row in logits.up_effect],
        "downv": [_rounded(row) for row in logits.down_effect],
    }
    shown = contexts.packed_contexts(columns, found.origin, contents.width, contents.seed)
    rows = zip(*parts.values(), strict=True)
    return [one | dict(zip(parts, row, strict=True)) for one, row in zip(shown, rows, strict=True)]


def _write(folder: Path, name: str, data: Any) -> None:
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    packed = base64.b64encode(zlib.compress(text.encode("ascii"), 9)).decode("ascii")
    script = f'featrackExplorer.receive("{name}",{_UNPACK.replace("DATA", packed)});\n'
    (folder / f"{name}.js").write_text(script, "ascii")


def _rounded(values: Iterable[float], digits: int = 3) -> list[float | None]:
    """Numbers of so many significant digits; None for a missing one."""
    return [None if pd.isna(value) else float(f"{value:.{digits}g}") for value in values]


def _base64(values: np.ndarray, kind: str) -> str:
    return base64.b64encode(values.astype(kind).tobytes()).decode("ascii")
