"""Models in memory that read what somebody types, and controls over plain functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import ipywidgets
import numpy as np
import torch
from IPython.display import HTML
from jaxtyping import Float
from transformers import PreTrainedTokenizerBase

from featrack_utils.dictionaries.features import Features
from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import SITE, Lineage
from featrack_utils.models import capture, loading
from featrack_utils.pipeline import store

if TYPE_CHECKING:
    from sae_lens import SAE
    from transformer_lens.model_bridge import TransformerBridge


class LiveModel(NamedTuple):
    """A model with its dictionary of seed 0; `peaks` are its features' on the evaluation mix."""

    bridge: TransformerBridge
    sae: SAE
    peaks: Float[np.ndarray, " d_sae"]
    site: str = SITE


def open_models(run: Path, lineage: Lineage, found: Mapping[str, Features]) -> dict[str, LiveModel]:
    """The models of a run; `found` holds the features of each one's dictionary of seed 0.

    Raises FeatrackError: a model or dictionary is missing or damaged.
    """
    from featrack_utils.dictionaries.training import load_sae  # takes seconds to load

    return {
        name: LiveModel(
            loading.boot(store.opened(run / "models" / name)),
            load_sae(store.opened(run / "saes" / f"{name}-0")),
            found[f"{name}-0"].acts.max(axis=0).toarray().ravel(),
            lineage.site,
        )
        for name in lineage.order
    }


def encode(tokenizer: PreTrainedTokenizerBase, text: str, limit: int) -> list[int]:
    """Token ids of a text, led by the token that begins every document; `limit` counts them all.

    A text that spells that token out gets ordinary tokens for it.

    Raises FeatrackError: no text, or more tokens than `limit`.
    """
    if not text:
        raise FeatrackError("There is no text to read: type some.")
    text = text.encode("utf-8", "replace").decode()  # a browser may send half a surrogate pair
    ids = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
    if len(ids) >= limit:
        raise FeatrackError(
            f"The text has {len(ids):,} tokens and the models read at most {limit - 1:,}: "
            "shorten it."
        )
    return [tokenizer.bos_token_id, *ids]


@torch.no_grad()
def feature_acts(model: LiveModel, ids: Sequence[int]) -> Float[np.ndarray, "n d_sae"]:
    """Activations of all features on all tokens but the first, which no dictionary has seen."""
    acts = capture.mlp_activations(model.bridge, torch.tensor([list(ids)]), model.site)
    return model.sae.encode(acts[0, 1:]).numpy()


class Panel(ipywidgets.VBox):
    """Controls, by argument of `show`, and below them the HTML that it makes of their values.

    What a reader can cause (FeatrackError) stands there as one sentence. `page` stands in the
    book, where there is no kernel.
    """

    # Not ipywidgets.interactive: a picture in its output area stops a notebook that papermill runs.

    def __init__(
        self, show: Callable[..., HTML], page: HTML | None = None, **controls: ipywidgets.DOMWidget
    ) -> None:
        view = ipywidgets.HTML()

        def update(_change: object = None) -> None:
            try:
                view.value = show(**{name: each.value for name, each in controls.items()}).data
            except FeatrackError as error:
                view.value = f'<p role="alert">{escape(str(error))}</p>'

        for each in controls.values():
            each.observe(update, names="value")
        super().__init__([*controls.values(), view])
        self._page = page
        update()

    def _repr_mimebundle_(self, **given: Any) -> dict[str, Any]:
        html = {"text/html": self._page.data} if self._page else {}
        return super()._repr_mimebundle_(**given) | html

    def __repr__(self) -> str:
        # The usual form lists every child, with addresses and values that differ between runs.
        return "<controls>"


def control(
    kind: type[ipywidgets.DOMWidget], description: str, tooltip: str, **traits: Any
) -> ipywidgets.DOMWidget:
    """A control with a visible label and a longer explanation, as wide as the page allows."""
    return kind(
        description=description,
        tooltip=tooltip,
        style={"description_width": "11em"},
        layout=ipywidgets.Layout(width="min(100%, 46em)"),
        **traits,
    )
