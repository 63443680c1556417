"""The one exception a reader is meant to see."""


class FeatrackError(ValueError):
    """A problem the reader can mend: one sentence that says what, where and what to do.

    On one line: names and texts in it may hold what a terminal would obey.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__("".join(c if c.isprintable() else " " for c in sentence))
