"""The threshold τ: how many features match at each, beside what could match at most."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import ipywidgets
import pandas as pd

from featrack_utils.dictionaries.features import Features
from featrack_utils.display import flowplot
from featrack_utils.display.style import pair_label
from featrack_utils.display.tables import show_table
from featrack_utils.display.widgets.panel import Panel, labelled, picture
from featrack_utils.lineage import Lineage
from featrack_utils.matching import classes, correlation, flow
from featrack_utils.matching.correlation import BestMatches


class Known(NamedTuple):
    """Best matches, made once, from which every threshold can be read off.

    Attributes:
        between: of the dictionaries of seed 0, by (earlier, later) model of the lineage.
        within: of each parent's dictionaries of seeds 0 and 1.
    """

    lineage: Lineage
    between: Mapping[tuple[str, str], BestMatches]
    within: Mapping[str, BestMatches]


def known_matches(
    lineage: Lineage, found: Mapping[str, Features], min_positions: int, min_documents: int
) -> Known:
    """Matches between all models and within each parent; `found` by name ("base-0", "base-1")."""
    able = {
        name: classes.eligible(each.acts, each.origin, min_positions, min_documents)
        for name, each in found.items()
    }

    def best(a: str, b: str) -> BestMatches:
        return correlation.correlations(
            found[a].acts, found[b].acts, eligible_a=able[a], eligible_b=able[b]
        )

    return Known(
        lineage,
        {(a, b): best(f"{a}-0", f"{b}-0") for a, b in combinations(lineage.order, 2)},
        {model: best(f"{model}-0", f"{model}-1") for model, _ in lineage.edges},
    )


def shares_at(known: Known, tau: float, rule: str) -> pd.DataFrame:
    """Persisting shares at one threshold, seed 0: columns pair, share, ceiling, ratio.

    The ceiling is the share of the parent's features that its dictionary of seed 1 has; the
    ratio to a ceiling of zero isn't defined (None).

    Raises:
        FeatrackError: τ outside (0, 1), an unknown rule, or no eligible feature.
    """
    rows = []
    for a, b in known.lineage.edges:
        share = classes.classify(known.between[a, b], tau, rule).persisting_share
        ceiling = classes.classify(known.within[a], tau, rule).persisting_share
        ratio = share / ceiling if ceiling > 0 else None
        rows.append({"pair": f"{a}_{b}", "share": share, "ceiling": ceiling, "ratio": ratio})
    return pd.DataFrame(rows)


def volumes_at(known: Known, tau: float, rule: str) -> pd.DataFrame:
    """What flows from stage to stage at one threshold; see `featrack_utils.matching.flow.flow`."""
    stages = [edge for edge in known.lineage.edges if edge[0] in known.lineage.parents(edge[1])]
    return flow.flow(*(classes.classify(known.between[edge], tau, rule) for edge in stages))


def shares_html(shares: pd.DataFrame) -> str:
    """The table of `shares_at` for a page."""
    return show_table(
        shares.assign(pair=shares["pair"].map(pair_label)),
        dict.fromkeys(("share", "ceiling", "ratio"), ".0%"),
        notes={"ceiling": "another seed", "ratio": "share / ceiling"},
    ).data


def threshold_slider(known: Known, *, tau: float, rule: str) -> Panel:
    """Slide τ and watch the flow diagram, and each share beside its ceiling.

    Args:
        tau: to begin with.
        rule: of matching, best or mutual.
    """
    slider = labelled(
        ipywidgets.FloatSlider,
        "Threshold τ",
        "Correlation above which two features match",
        value=tau,
        min=0.3,
        max=0.99,
        step=0.01,
        continuous_update=False,
    )

    def show(tau: float) -> str:
        shares = shares_at(known, tau, rule)
        first = shares.iloc[0]
        words = f"at τ = {tau:.2f}; {pair_label(first['pair'])}: {first['share']:.0%} persist"
        diagram = flowplot.flow_diagram(volumes_at(known, tau, rule))
        return shares_html(shares) + picture(diagram, f"Flow of features {words}")

    return Panel("threshold slider", {"tau": slider}, show)
