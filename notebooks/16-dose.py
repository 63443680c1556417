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
# # Dose and response
#
# If fine-tuning is what makes features disappear, then a little of it should make few disappear,
# and none of it none. {cite:t}`horn2025tracking` compare a model before with the same model after;
# {cite:t}`xu2024tracking` follow features along a whole training. Here we stop the fine-tune on the
# way, and each time ask one {term}`dictionary` what it still finds of the parent.
#
# **You will learn** how much of a loss of features is the text's doing and how much the weights',
# and how far apart two models are that share nothing but their data. **You need**
# [ceilings and floors](ceilings). **It takes** 20 minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from itertools import chain

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from safetensors.numpy import load_file

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features, jobs, quality
from featrack_utils.display import style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import check, number, percent, say, show, verdict, with_interval
from featrack_utils.lineage import label
from featrack_utils.matching.classes import eligible
from featrack_utils.matching.correlation import correlations
from featrack_utils.models import controls, evaluation, loading
from featrack_utils.models.retraining import retrain
from featrack_utils.pipeline import store
from featrack_utils.pipeline.profile import dose_steps
from featrack_utils.statistics.persistence import persistence, reproducible, resample

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the bootstrap
root_seeds = 3  # dictionaries of the base model; paper: 1
other_seeds = 2  # of every other model; paper: 1
control_draws = 3  # models with a random MLP for each child; paper: none
doses = [0.03, 0.3]  # shares of a fine-tune's steps, beside none and all; paper: none
dosed = ["lua"]  # fine-tunes followed along the doses
warm_start = True  # also: a dictionary of the first of them that starts from its parent's
lm_seed = True  # also: a second base model, from another seed
tau = 0.8  # correlation above which two features match; paper: 0.8
rule = "best"  # or mutual; paper: best match
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
replicates = 200  # bootstrap draws over groups of documents and seeds
precision = "auto"  # bfloat16 where the machine multiplies it faster
context = 128  # tokens; paper: 256
architecture = "standard"  # ReLU with L1, the paper's kind; or topk, batchtopk
expansion = 3  # features per MLP neuron; paper: 16
l1_coefficient = 1.5  # the same for every dictionary of the book
k = 32  # active features a token; topk and batchtopk only
learning_rate = 8e-3  # paper: 1e-4
train_tokens = 400_000  # activations read by each dictionary
batch_tokens = 1024  # a step; paper: 128 blocks of 24 tokens
evaluation_blocks = 140  # validation blocks per domain, the same for every model

# %% [markdown]
# ## A dose of nothing
#
# A child's dictionary differs from its parent's in two ways: the model's weights are others, and
# the dictionary has read other text as well. **Dose 0** tells the two apart. It is the untouched
# parent, read through the text that the child's dictionaries learn from. Whatever it
# lacks, no weight is to blame for. So dose 0 is the {term}`ceiling` of all other doses.
#
# The dictionaries of all doses start from the same random weights (their seed is called 1) and read
# the same text in the same order. One dose differs from the next in nothing but the model's weights.
# They are compared with the parent's dictionaries of *other* seeds, so that no match is owed to a
# common start.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
root = lineage.root
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
SEED = jobs.ZERO_SEED  # of all dictionaries of this page
parent_of = {child: lineage.parents(child)[0] for child in dosed}
paths = {}
for child in parent_of:
    given = store.read_record(run / "models" / child)["parameters"]
    steps = given["train_tokens"] // (given["batch_blocks"] * context)
    (whole,) = jobs.of_model(lineage, child, [SEED])
    paths[child] = {"0": jobs.of_zero_steps(lineage, child)}
    for dose, step in dose_steps(doses, steps).items():
        paths[child][dose] = whole._replace(name=f"{child}-at-{dose}", step=step)
    paths[child]["100"] = whole
wanted = [job for path in paths.values() for job in path.values()]

# %% [markdown]
# Two more questions need dictionaries of their own. In a *warm start* the child's dictionary begins
# as the parent's and learns on. A *second root* is trained like the first, on the same text, from
# another {term}`seed`. It gets a {term}`floor` of its own: the second root with a {term}`random MLP`.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
if warm := warm_start and bool(dosed):
    first = dosed[0]
    start = wanted[0]._replace(name=f"{first}-warm-at-0", start=f"{parent_of[first]}-0")
    wanted += [start, start._replace(name=f"{first}-warm", model=first)]
