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
# way, and each time ask one dictionary what it still finds of the parent.
#
# *You will learn* how much of a loss of features is the text's doing and how much the weights'.
# *You need* [ceilings](ceilings). *Time*: 15 minutes.

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features, jobs
from featrack_utils.display import style
from featrack_utils.display.dose_figures import dose_response
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import estimate, number, percent, say, show, verdict, with_interval
from featrack_utils.lineage import label
from featrack_utils.models import evaluation, loading
from featrack_utils.pipeline import store
from featrack_utils.pipeline.profile import dose_steps
from featrack_utils.statistics.intervals import Interval
from featrack_utils.statistics.persistence import flat, persistence, ratio, reproducible, resample

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the bootstrap
root_seeds = 3  # dictionaries of the base model; paper: 1
other_seeds = 2  # of every other model; paper: 1
doses = [0.01, 0.03, 0.1, 0.3]  # shares of a fine-tune's steps, beside none and all; paper: none
dosed = ["lua"]  # fine-tunes followed along the doses
warm_start = True  # also: a dictionary of the first of them that starts from its parent's
lm_seed = False  # also: a second base model, from another seed
tau = 0.8  # correlation above which two features match; paper: 0.8
rule = "best"  # or mutual; paper: best match
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
replicates = 200  # bootstrap draws over groups of documents and seeds
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

# %% [markdown]
# ## A dose of nothing
#
# A child's dictionary differs from its parent's in two ways: the model's weights are others, and
# the dictionary has read other text as well. **Dose 0** tells the two apart. It is the untouched
# parent, read through the mixture of texts that the child's dictionaries learn from. Whatever is
# missing there, no weight is to blame for.
#
# All dictionaries of this page start from the same random weights (their seed is called 1) and read
# the same text in the same order. So one dose differs from the next in nothing but the model's
# weights. They are compared with the parent's dictionaries of *other* seeds, so that no match is
# owed to a common start.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
SEED = jobs.ZERO_SEED  # of all dictionaries of this page
parent_of = {child: lineage.parents(child)[0] for child in dosed}
paths = {}
for child in parent_of:
    given = store.read_record(run / "models" / child)["parameters"]
    steps = given["train_tokens"] // (given["batch_blocks"] * context)
    paths[child] = jobs.of_doses(lineage, child, dose_steps(doses, steps))
wanted = [job for path in paths.values() for job in path.values()]

# %% [markdown]
# Two more questions need dictionaries of their own. In a *warm start* the child's dictionary begins
# as the parent's and learns on. A *second root* is trained like the first, from another seed.

# %% tags=["hide-input"]
if warm := warm_start and bool(dosed):
    child = dosed[0]
    start = wanted[0]._replace(name=f"{child}-warm-at-0", start=f"{parent_of[child]}-0")
    wanted += [start, start._replace(name=f"{child}-warm", model=child)]
if lm_seed:
    wanted.append(jobs.train_second_root(run, corpora, SEED))
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
measured = jobs.train_and_measure(run, corpora, wanted, recipe, evaluation_blocks)

# %% [markdown]
# ## How far the weights have moved, and what it was good for
#
# We measure a dose in two ways besides its steps: by the relative distance of the weights,
#
# $$\frac{\lVert W - W_{parent} \rVert}{\lVert W_{parent} \rVert},$$
#
# and by the validation loss on the fine-tune's own text.


# %%
def weight_distance(parent, other):
    """Relative distance of the weights in two folders."""
    before, after = (load_file(folder / "model.safetensors") for folder in (parent, other))
    moved = sum(((after[n].astype(float) - before[n]) ** 2).sum() for n in before)
    return float(np.sqrt(moved / sum((w.astype(float) ** 2).sum() for w in before.values())))


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
        results[f"{key}.weight_distance"] = weight_distance(before, folder)
        results[f"{key}.loss"] = own_loss(folder, child)

# %% [markdown]
# ## What each dose keeps
#
# Each dictionary is asked which features of the parent it has. The ceiling is what the parent's own
# finds, of the same seed.

