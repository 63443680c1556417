"""The embedded text `stories`: a grammar of plots for children, written for this project."""

from featrack_utils.corpora.stories.telling import plot_names, write_stories
from featrack_utils.corpora.stories.world import characters, vocabulary

__all__ = ["characters", "counts", "plot_names", "vocabulary", "write_stories"]


def counts() -> dict[str, int]:
    """How many plots, characters and words of its tables the grammar has."""
    sizes = {"plots": plot_names(), "characters": characters(), "words": vocabulary()}
    return {what: len(each) for what, each in sizes.items()}
