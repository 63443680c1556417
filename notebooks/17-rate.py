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
# # The learning rate is a dose
#
# {cite:t}`horn2025tracking` fine-tune at a thirtieth of the rate at which their base was trained. Few
# people would call that number a finding. But a fine-tune at a third of the base's rate, on the same
# text, is another experiment: the model isn't tuned, it is overwritten. What then is left of its
# features says more about the rate than about fine-tuning.
#
# **You will learn** how persistence, forgetting and the far ends of a merge depend on the rate. **You
# need** [ceilings and floors](ceilings) and, for comparison, [doses](dose). **It takes** ten minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import numpy as np
import pandas as pd
import torch
from IPython.display import display
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features, jobs
from featrack_utils.display import paper, style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import (
    check,
    estimate,
    listed,
    number,
    percent,
    say,
    show,
    verdict,
    with_interval,
)
from featrack_utils.lineage import label
from featrack_utils.models import capture, controls, evaluation, loading
from featrack_utils.models.retraining import retrain
from featrack_utils.pipeline import store
from featrack_utils.statistics.intervals import ratio
from featrack_utils.statistics.persistence import persistence, resample

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the bootstrap
rates = [0.333]  # of the base's learning rate, beside the run's own; paper: a thirtieth
root_seeds = 3  # dictionaries of the base model; paper: 1
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
learning_rate = 8e-3  # of the dictionaries; paper: 1e-4
train_tokens = 400_000  # activations read by each dictionary
batch_tokens = 1024  # a step; paper: 128 blocks of 24 tokens
evaluation_blocks = 140  # validation blocks per domain, the same for every model

# %% [markdown]
# ## The same fine-tune at other rates
#
# We repeat fine-tunes of the root: the same text in the same order, as many steps, the same schedule.
# Only its peak, the learning rate, is another. The first fine-tune is repeated at every rate, others at
# the highest alone.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
root = lineage.root
tuned = [child for child in lineage.tuned if lineage.parents(child) == (root,)]
recipe_of = {m: store.read_record(run / "models" / m)["parameters"] for m in (root, *tuned)}
base_rate = recipe_of[root]["learning_rate"]


def fraction(rate):
    return f"1_{round(base_rate / rate)}"


def spelled(name):
    return name.replace("_", "/")


# %%
def tune(child, rate):
    """Repeats a fine-tune at another learning rate, and gives the name of the model."""
    return retrain(run, corpora, child, f"{child}.rate-{fraction(rate)}", learning_rate=rate).name


first = tuned[0]
models = {}  # by child and rate, in order of the rate
for child in tuned:
    own = recipe_of[child]["learning_rate"]
    asked = rates if child == first else rates[-1:]
    others = {rate * base_rate for rate in asked if fraction(rate * base_rate) != fraction(own)}
    for rate in sorted({own, *others}):
        models[child, fraction(rate)] = child if rate == own else tune(child, rate)

# %% [markdown]
# ## What it gains and what it forgets
#
# Every one of them reads the validation text of all domains. How far its weights have gone we measure
# as the relative distance
#
# $$\frac{\lVert W - W_\text{root} \rVert}{\lVert W_\text{root} \rVert} .$$


# %%
start = store.opened(run / "models" / root)
validation = {domain: corpora.validation_blocks(domain, 400) for domain in lineage.domains}
before = store.read_results(run, "base", "finetune")
results = {}
for (child, rate), model in models.items():
    key = f"rate.{child}.{rate}"
    if model == child:
        scores = {n: v for n, v in before.items() if n.startswith(f"lm.{child}.")}
        results |= {n.replace(f"lm.{child}", key): v for n, v in scores.items() if v is not None}
    else:
        scores = evaluation.evaluate_each(loading.load_model(run / "models" / model), validation)
        own_text = evaluation.pooled(*(scores[domain] for domain in lineage.trained_on(child)))
        results |= evaluation.score_results(key, scores | {"own": own_text})
    results[f"{key}.weight_distance"] = loading.weight_distance(
        start, store.opened(run / "models" / model)
    )

# %% [markdown]
# Two differences sum it up, in nats a token: what was **gained** on the text that the fine-tune was
# trained on, and what was **forgotten** of the text that the root was trained on.


# %%
def mean_change(key, domains):
    changes = [results[f"{key}.{d}.loss"] - before[f"lm.{root}.{d}.loss"] for d in domains]
    return float(np.mean(changes))


