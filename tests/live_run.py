"""The live chapter over a run of tiny models whose dictionaries are identities."""

import ast
import re
from itertools import permutations

import matplotlib
import numpy as np
import pytest
import torch
from sae_lens import StandardSAE, StandardSAEConfig

from featrack_utils.corpora.prepare import Corpora
from featrack_utils.corpora.tokenizer import Blocks
from featrack_utils.dictionaries import features
from featrack_utils.display import style
from featrack_utils.lineage import Lineage
from featrack_utils.matching.correlation import correlations
from featrack_utils.models import loading, merging, training
from featrack_utils.pipeline import store
from tests import chapters

CHAPTER = "live"
D = 24  # neurons; feature i is the positive part of neuron i, D + i the negative part
T = 0.4  # of the merged model
LINEAGE = Lineage(
    {
        "base": {"train": ["english", "python"]},
        "lua": {"parent": "base", "train": ["lua"]},
        "stories": {"parent": "base", "train": ["stories"]},
        "merged": {"merge": ["lua", "stories"], "t": T},
    }
)


@pytest.fixture(autouse=True)
def equal_pictures_are_equal_files():
    with matplotlib.rc_context():
        style.use_style(LINEAGE)
        yield


class Chapter(chapters.Chapter):
    """The functions of the live chapter, which find what they are given here by its name."""

    def __init__(self, **given):
        super().__init__(CHAPTER, **given)

    def panel(self, show: str):
        """The control over one of the functions, as its cell makes it."""
        begins = f"Panel({show},"
        trees = [ast.parse(source) for source in chapters.sources(CHAPTER)]
        calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
        (source,) = [text for text in map(ast.unparse, calls) if text.startswith(begins)]
        return eval(source, vars(self))


def controls(panel) -> dict:
    return {child.description: child for child in panel.children if child.description}


def texts(panel) -> str:
    """All that a panel says, less its pictures."""
    return re.sub(r"<img[^>]*>", "", panel.children[-1].value)


def pictures(panel) -> list[str]:
    return re.findall(r"<img[^>]*>", panel.children[-1].value)


def sentence(panel) -> str:
    alerts = re.findall(r'<p role="alert">(.*?)</p>', texts(panel))
    return alerts[0] if alerts else ""


@pytest.fixture(scope="module")
def run(tmp_path_factory, tokenizer):
    """Three untrained models, the slerp of two of them, and dictionaries that are identities."""
    run = tmp_path_factory.mktemp("run")
    made = {
        name: training.new_model(
            vocab_size=280, d_model=16, d_mlp=D, n_heads=2, n_kv_heads=1, context=16, seed=seed
        )
        for seed, name in enumerate(LINEAGE.order)
    }
    with torch.no_grad():
        for parameter in (p for model in made.values() for p in model.parameters()):
            parameter.mul_(8)  # untrained weights are so small that nothing would follow from text
    parents = (made[name].state_dict() for name in ("lua", "stories"))
    made["merged"].load_state_dict(merging.slerp(*parents, T))
    eye, none = torch.eye(D), torch.zeros(D)
    sae = StandardSAE(StandardSAEConfig(d_in=D, d_sae=2 * D))
    sae.load_state_dict(
        {
            "W_enc": torch.cat([eye, -eye], 1),
            "W_dec": torch.cat([eye, -eye]),
            "b_enc": torch.cat([none, none]),
            "b_dec": none,
        }
    )
    for name, model in made.items():

        def save(work, model=model):
            model.save_pretrained(work)
            tokenizer.save_pretrained(work)

        store.make(run / "models" / name, save, parameters={})
        store.make(run / "saes" / f"{name}-0", lambda work: sae.save_model(work), parameters={})
    return run


@pytest.fixture(scope="module")
def mix(blocks):
    origin = np.repeat(np.arange(4, dtype=np.int32)[:, None], 16, 1)
    return features.evaluation_mix(
        {
            domain: Blocks(blocks[4 * i : 4 * i + 4], origin, origin)
            for i, domain in enumerate(LINEAGE.domains)
        }
    )


@pytest.fixture(scope="module")
def found(run, mix):
    from featrack_utils.dictionaries.training import load_sae
    from featrack_utils.models.loading import boot

    return {
        f"{name}-0": features.measure(
            boot(run / "models" / name), load_sae(run / "saes" / f"{name}-0"), mix
        )[0]
        for name in LINEAGE.order
    }


@pytest.fixture(scope="module")
def models(run, found):
    chapter = Chapter(run=run, found=found)
    return {name: chapter.open_model(name) for name in LINEAGE.order}


@pytest.fixture
def chapter(run, models, found, mix, blocks, tokenizer):
    """The chapter over that run, at the weight that its merge has."""
    ends = LINEAGE.parents("merged")
    chapter = Chapter(
        run=run,
        lineage=LINEAGE,
        models=models,
        found=found,
        mix=mix,
        corpora=Corpora({}, tokenizer, context=16),
        context=16,
        best={
            (a, b): correlations(found[f"{a}-0"].acts, found[f"{b}-0"].acts)
            for a, b in permutations(LINEAGE.order, 2)
        },
        blocks={d: blocks[16 + 4 * i : 20 + 4 * i] for i, d in enumerate(LINEAGE.domains)},
        ends=ends,
        states=[loading.load_model(run / "models" / name).state_dict() for name in ends],
        between=loading.load_model(run / "models" / ends[0]),
        first="Lua",
        second="Stories",
        t=T,
        last="merged",
        readers=LINEAGE.order,
        reader="merged",
        followed=3,
        removed=0,
        code="the cat",
        story="the",
    )
    chapter.losses = chapter.loss_curve([0, 0.5, 1])
    return chapter


def neurons(run, name, ids):
    """What plain transformers feeds to the MLP's output matrix."""
    model, seen = loading.load_model(run / "models" / name), []
    model.model.layers[0].mlp.down_proj.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0])
    )
    with torch.no_grad():
        model(input_ids=torch.tensor([ids]))
    return seen[0][0].numpy()
