"""The one exception a reader is meant to see."""


class FeatrackError(ValueError):
    """A problem the reader can mend: one sentence that says what, where and what to do."""
