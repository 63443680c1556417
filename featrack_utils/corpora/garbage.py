"""Pauses Python's search for garbage while syntax trees are built, which are many objects."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pauses the garbage collector; what nothing refers to any more is still freed at once.

    While a tree grows the collector would look through all of it again and again and find
    nothing: nearly half of the time that reading docstrings takes.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
