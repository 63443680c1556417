"""Dictionaries that only controls need: along the doses, from warm starts, of a second base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from featrack_utils.pipeline import store
from featrack_utils.pipeline.doses import dose_steps

SEED = 1  # of every arm's dictionary: only base dictionaries of other seeds are compared with it
SECOND = "second"  # the base model that another seed made
AT = "-at-"  # between a fine-tune and its dose in per cent
PARENT = "base-0"  # the dictionary that warm starts start from


class Arm(NamedTuple):
    """One dictionary to train: of which weights, on which mixture, from which start."""

    name: str  # of its folders
    model: str  # folder under models/
    step: int | None  # of the fine-tune; None: at its end
    mixture: str  # the model on whose mixture it learns
    start: str | None  # folder under saes/; None: random weights


def planned(
    run: Path, *, doses: Sequence[float], dosed: Sequence[str], warm_start: bool, lm_seed: bool
) -> list[Arm]:
    """The dictionaries that a profile's arms ask for; dose 0 is the base on the child's mixture.

    Raises: FeatrackError for a model that isn't there, or what `dose_steps` refuses.
    """
    arms = []
    for model in dosed:
        arms.append(Arm(f"{model}{AT}0", "base", None, model, None))
        for percent, step in dose_steps(doses, steps_of(run / "models" / model)).items():
            arms.append(Arm(f"{model}{AT}{percent}", model, step, model, None))
    if warm_start:
        arms.append(Arm("base-warm", "base", None, "lua", PARENT))
        arms.append(Arm("lua-warm", "lua", None, "lua", PARENT))
    if lm_seed:
        arms.append(Arm(SECOND, SECOND, None, "base", None))
    return arms


def steps_of(model: Path) -> int:
    """How many steps a saved model was trained for."""
    given = store.read_record(model)["parameters"]
    return given["train_tokens"] // (given["batch_blocks"] * given["context"])


def doses_of(arms: Sequence[Arm], child: str) -> dict[str, str]:
    """Names of a fine-tune's dictionaries by the per cent of its steps, from "0" to "100"."""
    prefix = f"{child}{AT}"
    path = {a.name.removeprefix(prefix): a.name for a in arms if a.name.startswith(prefix)}
    return {**path, "100": f"{child}-{SEED}"}


def model_label(model: str) -> str:
    """A model's name in words."""
    return "Second base" if model == SECOND else model.capitalize()


def label(arm: Arm) -> str:
    """An arm's name in words: "Lua, 3 % of the steps"."""
    child, is_dose, percent = arm.name.partition(AT)
    if is_dose:
        return f"{model_label(child)}, {percent} % of the steps"
    return model_label(arm.model) + (", warm start" if arm.start else "")


class HalfWay(NamedTuple):
    """The first dose by which half of the gain in loss is made."""

    percent: str
    gained: float  # share of the gain that is made by then, at least 0.5


def half_way(losses: Mapping[str, float]) -> HalfWay | None:
    """From the loss by dose, in order, from none to all; None if it doesn't fall."""
    first, *_, last = losses.values()
    if not last < first:
        return None
    gained = {percent: (first - loss) / (first - last) for percent, loss in losses.items()}
    percent = next(percent for percent, share in gained.items() if share >= 0.5)
    return HalfWay(percent, gained[percent])
