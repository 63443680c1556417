"""The embedded text `stories`: a grammar of plots for children, written for this project."""

from featrack_utils.corpora.stories.telling import plot_names, write_stories
from featrack_utils.corpora.stories.world import characters, vocabulary

__all__ = ["characters", "plot_names", "vocabulary", "write_stories"]
