"""Command line: `python -m featrack_utils compare runs/a runs/b`."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from featrack_utils.errors import FeatrackError

_LOW, _HIGH = ".ci_low", ".ci_high"


class Measured(NamedTuple):
    """A number with the ends of its interval; without one, both are None."""

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        ends = "" if self.low is None else f" [{self.low:.3g}, {self.high:.3g}]"
        return f"{self.value:.3g}{ends}"


class Comparison(NamedTuple):
    """What differs between two runs, by name."""

    # In a, in b and their difference, whose interval holds no 0; the clearest first.
    beyond: dict[str, tuple[Measured, Measured, Measured]]
    with_interval: int  # numbers compared by their intervals
    changed: dict[str, tuple[float, float]]  # without an interval in both runs, and not equal
    without_interval: int
    only_a: list[str]
    only_b: list[str]


def difference(a: Measured, b: Measured) -> Measured:
    """b − a with its interval from the two intervals (`book/method.md`, two runs)."""
    # An estimate may lie outside its own interval by a little; no side is shorter than nothing.
    below = math.hypot(max(0.0, b.value - b.low), max(0.0, a.high - a.value))
    above = math.hypot(max(0.0, b.high - b.value), max(0.0, a.value - a.low))
    d = b.value - a.value
    return Measured(d, d - below, d + above)


def compare(a: Mapping[str, float], b: Mapping[str, float]) -> Comparison:
    """Compares two runs' results, flat names with their ends under .ci_low and .ci_high."""
    one, other = _measured(a), _measured(b)
    shared = [name for name in one if name in other]
    tested = [n for n in shared if one[n].low is not None and other[n].low is not None]
    plain = [n for n in shared if n not in {*tested}]
    found = {name: (one[name], other[name], difference(one[name], other[name])) for name in tested}
    beyond = {name: each for name, each in found.items() if each[2].low > 0 or each[2].high < 0}
    values = {name: (one[name].value, other[name].value) for name in plain}
    return Comparison(
        dict(sorted(beyond.items(), key=lambda each: -_clarity(each[1][2]))),
        len(tested),
        {name: pair for name, pair in values.items() if pair[0] != pair[1]},
        len(plain),
        [name for name in one if name not in other],
        [name for name in other if name not in one],
    )


def _clarity(d: Measured) -> float:
    """A difference, measured by the width of its interval."""
    width = d.high - d.low
    return abs(d.value) / width if width else math.inf


def _measured(results: Mapping[str, float]) -> dict[str, Measured]:
    found = {}
    for name, value in sorted(results.items()):
        base, _, end = name.rpartition(".")
        if f".{end}" in (_LOW, _HIGH) and base in results:
            continue
        ends = results.get(name + _LOW), results.get(name + _HIGH)
        found[name] = Measured(value) if None in ends else Measured(value, *ends)
    return found


def read(run: Path) -> dict[str, float]:
    """The results of a run, given as its folder or as the file.

    Raises:
        FeatrackError: it is missing, illegible, or holds anything but finite numbers by name, or
            an interval whose ends are in the wrong order.
    """
    path = run / "results.json" if run.is_dir() else run
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise FeatrackError(
            f"There are no results at {path}; name a finished run's folder, such as runs/quick."
        ) from None
    except (ValueError, RecursionError):
        raise FeatrackError(f"{path} isn't valid JSON; run `make book` again.") from None
    if not isinstance(results, dict) or not results:
        raise FeatrackError(f"{path} holds no numbers by name; name a finished run's results.json.")
    for name, value in results.items():
        if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:
            raise FeatrackError(f"{path}: {name!r} isn't a finite number; run `make book` again.")
        if name.endswith(_LOW) and value > results.get(name.removesuffix(_LOW) + _HIGH, value):
            raise FeatrackError(
                f"{path}: the interval of {name.removesuffix(_LOW)!r} ends before it begins; "
                "run `make book` again."
            )
    return results


def report(a: Mapping[str, float], b: Mapping[str, float]) -> Iterable[str]:
    """The lines that tell what differs between two runs."""
    found = compare(a, b)
    yield (
        f"{len(found.beyond)} of {found.with_interval} numbers with intervals differ by more than "
        "these allow; one in twenty would by chance alone, were the runs independent."
    )
    for name, (before, after, d) in found.beyond.items():
        yield f"  {name}: {before} → {after}, difference {d}"
    yield (
        f"{len(found.changed)} of {found.without_interval} numbers without intervals changed; "
        "nothing tells whether by more than chance."
    )
    for name, (before, after) in found.changed.items():
        yield f"  {name}: {before:.6g} → {after:.6g}"
    for which, names in (("first", found.only_a), ("second", found.only_b)):
        yield f"{len(names)} numbers are in the {which} run only."
        yield from (f"  {name}" for name in names)


def main(arguments: list[str] | None = None) -> int:
    """Prints the differences between two runs that lie beyond their intervals."""
    parser = argparse.ArgumentParser(prog="featrack_utils compare", description=main.__doc__)
    parser.add_argument("run_a", type=Path, help="a finished run's folder, such as runs/quick")
    parser.add_argument("run_b", type=Path, help="another's")
    options = parser.parse_args(arguments)
    try:
        lines = list(report(read(options.run_a), read(options.run_b)))
    except FeatrackError as error:
        print(f"featrack: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0
