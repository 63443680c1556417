"""On the way from one model's weights to another's: the loss, what is written, one feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import ipywidgets
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int

from featrack_utils.corpora.prepare import Corpora
from featrack_utils.dictionaries.features import Features, Mix
from featrack_utils.display import shading
from featrack_utils.display.style import colour_of
from featrack_utils.display.widgets.figures import blend_figure
from featrack_utils.display.widgets.live import LiveModel, check_feature, encode
from featrack_utils.display.widgets.panel import Panel, feature_controls, labelled, picture
from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation.contexts import NOWHERE, by_feature, strongest_positions
from featrack_utils.lineage import Lineage, label
from featrack_utils.models import capture, evaluation, loading
from featrack_utils.models.merging import State, slerp
from featrack_utils.pipeline import store

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

_NEW_TOKENS = 40
_WRITTEN = '<pre style="white-space: pre-wrap; overflow-wrap: anywhere">{}</pre>'
_SHOWN = 24  # tokens of a context, two thirds of them before the strongest


class Blend(NamedTuple):
    """A model whose weights are set to the slerp at any t; t = 0 and t = 1 are two models' own.

    Attributes:
        ends: names of the models at t = 0 and t = 1.
        states: their weights.
    """

    bridge: TransformerBridge
    ends: tuple[str, str]
    states: tuple[State, State]


class Place(NamedTuple):
    """Where a feature was strongest: a block of the evaluation mix and a position in it."""

    block: Int[np.ndarray, " context"]
    position: int


def ends_of(lineage: Lineage) -> tuple[str, str]:
    """Two models to go between: a merge's first two parents, or else the root and a child."""
    if lineage.merges:
        return lineage.parents(lineage.merges[0])[:2]
    return lineage.root, lineage.children(lineage.root)[0]


def open_blend(run_dir: Path, ends: tuple[str, str]) -> Blend:
    """The way between two models of a run.

    Raises FeatrackError: one of them is missing or damaged.
    """
    first, second = (store.opened(run_dir / "models" / name) for name in ends)
    states = (loading.load_model(first).state_dict(), loading.load_model(second).state_dict())
    return Blend(loading.boot(first), ends, states)


@torch.no_grad()
def set_weight(blend: Blend, t: float) -> None:
    """Gives the model the weights of the slerp at t.

    Raises FeatrackError: t outside [0, 1], or models that don't fit each other.
    """
    # The bridge wraps each module of the model and leaves the parameters as they are, so its
    # names with the wrappers taken out are those of the models' files.
    held = {
        name.replace("._original_component", ""): parameter
        for name, parameter in blend.bridge.original_model.named_parameters()
    }
    for name, tensor in slerp(*blend.states, t).items():
        held[name].copy_(tensor)


