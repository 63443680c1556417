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
# **You will learn** slerp in six lines, how far it is from a straight line, and what a merge keeps.
# **You need** [the chapter before](finetune). **It takes** twenty minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import math
from functools import partial

import numpy as np
import pandas as pd
import torch
import yaml
from IPython.display import display
from tqdm.auto import tqdm

from featrack_utils.corpora import prepare
from featrack_utils.display import paper, shading, style, training_figures
from featrack_utils.display.text import (
    check,
    listed,
    number,
    percent,
    say,
    show,
    verdict,
    with_interval,
)
from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import label
from featrack_utils.models import evaluation, loading, merging
from featrack_utils.pipeline import store
from featrack_utils.statistics.intervals import Interval, around
from featrack_utils.statistics.persistence import flat

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the bootstrap and of the generated samples
context = 128  # tokens; paper: 256
sweep_points = 21  # weights tried between two parents
sweep_blocks = 60  # validation blocks per domain for each of them
draws = 200  # bootstrap draws over groups of documents

# %% tags=["hide-input"]
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
merges = [m for m in lineage.merges if m not in lineage.loaded]  # those that are made here
pairs = {m: lineage.parents(m) for m in merges if len(lineage.parents(m)) == 2}
own = {}  # the domains that a model was tuned on; for a merge, those of its parents
for name in lineage.order:
    inherited = (d for parent in lineage.parents(name) for d in own[parent])
    own[name] = lineage.trained_on(name) or tuple(dict.fromkeys(inherited))
method = {m: lineage.models[m].get("method", "slerp") for m in merges}


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
# $\cos\theta$ exceeds 0.9995. A tensor of zeros, as a bias may be, has no angle, and counts as at a right one.


# %%
def slerp(a, b, t):
    a, b = a.double(), b.double()
    cosine = (a.flatten() @ b.flatten() / (a.norm() * b.norm()).clamp(min=1e-30)).item()
    if abs(cosine) > 0.9995:
        return (1 - t) * a + t * b
    theta = math.acos(cosine)
    return (math.sin((1 - t) * theta) * a + math.sin(t * theta) * b) / math.sin(theta)


# %% [markdown]
# The package's `merging.slerp`, which also checks its parents, gives the same numbers:

# %%
first, second = (state(name) for name in lineage.parents(merges[0])[:2])
for name, merged in merging.slerp(first, second, 0.3).items():
    torch.testing.assert_close(merged, slerp(first[name], second[name], 0.3).float())

# %% [markdown]
# ## Is slerp different from a straight line?
#
# That depends on the angle. Half-way, slerp is $(W_A + W_B) / (2\cos\frac\theta2)$, and the straight
# line $(W_A + W_B) / 2$. We measure how far the two lie apart, as a share of the distance between
# the parents.


# %%
def compare(a, b):
    """Angle of two tensors in degrees, and how far the arc's middle lies from the line's."""
    a, b = a.double().flatten(), b.double().flatten()
    cosine = (a @ b / (a.norm() * b.norm())).clamp(-1, 1)
    theta = cosine.acos()
    from_line = (a + b).norm() / 2 * (1 / (theta / 2).cos() - 1) / (b - a).norm()
    return {
        "angle": math.degrees(theta),
        "from_line": from_line.nan_to_num().item(),  # parents may be equal
        "on_line": abs(cosine.item()) > merging.DOT_THRESHOLD,
    }


with_angles = [name for name in first if first[name].any() and second[name].any()]
angles = pd.DataFrame(
    {"tensor": name, **compare(first[name], second[name])} for name in with_angles
)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
angles["part"] = angles["tensor"].map(loading.part_of)
widest = angles.loc[angles["angle"].idxmax()]
figure, (ours, wide) = style.panels(2, 2.2)
for axis, degrees, title in (
    (ours, widest["angle"], f"our widest: {number(widest['angle'], 0)}°, {widest['part']}"),
    (wide, 90, "a right angle"),
):
    ends = torch.tensor(
        [[math.sin(x), math.cos(x)] for x in np.radians([-degrees / 2, degrees / 2])]
    )
    for end, text in zip(ends, "AB", strict=True):
        axis.annotate("", end, (0, 0), arrowprops={"arrowstyle": "->", "color": style.GREY})
        axis.annotate(f"$W_{text}$", end * 1.12, ha="center", va="center")
    for way, look in ((slerp, "-"), (lambda a, b, t: (1 - t) * a + t * b, "--")):
        points = torch.stack([way(*ends, t) for t in np.linspace(0, 1, 41)])
        axis.plot(*points.T, look, color="black", label="arc" if look == "-" else "line")
    axis.set(
        title=title, aspect="equal", xlim=(-0.95, 0.95), ylim=(-0.05, 1.2), xticks=[], yticks=[]
    )
