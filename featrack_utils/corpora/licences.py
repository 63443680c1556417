"""Says where a corpus comes from: distributions, versions, licences, files and characters."""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata

from featrack_utils.corpora.documents import Document

_STDLIB = "python"  # first part of the origin of everything from the standard library
_CLASSIFIER = "License :: "


@dataclass(frozen=True)
class Provenance:
    """One row of the data chapter's table.

    Attributes:
        distribution: name of the distribution, "python" for the standard library.
        version: its version here.
        licence: as its metadata states it.
        files: number of different files the text comes from.
        characters: length of the text.
    """

    distribution: str
    version: str
    licence: str
    files: int
    characters: int


def provenance(documents: Iterable[Document]) -> list[Provenance]:
    """One row for each distribution that documents of an embedded corpus come from.

    Largest first. Documents that no installed distribution holds (stories, the reader's own
    files) count as "featrack".
    """
    characters: dict[str, int] = {}
    files: dict[str, set[str]] = {}
    owners = _owners()
    for document in documents:
        top = document.group.split("/")[0].removesuffix(".py")
        name = _STDLIB if top == _STDLIB else owners.get(top, ["featrack"])[0]
        characters[name] = characters.get(name, 0) + len(document.text)
        files.setdefault(name, set()).add(document.group)
    rows = [
        Provenance(name, *_version_and_licence(name), len(files[name]), characters[name])
        for name in characters
    ]
    return sorted(rows, key=lambda row: (-row.characters, row.distribution))


@functools.cache
def _owners() -> Mapping[str, list[str]]:
    """The distributions of each top-level package; reading them all takes a third of a second."""
    return metadata.packages_distributions()


def _version_and_licence(distribution: str) -> tuple[str, str]:
    if distribution == _STDLIB:
        return platform.python_version(), "PSF-2.0"
    if distribution == "featrack":
        return "", "MIT, or as the reader's own files state"
    about = metadata.metadata(distribution)
    classifiers = [
        line.removeprefix(_CLASSIFIER).removeprefix("OSI Approved :: ")
        for line in about.get_all("Classifier") or []
        if line.startswith(_CLASSIFIER)
    ]
    stated = about.get("License-Expression") or "; ".join(classifiers)
    if not stated:
        # Some distributions put the whole licence here; its first line names it.
        stated = (about.get("License") or "not stated").strip().splitlines()[0]
    return metadata.version(distribution), stated
