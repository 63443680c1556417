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
# # Models from outside
#
# The models of this run were not all trained here. Some come from a folder or from the hub, as
# somebody has saved them. Before anything is concluded from their insides, two things must be sure: that
# we see what they really compute, and that they read the same tokens.
#
# **You will learn** what was loaded, at which place its activations are read, and how well it predicts
# each text. **You need** to have heard of transformers. **It takes** five minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from functools import partial

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

from featrack_utils.corpora import prepare
from featrack_utils.display import style, training_figures
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import check, count, listed, number, percent, say, show
from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import label
from featrack_utils.models import capture, controls, evaluation, loading
from featrack_utils.pipeline import store

# %% tags=["parameters"]
run_dir = "runs/own"
context = 128  # tokens

# %% [markdown]
# ## What was loaded
#
# Each model is saved once more with the run, in float32, so that what the book says stays true when the
# folder or the hub changes. Pickled weights are never opened, and a model's own code is never run.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
site = lineage.site
for name in lineage.loaded:
    entry = lineage.models[name]
    found = loading.find(name, entry, run / "models" / name)
    store.make(
        run / "models" / name,
        partial(loading.bring_in, name, entry | {"revision": found.revision}),
        parameters=loading.record(found, entry),
        code=[loading],
    )

# %% [markdown]
# ## Do we see what they compute?
#
# We read activations through the hooks of TransformerLens {cite:p}`nanda2022transformerlens`, which wraps
# many families of models in one set of names. Two checks come first. The wrapped model's logits must be
# those of the plain one. And the activations at our site must be those that a plain hook of PyTorch finds
# on the module that reads or writes them. By hand, for the first model:

# %%
first = lineage.loaded[0]
tokens = torch.from_numpy(corpora.validation_blocks(lineage.domains[0], 4).tokens).long()
plain = loading.load_model(run / "models" / first)
if known := capture.plain_module(plain, site):
    module, reads = known
    seen = []
    hook = module.register_forward_hook(
        lambda module, given, out: seen.append(given[0] if reads else out)
    )
    with torch.no_grad():
        plain(input_ids=tokens)
    hook.remove()
    by_hand = seen[0].reshape(*tokens.shape, -1)
    wrapped = capture.mlp_activations(loading.boot(run / "models" / first), tokens, site)
    torch.testing.assert_close(wrapped, by_hand, rtol=1e-3, atol=1e-4)

# %% [markdown]
# And in all of them, with the logits. A model for which this doesn't hold is refused.


# %% tags=["hide-input"]
TOLERANCE = 1e-3  # of the largest value, between two ways to compute the same


@torch.no_grad()
def self_check(folder, site, tokens):
    """How far a saved model under hooks is from the plain one, relative to the largest value.

    Of the logits, and of the activations at the site, beside those of a plain hook.
    """
    name = folder.name
    try:
        bridge, plain = loading.boot(folder), loading.load_model(folder)
        pairs = {"logits": (bridge(tokens), plain(input_ids=tokens).logits)}
        acts = capture.mlp_activations(bridge, tokens, site)
    except Exception as error:  # its parts raise whatever they like
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise FeatrackError(
            f"models.{name} can't be read at {site} through TransformerLens: {reason}."
        ) from error
    if capture.plain_module(plain, site) is None:
        raise FeatrackError(
            f"models.{name}: in a {type(plain).__name__} no module is known to read {site}; take "
            "another site, such as hook_resid_post."
        )
    pairs["activations"] = (acts, capture.plain_activations(plain, tokens, site))
    off = {
        what: ((a - b).abs().max() / b.abs().max().clamp_min(1e-9)).item()
        for what, (a, b) in pairs.items()
    }
    for what, difference in off.items():
        if not difference < TOLERANCE:
            raise FeatrackError(
                f"models.{name}: under TransformerLens' hooks the {what} differ by "
                f"{difference:.1g} of their size from the plain model's, so nothing can be "
                "measured; report it there."
            )
    return off


# %% tags=["hide-input"] jupyter={"source_hidden": true}
rows = []
for name in lineage.loaded:
    folder = run / "models" / name
    off = self_check(folder, site, tokens)
    model = loading.load_model(folder)
    shape = model.config.get_text_config()
    rows.append(
        {
            "model": label(name),
            "kind": shape.model_type,
            "blocks": shape.num_hidden_layers,
            "parameters": model.num_parameters() / 1e6,
            "d_in": capture.plain_activations(model, tokens[:1], site).shape[-1],
            "largest difference": max(off.values()),
        }
    )
table = pd.DataFrame(rows)
show_table(
    table,
    {"parameters": ",.1f", "largest difference": ".0e"},
    notes={"parameters": "millions", "d_in": "numbers a token", "largest difference": "of size"},
    caption=f"The models that were loaded, read at `{site}`. The largest difference between the wrapped "
    "and the plain model, of logits and activations, relative to the largest value.",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"All agree to {table['largest difference'].max():.0e} of the largest value, which is rounding. They "
    f"share one tokenizer of {count(len(corpora.tokenizer))} tokens, by which all texts of this run were "
    "cut. Models with different tokenizers are refused, since their activations belong to different "
    "pieces of text."
)