wide.legend(loc="lower right")
show(
    figure,
    "Slerp (the arc) and a straight line between two tensors, in the plane of the two, at the widest "
    "angle that the first two parents have in any tensor, and at a right angle.",
    "fig-arc",
    "Two pairs of arrows, one narrow and one at a right angle, each joined by an arc and a line",
)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
figure, axis = style.single(3.2)
for marker, (part, rows) in zip(style.MARKERS, angles.groupby("part"), strict=False):
    axis.plot(rows["angle"], 100 * rows["from_line"], f"k{marker}", ms=7, mec="white", label=part)
limit = math.degrees(math.acos(merging.DOT_THRESHOLD))
axis.axvline(limit, color=style.GREY, ls=":", label="mergekit's limit (cos θ = 0.9995)")
axis.set(xlabel="angle θ between the parents' tensors (degrees)", xlim=(0, None))
axis.set_ylabel("arc from line, half-way\n(% of the parents' distance)")
figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=3)
show(
    figure,
    "Every tensor of the first two parents: the angle between them, and how far the middle of the arc "
    "lies from that of the line. Left of the dotted line mergekit takes the line.",
    "fig-angles",
    "Dots rising with the angle between two tensors, by part of the model",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
straight = angles[angles["on_line"]]
furthest = angles["from_line"].max()
gains = (
    ", all norm gains: a few numbers that scale their input"
    if {*straight["part"]} == {"norms"}
    else ""
)
NEAR = 0.05  # of the distance between the parents
say(
    f"How far have two fine-tunes of one model gone from each other? The widest angle is "
    f"{number(widest['angle'], 0)}° (cos θ = {number(math.cos(math.radians(widest['angle'])), 3)}), in the "
    f"{widest['part']}. The arc leaves the line by at most {percent(furthest, 1)} of the distance "
    f"between the parents. Of {len(angles)} tensors {len(straight)} are so nearly parallel that "
    f"mergekit takes the line{gains}. "
    + (
        "So by {numref}`fig-arc` and {numref}`fig-angles` the two hardly differ: what follows is a statement about merging, not "
        "about slerp."
        if furthest < NEAR
        else "So by {numref}`fig-arc` the arc is a path of its own, and a merge along the line may "
        "come out otherwise."
    )
)

# %% [markdown]
# ## The sweep
#
# Between two parents there is a weight to choose. We merge at many weights, in memory, and score each
# merge on the text of both parents. The **balanced** weight is where both have kept the same share of
# what their fine-tune gained over the model they descend from:
#
# $$\frac{\text{accuracy} - \text{before}}{\text{parent} - \text{before}} .$$


# %%
ts = np.linspace(0, 1, sweep_points)


def sweep(model):
    """Loss and tokens foreseen of each document: of the model before, then of every merge."""
    texts = {d: corpora.validation_blocks(d, sweep_blocks) for d in own[model]}
    probe = loading.load_model(run / "models" / lineage.common_ancestor(pairs[model]))
    scores = [evaluation.evaluate_each(probe, texts)]
    parents = [state(parent) for parent in pairs[model]]
    for t in tqdm(ts):
        probe.load_state_dict(merging.merge(parents, (1 - t, t), method[model]))
        scores.append(evaluation.evaluate_each(probe, texts))
    return {d: np.stack([score[d].by_document for score in scores]) for d in texts}


def accuracies(sums, times):
    """The table of accuracies by t, and those before; a domain's documents count so many times."""
    counted = {domain: times[domain] @ each for domain, each in sums.items()}
    accuracy = {domain: each[:, 1] / each[:, 2] for domain, each in counted.items()}
    after = {domain: each[1:] for domain, each in accuracy.items()}
    return pd.DataFrame({"t": ts, **after}), {d: float(each[0]) for d, each in accuracy.items()}


# %%
def kept_shares(swept, before, own):
    """The share of each parent's gain that merges keep, by parent; NaN where there was no gain.

    own: each parent's domains, which count alike, the first parent's first.
    """
    kept = {}
    for (parent, domains), end in zip(own.items(), (0, -1), strict=True):
        accuracy = swept[[*domains]].mean(axis=1).to_numpy()
        start = np.mean([before[domain] for domain in domains])
        gain = accuracy[end] - start
        kept[parent] = (accuracy - start) / (gain if gain > 0 else np.nan)
    return kept


def crossing(ts, a, b):
    """Where two curves meet, straight between grid points: the highest place; None: nowhere."""
    meetings, gap = [], np.subtract(a, b)
    for i in range(len(ts) - 1):
        if gap[i] * gap[i + 1] <= 0 and gap[i] != gap[i + 1]:
            along = gap[i] / (gap[i] - gap[i + 1])
            t, height = (x[i] + along * (x[i + 1] - x[i]) for x in (np.asarray(ts), np.asarray(a)))
            meetings.append((float(height), float(t)))
    return max(meetings)[1] if meetings else None


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def balanced(model):
    """The balanced t of a merge; FeatrackError where the sweep has none."""
    ts, shares = swept[model][0]["t"].to_numpy(), kept[model]
    for parent, share in shares.items():
        if np.isnan(share).any():
            raise FeatrackError(
                f"The fine-tune {parent} is no more accurate on its own text than the model before "
                "it, so there is no gain to balance; train it for longer or give the merge a "
                "number as its t."
            )
    t = crossing(ts, *shares.values())
    if t is None:
        raise FeatrackError(
            f"The shares that {model} keeps of its parents' gains never cross between t = 0 and 1, "
            "so it has no balanced t; give it a number as its t."
        )
    return t


# %% [markdown]
# Other documents would give other curves. So we draw {term}`groups <group>` of documents with
# replacement, again and again, and count each draw: every accuracy, and the balanced weight, get an
# interval. All weights share the draws.
#
# Then the merge is written. Its `t` in the profile is `balanced` or a number; more than two parents
# count alike. A recipe kept beside it makes the same model with mergekit, at any size.


# %%
def write_merge(folder, parents, weights, method):
    """Merges saved models into a folder: model, the first one's tokenizer, a mergekit recipe.

    The recipe makes the same model by ``mergekit-yaml recipe.yaml <folder>``. It names the parents
    as neighbours of the folder that is written.
    """
    merged = merging.merge(
        [loading.load_model(parent).state_dict() for parent in parents], weights, method
    )
    merging.save_like(folder, parents[0], merged)
    names = [f"../{parent.name}" for parent in parents]
    recipe = {
        "merge_method": method,
        "base_model": names[0],  # slerp's parent at t = 0
        "models": [
            {"model": name, "parameters": {"weight": weight}}
            for name, weight in zip(names, weights, strict=True)
        ],
        "dtype": "float64",  # of the arithmetic; only the result is rounded
        "out_dtype": "float32",
    }
    if method == "slerp":
        recipe |= {"models": [{"model": name} for name in names], "parameters": {"t": weights[1]}}
    (folder / merging.RECIPE).write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")


# %%
swept, drawn, kept, weights = {}, {}, {}, {}
for model in merges:
    parents = lineage.parents(model)
    weights[model] = [1 / len(parents)] * len(parents)
    t = lineage.models[model].get("t", {"slerp": "balanced"}.get(method[model]))
    if model in pairs:
        sums = sweep(model)
        swept[model] = accuracies(sums, {d: np.ones(each.shape[1]) for d, each in sums.items()})
        drawn[model], rng = [], np.random.default_rng(seed)
        for _ in range(draws):
            sizes = {d: each.shape[1] for d, each in sums.items()}
            times = {d: rng.multinomial(n, np.full(n, 1 / n)) for d, n in sizes.items()}
            drawn[model].append(accuracies(sums, times))
        kept[model] = kept_shares(*swept[model], {parent: own[parent] for parent in parents})
        if t is not None:
            t = balanced(model) if t == "balanced" else float(t)
            weights[model] = [1 - t, t]
    folders = [run / "models" / parent for parent in parents]
    given = {"weights": weights[model], "method": method[model]}
    folder = store.make(
        run / "models" / model,
        partial(write_merge, parents=folders, **given),
        parameters=given,
        inputs=folders,
        code=[merging],
    )
print((folder / merging.RECIPE).read_text())


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def spread(model, estimate, of):
    """A number with its interval over the draws; without one if some draw doesn't have it."""
    each = [of(*one) for one in drawn[model]]
    if estimate is None or None in each:
        return Interval(np.nan if estimate is None else estimate, np.nan, np.nan)
    return Interval(estimate, *around(np.array(each)))


def balance_of(model):
    """Where the shares of gains cross, in one draw."""
    of_parents = {parent: own[parent] for parent in pairs[model]}
    return lambda table, before: crossing(ts, *kept_shares(table, before, of_parents).values())


def ends_cross(model):
    """Where the raw accuracies on the parents' first domains cross, in one draw."""
    first = [own[parent][0] for parent in pairs[model]]
    return lambda table, before: crossing(ts, *(table[domain] for domain in first))


balance = {m: spread(m, balance_of(m)(*swept[m]), balance_of(m)) for m in pairs}
meet = {m: spread(m, ends_cross(m)(*swept[m]), ends_cross(m)) for m in pairs}

# %% tags=["remove-cell"]
results = {
    "merge.lerp_fallback_tensors": int(angles["on_line"].sum()),
    "merge.slerp_minus_lerp_max": float(furthest),
    "merge.angle_max": float(widest["angle"]),
}
theirs, place = paper.PAPER["merge.t"].value, {}
for model, (table, before) in swept.items():
    at = place[model] = "merge" if len(pairs) == 1 else f"merge.{model}"
    results |= {
        f"{at}.t": weights[model][1],
        **flat(f"{at}.t_balanced", balance[model]),
        **flat(f"{at}.crossing", meet[model]),
        f"{at}.both_above": int((table[[*before]] > pd.Series(before)).all(axis=1).sum()),
    }
    for end, (parent, other) in zip((0, -1), (pairs[model], pairs[model][::-1]), strict=True):
        results[f"{at}.far_end.{parent}"] = float(table[own[other][0]].iloc[end])
    for parent, share in kept[model].items():
        there = np.interp(theirs, table["t"], share)
        results[f"{at}.at_published.{parent}.kept"] = None if math.isnan(there) else float(there)

# %% tags=["hide-input"]
if pairs:
    model, (table, before) = next(iter(swept.items()))
    long = table.melt("t", var_name="domain", value_name="accuracy")
    t, low, high = balance[model]
    figure, axis = style.single(3.6)
    for marker, (domain, rows) in zip(style.MARKERS, long.groupby("domain"), strict=False):
        looks = {"color": style.colour_of(domain)}
        axis.plot(rows["t"], rows["accuracy"], marker=marker, ms=4, label=label(domain), **looks)
        every = [one[domain] for one, _ in drawn[model]]
        axis.fill_between(ts, *np.quantile(every, [0.025, 0.975], axis=0), alpha=0.2, lw=0, **looks)
        if domain in before:
            words = f"{label(domain)}, before tuning"
            axis.axhline(before[domain], ls="--", lw=1.5, label=words, **looks)
    if not math.isnan(t):
        axis.axvline(t, color=style.GREY, ls=":", label=f"balanced t = {number(t)}")
        axis.axvspan(low, high, color=style.GREY, alpha=0.15, lw=0)
    from_second = axis.secondary_xaxis("top", functions=(lambda t: 1 - t, lambda t: 1 - t))
    from_second.set_xlabel(f"the same, from {label(pairs[model][1])}", fontsize=10)
    axis.set(xlabel=training_figures.weight_label(pairs[model]), xlim=(-0.02, 1.02))
    axis.set_ylabel("next-token accuracy\n(higher is better)")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    show(
        figure,
        caption="Accuracy on the parents' text against the merge weight, after the paper's Figure 5. "
        "Dashed: the model that both descend from. Dotted: the balanced weight. Bands: 95 % over groups "
        "of documents.",
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
        f"weight is **t = {with_interval(balance[model], 2, share=False)}** from {label(a)}, so "
        f"{number(1 - balance[model].estimate)} from {label(b)}. It was chosen on "
        "validation text, one number from a smooth curve. The grid below is measured on more of the "
        "same text, so the merge is very slightly flattered there. The paper's weight, "
        f"t = {theirs}, would keep {listed(would)}."
    )
if several := [label(model) for model in merges if model not in pairs]:
    say(f"More than two parents have no such weight; they count alike in {listed(several)}.")

# %% tags=["hide-input"]
why = "the paper's counts from Lua if its recipe's base is Lua; ours is what the profile asks for"
words, rows = "other text, other models; raw accuracies: the easier text counts for more", []
for model, (first_parent, _) in pairs.items():
    t = results[f"{place[model]}.t"]
    t = balance[model] if math.isclose(t, balance[model].estimate) else t
    start = f", from {label(first_parent)}"
    rows += [
        ("merge.t", f"t of {label(model)}{start}", t, None, why),
        ("merge.crossing_from_lua", f"accuracies cross{start}", meet[model], None, words),
    ]
    table, before = swept[model]
    for parent, other in (pairs[model], pairs[model][::-1]):
        domain = own[other][0]
        name = f"sweep.{parent}_on_{domain}"
        ancestor = label(lineage.common_ancestor(pairs[model]))
        rows.append(
            (
                name if name in paper.PAPER else None,
                f"accuracy of {label(parent)} on {label(domain)}",
                results[f"{place[model]}.far_end.{parent}"],
                None,
                f"a far end of the sweep; our {ancestor} has {percent(before[domain], 1)} there",
                ".1%",
            )
        )
if rows:
    display(paper.beside_paper(rows, caption="The sweep beside the paper's."))

# %% [markdown]
# At the far ends each fine-tune reads the other's text. What it scores there is what is left of the
# model before, and of anything that the two texts share. [A later chapter](rate) asks how that
# depends on the learning rate.

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
merged = {model: loading.load_model(run / "models" / model) for model in merges}
scores = {m: evaluation.evaluate_each(merged[m], validation) for m in merged}
for model in merged:
    results |= evaluation.score_results(f"lm.{model}", scores[model])
before = ["base"] if lineage.root not in lineage.loaded else []
before += ["load"] * bool(lineage.loaded) + ["finetune"] * bool(lineage.tuned)
known = store.read_results(run, *before) | results
grid = evaluation.score_table(known, lineage.domains)

# %% tags=["hide-input"]
show(
    training_figures.domain_heatmap(grid),
    caption="Validation loss of all models on all domains; the best of each domain in bold.",
    name="fig-grid-loss",
    alt="Grid of losses, models by domains",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
loss = grid.set_index(["model", "domain"])["loss"]
beats = {}
for model in merges:
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
        f"{label(before)} on {len(beats[model])} of {len(own[model])}."
    )

# %% [markdown]
# ## Back towards where they came from
#
# Two fine-tunes leave their common {term}`ancestor` in different directions. Where they disagree, averaging
# takes both steps back. In weights that is plain geometry: with task vectors of equal length and a
# cosine of $c$ between them, the mean is $\sqrt{(1 + c) / 2}$ as far from the ancestor as they are. Does it
# show in what the model predicts? We take the ancestor's own text, and the parent that predicts it
# best:
#
# $$\text{back} = \min_i \text{loss}_i - \text{loss}_\text{merge} .$$


# %%
def way_from(ancestor, model):
    """How far a model's weights lie from the ancestor's."""
    start, there = state(ancestor), state(model)
    return math.sqrt(sum((there[n].double() - start[n].double()).square().sum() for n in start))


def back(model, old):
    """The loss on these domains that a merge has less than its best parent, with its interval."""
    texts = {domain: validation[domain] for domain in old}
    parents = {
        p: evaluation.evaluate_each(loading.load_model(run / "models" / p), texts)
        for p in lineage.parents(model)
    }

    def drawn(times):
        losses = []
        for each in (scores[model], *parents.values()):
            counted = [times[domain] @ each[domain].by_document for domain in old]
            losses.append(np.mean([loss / tokens for loss, _, tokens in counted]))
        return min(losses[1:]) - losses[0]

    sizes = {domain: len(scores[model][domain].by_document) for domain in old}
    rng = np.random.default_rng(seed)
    several = [
        drawn({d: rng.multinomial(n, np.full(n, 1 / n)) for d, n in sizes.items()})
        for _ in range(draws)
    ]
    return Interval(drawn({d: np.ones(n) for d, n in sizes.items()}), *around(np.array(several)))


# %% tags=["remove-input"] jupyter={"source_hidden": true}
for model in merges:
    parents, ancestor = lineage.parents(model), lineage.common_ancestor(lineage.parents(model))
    old, at = lineage.trained_on(ancestor), place.get(model, f"merge.{model}")
    ways = [way_from(ancestor, parent) for parent in parents]
    nearer = way_from(ancestor, model) / float(np.mean(ways)) if all(ways) else None
    gain = back(model, old) if old else Interval(np.nan, np.nan, np.nan)
    results |= {
        f"{at}.way_from_ancestor": nearer if all(ways) else None,
        **flat(f"{at}.back", gain),
    }
    found = {
        "above": "So it has moved back towards what they descend from.",
        "below": "So what they had lost is not won back.",
        "unclear": "Whether it has moved back is unclear.",
    }
    say(
        f"{label(model)}'s weights are {percent(nearer)} as far from {label(ancestor)} as its parents' are, "
        f"on average. On the text of {label(ancestor)} it needs "
        f"{with_interval(gain, 2, share=False)} nats a token less than the parent that is best there. "
        + verdict(gain, 0.0, **found)
    )
store.write_results(run, "merge", results)

# %% [markdown]
# A loss is measured on *given* text. When a model writes, it reads what it wrote itself. The samples, the
# first of a fixed seed, go on from the beginning of a validation text (bold); ⏎ is a line break.

# %%
written = {}
for model in merges:
    for domain in own[model]:
        prompt = evaluation.opening(corpora, domain)
        text = evaluation.continuation(
            merged[model], corpora.tokenizer, prompt, new_tokens=60, seed=seed
        )
        written[f"{label(model)}, after the beginning of a text of {label(domain)}"] = prompt, text
shading.show_samples(written)

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
    "their features disappear, or are only used badly, can't be told from the loss."
)

