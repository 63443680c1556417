"""The embedded text `stories`: a grammar of plots for children, written for this project."""

from featrack_utils.corpora.stories.telling import plot_names, write_stories

__all__ = ["plot_names", "write_stories"]
