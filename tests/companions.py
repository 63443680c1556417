"""What every share in results.json stands beside, and which shares can't, and why."""

import re
from collections.abc import Mapping

COMPANIONS = ("ci_low", "ci_high", "ceiling", "ratio_to_ceiling")

_NULLS = ("ceiling", "ratio_to_ceiling")
# Which shares may lack companions: a pattern of their names, the companions, the reason.
ALONE = (
    (
        r"track\.\w+\.unobserved_share",
        COMPANIONS,
        "counted, not matched: whether a feature is active often enough is a fact about the mix",
    ),
    (
        r"(sae|robust)\.[\w.-]*(dead|dense|copies)_share",
        COMPANIONS,
        "describes one dictionary by itself; other seeds stand beside it",
    ),
    (
        r"neurons\.\w+\.(share|same_best_share)",
        _NULLS,
        "neurons keep their index, so an unchanged model has 1",
    ),
    (
        r"gone\.[\w.-]+\.gone_share",
        ("ceiling", "ratio_to_ceiling"),
        "a loss: what an unchanged model would seem to lose is its floor",
    ),
    (
        r"case\.\w+\.share",
        COMPANIONS,
        "a rule for choosing an example, not a finding",
    ),
    (
        r"(case|changes\.exceptions)\.class_share",
        COMPANIONS,
        "a setting of such a rule",
    ),
    (
        r"merge\.sample\.\w+\.break_share",
        COMPANIONS,
        "describes the samples shown; says nothing about features",
    ),
    (
        r"changes\.\w+\.(missed|far)_share",
        _NULLS,
        "what dictionaries of the unchanged base miss stands in other rows of its table",
    ),
    (
        r"look\.\w+\.mean_share",
        _NULLS,
        "of a difference: an unchanged child has none",
    ),
    (
        r"live\.tau_\w+\.share",
        COMPANIONS,
        "what a control shows at one setting; the chapter on ceilings has the measurement",
    ),
    (
        r"calibration\.\w+\.share",
        _NULLS,
        "the planted share stands beside it, which is the truth",
    ),
    (
        r"robust\.[\w.-]+\.share",
        ("floor",),
        "stands beside the share of the chapter on ceilings, whose floor is its own",
    ),
    (
        r"published\.(definition_a|strings_with_zeros|other_corpora_a|by_correlation)\.share",
        ("ci_low", "ci_high"),
        "counted by token strings, of which a draw of documents would leave some out",
    ),
    (
        r"track\.\w+\.(merging|splitting)_share",
        COMPANIONS,
        "says how matches are shared out; the parent's own dictionaries stand beside it",
    ),
    (
        r"track\.universal_share",
        _NULLS,
        "its ceiling takes three dictionaries of the root",
    ),
    (
        r"track\.\w+\.assignment_share",
        ("ci_low", "ci_high"),
        "solved once, not in every draw",
    ),
    (
        r"merge\.[\w.-]+\.survival_novel_share",
        _NULLS,
        "not found: what a parent's other dictionary would seem to add is its floor",
    ),
    (
        r"along\.\w+\.\w+\.\w+\.\w+_share",
        _NULLS,
        "at one weight, the other weights and the random MLP's share stand beside it",
    ),
    (
        r"along\.\w+\.(alive|dead)_with_match_share",
        _NULLS,
        "each of the two is the other's yardstick",
    ),
    (
        r"along\.\w+\.(novel|partnered)\.decodable_share",
        _NULLS,
        "the share of the norm-matched mixture stands beside it",
    ),
    (
        r"crosscoder\.\w+_share",
        _NULLS,
        "of one dictionary for two models; the crosscoder with the random MLP stands beside it",
    ),
    (
        r"(crosscoder\.(planted|invented)|planted\.\d+\.\w+)\.\w+_share",
        _NULLS,
        "against a planted truth, which an unchanged model doesn't have",
    ),
    (
        r"track\.(\w+\.(disappearing|emerging)_share|\w+_origin\.novel)",
        _NULLS,
        "not found: what an unchanged model would seem to lose is its floor",
    ),
)
_SHARE = re.compile(r"(?:.+_share|.+\.share|track\.\w+_origin\.\w+)")


def shares(results: Mapping[str, float | None]) -> list[str]:
    """Names of the shares among the results, in order."""
    return sorted(name for name in results if _SHARE.fullmatch(name))


def reasons(name: str) -> dict[str, str]:
    """The companions that a share may lack, each with its reason."""
    return {
        companion: reason
        for pattern, lacking, reason in ALONE
        if re.fullmatch(pattern, name)
        for companion in lacking
    }


def unexplained(results: Mapping[str, float | None]) -> list[str]:
    """Companions that results lack without one of the reasons: "track.x_share.ceiling".

    A ratio to a ceiling that can't be told from zero isn't defined, which is reason enough; nor
    is one where single draws give no ceiling, as they may below half of it.
    """
    lacking = []
    for name in shares(results):
        missing = {c for c in COMPANIONS if f"{name}.{c}" not in results} - set(reasons(name))
        least = results.get(f"{name}.ceiling.ci_low", results.get(f"{name}.ceiling"))
        if least is not None and least <= results.get(f"{name}.ceiling", 0) / 2:
            missing.discard("ratio_to_ceiling")
        lacking += [f"{name}.{companion}" for companion in COMPANIONS if companion in missing]
    return lacking
