"""One-layer Mistrals and their training: a cosine schedule that survives a kill."""

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
import transformers
from jaxtyping import Float, Int
from torch import Tensor
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from torch.nn import LinearCrossEntropyOptions
from torch.utils.data import StackDataset
from tqdm.auto import tqdm
from transformers import MistralForCausalLM, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import is_torch_bf16_gpu_available
from transformers.utils import logging as hf_logging

from featrack_utils.errors import FeatrackError
from featrack_utils.models.capture import device
from featrack_utils.pipeline.progress import TimeLeft

_CHECKPOINTS = "checkpoints"
SNAPSHOTS = "snapshots"
# The logits of 256 tokens, at a vocabulary of 4,096, stay in a core's cache. "accurate" is the
# fastest of torch's ways to add up the chunks on a CPU, too.
_CHUNKS = LinearCrossEntropyOptions(batch_chunk_size=256, acc_policy="accurate")


def uses_bfloat16(precision: str) -> bool:
    """Whether products run in bfloat16: always, never, or ("auto") where it is faster."""
    if precision == "auto":
        if device().type != "cpu":
            return is_torch_bf16_gpu_available()
        return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return precision == "bfloat16"


def new_model(
    *,
    vocab_size: int,
    d_model: int,
    d_mlp: int,
    n_heads: int,
    n_kv_heads: int,
    context: int,
    seed: int,
) -> MistralForCausalLM:
    """A fresh one-layer Mistral as in Horn & Elliott (2024): untied, no sliding window."""
    transformers.set_seed(seed)
    return MistralForCausalLM(
        transformers.MistralConfig(
            vocab_size=vocab_size,
            hidden_size=d_model,
            intermediate_size=d_mlp,
            num_hidden_layers=1,
            num_attention_heads=n_heads,
            num_key_value_heads=n_kv_heads,
            max_position_embeddings=context,
            sliding_window=None,
            tie_word_embeddings=False,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=0,
        )
    )


def next_token_loss(
    model: PreTrainedModel, tokens: Int[Tensor, "batch context"]
) -> Float[Tensor, ""]:
    """Mean next-token cross-entropy in nats, a few hundred tokens of logits at a time.

    At 4,096 tokens of vocabulary all logits would be 30 times larger than the hidden states. In
    bfloat16 the loss is known to some 0.05 nats only; its gradient is as exact as with all logits.
    Models of other families, which may do more to their logits, compute all of them.
    """
    if not isinstance(model, MistralForCausalLM):
        return model(input_ids=tokens, labels=tokens).loss
    hidden = model.model(input_ids=tokens).last_hidden_state[:, :-1].flatten(0, 1)
    kind = hidden.device.type
    # Autocast has no rule for this function.
    fast = torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if fast else hidden.dtype
    return F.linear_cross_entropy(
        hidden.to(dtype), model.lm_head.weight.to(dtype), tokens[:, 1:].flatten(), options=_CHUNKS
    ).float()


def _causal_attention(module, query, key, value, mask, *, scaling, **_):
    """Mistral's attention over whole blocks, as the eager way has it, in fewer passes.

    No padding, window or dropout. At 128 tokens PyTorch's fused attention spends a fifth of a
    training step on its way back, the eager one a tenth on copying keys and converting scores.
    """
    n, heads, length, width = query.shape
    sharing = heads // key.shape[1]  # heads that read the same keys
    future = torch.full((length, length), -torch.inf, dtype=query.dtype).triu(1)
    q, k, v = (each.reshape(n * key.shape[1], -1, width) for each in (query, key, value))
    scores = torch.baddbmm(future.repeat(sharing, 1), q, k.transpose(1, 2), alpha=scaling)
    read = scores.softmax(-1) @ v
    return read.reshape(n, heads, length, width).transpose(1, 2), None


transformers.AttentionInterface.register("featrack_causal", _causal_attention)


class _ChunkedLossTrainer(transformers.Trainer):
    """Trainer with `next_token_loss`."""

    def compute_loss(self, model, inputs, **_):
        # Accelerate wraps the model's own forward pass, which this loss goes around.
        with self.accelerator.autocast():
            return next_token_loss(model, inputs["input_ids"])


class _Snapshots(transformers.TrainerCallback):
    """Saves the weights alone after some of the steps, and shows how many are left."""

    def __init__(
        self, name: str, folders: dict[int, Path], tokenizer: PreTrainedTokenizerBase
    ) -> None:
        self.name, self.folders, self.tokenizer = name, folders, tokenizer

    def on_train_begin(self, args, state, control, **_):
        self.left = TimeLeft(self.name, state.max_steps, state.global_step)
        steps = dict(total=state.max_steps, initial=state.global_step)
        self.bar = tqdm(desc=self.left.job, **steps, disable=not state.is_world_process_zero)

    def on_train_end(self, args, state, control, **_):
        self.bar.close()

    def on_step_end(self, args, state, control, model=None, **_):
        if not state.is_world_process_zero:
            return
        self.left.at(state.global_step)
        self.bar.update()
        if folder := self.folders.get(state.global_step):
            model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)


