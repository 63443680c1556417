"""How much faster models and dictionaries are captured, trained and swept than by plain means.

Quick's sizes, on made-up text (a Markov chain over 2,048 tokens), every ratio from ways that take
turns in one run:

- `capture_vs_torch_hook`: an MLP's activations as dictionaries get them, against a forward hook on
  the same trunk in float32 (64 blocks a pass, and 32);
- `sae_train_vs_saelens_fp32`: a dictionary, capture included, against SAELens' own runner, and
  `sae_train_vs_dictionary_learning`, against that package's `trainSAE` on activations from the
  plain hook (only where it is installed); same loss, batch and tokens, variance explained beside;
- `lm_train_vs_trainer_fp32`: a language model against transformers' Trainer as it comes;
- `sweep_vs_mergekit_cli`: 21 merges in memory against 21 runs of `mergekit-yaml`, of which one is
  timed in each round.

Beside them: the machine's rates of products (GFLOP/s) and of copies in memory (GB/s).
"""

import argparse
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from sae_lens import (
    LanguageModelSAERunnerConfig,
    LanguageModelSAETrainingRunner,
    StandardTrainingSAEConfig,
)
from sae_lens.config import LoggingConfig
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast, Trainer, TrainingArguments

from benchmarks.write_page import keep
from featrack_utils.dictionaries import training as dictionaries
from featrack_utils.dictionaries.activations import Buffers
from featrack_utils.models import loading, merging, training
from tests.chapters import Chapter

log = logging.getLogger("benchmarks.training")

ROUNDS = 5
VOCABULARY, CONTEXT, D_MODEL, D_MLP, BLOCKS = 2048, 128, 128, 256, 32
BATCH, SAE_STEPS, LM_STEPS, POINTS = 1024, 390, 96, 21
EXPANSION, L1, RATE = 3, 1.5, 8e-3  # as in profiles/quick.yaml


def made_up_text(n_blocks: int) -> np.ndarray:
    """Blocks [n, CONTEXT] of a Markov chain: each token is followed by one of eight others."""
    rng = np.random.default_rng(0)
    after = (VOCABULARY * rng.random((VOCABULARY, 8)) ** 2).astype(int)
    blocks = np.zeros((n_blocks, CONTEXT), dtype=int)
    blocks[:, 0] = rng.integers(VOCABULARY, size=n_blocks)
    for i in range(1, CONTEXT):
        which = np.minimum(rng.geometric(0.4, n_blocks) - 1, 7)
        blocks[:, i] = after[blocks[:, i - 1], which]
    return blocks


def new_model(seed: int):
    """A language model of quick's shape."""
    heads = dict(n_heads=4, n_kv_heads=2, context=CONTEXT)
    return training.new_model(
        vocab_size=VOCABULARY, d_model=D_MODEL, d_mlp=D_MLP, seed=seed, **heads
    )


def tokenizer() -> PreTrainedTokenizerFast:
    """One word a token, so that models can be saved as complete folders."""
    words = {f"w{i}": i for i in range(VOCABULARY)}
    plain = Tokenizer(models.WordLevel(words, unk_token="w0"))
    return PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="w0", eos_token="w0")