# %% [markdown]
# There are other ways of merging than slerp. [Which of them should I use?](which-merge) has a page of its own.
# Predicting is not writing, as the samples show. To tell which {term}`features <feature>` a merge holds we need
# to see features. But first we look at [single neurons](neurons), which need no instrument.
#
# :::{admonition} Exercise 1
# :class: tip
# Two tensors of length 1 stand at an angle of 60°. How long is their slerp half-way, and how long the
# middle of the straight line? Give both as `[slerp, line]`.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.5, math.sqrt(0.75)])
lengths = [merging.slerp({"": a}, {"": b}, 0.5)[""].norm(), ((a + b) / 2).norm()]

# %%
answer = ...  # [length of slerp, length of the line's middle]
check(answer, lengths)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = [1, math.cos(math.radians(30))]  # an arc keeps the length, a chord cuts the corner
check(answer, lengths)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# At how many of the weights tried does the merge beat the model before fine-tuning on the text of
# both parents? `swept[model]` holds the table of accuracies and those before; or use your eyes and
# the figure of the sweep. (0 if this run has no merge of two.)
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
above = [results[f"{at}.both_above"] for at in place.values()]
both_above = above[0] if above else 0

# %%
answer = ...  # how many weights
check(answer, both_above)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = 0
for table, before in list(swept.values())[:1]:
    answer = sum(all(row[d] > before[d] for d in before) for row in table.to_dict("records"))
check(answer, both_above)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# Write `t: 0.1`, then `t: 0.9` into the merge's line of the profile. Which of its features do you expect
# to be found in only one parent?
# :::
#
# :::{dropdown} Answer
# Those of the parent that contributes little should disappear first. The chapter on
# [tracking](tracking) counts them, by the parents in which a feature of the merge is found.
# :::
