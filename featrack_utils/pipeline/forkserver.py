"""Forks a run's phases and kernels from one process that has the libraries loaded (Linux only).

Loading torch and what stands on it takes seconds, and a run starts dozens of processes that need
it: a smoke run takes half the time with this. A pipeline calls `start`; what it runs by
`python -IS forkserver.py -m MODULE …` from then on, the client, has the server fork, and the fork
does what `python -m MODULE …` does. Client and fork share a socket, and each ends with the other;
all end when the server's stdin is closed. Where no server answers, a client becomes
`python -m MODULE …`. It loads next to nothing, and nothing from site-packages.
"""

import atexit
import contextlib
import fcntl
import gc
import json
import os
import runpy
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TextIO

ADDRESS = "FEATRACK_FORKSERVER"
# A command like `python`, for `-m MODULE …`: forked, where there is a server.
PYTHON = (sys.executable, "-IS", __file__)
_SERVE = "--serve"
_IN_USE = "featrack-in-use"  # a file in a folder of sockets, locked by the process that made it
_HELD: list[TextIO] = []
# What most notebooks load, the dear parts by name, and nothing of ours, which may change while the
# server runs. The kernel goes first: tqdm looks for it to choose the kind of its bars.
PRELOADED = (
    "ipykernel.zmqshell",
    "ipykernel.kernelapp",
    "papermill",
    "jupytext",
    "pandas",
    "torch",
    "numba",
    "scipy.stats",
    "seaborn",
    "transformers.models.mistral.modeling_mistral",
    "transformers.trainer",
    "sae_lens",
    "transformer_lens.model_bridge",
    "pyarrow.parquet",
    "threadpoolctl",
)
# In the server while it loads; its forks have their own clients' environments instead.
LOADING = {
    "GOMP_SPINCOUNT": "10000",  # as in the Snakefile
    # Freed memory is kept for the next array: a training step that has the system clear its pages
    # anew each time takes a tenth longer.
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "MALLOC_MMAP_THRESHOLD_": "33554432",  # the largest that glibc takes
    "MALLOC_TOP_PAD_": "67108864",
    # OpenBLAS and pyarrow start threads when they are loaded, which no fork would inherit.
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    # SAELens asks for a GPU when it is loaded: CUDA itself, once asked, works in no fork.
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    # As in a kernel; one whose parent ipykernel needn't watch, because its client does.
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "JPY_PARENT_PID": "1",
}


def socket_folder() -> str:
    """A new folder for sockets, whose names may have some hundred characters and no more.

    It is this process's own for as long as that lives. Those of processes that were killed are
    removed.
    """
    place = tempfile.gettempdir() if len(tempfile.gettempdir()) < 60 else "/tmp"
    for mark in Path(place).glob(f"featrack-*/{_IN_USE}"):
        with contextlib.suppress(OSError), locked(mark):  # in use, another user's, gone by now
            shutil.rmtree(mark.parent, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix="featrack-", dir=place)
    mark = Path(folder) / f".{_IN_USE}"
    mark.touch()
    _HELD.append(locked(mark))
    mark.rename(mark.with_name(_IN_USE))  # found by others only when it is locked
    return folder


