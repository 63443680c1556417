"""Models trained once more as one of the run's own was, but for what a control changes."""

from pathlib import Path
from typing import Any

import numpy as np

from featrack_utils.corpora import tokenizer
from featrack_utils.corpora.prepare import Corpora
from featrack_utils.models import training
from featrack_utils.models.loading import load_model
from featrack_utils.pipeline import store

_SHAPE = ("d_model", "d_mlp", "n_heads", "n_kv_heads")


def retrain(run: Path, corpora: Corpora, like: str, name: str, **changed: Any) -> Path:
    """Makes the model `name`, an artefact beside the others in models/, and gives its folder.

    It starts where the model `like` started: from its parent's weights, or afresh. It reads the
    corpora's text of the same domains in the same order.

    Args:
        like: a model that the run has trained; its record gives all parameters.
        changed: what takes the place of recorded parameters, such as ``seed`` or ``domains``.

    Raises:
        FeatrackError: a model is missing or damaged, or what `training.train` refuses.
    """
    parents = [run / "models" / parent for parent in store.open_lineage(run).parents(like)]
    recorded = store.read_record(run / "models" / like)["parameters"]
    given = {key: value for key, value in recorded.items() if key != "snapshots"} | changed
    apart = (*_SHAPE, "context", "domains")
    recipe = {key: value for key, value in given.items() if key not in apart}

    def build(work: Path) -> None:
        if parents:
            model = load_model(parents[0])
        else:
            shape = {key: given[key] for key in (*_SHAPE, "context", "seed")}
            model = training.new_model(vocab_size=len(corpora.tokenizer), **shape)
        blocks = np.concatenate([corpora.train_blocks(domain) for domain in given["domains"]])
        training.train(model, blocks, work, tokenizer=corpora.tokenizer, **recipe)

    return store.make(
        run / "models" / name,
        build,
        parameters=given,
        inputs=[corpora.folder or run / "corpora", *parents],
        code=[training, tokenizer],
        resumes=True,
    )
