"""The four domains' texts: where they come from and how they are kept apart."""

from featrack_utils.corpora.collecting import collect, collect_all
from featrack_utils.corpora.sources import SourceConfig

__all__ = ["SourceConfig", "collect", "collect_all"]
