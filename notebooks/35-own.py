# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Track features in your own fine-tune
#
# Everything so far was asked of models that this book has trained. The same questions can be asked of
# yours. You need two folders: a parent and what was made of it, each as `save_pretrained` writes it.
#
# This chapter begins where you would. It trains a small Llama with a plain script of PyTorch and
# transformers {cite:p}`wolf2020transformers`, in which nothing of featrack occurs, and fine-tunes it. The two
# are merged by mergekit's own command {cite:p}`goddard2024mergekit`. Then one command follows the features
# through all three.
#
# **You will learn** how to get from folders of models to a flow diagram and a headline between floor and
# ceiling. **You need** [ceilings and floors](ceilings) to read the numbers. **It takes** ten minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from matplotlib.lines import Line2D
from mergekit.scripts.run_yaml import main as mergekit_yaml
from safetensors.numpy import load_file
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from featrack_utils.corpora import prepare
from featrack_utils.display import flow_figure, shareplots, style
from featrack_utils.display.text import (
    check,
    count,
    estimate,
    percent,
    say,
    show,
    verdict,
    with_interval,
)
from featrack_utils.errors import FeatrackError
from featrack_utils.models import loading
from featrack_utils.pipeline import forkserver, store

# %% tags=["parameters"]
run_dir = "runs/quick"
context = 128  # tokens, of the run whose texts are borrowed
own_steps = 200  # of the base's training; the fine-tune takes half as many
seed = 1337  # of the first weights and of the batches

# %% [markdown]
# ## Text
#
# Two kinds of text stand for yours, one that both models read and one that only the fine-tune reads. They are
# plain files here, one a document. JSON Lines, Parquet and data sets of the hub would do as well.

# %% tags=["hide-input"]
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
BEFORE, AFTER = lineage.domains[0], lineage.domains[-1]
CHARACTERS = 400 * own_steps + 60_000  # of each text, to be read about three times
texts = {}
for domain in dict.fromkeys((BEFORE, AFTER)):
    whole = np.cumsum([len(text) for text in corpora.texts(domain, "train")])
    texts[domain] = corpora.texts(domain, "train")[: int(np.searchsorted(whole, CHARACTERS)) + 1]

# %% [markdown]
# ## A plain script
#
# This is all of the training: a tokenizer, a Llama of two blocks, blocks of text in random order, AdamW.


# %%
def new_tokenizer(texts):
    """Byte-level BPE with an end-of-text token, as GPT-2 has it."""
    learnt = Tokenizer(BPE())
    learnt.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learnt.decoder = decoders.ByteLevel()
    alphabet, end = pre_tokenizers.ByteLevel.alphabet(), "<|endoftext|>"
    trainer = trainers.BpeTrainer(
        vocab_size=1000, special_tokens=[end], initial_alphabet=alphabet, show_progress=False
    )
    learnt.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=learnt, eos_token=end, bos_token=end)


