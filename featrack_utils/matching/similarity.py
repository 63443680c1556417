"""Other ways to compare matched features (`book/method.md`, other yardsticks)."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import sparse
from scipy.stats import spearmanr

from featrack_utils.matching.correlation import BestMatches, checked, same_positions

YARDSTICKS = {
    "decoder_cosine": "decoder cosine",
    "jaccard": "shared tokens (Jaccard)",
    "spearman": "strength where both fire (Spearman)",
    "logit_cosine": "logit effects (cosine)",
}
_LEAST_TOKENS = 10  # on which both are active, for their order to mean something


class Side(NamedTuple):
    """What the yardsticks need of a dictionary: its activations, and how it writes.

    `writing` is (W_dec [d_sae, d_mlp], W_out [d_mlp, d_model], W_U [d_model, vocab]).
    """

    acts: sparse.csr_matrix  # [n_tokens, d_sae]
    writing: tuple[np.ndarray, np.ndarray, np.ndarray]


def yardsticks(best: BestMatches, a: Side, b: Side, tau: float) -> pd.DataFrame:
    """Every yardstick on each of a's best matches with r > `tau`, a row for each.

    Columns: parent, child, r, and `YARDSTICKS`; NaN where one isn't defined (a direction of length
    zero, features that are both active on fewer than ten tokens or constant there). The final
    normalisation is left out of the effects on the logits.

    Raises:
        FeatrackError: `a` and `b` differ in positions.
    """
    same_positions(a.acts, b.acts)
    i = np.flatnonzero(best.a_best_r > tau)
    j = best.a_best_index[i]
    x, y = checked(a.acts)[:, i].tocsc(), checked(b.acts)[:, j].tocsc()
    both_x, both_y = (
        one.multiply(other > 0).tocsc() for one, other in ((x, y), (y, x))
    )  # strengths where both are active
    shared = both_x.getnnz(axis=0)
    either = x.getnnz(axis=0) + y.getnnz(axis=0) - shared
    ordered = np.full(i.size, np.nan)
    for pair in np.flatnonzero(shared >= _LEAST_TOKENS):
        here = slice(both_x.indptr[pair], both_x.indptr[pair + 1])
        one, other = both_x.data[here], both_y.data[here]
        if np.ptp(one) > 0 and np.ptp(other) > 0:
            ordered[pair] = spearmanr(one, other).statistic
    (W_a, *path_a), (W_b, *path_b) = a.writing, b.writing
    W_a, W_b = W_a[i].astype(np.float64), W_b[j].astype(np.float64)
    identity = np.eye(W_a.shape[1])
    return pd.DataFrame(
        {
            "parent": i,
            "child": j,
            "r": best.a_best_r[i],
            "decoder_cosine": _cosine(W_a, W_b, identity, identity),
            "jaccard": shared / np.where(either > 0, either, np.nan),
            "spearman": ordered,
            "logit_cosine": _cosine(W_a, W_b, np.matmul(*path_a), np.matmul(*path_b)),
        }
    )


def _cosine(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "n d"],
    x_to: Float[np.ndarray, "d k"],
    y_to: Float[np.ndarray, "d k"],
) -> Float[np.ndarray, " n"]:
    """Cosines of the rows of x @ x_to and y @ y_to, which are never held; k may be a vocabulary."""

    def product(x: np.ndarray, x_to: np.ndarray, y: np.ndarray, y_to: np.ndarray) -> np.ndarray:
        return ((x @ (x_to @ y_to.T)) * y).sum(axis=1)

    lengths = product(x, x_to, x, x_to) * product(y, y_to, y, y_to)
    return product(x, x_to, y, y_to) / np.sqrt(np.where(lengths > 0, lengths, np.nan))
