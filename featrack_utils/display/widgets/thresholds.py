"""The threshold τ: how many features match at each, beside what could match at most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import ipywidgets
import pandas as pd

from featrack_utils.dictionaries.features import Features
from featrack_utils.display import flowplot
from featrack_utils.display.style import pair_label
from featrack_utils.display.tables import show_table
from featrack_utils.display.widgets.panel import Panel, connect, labelled, picture
from featrack_utils.display.widgets.reading import PAIRS
from featrack_utils.matching import classes, correlation, flow
from featrack_utils.matching.correlation import BestMatches
from featrack_utils.pipeline.config import EDGES

_STAGES = (("base", "lua"), ("base", "stories"), ("lua", "merged"), ("stories", "merged"))


class Known(NamedTuple):
    """Best matches, made once, from which every threshold can be read off.

    Attributes:
        between: of the dictionaries of seed 0, by pair of models (`reading.PAIRS`).
        within: of each model's dictionaries of seeds 0 and 1.
    """

    between: Mapping[tuple[str, str], BestMatches]
    within: Mapping[str, BestMatches]


def known_matches(found: Mapping[str, Features], min_positions: int, min_documents: int) -> Known:
    """Matches between four models and within each; `found` by name ("base-0", "base-1", …)."""
    able = {
        name: classes.eligible(each.acts, each.origin, min_positions, min_documents)
        for name, each in found.items()
    }

    def best(a: str, b: str) -> BestMatches:
        return correlation.correlations(
            found[a].acts, found[b].acts, eligible_a=able[a], eligible_b=able[b]
        )

    parents = dict.fromkeys(a for a, _ in EDGES)
    return Known(
        {(a, b): best(f"{a}-0", f"{b}-0") for a, b in PAIRS},
        {model: best(f"{model}-0", f"{model}-1") for model in parents},
    )


def shares_at(known: Known, tau: float, rule: str) -> pd.DataFrame:
    """Persisting shares at one threshold, seed 0: columns pair, share, ceiling, ratio.

    The ceiling is the share of the parent's features that its dictionary of seed 1 has; the
    ratio to a ceiling of zero isn't defined (None).

    Raises:
        FeatrackError: τ outside (0, 1), an unknown rule, or no eligible feature.
    """
    rows = []
    for a, b in EDGES:
        share = classes.classify(known.between[a, b], tau, rule).persisting_share
        ceiling = classes.classify(known.within[a], tau, rule).persisting_share
        ratio = share / ceiling if ceiling > 0 else None
        rows.append({"pair": f"{a}_{b}", "share": share, "ceiling": ceiling, "ratio": ratio})
    return pd.DataFrame(rows)


def volumes_at(known: Known, tau: float, rule: str) -> pd.DataFrame:
    """What flows from stage to stage at one threshold; see `featrack_utils.matching.flow.flow`."""
    return flow.flow(*(classes.classify(known.between[stage], tau, rule) for stage in _STAGES))


def shares_html(shares: pd.DataFrame) -> str:
    """The table of `shares_at` for a page."""
    readable = shares.assign(pair=shares["pair"].map(pair_label))
    return show_table(
        readable,
        {name: ".1%" for name in ("share", "ceiling", "ratio")},
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
    said, table, diagram = (ipywidgets.HTML() for _ in range(3))

    def update() -> None:
        shares = shares_at(known, slider.value, rule)
        volumes = volumes_at(known, slider.value, rule)
        table.value = shares_html(shares)
        first = shares.iloc[0]
        diagram.value = picture(
            flowplot.flow_diagram(volumes),
            f"Flow of features at τ = {slider.value:.2f}; {pair_label(first['pair'])}: "
            f"{first['share']:.0%} persist",
        )

    connect([slider], update, said, [table, diagram])
    return Panel("threshold slider", [slider, said, table, diagram])
