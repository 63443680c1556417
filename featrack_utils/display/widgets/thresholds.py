"""The threshold τ: how many features match at each, beside what could match at most."""

from __future__ import annotations

import ipywidgets
import pandas as pd
from matplotlib.figure import Figure

from featrack_utils.display.flow_figure import flow_diagram
from featrack_utils.display.style import pair_label
from featrack_utils.display.tables import show_table
from featrack_utils.display.widgets.panel import Panel, labelled, picture
from featrack_utils.lineage import Lineage
from featrack_utils.matching.best_matches import Matches
from featrack_utils.matching.flow import flow


def shares_at(lineage: Lineage, matches: Matches, tau: float, rule: str) -> pd.DataFrame:
    """Persisting shares at one threshold, seed 0: columns pair, share, ceiling, ratio.

    The ceiling is the share of the parent's features that its dictionary of the next seed has; the
    ratio to a ceiling of zero isn't defined (None).

    Raises FeatrackError: τ outside (0, 1), an unknown rule, or no eligible feature.
    """
    rows = []
    for a, b in lineage.edges:
        first, again = matches.names[a][:2]
        share = matches.tracking(first, matches.names[b][0], tau, rule).persisting_share
        ceiling = matches.tracking(first, again, tau, rule).persisting_share
        ratio = share / ceiling if ceiling > 0 else None
        rows.append({"pair": f"{a}_{b}", "share": share, "ceiling": ceiling, "ratio": ratio})
    return pd.DataFrame(rows)


def flow_at(lineage: Lineage, matches: Matches, tau: float, rule: str) -> Figure:
    """The flow diagram of the dictionaries of seed 0 at one threshold."""
    trackings = {
        (a, b): matches.tracking(matches.names[a][0], matches.names[b][0], tau, rule)
        for a, b in lineage.edges
    }
    return flow_diagram(flow(lineage, trackings), lineage)


def threshold_slider(lineage: Lineage, matches: Matches, *, tau: float, rule: str) -> Panel:
    """Slide τ and watch the flow diagram, and each share beside its ceiling."""
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
        shares = shares_at(lineage, matches, tau, rule)
        first = shares.iloc[0]
        words = f"at τ = {tau:.2f}; {pair_label(first['pair'])}: {first['share']:.0%} persist"
        table = show_table(
            shares.assign(pair=shares["pair"].map(pair_label)),
            dict.fromkeys(("share", "ceiling", "ratio"), ".0%"),
            notes={"ceiling": "another seed", "ratio": "share / ceiling"},
        )
        diagram = flow_at(lineage, matches, tau, rule)
        return table.data + picture(diagram, f"Flow of features {words}")

    return Panel("threshold slider", {"tau": slider}, show)