def locked(mark: Path) -> TextIO:
    """Holds a file for this process, until it ends or lets go; OSError if another one does."""
    file = mark.open("r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


def start(threads: int, modules: Sequence[str] = PRELOADED) -> subprocess.Popen | None:
    """Starts a server that ends with this process, and names it to all that are begun from now on.

    Args:
        threads: the most that any of its forks will use.
        modules: loaded in this order, once the first request has come.

    Returns:
        The server, which ends when its stdin is closed; None where the system can't have one.
    """
    if sys.platform != "linux":
        return None
    address = Path(socket_folder()) / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        # Listening before there is a server lets the first client wait for it.
        listener.bind(str(address))
        listener.listen(64)
        os.environ[ADDRESS] = str(address)
        module = "featrack_utils.pipeline.forkserver"
        return subprocess.Popen(
            ["python", "-m", module, _SERVE, str(listener.fileno()), *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=[listener.fileno()],
            env=os.environ | LOADING | {"OMP_NUM_THREADS": str(threads)},
        )


class Stderr:
    """What sys.stderr is by now, for log handlers that are made before a kernel sets its own."""

    __slots__ = ()  # or wandb would set a `write` of its own

    def __getattr__(self, name: str):
        return getattr(sys.__stderr__ if sys.stderr is self else sys.stderr, name)


def serve(listener: socket.socket, modules: Sequence[str]) -> socket.socket | None:
    """Forks for each client; returns it in the fork, and None in the server at its end."""
    # For jsonschema, as in featrack_utils.run.
    sys.modules.setdefault("rfc3987_syntax", None)
    sys.modules.setdefault("debugpy", None)  # which every kernel would load: nobody debugs a phase
    sys.stderr = Stderr()
    while True:
        ready, _, _ = select.select([listener, 0], [], [])
        if 0 in ready:
            return None
        for module in modules:  # at the first request; later they are there
            import_module(module)
        if "numba" in sys.modules:  # or it would take half a second before its first function
            sys.modules["numba"].core.registry.cpu_target.target_context.refresh()
        if "nbformat" in sys.modules:  # has its schema compiled once
            sys.modules["nbformat"].v4.new_notebook()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a fork
        client, _ = listener.accept()
        gc.freeze()  # a collection in a fork would copy what it shares
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            return client
        client.close()


def become(client: socket.socket) -> None:
    """Turns a fork into `python -m MODULE ...` as its client asked for it, and runs that."""
    os.setsid()
    pipeline, loaded = os.dup(0), os.environ["OMP_NUM_THREADS"]
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    with client.makefile() as lines:
        wanted = json.loads(lines.readline())
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)

    def watch(seconds: float | None = None) -> None:
        # Neither says anything, but both may close.
        if select.select([client, pipeline], [], [], seconds)[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    watch(0)  # they may have ended while the server was loading
    threading.Thread(target=watch, daemon=True).start()
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    _, *sys.argv = wanted["arguments"]
    sys.path[0], sys.stderr = wanted["folder"], sys.__stderr__
    adjust(loaded)
    client.send(struct.pack("i", os.getpid()))
    status = 0
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code or 0
        if not isinstance(status, int):  # something to say
            print(status, file=sys.stderr)
            status = 1
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    # What Python does at its end, but for taking every library apart, which copies what is shared.
    threading._shutdown()
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    client.send(struct.pack("i", status))
    os._exit(status)


def adjust(loaded: str) -> None:
    """Gives loaded libraries what they would have read from this environment, and new seeds."""
    if "torch" not in sys.modules:
        return
    import numba
    import numpy
    import threadpoolctl
    import torch

    threads = os.environ.get("OMP_NUM_THREADS") or str(len(os.sched_getaffinity(0)))
    threadpoolctl.threadpool_limits(int(threads))
    if threads != loaded:
        torch.set_num_threads(int(threads))
    numba.config.reload_config()
    numpy.random.seed()
    torch.default_generator.seed()


def ask(address: str, arguments: list[str]) -> int | None:
    """Has the server run `python ARGUMENTS` with our environment, folder and standard streams.

    Returns:
        The exit status; -SIGKILL if the fork was killed, or our parent or the server's has ended;
        None if no server answers.
    """
    parent = os.getppid()
    request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    passed_on = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # They wait until it is known to whom they go: the fork may have begun before we hear of it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(address)
            socket.send_fds(server, [b" "], [0, 1, 2])
            server.sendall(json.dumps(request).encode() + b"\n")
            (pid,) = struct.unpack("i", server.recv(4))
        except (OSError, struct.error):
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return -signal.SIGKILL if _abandoned(address) else None

        def pass_on(number, _):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

        for number in passed_on:
            signal.signal(number, pass_on)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        server.settimeout(1.0)
        while os.getppid() == parent:
            with contextlib.suppress(TimeoutError):
                status = server.recv(4)
                return struct.unpack("i", status)[0] if status else -signal.SIGKILL
    return -signal.SIGKILL


def _abandoned(address: str) -> bool:
    """Whether a server doesn't answer because the process that started it has ended.

    That one may have ended while the server was loading: then nobody waits for what we would do.
    """
    try:
        with locked(Path(address).with_name(_IN_USE)):
            return True
    except OSError as error:  # the server has removed it, or that process holds it still
        return isinstance(error, FileNotFoundError)


def main() -> None:
    """The server, to which `start` gives a listening socket and modules; else a client.

    A client ends as the fork ended, or becomes `python ARGUMENTS`.
    """
    _, *arguments = sys.argv
    address = os.environ.get(ADDRESS)
    if arguments[0] == _SERVE:
        if client := serve(socket.socket(fileno=int(arguments[1])), arguments[2:]):
            become(client)
        shutil.rmtree(Path(address).parent, ignore_errors=True)
        os._exit(0)
    status = ask(address, arguments) if address else None
    if status is None:
        os.execv(sys.executable, [sys.executable, *arguments])
    if status < 0:
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main()
