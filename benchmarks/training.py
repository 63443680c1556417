"""How much faster the two training loops are than the libraries' plain forms, in one run.

(i) Next-token loss in chunks of logits against all logits at once; (ii) our L1 autoencoder's step
against SAELens' own, at a trained dictionary's L0. Quick size, median of rounds that take turns.
"""

import json
import logging
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from sae_lens import SAETrainer, StandardTrainingSAE
from sae_lens.config import LoggingConfig, SAETrainerConfig
from torch import Tensor

from featrack_utils.dictionaries import training as sae
from featrack_utils.models import training

log = logging.getLogger("benchmarks.training")

RESULTS = Path(__file__).with_name("results.json")
ROUNDS, STEPS = 5, 8
VOCABULARY, BLOCKS, CONTEXT, D_MODEL, D_MLP = 4096, 32, 128, 128, 256
BATCH = 1024  # activations a step
L0 = 40  # active features a token, as after the first third of a training


def language_model_steps() -> dict[str, Callable[[], object]]:
    """One training step of the quick base model, by both ways to get the loss."""
    model = training.new_model(
        vocab_size=VOCABULARY,
        d_model=D_MODEL,
        d_mlp=D_MLP,
        n_heads=4,
        n_kv_heads=2,
        context=CONTEXT,
        seed=0,
    )
    model.set_attn_implementation("eager")  # as `training.train` does on a CPU
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    tokens = torch.randint(0, VOCABULARY, (BLOCKS, CONTEXT))

    def step(loss: Callable[[], Tensor]) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            value = loss()
        value.backward()
        optimizer.step()
        optimizer.zero_grad()

    ways = {
        "chunks": lambda: training.next_token_loss(model, tokens),
        "whole": lambda: model(input_ids=tokens, labels=tokens).loss,
    }
    return {name: lambda way=way: step(way) for name, way in ways.items()}


def dictionary_steps() -> dict[str, Callable[[], object]]:
    """One step of the quick L1 dictionary, with our class and with SAELens' own."""
    acts = torch.randn(BATCH, D_MLP)
    config = SAETrainerConfig(
        total_training_samples=10**9,
        train_batch_size_samples=BATCH,
        lr=1e-12,  # so that L0 stays what it is
        lr_end=1e-13,
        autocast=True,
        logger=LoggingConfig(log_to_wandb=False),
    )
    ours = sae.new_sae(
        D_MLP,
        architecture="standard",
        expansion=8,
        l1_coefficient=2.0,
        k=1,
        l1_warm_up_steps=0,
        seed=0,
    )
    theirs = StandardTrainingSAE(ours.cfg)
    with torch.no_grad():
        ours.b_enc -= (acts @ ours.W_enc).flatten()[: 10**6].quantile(1 - L0 / ours.cfg.d_sae)
    theirs.load_state_dict(ours.state_dict())
    trainers = {
        "fused": sae.RecordingTrainer(config, ours, iter(())),
        "sae_lens": SAETrainer(config, theirs, iter(())),
    }
    trainers["fused"].history, trainers["fused"].every = [], 10**9
    trainers["fused"].optimizer.param_groups[0]["fused"] = True  # as `train_sae` does
    return {name: lambda trainer=trainer: trainer.step(acts) for name, trainer in trainers.items()}


def seconds(steps: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds a step, the ways taking turns so that noise falls on all alike."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS + 1):
        for name, step in steps.items():
            started = time.perf_counter()
            for _ in range(STEPS):
                step()
            taken[name].append((time.perf_counter() - started) / STEPS)
    return {name: statistics.median(times[1:]) for name, times in taken.items()}  # first: warm-up


def main() -> None:
    """Measure and write the ratios into results.json, leaving other figures there."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(2)
    language_model = seconds(language_model_steps())
    torch.set_num_threads(1)  # as in a run, where two dictionaries are trained side by side
    step = seconds(dictionary_steps())
    results = {
        "loss_chunks_vs_whole_logits": language_model["whole"] / language_model["chunks"],
        "base_tokens_per_second": BLOCKS * CONTEXT / language_model["chunks"],
        "dictionary_vs_sae_lens": step["sae_lens"] / step["fused"],
        "dictionary_tokens_per_second": BATCH / step["fused"],
    }
    held = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    held |= {name: float(f"{value:.3g}") for name, value in results.items()}
    RESULTS.write_text(json.dumps(dict(sorted(held.items())), indent=2) + "\n")
    for name, value in results.items():
        log.info("%s: %.3g", name, value)


if __name__ == "__main__":
    main()