SECOND, SECOND_CONTROL = "second_root", "second_root.mlp-0"
if lm_seed:
    again = store.read_record(run / "models" / root)["parameters"]["seed"] + 1
    retrain(run, corpora, root, SECOND, seed=again)
    second = jobs.Job(SECOND, SECOND, SEED, lineage.reads(root))
    controls.make_control(run, SECOND, SECOND_CONTROL, controls.Redraw.of(lineage), 0)
    control = second._replace(name=SECOND_CONTROL, model=SECOND_CONTROL, seed=0, like=f"{root}-0")
    wanted += [second, control]
recipe = jobs.recipe(globals())
measured = jobs.train_and_measure(run, corpora, wanted, recipe, evaluation_blocks)

# %% [markdown]
# ## How far the weights have moved, and what it was good for
#
# Besides its steps we measure a dose in two ways: by the relative distance of the weights,
#
# $$\frac{\lVert W - W_{parent} \rVert}{\lVert W_{parent} \rVert},$$
#
# and by the validation loss on the fine-tune's own text.


# %%
def own_loss(folder, child):
    model = loading.load_model(folder)
    domains = lineage.trained_on(child)
    blocks = (corpora.validation_blocks(d, evaluation_blocks).tokens for d in domains)
    return float(np.mean([evaluation.evaluate(model, tokens).loss for tokens in blocks]))


# %%
results = {}
for child, parent in parent_of.items():
    before = jobs.weights(run, parent)
    for dose, job in paths[child].items():
        folder = jobs.weights(run, job.model, job.step)
        key = f"dose.{child}.{dose}"
        results[f"{key}.weight_distance"] = loading.weight_distance(before, folder)
        results[f"{key}.loss"] = own_loss(folder, child)

# %% [markdown]
# ## What each dose keeps
#
# We ask each dictionary for the parent's {term}`reproducible` features, those that the parent's
# other dictionaries have as well. (Where there are not three of them, we ask for all
# {term}`eligible` features.) The floor is what dictionaries of the child with a random MLP have.
# {term}`Rescaled persistence <rescaled persistence>` says where a dose's share $s_d$ lies between
# the two:
#
# $$\frac{s_d - \text{floor}}{s_0 - \text{floor}}.$$

# %%
own = features.dictionary_names(lineage, root_seeds, other_seeds)
floors = {child: [f"{child}.mlp-{draw}" for draw in range(control_draws)] for child in dosed}
parents = list(dict.fromkeys([root, *parent_of.values()]))
names = [*measured, *(name for p in parents for name in own[p]), *chain(*floors.values())]
found = features.open_named(run, dict.fromkeys(names))
same_seed = {parent: f"{parent}-{SEED}" for parent in parents}
settings = dict(tau=tau, replicates=replicates, seed=seed)
settings |= dict(min_positions=min_positions, min_documents=min_documents)
samples, among = {}, {}
for parent in parents:
    others = [name for name in own[parent] if name != same_seed[parent]]
    asked = {parent: others, same_seed[parent]: [same_seed[parent]]}
    asked |= {f"{child}.mlp": each for child, each in floors.items() if parent_of[child] == parent}
    asked |= {name: [name] for name in (f"{parent}-0", *measured)}
    each = {name: [found[one] for one in names] for name, names in asked.items()}
    samples[parent] = resample(each, [tau], **settings)
    among[parent] = reproducible(samples[parent], parent) if len(others) > 1 else None


# %%
def kept(parent, name, ceiling, floor):
    """What one dictionary has of the parent's features, beside ceiling and floor."""
    given = dict(rule=rule, ceiling=ceiling, floors={"random_mlp": floor}, among=among[parent])
    return persistence(samples[parent], parent, name, **given)


counted = {}
for child, path in paths.items():
    parent, floor = parent_of[child], f"{child}.mlp"
    for dose, job in path.items():
        ceiling = same_seed[parent] if dose == "0" else path["0"].name
        counted[child, dose] = kept(parent, job.name, ceiling, floor)
if lm_seed:
    counted["second"] = kept(root, SECOND, same_seed[root], SECOND_CONTROL)

# %% [markdown]
# Documents and seeds are resampled by the package. The count itself is short. For each of the
# parent's dictionaries we take the features that its other dictionaries have, and look how many of
# them the whole fine-tune has left. (That is the raw count. Estimates are corrected for noise.)


