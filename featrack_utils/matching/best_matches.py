"""The best matches of all pairs of a run's dictionaries: one artefact, made once, read by all."""

import sys
from collections.abc import Mapping
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int
from safetensors.numpy import load_file, save_file

from featrack_utils.dictionaries.features import dictionary_names, open_features, open_named
from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import Lineage
from featrack_utils.matching import classes, correlation
from featrack_utils.matching.classes import Tracking, classify, eligible, turned
from featrack_utils.matching.correlation import BestMatches, Copies, Pairs, copies, correlations
from featrack_utils.pipeline import store

FOLDER = "matching"
BLOCK = 2**22  # positions whose sums are taken at once
FLOOR = 0.3  # pairs below it are not kept: chains and assignments need none
_DICTIONARIES = "dictionaries.safetensors"
_COPIES = ("copy_r", "copy_index", "copy_group")  # the fields of a `Copies` in that file
_SUMS = "sums.safetensors"


class Matches(NamedTuple):
    """What `match_run` made, by the names of dictionaries (model and SAE seed, "root-0").

    Attributes:
        names: each model's dictionaries, in the order of their SAE seeds.
        best: best matches of any pair (a, b) that was matched, in either direction.
        eligible: features active often enough to be judged (`classes.eligible`).
        positions: token positions that each feature is active on.
        copies: features that repeat another of their own dictionary at `tau`, with their groups.
        tau: correlation above which two features match, in `copies` and by default.
    """

    names: dict[str, tuple[str, ...]]
    best: Mapping[tuple[str, str], BestMatches]
    eligible: dict[str, Bool[np.ndarray, " d_sae"]]
    positions: dict[str, Int[np.ndarray, " d_sae"]]
    copies: dict[str, Copies]
    tau: float

    def tracking(
        self, parent: str, child: str, tau: float | None = None, rule: str = "best"
    ) -> Tracking:
        """Classes and partners of two dictionaries' features (`classes.classify`)."""
        return classify(self.best[parent, child], self.tau if tau is None else tau, rule)