def train(model, tokenizer, texts, steps, rate):
    """Next-token prediction on random stretches of the texts."""
    ids = [[tokenizer.eos_token_id, *tokenizer.encode(text)] for text in texts]
    stream = torch.tensor([token for document in ids for token in document])
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        start = torch.randint(len(stream) - 64, (16, 1), generator=generator)
        batch = stream[start + torch.arange(64)]
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def train_both(place):
    tokenizer = new_tokenizer(texts[BEFORE] + texts[AFTER])
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
    torch.manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape, **heads))
    for name, domain, steps, rate in (
        ("base", BEFORE, own_steps, 3e-3),
        ("child", AFTER, own_steps // 2, 1e-3),
    ):
        train(model, tokenizer, texts[domain], steps, rate).save_pretrained(place / name)
        tokenizer.save_pretrained(place / name)


# %% [markdown]
# ## A merge by mergekit
#
# The third folder is written by `mergekit-yaml half.yaml half`, from this recipe:

# %%
RECIPE = """
merge_method: linear
models:
  - {model: ./base, parameters: {weight: 0.5}}
  - {model: ./child, parameters: {weight: 0.5}}
dtype: float32
"""


# %% tags=["hide-input"]
def merge(place):
    here = Path.cwd()
    os.chdir(place)
    try:
        Path("half.yaml").write_text(RECIPE)
        # Its README would name the models in another order each time.
        options = ["--quiet", "--no-write-model-card"]
        mergekit_yaml(["half.yaml", "half", *options], standalone_mode=False)
    finally:
        os.chdir(here)


# %% [markdown]
# ## One command
#
# Now the part that you would type. `models` says which folder each model lies in and who descends from whom;
# a merge has several parents. `site` is the place where activations are read, any of five hook points
# of any block. `sources_of` names the texts on which the models are compared. Take some that the models
# know: where a model understands nothing it has no features.

# %%
MODELS = {
    "base": {"load": "base"},
    "child": {"load": "child", "parent": "base"},
    "half": {"load": "half", "parent": ["base", "child"]},
}
SITE = "blocks.1.mlp.hook_post"
SOURCES = {d: {"kind": "files", "globs": [f"texts/{d}/*.txt"]} for d in texts}
SOURCES |= {d: None for d in ("english", "python") if d not in SOURCES}  # the profile's own

# %% tags=["hide-input"] jupyter={"source_hidden": true}
# The rest makes it small: this is a chapter of a book, and not a study.
TOKENS = 250 * own_steps + 4_000
SIZES = {
    "corpora": {"train_tokens": TOKENS, "validation_tokens": 12_000, "context": 64}
    | {"validation_share": 0.2, "sources_of": SOURCES},
    "sae": {"train_tokens": TOKENS, "batch_tokens": 512, "l1_coefficient": 3.0}
    | {"expansion": 1 if own_steps < 100 else 2},
    "tracking": {"evaluation_blocks": 80, "replicates": 20 + own_steps // 5}
    | {"min_positions": 10, "min_documents": 3, "control_draws": 1 if own_steps < 100 else 2},
}
SETTINGS = {"models": MODELS, "site": SITE, "corpora": {"sources_of": SOURCES}}


def written(value):
    """A setting as one types it."""
    if not isinstance(value, dict | list):
        return str(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    return f"'{text.strip()}'"


typed = " \\\n  ".join(f"{name}={written(value)}" for name, value in SETTINGS.items())
say(f'```sh\nmake book PROFILE=own CONFIG="{typed}"\n```')

# %% [markdown]
# The same settings may stand in a file of yours in `profiles/`. Below, the chapter runs the pipeline for
# itself, in a folder of its own, as far as the headline, and with less text than `PROFILE=own` has. It needs what
# `make` has: the Snakefile, the notebooks, the package.

# %% tags=["hide-input"]
HOUSE = (
    "Snakefile",
    "profiles",
    "notebooks",
    "book",
    "featrack_utils",
    "benchmarks",
    "_config.yml",
)


def run_pipeline(place, upto):
    """What `make book` does, in a folder of its own, until a phase is done."""
    for name in HOUSE:
        (place / name).symlink_to(Path(name).resolve(), target_is_directory=Path(name).is_dir())
    settings = {"models": MODELS, "site": SITE, **SIZES}
    done = subprocess.run(
        [*forkserver.PYTHON, "-m", "snakemake", f"runs/own/executed/{upto}.ipynb"]
        + ["--cores", "1", "--nolock", "--quiet", "all", "--config", "profile=own"]
        + [f"{name}={json.dumps(value)}" for name, value in settings.items()],
        cwd=place,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("featrack: ")]
        raise FeatrackError(said[0].removeprefix("featrack: ") if said else done.stderr[-2000:])


def build(work):
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        for domain, documents in texts.items():
            (place / "texts" / domain).mkdir(parents=True)
            for number_of, text in enumerate(documents):
                (place / "texts" / domain / f"{number_of:04}.txt").write_text(text)
        train_both(place)
        merge(place)
        run_pipeline(place, "ceilings")
        for name in MODELS:
            shutil.move(place / name, work / name)
        shutil.move(place / "runs" / "own", work / "run")


parameters = {"steps": own_steps, "seed": seed, "models": MODELS, "site": SITE, "sizes": SIZES}
code = [loading, flow_figure]
given = {"parameters": parameters | {"recipe": RECIPE}, "inputs": [run / "corpora"], "code": code}
folder = store.make(run / "own", build, **given)
mine = folder / "run"
lineage = store.open_lineage(mine)
style.use_style(lineage)

# %% [markdown]
# ## What came of it
#
# First the picture: each band holds features that were found again.

# %% tags=["hide-input"]
volumes = pd.read_csv(store.opened(mine / "tracking") / "flow.csv")
show(
    flow_figure.flow_diagram(volumes, lineage),
    "Features of the two loaded models and of their merge. Coloured bands are matches, hatched ones "
    "matches that several features share. Grey bands have no match.",
    "fig-own-flow",
    "Flow diagram from the base through its fine-tune to the merge of both",
)

# %% tags=["hide-input"]
moving = pd.read_csv(store.opened(mine / "tracking") / "moving.csv")
tau = store.read_record(mine / "tracking")["parameters"]["tau"]
shareplots.moving_threshold(tau, flow_figure.moving_flow(moving, lineage, "fig-own-flow"))

# %% [markdown]
# Then the share beside its two ends. The {term}`ceiling` is what another dictionary of the unchanged
# parent finds. The {term}`floor` is what is found in the child once everything that writes the site is
# random. {term}`Rescaled persistence <rescaled persistence>` is the way between them that the share has
# come. With so small models and so little text, intervals are wide.

# %% tags=["hide-input"]
found = store.read_results(mine, "ceilings")
ENDS = {"": "share", ".ceiling": "ceiling", ".floor": "floor"}
figure, axis = style.single(0.9 + 0.5 * len(lineage.edges))
marks = dict(zip(ENDS, "o|D", strict=True))
for row, (a, b) in enumerate(lineage.edges):
    for end, mark in marks.items():
        value = estimate(found, f"track.{a}_{b}.persisting_share{end}")
        colour = style.GREY if end else style.colour_of(b)
        at = row + {"": 0, ".ceiling": -0.22, ".floor": 0.22}[end]
        axis.plot([value.low, value.high], [at, at], color=colour, lw=1.5)
        axis.plot(
            value.estimate, at, mark, color=colour, ms=7, mew=2, fillstyle="none" if end else None
        )
axis.set_yticks(range(len(lineage.edges)), [style.pair_label(*edge) for edge in lineage.edges])
axis.set(
    xlim=(0, 1), ylim=(len(lineage.edges) - 0.5, -0.5), xlabel="share of the parent's features"
)
handles = [
    Line2D([], [], ls="", marker=mark, color=style.GREY, ms=7, mew=2, label=ENDS[end])
    for end, mark in marks.items()
]
figure.legend(handles=handles, loc="outside upper center", ncols=3)
show(
    figure,
    "Persisting share along each edge (in the child's colour) between ceiling and floor (grey), with 95 % "
    "intervals.",
    "fig-own-shares",
    "One row an edge, with a share between a ceiling and a floor",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
share, ceiling, floor, rescaled = (
    estimate(found, f"track.base_child.headline{end}")
    for end in ("", ".ceiling", ".floor", ".rescaled")
)
say(
    "And the {term}`headline`, which asks only after features that another dictionary of the base has, too. "
    f"Along {style.pair_label('base', 'child')} {with_interval(share)} of these persist, between a floor of "
    f"{with_interval(floor)} and a ceiling of {with_interval(ceiling)}. Rescaled this is "
    f"{with_interval(rescaled)}. "
    + verdict(
        rescaled,
        0.5,
        below="So the fine-tune has replaced more than half of what could have been kept.",
        above="So more than half of what could be kept was kept.",
        unclear="So a run of this size doesn't tell whether most features were kept. "
        "With `PROFILE=own` as it is there is more text, and the interval is narrower.",
    )
)

# %% [markdown]
# ## The book and the explorer
#
# `make book` goes on from here. It prints where the book of your models lies,
# `book/_build/html/index.html`, with the chapters that apply to them: [a first look](first-look) at
# tokens and directions, {term}`chains <universal chain>`, the map. *The explorer* is a page of it, in which
# every feature can be looked up with its texts. Numbers are in `runs/own/results.json`. Give each study a
# name of its own (`name=mine`), or the next one takes its place.
#
# Before you trust a number of yours:
#
# - **Are both folders what you think?** The chapter on loaded models compares the hooks with the plain
#   model, and lists the loss of each model on each text.
# - **Does the text fit?** Persistence is measured where you look. Take text that both models were made for.
# - **Are the dictionaries good?** If the ceiling is low, then dictionaries of one model disagree already.
#   Give them more tokens (`sae='{train_tokens: 2_000_000}'`) before you look at shares.
# - **Is the site well chosen?** A low layer sees tokens, a high one the answer. Try two.
#
# ## How far apart the models are
#
# A check that costs nothing: how far have the weights moved? Those of the merge must lie half-way.

# %%
weights = {name: load_file(folder / name / "model.safetensors") for name in MODELS}


def distance(one, other):
    """‖W_other − W_one‖ / ‖W_one‖ over all tensors."""
    moved = sum(((weights[other][name] - w) ** 2).sum() for name, w in weights[one].items())
    return float(np.sqrt(moved / sum((w**2).sum() for w in weights[one].values())))


gone = distance("base", "child")
by_package = loading.weight_distance(folder / "base", folder / "child")
assert np.isclose(gone, by_package, rtol=1e-4)
assert np.isclose(distance("base", "half"), gone / 2, rtol=1e-3)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
parameters_of = sum(w.size for w in weights["base"].values())
say(
    f"The fine-tune has moved the {count(parameters_of)} numbers of the base by {percent(gone)} of their "
    "length, and the merge has gone half of that way."
)

# %% tags=["remove-cell"]
kept = {
    name.replace("track.", "own.", 1): value
    for name, value in found.items()
    if name.startswith(
        tuple(
            f"track.{a}_{b}.{of}"
            for a, b in lineage.edges
            for of in ("persisting_share", "headline")
        )
    )
}
store.write_results(run, "own", kept | {"own.weight_distance": gone})

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    "Two folders, a site and some text are all that is asked. What comes back is a share with its ends: here "
    f"{percent(share.estimate)} of the reproducible features along {style.pair_label('base', 'child')}, between {percent(floor.estimate)} and "
    f"{percent(ceiling.estimate)}. Without them the first number would mean nothing."
)

# %% [markdown]
# *What comes next*: [what this run reached](status).
#
# :::{admonition} Exercise 1
# :class: tip
# Rescale the share along the edge from child to merge yourself. `found` has the numbers
# `track.child_half.persisting_share`, the same with `.ceiling` and with `.floor`.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
way = estimate(found, "track.child_half.persisting_share.rescaled").estimate

# %%
answer = ...
check(answer, way, within=0.02)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
key = "track.child_half.persisting_share"
top, bottom = found[key] - found[f"{key}.floor"], found[f"{key}.ceiling"] - found[f"{key}.floor"]
answer = top / bottom if f"{key}.rescaled" in found else np.nan  # undefined where the ends touch
check(answer, way, within=0.02)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# How far is the child from the merge, if you go from the child? `distance` gives it; give your own
# reckoning from `gone` and the two lengths of the weights instead.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
back = distance("child", "half")

# %%
answer = ...
check(answer, back)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
base, child = (np.sqrt(sum((w**2).sum() for w in weights[m].values())) for m in ("base", "child"))
answer = gone / 2 * base / child
check(answer, back)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# Somebody tracks features from a base to a chat model on Wikipedia text, and finds that all persist. What
# should they do next?
# :::
#
# :::{dropdown} Answer
# Add chat text, with its templates, as a second source. On text that the fine-tune wasn't for, a child can
# be its parent, and everything that is new would show only elsewhere.
# :::
