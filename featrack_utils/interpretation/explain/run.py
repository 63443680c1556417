"""Explains and scores the features of a run's four dictionaries: the artefact `interpretation`."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int

from featrack_utils.dictionaries.features import Features
from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation.contexts import by_feature
from featrack_utils.interpretation.explain import controls, judge, lookup, sentences, strips
from featrack_utils.interpretation.explain.budget import Budget, Estimate, Prices
from featrack_utils.interpretation.explain.cache import Answers
from featrack_utils.interpretation.explain.contexts import Text, as_text, choose
from featrack_utils.interpretation.explain.endpoint import Endpoint
from featrack_utils.interpretation.explain.remote import Asked, Rehearsal, Remote
from featrack_utils.interpretation.explain.settings import Interpretation
from featrack_utils.lineage import Lineage
from featrack_utils.matching import fates
from featrack_utils.matching.classes import Tracking, eligible
from featrack_utils.matching.correlation import correlations
from featrack_utils.pipeline.config import EDGES, MODELS

log = logging.getLogger(__name__)

PAPER = Lineage(
    {
        "base": {"train": ["english", "python"]},
        "lua": {"parent": "base", "train": ["lua"]},
        "stories": {"parent": "base", "train": ["stories"]},
        "merged": {"merge": ["lua", "stories"]},
    }
)
ANSWERS = "answers"  # folder of a run: what was paid for is no artefact to be made anew
COLUMNS = ("model", "feature", "explainer", "explanation", "simulation_r", "detection")


class Ground(NamedTuple):
    """What explanations are learnt from and judged on, for the dictionaries of seed 0.

    Attributes:
        able: features that are seen often enough, bool [d_sae] per model.
        density: share of positions at which each feature is active, [d_sae] per model.
        along: classes and partners of every edge.
    """

    text: Text
    found: Mapping[str, Features]
    subjects: dict[str, judge.Subject]
    able: dict[str, np.ndarray]
    density: dict[str, np.ndarray]
    along: dict[tuple[str, str], Tracking]
    vocabulary: Sequence[str]
    seed: int


class Scores(NamedTuple):
    """Scores of every explainer.

    Attributes:
        own: one row per model, feature and explainer: what `judge.own` gives; shuffled_r, the
            score of another feature's explanation; able (seen often enough), persisting, density.
        mates: one row per edge, pair of matched features and explainer: foreign_r, the parent's
            explanation scored on the child's feature, and own_r, the child's own.
    """

    own: pd.DataFrame
    mates: pd.DataFrame


def prepare(
    found: Mapping[str, Features],
    vocabulary: Sequence[str],
    *,
    block: int,
    tau: float,
    min_positions: int,
    min_documents: int,
    seed: int,
) -> Ground:
    """Splits the text, chooses what to judge on, and matches features; `found` by model."""
    text = as_text(found["base"], block, seed)
    able = {m: eligible(f.acts, f.origin, min_positions, min_documents) for m, f in found.items()}
    subjects = {
        m: judge.Subject(by_feature(f.acts), choose(f.acts, text, seed)) for m, f in found.items()
    }
    density = {m: np.diff(s.columns.indptr) / len(text.tokens) for m, s in subjects.items()}
    best = {
        (a, b): correlations(found[a].acts, found[b].acts, eligible_a=able[a], eligible_b=able[b])
        for a, b in EDGES
    }
    along = fates.tracked(PAPER, best, tau)
    return Ground(text, found, subjects, able, density, along, vocabulary, seed)


def count(ground: Ground) -> dict[str, tuple[judge.Counted, judge.Counted]]:
    """Explanations by counting, by model: the whole lookup, and its sentences."""
    explainers = {}
    for model, features in ground.found.items():
        table = lookup.learn(features.acts, ground.text)
        said = sentences.write(table, ground.vocabulary)
        explainers[model] = tuple(judge.Counted(t, said, ground.text) for t in (table, said))
    return explainers


def count_scores(
    ground: Ground, explainers: Mapping[str, tuple[judge.Counted, judge.Counted]]
) -> Scores:
    """Scores of what counting says of all features."""
    everything = {m: np.arange(len(able)) for m, able in ground.able.items()}
    forms = zip(*explainers.values(), strict=True)
    return _joined(
        [_scores(ground, dict(zip(explainers, form, strict=True)), everything) for form in forms]
    )


def rehearse(ground: Ground, settings: Interpretation, answers: Answers | None = None) -> Estimate:
    """What it would cost to ask the endpoint, beyond the answers that are kept."""
    rehearsal = Rehearsal(answers)
    _remote_scores(ground, settings, rehearsal)
    return rehearsal.estimate(Prices(settings.input_price, settings.output_price))


def ask(ground: Ground, settings: Interpretation, answers: Path) -> Scores:
    """A sample of each model's features, explained by a chat model.

    Raises:
        FeatrackError: the estimate exceeds what is left of the budget, the budget is used up, or
            the endpoint fails or refuses. Whatever was answered is kept for the next run.
    """
    prices = Prices(settings.input_price, settings.output_price)
    with Budget(answers / "spent.jsonl", settings.max_cost, prices) as budget:
        kept = Answers(answers, settings.base_url)
        ahead = rehearse(ground, settings, kept)
        log.info("to ask: %s; left of the budget: %g", ahead, budget.left)
        if ahead.cost > budget.left:
            raise FeatrackError(
                f"{ahead.requests} questions would cost about {ahead.cost:.4g}, and "
                f"{max(budget.left, 0):.4g} is left of interpretation.max_cost "
                f"{settings.max_cost:g}; lower interpretation.explained_features, or raise it."
            )
        endpoint = Endpoint(
            settings.base_url, settings.key_variable, kept, budget, settings.requests_per_minute
        )
        return _remote_scores(ground, settings, endpoint)


def write(folder: Path, ground: Ground, settings: Interpretation, answers: Path) -> None:
    """Fills `folder`.

    interpretations.parquet has COLUMNS, one row per feature: the chat model's where it said
    something, and the sentence elsewhere. scores.parquet and mates.parquet are the tables of
    `Scores`, examples.json is made by `strips.examples`, and estimate.json says what asking the
    endpoint costs from nothing.
    """
    explainers = count(ground)
    scores = count_scores(ground, explainers)
    of_lua = scores.own[(scores.own["model"] == "lua") & (scores.own["explainer"] == "sentence")]
    shown = strips.examples(
        explainers["lua"][1], ground.subjects["lua"], of_lua, ground.text, ground.vocabulary
    )
    estimate = rehearse(ground, settings)
    if settings.explainer == "endpoint":
        scores = _joined([scores, ask(ground, settings, answers)])
    scores.own.to_parquet(folder / "scores.parquet", index=False)
    scores.mates.to_parquet(folder / "mates.parquet", index=False)
    interpretations(scores.own).to_parquet(folder / "interpretations.parquet", index=False)
    (folder / "examples.json").write_text(json.dumps(shown))
    (folder / "estimate.json").write_text(json.dumps(estimate._asdict()))


def interpretations(own: pd.DataFrame) -> pd.DataFrame:
    """One row per feature: the chat model's explanation if there is one, else the sentence."""
    order = ["sentence", "endpoint"]
    rows = own[own["explainer"].isin(order) & (own["explanation"] != "")]
    rows = rows.assign(
        by=rows["explainer"].map(order.index), place=rows["model"].map(list(MODELS).index)
    ).sort_values(["place", "feature", "by"])
    rows = rows.drop_duplicates(["model", "feature"], keep="last")
    return rows[list(COLUMNS)].reset_index(drop=True)


