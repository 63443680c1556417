"""Dictionaries from outside, in SAELens' format: found, checked, saved like those of the run."""

import json
from pathlib import Path

import pandas as pd
import torch
from safetensors import safe_open

from featrack_utils.dictionaries.activations import Buffers
from featrack_utils.errors import FeatrackError

_CONFIG, _WEIGHTS = "cfg.json", "sae_weights.safetensors"


def find(where: str, source: str) -> Path:
    """The folder of a dictionary: one on disk, or "release/sae_id" of SAELens, or of a repository.

    Raises:
        FeatrackError: it is neither, the hub can't be reached, or another format.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        folder = _from_hub(where, source)
    for name in (_CONFIG, _WEIGHTS):
        if not (folder / name).is_file():
            raise FeatrackError(
                f"{where}: {folder}/ holds no {name}; give a folder in SAELens' own format."
            )
    return folder


def require_fit(where: str, folder: Path, site: str, d_in: int) -> int:
    """Checks a dictionary against the site and its width, and gives the number of its features.

    Raises:
        FeatrackError: made for another site or width, or for activations that are normalised in a
            way that is no fixed factor.
    """
    try:
        config = json.loads((folder / _CONFIG).read_text())
    except ValueError as error:
        raise FeatrackError(f"{where}: {folder / _CONFIG} is damaged; fetch it again.") from error
    try:
        with safe_open(folder / _WEIGHTS, "pt") as file:
            d_sae, width = file.get_slice("W_dec").get_shape()
    except Exception as error:  # safetensors raises its own kind for whatever is damaged
        raise FeatrackError(f"{where}: {folder / _WEIGHTS} is damaged; fetch it again.") from error
    if width != d_in:
        raise FeatrackError(
            f"{where}: the dictionary reads {width} numbers a token, and the model has {d_in} at "
            f"{site}; give one that was trained there."
        )
    made_for = config.get("metadata", {}).get("hook_name") or config.get("hook_name") or site
    if made_for != site:
        raise FeatrackError(
            f"{where}: the dictionary was trained at {made_for}, and site is {site}; set the one "
            "to the other."
        )
    normalised = config.get("normalize_activations", "none")
    if normalised != "none":
        raise FeatrackError(
            f"{where}: the dictionary wants activations normalised by {normalised}, and they are "
            "read as they are; fold that into its weights and save it again."
        )
    return d_sae


def bring_in(where: str, there: Path, buffers: Buffers, folder: Path) -> None:
    """Saves a dictionary that was found outside like one of the run, with unit decoder rows.

    Its history is one line: what it reaches on the first buffer of activations.

    Raises:
        FeatrackError: what `require_fit` refuses.
    """
    from sae_lens import SAE  # takes seconds to load

    acts = buffers[0].float().cpu()
    require_fit(where, there, buffers.site, acts.shape[1])
    sae = SAE.load_from_disk(str(there), device="cpu", dtype="float32").eval()
    sae.turn_off_forward_pass_hook_z_reshaping()  # heads stand side by side here
    sae.cfg.reshape_activations = "none"
    sae.cfg.metadata.hook_name = buffers.site
    with torch.no_grad():
        sae.fold_W_dec_norm()
        found = sae.encode(acts)
        residual = (acts - sae.decode(found)).square().sum()
        explained = 1 - (residual / (acts - acts.mean(0)).square().sum()).item()
    sae.save_model(folder)
    l0 = (found > 0).sum().item() / len(acts)
    row = {"tokens": len(acts), "loss": 0.0, "l0": l0, "variance_explained": explained}
    pd.DataFrame([row]).to_csv(folder / "history.csv", index=False)


def fingerprint(folder: Path) -> str:
    """Changes when a dictionary's files do."""
    states = ((folder / name).stat() for name in (_CONFIG, _WEIGHTS))
    return " ".join(f"{state.st_size} {state.st_mtime_ns}" for state in states)


def _from_hub(where: str, source: str) -> Path:
    from huggingface_hub import snapshot_download
    from sae_lens.loading.pretrained_saes_directory import (
        get_pretrained_saes_directory,
        get_repo_id_and_folder_name,
    )

    release, _, sae_id = source.partition("/")  # or owner and what follows
    if release in get_pretrained_saes_directory():
        try:
            repository, inside = get_repo_id_and_folder_name(release, sae_id)
        except (KeyError, ValueError) as error:
            raise FeatrackError(f"{where}: the release {release} has no {sae_id!r}.") from error
    else:
        name, _, inside = sae_id.partition("/")
        repository = f"{release}/{name}"
        if source.startswith(("/", "~", ".")) or not inside:
            raise FeatrackError(
                f"{where} is {source}, which is neither a folder here nor a release of SAELens "
                "with an sae_id; mend it."
            )
    patterns = [f"{inside}/{name}" for name in (_CONFIG, _WEIGHTS)]
    try:
        return Path(snapshot_download(repository, allow_patterns=patterns)) / inside
    except Exception as error:  # sockets, HTTP, offline mode, no such name: no common ancestor
        raise FeatrackError(
            f"{where}: {source} is no folder here and can't be had from the hub; check the name "
            "and the network, or give a folder."
        ) from error
