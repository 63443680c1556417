"""What is forked from the server is what `python -m` would have been, and nothing outlives it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from featrack_utils.pipeline import forkserver

ROOT = Path(__file__).parent.parent
CLIENT = [*forkserver.PYTHON]
SUITES = os.environ.get(forkserver.ADDRESS, "")  # where the suite's own server answers
SEEN = """
import json, os, sys
import numba, torch
seen = {"arguments": sys.argv, "folder": os.getcwd(), "path": sys.path, "name": __name__,
        "variables": dict(os.environ), "input": sys.stdin.read(),
        "numba": numba.config.NUMBA_NUM_THREADS,
        "torch": torch.__config__.parallel_info()}
print(json.dumps(seen))
"""
SLEEPS = "import os, time\nprint(os.getpid(), os.getppid(), flush=True)\ntime.sleep(60)\n"
NOTEBOOK = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
# %% tags=["parameters"]
steps = 3
# %%
import logging, os, warnings
import matplotlib.pyplot as plt, torch
from tqdm.auto import tqdm
from transformers.utils.logging import get_logger
get_logger("transformers").error("a library's message")
warnings.warn("a warning")
# %%
plt.plot([1, 2])
plt.gcf()
# %%
tqdm(range(steps)).__class__, torch.get_num_threads(), torch.manual_seed(0), torch.rand(2)
# %%
os.getenv("KILLED") and os.kill(os.getpid(), 9)
raise ValueError(steps)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to work in, with the client's view of Python and of this repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv(forkserver.ADDRESS, raising=False)
    # What is begun in a shell's background ignores SIGINT, and so would all that we begin.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield tmp_path
    signal.signal(signal.SIGINT, handler)


@pytest.fixture
def server(place, monkeypatch):
    """Starts servers that end with the test; the last one is the one that answers."""
    monkeypatch.setenv(forkserver.ADDRESS, "")  # taken back at the end, whatever `start` sets
    servers = []

    def begin(*modules: str) -> subprocess.Popen:
        started = forkserver.start(2, modules)
        servers.append((started, Path(os.environ[forkserver.ADDRESS]).parent))
        return started

    yield begin
    for started, folder in servers:
        started.stdin.close()
        started.wait()
        shutil.rmtree(folder, ignore_errors=True)  # a killed server leaves it


def run(place, code: str, *arguments: str, command=CLIENT, **options):
    (place / "program.py").write_text(code)
    return subprocess.run(
        [*command, "-m", "program", *arguments],
        cwd=place,
        capture_output=True,
        text=True,
        **options,
    )


def begin_sleeping(place, command=CLIENT) -> tuple[subprocess.Popen, int, int]:
    """A client with the number of its process, and of that one's parent."""
    (place / "program.py").write_text(SLEEPS)
    client = subprocess.Popen([*command, "-m", "program"], cwd=place, stdout=subprocess.PIPE)
    return client, *map(int, client.stdout.readline().split())