for child, rate in models:
    key = f"rate.{child}.{rate}"
    results[f"{key}.gained"] = -mean_change(key, lineage.trained_on(child))
    results[f"{key}.forgotten"] = mean_change(key, lineage.trained_on(root))

# %% [markdown]
# ## What happens to neurons
#
# As in [the chapter on neurons](neurons), we correlate each neuron of the root with the same neuron of
# the fine-tune, over the evaluation mix.

# %%
mix = features.evaluation_mix(
    {domain: corpora.validation_blocks(domain, evaluation_blocks) for domain in lineage.domains}
)


def standardised_neurons(model):
    bridge = loading.boot(store.opened(run / "models" / model))
    batches = torch.from_numpy(mix.tokens).long().split(32)
    x = np.concatenate(
        [capture.mlp_activations(bridge, b, lineage.site)[:, 1:].flatten(0, 1) for b in batches]
    )
    return (x - x.mean(0)) / x.std(0)


of_root = standardised_neurons(root)
for (child, rate), model in models.items():
    if child == first:
        r = (of_root * standardised_neurons(model)).mean(axis=0)
        results[f"rate.{child}.{rate}.median_r"] = float(np.median(r))

# %% [markdown]
# ## What persists, between its two ends
#
# For the first fine-tune we train dictionaries, one at each rate, and one of each rate's control: the
# same model with a {term}`random MLP`, as sparse as the model's own. The ceiling is the
# {term}`zero-step child`, which reads the same text. All of these have one {term}`seed`. They are asked for the
# features of the root's dictionaries of *other* seeds, so no match is owed to a common start.
#
# $$\text{rescaled persistence} = \frac{s - l}{u - l}$$
#
# sets the share $s$ between floor $l$ and ceiling $u$. Both ends need care here. A higher rate also moves
# embedding and attention, on which the floor rests, so every rate has a floor of its own.

# %%
SEED = jobs.ZERO_SEED
reads = lineage.reads(first)
found_in, floor_of, wanted = {}, {}, []
for (child, rate), model in models.items():
    if child == first:
        (job,) = jobs.of_model(lineage, child, [SEED])
        control = jobs.of_controls(lineage, child, "mlp", SEED + 1)[SEED]
        if model != child:
            job = job._replace(name=model, model=model)
            control = control._replace(name=f"{model}.mlp", model=f"{model}.mlp", like=model)
        controls.make_control(run, model, control.model, controls.Redraw.of(lineage), control.seed)
        found_in[rate], floor_of[rate] = job.name, control.name
        wanted += [job, control]

# %% tags=["hide-input"] jupyter={"source_hidden": true}
recipe = jobs.recipe(globals())
measured = jobs.train_and_measure(run, corpora, wanted, recipe, evaluation_blocks)

# %%
unchanged = jobs.of_zero_steps(lineage, first).name
of_parent = [f"{root}-{s}" for s in range(root_seeds) if s != SEED]
found = features.open_named(run, [*of_parent, unchanged, *measured])
sample = resample(
    {root: [found[name] for name in of_parent]}
    | {name: [found[name]] for name in (unchanged, *measured)},
    [tau],
    tau=tau,
    replicates=replicates,
    seed=seed,
    min_positions=min_positions,
    min_documents=min_documents,
)


def kept_at(rate):
    ends = {"ceiling": unchanged, "floors": {"random_mlp": floor_of[rate]}}
    return persistence(sample, root, found_in[rate], rule=rule, **ends)


kept = {rate: kept_at(rate) for rate in found_in}
for rate, each in kept.items():
    figures = each.as_results(f"rate.{first}.{rate}.persisting_share")
    results |= {name: value for name, value in figures.items() if value is not None}
store.write_results(run, "rate", results)

# %% [markdown]
# The formula once more in numbers, against the package (where ceiling and floor can be told apart):

# %%
for each in kept.values():
    parts = (each.shares, each.ceilings, each.floors["random_mlp"])
    share, ceiling, floor = (part.estimate[0] for part in parts)
    if np.isfinite(each.rescaled().estimate):
        np.testing.assert_allclose((share - floor) / (ceiling - floor), each.rescaled().estimate)

# %% [markdown]
# ## All of it against the rate

# %% tags=["hide-input"] jupyter={"source_hidden": true}
names = sorted(kept, key=lambda name: -int(name.split("_")[1]))  # the slowest first
ends = [(one, other) for one in tuned for other in tuned if one != other]
figure = Figure(figsize=(style.WIDTH, 2.4 * (3 if ends else 2)), layout="constrained")
persists, nats, *far = axes = figure.subplots(3 if ends else 2, 1, sharex=True)


