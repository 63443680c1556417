"""Doses of a fine-tune: shares of its steps, and the very steps that they fall on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from featrack_utils.pipeline.checks import need


def percent(dose: float) -> str:
    """A dose as it is named in files and results: 0.03 is "3"."""
    return f"{100 * dose:g}"


def check_doses(doses: Sequence[float]) -> None:
    """Raises FeatrackError unless the doses lie in (0, 1) and increase."""
    for dose in doses:
        need(0 < dose < 1, f"arms.doses holds {dose}; choose shares between 0 and 1.")
    need(
        all(a < b for a, b in pairwise(doses)),
        f"arms.doses are {list(doses)}; write each once, in increasing order.",
    )


def dose_steps(doses: Sequence[float], steps: int) -> dict[str, int]:
    """The step of a fine-tune that each dose falls on, at least the first, by `percent`.

    A fine-tune of no step, which is a control, has no doses either: {}.

    Raises:
        FeatrackError: what `check_doses` refuses; two doses on one step, or one on the last.
    """
    check_doses(doses)
    if not steps:
        return {}
    found: dict[int, float] = {}
    for dose in doses:
        step = max(1, round(dose * steps))
        other = 1.0 if step >= steps else found.get(step)
        need(
            other is None,
            f"arms.doses {dose} and {other} are both step {step} of a fine-tune of {steps}; "
            "leave one out, or raise finetune.train_tokens.",
        )
        found[step] = dose
    return {percent(dose): step for step, dose in found.items()}
