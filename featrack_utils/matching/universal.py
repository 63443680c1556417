"""Universal chains: a feature of each model, linked by matches; read, and measured together."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from featrack_utils.dictionaries.features import Features
from featrack_utils.interpretation.examples import activation_share
from featrack_utils.pipeline.config import MODELS


def read_chains(path: Path, dictionaries: Sequence[str]) -> pd.DataFrame:
    """Universal chains (`flow.universal_chains`) between given dictionaries, none perhaps.

    `dictionaries` holds one name for each model in order; all choices if it is empty.
    """
    chains = pd.read_csv(path)
    # A file without rows says nothing about types, and features are indices.
    chains = chains.astype(dict.fromkeys(MODELS, np.int64))
    if dictionaries:
        chains = chains[chains["dictionaries"] == " ".join(dictionaries)]
    return chains.reset_index(drop=True)


def peaks(features: Mapping[str, Features], chain: Mapping[str, int]) -> dict[str, float]:
    """Largest activation of a chain's feature in each model; `features` by model."""
    return {m: float(f.acts[:, [int(chain[m])]].max()) for m, f in features.items()}


def share_in_all(
    features: Mapping[str, Features], chain: Mapping[str, int], chosen: np.ndarray
) -> float:
    """The smallest share of activation that a chain's features put on chosen tokens [vocab]."""
    return min(
        float(activation_share(f._replace(acts=f.acts[:, [int(chain[m])]]), chosen)[0])
        for m, f in features.items()
    )
