"""One feature taken out of a model's MLP: what becomes of the next token's probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import ipywidgets
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from featrack_utils.corpora.prepare import Corpora
from featrack_utils.display.shading import shade_contexts, visible
from featrack_utils.display.style import colour_of
from featrack_utils.display.tables import show_table
from featrack_utils.display.widgets.figures import probability_figure
from featrack_utils.display.widgets.live import LiveModel, check_feature, encode, feature_acts
from featrack_utils.display.widgets.panel import Panel, feature_controls, labelled, picture
from featrack_utils.models import capture

_ROWS = 10  # tokens whose probabilities are shown
_NAMED = 12  # active features that the sentence names


class Ablation(NamedTuple):
    """A text read with and without one feature.

    Attributes:
        acts: the feature's activation on each token.
        clean, without: probabilities of the token that comes after the last one.
    """

    acts: Float[np.ndarray, " n"]
    clean: Float[np.ndarray, " vocab"]
    without: Float[np.ndarray, " vocab"]

    @property
    def moved(self) -> float:
        """The share of probability that goes to other tokens (total variation), 0 to 1."""
        return float(np.abs(self.without.astype(np.float64) - self.clean).sum() / 2)


@torch.no_grad()
def ablate(live: LiveModel, ids: Sequence[int], feature: int) -> Ablation:
    """Takes x − f · W_dec of one feature for the MLP's activation x, at every token but the first.

    All else stays, what the dictionary can't explain of x included (book/method.md, ablation).

    Raises FeatrackError: the dictionary has no such feature.
    """
    direction = live.sae.W_dec[check_feature(live, feature)]
    tokens = torch.tensor([list(ids)])

    def taken_out(x: Tensor) -> Tensor:
        f = live.sae.encode(x[:, 1:])[..., feature]
        return torch.cat([x[:, :1], x[:, 1:] - f[..., None] * direction], dim=1)

    clean, without = (
        capture.logits_with(live.bridge, tokens, replace)[0, -1].softmax(-1).numpy()
        for replace in (None, taken_out)
    )
    return Ablation(feature_acts(live, ids)[:, feature], clean, without)


def effects(live: LiveModel, ids: Sequence[int]) -> pd.DataFrame:
    """Every feature active on a text's last token, and what ablating it alone moves.

    Columns: feature, activation, moved (share of the next token's probability, 0 to 1); the one
    that moves most first. No rows if none is active.
    """
    active = active_last(live, ids)
    ablated = [ablate(live, ids, feature) for feature in active]
    rows = [(i, float(one.acts[-1]), one.moved) for i, one in zip(active, ablated, strict=True)]
    table = pd.DataFrame(rows, columns=["feature", "activation", "moved"])
    return table.sort_values("moved", ascending=False, kind="stable", ignore_index=True)


def active_last(live: LiveModel, ids: Sequence[int]) -> list[int]:
    """The features active on a text's last token, strongest first."""
    last = feature_acts(live, ids)[-1]
    ranked = np.argsort(-last, kind="stable")
    return ranked[last[ranked] > 0].tolist()


def largest_changes(ablation: Ablation, corpora: Corpora, count: int = _ROWS) -> pd.DataFrame:
    """The tokens whose probabilities change most, those that lose by the ablation first.

    Among equal changes the likelier tokens come in. Columns: token (text), clean, without, change.
    """
    change = ablation.without - ablation.clean
    chosen = np.lexsort((-ablation.clean, -np.abs(change)))[:count]
    chosen = chosen[np.lexsort((-ablation.clean[chosen], change[chosen]))]
    columns = {"clean": ablation.clean, "without": ablation.without, "change": change}
    return pd.DataFrame(
        {"token": corpora.pieces(chosen)} | {name: each[chosen] for name, each in columns.items()}
    )


def summary(ablation: Ablation, name: str, active: Sequence[int]) -> str:
    """What the ablation moves, and which features could be ablated with an effect."""
    named = ", ".join(map(str, active[:_NAMED])) or "no feature at all"
    more = " and others" if len(active) > _NAMED else ""
    hint = f"Active on the last token, strongest first: {named}{more}."
    if not ablation.acts[-1] > 0:
        return f"{name} isn't active on the last token, so nothing changes after it. {hint}"
    return (
        f"Without {name}, {ablation.moved:.1%} of the next token's probability goes to other "
        f"tokens. {hint}"
    )


def ablation(
    models: Mapping[str, LiveModel], corpora: Corpora, *, text: str, model: str, feature: int
) -> Panel:
    """Take a feature out of a model and see the next token's probabilities change."""
    controls = {
        "text": labelled(
            ipywidgets.Textarea, "Your text", "Text that the model goes on from", value=text, rows=3
        ),
        **feature_controls(list(models), model, feature),
    }

    def show(text: str, model: str, feature: int) -> str:
        live, name = models[model], f"{model} {feature}"
        ids = encode(corpora.tokenizer, text, corpora.context)
        result = ablate(live, ids, feature)
        pieces = corpora.pieces(np.array(ids[1:]))
        # A feature that is active nowhere shades nothing.
        peak = max(live.peaks[feature], result.acts.max())
        changes = largest_changes(result, corpora)
        words = f"Probabilities of the next token with and without {name}; the table gives them"
        readable = changes.assign(token=["".join(map(visible, t)) for t in changes["token"]])
        formats = {"clean": ".2%", "without": ".2%", "change": ".2pt"}
        return (
            f"<p>{summary(result, name, active_last(live, ids))}</p>"
            + shade_contexts([(pieces, result.acts)], peak, colour_of(model)).data
            + picture(probability_figure(changes, model), words)
            + show_table(readable, formats, notes={"change": "points"}).data
        )

    return Panel("ablation", controls, show)
