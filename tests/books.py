"""The whole books of the suite, made at smoke size.

A book takes a minute or two, in which snakemake and its kernels work while a process of pytest's
waits. So that no core has more to do than one process's tests, nothing is made beside these.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from featrack_utils.pipeline import forkserver
from tests.hostile import HostileChat, write_texts

ROOT = Path(__file__).parent.parent
MADE = ("runs", "executed", "_build", ".*", "__pycache__", "*.egg-info")
FLAGS = re.search(r"snakemake --cores \$\(CORES\) (.*) --config", (ROOT / "Makefile").read_text())
TEXTS = ["def f(x):\n    return x\n" * 20, "the cat and the other cat are there " * 20]
# Two more lineages. A chain of fine-tunes; and models that a plain script saved (`families.py`), a
# copy, a merge made elsewhere and another family among them, with a fine-tune of the root and a
# merge of three that are made here.
LINEAGES = {
    "chain": {
        "first": {"train": ["english", "python"]},
        "second": {"parent": "first", "train": ["lua"]},
        "third": {"parent": "second", "train": ["python", "stories"]},
    },
    "loaded": {
        "base": {"load": "saved/GPTNeoX"},
        "copy": {"load": "saved/GPTNeoX", "parent": "base"},
        "near": {"load": "saved/near", "parent": "base"},
        "tuned": {"parent": "base", "train": ["code"]},
        "gemma": {"load": "saved/Gemma2", "parent": "copy"},
        "theirs": {"load": "saved/mean", "parent": ["copy", "near"]},
        "mixed": {"merge": ["copy", "near", "tuned"], "method": "linear"},
    },
}
SITE = "blocks.1.mlp.hook_post"  # in the middle of the loaded models
KEY_VARIABLE = "BOOK_KEY"  # of the chat model that explains
KEY = f"sk-loopback-{5550123456789}"  # in two parts: it must stand in no file


def copied(folder: Path) -> Path:
    """A copy of the repository without anything that was made, but for compiled functions.

    These are shared, for they take ten seconds of each book: numba and Python look at a source's
    date and size before they take what lies there.
    """
    ignored = shutil.ignore_patterns(*MADE)
    place = shutil.copytree(ROOT, folder / "featrack", ignore=ignored)
    for source in (ROOT / "featrack_utils").rglob("__init__.py"):
        compiled = source.with_name("__pycache__")
        compiled.mkdir(exist_ok=True)
        (place / compiled.relative_to(ROOT)).symlink_to(compiled)
    return place


def start(
    place: Path, *arguments: str, cores: int = 1, alone: bool = False, **config: str
) -> subprocess.Popen:
    """Starts what `make book` starts, in a process group of its own.

    Snakemake and what it runs are forked from the suite's server; `alone` it is a process of its
    own with a server of its own, as for a reader.
    """
    settings = [f"{name}={value}" for name, value in ({"profile": "smoke"} | config).items()]
    binaries = Path(sys.executable).parent
    environment = dict(os.environ)
    if alone:
        environment.pop(forkserver.ADDRESS, None)
    command = ["snakemake"] if alone else [*forkserver.PYTHON, "-m", "snakemake"]
    return subprocess.Popen(
        [*command, *arguments, "--cores", f"{cores}", *FLAGS[1].split(), "--config", *settings],
        cwd=place,
        start_new_session=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment
        | {"PYTHONPATH": str(place), "PATH": f"{binaries}:{os.environ['PATH']}"}
        | {KEY_VARIABLE: KEY, "NO_PROXY": "127.0.0.1"},
    )


def finish(place: Path, *arguments: str, **options) -> str:
    """Has it done, and gives what it said."""
    with start(place, *arguments, **options) as process:
        try:
            output, _ = process.communicate()
        finally:
            process.kill()  # where the test is interrupted
    assert process.returncode == 0, output
    return output


def sentence_of_failure(place: Path, *arguments: str, **config: str) -> str:
    """The one sentence that it ends with, where it is refused."""
    process = start(place, *arguments, **config)
    output, _ = process.communicate()
    said = [line for line in output.splitlines() if line.startswith("featrack: ")]
    assert process.returncode != 0 and len(said) == 1, output
    return said[0]


def kill_when(place: Path, page: str, arrived: Callable[[], bool]) -> None:
    """Starts what a page needs, and kills all that works in this checkout once it has arrived."""
    process = start(place, f"runs/smoke/executed/{page}.ipynb")
    while not arrived():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(each.cwd()).is_relative_to(place):
                each.kill()
    process.communicate()


def smoke(checkout: Path) -> Path:
    """A finished run that was killed in the base model's training and in a dictionary's."""
    run = checkout / "runs" / "smoke"
    kill_when(
        checkout, "base", lambda: any(run.glob("models/.base.partial-*/checkpoints/*/*.json"))
    )
    assert not (run / "models" / "base").exists()
    corpora = (run / "corpora" / "run.json").read_text()
    kill_when(checkout, "sae-lua", lambda: any(run.glob("saes/.lua-0.partial-*")))
    base = (run / "models" / "base" / "run.json").read_text()
    assert not (run / "saes" / "lua-0").exists() and not (run / "results.json").exists()
    finish(checkout, cores=2)  # as a reader's
    # What was finished before each kill was kept.
    assert (run / "corpora" / "run.json").read_text() == corpora
    assert (run / "models" / "base" / "run.json").read_text() == base
    return checkout


def chain(checkout: Path) -> Path:
    """The chain's book, with hostile texts; a chat model explains."""
    settings = {
        "models": LINEAGES["chain"],
        # Chapters that other books have are left out.
        "arms": {"doses": [0.3], "dosed": ["second"], "own_steps": 0}
        | {"warm_start": False, "lm_seed": False},
        "robustness": {"sweep": []},
        "sae": {"expansion": 4},
        "tracking": {"control_draws": 1, "replicates": 20},
        "corpora": {"sources_of": hostile(checkout, "english", "stories")},
    }
    with HostileChat() as chat:
        asked = {"explainer": "endpoint", "base_url": chat.url, "key_variable": KEY_VARIABLE}
        settings["interpretation"] = asked | {"chat_model": "tiny"}
        said = finish(checkout, name="chain", **in_json(settings))
    # For the test that looks for the key.
    (checkout.parent / "said.txt").write_text(said)
    seen = {"keys": [*{*chat.authorizations}], "command_lines": sorted(chat.command_lines)}
    (checkout.parent / "chat.json").write_text(json.dumps(seen))
    return checkout


