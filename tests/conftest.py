"""A tokenizer, a one-layer model and its bridge, small enough to be made for every run."""

import gc
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# The books are made meanwhile, and two processes of two threads each wait most of the time for one
# another's threads on two cores. Set before torch is loaded; phases set their own.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["GOMP_SPINCOUNT"] = "10000"  # as in the Snakefile
os.environ["FEATRACK_DEVICE"] = "cpu"  # digits are compared

import hypothesis
import numpy as np
import pytest

from featrack_utils.pipeline import forkserver
from tests.books import TEXTS, Books

# For jsonschema, as in featrack_utils.run.
sys.modules.setdefault("rfc3987_syntax", None)
gc.disable()  # until all is loaded

# A busy machine makes no example wrong, and what passed once passes again. `test_any_input` looks
# further where it is asked to.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True)
hypothesis.settings.load_profile("suite")

CONTEXT = 16
# The files that have books made come first, a process each; those that read them later come last.
FIRST = ("test_pipeline", "test_lineages")
LAST = ("test_security", "test_loaded_book", "test_touch_passages")
# One run loads them once, and so from its server no sooner.
SEVERAL_TIMES = ("sphinx_book_theme", "myst_nb", "umap", "openai", "mergekit.config")


def pytest_collection_modifyitems(items):
    """Books take long: whatever is about them is begun first or asked last."""
    items.sort(key=lambda item: (item.path.stem in LAST) - (item.path.stem in FIRST))


def pytest_configure(config):
    given = getattr(config, "workerinput", {}).get("books")
    config.books = Books(Path(given or tempfile.mkdtemp(prefix="featrack-books-")))
    if not hasattr(config, "workerinput"):
        # One for all that the tests run, in whichever process: to load the libraries takes six
        # seconds, and what is forked is read from its own folder and environment.
        config.forkserver = forkserver.start(1, (*forkserver.PRELOADED, *SEVERAL_TIMES))
        if getattr(config.option, "numprocesses", None):  # as in `make test`
            # It loads at the first request, and may as well while tests are collected.
            subprocess.Popen([*forkserver.PYTHON, "-m", "this"], stdout=subprocess.DEVNULL)


@pytest.hookimpl(optionalhook=True)  # pytest-xdist's
def pytest_configure_node(node):
    node.workerinput["books"] = str(node.config.books.folder)


def pytest_collection_finish():
    # Whatever is loaded by now stays, and to look through it again and again takes a sixth of the
    # tests' time.
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        if config.forkserver:
            config.forkserver.stdin.close()
            config.forkserver.wait()
        shutil.rmtree(config.books.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def books(request):
    """The whole books that the collected tests are about."""
    return request.config.books


@pytest.fixture(scope="session")
def tokenizer():
    """A byte-level vocabulary of 280 tokens."""
    from featrack_utils.corpora.tokenizer import train_tokenizer

    return train_tokenizer(TEXTS, 280)


@pytest.fixture(scope="session")
def blocks():
    """64 blocks of 16 tokens that a model can learn something from: each is a run of numbers."""
    starts = np.random.default_rng(0).integers(1, 200, size=(64, 1))
    return (starts + np.arange(CONTEXT)).astype(np.int32)


@pytest.fixture
def fresh_model():
    """Makes untrained models of width 8 with 12 MLP neurons."""
    from featrack_utils.models.training import new_model

    return lambda seed=0: new_model(
        vocab_size=280, d_model=8, d_mlp=12, n_heads=2, n_kv_heads=1, context=CONTEXT, seed=seed
    )


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory, tokenizer, blocks):
    """A saved model of width 16 with 24 MLP neurons, trained for a moment."""
    from featrack_utils.models import training

    folder = tmp_path_factory.mktemp("models") / "base"
    model = training.new_model(
        vocab_size=280, d_model=16, d_mlp=24, n_heads=2, n_kv_heads=1, context=CONTEXT, seed=1
    )
    training.train(
        model,
        blocks,
        folder,
        tokenizer=tokenizer,
        train_tokens=20 * 8 * CONTEXT,
        seed=1,
        learning_rate=1e-2,
        batch_blocks=8,
        weight_decay=0.0,
        warmup_share=0.0,
        precision="float32",
    )
    return folder


@pytest.fixture
def plain_model(model_folder):
    """The model itself, that no bridge wraps."""
    from featrack_utils.models.loading import load_model

    return load_model(model_folder)


@pytest.fixture
def bridge(model_folder):
    """The saved model under TransformerLens."""
    from featrack_utils.models.loading import boot

    return boot(model_folder)
