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
# # Dictionaries for the controls
#
# Some questions need dictionaries that the paper didn't train. How much of a change in features is
# already there after a small part of the fine-tune? How much of it comes from the text that a
# *dictionary* reads, and none from the model? And what if a child's dictionary starts from its
# parent's? This page only trains them; [the chapter on doses](dose) asks the questions.

# %%

import pandas as pd
from IPython.display import display

from featrack_utils.corpora import prepare
from featrack_utils.corpora.documents import BASE_DOMAINS
from featrack_utils.dictionaries import arms, armtraining, quality
from featrack_utils.display import style
from featrack_utils.display.tables import show_table
from featrack_utils.models import evaluation, loading
from featrack_utils.pipeline import store

# %% tags=["parameters"]
run_dir = "runs/quick"
precision = "auto"  # bfloat16 where the machine multiplies it faster
context = 128  # tokens; paper: 256
architecture = "standard"  # ReLU with L1, the paper's kind; or topk, batchtopk
expansion = 8  # features per MLP neuron; paper: 16
l1_coefficient = 2.2  # the same for every dictionary of the book
k = 32  # active features a token; topk and batchtopk only
learning_rate = 1e-3  # paper: 1e-4
train_tokens = 600_000  # activations read by each dictionary
batch_tokens = 1024  # a step; paper: 128 blocks of 24 tokens
evaluation_blocks = 220  # validation blocks per domain, the same for every model
doses = [0.01, 0.03, 0.1, 0.3]  # shares of a fine-tune's steps, beside none and all; paper: none
dosed = ["lua"]  # fine-tunes followed along the doses
warm_start = True  # a dictionary of Lua that starts from the base's, and one of the base itself
lm_seed = False  # a second base model, from another seed

# %% [markdown]
# ## Which ones
#
# Every dictionary here has the SAE seed that is called 1, and will be compared with dictionaries
# of the base from *other* seeds only, so that no match is owed to a common start.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
if lm_seed:
    armtraining.train_second_base(run, corpora)
planned = arms.planned(run, doses=doses, dosed=dosed, warm_start=warm_start, lm_seed=lm_seed)
labels = {a.name: arms.label(a) for a in planned}
show_table(
    pd.DataFrame(
        {
            "dictionary": labels[a.name],
            "weights of": arms.model_label(a.model),
            "after step": a.step or "its last",
            "reads the mixture of": arms.model_label(a.mixture),
            "starts from": "the base's dictionary" if a.start else "random weights",
        }
        for a in planned
    )
)

# %% [markdown]
# Dose 0 is the most instructive: the **untouched** base, read through the mixture of texts that the
# fine-tune's dictionaries learn from. Whatever differs there, the dictionary's text did it and not
# the weights.

# %%
recipe = dict(
    architecture=architecture,
    expansion=expansion,
    l1_coefficient=l1_coefficient,
    k=k,
    learning_rate=learning_rate,
    train_tokens=train_tokens,
    batch_tokens=batch_tokens,
    precision=precision,
)
measured = {
    a.name: armtraining.train_arm(run, a, corpora, recipe, evaluation_blocks) for a in planned
}

# %% [markdown]
# ## Are they as good as the others?
#
# The same figures as in the last chapter, on text of the mixture that each has learnt from.

# %%
results = {}
for arm in planned:
    sums = quality.Sums.load(measured[arm.name] / "sums.safetensors")
    result = quality.quality(sums, prepare.TRAINED_ON[arm.mixture])._asdict()
    figures = ("l0", "variance_explained", "ce_loss_score", "dead_share")
    results |= {f"arms.{arm.name}.{figure}": result[figure] for figure in figures}
names = {"l0": "L0", "variance_explained": "variance explained", "dead_share": "dead"}
show_table(
    pd.DataFrame(
        {"dictionary": labels[a.name]}
        | {n: results[f"arms.{a.name}.{f}"] for f, n in names.items()}
        for a in planned
    ),
    {"L0": ".1f", "variance explained": ".3f", "dead": ".1%"},
)