def pairs_to_match(lineage: Lineage, names: Mapping[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """The pairs of dictionaries that some chapter compares, each in one direction.

    Along every edge of the lineage each of the parent's with each of the child's; within a model
    each two; between models that no edge joins the first ones.
    """
    pairs = [pair for a, b in lineage.edges for pair in product(names[a], names[b])]
    pairs += [pair for model in lineage.order for pair in combinations(names[model], 2)]
    pairs += [
        (names[a][0], names[b][0])
        for a, b in combinations(lineage.order, 2)
        if (a, b) not in lineage.edges
    ]
    return pairs


def match_run(
    run: Path,
    lineage: Lineage,
    root_seeds: int,
    other_seeds: int,
    min_positions: int,
    min_documents: int,
    tau: float,
    block_positions: int = BLOCK,
) -> Path:
    """Makes the artefact of best matches, unless it is up to date; gives its folder.

    Raises:
        FeatrackError: a dictionary's features are missing or damaged, or `tau` isn't in (0, 1).
    """
    names = dictionary_names(lineage, root_seeds, other_seeds)

    def build(work: Path) -> None:
        found = open_features(run, lineage, root_seeds, other_seeds)
        able = {
            name: eligible(features.acts, features.origin, min_positions, min_documents)
            for name, features in found.items()
        }
        arrays = {}
        for name, features in found.items():
            arrays[f"{name}.eligible"] = able[name]
            arrays[f"{name}.positions"] = features.acts.getnnz(axis=0).astype(np.int64)
            repeated = copies(features.acts, tau, eligible=able[name])
            arrays |= {f"{name}.{part}": it for part, it in zip(_COPIES, repeated, strict=True)}
        save_file(arrays, work / _DICTIONARIES)
        for a, b in pairs_to_match(lineage, names):
            masks = {"eligible_a": able[a], "eligible_b": able[b]}
            blocks = range(-(-len(found[a].tokens) // block_positions))
            if len(blocks) > 1:
                made = [sum_block(run, a, b, block, block_positions) for block in blocks]
                parts = [correlation.Sums(**load_file(folder / _SUMS)) for folder in made]
                masks["sums"] = correlation.Sums(*map(sum, zip(*parts, strict=True)))
            best = correlations(found[a].acts, found[b].acts, floor=FLOOR, **masks)
            _save(best, work / _file(a, b))

    return store.make(
        run / FOLDER,
        build,
        parameters={
            "names": {model: list(each) for model, each in names.items()},
            "edges": [list(edge) for edge in lineage.edges],
            "min_positions": min_positions,
            "min_documents": min_documents,
            "tau": tau,
            "block_positions": block_positions,
        },
        inputs=[run / "features" / name for each in names.values() for name in each],
        code=[correlation, classes],
    )


def sum_block(run: Path, a: str, b: str, block: int, block_positions: int = BLOCK) -> Path:
    """Makes the sums of one block of positions of two dictionaries, unless they are up to date.

    `python -m featrack_utils.matching.best_matches RUN A B BLOCK POSITIONS` does it as a job.
    """

    def build(work: Path) -> None:
        found = open_named(run, (a, b)).values()
        here = slice(block * block_positions, (block + 1) * block_positions)
        sums = correlation.block_sums(*(each.acts[here] for each in found))
        save_file(sums._asdict(), work / _SUMS)

    return store.make(
        run / "sums" / f"{a}_{b}_{block}",
        build,
        parameters={"block": block, "block_positions": block_positions},
        inputs=[run / "features" / name for name in (a, b)],
        code=[correlation],
    )


def open_matches(run: Path) -> Matches:
    """The best matches of a run.

    Raises:
        FeatrackError: they are missing or damaged.
    """
    folder = store.opened(run / FOLDER)
    given = store.read_record(folder)["parameters"]
    names = {model: tuple(each) for model, each in given["names"].items()}
    arrays = load_file(folder / _DICTIONARIES)
    able, positions, *of_copies = (
        {name: arrays[f"{name}.{kind}"] for each in names.values() for name in each}
        for kind in ("eligible", "positions", *_COPIES)
    )
    repeated = {name: Copies(*(part[name] for part in of_copies)) for name in able}
    return Matches(names, _Pairs(folder), able, positions, repeated, given["tau"])


class _Pairs(dict):
    """Best matches by pair of names, read when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __contains__(self, pair: object) -> bool:
        a, b = pair
        return (self._folder / _file(a, b)).exists() or (self._folder / _file(b, a)).exists()

    def __missing__(self, pair: tuple[str, str]) -> BestMatches:
        a, b = pair
        if pair not in self:
            raise FeatrackError(
                f"The dictionaries {a} and {b} were not matched: choose a parent and its child, "
                "two of one model, or the first ones of two models."
            )
        here = self._folder / _file(a, b)
        self[pair] = _load(here) if here.exists() else turned(self[b, a])
        return self[pair]


def _file(a: str, b: str) -> str:
    return f"{a}_{b}.safetensors"  # names have letters, digits and dashes


def _save(best: BestMatches, path: Path) -> None:
    pairs = {f"pairs.{name}": array for name, array in best.pairs._asdict().items()}
    parts = best._asdict() | pairs | {"floor": np.array([best.floor])}
    save_file({name: part for name, part in parts.items() if name != "pairs"}, path)


def _load(path: Path) -> BestMatches:
    parts = load_file(path)
    pairs = Pairs(*(parts.pop(f"pairs.{name}") for name in Pairs._fields))
    floor = float(parts.pop("floor")[0])
    return BestMatches(**parts, pairs=pairs, floor=floor)


if __name__ == "__main__":
    sum_block(Path(sys.argv[1]), *sys.argv[2:4], *map(int, sys.argv[4:]))
