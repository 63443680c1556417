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
# # Learning one dictionary
#
# A neuron of the MLP answers to many unrelated things. A *sparse autoencoder* (SAE) rewrites the
# same activations as a sum of few directions out of many, in the hope that each answers to one
# thing {cite:p}`bricken2023monosemanticity,huben2024sparse`. This book calls such a direction a
# {term}`feature`, and all of them together a {term}`dictionary`.
#
# **You will learn** what an autoencoder computes and what it is trained for, what its sparsity
# costs, and how well a dictionary describes its model. **You need** some PyTorch. **It takes** ten
# minutes. The paper trains one dictionary for each of four models; this book trains several, with
# other seeds, all by this same notebook.

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import jobs, quality, training
from featrack_utils.display import style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import check, count, number, percent, say, show
from featrack_utils.lineage import label
from featrack_utils.models import capture, loading
from featrack_utils.pipeline import store

# %% tags=["parameters"]
run_dir = "runs/quick"
model = "base"  # whose activations
sae_seeds = [
    0,
    1,
    2,
]  # one dictionary each: first weights and order of the text; paper: 1337 for all
precision = "auto"  # bfloat16 where the machine multiplies it faster
context = 128  # tokens; paper: 256
architecture = "standard"  # ReLU with L1, the paper's kind; or topk, batchtopk
expansion = 3  # features per MLP neuron; paper: 16
l1_coefficient = 1.5  # paper: 3e-4, on another scale (and ten times that for one of four)
k = 32  # active features a token; topk and batchtopk only
learning_rate = 8e-3  # paper: 1e-4
train_tokens = 400_000  # activations read
batch_tokens = 1024  # a step; paper: 128 blocks of 24 tokens
evaluation_blocks = 140  # validation blocks per domain, the same for every model

# %% [markdown]
# ## What is captured
#
# We read the activations just before the MLP's output matrix, after its gate, through a hook of
# TransformerLens {cite:p}`nanda2022transformerlens`. The hook is there only while a batch passes;
# nothing stays on the model. We leave out the first position of each block: it has no context, and
# its activations are unlike all others.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
seen = {domain: corpora.train_blocks(domain) for domain in lineage.reads(model)}
bridge = loading.boot(store.opened(run / "models" / model))
text = torch.from_numpy(seen[lineage.reads(model)[0]][:8]).long()
x = capture.mlp_activations(bridge, text, lineage.site)[:, 1:].flatten(0, 1)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
sizes = ", ".join(f"{count(len(blocks))} of {domain}" for domain, blocks in seen.items())
say(
    f"{label(model)} has read these blocks of {context} tokens: {sizes}. Each activation `x` is a "
    f"vector of {x.shape[1]} numbers, one per neuron."
)

# %% [markdown]
# ## What an autoencoder computes
#
# The encoder turns an activation $x$ into features $f$, of which ReLU leaves few above zero. The
# decoder adds up their directions, the rows of $W_{dec}$, each as often as its feature says:
#
# $$f = \mathrm{ReLU}\big((x - b_{dec})\,W_{enc} + b_{enc}\big), \qquad
#   \hat x = f\,W_{dec} + b_{dec}$$
#
# %% tags=["hide-input"] jupyter={"source_hidden": true}
figure = Figure(figsize=(style.WIDTH, 2.6), layout="constrained")
axis = figure.subplots()
layers = {"activation x": (0, 8), "features f": (1, 16), "rebuilt x̂": (2, 8)}
drawn = np.random.default_rng(2)
on = drawn.choice(16, 3, replace=False)
middle = np.linspace(0, 1, 16)
for words, (at, size) in layers.items():
    places = np.linspace(0.1, 0.9, size) if size == 8 else middle
    lit = np.isin(np.arange(size), on) if at == 1 else np.ones(size, bool)
    colours = [style.colour_of(model) if each else "white" for each in lit]
    axis.scatter([at] * size, places, s=70, c=colours, ec=style.GREY, zorder=2)
    axis.text(at, 1.08, words, ha="center")
    if at != 1:
        lines = [([at, 1], [place, middle[j]]) for place in places for j in on]
        for xs, ys in lines:
            axis.plot(xs, ys, color=style.GREY, lw=0.4, zorder=1)
axis.text(0.5, -0.1, "encoder, then ReLU", ha="center", fontsize=10)
axis.text(1.5, -0.1, "decoder: directions", ha="center", fontsize=10)
axis.set(xlim=(-0.3, 2.3), ylim=(-0.15, 1.2))
axis.axis("off")
show(
    figure,
    caption="A sparse autoencoder. The middle is wider than the activation, but on each token nearly "
    "all of it is zero. Only the lines of active features are drawn.",
    name="fig-autoencoder",
    alt="Three columns of dots: a narrow one, a wide one with few dots filled, a narrow one",
)