def _remote_scores(ground: Ground, settings: Interpretation, asked: Asked) -> Scores:
    def explainer(model: str) -> Remote:
        return Remote(
            asked,
            settings.chat_model,
            model,
            ground.subjects[model].columns,
            ground.text,
            ground.vocabulary,
            ground.seed,
        )

    return _scores(
        ground,
        {model: explainer(model) for model in MODELS},
        {
            m: _sample(able, settings.explained_features, ground.seed)
            for m, able in ground.able.items()
        },
    )


def _sample(able: np.ndarray, n: int, seed: int) -> Int[np.ndarray, " n"]:
    chosen = np.random.default_rng(seed).permutation(np.flatnonzero(able))[:n]
    return np.sort(chosen)


def _scores(
    ground: Ground,
    explainers: Mapping[str, judge.Explainer],
    features: Mapping[str, np.ndarray],
) -> Scores:
    own, persisting = [], fates.found_in_neighbour(PAPER, ground.along)
    for model, explainer in explainers.items():
        subject, chosen = ground.subjects[model], features[model]
        table = judge.own(explainer, subject, chosen, ground.text)
        table.insert(0, "model", model)
        table["feature"] = table["feature"].astype(np.int32)
        table["able"] = ground.able[model][chosen]
        table["persisting"] = persisting[model][chosen]
        table["density"] = ground.density[model][chosen]
        able = chosen[ground.able[model][chosen]]
        others = controls.shuffled(able, ground.seed)
        shuffled = judge.foreign_r(explainer, others, subject, able, ground.text)
        table["shuffled_r"] = table["feature"].map(pd.Series(shuffled, index=able))
        own.append(table)
    mates = []
    for parent, child in EDGES:
        partner = ground.along[parent, child].parent_partner[features[parent]]
        i, j = features[parent][partner >= 0], partner[partner >= 0]
        subject = ground.subjects[child]
        mates.append(
            pd.DataFrame(
                {
                    "parent": parent,
                    "child": child,
                    "explainer": explainers[parent].name,
                    "feature": i,
                    "mate": j,
                    "foreign_r": judge.foreign_r(explainers[parent], i, subject, j, ground.text),
                    "own_r": judge.foreign_r(explainers[child], j, subject, j, ground.text),
                }
            )
        )
    return _joined([Scores(pd.concat(own), pd.concat(mates))])


def _joined(parts: Sequence[Scores]) -> Scores:
    return Scores(*(pd.concat(tables, ignore_index=True) for tables in zip(*parts, strict=True)))
