"""What a corpus is made of: documents, their origins, and the split that keeps them apart."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

DOMAINS = ("english", "python", "lua", "stories")
BASE_DOMAINS = ("english", "python")
SPLITS = ("train", "validation")


@dataclass(frozen=True)
class Document:
    """One text of one domain.

    Attributes:
        text: the text itself.
        origin: where it comes from (module, file, story); what is counted as one document
            wherever a feature must be active in several.
        group: the unit that is never divided between training and validation (a module path,
            a file, a plot). Texts of one group share what it is about, so they are not
            independent of each other: intervals resample groups.
    """

    text: str
    origin: str
    group: str


def split_of(group: str, validation_share: float, seed: int) -> str:
    """Returns "train" or "validation" for a group, by a hash of its name.

    The answer depends on nothing but the arguments, so a module that feeds two domains
    falls on the same side in both and no text can leak from one domain to another.
    """
    digest = hashlib.blake2b(f"{seed}:{group}".encode(), digest_size=8).digest()
    position = int.from_bytes(digest, "big") / 2**64
    return "validation" if position < validation_share else "train"
