"""The embedded corpus of children's stories: a grammar of plots, written for this project."""

from featrack_utils.corpora.stories.lexicon import characters, lexicon
from featrack_utils.corpora.stories.telling import plot_names, write_stories

__all__ = ["characters", "lexicon", "plot_names", "write_stories"]
