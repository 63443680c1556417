"""Command line: `python -m featrack_utils compare runs/a runs/b`."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from featrack_utils.errors import FeatrackError

_LOW, _HIGH = ".ci_low", ".ci_high"


def measured(results: Mapping[str, float]) -> pd.DataFrame:
    """A row for each number: its ``value``, and ``low`` and ``high``, NaN where it has none."""
    values = pd.Series(results, dtype=float).sort_index()
    low, high = (values.reindex(values.index + end).to_numpy() for end in (_LOW, _HIGH))
    table = pd.DataFrame({"value": values, "low": low, "high": high})
    ends = {name + end for name in results for end in (_LOW, _HIGH)}
    return table.drop(index=[name for name in results if name in ends])


def difference(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """b − a with its interval from the two intervals (`book/method.md`, two runs)."""
    # An estimate may lie outside its own interval by a little; no side is shorter than nothing.
    below = np.hypot((b.value - b.low).clip(0), (a.high - a.value).clip(0))
    above = np.hypot((b.high - b.value).clip(0), (a.value - a.low).clip(0))
    d = b.value - a.value
    return pd.DataFrame({"value": d, "low": d - below, "high": d + above})


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


def report(a: Mapping[str, float], b: Mapping[str, float]) -> Iterator[str]:
    """The lines that tell what differs between two runs' results, the clearest first."""
    one, other = measured(a), measured(b)
    shared = one.index.intersection(other.index)
    d = difference(one.loc[shared], other.loc[shared])
    tested = d.notna().all(axis=1)  # each has both ends in both runs
    beyond = d[tested & ((d.low > 0) | (d.high < 0))]
    clarity = beyond.value.abs() / (beyond.high - beyond.low)
    yield (
        f"{len(beyond)} of {tested.sum()} numbers with intervals differ by more than "
        "these allow; one in twenty would by chance alone, were the runs independent."
    )
    for name in clarity.sort_values(ascending=False, kind="stable").index:
        before, after, by = (
            "{value:.3g} [{low:.3g}, {high:.3g}]".format(**table.loc[name])
            for table in (one, other, d)
        )
        yield f"  {name}: {before} → {after}, difference {by}"
    changed = d.index[~tested & (d.value != 0)]
    yield (
        f"{len(changed)} of {(~tested).sum()} numbers without intervals changed; "
        "nothing tells whether by more than chance."
    )
    for name in changed:
        yield f"  {name}: {one.value[name]:.6g} → {other.value[name]:.6g}"
    for which, here, there in (("first", one, other), ("second", other, one)):
        names = here.index.difference(there.index)
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
