"""Models of eight families with random weights, as a plain script of transformers saves them.

`python -m tests.families FOLDER` saves those of the book of loaded models.
"""

import sys
from pathlib import Path

import torch
import transformers

from featrack_utils.corpora.tokenizer import train_tokenizer
from tests.books import TEXTS

CONTEXT, VOCABULARY = 128, 384
_SHAPE = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
_GATED = _SHAPE | {"intermediate_size": 64, "num_key_value_heads": 2}
FAMILIES = {
    "GPT2": {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": CONTEXT, "n_inner": 64},
    "GPTNeoX": _SHAPE | {"intermediate_size": 48},
    "Llama": _GATED,
    "Qwen2": _GATED,
    "Gemma2": _GATED | {"head_dim": 8, "sliding_window": 32},
    "Mistral": _GATED,
    "Phi": _SHAPE | {"intermediate_size": 64},
    "OPT": _SHAPE | {"ffn_dim": 64, "word_embed_proj_dim": 32},
}


def new_model(family: str, seed: int) -> transformers.PreTrainedModel:
    """A model whose weights are wide enough apart for its features to be its own."""
    kind = getattr(transformers, f"{family}Config")
    lengths = {} if family == "GPT2" else {"max_position_embeddings": CONTEXT}
    ends = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 0)
    config = kind(
        **FAMILIES[family], **lengths, **ends, vocab_size=VOCABULARY, initializer_range=0.3
    )
    torch.manual_seed(seed)
    return transformers.AutoModelForCausalLM.from_config(config)


def save(folder: Path, family: str, tokenizer, seed: int = 0) -> Path:
    """Saves a new model and the tokenizer beside it."""
    return save_as(folder, new_model(family, seed), tokenizer)


def save_as(folder: Path, model: transformers.PreTrainedModel, tokenizer) -> Path:
    """Saves a model and the tokenizer beside it."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def main(folder: Path) -> None:
    """Saves four families, a fine-tune of GPT-NeoX, so to speak, and what a tool merges of both."""
    tokenizer = train_tokenizer(TEXTS, 280)
    for number, family in enumerate(("Gemma2", "GPTNeoX", "Mistral", "OPT")):
        save(folder / family, family, tokenizer, seed=number)
    base, near = new_model("GPTNeoX", 1), new_model("GPTNeoX", 1)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in near.parameters():
            weight += 0.3 * weight.std().nan_to_num() * torch.randn_like(weight)
    save_as(folder / "near", near, tokenizer)
    mean = {name: (base.state_dict()[name] + w) / 2 for name, w in near.state_dict().items()}
    near.load_state_dict(mean)
    save_as(folder / "mean", near, tokenizer)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