# %%
def best_r(one, other):
    """Best correlation of each eligible feature of one dictionary with any of another's."""
    able = {"eligible_a": found[one], "eligible_b": found[other]}
    able = {k: eligible(f.acts, f.origin, min_positions, min_documents) for k, f in able.items()}
    best = correlations(found[one].acts, found[other].acts, **able)
    return np.where(best.a_candidates, best.a_best_r, np.nan)


child, parent = next(iter(parent_of.items()))
last = paths[child]["100"].name
others = [name for name in own[parent] if name != same_seed[parent]]
shares = []
for one in others:
    asked = ~np.isnan(best_r(one, last))
    for other in set(others) - {one}:
        asked &= best_r(one, other) > tau
    shares.append(np.mean(best_r(one, last)[asked] > tau))
by_package = counted[child, "100"].raw()
assert rule != "best" or np.isclose(np.mean(shares), by_package, equal_nan=True)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
figure = Figure(figsize=(style.WIDTH, 0.72 * style.WIDTH), layout="constrained")
by_dose, by_distance = figure.subplots(1, 2, width_ratios=[3, 2])
SHADES = {"ceiling": "--", "floor": ":"}
for child, path in paths.items():
    of_doses = [counted[child, dose] for dose in path]
    moved = [results[f"dose.{child}.{dose}.weight_distance"] for dose in path]
    steps_done, colour = list(range(len(path))), style.colour_of(child)
    figures = [(by_dose, steps_done, [each.share() for each in of_doses])]
    figures.append((by_distance, moved[1:], [each.rescaled() for each in of_doses[1:]]))
    for axis, x, values in figures:
        middle, low, high = np.array(values, dtype=float).T
        axis.fill_between(x, low, high, color=colour, alpha=0.25, lw=0)
        axis.plot(x, middle, "o-", color=colour, mec="white", label=label(child))
    for end, dashes in SHADES.items():
        middle, low, high = getattr(counted[child, "0"], end)()
        by_dose.fill_between(steps_done, low, high, color=style.GREY, alpha=0.15, lw=0)
        by_dose.plot(steps_done, [middle] * len(path), ls=dashes, color=style.GREY, lw=1.5)
ticks = list(dict.fromkeys(dose for path in paths.values() for dose in path))
if lm_seed:
    x, each = len(ticks), counted["second"]
    middle, low, high = each.share()
    by_dose.vlines(x, low, high, color="black")
    by_dose.plot(x, middle, "D", color="black", mec="white", label="second root")
    for end, dashes in SHADES.items():
        value = getattr(each, end)().estimate
        by_dose.plot([x - 0.4, x + 0.4], [value, value], ls=dashes, color=style.GREY, lw=1.5)
    ticks.append("other\nseed")
for words, dashes in SHADES.items():
    by_dose.plot([], [], ls=dashes, color=style.GREY, lw=1.5, label=words)
by_dose.set_xticks(range(len(ticks)), ticks)
by_dose.set(xlabel="steps done, %", ylabel="parent's features found", ylim=(0, 1))
by_distance.axhline(1, color="black", lw=1)
by_distance.axhline(0, color="black", lw=1)
by_distance.set(xlabel="distance of weights", ylabel="rescaled persistence")
by_distance.set_xlim(left=0)
by_distance.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
for axis in (by_dose, by_distance):
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
figure.legend(*by_dose.get_legend_handles_labels(), loc="outside upper center", ncols=2)
show(
    figure,
    "Left: share of the parent's features found after part of the fine-tune, between ceiling "
    "(another dictionary of the parent) and floor (the child with a random MLP), with 95 % bands; and "
    "in a model that shares only its data with the parent. Right: where each dose lies between floor "
    "(0 %) and dose 0 (100 %), against how far the weights have moved.",
    "fig-dose",
    "Shares falling with the dose, between ceiling and floor; rescaled against distance",
)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
rows = []
for child, path in paths.items():
    for dose, job in path.items():
        good = quality.mean_quality(run, [job.name])
        row = {"fine-tune": label(child), "steps": f"{dose} %"}
        row["rescaled"] = with_interval(counted[child, dose].rescaled()) if dose != "0" else "100 %"
        row["weights moved"] = percent(results[f"dose.{child}.{dose}.weight_distance"], 1)
        row["own loss"] = number(results[f"dose.{child}.{dose}.loss"])
        row["L0"] = number(good["l0"], 0)
        rows.append(row | {"variance explained": number(good["variance_explained"])})
