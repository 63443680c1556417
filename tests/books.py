"""The whole books of the suite, made at smoke size beside its other tests.

A book takes minutes, in which snakemake and its kernels work while pytest waits. So the books that
the collected tests ask for are begun at once, by a process of their own; the tests about them come
late (`conftest.py`). Tests may run in several processes: one of them starts, all of them wait.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psutil

from featrack_utils.lineage import Lineage
from featrack_utils.pipeline import forkserver
from tests.hostile import HostileChat, write_texts

ROOT = Path(__file__).parent.parent
# Isn't copied: what is made, but for compiled functions, and those while they are written.
MADE = ("runs", "executed", "_build", ".*", "*.pyc.*", "*.tmp.*", "*.egg-info")
FLAGS = re.search(r"snakemake --cores \$\(CORES\) (.*) --config", (ROOT / "Makefile").read_text())
# Two more lineages: a chain of fine-tunes; and merges, of three parents linearly, of two by slerp.
LINEAGES = {
    "chain": {
        "first": {"train": ["english", "python"]},
        "second": {"parent": "first", "train": ["lua"]},
        "third": {"parent": "second", "train": ["stories"]},
        "fourth": {"parent": "third", "train": ["python", "stories"]},
    },
    "three": {
        "root": {"train": ["english"]},
        "a": {"parent": "root", "train": ["python"]},
        "b": {"parent": "root", "train": ["lua"]},
        "c": {"parent": "root", "train": ["stories"]},
        "two": {"merge": ["a", "b"], "method": "slerp", "t": 0.25},
        "mixed": {"merge": ["a", "b", "c"], "method": "linear"},
    },
}
# Each lineage has chapters that the other leaves out: trainings of its own, or merges.
ARMS = {
    "chain": {"doses": [0.3], "dosed": ["second"], "own_steps": 0},
    "three": {
        "doses": [0.3],
        "dosed": ["a"],
        "own_steps": 0,
        "rates": [],
        "planted": [],
        "methods": ["linear", "slerp", "model_stock"],
    },
}
KEY_VARIABLE = "BOOK_KEY"  # of the chat model that explains
KEY = f"sk-loopback-{5550123456789}"  # in two parts: it must stand in no file
# Of the lineages' texts those that try to be more than text. They repeat themselves, so that random
# features match, and to count chains of those in the larger lineage would take a minute more.
HOSTILE = {"chain": ("english", "stories"), "three": ("stories",)}


def copied(folder: Path) -> Path:
    """A copy of the repository without anything that was made."""
    return shutil.copytree(ROOT, folder / "featrack", ignore=shutil.ignore_patterns(*MADE))


def start(
    place: Path, *arguments: str, cores: int = 2, alone: bool = False, **config: str
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
    process = start(place, *arguments, **options)
    output, _ = process.communicate()
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
    """Starts what a page needs, and kills it and all that it has begun."""
    process = start(place, f"runs/smoke/executed/{page}.ipynb", alone=True)
    while not arrived():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    # Kernels are in process groups of their own, and would go on for a second.
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
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
    finish(checkout)
    # What was finished before each kill was kept.
    assert (run / "corpora" / "run.json").read_text() == corpora
    assert (run / "models" / "base" / "run.json").read_text() == base
    return checkout


def of_lineage(checkout: Path, name: str) -> Path:
    """The book of one of LINEAGES, with hostile texts; in the chain a chat model explains."""
    models, arms = json.dumps(LINEAGES[name]), json.dumps(ARMS[name])
    small = {"robustness": "{sweep: []}", "sae": "{expansion: 4}"}
    small["tracking"] = "{control_draws: 1, replicates: 20}"
    texts = {domain: write_texts(checkout / "texts" / domain, domain) for domain in HOSTILE[name]}
    small["corpora"] = json.dumps({"sources_of": texts})
    with HostileChat() as chat:
        if name == "chain":
            asked = {"explainer": "endpoint", "base_url": chat.url, "key_variable": KEY_VARIABLE}
            small["interpretation"] = json.dumps(asked | {"chat_model": "tiny"})
        said = finish(checkout, cores=1, name=name, models=models, arms=arms, **small)
    # For the test that looks for the key.
    (checkout.parent / "said.txt").write_text(said)
    seen = {"keys": [*{*chat.authorizations}], "command_lines": sorted(chat.command_lines)}
    (checkout.parent / "chat.json").write_text(json.dumps(seen))
    return checkout


BOOKS: dict[str, Callable[[Path], Path]] = {
    "smoke": smoke,
    "chain": lambda checkout: of_lineage(checkout, "chain"),
    "three": lambda checkout: of_lineage(checkout, "three"),
}


class Books:
    """The books by name, each made once in a copy of the repository, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._maker = folder / "maker"  # holds the number of the process that makes them

    @property
    def begun(self) -> bool:
        """Whether somebody makes them."""
        return self._maker.exists()

    def __getitem__(self, name: str) -> Path:
        """The copy in which the book stands, once it does."""
        outcome = self.folder / f"{name}.txt"
        while not outcome.exists():
            maker = psutil.Process(int(self._maker.read_text()))
            ended = maker.status() == psutil.STATUS_ZOMBIE
            assert not ended or outcome.exists(), "the process that made the books was killed"
            time.sleep(0.2)
        failure = outcome.read_text()
        assert not failure, failure
        return self.folder / name / "featrack"

    def begin(self, wanted: Iterable[str]) -> None:
        """Has these books made."""
        command = [sys.executable, "-m", "tests.books", str(self.folder), *wanted]
        self._process = subprocess.Popen(command, cwd=ROOT)
        self._maker.write_text(str(self._process.pid))

    def stop(self) -> None:
        """Ends what is under way, where the tests end before it."""
        if self.begun:
            maker = psutil.Process(self._process.pid)
            for process in (*maker.children(recursive=True), maker):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self._process.wait()


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


def main(folder: Path, *names: str) -> None:
    """Makes books: the one that takes both cores first, then the others side by side."""
    if "smoke" in names:
        make(folder, "smoke")
    with ThreadPoolExecutor() as pool:
        list(pool.map(partial(make, folder), [name for name in names if name != "smoke"]))


def lineage_of(name: str) -> Lineage:
    """One of LINEAGES."""
    return Lineage(LINEAGES[name])


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
