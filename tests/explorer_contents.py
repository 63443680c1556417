"""Made-up features that the explorer's data can be checked against, and a reader of its files."""

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from featrack_utils.dictionaries.features import Features
from featrack_utils.interpretation.logit_effects import LogitEffects
from featrack_utils.lineage import Lineage
from tests.chapters import Chapter
from tests.planted_matches import all_matches

PAPER = Lineage(
    {
        "base": {"train": ["english", "python"]},
        "lua": {"parent": "base", "train": ["lua"]},
        "stories": {"parent": "base", "train": ["stories"]},
        "merged": {"merge": ["lua", "stories"]},
    }
)
CHAIN = Lineage(
    {
        "Root-1": {"train": ["w"]},
        "a": {"parent": "Root-1", "train": ["x"]},
        "b": {"parent": "a", "train": ["y"]},
        "c": {"parent": "b", "train": ["z"]},
    }
)
THREE = Lineage(
    {
        "root": {"train": ["w"]},
        "a": {"parent": "root", "train": ["x"]},
        "b": {"parent": "root", "train": ["y"]},
        "c": {"parent": "root", "train": ["z"]},
        "all": {"merge": ["a", "b", "c"], "method": "linear"},
    }
)
WIDTH, BLOCKS, D = 12, 40, 260  # positions of a block, blocks, features of a dictionary
N = WIDTH * BLOCKS
DEAD, TWIN = 7, 3  # a feature that is never active; one that all models have
TAU = 0.8
HOSTILE = [
    "</script><script>alert(1)",
    "<!--",
    "\u2028",
    '"',
    "\\",
    "\x00",
    "\u202e",
    "🙂",
]


def _random_acts(rng) -> np.ndarray:
    dense = rng.exponential(size=(N, D)) * (rng.random((N, D)) < 0.3 * rng.random(D))
    return dense.astype(np.float32)


def contents(lineage: Lineage = PAPER) -> Any:
    """A dictionary for each model on 480 positions with planted relatives: see the comments."""
    rng = np.random.default_rng(0)
    domain = np.repeat(np.arange(BLOCKS) * 4 // BLOCKS, WIDTH).astype(np.int8)
    origin = (np.arange(N) // 10).astype(np.int32)
    tokens = rng.integers(0, 90, N).astype(np.int32)
    acts = {model: _random_acts(rng) for model in lineage.order}
    # The second has noisy copies of forty of the first's features, the last thirty of the third's.
    first, second, third, *_, last = lineage.order
    acts[second][:, :40] = acts[first][:, :40] + 0.4 * acts[second][:, :40]
    acts[last][:, 60:90] = acts[third][:, 60:90]
    for dense in acts.values():
        dense[:, TWIN] = acts[lineage.root][:, TWIN]
        dense[:, DEAD] = 0
    effect = -np.sort(-rng.normal(size=(D, 8)), axis=1)
    logits = LogitEffects(rng.integers(0, 90, (D, 8)), effect, rng.integers(0, 90, (D, 8)), -effect)
    rows = pd.DataFrame(
        {"model": np.repeat(lineage.order, D), "feature": np.tile(np.arange(D), len(lineage.order))}
    )
    about = rows.assign(x=rows.index / 8, y=-1.0, cluster=rows["feature"] % 5 - 1)
    about["explanation"] = [None if i == DEAD else f"</script>“{i}”" for i in rows["feature"]]
    about["simulation_r"] = np.where(rows["feature"] == DEAD, np.nan, 0.12345)
    features = {
        model: Features(sparse.csr_matrix(dense), origin, domain, tokens)
        for model, dense in acts.items()
    }
    own = {model: np.where(np.arange(D) == DEAD, np.nan, 0.5) for model in lineage.order[:-1]}
    for r in own.values():
        r[[TWIN, 5, 6]] = 0.9, 0.8004, 0.8
    # Features 10, 11 and 12 of the root are copies of each other.
    copies = {model: np.where(np.arange(D) == DEAD, -1, np.arange(D)) for model in lineage.order}
    copies[lineage.root][10:13] = 10
    return Chapter("explorer").Contents(
        features=features,
        own=own,
        copies=copies,
        best=all_matches(lineage, features, min_positions=8, min_documents=3),
        logits=dict.fromkeys(lineage.order, logits),
        about=about,
        vocabulary=HOSTILE + [f" t{i}" for i in range(90 - len(HOSTILE))],
    )


def write_data(
    folder: Path, contents: Any, lineage: Lineage = PAPER, context: int = WIDTH + 1
) -> None:
    """Fills a folder with the explorer's files, as its chapter does."""
    given = {"lineage": lineage, "context": context, "tau": TAU, "seed": 1, "run": Path("made up")}
    Chapter("explorer", **given).write_data(folder, contents)


def read(folder: Path, name: str) -> Any:
    """The data in one of the explorer's files."""
    script = (folder / f"{name}.js").read_text("ascii")
    (packed,) = re.findall(r'atob\("([\w+/=]*)"\)', script)
    return json.loads(zlib.decompress(base64.b64decode(packed)).decode("ascii"))