# %% [markdown]
# ## What will be redrawn
#
# A {term}`floor` needs a control: the child with everything that writes the site drawn at random. Which
# tensors are these here?

# %%
weights = load_file(run / "models" / first / "model.safetensors")
chosen = [name for name in weights if controls.Redraw.of(lineage)(name)]

# %% tags=["remove-input"] jupyter={"source_hidden": true}
of_block = sum(weights[name].numel() for name in chosen)
part = of_block / sum(tensor.numel() for tensor in weights.values())
words = {"mlp": "the MLP", "attention": "attention", "block": "attention and the MLP"}
say(
    f"The site is written by {words[lineage.writer]} of block {lineage.layer}, counted from 0. In "
    f"{label(first)} these are {count(len(chosen))} tensors with {percent(part, 1)} of its numbers. "
    "What comes before them is kept, and so are the norms."
    + (
        ""
        if lineage.writer == "mlp"
        else f" Where later chapters speak of a *random MLP*, {words[lineage.writer]} of this block is "
        "random in this run."
    )
)

# %% [markdown]
# ## How well they predict
#
# We measure the loss in nats per token, on held-out text of each {term}`domain`. A model that knows only how
# frequent each token is would be a poor one, but its loss says what is hard about a text.

# %% tags=["hide-input"]
# The same text as in the chapters on training, so that losses can be compared.
blocks = {d: corpora.validation_blocks(d, 400) for d in lineage.domains}
read = {d: corpora.train_blocks(d) for d in lineage.domains}
vocabulary = int(max(corpora.tokenizer.get_vocab().values())) + 1
unigram = {
    d: evaluation.unigram_loss(read[d], texts.tokens, vocabulary) for d, texts in blocks.items()
}
results = {"load.largest_difference": table["largest difference"].max()}
for name in lineage.loaded:
    scores = evaluation.evaluate_each(loading.load_model(run / "models" / name), blocks)
    own = lineage.trained_on(name)
    together = evaluation.pooled(*(scores[d] for d in own))
    results |= evaluation.score_results(f"lm.{name}", scores | {"own": together})
    results[f"lm.{name}.unigram_loss"] = evaluation.unigram_loss(
        np.concatenate([read[d] for d in own]),
        np.concatenate([blocks[d].tokens for d in own]),
        vocabulary,
    )
scores = evaluation.score_table(results, lineage.domains)

# %% tags=["hide-input"]
show(
    training_figures.domain_heatmap(scores),
    caption="Validation loss of the loaded models on all domains; the best of each domain in bold.",
    name="fig-load-loss",
    alt="Grid of losses, models by domains",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
loss = scores.set_index(["model", "domain"])["loss"]
worse = [
    f"{label(m)} on {label(d)}"
    for m in lineage.loaded
    for d in lineage.domains
    if loss[m, d] > unigram[d]
]
frequencies = listed([f"{number(x)} ({label(d)})" for d, x in unigram.items()])
say(
    f"Frequencies alone would come to {frequencies}. "
    + (
        f"{listed(worse)} is worse than that: a model that can't predict a text may have no features "
        "for it, either."
        if worse
        else "Every model is better than that on every text."
    )
)

# %% tags=["remove-cell"]
for row in table.to_dict("records"):
    results[f"load.{row['model'].lower()}.d_in"] = row["d_in"]
    results[f"load.{row['model'].lower()}.blocks"] = row["blocks"]
store.write_results(run, "load", results)

# %% [markdown]
# ## What we learned
#
# Whatever these models are, we see the numbers that they compute, at one place, on the same tokens. From
# here on the book treats them like any others. *What comes next*: [their dictionaries](sae).
#
# :::{admonition} Exercise 1
# :class: tip
# Between how many equally likely tokens does the first model hesitate, on the first text? This is the
# *perplexity*, e to the power of the loss. You need `loss[first, lineage.domains[0]]`.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
perplexity = np.exp(results[f"lm.{first}.{lineage.domains[0]}.loss"])

# %%
answer = ...  # tokens
check(answer, perplexity, within=0.01 * perplexity)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = 2 ** (loss[first, lineage.domains[0]] / np.log(2))
check(answer, perplexity, within=0.01 * perplexity)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# How large is a redrawn matrix, compared with what it replaces? Draw one of `chosen` again with
# `controls.redrawn(weights, controls.Redraw.of(lineage), seed=0)`, and give the ratio of the two norms.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
ratio = 1.0  # by construction: controls keep the norm

# %%
answer = ...
check(answer, ratio)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
drawn = controls.redrawn(weights, controls.Redraw.of(lineage), seed=0)
largest = max(chosen, key=lambda name: weights[name].numel())
answer = (drawn[largest].norm() / weights[largest].norm()).item()
check(answer, ratio)
