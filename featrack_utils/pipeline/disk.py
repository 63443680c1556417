"""What a disk may do to a run: be full, be read-only, or hold files of tomorrow."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from featrack_utils.errors import FeatrackError

_FULL = [os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT)]
_READ_ONLY = os.strerror(errno.EROFS)
_SPARE = 2**16  # bytes: with fewer than these, a library that says nothing of it met a full disk
_APART = 0.001  # seconds


def require_writable(*folders: Path) -> None:
    """Refuses folders that can't be written to, or that can't be made.

    Raises:
        FeatrackError: it names the folder.
    """
    for folder in folders:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not os.access(there, os.W_OK):
            raise FeatrackError(
                f"{there.absolute()}/ can't be written to; make it writable, or work in a copy of "
                "this checkout that is."
            )


def sentence_if_full(said: str, run: Path) -> str | None:
    """What to tell a reader if a failure means that a disk takes no more; None if it doesn't.

    Args:
        said: what a library said, each in its own words.
        run: where the failed phase writes, besides the folder of temporary files.
    """
    if _READ_ONLY in said:
        named = re.search(r"'([^']+)'", said)
        what = named[1] if named else f"{run}/"
        return f"{what} is on a read-only disk; make it writable and run `make book` again."
    free = {}
    for folder in (run, Path(tempfile.gettempdir())):
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        free[folder] = shutil.disk_usage(there).free
    fullest = min(free, key=free.get)
    reason = next((reason for reason in _FULL if reason in said), None)
    if reason or free[fullest] < _SPARE:
        reason = reason or _FULL[0]
        return f"{fullest}/ takes no more ({reason}); make room there and run `make book` again."
    return None


def date_back(files: Iterable[Path]) -> list[Path]:
    """Dates files of the future as of now, in the order that they had; returns them.

    Which phase has to run is told by dates. What is made now would be older than what it was made
    from, as long as that is of tomorrow: Snakemake refuses it, and would make it anew every time.
    """
    now, ahead = time.time(), {}
    for file in {*files}:
        with contextlib.suppress(FileNotFoundError):
            if (dated := file.stat().st_mtime) > now:
                ahead[file] = dated
    dates = sorted({*ahead.values()})
    moments = {date: now - (len(dates) - place) * _APART for place, date in enumerate(dates)}
    for file, date in ahead.items():
        with contextlib.suppress(OSError):  # what can't be written to
            os.utime(file, (moments[date], moments[date]))
    return sorted(ahead)