# %%
own = features.dictionary_names(lineage, root_seeds, other_seeds)
parents = dict.fromkeys([lineage.root, *parent_of.values()])
names = [*measured, *(name for model in (*parents, *dosed) for name in own[model])]
found = features.open_named(run, dict.fromkeys(names))
unchanged = {parent: f"{parent}-{SEED}" for parent in parents}
settings = dict(tau=tau, replicates=replicates, seed=seed)
settings |= dict(min_positions=min_positions, min_documents=min_documents)
samples = {}
for parent in parents:
    others = [found[name] for name in own[parent] if name != unchanged[parent]]
    single = {name: [found[name]] for name in (f"{parent}-0", unchanged[parent], *measured)}
    samples[parent] = resample({parent: others} | single, [tau], **settings)


# %%
def kept(parent, name):
    """Share of the parent's features that one dictionary has, beside the ceiling."""
    return persistence(samples[parent], parent, name, rule=rule, ceiling=unchanged[parent])


def add(figures):
    results.update({name: value for name, value in figures.items() if value is not None})


first_change, rows = {}, []
for child, parent in parent_of.items():
    shares = {dose: kept(parent, job.name) for dose, job in paths[child].items()}
    below = []  # whether the dose keeps less than dose 0, the whole interval considered
    for dose, share in shares.items():
        key = f"dose.{child}.{dose}"
        add(share.as_results(f"{key}.persisting_share"))
        to_dose_0 = ratio(share.share, shares["0"].share, tau)
        add(flat(f"{key}.ratio_to_dose_0", to_dose_0))
        below.append(to_dose_0 is not None and to_dose_0.high < 1)
        to_ceiling = estimate(results, f"{key}.persisting_share.ratio_to_ceiling")
        rows.append([child, dose, *to_ceiling, results[f"{key}.weight_distance"]])
    since = [dose for n, dose in enumerate(shares) if all(below[n:])]
    first_change[child] = since[0] if since else None
    add({f"dose.{child}.first_change": float(since[0]) if since else None})

# %% tags=["hide-input"]
columns = ["child", "percent", "ratio", "ratio_low", "ratio_high", "distance"]
show(
    dose_response(pd.DataFrame(rows, columns=columns)),
    caption="Share of the parent's features found after part of the fine-tune, over the share that "
    "another dictionary of the parent finds, with 95 % band: against the steps done and against how "
    "far the weights have moved. Dashed: as many as in the unchanged parent.",
    name="fig-dose",
    alt="Share over ceiling against the dose and against the distance of the weights",
)

# %% tags=["hide-input"]
table = {
    (label(child), f"{dose} %"): {
        "share": with_interval(estimate(results, f"dose.{child}.{dose}.persisting_share")),
        "share / dose 0": with_interval(estimate(results, f"dose.{child}.{dose}.ratio_to_dose_0")),
        "weights moved": percent(results[f"dose.{child}.{dose}.weight_distance"], 1),
        "own loss": number(results[f"dose.{child}.{dose}.loss"]),
        "L0": number(found[job.name].acts.nnz / found[job.name].acts.shape[0], 0),
    }
    for child, path in paths.items()
    for dose, job in path.items()
}
table = pd.DataFrame(table).T.reset_index(names=["fine-tune", "steps"])
show_table(table, notes={"share": "of the parent's features", "own loss": "nats a token"})

# %% tags=["remove-input"] jupyter={"source_hidden": true}
for child, parent in parent_of.items():
    here, first = f"dose.{child}", first_change[child]
    text_alone = estimate(results, f"{here}.0.persisting_share.ratio_to_ceiling")
    says = verdict(
        text_alone,
        1,
        below="So part of what this comparison seems to lose is not the fine-tune's doing: a "
        "dictionary that must also describe new text spends fewer features on the rest.",
        above="That is more than all: whatever the fine-tune loses, the text is not to blame.",
        unclear="That its text is another one can't be shown to matter.",
    )
    change = (
        f"From the dose of {first} % of the steps on, the whole interval lies below 100 %. There the "
        f"weights have moved by {percent(results[f'{here}.{first}.weight_distance'], 1)}."
        if first
        else "At the last dose it can't be shown to be below 100 %."
    )
    say(
        f"**{label(child)}: the text alone.** Without a single step, the dictionary that learned "
        f"from the mixture of {label(child)} finds {with_interval(text_alone)} of what "
        f"{label(parent)}'s own finds. {says}",
        f"**{label(child)}: the weights alone.** Measured against dose 0, the whole fine-tune keeps "
        f"{with_interval(estimate(results, f'{here}.100.ratio_to_dose_0'))}. {change}",
    )

