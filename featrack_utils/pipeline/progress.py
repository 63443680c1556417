"""What `make book` says while it runs: each phase as it starts and ends; and one run at a time."""

import logging
import os
import re
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline.forkserver import locked

# Names the file through which a phase's kernel reaches the terminal of `make book`.
TERMINAL = "FEATRACK_TERMINAL"
# Snakemake's closing remarks on a failure, after the phase itself has said what is wrong.
_ECHOES = ("Exiting because", "Shutting down", "At least one job", "RuleException", "Complete log")


class Progress(logging.Handler):
    """Prints a line for each phase that starts or ends, and Snakemake's own errors."""

    def __init__(self, out: TextIO = sys.stderr) -> None:
        super().__init__()
        self.out = out
        self.begun = time.monotonic()
        self.started: dict[int, tuple[str, float]] = {}
        self.ended: list[tuple[str, float]] = []
        self.no_phases = 0  # jobs that are none: the rule `all`, unless one page is asked for

    def emit(self, record: logging.LogRecord) -> None:
        """Takes what Snakemake logs; see its LogEvent for the fields."""
        event = str(getattr(record, "event", None) or "")
        if event == "job_info" and record.rule_name != "all":
            self.started[record.jobid] = (record.rule_name, time.monotonic())
            self.say(f"{record.rule_name} …")
        elif event == "job_finished" and record.job_id in self.started:
            self.ended.append(self.started.pop(record.job_id))
        elif event == "run_info":
            self.no_phases = int("all" in record.stats)
        elif event == "progress":
            total = record.total - self.no_phases
            for name, begun in self.ended:
                took = spell(time.monotonic() - begun)
                self.say(f"{name}: done in {took} ({min(record.done, total)} of {total})")
            if record.done >= total and self.ended:
                self.say(f"All {total} phases done in {spell(time.monotonic() - self.begun)}")
            self.ended.clear()
        elif event in ("", "error") and record.levelno >= logging.ERROR:
            message = str(record.getMessage())
            if message.startswith("Traceback"):  # of which the last line says what it was
                message = message.strip().splitlines()[-1]
            message = " ".join(message.split())
            ours = getattr(record, "exception", "") == FeatrackError.__name__  # it has said so
            if not ours and not message.removeprefix("WorkflowError: ").startswith(_ECHOES):
                self.say(message)

    def relay(self, path: Path) -> None:
        """Prints, from now on, what the kernels write to a file, and names the file to them."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        os.environ[TERMINAL] = str(path.resolve())
        threading.Thread(target=self._follow, args=(path,), daemon=True).start()

    def _follow(self, path: Path) -> None:
        with path.open(encoding="utf-8") as file:
            while True:
                if line := file.readline():
                    self.say(line.rstrip("\n"))
                else:
                    time.sleep(0.5)

    def say(self, line: str) -> None:
        """Prints a line with the time of day."""
        print(f"[{time.strftime('%H:%M:%S')}] {line}", file=self.out, flush=True)


class TimeLeft:
    """Says on the terminal of `make book` how far a long job is; says nothing anywhere else."""

    def __init__(self, job: str, steps: int, done: int = 0, every: float = 20.0) -> None:
        # An artefact is made in a folder .NAME.partial-KEY.
        self.job = re.sub(r"\.(.+)\.partial-\w+$", r"\1", job)
        self.steps, self.first, self.every = steps, done, every
        self.begun = self.said = time.monotonic()

    def at(self, done: int) -> None:
        """Call with the number of steps done; writes a line every `every` seconds."""
        now = time.monotonic()
        if TERMINAL not in os.environ or now - self.said < self.every or done <= self.first:
            return
        self.said = now
        left = (now - self.begun) / (done - self.first) * (self.steps - done)
        # One short write to a file opened for appending: lines of two kernels don't mix.
        with open(os.environ[TERMINAL], "a", encoding="utf-8") as file:
            file.write(f"{self.job}: {done / self.steps:.0%}, {spell(left)} left\n")


def spell(seconds: float) -> str:
    """A duration as read: "12 s", "3 min 5 s"."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def take_lock(path: Path) -> TextIO:
    """Holds a checkout's runs for this process; it lets go when the process ends, however it does.

    Raises:
        FeatrackError: another process holds them; it is named.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    try:
        file = locked(path)
    except BlockingIOError:
        holder = path.read_text() or "another process"
        raise FeatrackError(
            f"The runs of this checkout are in use by {holder}; wait for it or end it."
        ) from None
    file.truncate(0)
    file.write(f"process {os.getpid()}, which began at {time.strftime('%H:%M:%S')}")
    file.flush()
    return file