def line(axis, child, figure, text, **look):
    """A figure of a child against the rate, in the child's colour."""
    x = [place for place, rate in enumerate(names) if (child, rate) in models]
    y = [results.get(f"rate.{child}.{names[place]}.{figure}", np.nan) for place in x]
    marker = style.MARKERS[tuned.index(child)] + look.pop("dash", "-")
    axis.plot(x, y, marker, color=style.colour_of(child), label=text, **{"mec": "white", **look})


bounds = np.array([[*kept[rate].rescaled()] for rate in names], dtype=float).T
persists.fill_between(
    range(len(names)), bounds[1], bounds[2], alpha=0.2, color=style.colour_of(first)
)
line(persists, first, "persisting_share.rescaled", label(first))
persists.axhline(0, color=style.GREY, ls=":", lw=1.2)
persists.axhline(1, color="black", ls="--", lw=1)
persists.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
persists.set_ylabel("rescaled\npersistence")
for child in tuned:
    line(nats, child, "gained", f"{label(child)}, gained")
    open_marker = {"dash": "--", "mfc": "white", "mec": style.colour_of(child)}
    line(nats, child, "forgotten", f"{label(child)}, forgotten", **open_marker)
nats.set_ylabel("nats a token")
for axis in far:
    for child, other in ends:
        domain = lineage.trained_on(other)[0]
        line(axis, child, f"{domain}.accuracy", f"{label(child)} on {label(domain)}")
        theirs = paper.PAPER.get(f"sweep.{child}_on_{domain}")
        if theirs and "1_30" in names:
            look = dict(marker="*", ms=13, mfc="none", mec=style.colour_of(child), ls="none")
            axis.plot(names.index("1_30"), theirs.value, label="the paper's, its text", **look)
    axis.set_ylabel("accuracy on the\nother's text")
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
for axis in axes:
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
axes[-1].set_xticks(range(len(names)), [spelled(rate) for rate in names])
axes[-1].set_xlabel("learning rate, as a share of the base's")
show(
    figure,
    "What the learning rate of a fine-tune does. Top: rescaled persistence of the root's features, with "
    "95 % band, between a random MLP (dotted) and no change (dashed). Then: loss gained on the "
    "fine-tune's own text, and forgotten on the root's."
    + (
        " Bottom: accuracy at the far ends of a merge sweep, each fine-tune on the other's text; stars: "
        "the paper's, on its own text."
        if ends
        else ""
    ),
    "fig-rate",
    "Panels against the learning rate: persistence, nats gained and forgotten, far ends",
)

