"""Where `document_shift` stood before; chapters that haven't moved on still find it here."""

from featrack_utils.dictionaries.features import document_shift

__all__ = ["document_shift"]