def train(
    model: MistralForCausalLM,
    blocks: Int[np.ndarray, "n_blocks context"],
    folder: Path,
    *,
    tokenizer: PreTrainedTokenizerBase,
    train_tokens: int,
    learning_rate: float,
    batch_blocks: int,
    weight_decay: float,
    warmup_share: float,
    precision: str,
    seed: int,
    snapshots: Sequence[int] = (),
) -> None:
    """Trains a model and saves it with its tokenizer and its loss history.

    Cosine schedule, AdamW, blocks drawn in an order fixed by the seed. A killed training
    goes on from the last checkpoint when called again with the same folder. `FEATRACK_PROCESSES`
    of them share each batch, on the cards of this machine or on its cores, as under torchrun.

    Args:
        model: trained in place, unless by several processes.
        blocks: training blocks, from which ``train_tokens`` are drawn in epochs.
        folder: gets the model, the tokenizer and ``history.csv`` (step, tokens, loss).
        train_tokens: tokens to train on; 0 saves the model untouched.
        snapshots: steps after which the weights are kept, too, each in ``snapshots/<step>``.

    Raises:
        FeatrackError: no training block, fewer tokens than one step takes, a batch that the
            processes can't share, or a loss that is not finite.
    """
    given = dict(locals())
    if not len(blocks):
        raise FeatrackError(f"There is no whole block to train on for {folder.name}; add text.")
    tokens_per_step = batch_blocks * blocks.shape[1]
    steps = train_tokens // tokens_per_step
    if train_tokens and not steps:
        raise FeatrackError(
            f"Training {folder.name} on {train_tokens} tokens is less than one step of "
            f"{tokens_per_step}; raise train_tokens or lower batch_blocks."
        )
    shares = int(os.environ.get("WORLD_SIZE") or os.environ.get("FEATRACK_PROCESSES", 1))
    if batch_blocks % shares:
        raise FeatrackError(f"{shares} processes can't share batch_blocks {batch_blocks}; mend it.")
    if steps and shares > 1 and "RANK" not in os.environ:
        launch = LaunchConfig(
            1, 1, shares, rdzv_backend="c10d", rdzv_endpoint="localhost:0", run_id=folder.name
        )
        elastic_launch(launch, _train_share)(given)
        return
    history = pd.DataFrame(columns=["step", "tokens", "loss"])
    if steps:
        on_cpu = device().type == "cpu"
        arguments = transformers.TrainingArguments(
            output_dir=str(folder / _CHECKPOINTS),
            max_steps=steps,
            per_device_train_batch_size=batch_blocks // shares,
            learning_rate=learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=int(warmup_share * steps),
            weight_decay=weight_decay,
            max_grad_norm=1.0,
            bf16=uses_bfloat16(precision),
            use_cpu=on_cpu,
            seed=seed,
            data_seed=seed,
            logging_steps=max(1, steps // 100),
            logging_nan_inf_filter=False,
            save_steps=max(1, steps // 5),
            save_total_limit=2,
            ddp_find_unused_parameters=False,
            report_to=[],
            dataloader_pin_memory=False,
            remove_unused_columns=False,
            disable_tqdm=True,
        )
        if not on_cpu:
            arguments._n_gpu = 1  # of several cards the first: it alone gets what a step reads
        folders = {step: folder / SNAPSHOTS / str(step) for step in snapshots}
        kept = _Snapshots(folder.name, folders, tokenizer)
        dataset = StackDataset(input_ids=torch.from_numpy(blocks).long())
        trainer = _ChunkedLossTrainer(
            model=model, args=arguments, train_dataset=dataset, callbacks=[kept]
        )
        # It prints each loss; Trainer's own bar does too, where it was loaded outside a notebook.
        trainer.remove_callback(transformers.PrinterCallback)
        if on_cpu:
            plain = isinstance(model, MistralForCausalLM) and not (
                model.config.sliding_window or model.config.attention_dropout
            )
            model.set_attn_implementation("featrack_causal" if plain else "eager")
        trainer.train(resume_from_checkpoint=_last_checkpoint(folder / _CHECKPOINTS))
        logged = [entry for entry in trainer.state.log_history if "loss" in entry]
        history = pd.DataFrame(logged)[["step", "loss"]]
        history.insert(1, "tokens", history["step"] * tokens_per_step)
        if not np.isfinite(history["loss"]).all():
            raise FeatrackError(
                f"Training {folder.name} diverged (loss not finite); lower learning_rate."
            )
    if int(os.environ.get("RANK", 0)):
        return
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    history.to_csv(folder / "history.csv", index=False)
    shutil.rmtree(folder / _CHECKPOINTS, ignore_errors=True)


def _train_share(given: dict[str, Any]) -> None:
    train(**given)


def _last_checkpoint(folder: Path) -> str | None:
    whole = {}
    for path in folder.glob("*/trainer_state.json"):
        # Written last: a checkpoint in which it is missing or illegible was cut short.
        with suppress(ValueError):
            whole[json.loads(path.read_text())["global_step"]] = str(path.parent)
    return whole[max(whole)] if whole else None


hf_logging.disable_progress_bar()