def take_turns(ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each way over rounds in which all take turns; the first warms up."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            taken[name].append(time.perf_counter() - started)
    median = {name: statistics.median(times[1:]) for name, times in taken.items()}
    log.info("%s", {name: f"{seconds:.3g} s" for name, seconds in median.items()})
    return median


def rates() -> dict[str, float]:
    """The machine's products in float32 and bfloat16, and its copies, on one thread."""
    found = {}
    for dtype, name in ((torch.float32, "float32"), (torch.bfloat16, "bfloat16")):
        a, b = (torch.randn(BATCH, BATCH).to(dtype) for _ in range(2))
        seconds = take_turns({"product": lambda a=a, b=b: [a @ b for _ in range(10)]})
        found[f"machine_{name}_gflops"] = 10 * 2 * BATCH**3 / seconds["product"] / 1e9
    source = torch.zeros(64 * 2**20)
    copy = torch.empty_like(source)
    seconds = take_turns({"copy": lambda: copy.copy_(source)})["copy"]
    return found | {"machine_copy_gigabytes": 2 * source.nbytes / seconds / 1e9}


def language_models(blocks: np.ndarray, folder: Path) -> dict[str, float]:
    """Our training against transformers' Trainer in float32; ours leaves its model in `folder`."""
    tokens = LM_STEPS * BLOCKS * CONTEXT
    losses = {}

    def ours() -> None:
        given = dict(learning_rate=3e-3, weight_decay=0.1, warmup_share=0.05, batch_blocks=BLOCKS)
        model = new_model(0)
        training.train(
            model,
            blocks,
            folder,
            tokenizer=tokenizer(),
            train_tokens=tokens,
            precision="auto",
            seed=0,
            **given,
        )
        losses["ours"] = pd.read_csv(folder / "history.csv")["loss"].tail(8).mean()

    def theirs() -> None:
        arguments = TrainingArguments(
            output_dir=str(folder / "trainer"),
            max_steps=LM_STEPS,
            per_device_train_batch_size=BLOCKS,
            learning_rate=3e-3,
            weight_decay=0.1,
            lr_scheduler_type="cosine",
            warmup_steps=int(0.05 * LM_STEPS),
            use_cpu=True,
            seed=0,
            data_seed=0,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
        )
        rows = [{"input_ids": row, "labels": row} for row in torch.from_numpy(blocks)]
        trainer = Trainer(new_model(0), arguments, train_dataset=rows)
        trainer.train()
        logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        losses["theirs"] = np.mean(logged[-8:])

    seconds = take_turns({"ours": ours, "theirs": theirs})
    return {
        "lm_train_vs_trainer_fp32": seconds["theirs"] / seconds["ours"],
        "lm_loss_ratio": losses["ours"] / losses["theirs"],
        "lm_tokens_per_second": tokens / seconds["ours"],
    }


@torch.no_grad()
def hooked(model, tokens: torch.Tensor) -> torch.Tensor:
    """The plain way: a forward hook on the same trunk, in float32, 32 blocks a pass."""
    found: list[torch.Tensor] = []
    module = model.model.layers[0].mlp.down_proj
    hook = module.register_forward_hook(lambda _, given, out: found.append(given[0]))
    for batch in tokens.split(32):
        model.model(input_ids=batch)
    hook.remove()
    return torch.cat(found)[:, 1:].flatten(0, 1)


def captures(model, blocks: np.ndarray) -> dict[str, float]:
    """Activations of 256 blocks, by our path and by a plain hook."""
    tokens = torch.from_numpy(blocks[:256])
    seconds = take_turns(
        {
            "ours": lambda: Buffers(model, blocks[:256], precision="auto")[0],
            "hook": lambda: hooked(model, tokens),
        }
    )
    ours, plain = Buffers(model, blocks[:256], precision="auto")[0], hooked(model, tokens)
    return {
        "capture_vs_torch_hook": seconds["hook"] / seconds["ours"],
        "capture_relative_error": float((ours.float() - plain).norm() / plain.norm()),
        "capture_tokens_per_second": len(plain) / seconds["ours"],
    }


def saes(model, folder: Path, blocks: np.ndarray) -> dict[str, float]:
    """A dictionary, capture included: ours, by SAELens, by dictionary-learning."""
    read = blocks[: -(-SAE_STEPS * BATCH // (CONTEXT - 1)) + 1]
    held_out = hooked(model, torch.from_numpy(blocks[-64:]))
    scale = D_MLP**0.5 / held_out.norm(dim=-1).mean().item()
    explained: dict[str, float] = {}

    def variance(name: str, rebuilt: torch.Tensor, x: torch.Tensor) -> None:
        left = (x - rebuilt).square().sum() / (x - x.mean(0)).square().sum()
        explained[name] = 1 - left.item()

    def ours() -> None:
        with tempfile.TemporaryDirectory() as place:
            dictionaries.train_sae(
                Buffers(model, read, precision="auto"),
                Path(place),
                architecture="standard",
                expansion=EXPANSION,
                l1_coefficient=L1,
                k=1,
                learning_rate=RATE,
                seed=0,
                train_tokens=SAE_STEPS * BATCH,
                batch_tokens=BATCH,
                precision="auto",
            )
            with torch.no_grad():
                variance("ours", dictionaries.load_sae(Path(place))(held_out), held_out)

    def sae_lens() -> None:
        sae = StandardTrainingSAEConfig(
            d_in=D_MLP,
            d_sae=EXPANSION * D_MLP,
            l1_coefficient=L1,
            l1_warm_up_steps=SAE_STEPS // 10,
            normalize_activations="expected_average_only_in",
        )
        config = LanguageModelSAERunnerConfig(
            sae=sae,
            hook_name="blocks.0.mlp.hook_post",
            context_size=CONTEXT,
            seqpos_slice=(1, None),
            prepend_bos=False,
            training_tokens=SAE_STEPS * BATCH,
            train_batch_size_tokens=BATCH,
            store_batch_size_prompts=32,
            n_batches_in_buffer=256,  # blocks, as many as we shuffle together
            n_batches_for_norm_estimate=32,
            lr=RATE,
            lr_end=RATE / 10,
            lr_warm_up_steps=SAE_STEPS // 20,
            lr_decay_steps=SAE_STEPS // 3,
            device="cpu",
            checkpoint_path=None,
            output_path=None,
            logger=LoggingConfig(log_to_wandb=False),
        )
        text = Dataset.from_dict({"input_ids": read.tolist()})
        runner = LanguageModelSAETrainingRunner(config, text, loading.boot(folder))
        trained = runner.run()
        with torch.no_grad():
            variance("sae_lens", trained(held_out), held_out)

    def dictionary_learning() -> None:
        from dictionary_learning.trainers.standard import StandardTrainer
        from dictionary_learning.training import trainSAE

        acts = hooked(model, torch.from_numpy(read)) * scale
        order = torch.randperm(len(acts), generator=torch.Generator().manual_seed(0))
        caught = {}

        class Caught(StandardTrainer):
            def __init__(self, **given):
                super().__init__(**given)
                caught["ae"] = self.ae

        given = dict(activation_dim=D_MLP, dict_size=EXPANSION * D_MLP, layer=0, lm_name="made up")
        given |= dict(lr=RATE, l1_penalty=L1, warmup_steps=SAE_STEPS // 20, device="cpu", seed=0)
        given |= dict(sparsity_warmup_steps=SAE_STEPS // 10, decay_start=SAE_STEPS * 2 // 3)
        batches = (acts[rows] for rows in order.split(BATCH))
        config = {"trainer": Caught, "steps": SAE_STEPS, **given}
        trainSAE(batches, [config], SAE_STEPS, device="cpu")
        with torch.no_grad():
            variance("dictionary_learning", caught["ae"](held_out * scale), held_out * scale)

    ways = {"ours": ours, "sae_lens": sae_lens}
    if find_spec("dictionary_learning"):
        ways["dictionary_learning"] = dictionary_learning
    seconds = take_turns(ways)
    names = {"sae_lens": "saelens_fp32", "dictionary_learning": "dictionary_learning"}
    found = {f"sae_train_vs_{names[w]}": seconds[w] / seconds["ours"] for w in ways if w in names}
    found |= {f"sae_variance_explained_{way}": value for way, value in explained.items()}
    return found | {"sae_tokens_per_second": SAE_STEPS * BATCH / seconds["ours"]}


def sweeps(parents: list[Path], folder: Path) -> dict[str, float]:
    """All merges of a sweep in memory against the command line, one merge at a time."""
    Chapter("merge").write_merge(folder / "recipe", parents, [0.5, 0.5], "slerp")
    command = [Path(sys.executable).with_name("mergekit-yaml"), merging.RECIPE, folder / "out"]

    def ours() -> None:
        states = [loading.load_model(parent).state_dict() for parent in parents]
        for t in np.linspace(0, 1, POINTS):
            merging.merge(states, (1 - t, t), "slerp")

    def mergekit() -> None:
        place = folder / "recipe"
        subprocess.run([*map(str, command)], cwd=place, check=True, capture_output=True)

    seconds = take_turns({"ours": ours, "mergekit": mergekit})
    return {"sweep_vs_mergekit_cli": POINTS * seconds["mergekit"] / seconds["ours"]}


def main() -> None:
    """Measure and write the ratios into results.json, leaving other figures there."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)  # as in a run, where two phases work side by side
    blocks = made_up_text(2_400)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        results = rates()
        results |= language_models(blocks, folder / "a")
        model = loading.load_model(folder / "a")
        results |= captures(model, blocks)
        results |= saes(model, folder / "a", blocks)
        other = new_model(1)
        other.save_pretrained(folder / "b")
        tokenizer().save_pretrained(folder / "b")
        results |= sweeps([folder / "a", folder / "b"], folder)
    keep(results)


if __name__ == "__main__":
    main()