# %% [markdown]
# It is trained to be precise and sparse at once. The first term of the loss is the squared error of
# the reconstruction; the second is the L1 norm of the features, each weighted by the length of its
# direction, times a coefficient $\lambda$:
#
# $$L = \big\langle\, \lVert \hat x - x \rVert^2
#   + \lambda \sum_i f_i\, \lVert W_{dec,i} \rVert \,\big\rangle_{\text{tokens}}$$


# %%
def forward(x, W_enc, b_enc, W_dec, b_dec):
    """Features and reconstruction of activations x [n, d_in]."""
    assert x.shape[1] == W_enc.shape[0] == W_dec.shape[1]  # one row of W_dec, one feature
    f = torch.relu((x - b_dec) @ W_enc + b_enc)
    return f, f @ W_dec + b_dec


def loss(x, W_enc, b_enc, W_dec, b_dec, l1):
    """Squared error plus l1 times the weighted L1 norm, mean over tokens."""
    f, x_hat = forward(x, W_enc, b_enc, W_dec, b_dec)
    error = (x_hat - x).square().sum(dim=1)
    lengths = W_dec.norm(dim=1)
    return (error + l1 * (f * lengths).sum(dim=1)).mean()


# %% [markdown]
# Activations are first scaled to a mean norm of √d, so that one coefficient means the same for all
# models. The package takes loss and gradient in one pass, and visits active features alone once they
# are few. That makes a step more than twice as fast as with SAELens {cite:p}`bloom2024saelens`, whose
# format it saves. Both must give the same number:

# %%
scaled = x * x.shape[1] ** 0.5 / x.norm(dim=1).mean()
shape = dict(expansion=expansion, l1_coefficient=l1_coefficient, k=k)
fast = training.new_sae(x.shape[1], architecture="standard", **shape, l1_warm_up_steps=0, seed=0)
plain = loss(scaled, fast.W_enc, fast.b_enc, fast.W_dec, fast.b_dec, l1_coefficient)
torch.testing.assert_close(fast.take_gradients(scaled, l1_coefficient, torch.float32).loss, plain)

# %% [markdown]
# ## Training
#
# Each seed draws other first weights and reads the same text in another order. At the end every
# direction is scaled to length one, and its feature to match. Dictionaries of the same model share
# the captured activations, so that the model reads the text once for all of them.

# %% tags=["hide-input"]
recipe = jobs.recipe(globals())
wanted = jobs.of_model(lineage, model, sae_seeds)
measured = jobs.train_and_measure(run, corpora, wanted, recipe, evaluation_blocks)
first = wanted[0].name