def ends(pid: int) -> bool:
    """Whether a process is gone within ten seconds; one whose end nobody asks for is."""
    for _ in range(500):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_a_fork_sees_what_a_process_of_its_own_sees(place, monkeypatch):
    def seen(threads):
        numbers = {"OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads}
        done = run(place, SEEN, "a b", "-c", input="typed", env=os.environ | numbers)
        values = json.loads(done.stdout)
        values["variables"].pop(forkserver.ADDRESS, None)
        return values

    cold = [seen("1"), seen("2")]
    assert cold[0] != cold[1]
    monkeypatch.setenv(forkserver.ADDRESS, SUITES)
    assert [seen("1"), seen("2")] == cold
    assert seen("1") == cold[0]


def test_forks_draw_different_numbers_where_nobody_sets_a_seed(place, monkeypatch):
    monkeypatch.setenv(forkserver.ADDRESS, SUITES)
    code = "import random, numpy, torch\nprint(random.random(), numpy.random.rand(), torch.rand(1))"
    run(place, code)
    first, second = run(place, code).stdout.split(), run(place, code).stdout.split()
    assert not set(first) & set(second)


@pytest.mark.parametrize(
    "code",
    [
        "pass",
        "raise SystemExit(3)",
        "raise SystemExit('a sentence')",
        "1 / 0",
        "import nowhere",
        "import os; os.kill(os.getpid(), 9)",
        "import atexit, threading, time\natexit.register(print, 'last')\n"
        "threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()",
    ],
)
def test_a_fork_ends_as_a_process_of_its_own_ends(place, server, code):
    cold = run(place, code)
    process = server()
    warm = run(place, code)
    assert process.poll() is None
    assert (warm.returncode, warm.stdout) == (cold.returncode, cold.stdout)
    assert warm.stderr.splitlines()[-1:] == cold.stderr.splitlines()[-1:]


def test_signals_reach_the_fork(place, server):
    server()
    client, pid, _ = begin_sleeping(place)
    client.send_signal(signal.SIGINT)
    assert client.wait(10) == 128 + signal.SIGINT and ends(pid)
    client, pid, _ = begin_sleeping(place)
    client.terminate()
    assert client.wait(10) < 0 and ends(pid)


def test_a_fork_ends_with_its_client(place, server):
    process = server()
    client, pid, parent = begin_sleeping(place)
    assert parent == process.pid
    client.kill()
    assert ends(pid) and process.poll() is None


def test_a_fork_ends_with_its_clients_parent(place, server):
    server()
    shell, pid, _ = begin_sleeping(place, ["bash", "-c", '"$@"; true', "bash", *CLIENT])
    shell.kill()
    assert ends(pid)


def test_the_server_ends_with_its_parent_and_all_clients_with_it(place, monkeypatch):
    code = "import time\nfrom os import environ\n"
    code += "from featrack_utils.pipeline.forkserver import start\n"
    code += "s = start(1, [])\nprint(s.pid, environ['FEATRACK_FORKSERVER'], flush=True)\n"
    parent = subprocess.Popen(
        [sys.executable, "-c", f"{code}time.sleep(60)"], stdout=subprocess.PIPE, text=True
    )
    server, address = parent.stdout.readline().split()
    monkeypatch.setenv(forkserver.ADDRESS, address)
    client, pid, _ = begin_sleeping(place)
    parent.kill()
    assert client.wait(10) == -signal.SIGKILL and ends(pid) and ends(int(server))
    assert not Path(address).parent.exists()


def test_a_client_does_nothing_by_itself_when_the_pipeline_ended_before_the_server_had_loaded(
    place, monkeypatch
):
    (place / "slow.py").write_text("import time\nopen('loading', 'w').close()\ntime.sleep(1)\n")
    (place / "program.py").write_text("open('done by itself', 'w').close()\n")
    code = "import time\nfrom os import environ\n"
    code += "from featrack_utils.pipeline.forkserver import start\n"
    code += "s = start(1, ['slow'])\nprint(environ['FEATRACK_FORKSERVER'], flush=True)\n"
    parent = subprocess.Popen(
        [sys.executable, "-c", f"{code}time.sleep(60)"], stdout=subprocess.PIPE, text=True
    )
    monkeypatch.setenv(forkserver.ADDRESS, parent.stdout.readline().strip())
    # A shell between them, as Snakemake's, is not killed with it.
    client = subprocess.Popen([*CLIENT, "-m", "program"])
    while not (place / "loading").exists():
        time.sleep(0.01)
    parent.kill()
    parent.communicate()
    assert client.wait(20) == -signal.SIGKILL
    assert not (place / "done by itself").exists()


def test_without_a_server_or_with_a_dead_one_a_client_does_it_itself(place, server):
    assert run(place, "print('done')").stdout == "done\n"
    server("nowhere")  # it fails before it forks
    assert run(place, "print('done')").stdout == "done\n"
    process = server()
    client, pid, _ = begin_sleeping(place)
    process.kill()
    process.wait()
    assert run(place, "print('done')").stdout == "done\n"
    assert client.poll() is None and psutil.pid_exists(pid)  # what was begun goes on
    client.kill()
    assert ends(pid)


def test_a_notebook_runs_as_without_a_server(place, monkeypatch):
    (place / "notebooks").mkdir()
    (place / "notebooks" / "page.py").write_text(NOTEBOOK)

    def outputs(name, **variables):
        command = [*CLIENT, "-m", "featrack_utils.run", "page", f"{name}.ipynb"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 1 and done.stderr.count("featrack: ") == 1
        if variables:
            return done.stderr
        made = [
            output
            for cell in nbformat.read(f"{name}.failed.ipynb", 4).cells
            for output in cell.get("outputs", [])
        ]
        # Streams are cut up by chance.
        text = "".join(output.pop("text", "") for output in made)
        others = [output for output in made if output.output_type != "stream"]
        text = re.sub(r"ipykernel_\d+|0x[0-9a-f]+|[0-9a-f]{32}", "", f"{text} {others}")
        return text, done.stderr.replace(name, "")

    cold = outputs("cold")
    monkeypatch.setenv(forkserver.ADDRESS, SUITES)
    assert outputs("first") == outputs("second") == cold
    assert "a library's message" in cold[0] and "image/png" in cold[0]
    assert "its kernel died" in outputs("killed", KILLED="yes")
    here = {each.pid for each in psutil.process_iter(["cwd"]) if each.info["cwd"] == str(place)}
    assert all(map(ends, here - {os.getpid()}))
    # A fork has the one thread that forks: others would be missing.
    server = int(run(place, "import os; print(os.getppid())").stdout)
    assert psutil.Process(server).num_threads() == 1


def test_sockets_have_short_names_however_long_the_folder_of_temporary_files(tmp_path, monkeypatch):
    deep = tmp_path / ("long" * 20)
    deep.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    folder = Path(forkserver.socket_folder())
    assert folder.is_dir() and len(str(folder)) < 60
    shutil.rmtree(folder)


def test_sockets_that_a_killed_process_has_left_are_removed_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = "import time\nfrom featrack_utils.pipeline.forkserver import socket_folder\n"
    code += "print(socket_folder(), flush=True)\ntime.sleep(60)\n"
    command = [sys.executable, "-c", code]
    holders = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    left, held = (Path(holder.stdout.readline().strip()) for holder in holders)
    somebodys = tmp_path / "featrack-fork"
    somebodys.mkdir()
    (somebodys / "thesis.tex").write_text("mine")
    holders[0].kill()
    holders[0].wait()
    own = Path(forkserver.socket_folder())
    assert not left.exists() and held.is_dir() and own.is_dir()
    assert (somebodys / "thesis.tex").read_text() == "mine"
    holders[1].kill()
    holders[1].communicate()
    shutil.rmtree(own)
