"""Explains and scores the features of a run's dictionaries: the artefact `interpretation`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from transformers import AutoTokenizer

from featrack_utils.dictionaries import features
from featrack_utils.dictionaries.features import Features
from featrack_utils.interpretation import contexts
from featrack_utils.interpretation.explain import judge, lookup, rules
from featrack_utils.interpretation.explain.chat import ChatServer
from featrack_utils.interpretation.explain.chat_explainer import ChatExplainer
from featrack_utils.interpretation.explain.excerpts import (
    NONE,
    EvaluationText,
    as_text,
    excerpts_to_judge,
    true_values,
)
from featrack_utils.interpretation.explain.score import shuffled
from featrack_utils.lineage import Lineage
from featrack_utils.matching.best_matches import FOLDER, open_matches
from featrack_utils.matching.classes import Tracking
from featrack_utils.matching.fates import found_in_neighbour
from featrack_utils.pipeline import store
from featrack_utils.pipeline.profile import Interpretation

ANSWERS = "answers"  # folder of a run: what was asked is no artefact to be made anew
COLUMNS = ("model", "feature", "explainer", "explanation", "simulation_r", "detection")
QUANTILES = (0.9, 0.5, 0.1)  # of the scores: features shown as examples


class Prepared(NamedTuple):
    """What explanations are learnt from and judged on, one dictionary per model.

    Attributes:
        found: activations, by model.
        judged: the same by feature, with excerpts to judge on, by model.
        able: features that are seen often enough, bool [d_sae] per model.
        trackings: classes and partners along every edge of the lineage.
        vocabulary: text of each token.
    """

    lineage: Lineage
    text: EvaluationText
    found: Mapping[str, Features]
    judged: dict[str, judge.JudgedDictionary]
    able: Mapping[str, np.ndarray]
    trackings: Mapping[tuple[str, str], Tracking]
    vocabulary: Sequence[str]
    seed: int


class Scores(NamedTuple):
    """Scores of every explainer.

    Attributes:
        own: one row per model, feature and explainer: what `judge.score_own` gives; shuffled_r,
            the score of another feature's explanation; able (seen often enough), persisting (a
            neighbouring model has it), density.
        mates: one row per edge, pair of matched features and explainer: foreign_r, the parent's
            explanation scored on the child's feature, and own_r, the child's own.
    """

    own: pd.DataFrame
    mates: pd.DataFrame


def explain_run(
    run: Path, lineage: Lineage, settings: Interpretation, context: int, seed: int
) -> Path:
    """Makes the artefact `interpretation` of a run, unless it is up to date; gives its folder.

    Of each model the dictionary of the first SAE seed is explained.

    Raises:
        FeatrackError: features, matches or the tokenizer are missing or damaged, or the chat
            model can't be asked (`ChatServer.ask`).
    """
    matches = open_matches(run)
    first = {model: names[0] for model, names in matches.names.items()}

    def build(folder: Path) -> None:
        opened = features.open_named(run, first.values())
        place = store.opened(run / "corpora") / "tokenizer"
        tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True)
        prepared = prepare(
            lineage,
            {model: opened[name] for model, name in first.items()},
            {model: matches.eligible[name] for model, name in first.items()},
            {(a, b): matches.tracking(first[a], first[b]) for a, b in lineage.edges},
            contexts.vocabulary(tokenizer),
            block=context - 1,
            seed=seed,
        )
        write(folder, prepared, settings, run / ANSWERS)

    return store.make(
        run / "interpretation",
        build,
        parameters={
            "context": context,
            "seed": seed,
            "edges": [list(edge) for edge in lineage.edges],
            **settings.model_dump(),
        },
        inputs=[*(run / "features" / n for n in first.values()), run / FOLDER, run / "corpora"],
        code=[sys.modules[__name__]],
    )


def prepare(
    lineage: Lineage,
    found: Mapping[str, Features],
    able: Mapping[str, np.ndarray],
    trackings: Mapping[tuple[str, str], Tracking],
    vocabulary: Sequence[str],
    *,
    block: int,
    seed: int,
) -> Prepared:
    """Splits the text and chooses what to judge on; `found` and `able` by model.

    Raises:
        FeatrackError: the positions don't fill blocks, or a domain has one document only.
    """
    text = as_text(found[lineage.root], block, seed)
    judged = {}
    for model, each in found.items():
        columns = contexts.by_feature(each.acts)
        excerpts = excerpts_to_judge(columns, text, seed)
        judged[model] = judge.JudgedDictionary(columns, excerpts, text)
    return Prepared(lineage, text, found, judged, able, trackings, vocabulary, seed)


def count(prepared: Prepared) -> list[dict[str, judge.CountingExplainer]]:
    """Explanations by counting, by model: first the whole lookups, then the rules of them."""
    lookups, written = {}, {}
    for model, each in prepared.found.items():
        table = lookup.learn(each.acts, prepared.text)
        said = rules.write_explanations(table, prepared.vocabulary)
        lookups[model] = judge.CountingExplainer("lookup", table, said, prepared.text)
        written[model] = judge.CountingExplainer("rules", said, said, prepared.text)
    return [lookups, written]


def ask(prepared: Prepared, settings: Interpretation, answers: Path) -> Scores:
    """A sample of each model's features, explained by a chat model.

    Raises:
        FeatrackError: see `ChatServer.ask`. Whatever was answered is kept for the next run.
    """
    server = ChatServer(settings.base_url, settings.key_variable, answers, settings.max_requests)
    explainers, sample = {}, {}
    for model, able in prepared.able.items():
        explainers[model] = ChatExplainer(
            server,
            settings.chat_model,
            model,
            prepared.judged[model].columns,
            prepared.text,
            prepared.vocabulary,
            prepared.seed,
        )
        drawn = np.random.default_rng(prepared.seed).permutation(np.flatnonzero(able))
        sample[model] = np.sort(drawn[: settings.explained_features])
    return score(prepared, explainers, sample)


def write(folder: Path, prepared: Prepared, settings: Interpretation, answers: Path) -> None:
    """Fills `folder`.

    interpretations.parquet has COLUMNS, one row per feature: the chat model's where it said
    something, and the rules elsewhere. scores.parquet and mates.parquet are the tables of
    `Scores`, and examples.json has the `examples` of each model.
    """
    kinds = count(prepared)
    scores = [score(prepared, explainers) for explainers in kinds]
    shown = {
        model: examples(explainer, prepared, model, scores[-1].own)
        for model, explainer in kinds[-1].items()
    }
    if settings.explainer == "endpoint":
        scores.append(ask(prepared, settings, answers))
    own, mates = (pd.concat(tables, ignore_index=True) for tables in zip(*scores, strict=True))
    own.to_parquet(folder / "scores.parquet", index=False)
    mates.to_parquet(folder / "mates.parquet", index=False)
    said = own[own["explainer"].isin(["rules", "endpoint"])]
    said = said[said["explanation"] != ""].drop_duplicates(["model", "feature"], keep="last")
    place = said["model"].map(prepared.lineage.order.index)
    table = said.assign(place=place).sort_values(["place", "feature"])[list(COLUMNS)]
    table.to_parquet(folder / "interpretations.parquet", index=False)
    (folder / "examples.json").write_text(json.dumps(shown))


def examples(
    explainer: judge.CountingExplainer, prepared: Prepared, model: str, own: pd.DataFrame
) -> list[dict[str, Any]]:
    """Features at QUANTILES of the scores, each on its strongest excerpt and a random active one.

    Returns:
        feature, explanation, simulation_r and contexts (tokens, true, simulated) of each.
    """
    rows = own[(own["model"] == model) & own["able"]]
    rows = rows.dropna(subset="simulation_r").sort_values(["simulation_r", "feature"])
    chosen = [round(q * (len(rows) - 1)) for q in QUANTILES] if len(rows) else []
    columns, excerpts, text = prepared.judged[model]
    found = []
    for row in rows.iloc[chosen].itertuples():
        feature = np.array([row.feature])
        strongest, active = excerpts.simulated[row.feature][0], excerpts.active[row.feature]
        drawn = active[active != strongest][:1]
        where = text.positions_of(np.array([[strongest, *drawn]]))
        true, simulated = true_values(columns, feature, where), explainer.simulate(feature, where)
        contexts = []
        for positions, a, b in zip(where[0], true[0], simulated[0], strict=True):
            there = positions != NONE
            tokens = [prepared.vocabulary[t] for t in text.tokens[positions[there]]]
            if tokens:
                contexts.append((tokens, a[there].tolist(), b[there].tolist()))
        about = {"explanation": row.explanation, "simulation_r": float(row.simulation_r)}
        found.append({"feature": int(row.feature), **about, "contexts": contexts})
    return found


def score(
    prepared: Prepared,
    explainers: Mapping[str, judge.CountingExplainer | ChatExplainer],
    sample: Mapping[str, np.ndarray] | None = None,
) -> Scores:
    """What one explainer says of every model, scored on all features or on those of `sample`."""
    sample = sample or {model: np.arange(len(able)) for model, able in prepared.able.items()}
    persisting = found_in_neighbour(prepared.lineage, prepared.trackings)
    own, mates = [], []
    for model, explainer in explainers.items():
        judged, chosen = prepared.judged[model], sample[model]
        able = chosen[prepared.able[model][chosen]]
        others = shuffled(able, prepared.seed)
        shuffled_r = judge.score_on_others(explainer, others, judged, able)
        table = judge.score_own(explainer, judged, chosen)
        table.insert(0, "model", model)
        table["able"] = prepared.able[model][chosen]
        table["persisting"] = persisting[model][chosen]
        density = np.diff(judged.columns.indptr) / len(prepared.text.tokens)
        table["density"] = density[chosen]
        table["shuffled_r"] = table["feature"].map(pd.Series(shuffled_r, index=able))
        own.append(table)
    for parent, child in prepared.lineage.edges:
        partner = prepared.trackings[parent, child].parent_partner[sample[parent]]
        i, j = sample[parent][partner >= 0], partner[partner >= 0]
        judged = prepared.judged[child]
        pairs = {"feature": i, "mate": j}
        pairs["foreign_r"] = judge.score_on_others(explainers[parent], i, judged, j)
        pairs["own_r"] = judge.score_on_others(explainers[child], j, judged, j)
        table = pd.DataFrame({"parent": parent, "child": child, **pairs})
        table["explainer"] = explainers[parent].name
        mates.append(table)
    return Scores(pd.concat(own, ignore_index=True), pd.concat(mates, ignore_index=True))
