"""Universal features: chains of matches along every step of a lineage."""

from itertools import product

import numpy as np
import pandas as pd
from jaxtyping import Bool

from featrack_utils.lineage import Lineage
from featrack_utils.matching.classes import require_pairs
from featrack_utils.matching.correlation import check_correlation
from featrack_utils.matching.flow import Best, steps

Links = dict[tuple[str, str], pd.DataFrame]  # by step: features of both models, and min_r
_LEVELS = 6  # of r, from 1 down to tau


def universal_chains(lineage: Lineage, best: Best, tau: float) -> pd.DataFrame:
    """Features with matches through all models of a lineage: one chain for each root feature.

    A chain has one feature of each model, with r > `tau` along every step from a model to one
    that is made from it. Of a root feature's chains it is the one with the largest smallest r.
    `best` holds the matches of every step.

    Columns: the models in order, and min_r, the smallest r. Largest min_r first.

    Raises:
        FeatrackError: `tau` outside (0, 1), or pairs not known down to `tau`.
    """
    check_correlation(tau, "tau")
    links = {}
    for parent, child in steps(lineage):
        require_pairs(best[parent, child], tau)
        i, j, r = best[parent, child].pairs
        links[parent, child] = pd.DataFrame({parent: i, child: j, "min_r": r})
    # The strongest come first: of a root feature with a strong chain no weaker link matters.
    # Where many features are copies of each other that leaves a fifth of the work.
    found, solved = [], []
    for least in np.linspace(1, tau, _LEVELS + 1)[1:]:
        strong = {step: each[each.min_r > least] for step, each in links.items()}
        for step in strong:
            if lineage.root in step:
                strong[step] = strong[step][~strong[step][lineage.root].isin(solved)]
        found.append(_joined(lineage, _connected(lineage, strong)))
        solved += found[-1][lineage.root].tolist()
    chains = pd.concat(found)
    chains = chains.sort_values(["min_r", lineage.root], ascending=[False, True], ignore_index=True)
    return chains[[*lineage.order, "min_r"]]


def in_chains(lineage: Lineage, best: Best, tau: float) -> dict[str, Bool[np.ndarray, " d_sae"]]:
    """Which features belong to a chain of matches through all models, by model."""
    chains = universal_chains(lineage, best, tau)
    sizes = {child: best[parent, child].b_candidates.size for parent, child in lineage.edges}
    sizes[lineage.root] = best[lineage.edges[0]].a_candidates.size
    return {model: np.isin(range(sizes[model]), chains[model]) for model in lineage.order}


def _connected(lineage: Lineage, links: Links) -> Links:
    """The links between features that have a link along every step of their model."""
    for model in lineage.order:
        here = [step for step in links if model in step]
        for one, other in product(here, here):
            links[one] = links[one][links[one][model].isin(links[other][model])]
    return links


def _joined(lineage: Lineage, links: Links) -> pd.DataFrame:
    """Of each root feature that has chains of these links the strongest."""
    parts = [({*step}, each) for step, each in links.items()]
    # Models are taken out one by one: all links of the model are joined, and of the chains that
    # agree in the neighbours still to be joined only the strongest is kept.
    for model in lineage.order[1:]:
        here = [part for part in parts if model in part[0]]
        parts = [part for part in parts if model not in part[0]]
        open_models, joined = here[0]
        for models, more in here[1:]:
            joined, open_models = _join(joined, more, open_models & models), open_models | models
        open_models = open_models - {model}
        parts.append((open_models, _strongest(joined, lineage, open_models)))
    chains = parts[0][1]
    for _, more in parts[1:]:
        chains = _join(chains, more, {lineage.root})
    return chains


def _join(one: pd.DataFrame, other: pd.DataFrame, shared: set[str]) -> pd.DataFrame:
    """Chains that agree in the shared models, as strong as the weaker of the two."""
    joined = one.merge(other, on=sorted(shared), suffixes=("", "_other"))
    weaker = joined[["min_r", "min_r_other"]].min(axis=1)
    return joined.assign(min_r=weaker).drop(columns="min_r_other")


def _strongest(chains: pd.DataFrame, lineage: Lineage, agree: set[str]) -> pd.DataFrame:
    """Of the chains that agree in some models the one with the largest min_r.

    Ties go to the lowest numbers, the later models' first.
    """
    models = [model for model in reversed(lineage.order) if model in chains.columns]
    ranked = chains.sort_values(["min_r", *models], ascending=[False, *[True] * len(models)])
    return ranked.drop_duplicates(sorted(agree))