# %% [markdown]
# The bands cover other documents and, where the parent has more than two, other dictionaries of the
# parent; not another dictionary of the child, of which every dose has one.
#
# ## A dictionary that starts where the parent's ended
#
# Independent dictionaries work *against* persistence: what one of them spends a feature on, another
# need not. A **warm start** works for it: the child's dictionary begins as the parent's, and a
# feature that is still of some use has no reason to go {cite:p}`xu2024tracking`. Each is set
# against the unchanged parent, read in the same way through the same text. Features that every
# other dictionary of the parent has as well (*reproducible*) are asked apart from the rest.

# %%
ways, kinds, ratios = {}, {"persisting": None}, {}
if warm:
    child, parent = dosed[0], parent_of[dosed[0]]
    ways["cold"] = (parent, f"{child}-{SEED}", f"{child}-at-0")
    ways["warm"] = (f"{parent}-0", f"{child}-warm", f"{child}-warm-at-0")
    if len(samples[parent].features[parent]) > 1:
        masks = reproducible(samples[parent], parent)
        kinds |= {"reproducible": masks, "irreproducible": [~mask for mask in masks]}
for way, (of, one, at_0) in ways.items():
    for kind, among in kinds.items():
        share = persistence(samples[parent], of, one, rule=rule, ceiling=at_0, among=among)
        add(share.as_results(f"dose.{child}.{way}.{kind}_share"))
        ratios[kind, way] = share.ratio() or Interval(np.nan, np.nan, np.nan)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
if warm:
    rows = [
        f"| {kind} | {with_interval(ratios[kind, 'cold'])} | {with_interval(ratios[kind, 'warm'])} |"
        for kind in kinds
    ]
    head = "| features of the parent | independent | warm start |\n|---|--:|--:|\n"
    cold, hot = ratios["persisting", "cold"], ratios["persisting", "warm"]
    says = "Of all features (*persisting*) the two can't be told apart here."
    if hot.low > cold.high:
        says = "One errs against persistence and one towards it, so the truth lies in between."
    if hot.high < cold.low:
        says = (
            "The two ratios have different denominators: the independent one counts only features "
            "that two seeds find. The warm one also counts features peculiar to one seed, and those "
            "are lost easily."
        )
    intro = f"What {label(child)} keeps of what is found in the unchanged parent:"
    say(intro, head + "\n".join(rows), says)

# %% [markdown]
# ## Another model that read the same
#
# A fine-tune is one way to get a model that differs. Another is to train the root again from another
# seed (`--config arms='{lm_seed: true}'`). What the two share, data and architecture dictate.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
if lm_seed:
    key = "dose.second.persisting_share"
    add(kept(lineage.root, jobs.SECOND_ROOT).as_results(key))
    second = with_interval(estimate(results, f"{key}.ratio_to_ceiling"))
    say(f"It has {second} of the features that another dictionary of the first root has.")
store.write_results(run, "dose", results)

# %% [markdown]
# ## What we learned
#
# A share of persisting features mixes three things: the noise of dictionaries, which the ceiling
# takes out; the text that they learn from, which dose 0 takes out; and the weights. Only the last is
# about the model.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
for child, first in first_change.items():
    left = with_interval(estimate(results, f"dose.{child}.100.ratio_to_dose_0"))
    say(
        f"In {label(child)} the weights' part shows from a dose of {first} % on, and by the end "
        f"{left} are left of what dose 0 shows."
        if first
        else f"In {label(child)} the weights' part can't be shown at any dose ({left} are left)."
    )

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# Fine-tune more gently: `finetune='{learning_rate: 1e-4}'`. Does the share depend on the steps, or
# on how far the weights have moved? Compare the two panels of {numref}`fig-dose`.
# :::
#
# :::{dropdown} Answer
# With a smaller rate each dose moves the weights less, and the left curve lies higher. If the right
# one stays where it was, distance is what counts.
# :::
#
# :::{admonition} Exercise 2
# :class: tip
# Why has the warm start a ceiling below 100 %, although nothing happened to the model?
# :::
#
# :::{dropdown} Answer
# Its dictionary learns on, from another mixture and with a fresh schedule. Features drift, some die,
# and a feature that moved far enough to correlate below τ counts as gone.
# :::