def loaded(checkout: Path) -> Path:
    """The book of models that were saved elsewhere; one of its two texts is hostile."""
    saved = [*forkserver.PYTHON, "-m", "tests.families", checkout / "saved"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(saved, cwd=checkout, env=environment, check=True, capture_output=True)
    arms = {"methods": ["linear", "slerp", "model_stock"], "doses": [0.3], "dosed": ["tuned"]}
    said = finish(checkout, **of_loaded(checkout, "loaded", arms=arms))
    (checkout.parent / "said.txt").write_text(said)
    return checkout


def of_loaded(checkout: Path, name: str, models: dict | None = None, **more: Any) -> dict[str, str]:
    """Settings at smoke size for models that are loaded: LINEAGES' own, unless others are given."""
    # Bytes are nearly all tokens that these models know: a text is a handful of sentences.
    sources = {"english": None, "python": None, **hostile(checkout, "stories", chars=400)}
    sources["code"] = {"kind": "files", "globs": ["featrack_utils/**/*.py"]}
    corpora = {"sources_of": sources, "train_tokens": 20_000, "validation_tokens": 4_000}
    sae = {"expansion": 4, "train_tokens": 15_000, "batch_tokens": 512, "l1_coefficient": 5.0}
    counted = {"min_positions": 8, "min_documents": 3, "evaluation_blocks": 40, "replicates": 20}
    counted |= {"control_draws": 1, "probed_features": 10, "calibration_features": 100}
    settings = {
        "models": models or LINEAGES[name],
        "corpora": corpora | {"context": 64},
        "finetune": {"train_tokens": 15_000, "learning_rate": 1e-3},
        "sae": sae | {"learning_rate": 5e-3, "k": 8},
        "tracking": counted,
    }
    return {"profile": "own", "name": name, "site": SITE} | in_json(settings | more)


def hostile(checkout: Path, *domains: str, **options: int) -> dict[str, dict]:
    """Embedded texts that try to be more than text, as sources."""
    shutil.rmtree(checkout / "texts", ignore_errors=True)
    places = {domain: checkout / "texts" / domain for domain in domains}
    return {domain: write_texts(place, domain, **options) for domain, place in places.items()}


def in_json(settings: dict[str, Any]) -> dict[str, str]:
    """As they stand on a command line."""
    return {
        name: each if isinstance(each, str) else json.dumps(each) for name, each in settings.items()
    }


BOOKS: dict[str, Callable[[Path], Path]] = {"smoke": smoke, "chain": chain, "loaded": loaded}


class Books:
    """The books by name, each made once in a copy of the repository, in a folder.

    Tests may run in several processes: the first that asks for a book makes it, others wait.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, name: str) -> Path:
        """The copy in which the book stands, once it does."""
        begun, outcome = (self.folder / f"{name}.{what}" for what in ("begun", "txt"))
        try:
            with begun.open("x") as file:
                file.write(f"{os.getpid()}")
        except FileExistsError:
            while not outcome.exists():
                maker = begun.read_text()
                lost = maker and not psutil.pid_exists(int(maker)) and not outcome.exists()
                assert not lost, "the process that made the book was killed"
                time.sleep(0.2)
        else:
            make(self.folder, name)
        failure = outcome.read_text()
        assert not failure, failure
        return self.folder / name / "featrack"


def make(folder: Path, name: str) -> None:
    """Makes a book; a file says what went wrong, or nothing."""
    failure = ""
    try:
        BOOKS[name](copied(folder / name))
    except Exception:
        failure = traceback.format_exc()
    unfinished = folder / f"{name}.unfinished"
    unfinished.write_text(failure)
    unfinished.replace(folder / f"{name}.txt")
