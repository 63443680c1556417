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
# # Merging
#
# Models of equal shape can be mixed without training: take a weighted average of their parameters,
# one by one. {cite:t}`horn2025tracking` interpolate on the sphere ({cite:t}`shoemake1985animating`'s
# *slerp*), with mergekit {cite:p}`goddard2024mergekit`, and report in their Figure 5 how accuracy
# moves from one parent to the other. We repeat the figure and find the weight at which both parents'
# texts are served equally well.
#
# *You will learn* slerp in six lines, how far it is from a straight line, and what a merge keeps.
# *You need* the chapter before. *Time*: ten minutes of reading.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import math
from functools import partial

import numpy as np
import pandas as pd
import torch
from IPython.display import display
from tqdm.auto import tqdm

from featrack_utils.corpora import prepare
from featrack_utils.display import paper, samples, style, training_figures
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import count, listed, number, percent, say, show
from featrack_utils.lineage import label
from featrack_utils.models import evaluation, loading, merging
from featrack_utils.pipeline import store

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the generated samples
context = 128  # tokens; paper: 256
sweep_points = 21  # weights tried between two parents
sweep_blocks = 100  # validation blocks per domain for each of them

# %% tags=["hide-input"]
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
pairs = {m: lineage.parents(m) for m in lineage.merges if len(lineage.parents(m)) == 2}
own = {}  # the domains that a model was tuned on; for a merge, those of its parents
for name in lineage.order:
    inherited = (d for parent in lineage.parents(name) for d in own[parent])
    own[name] = lineage.trained_on(name) or tuple(dict.fromkeys(inherited))
method = {m: lineage.models[m].get("method", "slerp") for m in lineage.merges}


def state(name):
    return loading.load_model(store.opened(run / "models" / name)).state_dict()


# %% [markdown]
# ## Slerp in six lines
#
# Two tensors of weights, flattened, are two vectors $W_A$ and $W_B$ with an angle $\theta$ between
# them. Slerp goes from one to the other along an arc; its weight $t$ is 0 at the first parent and 1 at
# the second:
#
# $$W(t) = \frac{\sin((1-t)\theta)}{\sin\theta}\, W_A + \frac{\sin(t\theta)}{\sin\theta}\, W_B .$$
#
# Where $\theta$ is small the arc is a straight line, and mergekit indeed takes the line when
# $\cos\theta$ exceeds 0.9995.


# %%
def slerp(a, b, t):
    a, b = a.double(), b.double()
    cosine = (a.flatten() @ b.flatten() / (a.norm() * b.norm())).item()
    if abs(cosine) > 0.9995:
        return (1 - t) * a + t * b
    theta = math.acos(cosine)
    return (math.sin((1 - t) * theta) * a + math.sin(t * theta) * b) / math.sin(theta)


# %% [markdown]
# The package's `merging.slerp`, which also checks its parents, gives the same numbers:

# %%
first, second = (state(name) for name in lineage.parents(lineage.merges[0])[:2])
for name, merged in merging.slerp(first, second, 0.3).items():
    torch.testing.assert_close(merged, slerp(first[name], second[name], 0.3).float())

# %% [markdown]
# ## Is slerp different from a straight line?
#
# We look at the angles first. "Arc from line" is how far the middle of the arc lies from the middle of
# the line, as a share of the distance between the parents.

