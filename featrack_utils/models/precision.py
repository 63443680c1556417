"""Which numbers products are computed in."""

import torch


def uses_bfloat16(precision: str) -> bool:
    """Whether products run in bfloat16: always, never, or ("auto") where it is faster."""
    if precision == "auto":
        if torch.cuda.is_available():
            return torch.cuda.is_bf16_supported()
        return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return precision == "bfloat16"
