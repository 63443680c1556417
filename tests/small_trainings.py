"""Trains a small language model and a small dictionary: `python -m tests.small_trainings FOLDER`.

A process of its own, for a test of how many threads it uses: they would stay beside all later
tests, and a fork of a process that has threads already may wait for them for ever.
"""

import sys
from pathlib import Path

import numpy as np

from featrack_utils.corpora.tokenizer import train_tokenizer
from featrack_utils.dictionaries.activations import Buffers
from featrack_utils.dictionaries.training import train_sae
from featrack_utils.models.training import new_model, train

SHAPE = dict(vocab_size=512, d_model=128, d_mlp=256, n_heads=4, n_kv_heads=2, context=64)


def main(folder: Path) -> None:
    rng = np.random.default_rng(0)
    train(
        new_model(**SHAPE, seed=0),
        np.minimum(rng.geometric(0.05, (256, 64)), 511).astype(np.int32),
        folder / "model",
        tokenizer=train_tokenizer(["a cat and a hat"], 260),
        train_tokens=16 * 16 * 64,
        seed=3,
        learning_rate=1e-2,
        batch_blocks=16,
        weight_decay=0.0,
        warmup_share=0.1,
        precision="float32",
    )
    (folder / "dictionary").mkdir()
    train_sae(
        Buffers(new_model(**SHAPE, seed=0), rng.integers(512, size=(128, 64))),
        folder / "dictionary",
        architecture="standard",
        expansion=2,
        l1_coefficient=0.5,
        k=5,
        learning_rate=5e-3,
        train_tokens=30 * 512,
        batch_tokens=512,
        seed=0,
        precision="float32",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