# %% tags=["hide-input"]
history = pd.read_csv(run / "saes" / first / "history.csv")
figure = Figure(figsize=(style.WIDTH, 2.6), layout="constrained")
titles = {"l0": "active features a token", "variance_explained": "variance explained"}
for axis, (column, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
    axis.plot(history["tokens"] / 1e3, history[column], color=style.colour_of(model))
    axis.set_title(title)
figure.axes[0].set_yscale("log")
figure.supxlabel("thousands of activations read", fontsize=11)
show(
    figure,
    caption="Sparsity and precision of one dictionary while it learns.",
    name="fig-sae-history",
    alt="Active features falling and variance explained rising during training",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
highest, last = history["l0"].max(), history["l0"].iloc[-1]
if first == f"{lineage.root}-0":  # the page of the book, not one of its siblings
    store.write_results(run, "sae", {"sae.history.max_l0": highest, "sae.history.last_l0": last})
say(
    "{numref}`fig-sae-history` is the price of sparsity, followed through the training. While the "
    f"coefficient warms up, the number of active features falls {number(highest / last, 0)}-fold, "
    f"from {number(highest, 0)} to {number(last, 0)} a token. What is left of them has to win back "
    "the variance explained."
)

# %% [markdown]
# ## One token, taken apart
#
# Here is what the trained dictionary makes of a single activation of the model.

# %%
sae = training.load_sae(run / "saes" / first)
with torch.no_grad():
    features = sae.encode(x)
    rebuilt = sae.decode(features)
typical = (features > 0).sum(1).float().mean()
token = int(((features > 0).sum(1) - typical).abs().argmin())  # about as many as usual
if architecture == "standard":
    ours = forward(x, sae.W_enc, sae.b_enc, sae.W_dec, sae.b_dec)[1]
    torch.testing.assert_close(ours[token], rebuilt[token], rtol=1e-3, atol=1e-4)

# %% tags=["hide-input"]
figure = Figure(figsize=(style.WIDTH, 4.0), layout="constrained")
above, below = figure.subplots(2, 1)
above.bar(range(x.shape[1]), x[token], width=1, color=style.GREY, label="activation")
above.plot(rebuilt[token], color=style.colour_of(model), lw=1, label="rebuilt from features")
above.set(xlabel="neuron", ylabel="activation")
figure.legend(loc="outside upper center", ncols=2)
active = features[token].nonzero().flatten()
below.vlines(active, 0, features[token][active], color=style.colour_of(model))
below.set(xlabel="feature", ylabel="activation", xlim=(0, features.shape[1]), ylim=(0, None))
show(
    figure,
    caption="One activation (above, grey), the features that are active on it (below), and the sum "
    "of their directions (above, line).",
    name="fig-sae-token",
    alt="Bars of one activation with its reconstruction, and the few active features",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"Of {count(features.shape[1])} features {len(active)} are active on this token. A sum of that "
    f"many directions stands for all {x.shape[1]} neurons."
)

# %% [markdown]
# ## Its features on the evaluation mix
#
# Every model reads the same validation blocks of all domains, the {term}`evaluation mix`. Its features
# on them are kept, sparse, for all that follows. The same pass measures how good the dictionary is:
# {term}`L0` is the number of active features a token, *variance explained* the share of the
# activations that they account for. The *CE score* says how much of what the MLP contributes to
# prediction survives when the reconstruction takes the activations' place.

# %% tags=["hide-input"]
sums = quality.Sums.load(measured[first] / "sums.safetensors")
by_domain = {domain: quality.quality(sums, [domain]) for domain in lineage.domains}
table = pd.DataFrame(
    {
        "text": label(domain),
        "read before": domain in seen,
        "L0": result.l0,
        "variance explained": result.variance_explained,
        "CE score": result.meaningful_score,
        "silent features": result.dead_share,
    }
    for domain, result in by_domain.items()
)
show_table(
    table.astype({"CE score": float}),
    {
        "L0": ".0f",
        "variance explained": ".2f",
        "CE score": ".2f",
        "silent features": ".0%",
    },
    caption="The first dictionary of this page on validation text of each domain.",
    notes={"CE score": "1: all is kept; –: the MLP is of no use there", "silent features": "here"},
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
known = quality.quality(sums, lineage.reads(model))
say(
    f"On the text that {label(model)} was trained on, the dictionary explains "
    f"{percent(known.variance_explained)} of the variance with {number(known.l0, 0)} features a "
    "token. Compare the rows of other text: a dictionary describes a model *on a distribution*. "
    "This is why every share in the later chapters is measured on a mix of all domains."
)

# %% [markdown]
# ## What we learned
#
# An autoencoder trades precision for sparsity, and one coefficient sets the price. It leaves a
# token with few active features, whose directions add up to most of the activation. But this is one
# dictionary, from one seed, and it would be easy to take its features for the model's.
#
# [The next chapter](dictionaries) sets all dictionaries side by side;
# [the chapter on ceilings](ceilings) asks how many of the features would come back with another
# seed.
#
# :::{admonition} Exercise 1
# :class: tip
# Of each token of `x` keep the `k` neurons that are largest in absolute value and set the others to
# zero, with `k = round(float(typical))`, the dictionary's L0. Which share of the variance of `x`
# around its mean is explained? [The next chapter](dictionaries) asks whether the dictionary beats it.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
ranked = quality.Sums.empty(["here"], x.shape[1], features.shape[1])
ranked.add(0, x, torch.zeros(len(x), features.shape[1]), x)
ranked.active[0, 0] = ranked.count[0] * round(float(typical))  # an L0 of k
by_neurons = quality.quality(ranked).neuron_variance_explained

# %%
answer = ...  # a share, from 0 to 1
check(answer, by_neurons)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
largest = x.abs().topk(round(float(typical)), dim=1).indices
left = x.scatter(1, largest, 0.0)
answer = float(1 - left.square().sum() / (x - x.mean(0)).square().sum())
check(answer, by_neurons)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# What is the gradient of the loss with respect to `b_dec`, for a dictionary whose features are all
# silent? Compute it for `scaled` and `b_dec` = 0, and give its length.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
bias = torch.zeros(x.shape[1], requires_grad=True)
silent = torch.full_like(fast.b_enc, -1e6)
loss(scaled, fast.W_enc.detach(), silent, fast.W_dec.detach(), bias, l1_coefficient).backward()
length = float(bias.grad.norm())

# %%
answer = ...  # a length
check(answer, length, within=0.01)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = float((2 * (0 - scaled)).mean(dim=0).norm())  # 2 (x_hat - x), mean over tokens
check(answer, length, within=0.01)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# Double `l1_coefficient` and leave all else as it is. Which way do L0 and the variance explained
# go, and which of the two would you rather keep equal between two models?
# :::
#
# :::{dropdown} Answer
# `python -m featrack_utils.run sae out.ipynb -p l1_coefficient …`: both fall. L0 should be kept
# equal, if only one can be. A sparser dictionary has fewer, broader features, and a share of
# matches between two dictionaries of different sparsity measures the sparsity.
# :::
