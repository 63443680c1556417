"""Writes the page of the benchmarks, book/benchmarks.md, from what the other scripts measured.

The last of `make bench`; the suite checks that the page is what results.json makes of it.
"""

import argparse
import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).resolve().parents[1] / "book" / "benchmarks.md"
log = logging.getLogger(__name__)

# Name in results.json, what is compared, and the least that we want.
RATIOS = {
    "capture_vs_torch_hook": ("activations of an MLP, against a forward hook in float32", 1.4),
    "sae_train_vs_saelens_fp32": ("a dictionary with its capture, against SAELens' runner", 2.5),
    "sae_train_vs_dictionary_learning": ("the same, against dictionary-learning", 2.5),
    "lm_train_vs_trainer_fp32": ("a language model, against transformers' Trainer", 2.5),
    "correlate_vs_dense_f32": ("best matches, against a dense product in float32", 15),
    "correlate_vs_scipy": ("the same, against scipy's sparse product", 3),
    "correlate_vs_published": ("the same, against the published procedure's shape", 5_000),
    "sweep_vs_mergekit_cli": ("a sweep of 21 merges, against mergekit's command line", 20),
}
# Name, what a reader waits for, and the longest that we want, in milliseconds.
WAITS = {
    "touch_first_prediction_ms": (
        "the first prediction after the first key, on a cold page",
        2_000,
    ),
    "touch_key_ms": ("a key at the end of 100 tokens, four models at once", 100),
    "touch_key_in_the_middle_ms": ("a key in their middle", 100),
    "touch_key_at_the_start_ms": ("a key at their start, after which all is computed anew", 100),
    "touch_step_of_t_ms": ("a step of t", 150),
    "explorer_first_list_ms": ("the list of 8,192 features", None),
    "explorer_slowest_search_frame_ms": ("the slowest of ten searches in them", None),
    "explorer_feature_ms": ("a feature's page", None),
}
GROWN = {
    "capture": "activations",
    "dictionary": "a dictionary's training",
    "correlation": "matches of two dictionaries",
    "bootstrap": "matches in 200 bootstrap draws",
    "explorer": "the explorer's data",
}
TRAINERS = {
    "ours": "ours",
    "SAELens": "sae_lens",
    "dictionary-learning": "dictionary_learning",
}
WITH = ("tokens", "features", "seeds")
INTRODUCTION = """\
(benchmarks)=
# How fast it is

`make bench` measures this, and writes this page. Each ratio says how many times as fast featrack
is as something that people would use otherwise. Both ran in turns, in one run, on one thread
(matches on two). The scripts stand in `benchmarks/`, and a `README.md` there says what each
compares. This machine ({machine}) multiplied {products}, and copied {copies} GB/s in memory.
"""
SLOWER = """\
Here bfloat16 was the slower of the two, so that all of it ran in float32. Models and dictionaries
use bfloat16 where it is the faster, and the goals were set for such a machine.
"""
WAITING = """\
## How long a page lets its readers wait

In Chromium without a screen, on made-up models and features of quick's shapes.
"""
GROWTH = """\
## How it grows

Time and memory go with the *n*th power of what grows. This is *n*, fitted over sizes that double.
1 is proportional, and what is paid once, whatever the size, makes *n* smaller. Matching keeps a
number for each pair of features, so that its memory may grow with the square of their number. A
bootstrap matches each dictionary of a model with each of another: seeds count twice.
"""


def table(heads: Iterable[str], rows: Iterable[Iterable[str]], widths: str) -> str:
    """A MyST list table."""
    lines = [":::{list-table}", ":header-rows: 1", f":widths: {widths}", ""]
    for row in (heads, *rows):
        lines += [f"{'* -' if i == 0 else '  -'} {cell}".rstrip() for i, cell in enumerate(row)]
    return "\n".join([*lines, ":::", ""])


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def page(found: Mapping[str, Any]) -> str:
    """The page that these results make; what wasn't measured is left out."""
    rates = [
        f"{found[f'machine_{kind}_gflops']:.0f} GFLOP/s in {kind}"
        for kind in ("float32", "bfloat16")
        if f"machine_{kind}_gflops" in found
    ]
    parts = [
        INTRODUCTION.format(
            machine=found["correlate_machine"],
            products=" and ".join(rates),
            copies=number(found["machine_copy_gigabytes"]),
        )
    ]
    ratios = [
        (what, number(found[name]), number(wanted), f"`{name}`")
        for name, (what, wanted) in RATIOS.items()
        if name in found
    ]
    parts.append(table(("", "times as fast", "wanted", "in results.json"), ratios, "45 15 10 30"))
    if found["machine_bfloat16_gflops"] < found["machine_float32_gflops"]:
        parts.append(SLOWER)
    explained = [
        f"{found[name]:.3f} ({who})"
        for who, kind in TRAINERS.items()
        for name in [f"sae_variance_explained_{kind}"]
        if name in found
    ]
    parts.append(
        f"Variance that the dictionaries explain in the end: {', '.join(explained)}. The loss of "
        f"our language model was {found['lm_loss_ratio']:.3f} times that of Trainer's.\n"
    )
    waits = [
        (what, number(found[name]), number(wanted) if wanted else "", f"`{name}`")
        for name, (what, wanted) in WAITS.items()
        if name in found
    ]
    parts.append(WAITING)
    parts.append(table(("", "milliseconds", "at most", "in results.json"), waits, "45 15 10 30"))
    grown = [
        (
            f"{what}, with {of}",
            *(
                f"{round(found[f'{key}{kind}'], 2) + 0.0:.2f}" if f"{key}{kind}" in found else ""
                for kind in ("", "_memory", "_size")
            ),
        )
        for name, what in GROWN.items()
        for of in WITH
        for key in [f"growth_{name}_with_{of}"]
        if key in found or f"{key}_size" in found
    ]
    if grown:
        parts.append(GROWTH)
        parts.append(table(("", "time", "memory", "size"), grown, "55 15 15 15"))
    return "\n".join(parts)


def keep(figures: Mapping[str, float], **notes: str) -> None:
    """Writes a script's figures, and what is to be said of them, beside others' in results.json."""
    held = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    held |= {name: float(f"{value:.4g}") for name, value in figures.items()} | notes
    RESULTS.write_text(json.dumps(held, indent=2, sort_keys=True) + "\n")
    for name, value in figures.items():
        log.info("%s: %.4g", name, value)


def main() -> None:
    """Write the page from results.json."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()
    PAGE.write_text(page(json.loads(RESULTS.read_text())), "utf-8")


if __name__ == "__main__":
    main()