# %% tags=["hide-input"]
table = {
    spelled(rate): {
        "share": kept[rate].share(),
        "floor": kept[rate].floor(),
        "rescaled": kept[rate].rescaled(),
        "weights moved": results[f"rate.{first}.{rate}.weight_distance"],
        "median neuron": results[f"rate.{first}.{rate}.median_r"],
    }
    for rate in names
}
table = pd.DataFrame(table).T.reset_index(names="rate")
show_table(
    table,
    {"median neuron": ".2f"}
    | dict.fromkeys(("share", "floor", "rescaled", "weights moved"), ".0%"),
    caption=f"{style.pair_label(root, first)} at each rate. The ceiling is "
    f"{with_interval(kept[names[0]].ceiling())} throughout.",
    notes={"median neuron": "same-neuron r", "rate": "of the base's"},
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
slow, fast = names[0], names[-1]
to_slow = ratio(kept[fast].shares, kept[slow].shares, tau)
apart = kept[fast].rescaled(), kept[slow].rescaled()
moved = "less" if apart[0].high < apart[1].low else "more" if apart[0].low > apart[1].high else ""
say(
    f"At {spelled(slow)} of the base's rate {label(first)} gains "
    f"{number(results[f'rate.{first}.{slow}.gained'])} nats on its own text and forgets "
    f"{number(results[f'rate.{first}.{slow}.forgotten'])} of the root's; at {spelled(fast)} it gains "
    f"{number(results[f'rate.{first}.{fast}.gained'])} and forgets "
    f"{number(results[f'rate.{first}.{fast}.forgotten'])} ({{numref}}`fig-rate`).",
    f"The share that persists at the higher rate is {with_interval(to_slow)} of that at the lower one. "
    + verdict(
        to_slow,
        1,
        below="Fewer features are found, that is sure.",
        above="More features are found.",
        unclear="That it differs can't be shown.",
    )
    + f" Rescaled, {with_interval(apart[1])} become {with_interval(apart[0])}: "
    + (
        f"of what the MLP had learned {moved} is left."
        if moved
        else "with one dictionary a model these two can't be told apart."
    ),
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
floors = [kept[rate].floors["random_mlp"] for rate in (fast, slow)]
say(
    f"The floor at {spelled(fast)} is {with_interval(ratio(*floors, tau))} of that at {spelled(slow)}. "
    + verdict(
        ratio(*floors, tau),
        1,
        below="It falls as well: the embedding has moved, and a random MLP behind it shows fewer of the "
        "root's features. A floor measured at one rate therefore says nothing about another.",
        above="It rises, so a floor measured at one rate says nothing about another.",
        unclear="That embedding and attention carry less at the higher rate can't be shown.",
    )
)

# %% [markdown]
# ## Beside the paper
#
# A merge sweep ends at its parents. There each fine-tune reads the other's text, which it has never been
# trained on, and what it still knows of that is what the root knew. So the far ends are a measure of
# overwriting that the paper has published, too. A lineage with a single fine-tune has none.

# %% tags=["hide-input"]
rows = []
own_rate = fraction(recipe_of[first]["learning_rate"])
for child, other in ends:
    domain = lineage.trained_on(other)[0]
    name = f"sweep.{child}_on_{domain}"
    at_root = before[f"lm.{root}.{domain}.accuracy"]
    for rate in dict.fromkeys((own_rate, fast)):
        rows.append(
            (
                name if name in paper.PAPER and rate == own_rate else None,
                f"accuracy of {label(child)} on {label(domain)}, rate {spelled(rate)}",
                estimate(results, f"rate.{child}.{rate}.{domain}.accuracy"),
                None,
                f"other text; our {label(root)} has {percent(at_root, 1)} there",
                ".1%",
            )
        )
if rows:
    display(paper.beside_paper(rows, caption="Far ends of the sweep, beside the paper's."))

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
rescaled = [f"{with_interval(kept[rate].rescaled())} at {spelled(rate)}" for rate in names]
say(
    f"Rescaled persistence along {style.pair_label(root, first)} is {listed(rescaled)} of the base's rate. "
    + (
        "“Fine-tuning” has no persistence of its own, then. A fine-tune at some rate, of some length, has."
        if moved
        else "That the rate matters to features isn't settled by these intervals, whatever it does to the loss."
    )
    + " This book's default is the paper's ratio, a thirtieth, and other chapters speak of that.",
    "One model was trained at each rate, and each has one dictionary here, where other chapters have "
    "several. The intervals know of other documents alone.",
)

# %% [markdown]
# Next come [other ways to count](robustness): threshold, rule, text and dictionary.
#
# :::{admonition} Exercise 1
# :class: tip
# How much has a fine-tune forgotten for each nat that it gained, at the highest rate? You need
# `results`, where `rate.<child>.<rate>.gained` and `.forgotten` stand; `first` and `fast` name the two.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
key = f"rate.{first}.{fast}"
price = results[f"{key}.forgotten"] / results[f"{key}.gained"]

# %%
answer = ...  # nats forgotten for each nat gained
check(answer, price)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
gone = [
    results[f"{key}.{d}.loss"] - before[f"lm.{root}.{d}.loss"] for d in lineage.trained_on(root)
]
won = [
    before[f"lm.{root}.{d}.loss"] - results[f"{key}.{d}.loss"] for d in lineage.trained_on(first)
]
answer = np.mean(gone) / np.mean(won)
check(answer, price)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# What would a colleague report who doesn't know of floors? Work out share / ceiling at the highest rate.
# You need `results`, with `rate.<child>.<rate>.persisting_share` and, beside it, `.ceiling`.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
without_floor = kept[fast].share().estimate / kept[fast].ceiling().estimate

# %%
answer = ...  # share / ceiling
check(answer, without_floor)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
name = f"rate.{first}.{fast}.persisting_share"
answer = results[name] / results[f"{name}.ceiling"]
check(answer, without_floor)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# Would ten times as many steps at a tenth of the rate end in the same place?
# :::
#
# :::{dropdown} Answer
# Nearly, if all steps pointed the same way. They don't: each follows the noise of one batch, and a smaller
# step averages more of it. Nor is Adam's step proportional to the gradient. So distance and forgetting
# can differ, and only a run tells: `finetune='{learning_rate: …, train_tokens: …}'`.
# :::
