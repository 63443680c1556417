"""Best matches of made-up dictionaries, as a run's artefact of matches would hold them."""

from itertools import combinations

from featrack_utils.matching.classes import eligible
from featrack_utils.matching.correlation import correlations


def all_matches(lineage, features, min_positions, min_documents):
    """Best matches between each two models, over eligible features; `features` by model."""
    able = {
        model: eligible(f.acts, f.origin, min_positions, min_documents)
        for model, f in features.items()
    }
    return {
        (a, b): correlations(
            features[a].acts, features[b].acts, eligible_a=able[a], eligible_b=able[b]
        )
        for a, b in combinations(lineage.order, 2)
    }
