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
# # What is left when the MLP is random
#
# Suppose that a child's MLP had forgotten everything. Would none of its parent's features be found in it?
# Many would. A feature that answers to one token needs an embedding that tells tokens apart, and any MLP
# behind it will do. So a persisting share doesn't begin at zero. It begins at what is found in a model
# whose MLP has learned nothing: the {term}`floor`.
#
# **You will learn** what a {term}`control model` is, how one is made, and why its dictionary must be as
# sparse as the child's. **You need** the chapter on [dictionaries](dictionaries). **It takes** fifteen
# minutes. {cite:t}`horn2025tracking` have no such control.

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
import torch
from matplotlib.ticker import PercentFormatter
from safetensors.torch import load_file

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features, jobs, quality
from featrack_utils.display import style
from featrack_utils.display.text import check, count, number, percent, say, show
from featrack_utils.lineage import label
from featrack_utils.matching.classes import eligible
from featrack_utils.matching.correlation import correlations
from featrack_utils.models import controls
from featrack_utils.pipeline import store

# %% tags=["parameters"]
run_dir = "runs/quick"
children = ["lua", "stories", "merged"]  # whose controls are made and shown
control_draws = 3  # models with a random MLP for each child; paper: none
tau = 0.8  # correlation above which two features match; paper: 0.8
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
precision = "auto"  # bfloat16 where the machine multiplies it faster
context = 128  # tokens; paper: 256
architecture = "standard"  # ReLU with L1, the paper's kind; or topk, batchtopk
expansion = 3  # features per MLP neuron; paper: 16
l1_coefficient = 1.5  # where a control's coefficient begins
k = 32  # active features a token; topk and batchtopk only
learning_rate = 8e-3  # paper: 1e-4
train_tokens = 400_000  # activations read by each dictionary
batch_tokens = 1024  # a step; paper: 128 blocks of 24 tokens
evaluation_blocks = 140  # validation blocks per domain, the same for every model

# %% [markdown]
# ## A control model
#
# A control is the child itself, with one thing taken away. Embedding, attention and norms stay. Each
# of the MLP's three matrices is replaced by normal random numbers of the same norm:
#
# $$W_\text{control} = \frac{\lVert W \rVert}{\lVert N \rVert}\,N, \qquad N_{ij} \sim \mathcal N(0, 1).$$
#
# So the activations keep their size, but what training wrote into the MLP is gone. Here it is for one
# matrix. The package does the same for all three, from the same random numbers:

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
parent, child = lineage.edges[0]