# %% [markdown]
# {% if defined("arms.base-warm.l0") and defined("arms.lua-at-0.l0") -%}
# A dictionary that starts from another has a longer training behind it: on the unchanged base it has
# {{ number("arms.base-warm.l0", 0) }} active features a token, one from random weights
# {{ number("arms.lua-at-0.l0", 0) }}. So a warm start must be set against another warm start, never
# against the rest.
# {%- else -%}
# Only dictionaries of like training may be set against each other: those of the doses, which all
# start from the same random weights.
# {%- endif %}
#
# ## How far the weights have moved, and what it was good for
#
# The relative distance ‖W − W_base‖ / ‖W_base‖, and the validation loss on the fine-tune's own text
# and on the base's, English and Python.


# %%
def losses(folder, child):
    model = loading.load_model(folder)
    texts = {
        d: corpora.validation_blocks(d, evaluation_blocks).tokens for d in (child, *BASE_DOMAINS)
    }
    own, *others = (evaluation.evaluate(model, blocks).loss for blocks in texts.values())
    return {"loss": own, "base_loss": sum(others) / len(others)}


path = {
    (child, percent): armtraining.weight_distance(run / "models" / "base", folder)
    | losses(folder, child)
    for child in dosed
    for percent, folder in armtraining.along(run, planned, child).items()
}

# %% tags=["hide-input"]
parts = {
    "weight_distance": "all weights",
    "embedding": "embedding",
    "attention": "attention",
    "MLP": "MLP",
    "unembedding": "unembedding",
    "loss": "own loss",
    "base_loss": "base's loss",
}
formats = dict.fromkeys(list(parts.values())[:5], ".1%") | {"own loss": ".2f", "base's loss": ".2f"}
notes = {"own loss": "nats per token", "base's loss": "English, Python"}
for child in dosed:
    rows = [
        {"steps, %": percent} | {label: row[name] for name, label in parts.items()}
        for (of, percent), row in path.items()
        if of == child
    ]
    caption = f"{style.MODEL_LABELS[child]}: how far the weights have moved, and the loss."
    display(show_table(pd.DataFrame(rows), formats, caption, notes))

# %% tags=["remove-cell"]
for (child, percent), row in path.items():
    results |= {
        f"dose.{child}.{percent}.{name}": row[name]
        for name in ("weight_distance", "loss", "base_loss")
    }
    results[f"dose.{child}.{percent}.weight_distance.mlp"] = row["MLP"]
for child in dosed:
    half = arms.half_way({p: row["loss"] for (of, p), row in path.items() if of == child})
    end = path[child, "100"]["weight_distance"]
    moved = half and path[child, half.percent]["weight_distance"] / end
    results |= {
        f"dose.{child}.half.percent": half and float(half.percent),
        f"dose.{child}.half.gained": half and half.gained,
        f"dose.{child}.half.moved": moved,
    }
store.write_results(run, "arms", results)

# %% [markdown]
# ## What we learned
#
# Nothing about features yet, but how far each fine-tune is when its loss has gone half its way.
# {% for child, label in [("lua", "Lua"), ("stories", "Stories")] -%}
# {% set k = "dose." + child + ".half." -%}
# {% if defined(k + "percent") -%}
# {% if results[k + "percent"] < 100 -%}
# {{ label }} is there by {{ results[k + "percent"] }}&nbsp;% of the steps at the latest: the loss has made
# {{ share(k + "gained", 0) }} of its way then, the weights {{ share(k + "moved", 0) }} of theirs.
# {% else -%}
# {{ label }} is not there at any of the doses before the last.
# {% endif -%}
# {% endif -%}
# {% endfor %}
#
# :::{admonition} Exercise
# :class: tip
# Which part of the model moves most, relative to its size, and does it from the first step?
# :::
#
# :::{dropdown} Answer
# Read the table's columns from left to right. Under AdamW every weight that has a gradient moves by
# about the learning rate in each of the first steps, so the parts whose weights are small move most,
# relatively; rows of the embedding that belong to tokens the text never holds only decay.
# :::
#
# :::{admonition} Exercise
# :class: tip
# The loss on English and Python may rise on the way. Is that the same as forgetting features?
# :::
#
# :::{dropdown} Answer
# No. The loss is what comes out at the end; a feature may still be computed and its effect on the
# prediction be overruled. [The next chapters](dose) ask for the features themselves.
# :::
#
# :::{admonition} Exercise
# :class: tip
# Why do the dictionaries along the doses all start from the same random weights and read the same text
# in the same order?
# :::
#
# :::{dropdown} Answer
# So that one dose differs from the next in the model alone. What their common start makes alike it makes
# alike at every dose, and none of it is compared with a base dictionary of the same seed.
# :::
