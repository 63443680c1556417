"""Examples of explanations: true activations beside those that the sentence foretells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML

from featrack_utils.display.shading import Side, shade_side_by_side
from featrack_utils.display.style import GREY, MODEL_COLOURS
from featrack_utils.interpretation.explain.contexts import NONE, Text, places, true_values
from featrack_utils.interpretation.explain.judge import Explainer, Subject
from featrack_utils.interpretation.explain.sentences import DIGITS

QUANTILES = (0.9, 0.5, 0.1)  # of the scores: features to show


def examples(
    explainer: Explainer,
    subject: Subject,
    scores: pd.DataFrame,
    text: Text,
    vocabulary: Sequence[str],
) -> list[dict[str, Any]]:
    """Features at QUANTILES of the scores, each on its strongest excerpt and a random active one.

    Args:
        scores: rows of one model and explainer, as in `run.Scores.own`.

    Returns:
        feature, explanation, simulation_r and contexts (tokens, true, simulated) of each.
    """
    judged = scores[scores["able"] & scores["simulation_r"].notna()].sort_values(
        ["simulation_r", "feature"], ignore_index=True
    )
    chosen = [round(q * (len(judged) - 1)) for q in QUANTILES] if len(judged) else []
    found = []
    for row in judged.iloc[chosen].itertuples():
        feature = np.array([row.feature])
        strongest, active = (
            subject.chosen.simulated[row.feature],
            subject.chosen.active[row.feature],
        )
        drawn = active[active != strongest[0]][:1]
        where = places(text, np.array([[strongest[0], *drawn]]))
        both = (
            true_values(subject.columns, feature, where)[0],
            explainer.simulate(feature, where)[0],
        )
        contexts = []
        for positions, true, simulated in zip(where[0], *both, strict=True):
            there = positions != NONE
            tokens = [vocabulary[t] for t in text.tokens[positions[there]]]
            contexts.append((tokens, true[there].tolist(), simulated[there].tolist()))
        found.append(
            {
                "feature": int(row.feature),
                "explanation": row.explanation,
                "simulation_r": float(row.simulation_r),
                "contexts": [context for context in contexts if context[0]],
            }
        )
    return found


def beside(example: Mapping[str, Any], model: str) -> HTML:
    """One of `examples` as two strips for each excerpt: as it is, and as the sentence says."""
    name = f"{model} {example['feature']}"
    link = f'<a href="explorer.html#{model}-{example["feature"]}">{name}</a>'
    true = [(tokens, values) for tokens, values, _ in example["contexts"]]
    foretold = [(tokens, values) for tokens, _, values in example["contexts"]]
    peak = max(max(values) for _, values in true)
    strips = shade_side_by_side(
        [
            Side(f"{name}, as it is", true, peak, MODEL_COLOURS[model]),
            Side("as its sentence foretells it", foretold, DIGITS, GREY),
        ]
    )
    score = f"r = {example['simulation_r']:.2f}"
    said = escape(example["explanation"]).replace("“ ", "“\u00a0")  # no line ends inside quotes
    title = f"{link}, {score}: <bdi>{said}</bdi>"
    return HTML(f'<p class="featrack-caption">{title}</p>\n{strips.data}')
