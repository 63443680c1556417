"""Models of eight families with random weights, as a plain script of transformers saves them."""

from pathlib import Path

import torch
import transformers

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
    new_model(family, seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
