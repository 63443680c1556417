"""When a feature of one model is a feature of another: eligibility, rules, classes, shares.

The classes are those of `book/method.md`. A parent is the model that was trained further or merged,
a child what came of it. Features outside the candidates of a `BestMatches` are *unobserved*: a
class of their own, in neither the numerator nor the denominator of a share.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from featrack_utils.errors import FeatrackError
from featrack_utils.matching.correlation import BestMatches, Pairs, check_correlation, members

RULES = ("best", "mutual", "assignment")


class Tracking(NamedTuple):
    """Class and partner of every feature of a parent and of its child, by one rule."""

    parent: np.ndarray  # str [d_parent]: persisting, disappearing or unobserved
    child: np.ndarray  # str [d_child]: matched, emerging or unobserved
    parent_partner: np.ndarray  # int32 [d_parent], index of the child feature; −1: none
    child_partner: np.ndarray  # int32 [d_child], index of the parent feature; −1: none

    def share(self, name: str) -> float:
        """A class's part of the eligible features, and that of `unobserved` of all.

        Emerging are some of the child's features, all others of the parent's.
        """
        of = self.child if name == "emerging" else self.parent
        judged = of.size if name == "unobserved" else np.count_nonzero(of != "unobserved")
        return float(np.count_nonzero(of == name) / judged)


def eligible(
    acts: sparse.csr_matrix,
    origin: np.ndarray,
    min_positions: int = 30,
    min_documents: int = 10,
) -> np.ndarray:
    """Features seen often enough for their correlations to mean something; bool [d_sae].

    Active (> 0) at `min_positions` token positions or more, in `min_documents` distinct
    origins or more. `acts` [n_tokens, d_sae], `origin` int [n_tokens].
    """
    d_sae = acts.shape[1]
    active = acts.data > 0
    positions = np.bincount(acts.indices[active], minlength=d_sae)
    counted = sparse.csr_array((active.astype(np.int32), acts.indices, acts.indptr), acts.shape)
    by_document = members(origin, int(origin.max(initial=0)) + 1) @ counted
    documents = np.bincount(by_document.indices[by_document.data > 0], minlength=d_sae)
    return (positions >= min_positions) & (documents >= min_documents)


def classify(best: BestMatches, tau: float, rule: str = "best") -> Tracking:
    """Classes of a parent's features (the a of `best`) and of its child's (the b).

    - `best`: a feature has a match if its best r with an eligible feature exceeds `tau`;
    - `mutual`: … and if it's the best match of its best match, too;
    - `assignment`: one to one, the assignment of largest total r among the pairs above the
      floor of `best`; a pair counts if its r exceeds `tau`.

    Raises:
        FeatrackError: `tau` outside (0, 1), an unknown rule, a floor above `tau`, or no
            eligible feature on one side, where no share is defined.
    """
    check_correlation(tau, "tau")
    for name, candidates in (("parent", best.a_candidates), ("child", best.b_candidates)):
        if not candidates.any():
            raise FeatrackError(
                f"none of the {name}'s {candidates.size} features is eligible, so no share is "
                "defined: evaluate on more text or train its dictionary longer."
            )

    if rule == "best":
        partner = np.where(best.a_best_r > tau, best.a_best_index, -1)
        child_partner = np.where(best.b_best_r > tau, best.b_best_index, -1)
    elif rule == "mutual":
        back = best.b_best_index[best.a_best_index]
        mutual = (best.a_best_r > tau) & (back == np.arange(back.size))
        partner = np.where(mutual, best.a_best_index, -1)
    elif rule == "assignment":
        require_pairs(best, tau)
        i, j, r = assignment(best.pairs)
        partner = np.full(best.a_candidates.size, -1)
        partner[i[r > tau]] = j[r > tau]
    else:
        raise FeatrackError(f"rule is {rule!r}: choose one of {', '.join(RULES)}.")
    if rule != "best":  # one to one
        child_partner = np.full(best.b_candidates.size, -1)
        child_partner[partner[partner >= 0]] = np.flatnonzero(partner >= 0)

    def classes(candidates, partner, with_one: str, without: str) -> np.ndarray:
        return np.where(candidates, np.where(partner >= 0, with_one, without), "unobserved")

    return Tracking(
        parent=classes(best.a_candidates, partner, "persisting", "disappearing"),
        child=classes(best.b_candidates, child_partner, "matched", "emerging"),
        parent_partner=partner.astype(np.int32),
        child_partner=child_partner.astype(np.int32),
    )


def turned(best: BestMatches) -> BestMatches:
    """The same matches with the two dictionaries in each other's place."""
    i, j, r = best.pairs
    order = np.lexsort((i, j))
    a_r, a_index, b_r, b_index, a_candidates, b_candidates, _, floor = best
    pairs = Pairs(j[order], i[order], r[order])
    return BestMatches(b_r, b_index, a_r, a_index, b_candidates, a_candidates, pairs, floor)


def require_pairs(best: BestMatches, tau: float) -> None:
    """Refuse matches whose list of pairs leaves out some with r > `tau`."""
    if best.floor > tau:
        raise FeatrackError(
            f"pairs are known only above r = {best.floor}, and tau is {tau}: "
            "correlate again with a floor no higher than tau."
        )


def assignment(pairs: Pairs) -> Pairs:
    """The one-to-one choice among `pairs` with the largest sum of r, all r being positive."""
    if pairs.r.size == 0:
        return pairs
    rows, i = np.unique(pairs.i, return_inverse=True)
    columns, j = np.unique(pairs.j, return_inverse=True)
    # A full matching of the rows always exists because each may take a column of its own,
    # which costs as much as r = 0. The shift by 2 keeps every cost from being a sparse zero.
    own = sparse.diags_array(np.full(rows.size, 2.0))
    r = sparse.csr_array((pairs.r, (i, j)), shape=(rows.size, columns.size))
    shifted = sparse.csr_array((2 - pairs.r, (i, j)), shape=r.shape)
    row, column = min_weight_full_bipartite_matching(sparse.hstack([shifted, own], format="csr"))
    real = column < columns.size
    row, column = row[real], column[real]
    return Pairs(rows[row], columns[column], r[row, column])
