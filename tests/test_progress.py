"""What `make book` prints, and that two of them don't write at once."""

import io
import logging
import subprocess
import sys
import time

import pytest

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline.progress import TERMINAL, Progress, TimeLeft, spell, take_lock


@pytest.mark.parametrize(("asked", "left"), [({"all": 1}, 2), ({}, 3)])
def test_each_phase_is_named_as_it_starts_and_ends_with_how_many_are_left(asked, left):
    out = io.StringIO()
    logger = logging.Logger("snakemake")
    logger.addHandler(Progress(out))
    logger.info("", extra={"event": "run_info", "stats": {"tracking": 1, "total": 3} | asked})
    logger.info("", extra={"event": "job_info", "jobid": 7, "rule_name": "tracking"})
    logger.info("Finished", extra={"event": "job_finished", "job_id": 7})
    logger.info("", extra={"event": "progress", "done": 1, "total": 3})
    logger.info("Select jobs to execute...")
    logger.error("MissingInputException: a file")
    logger.error("Exiting because a job execution failed.")
    lines = [line.split("] ")[1] for line in out.getvalue().splitlines()]
    expected = [
        "tracking …",
        f"tracking: done in 0 s (1 of {left})",
        "MissingInputException: a file",
    ]
    assert lines == expected


def test_what_snakemake_stops_at_is_said_in_one_line_unless_it_was_said_before():
    out = io.StringIO()
    logger = logging.Logger("snakemake")
    logger.addHandler(Progress(out))

    def stops(message, exception):
        logger.error(message, extra={"event": "error", "exception": exception})

    stops("WorkflowError:\nFailed to create output directory runs/a.\nOSError: x", "WorkflowError")
    stops('Traceback (most recent call last):\n  File "a", line 1\nOSError: full', "OSError")
    stops("Traceback (most recent call last):\nFeatrackError: in use", "FeatrackError")
    stops("WorkflowError:\nAt least one job did not complete successfully.", "WorkflowError")
    stops("RuleException:\nCalledProcessError in line 7", "RuleException")
    lines = [line.split("] ")[1] for line in out.getvalue().splitlines()]
    failed = "WorkflowError: Failed to create output directory runs/a. OSError: x"
    assert lines == [failed, "OSError: full"]


def test_a_duration_is_read_in_minutes_and_seconds():
    assert spell(12.4) == "12 s"
    assert spell(185) == "3 min 5 s"


def test_a_long_job_says_on_the_terminal_how_far_it_is(tmp_path, monkeypatch):
    monkeypatch.delenv(TERMINAL, raising=False)
    TimeLeft("quiet", 10, every=0).at(1)  # nobody listens: nothing happens
    out = io.StringIO()
    progress = Progress(out)
    monkeypatch.setenv(TERMINAL, "")
    progress.relay(tmp_path / "made" / "lines")
    left = TimeLeft(".lua.partial-0a1b", steps=10, done=2, every=0)
    left.begun -= 40  # eight steps of ten remain, and the first two took no time of ours
    left.at(6)
    for _ in range(100):
        if out.getvalue():
            break
        time.sleep(0.05)
    assert out.getvalue().split("] ")[1] == "lua: 60%, 40 s left\n"


def test_the_lock_names_its_holder_and_goes_with_it(tmp_path):
    path = tmp_path / "lock"
    code = "import sys, time\nfrom pathlib import Path\n"
    code += "from featrack_utils.pipeline.progress import take_lock\n"
    code += f"held = take_lock(Path({str(path)!r}))\nprint('held', flush=True)\ntime.sleep(60)\n"
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(FeatrackError, match=f"in use by process {holder.pid}, which began at"):
        take_lock(path)
    holder.kill()
    holder.communicate()
    take_lock(path).close()
