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
# # Neurons first
#
# Training moves the weights of a model; it doesn't shuffle them. So neuron 17 of a child *is* neuron
# 17 of its parent, some steps later. Before any {term}`dictionary` is trained we can therefore ask the
# plainest question of this book: does the neuron still answer to the same text?
#
# {cite:t}`horn2025tracking` begin with features and do not show neurons.
#
# **You will learn** how much a fine-tune and a merge change single neurons, and what a random MLP
# would leave of them. **You need** to know what a correlation is. **It takes** fifteen minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import numpy as np
import pandas as pd
import torch
from matplotlib.patches import Patch
from scipy import sparse

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries.features import Features, evaluation_mix
from featrack_utils.display import style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import (
    check,
    estimate,
    listed,
    number,
    say,
    show,
    verdict,
    with_interval,
)
from featrack_utils.lineage import label
from featrack_utils.matching.correlation import correlations
from featrack_utils.models import capture, controls, loading
from featrack_utils.pipeline import store
from featrack_utils.statistics.bootstrap import double_noise, draw
from featrack_utils.statistics.intervals import Interval, around, without_noise
from featrack_utils.statistics.persistence import flat

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the bootstrap
context = 128  # tokens; paper: 256
evaluation_blocks = 140  # validation blocks per domain, the same for every model
tau = 0.8  # correlation above which two neurons count as alike; paper: 0.8, of features
replicates = 200  # bootstrap draws over groups of documents

# %% [markdown]
# ## What a neuron says of a token
#
# The MLP of these models multiplies two projections of its input $h_t$ at token $t$:
#
# $$x_t = \operatorname{SiLU}(W_\text{gate}\, h_t) \odot W_\text{up}\, h_t .$$
#
# Entry $i$ of $x_t$ is what {term}`neuron` $i$ says of token $t$, above zero or below. A hook on the next
# matrix sees all of them. Every model reads the same {term}`evaluation mix`: validation text of all
# {term}`domains <domain>`, the first position of each block left out. Each neuron's values are
# standardised, which changes no correlation.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
mix = evaluation_mix({d: corpora.validation_blocks(d, evaluation_blocks) for d in lineage.domains})


# %%
@torch.no_grad()
def neurons_of(model):
    """What each neuron says of each token of the mix, standardised; [n_tokens, d_mlp]."""
    seen = []
    writes, _ = capture.plain_module(model, lineage.site)  # what reads the neurons
    hook = writes.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    for batch in torch.from_numpy(mix.tokens).long().split(32):
        model.base_model(input_ids=batch, use_cache=False)
        # Some families hand their MLP all tokens in one row.
        seen[-1] = seen[-1].reshape(*batch.shape, -1)[:, 1:].flatten(0, 1)
    hook.remove()
    x = torch.cat(seen)
    return x.sub_(x.mean(0)).div_(x.std(0, correction=0)).numpy()


neurons = {name: neurons_of(loading.load_model(run / "models" / name)) for name in lineage.order}

# %% [markdown]
# ## Same neuron, same tokens
#
# Two neurons $x$ and $y$ are compared by Pearson's correlation over all $n$ tokens. It needs six sums:
#
# $$r = \frac{n \sum xy - \sum x \sum y}
# {\sqrt{\bigl(n \sum x^2 - (\sum x)^2\bigr)\bigl(n \sum y^2 - (\sum y)^2\bigr)}} .$$
#
# We add them up document by document. Then a draw of the bootstrap, which takes some documents twice
# and others not at all, is a weighted sum of what is already there.

# %%
document = mix.origin[:, 1:].ravel()
each = np.ones(document.size, np.float32)
members = sparse.csr_array((each, (document, np.arange(document.size))))
length = np.bincount(document)  # tokens of each document
sums = {name: (members @ x, members @ x**2) for name, x in neurons.items()}  # [n_documents, d_mlp]