def strongest_places(features: Features, feature: int, mix: Mix, count: int) -> list[Place]:
    """Where a feature is strongest on the mix, each place in another document.

    Raises FeatrackError: the features were measured on other text.
    """
    if not np.array_equal(features.tokens, mix.tokens[:, 1:].ravel()):
        raise FeatrackError(
            "The features were measured on other tokens than those of the mix; "
            "give both the same context and evaluation_blocks."
        )
    column = by_feature(features.acts[:, [feature]])
    rows = strongest_positions(column, features.origin, count)[0]
    width = mix.tokens.shape[1] - 1  # position 0 of each block is not among the features
    return [Place(mix.tokens[row // width], int(row % width) + 1) for row in rows if row != NOWHERE]


def losses_at(blend: Blend, t: float, blocks: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Next-token loss at t, by domain, nats per token."""
    set_weight(blend, t)
    model = blend.bridge.original_model
    return {domain: evaluation.evaluate(model, each).loss for domain, each in blocks.items()}


@torch.no_grad()
def acts_at(
    blend: Blend, t: float, live: LiveModel, feature: int, places: Sequence[Place]
) -> Float[np.ndarray, "n_places context"]:
    """A feature's activations at t, read by a dictionary that stays as it is.

    Position 0 of each block, which no dictionary has seen, is 0.
    """
    set_weight(blend, t)
    blocks = torch.from_numpy(np.stack([place.block for place in places])).long()
    acts = live.sae.encode(capture.mlp_activations(blend.bridge, blocks)[:, 1:])[..., feature]
    return np.pad(acts.numpy(), ((0, 0), (1, 0)))


def text_at(blend: Blend, t: float, corpora: Corpora, prompt: str, seed: int) -> str:
    """What the model at t writes after a prompt, sampled with a fixed seed.

    Raises FeatrackError: no prompt, or one that leaves no room to write.
    """
    encode(corpora.tokenizer, prompt, corpora.context - 1)
    set_weight(blend, t)
    model = blend.bridge.original_model
    return evaluation.continuation(
        model, corpora.tokenizer, prompt, new_tokens=_NEW_TOKENS, seed=seed
    )


def loss_curve(blend: Blend, ts: Sequence[float], blocks: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Loss by t and domain: columns t, domain, loss (nats per token)."""
    rows = [(t, d, loss) for t in ts for d, loss in losses_at(blend, t, blocks).items()]
    return pd.DataFrame(rows, columns=["t", "domain", "loss"])


def feature_curve(
    blend: Blend, ts: Sequence[float], live: LiveModel, feature: int, places: Sequence[Place]
) -> pd.DataFrame:
    """A feature's activation at its strongest places: columns t, place, activation."""
    rows = []
    for t in ts if places else ():
        acts = acts_at(blend, t, live, feature, places)
        rows += [(t, i, float(acts[i, place.position])) for i, place in enumerate(places)]
    return pd.DataFrame(rows, columns=["t", "place", "activation"])


def contexts_html(
    blend: Blend, t: float, live: LiveModel, feature: int, places: Sequence[Place], corpora: Corpora
) -> str:
    """A feature's strongest contexts as the model at t sees them, under the scale of its peak."""
    if not places:
        return f"<p>{live.name} {feature} is never active on the evaluation mix.</p>"
    contexts = []
    for place, acts in zip(places, acts_at(blend, t, live, feature, places), strict=True):
        left = max(1, place.position - 2 * _SHOWN // 3)
        stretch = slice(left, left + _SHOWN)
        contexts.append((corpora.pieces(place.block[stretch]), acts[stretch].tolist()))
    peak = float(live.peaks[feature])
    return shading.shade_contexts(contexts, peak, colour_of(live.name)).data


def merge_slider(
    blend: Blend,
    models: Mapping[str, LiveModel],
    found: Mapping[str, Features],
    mix: Mix,
    blocks: Mapping[str, np.ndarray],
    losses: pd.DataFrame,
    corpora: Corpora,
    *,
    t: float,
    model: str,
    feature: int,
    prompt: str,
    seed: int,
) -> Panel:
    """Slide t and watch the model's loss, its writing and one feature change.

    The feature is read by the dictionary of its model, whatever t is. `found` are the features on
    `mix`, `losses` is the `loss_curve` on `blocks`.
    """
    first, second = map(label, blend.ends)
    controls = {
        "t": labelled(
            ipywidgets.FloatSlider,
            "Weight t",
            f"0 is the {first} model, 1 is the {second} model",
            value=t,
            min=0,
            max=1,
            step=0.05,
            continuous_update=False,
        ),
        **feature_controls(list(models), model, feature),
        "prompt": labelled(
            ipywidgets.Text,
            "Text to go on from",
            "The model at this weight writes on from here",
            value=prompt,
            continuous_update=False,
        ),
    }
    ts = sorted(set(losses["t"]))

    def show(t: float, model: str, feature: int, prompt: str) -> str:
        live = models[model]
        places = strongest_places(found[f"{model}-0"], check_feature(live, feature), mix, 3)
        text = text_at(blend, t, corpora, prompt, seed)
        curve = feature_curve(blend, ts, live, feature, places)
        now = losses_at(blend, t, blocks)
        by_domain = ", ".join(f"{label(domain)} {loss:.2f}" for domain, loss in now.items())
        words = f"Loss at t = {t:.2f}, nats per token: {by_domain}."
        drawn = blend_figure(losses, curve, live.name, feature, blend.ends, t)
        signs = "\n".join(
            " ".join(map(shading.signs, line.split(" "))) for line in text.split("\n")
        )
        contexts = contexts_html(blend, t, live, feature, places, corpora)
        return f"{picture(drawn, words)}<p>{words}</p>{_WRITTEN.format(signs)}{contexts}"

    return Panel("merge slider", controls, show)