# %% tags=["hide-input"]
angles = merging.geometry(first, second)
columns = {
    "tensors": ("tensor", "size"),
    "largest angle": ("angle", "max"),
    "arc from line": ("slerp_minus_lerp", "max"),
    "on the line": ("on_line", "sum"),
}
part = angles["tensor"].map(loading.part_of)
by_part = angles.groupby(part).agg(**columns).reset_index(names="part")
show_table(
    by_part,
    {"largest angle": ".1f", "arc from line": ".2%"},
    caption="How far the first two parents lie apart, by part of the model.",
    notes={"largest angle": "degrees", "on the line": "tensors merged on a line, cos θ > 0.9995"},
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
widest = angles.loc[angles["angle"].idxmax()]
straight = part[angles["on_line"]]
gains = ", all norm gains: a few numbers that scale their input" if {*straight} == {"norms"} else ""
say(
    f"The widest angle is {number(widest['angle'], 0)}°, in the {loading.part_of(widest['tensor'])}, "
    f"and the arc leaves the line by at most {percent(angles['slerp_minus_lerp'].max(), 1)} of the "
    f"distance between the parents. Of {len(angles)} tensors {len(straight)} are so nearly parallel "
    f"that mergekit takes the line{gains}. What follows is a statement about merging, not about slerp."
)

# %% [markdown]
# ## The sweep
#
# Between two parents there is a weight to choose. We merge at many weights, in memory, and score each
# merge on the text of both parents. The **balanced** weight is where both have kept the same share of
# what their fine-tune gained over the model they descend from: (accuracy − before) / (parent − before).


# %%
def sweep(model):
    texts = {d: corpora.validation_blocks(d, sweep_blocks) for d in own[model]}
    probe = loading.load_model(run / "models" / lineage.common_ancestor(pairs[model]))
    before = evaluation.evaluate_each(probe, texts)
    parents, rows = [state(parent) for parent in pairs[model]], []
    for t in tqdm(np.linspace(0, 1, sweep_points)):
        probe.load_state_dict(merging.merge(parents, (1 - t, t), method[model]))
        scores = evaluation.evaluate_each(probe, texts)
        rows.append({"t": t, **{d: score.accuracy for d, score in scores.items()}})
    return pd.DataFrame(rows), {d: score.accuracy for d, score in before.items()}


# %% [markdown]
# Then the merge is written. Its `t` in the profile is `balanced` or a number; more than two parents
# count alike. A recipe kept beside it makes the same model with mergekit, at any size.

# %%
swept, kept, weights = {}, {}, {}
for model in lineage.merges:
    parents = lineage.parents(model)
    weights[model] = merging.equal_weights(len(parents))
    t = lineage.models[model].get("t", {"slerp": "balanced"}.get(method[model]))
    if model in pairs:
        swept[model] = sweep(model)
        kept[model] = merging.kept_shares(*swept[model], {p: own[p] for p in parents})
        if t is not None:
            ts = swept[model][0]["t"]
            chosen = merging.balanced_t(ts, kept[model]) if t == "balanced" else merging.check_t(t)
            weights[model] = [1 - chosen, chosen]
    folders = [run / "models" / parent for parent in parents]
    given = {"weights": weights[model], "method": method[model]}
    folder = store.make(
        run / "models" / model,
        partial(merging.write_merge, parents=folders, **given),
        parameters=given,
        inputs=folders,
        code=[merging],
    )
print((folder / merging.RECIPE).read_text())

# %% tags=["remove-cell"]
results = {
    "merge.lerp_fallback_tensors": int(angles["on_line"].sum()),
    "merge.slerp_minus_lerp_max": float(angles["slerp_minus_lerp"].max()),
}
theirs, place = paper.published("merge.t"), {}
for model, (table, before) in swept.items():
    at = place[model] = "merge" if len(pairs) == 1 else f"merge.{model}"
    ends = (table[own[parent][0]] for parent in pairs[model])
    results |= {
        f"{at}.t": weights[model][1],
        f"{at}.t_balanced": merging.crossing(table["t"], *kept[model].values()),
        f"{at}.crossing": merging.crossing(table["t"], *ends),
        f"{at}.both_above": int((table[[*before]] > pd.Series(before)).all(axis=1).sum()),
    }
    for parent, share in kept[model].items():
        there = np.interp(theirs, table["t"], share)
        results[f"{at}.at_published.{parent}.kept"] = None if math.isnan(there) else float(there)

# %% tags=["hide-input"]
if pairs:
    model, (table, before) = next(iter(swept.items()))
    long = table.melt("t", var_name="domain", value_name="accuracy")
    t = results[f"{place[model]}.t_balanced"]
    show(
        training_figures.sweep_figure(long, before, t, pairs[model]),
        caption="Accuracy on the parents' text against the merge weight, after the paper's Figure 5. "
        "Dashed: the model that both descend from. Dotted: the balanced weight.",
        name="fig-sweep",
        alt="Two accuracy curves crossing as the merge weight moves from one parent to the other",
    )

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say("{numref}`fig-sweep` is the paper's Figure 5 on our models." if pairs else "")
for model, (a, b) in pairs.items():
    at = place[model]
    would = [
        f"{percent(results[f'{at}.at_published.{p}.kept'])} of what {label(p)} gained"
        for p in (a, b)
    ]
    say(
        f"{label(model)}: each text gains as the merge nears its own parent. The balanced "
        f"weight is **t = {number(results[f'{at}.t_balanced'])}** from {label(a)}. It was chosen on "
        "validation text, one number from a smooth curve. The grid below is measured on more of the "
        "same text, so the merge is very slightly flattered there. The paper's weight, "
        f"t = {theirs}, would keep {listed(would)}."
    )
if several := [label(model) for model in lineage.merges if model not in pairs]:
    say(f"More than two parents have no such weight; they count alike in {listed(several)}.")

# %% tags=["hide-input"]
why = "the paper's counts from Lua if its recipe's base is Lua; ours is what the profile asks for"
words, rows = "other text, other models; raw accuracies: the easier text counts for more", []
for model, (first_parent, _) in pairs.items():
    t, balanced, meet = (results[f"{place[model]}.{f}"] for f in ("t", "t_balanced", "crossing"))
    start = f", from {label(first_parent)}"
    rows += [
        ("merge.t", f"t of {label(model)}{start}", t, None, why),
        (None, f"balanced t{start}", balanced, None, "not in the paper", ".2f"),
        ("merge.crossing_from_lua", f"accuracies cross{start}", meet, None, words),
    ]
if rows:
    display(paper.beside_paper(rows, caption="The merge weight beside the paper's."))

# %% [markdown]
# :::{dropdown} On which side of the balance did the paper merge?
# In the authors' published sweep, which runs from TinyStories to Lua, the accuracies cross near 0.57
# *from TinyStories*; read from Lua, that is 0.43. Their recipe has Lua as its base and t = 0.58. If
# its t counts from Lua, as mergekit's does, the published merge probably lies on the other side of
# the balance, where TinyStories keep more than Lua does.
# :::

# %% [markdown]
# ## What a merge keeps, on every domain

# %%
validation = {domain: corpora.validation_blocks(domain, 400) for domain in lineage.domains}
merged = {model: loading.load_model(run / "models" / model) for model in lineage.merges}
for model in merged:
    scores = evaluation.evaluate_each(merged[model], validation)
    results |= evaluation.score_results(f"lm.{model}", scores)
store.write_results(run, "merge", results)
results = store.read_results(run, "base", "finetune", "merge")
scores = evaluation.score_table(results, lineage.domains)

# %% tags=["hide-input"]
show(
    training_figures.domain_heatmap(scores, "loss", "loss, nats per token (lower is better)"),
    caption="Validation loss of all models on all domains; the best of each domain in bold.",
    name="fig-grid-loss",
    alt="Grid of losses, models by domains",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
loss = scores.set_index(["model", "domain"])["loss"]
beats, old = {}, lineage.trained_on(lineage.root)[0]
for model in lineage.merges:
    parents, before = lineage.parents(model), lineage.common_ancestor(lineage.parents(model))
    beats[model] = [d for d in own[model] if loss[model, d] < loss[before, d]]
    against = [
        f"{number(loss[model, d])} nats on {label(d)} ({label(parent)} {number(loss[parent, d])}, "
        f"{label(before)} {number(loss[before, d])})"
        for parent in parents
        for d in own[parent]
    ]
    say(
        f"{label(model)}, which was trained on nothing itself, has {listed(against)}. It beats "
        f"{label(before)} on {len(beats[model])} of {len(own[model])}. On {label(old)}, which "
        f"{label(lineage.root)} was trained on, it has {number(loss[model, old])}; its parents have "
        f"{listed([number(loss[parent, old]) for parent in parents])}. Where it has less than any of "
        "them, averaging has gone back towards what they descend from."
    )

# %% [markdown]
# A loss is measured on *given* text. When a model writes, it reads what it wrote itself. The samples, the
# first of a fixed seed, go on from the beginning of a validation text (bold); ⏎ is a line break.

# %%
written = {}
for model in lineage.merges:
    for domain in own[model]:
        prompt = evaluation.opening(corpora, domain)
        text = evaluation.continuation(
            merged[model], corpora.tokenizer, prompt, new_tokens=60, seed=seed
        )
        written[f"{label(model)}, after the beginning of a text of {label(domain)}"] = prompt, text
samples.show_samples(written)

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
better = [label(model) for model, domains in beats.items() if len(domains) > 1]
say(
    f"{listed(better)} predicts several texts better than the model before fine-tuning does, though no "
    "single training has seen them together. So somewhere in the mixed weights must be features of more "
    "than one parent, or features that none had."
    if better
    else "Mixed weights are not a mixed model: what the parents learned doesn't add up here. Whether "
    "their features are lost, or only used badly, is not to be told from a loss."
)

# %% [markdown]
# Predicting is not writing, as the samples show. To tell which features a merge holds we need to see
# features, and [the next chapter](sae) builds the instrument.
#
# :::{admonition} Exercise 1
# :class: tip
# Write `t: 0.1`, then `t: 0.9` into the merge's line of the profile. Which of its features do you expect
# to be found in only one parent?
# :::
#
# :::{dropdown} Answer
# Those of the parent that contributes little should go missing first. The chapter on tracking counts
# them, by the parents in which a feature of the merge is found.
# :::
#
# :::{admonition} Exercise 2
# :class: tip
# Is there a t at which a merge beats the model before fine-tuning on the text of both parents? Read it
# off the figure of the sweep: where do both curves lie above their dashed lines?
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
lines = [
    f"{label(model)}: {count(results[f'{at}.both_above'])} of the {sweep_points} weights tried do."
    for model, at in place.items()
]
say(":::{dropdown} Answer\n" + " ".join(lines or ["There is no sweep in this run."]) + "\n:::")