def pearson(counts, of_x, of_y, of_xy):
    """r of each neuron with its partner, where each document counts so often; [..., d_mlp]."""
    n = (counts @ length)[..., None]
    x, xx, y, yy, xy = (counts @ part for part in (*of_x, *of_y, of_xy))
    return (n * xy - x * y) / np.sqrt((n * xx - x**2) * (n * yy - y**2))


# %% [markdown]
# All neurons of one model against all of another are one product of matrices. Its diagonal must be
# the same-neuron r, and its rows' maxima what the package's search for best matches finds. We try both
# on one edge; for the second a few documents will do.

# %%
parent, child = lineage.edges[0]
x, y = neurons[parent], neurons[child]
whole_mix = np.ones(length.size)  # each document once
same_neuron_r = pearson(whole_mix, sums[parent], sums[child], members @ (x * y))
np.testing.assert_allclose(np.diag(x.T @ y) / len(x), same_neuron_r, atol=1e-4)

x, y = x[:2000], y[:2000]
package = correlations(sparse.csr_matrix(x), sparse.csr_matrix(y))
by_numpy = np.corrcoef(x.T, y.T)[: x.shape[1], x.shape[1] :]
np.testing.assert_allclose(by_numpy.max(axis=1), package.a_best_r, atol=1e-5)

# %% [markdown]
# ## What would it be if the MLP had learned nothing?
#
# The control is the child with a {term}`random MLP`: its three matrices drawn anew, with the norms
# that they had, and embedding and attention kept. Its neuron 17 has nothing to do with the parent's
# neuron 17, except that both read the same tokens.
#
# At the other end nothing has to be measured. A child that nothing happened to has r = 1 in every
# neuron. So there is no {term}`ceiling` here, and no {term}`seed` of a dictionary. For the intervals we
# resample whole {term}`groups <group>` of documents.

# %%
for child in dict.fromkeys(child for _, child in lineage.edges):
    control = loading.load_model(run / "models" / child)
    weights = controls.redrawn(control.state_dict(), controls.Redraw.of(lineage), seed=0)
    control.load_state_dict(weights)
    neurons[f"{child}.mlp"] = x = neurons_of(control)
    sums[f"{child}.mlp"] = members @ x, members @ x**2

group, domain = mix.group[:, 1:].ravel(), np.repeat(mix.domain, context - 1)
text = Features(acts=None, origin=document, domain=domain, tokens=None, group=group)
drawn = draw(text, {lineage.root: 1}, replicates, seed).documents


# %% [markdown]
# For each neuron of the parent we also ask whether its *best* match in the child is the neuron itself.
# In the bootstrap's draws its rival is the neuron that comes closest on the whole mix. Noise moves neurons
# across the threshold, and the share above it is [corrected](method-intervals) for that.


# %%
def compare(parent, other):
    """Same-neuron r, and whether it is the best, on the whole mix and in every draw."""
    x, y, parts = neurons[parent], neurons[other], (sums[parent], sums[other])
    of_xy = members @ (x * y)
    r, in_draws = (pearson(counts, *parts, of_xy) for counts in (whole_mix, drawn))
    others = x.T @ y / len(x)
    np.fill_diagonal(others, -1)
    rival = others.argmax(axis=1)
    of_rival = [part[:, rival] for part in sums[other]]
    r_rival = pearson(drawn, sums[parent], of_rival, members @ (x * y[:, rival]))
    return r, in_draws, r > others.max(axis=1), in_draws > r_rival


def figures(r, in_draws, best, best_in_draws):
    """What is read off a comparison: each figure with its 95 % interval."""
    counted, once, twice = (r > tau).mean(), in_draws.T, double_noise(r, in_draws.T)
    shares = np.clip(without_noise(counted, once > tau, twice > tau), 0, 1)
    found = {
        "share": (shares.mean(), shares),
        "median_r": (np.median(r), np.median(in_draws, axis=1)),
        "same_best_share": (best.mean(), best_in_draws.mean(axis=1)),
    }
    return {name: Interval(float(one), *around(draws)) for name, (one, draws) in found.items()}


