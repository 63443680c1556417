"""Does what `python ARGUMENTS` does, in a fork of the pipeline's server (see forkserver).

Called as `python -IS forkclient.py -m MODULE ...`, for every phase and every kernel: it loads next
to nothing, and nothing from site-packages. Where no server answers it becomes `python ARGUMENTS`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import sys

ADDRESS = "FEATRACK_FORKSERVER"


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


def main(arguments: list[str]) -> None:
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


if __name__ == "__main__":
    main(sys.argv[1:])