rows = pd.DataFrame(rows)
show_table(
    rows.drop(columns="fine-tune") if len(paths) == 1 else rows,
    notes={"own loss": "nats a token"},
    caption="Each dose between the floor and dose 0, and the dictionary that was asked.",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
first_change = {}
for child, parent in parent_of.items():
    below = [counted[child, dose].rescaled().high < 1 for dose in list(paths[child])[1:]]
    since = [dose for n, dose in enumerate(list(paths[child])[1:]) if all(below[n:])]
    first_change[child] = since[0] if since else None
    text_alone = counted[child, "0"].ratio()
    says = verdict(
        text_alone,
        1,
        below="A dictionary that must also describe new text spends fewer features on the rest, so "
        "part of what disappears is not the fine-tune's doing.",
        above="That is more than all: whatever disappears, the text is not to blame.",
        unclear="That its text is another one can't be shown to matter.",
    )
    change = (
        f"From the dose of {since[0]} % of the steps on, the whole interval lies below 100 %. There "
        f"the weights have moved by {percent(results[f'dose.{child}.{since[0]}.weight_distance'], 1)}."
        if since
        else "At the last dose it can't be shown to be below 100 %."
    )
    end = counted[child, "100"]
    say(
        f"**{label(child)}: the text alone.** Without a single step, the dictionary that learned "
        f"from the text of {label(child)} finds {with_interval(text_alone)} of what another "
        f"dictionary of {label(parent)} finds. {says}",
        f"**{label(child)}: the weights alone.** Of what lies between dose 0 and the floor the whole "
        f"fine-tune keeps {with_interval(end.rescaled())}. (Share over dose 0, without the floor, is "
        f"{with_interval(end.ratio())}.) {change}",
    )

# %% [markdown]
# The bands cover other documents and, where the parent has more than two, other dictionaries of the
# parent; not another dictionary of the child, of which every dose has one, nor another fine-tune.
#
# ## Another model that read the same
#
# A fine-tune is one way to get a model that differs. Another is to train the root again, on the same
# text, from another seed. What the two have in common is owed to data and architecture alone.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
if lm_seed:
    apart = counted["second"]
    distance = loading.weight_distance(jobs.weights(run, root), jobs.weights(run, SECOND))
    results["dose.second.weight_distance"] = distance
    say(
        f"The second root has {percent(apart.share().estimate)} of these features, where another "
        f"dictionary of the first root has {with_interval(apart.ceiling())}, and the second root with a "
        f"random MLP {with_interval(apart.floor())}. Rescaled, that is "
        f"{with_interval(apart.rescaled())}; its weights are {percent(distance)} away."
    )
    for child in (child for child, parent in parent_of.items() if parent == root):
        tuned, second = counted[child, "100"].rescaled(), apart.rescaled()
        closer = (
            f"{label(child)} is closer to its parent than that: most of what fine-tuning leaves in "
            "place is this model's own, and not just what any model of these data learns."
            if tuned.low > second.high
            else f"{label(child)} is further from its parent than a model that shares no weight with it."
            if tuned.high < second.low
            else f"{label(child)} can't be told from it: what is left of its parent may be no more than "
            "what any model of these data learns."
        )
        say(f"{closer} ({with_interval(tuned)} after the whole fine-tune.)")
else:
    say("This run trained no second root (`arms.lm_seed` is off).")

# %% [markdown]
# ## A dictionary that starts where the parent's ended
#
# Independent dictionaries work *against* persistence: what one of them spends a feature on, another
# need not. A **warm start** works for it: the child's dictionary begins as the parent's, and a
# feature that is still of some use has no reason to go {cite:p}`xu2024tracking`. Each is set
# against the unchanged parent, read in the same way through the same text.

# %%
ways, kinds, ratios = {}, {"persisting": None}, {}
if warm:
    child, parent = dosed[0], parent_of[dosed[0]]
    ways["cold"] = (parent, f"{child}-{SEED}", f"{child}-at-0")
    ways["warm"] = (f"{parent}-0", f"{child}-warm", f"{child}-warm-at-0")
    if among[parent] is not None:
        kinds |= {"reproducible": among[parent]}
        kinds |= {"irreproducible": [~mask for mask in among[parent]]}


def add(figures):
    results.update({name: value for name, value in figures.items() if value is not None})


for way, (of, one, at_0) in ways.items():
    for kind, masks in kinds.items():
        share = persistence(samples[parent], of, one, rule=rule, ceiling=at_0, among=masks)
        add(share.as_results(f"dose.{child}.{way}.{kind}_share"))
        ratios[kind, way] = share.ratio()

# %% tags=["remove-input"] jupyter={"source_hidden": true}
if warm:
    rows = [
        f"| {'all' if kind == 'persisting' else kind} | {with_interval(ratios[kind, 'cold'])} | "
        f"{with_interval(ratios[kind, 'warm'])} |"
        for kind in kinds
    ]
    head = "| features of the parent | independent | warm start |\n|---|--:|--:|\n"
    cold, hot = ratios["persisting", "cold"], ratios["persisting", "warm"]
    says = "Of all features the two can't be told apart here."
    if hot.low > cold.high:
        says = "One errs against persistence and one towards it, so the truth lies in between."
    if hot.high < cold.low:
        says = (
            "The two have different denominators: the independent one counts only features "
            "that two seeds find. The warm one also counts features peculiar to one seed, and those "
            "disappear easily."
        )
    intro = f"Share over dose 0, of what {label(parent)} has, in {label(child)}:"
    say(intro, head + "\n".join(rows), says)

# %% tags=["remove-cell"]
for key, each in counted.items():
    name = "dose.second" if key == "second" else ".".join(("dose", *key))
    parent = root if key == "second" else parent_of[key[0]]
    kind = "persisting" if among[parent] is None else "reproducible"
    add(each.as_results(f"{name}.{kind}_share"))
add({f"dose.{child}.first_change": float(f) for child, f in first_change.items() if f})
store.write_results(run, "dose", results)

# %% [markdown]
# ## What we learned
#
# A share of persisting features mixes four things: the noise of dictionaries, which the ceiling
# takes out; the text that they learn from, which dose 0 takes out; the token and attention, which
# the floor takes out; and what the MLP has learned. Only the last is what we wanted to know.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
for child, first in first_change.items():
    left = with_interval(counted[child, "100"].rescaled())
    say(
        f"In {label(child)} the weights' part shows from a dose of {first} % on, and by the end "
        f"{left} are left of what dose 0 shows above the floor."
        if first
        else f"In {label(child)} the weights' part can't be shown at any dose ({left} are left)."
    )
# %% [markdown]
# What comes next: [the same conclusions under other ways to count](robustness).
#
# :::{admonition} Exercise 1
# :class: tip
# Which part of a model moves? Compute the relative distance of the first fine-tune's MLP alone: all
# tensors with `.mlp.` in their names. Both folders hold a `model.safetensors`.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
child, parent = next(iter(parent_of.items()))
folders = jobs.weights(run, parent), jobs.weights(run, child)
of_the_mlp = loading.weight_distance(*folders, lambda name: ".mlp." in name)

# %%
answer = ...  # the distance, 0.1 for a tenth of the parent's length
check(answer, of_the_mlp)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
before, after = (load_file(folder / "model.safetensors") for folder in folders)
mlp = [name for name in before if ".mlp." in name]
W, V = (np.concatenate([w[name].astype(float).ravel() for name in mlp]) for w in (before, after))
answer = np.linalg.norm(V - W) / np.linalg.norm(W)
check(answer, of_the_mlp)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# A share can hide a turnover. Take the parent's first dictionary, `others[0]`. Of its features that
# are found at dose 0, which share is *not* found after the whole fine-tune? The function `best_r` is
# all you need.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
at_0 = paths[child]["0"].name
pairs = [((parent, 0), (name, 0)) for name in (at_0, last)]
matched = samples[parent].matched(pairs)
r_0, r_100 = (np.where(matched[p].asked, matched[p].best_r, -1) for p in pairs)
turned_over = 1 - np.mean(r_100[r_0 > tau] > tau)

# %%
answer = ...  # a share, from 0 to 1
check(answer, turned_over)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
kept_at_0 = best_r(others[0], at_0) > tau
kept_at_100 = best_r(others[0], last) > tau
answer = (kept_at_0 & ~kept_at_100).sum() / kept_at_0.sum()
check(answer, turned_over)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# Why has the warm start a ceiling below 100 %, although nothing happened to the model?
# :::
#
# :::{dropdown} Answer
# Its dictionary learns on, from other text and with a fresh schedule. Features drift, some die,
# and a feature that moved far enough to correlate below τ counts as disappearing.
# :::
