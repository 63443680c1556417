"""Pages that run models themselves, with made-up models of quick's shapes."""

import shutil
from pathlib import Path

import torch
from sae_lens import StandardSAE, StandardSAEConfig
from transformers import MistralConfig, MistralForCausalLM

from featrack_utils.display import page_models
from featrack_utils.pipeline import store

STATIC = Path(__file__).resolve().parents[1] / "book" / "_static"
# Whether a control in sight waits for its answer; one out of sight waits until it is scrolled to.
BUSY = """[...document.querySelectorAll("[aria-busy]")].some((place) => {
  const { top, bottom } = place.parentElement.getBoundingClientRect();
  return top < innerHeight && bottom > 0;
})"""
STRICT = "default-src 'none'; script-src 'self' file:; style-src 'self' file:"


def add_model(run, name, tokenizer, seed=0, vocabulary=2048, d_sae=1024):
    """Adds a model with its dictionary, at random and of quick's shapes, to a run; gives both."""
    torch.manual_seed(seed)
    config = MistralConfig(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=False,
        sliding_window=None,
        rms_norm_eps=1e-6,
        initializer_range=0.04,  # so that the MLP is as loud as what it is added to
    )
    model = MistralForCausalLM(config).eval()
    sae = StandardSAE(StandardSAEConfig(d_in=256, d_sae=d_sae, apply_b_dec_to_input=True))
    sae.load_state_dict({k: torch.randn(v.shape) / 16 for k, v in sae.state_dict().items()})

    def save(work):
        model.save_pretrained(work)
        tokenizer.save_pretrained(work)

    store.make(run / "models" / name, save, parameters={})
    store.make(run / "saes" / f"{name}-0", lambda work: sae.save_model(work), parameters={})
    return model, sae


def make_site(folder, run, lineage, way):
    """Two pages with all controls: strict.html under a policy, plain.html. Gives their folder."""
    for name in ("touch", "explorer"):
        skip = shutil.ignore_patterns("data")
        shutil.copytree(STATIC / name, folder / "_static" / name, ignore=skip)
    page_models.write_models(folder / "_static" / "touch" / "data", run, lineage, way)
    pages = folder / "executed"
    pages.mkdir()
    # As in the chapter, there is more than a screen between two controls.
    kinds, between = ("type", "slide", "ablate"), '<canvas width="1" height="1200"></canvas>'
    panels = between.join(page_models.panel(kind).data for kind in kinds)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{STRICT}">'
    for name, head in (("strict", policy), ("plain", "")):
        (pages / f"{name}.html").write_text(
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>touch</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            + head
            + f"</head><body><main>{panels}{page_models.scripts().data}</main></body></html>",
            "utf-8",
        )
    return pages