# %% tags=["hide-input"]
r, results = {}, {}
for parent, child in lineage.edges:
    for end, other in {"": child, ".floor": f"{child}.mlp"}.items():
        compared = compare(parent, other)
        r[parent, other] = compared[0]
        for name, interval in figures(*compared).items():
            results |= flat(f"neurons.{parent}_{child}.{name}{end}", interval)
    raw = np.mean(r[parent, child] > tau)  # as counted, with the noise
    results[f"neurons.{parent}_{child}.share.raw"] = float(raw)
store.write_results(run, "neurons", results)

# %% tags=["hide-input"]
figure, axes = style.panels(len(lineage.edges), 2.1)
bins = np.linspace(-1, 1, 41)
for axis, (parent, child) in zip(axes, lineage.edges, strict=True):
    axis.hist(r[parent, f"{child}.mlp"], bins, color=style.GREY, histtype="step", lw=1.5)
    axis.hist(r[parent, child], bins, color=style.colour_of(child), alpha=0.8, lw=0)
    axis.axvline(tau, color="black", ls="--", lw=1)
    axis.set(title=style.pair_label(parent, child), xlim=(-1, 1))
figure.supxlabel("same-neuron r", fontsize=11)
figure.supylabel("neurons", fontsize=11)
marks = [
    Patch(color=style.colour_of(lineage.edges[0][1]), alpha=0.8, label="child (its colour)"),
    Patch(fill=False, ec=style.GREY, lw=1.5, label="child with a random MLP"),
]
figure.legend(handles=marks, loc="outside upper center", ncols=2)
show(
    figure,
    "How closely each neuron of the parent agrees with the same neuron of the child, over the tokens "
    "of the evaluation mix. Grey: with that neuron once the child's MLP is random. Dashed: the "
    "threshold. An unchanged model would have all its neurons at 1.",
    "fig-neurons",
    "Histograms of r, one panel an edge: controls around zero, children towards one",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
medians = {
    edge: estimate(results, "neurons.{}_{}.median_r".format(*edge)) for edge in lineage.edges
}
low, high = (f(lineage.edges, key=lambda edge: medians[edge].estimate) for f in (min, max))
control = max(abs(results["neurons.{}_{}.median_r.floor".format(*e)]) for e in lineage.edges)
largest = max(np.abs(r[a, f"{b}.mlp"]).max() for a, b in lineage.edges)
say(
    f"In {{numref}}`fig-neurons` the median neuron has r = {with_interval(medians[high], 2, share=False)} "
    f"along {style.pair_label(*high)}"
    + (
        f", and {with_interval(medians[low], 2, share=False)} along {style.pair_label(*low)}. "
        if low != high
        else ". "
    )
    + f"In the controls medians are at most {number(control, 3)} away from zero. Single neurons of a "
    f"random MLP reach {number(largest)} in size, because neurons that read the same tokens agree a "
    "little by chance. That is what tokens and attention alone carry, neuron by neuron: next to nothing."
)

# %% [markdown]
# ## The same in numbers

# %% tags=["hide-input"]
FIGURES = {"r > τ": "share", "median r": "median_r"}
rows = []
for edge in lineage.edges:
    key = "neurons.{}_{}".format(*edge)
    found = {head: estimate(results, f"{key}.{name}") for head, name in FIGURES.items()}
    rows.append({"pair": style.pair_label(*edge)} | found)
show_table(
    pd.DataFrame(rows),
    {"r > τ": ".0%", "median r": ".2f"},
    caption="Neurons along each edge, with 95 % intervals over groups of documents.",
    notes={"r > τ": f"τ = {tau}"},
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
first = "neurons.{}_{}".format(*lineage.edges[0])
share, itself, by_chance = (
    estimate(results, f"{first}.{name}")
    for name in ("share", "same_best_share", "same_best_share.floor")
)
say(
    f"Along {style.pair_label(*lineage.edges[0])} {with_interval(share)} of the neurons lie above the "
    f"threshold, and {with_interval(itself)} are still their own best match (with a random MLP "
    f"{with_interval(by_chance, 1)}). "
    + verdict(
        itself,
        0.5,
        below="So most neurons of the child aren't closest to the parent's neuron of that number.",
        above="So most neurons are still the same ones, whether or not they pass the threshold.",
        unclear="Whether most neurons are still the same ones isn't clear.",
    )
)
for merge in lineage.merges:
    parents = lineage.parents(merge)
    shared = {p: estimate(results, f"neurons.{p}_{merge}.share") for p in parents}
    ancestor = lineage.common_ancestor(parents)
    again = estimate(results, f"neurons.{ancestor}_{merge}.share")
    kept = [results.get(f"neurons.{ancestor}_{parent}.share", 0) for parent in parents]
    say(
        f"**{label(merge)}** shares "
        + listed([f"{with_interval(share)} with {label(p)}" for p, share in shared.items()])
        + f", and {with_interval(again)} with {label(ancestor)}, from which they descend. "
        + verdict(
            again,
            max(kept),
            below=f"It is further from {label(ancestor)} than the closest of its parents.",
            above=f"It is closer to {label(ancestor)} than any parent is: merging went back some way.",
            unclear=f"Whether it is closer to {label(ancestor)} than its parents can't be told.",
        )
    )

# %% [markdown]
# Two caveats. A neuron is no feature. Most neurons answer to several unrelated things, and a feature may be
# spread over many neurons. It can persist while each of them drifts, or disappear while each drifts only
# a little. And one model was trained for each name: the intervals don't tell how another fine-tune
# would differ.
#
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"Without any dictionary we can say how much moved. The median neuron agrees with itself by "
    f"{number(medians[low].estimate)} "
    + (f"to {number(medians[high].estimate)} " if low != high else "")
    + f"along the edges of this lineage, and by next to nothing once the MLP is random. "
    f"Along the first edge {with_interval(share)} of the neurons lie above {number(tau, 1)}. These "
    "numbers need no ceiling. Shares of features will need one, because dictionaries differ even where "
    "the model doesn't. So neurons are a check on everything that follows."
)

# %% [markdown]
# The next chapter trains [the first dictionary](sae).
#
# :::{admonition} Exercise 1
# :class: tip
# Which share of the neurons along the first edge has r above one half? You need `lineage.edges[0]` and
# the dictionary `r`, whose arrays are found by (parent, child).
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
above_half = (same_neuron_r > 0.5).mean()

# %%
answer = ...  # your share, from 0 to 1
check(answer, above_half)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
values = r[lineage.edges[0]]
answer = sum(value > 0.5 for value in values) / len(values)
check(answer, above_half)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# A fine-tune could double what a neuron says, or flip its sign. What becomes of r? Work out the r of
# `x` = neuron 0 of the root and −2`x`, on the whole mix.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
x, xx = sums[lineage.root]
flipped = pearson(whole_mix, (x, xx), (-2 * x, 4 * xx), -2 * xx)[0]

# %%
answer = ...  # r of x and −2x
check(answer, flipped)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
x = neurons[lineage.root][:, 0]
answer = np.corrcoef(x, -2 * x)[0, 1]  # a scale leaves r alone, a sign turns it round
check(answer, flipped)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# Why would same-neuron r be meaningless between two models trained from *different* seeds?
# :::
#
# :::{dropdown} Answer
# A network's neurons have no natural order: permute them, with the weights before and after, and the
# model computes the same. Which index a neuron gets is decided by its first random weights. A parent
# and its child share those, two independent models don't.
# :::
