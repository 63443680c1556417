"""Cuts long texts where a reader would: at empty lines, else at line ends, else at spaces."""

from __future__ import annotations

from collections.abc import Iterator

_BOUNDARIES = ("\n\n", "\n", " ")


def cut_once(text: str, max_chars: int) -> tuple[str, str]:
    """A head of at most `max_chars` characters and the rest; together they are the text.

    The head is at least half as long as allowed, so that a boundary near the start of a long
    paragraph doesn't leave a scrap.
    """
    if len(text) <= max_chars:
        return text, ""
    for boundary in _BOUNDARIES:
        end = text.rfind(boundary, max_chars // 2, max_chars)
        if end >= 0 and end + len(boundary) <= max_chars:
            return text[: end + len(boundary)], text[end + len(boundary) :]
    return text[:max_chars], text[max_chars:]


def pieces(text: str, max_chars: int) -> Iterator[str]:
    """Yields consecutive parts of a text, each of at most `max_chars` characters."""
    start = 0
    while start < len(text):
        # Only the next stretch is copied, so a text of many megabytes stays linear.
        head, _ = cut_once(text[start : start + max_chars + 1], max_chars)
        yield head
        start += len(head)
