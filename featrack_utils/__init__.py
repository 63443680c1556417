"""featrack_utils: the shared, tested code behind the notebooks of the featrack book."""

__version__ = "0.2.0"
