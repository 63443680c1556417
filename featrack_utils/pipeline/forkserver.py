"""Forks a run's phases and kernels from one process that has the libraries loaded (Linux only).

Loading torch and what stands on it takes seconds, and a run starts dozens of processes that need
it: a smoke run takes half the time with this, and a quick one a minute less. A pipeline calls
`start`; what it runs by `python -IS forkserver.py -m MODULE …` from then on is forked from the
server, and does what `python -m MODULE …` does. For every phase and every kernel that client loads
next to nothing, and nothing from site-packages; where no server answers it becomes
`python -m MODULE …`.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import json
import os
import runpy
import select
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

ADDRESS = "FEATRACK_FORKSERVER"
_SERVE = "--serve"
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
    "sae_lens",
    "transformer_lens.model_bridge",
    "pyarrow.parquet",
    "threadpoolctl",
)
# In the server while it loads; its forks have their own clients' environments instead.
LOADING = {
    "GOMP_SPINCOUNT": "10000",  # as in the Snakefile
    # OpenBLAS and pyarrow start threads when they are loaded, which no fork would inherit.
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    # As in a kernel; one whose parent ipykernel needn't watch, because its client does.
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "JPY_PARENT_PID": "1",
}


def start(threads: int, modules: Sequence[str] = PRELOADED) -> subprocess.Popen | None:
    """Starts a server that ends with this process, and names it to all that are begun from now on.

    Args:
        threads: the most that any of its forks will use.
        modules: loaded in this order, once the first request has come.

    Returns:
        The server, which ends when its stdin is closed; None where the system can't have one.
    """
    try:
        os.close(os.pidfd_open(os.getpid()))
        os.close(os.memfd_create("test"))
    except (AttributeError, OSError):
        return None
    address = Path(tempfile.mkdtemp(prefix="featrack-")) / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        # Listening before there is a server lets the first client wait for it.
        listener.bind(str(address))
        listener.listen(64)
        os.environ[ADDRESS] = str(address)
        return subprocess.Popen(
            [
                "python",
                "-m",
                "featrack_utils.pipeline.forkserver",
                _SERVE,
                str(listener.fileno()),
                *modules,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=[listener.fileno()],
            env=os.environ | LOADING | {"OMP_NUM_THREADS": str(threads)},
        )


class Server:
    """Answers requests; never waits for a client, and starts no thread."""

    def __init__(self, listener: socket.socket) -> None:
        self.asked = False
        self.selector = selectors.PollSelector()
        self.watch(listener, partial(self.accept, listener))
        # A copy, because a fork closes all that is watched, and its stdin will be the client's.
        self.alive = open(os.dup(0), "rb", buffering=0)  # noqa: SIM115
        self.watch(self.alive, self.dismiss)

    def serve(self, modules: Sequence[str]) -> list[int] | None:
        """Returns a request's file descriptors in each fork, and None in the server at its end."""
        to_load = list(modules)
        while not self.alive.closed:
            loading = self.asked and to_load
            # One at a time: a reaction may close what the next event is about.
            for key, _ in self.selector.select(0 if loading else None)[:1]:
                if request := key.data():
                    return request
            if loading:
                import_module(to_load.pop(0))

    def watch(self, file, react: Callable) -> None:
        self.selector.register(file, selectors.EVENT_READ, react)

    def forget(self, file) -> None:
        with contextlib.suppress(ValueError):  # a client that has ended was forgotten before
            self.selector.unregister(file)
        file.close()

    def accept(self, listener: socket.socket) -> None:
        client, _ = listener.accept()
        self.asked = True
        self.watch(client, partial(self.fork, client))

    def fork(self, client: socket.socket) -> list[int] | None:
        request, pid = [], None
        # A client that has ended, or no memory for a fork: it is on its own.
        with contextlib.suppress(OSError):
            _, request, _, _ = socket.recv_fds(client, 1, 4)
            gc.freeze()  # a collection in a fork would copy what it shares
            pid = os.fork() if request else None
        if pid == 0:
            for key in list(self.selector.get_map().values()):
                self.forget(key.fileobj)
            return request
        for descriptor in request:
            os.close(descriptor)
        if pid is None:
            return self.forget(client)
        process = open(os.pidfd_open(pid), "rb", buffering=0)  # noqa: SIM115
        self.selector.modify(client, selectors.EVENT_READ, partial(self.relay, client, process))
        self.watch(process, partial(self.reap, client, process, pid))

    def relay(self, client: socket.socket, process) -> None:
        """Passes on a signal; a client that has ended takes its process with it."""
        number = b""
        with contextlib.suppress(OSError):
            number = client.recv(1)
        signal.pidfd_send_signal(process.fileno(), number[0] if number else signal.SIGKILL)
        if not number:
            self.forget(client)

    def reap(self, client: socket.socket, process, pid: int) -> None:
        _, status = os.waitpid(pid, 0)
        self.forget(process)
        self.answer(client, os.waitstatus_to_exitcode(status))

    def answer(self, client: socket.socket, status: int) -> None:
        with contextlib.suppress(OSError):
            client.send(struct.pack("i", status))
        self.forget(client)

    def dismiss(self) -> None:
        """Ends all clients: without an answer they would go on by themselves."""
        self.forget(self.alive)
        for key in list(self.selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                self.answer(key.fileobj, -signal.SIGKILL)


class Stderr:
    """What sys.stderr is by now, for log handlers that are made before a kernel sets its own."""

    __slots__ = ()  # or wandb would set a `write` of its own

    def __getattr__(self, name: str):
        return getattr(sys.__stderr__ if sys.stderr is self else sys.stderr, name)


def become(request: Sequence[int], server: int, threads: str) -> None:
    """Turns a fork into `python -m MODULE ...` as its client asked for it, and runs that.

    Args:
        request: file descriptors: stdin, stdout, stderr, and a file with the rest as JSON.
        server: the process that this one must not outlive.
        threads: the number that the libraries were loaded for.
    """
    os.setsid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != server:
        os._exit(1)
    *streams, file = request
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    with open(file) as opened:
        opened.seek(0)
        wanted = json.load(opened)
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    _, *sys.argv = wanted["arguments"]
    sys.path[0], sys.stderr = wanted["folder"], sys.__stderr__
    adjust(threads)
    status: object = 0
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code or 0
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    if not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
    # What Python does at its end, but for taking every library apart, which copies what is shared.
    threading._shutdown()
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def adjust(loaded: str) -> None:
    """Gives loaded libraries what they would have read from this environment, and new seeds."""
    threads = os.environ.get("OMP_NUM_THREADS") or str(len(os.sched_getaffinity(0)))
    if threadpoolctl := sys.modules.get("threadpoolctl"):
        threadpoolctl.threadpool_limits(int(threads))
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    if torch := sys.modules.get("torch"):
        torch.default_generator.seed()
        if threads != loaded:
            torch.set_num_threads(int(threads))
    if numba := sys.modules.get("numba"):
        numba.config.reload_config()


def ask(address: str, arguments: list[str]) -> int | None:
    """Has the server run `python ARGUMENTS` with our environment, folder and standard streams.

    Signals are passed on; the fork is killed when this process or its parent ends.

    Returns:
        The exit status, negative for a signal; None if there is no server, or no longer.
    """
    parent = os.pidfd_open(os.getppid())
    request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as server, open(os.memfd_create("request"), "w+") as file:
        json.dump(request, file)
        file.flush()
        try:
            server.connect(address)
            socket.send_fds(server, [b"\0"], [0, 1, 2, file.fileno()])
        except OSError:
            return None

        def pass_on(number, _):
            with contextlib.suppress(OSError):
                server.send(bytes([number]))

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, pass_on)
        ready, _, _ = select.select([server, parent], [], [])
        if server in ready:
            with contextlib.suppress(OSError):
                if status := server.recv(4):
                    return struct.unpack("i", status)[0]
            # A server that is killed takes its forks with it. If our parent was one (a phase,
            # and this is its kernel), nobody is left who wants us.
            ready, _, _ = select.select([parent], [], [], 1.0)
        return -signal.SIGKILL if parent in ready else None


def client(arguments: list[str]) -> None:
    """Ends as the fork ended, or becomes `python ARGUMENTS`."""
    address = os.environ.get(ADDRESS)
    status = ask(address, arguments) if address else None
    if status is None:
        os.execv(sys.executable, [sys.executable, *arguments])
    if status < 0:
        with contextlib.suppress(OSError):  # SIGKILL has its default action anyway
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


def serve() -> None:
    """The server: `start` gives it a listening socket and the names of modules."""
    # For jsonschema, as in featrack_utils.pipeline.notebook.
    sys.modules.setdefault("rfc3987_syntax", None)
    sys.stderr = Stderr()
    server, threads = os.getpid(), os.environ["OMP_NUM_THREADS"]
    folder = Path(os.environ[ADDRESS]).parent
    try:
        request = Server(socket.socket(fileno=int(sys.argv[2]))).serve(sys.argv[3:])
    finally:
        if os.getpid() == server:
            shutil.rmtree(folder, ignore_errors=True)
    if request:
        become(request, server, threads)
    os._exit(0)  # at once, and all forks with it


if __name__ == "__main__":
    if sys.argv[1:2] == [_SERVE]:
        serve()
    else:
        client(sys.argv[1:])