weights = load_file(store.opened(run / "models" / child) / "model.safetensors")
name = min(filter(controls.Redraw.of(lineage), weights))
W = weights[name].double()
N = torch.randn(W.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
drawn = (N * W.norm() / N.norm()).float()
torch.testing.assert_close(
    controls.redrawn(weights, controls.Redraw.of(lineage), seed=0)[name], drawn
)

# %% [markdown]
# One draw may be lucky, so every child gets several. Beside them stands one {term}`random model` for the
# whole lineage. All its matrices are redrawn, embedding and attention included. It tells how much is found
# in a model that has learned nothing at all.

# %%
wanted = {f"{c}.mlp": jobs.of_controls(lineage, c, "mlp", control_draws) for c in children}
of_root = f"{lineage.root}.random"
if child in children:
    wanted[of_root] = jobs.of_controls(lineage, lineage.root, "random", 1)

for control, each in wanted.items():
    source = control.split(".")[0]
    which = controls.is_matrix if control == of_root else controls.Redraw.of(lineage)
    for job in each:
        controls.make_control(run, source, job.model, which, job.seed)

# %% [markdown]
# ## A child that was never trained
#
# A child's dictionary has also read other text than the parent's, and that alone may cost features. A
# {term}`zero-step child` controls for it. It is the untouched parent, with a dictionary that reads what the
# child's reads. [Ceilings](ceilings) and [doses](dose) ask what it still finds. A merge has none, for it
# isn't trained. The first of these children gets a second dictionary, which is [later](ceilings) taken for a child:
# nothing happened to it, so the measure must say so.

# %%
with_one = [c for c in lineage.order if len(lineage.parents(c)) == 1]
untrained = [jobs.of_zero_steps(lineage, c) for c in with_one if c in children]
untrained += [jobs.of_zero_steps(lineage, c, again=True) for c in with_one[:1] if c in children]

# %% [markdown]
# ## Dictionaries of equal sparsity
#
# A control's dictionary reads what the child's does. With the same L1 coefficient it would be less sparse,
# and would find fewer of the parent's features for that reason alone. So its coefficient is moved at every
# step of the training. It keeps the {term}`L0`, the number of active features a token, where that of the
# child's first dictionary was at the same step.

# %% tags=["hide-input"]
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
recipe = jobs.recipe(globals())
every_job = [*untrained, *(job for each in wanted.values() for job in each)]
measured = jobs.train_and_measure(run, corpora, every_job, recipe, evaluation_blocks)

# %% [markdown]
# Did that work? We look at the {term}`evaluation mix`, on which features will be compared.


# %%
def sums_of(name):
    return quality.Sums.load(run / "features" / name / "sums.safetensors")


def beside(job):
    """A control's dictionary beside that of the model it was made from."""
    its, own = sums_of(job.name), sums_of(job.like)
    found, original = quality.quality(its), quality.quality(own)
    return {
        "name": job.name,
        "l0": found.l0,
        "original_l0": original.l0,
        "off": found.l0 / original.l0 - 1,
        "variance_explained": found.variance_explained,
        "original_variance_explained": original.variance_explained,
        "loss": float(its.losses[:, 0].sum() / own.losses[:, 0].sum() - 1),
    }


table = pd.DataFrame(
    {"control": control, **beside(job)} for control, each in wanted.items() for job in each
)


# %% tags=["hide-input"]
def described(control):
    model, kind = control.split(".")
    return f"{label(model)}, {'random MLP' if kind == 'mlp' else 'random model'}"


figure = style.Figure(figsize=(style.WIDTH, 1.1 + 0.35 * len(wanted)), layout="constrained")
heads = {
    "l0": "L0,\nfeatures a token",
    "variance_explained": "variance\nexplained",
    "loss": "loss above\nthe original's",
}
for axis, (column, head) in zip(figure.subplots(1, 3, sharey=True), heads.items(), strict=True):
    for place, control in enumerate(wanted):
        rows = table[table["control"] == control]
        colour = style.colour_of(control.split(".")[0])
        axis.plot(rows[column], [place] * len(rows), "o", color=colour, ms=6)
        if column != "loss":
            original = rows[f"original_{column}"].iloc[0]
            axis.plot(original, place, "|", color="black", ms=18, mew=1.5)
    axis.set(xlabel=head, xlim=(0, 1.15 * axis.get_xlim()[1]))
    axis.set_yticks(range(len(wanted)), map(described, wanted))
    axis.set_ylim(len(wanted) - 0.5, -0.5)
    if column != "l0":
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
show(
    figure,
    "Dictionaries of the controls, a dot for each draw, beside those of the models they were made "
    "from (black lines). On the evaluation mix. Right: how much worse than its original each control "
    "predicts the mix.",
    "fig-controls",
    "Dots of L0, variance explained and loss of each control, L0 close to the originals'",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
WITHIN = 0.05  # of the original's L0
worst = table.loc[table["off"].abs().idxmax()]
worst_off = float(abs(worst["off"]))
too_far = table[table["off"].abs() > WITHIN]
spread = table.groupby("control")["l0"].agg(np.ptp).max()
say(
    f"The largest deviation is that of `{worst['name']}`: its L0 is off by "
    f"{percent(worst_off, 1)}. "
    + (
        f"So all are as sparse as their originals within {percent(WITHIN)}."
        if too_far.empty
        else f"We asked for {percent(WITHIN)}, and {count(len(too_far))} of {count(len(table))} are "
        "further off. Their floors are a little too low where L0 is too high, and the reverse."
    ),
    f"Draws of one control differ by at most {number(spread, 1)} in L0.",
)

# %% [markdown]
# ## How close is the closest, if nothing was learned?
#
# We take each {term}`eligible` feature of a parent's first dictionary, and look up its best correlation
# with any feature of another one. That is the parent's from another seed, the child's, the control's with a
# random MLP, or the random model's. The curves tell what share of the features reaches which r.

# %%
panels = {c: lineage.parents(c)[0] for c in children}
again = "the parent, another seed"
names = {
    c: ({again: f"{parent}-1"} if len(lineage.given.get(parent, (0, 1))) > 1 else {})
    | {
        "child": f"{c}-0",
        "child with a random MLP": f"{c}.mlp-0",
        "random model": f"{of_root}-0" if of_root in wanted else f"{c}.mlp-0",
    }
    for c, parent in panels.items()
}
needed = {f"{parent}-0" for parent in panels.values()}.union(*(n.values() for n in names.values()))
found = features.open_named(run, sorted(needed))
criteria = {"min_positions": min_positions, "min_documents": min_documents}
able = {name: eligible(each.acts, each.origin, **criteria) for name, each in found.items()}


def best_r(one, other):
    """Best r of each eligible feature of a dictionary in another; none found is 0."""
    masks = {"eligible_a": able[one], "eligible_b": able[other]}
    best = correlations(found[one].acts, found[other].acts, **masks)
    return np.clip(best.a_best_r[best.a_candidates], 0, 1)


r = {
    c: {words: best_r(f"{panels[c]}-0", other) for words, other in names[c].items()}
    for c in children
}

# %% tags=["hide-input"]
figure, axes = style.panels(len(children), 2.4)
for axis, model in zip(axes, children, strict=True):
    for words, each in r[model].items():
        of_model = style.colour_of(model) if words == "child" else style.GREY
        colour, dashes = {again: ("black", "--"), "random model": (style.GREY, ":")}.get(
            words, (of_model, "-")
        )
        at_least = 1 - np.arange(each.size) / each.size
        axis.step(np.sort(each), at_least, color=colour, ls=dashes, where="pre", label=words)
    axis.axvline(tau, color=style.GREY, lw=1)
    axis.set(title=style.pair_label(panels[model], model), xlim=(0, 1), ylim=(0, 1))
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
figure.supxlabel("best correlation r", fontsize=11)
figure.supylabel("features that reach it", fontsize=11)
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
show(
    figure,
    "Share of a parent's eligible features whose best correlation with a feature of another "
    "dictionary is at least r. Seeds and draws 0 (another seed: 1). The line: the threshold.",
    "fig-floors",
    "Falling curves: another seed highest, then the child, its control, and the random model",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
above = {c: {words: float(np.mean(x > tau)) for words, x in each.items()} for c, each in r.items()}
lines = [
    f"- **{style.pair_label(panels[c], c)}**: {percent(shares['child'])} in the child, "
    f"{percent(shares['child with a random MLP'])} in the child with a random MLP, "
    f"{percent(shares.get(again, np.nan))} in the parent with another seed."
    for c, shares in above.items()
]
say(
    f"At the threshold of {number(tau, 1)} these shares of the parent's features are found:",
    "\n".join(lines),
    "These are single dictionaries. [Ceilings and floors](ceilings) counts all of them, with "
    "intervals.",
)

# %% [markdown]
# The grey line in {numref}`fig-floors` isn't owed to anything that the MLP has learned. The token carries it,
# and what attention brings. What the MLP has kept is the distance from this line to the child's, and not
# the child's whole height.
#
# Chance alone gives much less. To see it, we let the child read other documents than the parent, those half
# a domain further on.

# %%
one, other = f"{panels[children[0]]}-0", f"{children[0]}-0"
elsewhere = features.other_documents(found[other]).acts
masks = {"eligible_a": able[one], "eligible_b": able[other]}
unrelated = correlations(found[one].acts, elsewhere, **masks)
by_chance = float(np.mean(unrelated.a_best_r[unrelated.a_candidates] > tau))

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"On unrelated text {percent(by_chance, 1)} are found. So the measure finds nothing where nothing is. "
    "But it is no floor for models, for these read the same text."
)

# %% [markdown]
# One caveat. A random MLP passes on what reaches it, in many random sums, and a dictionary can take these
# apart. A trained MLP may use its neurons for other things. So a feature found in the control needn't be
# found in the child. Exercise 2 counts such features.

# %% tags=["remove-cell"]
results = {"floors.l0_largest_deviation": worst_off, "floors.by_chance": by_chance}
for row in table.to_dict("records"):
    for figure in ("l0", "variance_explained"):
        results[f"floors.{row['name']}.{figure}"] = row[figure]
        original = row["name"].split(".")[0]
        results[f"floors.{original}.{figure}"] = row[f"original_{figure}"]
if {*children} == {child for _, child in lineage.edges}:  # the chapter, not a part of its training
    store.write_results(run, "floors", results)

# %% [markdown]
# ## What we learned
#
# Nothing learned doesn't mean nothing found. Where the MLP is random, some of the parent's features are still
# found, because tokens and attention are still there. A control's dictionary must be as sparse as the
# child's, for sparsity alone moves a share. *What comes next*: [the counts](tracking), and then [the two
# ends](ceilings) of each share.
#
# :::{admonition} Exercise 1
# :class: tip
# Rescale by hand. From `above[children[0]]`, the shares of the figure's first panel, compute
# (share − floor) / (ceiling − floor): 0 if no more is found than with a random MLP, 1 if as much as
# in the parent with another seed.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
asked = (again, "child", "child with a random MLP")
ceiling, share, floor = (above[children[0]].get(name, np.nan) for name in asked)
rescaled = (share - floor) / (ceiling - floor)

# %%
answer = ...  # 0 to 1, if all is well
check(answer, rescaled)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
shares = above[children[0]]
kept = shares["child"] - shares["child with a random MLP"]
room = shares.get("the parent, another seed", np.nan) - shares["child with a random MLP"]
answer = kept / room
check(answer, rescaled)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# Are the features that the control has those that the child has? `r[children[0]]` holds the best r of the
# same features in each dictionary, by its name in the figure. Of the features found in the child, what share
# is also found with a random MLP? And what share of the others? Give both, as a list.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
in_child, in_control = (r[children[0]][name] for name in ("child", "child with a random MLP"))
in_both = np.mean(np.minimum(in_child, in_control) > tau)
once_each = [np.mean(each > tau) for each in (in_child, in_control)]
overlap = [in_both / once_each[0], (once_each[1] - in_both) / (1 - once_each[0])]

# %%
answer = ...  # [of those found in the child, of the others]
check(answer, overlap)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
found_in_child = r[children[0]]["child"] > tau
found_in_control = r[children[0]]["child with a random MLP"] > tau
answer = [found_in_control[found_in_child].mean(), found_in_control[~found_in_child].mean()]
check(answer, overlap)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# Why is the control made from the child, and not from the parent?
# :::
#
# :::{dropdown} Answer
# Training has also moved the child's embedding and attention. A control made from the parent would keep the
# parent's, and find more of its features. But we ask what is left if the child's MLP has learned nothing,
# and all else is as the child has it.
# :::
