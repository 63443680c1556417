"""Choices of the published code, as switches on features that are there already.

Each switch changes what is compared; the comparison stays the same (`book/method.md`, published
code).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import sparse

from featrack_utils.dictionaries.features import Features

if TYPE_CHECKING:
    from sae_lens import SAE

_ROWS = 4096  # positions decoded and encoded at once


@torch.no_grad()
def on_reconstructions(features: Features, sae: SAE) -> Features:
    """Features of the dictionary's own reconstructions instead of the model's activations.

    What a dictionary finds when its reconstruction has taken the activations' place.
    """
    d_sae = features.acts.shape[1]
    # Decoding is linear, so sparse features need one small product a position.
    constant = sae.decode(torch.zeros(1, d_sae))
    directions = (sae.decode(torch.eye(d_sae)) - constant).numpy()
    parts = []
    for start in range(0, features.acts.shape[0], _ROWS):
        decoded = torch.from_numpy(features.acts[start : start + _ROWS] @ directions) + constant
        parts.append(sparse.csr_matrix(sae.encode(decoded).numpy()))
    return features._replace(acts=sparse.vstack(parts, format="csr"))


def on_other_corpora(
    parent: Features, child: Features, domains: Sequence[int]
) -> tuple[Features, Features]:
    """The parent on some domains and the child on all others, as one token stream.

    Each is silent where the other reads. Correlation over token strings doesn't mind: it
    describes a feature by token strings, which all corpora share, wherever it met them.
    """
    first = np.isin(parent.domain, domains)
    silenced = []
    for features, rows in ((parent, first), (child, ~first)):
        keep = sparse.diags_array(rows.astype(np.float32), format="csr")
        acts = sparse.csr_matrix(keep @ features.acts)
        acts.eliminate_zeros()
        silenced.append(features._replace(acts=acts))
    return silenced[0], silenced[1]
