"""Explains and scores the features of a run's dictionaries: the artefact `interpretation`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy import sparse
from transformers import AutoTokenizer

from featrack_utils.dictionaries import features
from featrack_utils.dictionaries.features import Features
from featrack_utils.interpretation import contexts
from featrack_utils.interpretation.explain import lookup
from featrack_utils.interpretation.explain.chat import ChatExplainer, ChatServer
from featrack_utils.interpretation.explain.excerpts import (
    TOP,
    EvaluationText,
    Numbers,
    as_text,
    excerpts_to_judge,
    true_values,
)
from featrack_utils.interpretation.explain.lookup import Lookup
from featrack_utils.interpretation.explain.score import shuffled, simulation_r
from featrack_utils.lineage import Lineage
from featrack_utils.matching.best_matches import FOLDER, open_matches
from featrack_utils.matching.classes import Tracking, eligible
from featrack_utils.matching.fates import found_in_neighbour
from featrack_utils.pipeline import store
from featrack_utils.pipeline.profile import Interpretation

ANSWERS = "answers"  # folder of a run: what was asked is no artefact to be made anew
COLUMNS = ("model", "feature", "explainer", "explanation", "simulation_r")


class Subject(NamedTuple):
    """One dictionary whose features are explained."""

    columns: sparse.csc_matrix  # activations, [n_tokens, d_sae]
    excerpts: Int[np.ndarray, "d_sae n_excerpts"]  # what each feature is judged on
    able: Bool[np.ndarray, " d_sae"]  # seen often enough
    persisting: Bool[np.ndarray, " d_sae"]  # a neighbouring model has it, too; none of a control


class Prepared(NamedTuple):
    """What explanations are learnt from and judged on."""

    text: EvaluationText
    subjects: dict[str, Subject]  # by model, and by the name of a control's dictionary
    trackings: Mapping[tuple[str, str], Tracking]  # along every edge
    vocabulary: Sequence[str]  # text of each token
    seed: int


class Scores(NamedTuple):
    """Scores of every explainer.

    Attributes:
        own: one row per model or control, feature and explainer. Columns: model, feature,
            explainer, explanation, simulation_r (top and random excerpts), random_r (random ones
            only: all held-out text where simulating costs nothing), shuffled_r (the score of
            another feature's explanation), able, persisting, density. NaN: not defined.
        mates: one row per edge, pair of matched features and explainer: foreign_r, the parent's
            explanation scored on the child's feature, and own_r, the child's own.
    """

    own: pd.DataFrame
    mates: pd.DataFrame


def explain_run(
    run: Path,
    lineage: Lineage,
    settings: Interpretation,
    controls: Iterable[str],
    context: int,
    seed: int,
    min_positions: int,
    min_documents: int,
) -> Path:
    """Makes the artefact `interpretation` of a run, unless it is up to date; gives its folder.

    Of each model the dictionary of the first SAE seed is explained; `controls` are control models
    by the names of their dictionaries.

    Raises:
        FeatrackError: features, matches or the tokenizer are missing or damaged, or the chat
            model can't be asked (`ChatServer.ask`).
    """
    matches, controls = open_matches(run), list(controls)
    first = {model: names[0] for model, names in matches.names.items()}
    names = [*first.values(), *controls]

    def build(folder: Path) -> None:
        opened = features.open_named(run, names)
        place = store.opened(run / "corpora") / "tokenizer"
        tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True)
        prepared = prepare(
            lineage,
            {model: opened[name] for model, name in first.items()}
            | {name: opened[name] for name in controls},
            {(a, b): matches.tracking(first[a], first[b]) for a, b in lineage.edges},
            contexts.vocabulary(tokenizer),
            block=context - 1,
            seed=seed,
            min_positions=min_positions,
            min_documents=min_documents,
        )
        write(folder, lineage, prepared, settings, run / ANSWERS)

    return store.make(
        run / "interpretation",
        build,
        parameters={
            "context": context,
            "seed": seed,
            "edges": [list(edge) for edge in lineage.edges],
            "controls": controls,
            "min_positions": min_positions,
            "min_documents": min_documents,
            **settings.model_dump(),
        },
        inputs=[*(run / "features" / name for name in names), run / FOLDER, run / "corpora"],
        code=[sys.modules[__name__]],
    )


def prepare(
    lineage: Lineage,
    found: Mapping[str, Features],
    trackings: Mapping[tuple[str, str], Tracking],
    vocabulary: Sequence[str],
    *,
    block: int,
    seed: int,
    min_positions: int,
    min_documents: int,
) -> Prepared:
    """Splits the text and chooses what to judge on; `found` by model, controls included.

    Raises:
        FeatrackError: the positions don't fill blocks, or a domain has one document only.
    """
    text = as_text(found[lineage.root], block, seed)
    persisting = found_in_neighbour(lineage, trackings)
    subjects = {}
    for model, each in found.items():
        columns = contexts.by_feature(each.acts)
        subjects[model] = Subject(
            columns,
            excerpts_to_judge(columns, text, seed),
            eligible(each.acts, each.origin, min_positions, min_documents),
            persisting.get(model, np.zeros(columns.shape[1], bool)),
        )
    return Prepared(text, subjects, trackings, vocabulary, seed)


def count(prepared: Prepared) -> dict[str, Lookup]:
    """Explanations by counting, by model."""
    return {
        model: lookup.learn(each.columns.tocsr(), prepared.text, prepared.vocabulary)
        for model, each in prepared.subjects.items()
    }


def ask(prepared: Prepared, settings: Interpretation, answers: Path) -> Scores:
    """A sample of each model's features, explained by a chat model.

    Raises:
        FeatrackError: see `ChatServer.ask`. Whatever was answered is kept for the next run.
    """
    server = ChatServer(settings.base_url, settings.key_variable, answers, settings.max_requests)
    explainers, sample = {}, {}
    for model, each in prepared.subjects.items():
        explainers[model] = ChatExplainer(
            server,
            settings.chat_model,
            model,
            each.columns,
            prepared.text,
            prepared.vocabulary,
            prepared.seed,
        )
        drawn = np.random.default_rng(prepared.seed).permutation(np.flatnonzero(each.able))
        sample[model] = np.sort(drawn[: settings.explained_features])
    return score(prepared, explainers, sample)


def write(
    folder: Path, lineage: Lineage, prepared: Prepared, settings: Interpretation, answers: Path
) -> None:
    """Fills `folder`.

    interpretations.parquet has COLUMNS, one row per feature of the models: the chat model's where
    it said something, and the lookup's elsewhere. scores.parquet and mates.parquet are the tables
    of `Scores`.
    """
    scores = [score(prepared, count(prepared))]
    if settings.explainer == "endpoint":
        scores.append(ask(prepared, settings, answers))
    own, mates = (pd.concat(tables, ignore_index=True) for tables in zip(*scores, strict=True))
    own.to_parquet(folder / "scores.parquet", index=False)
    mates.to_parquet(folder / "mates.parquet", index=False)
    said = own[(own["explanation"] != "") & own["model"].isin(lineage.order)]
    said = said.drop_duplicates(["model", "feature"], keep="last")
    place = said["model"].map(lineage.order.index)
    table = said.assign(place=place).sort_values(["place", "feature"])[list(COLUMNS)]
    table.to_parquet(folder / "interpretations.parquet", index=False)


def score(
    prepared: Prepared,
    explainers: Mapping[str, Lookup | ChatExplainer],
    sample: Mapping[str, Numbers] | None = None,
) -> Scores:
    """What one explainer says of every model, scored on all features or on those of `sample`."""
    subjects, text = prepared.subjects, prepared.text
    sample = sample or {model: np.arange(len(each.able)) for model, each in subjects.items()}

    def scored(explainer: Lookup | ChatExplainer, sources: Numbers, on: str, targets: Numbers):
        """Simulated and true activations, for explanations of `sources` on other features."""
        where = text.positions_of(subjects[on].excerpts[targets])
        return explainer.simulate(sources, where), true_values(subjects[on].columns, targets, where)

    own, mates = [], []
    for model, explainer in explainers.items():
        each, chosen = subjects[model], sample[model]
        simulated, true = scored(explainer, chosen, model, chosen)
        if isinstance(explainer, Lookup):
            random_r = everywhere_r(explainer, each.columns, chosen)
        else:
            random_r = simulation_r(simulated[:, TOP:], true[:, TOP:])
        able = chosen[each.able[chosen]]
        shuffled_r = simulation_r(*scored(explainer, shuffled(able, prepared.seed), model, able))
        table = {
            "model": model,
            "feature": chosen.astype(np.int32),
            "explainer": explainer.name,
            "explanation": [explainer.explanation(feature) for feature in chosen],
            "simulation_r": simulation_r(simulated, true),
            "random_r": random_r,
            "shuffled_r": pd.Series(shuffled_r, index=able).reindex(chosen).to_numpy(),
            "able": each.able[chosen],
            "persisting": each.persisting[chosen],
            "density": each.columns.getnnz(axis=0)[chosen] / len(text.tokens),
        }
        own.append(pd.DataFrame(table))
    for (parent, child), tracking in prepared.trackings.items():
        i = sample[parent][tracking.parent_partner[sample[parent]] >= 0]
        j = tracking.parent_partner[i]
        table = {
            "parent": parent,
            "child": child,
            "feature": i,
            "mate": j,
            "foreign_r": simulation_r(*scored(explainers[parent], i, child, j)),
            "own_r": simulation_r(*scored(explainers[child], j, child, j)),
            "explainer": explainers[parent].name,
        }
        mates.append(pd.DataFrame(table))
    return Scores(pd.concat(own, ignore_index=True), pd.concat(mates, ignore_index=True))


def everywhere_r(
    explainer: Lookup, columns: sparse.csc_matrix, chosen: Numbers
) -> Float[np.ndarray, " n"]:
    """r of what a lookup simulates with true activations over all held-out text."""
    held = ~explainer.text.learn
    pairs, true = explainer.text.pair[held], columns[held]
    each = ((explainer.values(f)[pairs], true[:, [f]].toarray()[:, 0]) for f in chosen)
    return np.array([simulation_r(a[None], b[None])[0] for a, b in each])
