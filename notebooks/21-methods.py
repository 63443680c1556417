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
# # Which way of merging keeps which features?
#
# {cite:t}`horn2025tracking` merge by slerp at one weight. There are many other ways: some add what the
# parents have learned, some first throw most of it away. Each is praised for the benchmarks of the
# models that it makes. Here we ask what each does to *features*: to those that both parents have, to
# those that only one has, and to those that no parent ever had.
#
# **You will learn** what task vectors, TIES and DARE are, and whether it matters to features which of
# them is used. **You need** [merging](merge) and [ceilings and floors](ceilings). **It takes** half
# an hour.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from matplotlib.ticker import MaxNLocator, PercentFormatter
from mergekit.architecture.json_definitions import NAME_TO_ARCH
from mergekit.config import MergeConfiguration
from mergekit.merge import MergeOptions, run_merge
from mergekit.merge_methods import registry
from mergekit.merge_methods.base import BasePolicy
from safetensors.torch import load_file
from scipy.optimize import brentq

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features, jobs, quality
from featrack_utils.display import style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import (
    check,
    listed,
    number,
    percent,
    points,
    say,
    show,
    with_interval,
)
from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import label
from featrack_utils.models import controls, evaluation, loading, merging, recipes
from featrack_utils.pipeline import store
from featrack_utils.pipeline.profile import require_known
from featrack_utils.statistics.intervals import (
    Interval,
    around,
    complement,
    difference,
    interval,
    mean,
    over_seeds,
)
from featrack_utils.statistics.persistence import (
    Persistence,
    flat,
    merge_origins,
    persistence,
    resample,
)

# %% tags=["parameters"]
run_dir = "runs/quick"
recipe_folder = "profiles/merges"  # of YAML files, one a way of merging
# Of these files those that are compared, or all, or "not" some; paper: slerp
methods = ["all", "not slerp", "not nuslerp"]  # names of files
seed = 1337  # of the bootstrap, and of what DARE drops
other_seeds = 2  # dictionaries of each parent; paper: 1
control_draws = 3  # merges with a random MLP; paper: none
method_floors = 1  # methods whose merges get a random MLP of their own; paper: none
lm_seed = True  # also: a parent merged with a second base model, from another seed
tau = 0.8  # correlation above which two features match; paper: 0.8
rule = "best"  # or mutual; paper: best match
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
replicates = 200  # bootstrap draws over groups of documents
sweep_blocks = 60  # validation blocks per domain, of which each setting is tried on half
precision = "auto"  # bfloat16 where the machine multiplies it faster
context = 128  # tokens; paper: 256
architecture = "standard"  # ReLU with L1, the paper's kind; or topk, batchtopk
expansion = 3  # features per MLP neuron; paper: 16
l1_coefficient = 1.5  # where a dictionary's coefficient begins
k = 32  # active features a token; topk and batchtopk only
learning_rate = 8e-3  # of the dictionaries; paper: 1e-4
train_tokens = 400_000  # activations read by each dictionary
batch_tokens = 1024  # a step; paper: 128 blocks of 24 tokens
evaluation_blocks = 140  # validation blocks per domain, the same for every model

# %% tags=["hide-input"] jupyter={"source_hidden": true}
WEIGHTS = "model.safetensors"


def check_methods(chosen):
    """Checks that mergekit has each recipe's method and its parameters.

    Raises:
        FeatrackError: it hasn't, or the method needs a base_model that isn't given.
    """
    known = {method.spec.name: method.spec for method in registry.registered_methods()}
    for name, template, search, *_ in chosen:
        method = template["merge_method"]
        require_known([method], known, f"{name}.yaml: merge_method ")
        if known[method].contract.base == BasePolicy.REQUIRED and "base_model" not in template:
            raise FeatrackError(f"{name}.yaml: {method} needs a base_model; name the ancestor.")
        parameters = [parameter.name for parameter in known[method].parameters]
        for part in (search, *(p.get("parameters", {}) for p in (template, *template["models"]))):
            require_known(part, parameters, f"{name}.yaml: ")


run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
every_recipe = recipes.read_recipes(Path(recipe_folder), methods)
check_methods(every_recipe)
merges = recipes.comparable(lineage, every_recipe)
parents_of = {merge: lineage.parents(merge) for merge in merges}
ancestor_of = {merge: lineage.common_ancestor(parents_of[merge]) for merge in merges}
ways = {m: [each for each in every_recipe if each.fits(len(parents_of[m]))] for m in merges}
first_merge = merges[0]


def folder(model):
    return run / "models" / model


def weights(model):
    return load_file(store.opened(folder(model)) / WEIGHTS)


# %% [markdown]
# ## Task vectors
#
# All parents here descend from one {term}`ancestor`. What a fine-tune has added to it is the parent's
# {term}`task vector`, one number for each weight:
#
# $$\delta_i = W_i - W_\text{ancestor} .$$
#
# Written with task vectors, the ways of merging are close relatives.
#
# - **Linear** adds a weighted mean of them, with weights that sum to one.
# - **Slerp** and **nuslerp** follow an arc between the parents, or between their task vectors.
# - **Task arithmetic** {cite:p}`ilharco2023editing` adds their sum, $\lambda \sum_i \delta_i$. Its
#   $\lambda$ is free. With two parents and $\lambda = \frac12$ it is the mean.
# - **TIES** {cite:p}`yadav2023ties` keeps the largest entries of each, lets the vectors elect a sign for
#   each weight, and takes the mean of those entries that agree with it.
# - **DARE** {cite:p}`yu2024language` drops entries at random and scales the others up. What is left goes
#   through TIES' election.
# - **Model stock** {cite:p}`jang2024model` goes from the ancestor towards the mean, the further the
#   smaller the angle between the task vectors. It is run for three parents or more.


# %%
def trimmed(delta, density):
    """TIES: the largest entries stay, the others are 0."""
    largest = delta.abs().float().flatten().argsort(descending=True)
    kept = torch.zeros(delta.numel(), dtype=delta.dtype)
    kept[largest[: max(1, int(density * delta.numel()))]] = 1
    return delta * kept.view_as(delta)


def dropped(delta, density, generator):
    """DARE: entries are dropped at random, the others scaled up to the same sum of sizes."""
    left = delta * torch.bernoulli(torch.full_like(delta, density), generator=generator)
    return left * delta.abs().sum() / left.abs().sum()


def elected(deltas):
    """The mean of those entries that have the sign of the sum."""
    agree = deltas.sign() == torch.where(deltas.sum(dim=0) >= 0, 1, -1)
    return (deltas * agree).sum(dim=0) / agree.sum(dim=0).clamp(min=1)


# %% [markdown]
# The models below are made by mergekit {cite:p}`goddard2024mergekit`, and these functions say what it
# does. To be sure we merge by TIES in both ways, and compare every number:


# %%
def merged(config, seed):
    """What mergekit makes of a filled recipe: tensors by name.

    seed: of what a method draws at random.

    Raises:
        FeatrackError: parents of different shapes, what mergekit refuses, or an outcome that
            isn't finite.
    """
    named = [entry["model"] for entry in config["models"]]
    folders = dict.fromkeys([*named, config.get("base_model", named[0])])
    merging.check_fit([load_file(Path(folder) / WEIGHTS) for folder in folders])
    method = config["merge_method"]
    # mergekit asks a GPT-NeoX for three buffers in each layer, which transformers no longer saves.
    of_neox = NAME_TO_ARCH["GPTNeoXForCausalLM"][0].modules["default"].architecture.definition
    listed_in = of_neox.layer_templates.weights
    buffers = ("attention.bias", "attention.masked_bias", "rotary_emb.inv_freq")
    listed_in[:] = [weight for weight in listed_in if not weight.name.endswith(buffers)]
    quiet = {"quiet": True, "write_model_card": False, "copy_tokenizer": False}
    with tempfile.TemporaryDirectory() as place:
        try:
            options = MergeOptions(random_seed=seed, **quiet)
            run_merge(MergeConfiguration.model_validate(config), place, options)
        except Exception as error:  # its parts raise whatever they like
            said = str(error).strip().splitlines()[0].rstrip(".")
            raise FeatrackError(f"mergekit can't merge by {method}: {said}.") from error
        state = load_file(Path(place) / WEIGHTS)
    if odd := [name for name, tensor in state.items() if not tensor.isfinite().all()]:
        raise FeatrackError(f"The merge by {method} isn't finite in {odd[0]}; change its numbers.")
    return state


# %%
ANCESTOR = weights(ancestor_of[first_merge])
PARENTS = [weights(parent) for parent in parents_of[first_merge]]


def task_vectors(name):
    return torch.stack([parent[name].double() - ANCESTOR[name].double() for parent in PARENTS])


ties = {"merge_method": "ties", "base_model": "ancestor", "models": [{"model": "parent"}]}
ties = recipes.Recipe("ties", {**ties, "parameters": {"weight": 1}}, {})
places = [folder(parent) for parent in parents_of[first_merge]]
filled = ties.filled({"density": 0.3}, places, folder(ancestor_of[first_merge]))
for name, by_mergekit in merged(filled, seed).items():
    ours = elected(torch.stack([trimmed(delta, 0.3) for delta in task_vectors(name)]))
    torch.testing.assert_close(by_mergekit, (ANCESTOR[name] + ours).float(), rtol=0, atol=1e-6)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
both = torch.cat([task_vectors(name).flatten(1) for name in ANCESTOR], dim=1)
pairs = [(i, j) for i in range(len(both)) for j in range(i)]
cosines = [float(torch.cosine_similarity(both[i], both[j], dim=0)) for i, j in pairs]
opposite = float(np.mean([float((both[i] * both[j] < 0).double().mean()) for i, j in pairs]))
sizes = both.norm(dim=1) / torch.cat([w.flatten() for w in ANCESTOR.values()]).double().norm()
say(
    f"How much is there to disagree about? The task vectors of {listed([*map(label, parents_of[first_merge])])} "
    f"are {listed([percent(float(size)) for size in sizes])} as long as {label(ancestor_of[first_merge])}'s "
    f"weights. The cosine between them is {number(float(np.mean(cosines)))}, and {percent(opposite)} of their "
    "entries have opposite signs. In random vectors it would be half of them."
)

# %% [markdown]
# ## Each at its own best setting
#
# A way of merging has a setting: a weight, a density, a λ. It would be unfair to compare them all at
# whatever value a paper has made known. So each is searched, and gets the setting at which the parent
# that is served worst is served best. We measure, as in [the chapter on merging](merge), which share
# of a parent's gain on its own text is left:
#
# $$\min_i \frac{\text{accuracy}_i - \text{ancestor}_i}{\text{parent}_i - \text{ancestor}_i} .$$
#
# (A gain below one point counts as one.) Searching flatters whoever is searched. So the search reads
# every other {term}`group` of the validation text, and what we report is read on the others.

# %%
LEAST_GAIN = 0.01
texts = {d: corpora.validation_blocks(d, evaluation_blocks) for d in lineage.domains}


def read(model, domain, half, most=None):
    """How well a model predicts every other group of a domain: 0 is the search's half."""
    blocks = texts[domain]
    groups = np.unique(blocks.group)[half::2]
    rows = np.flatnonzero(np.isin(blocks.group, groups).any(axis=1))
    rows = rows[:: max(1, len(rows) // (most or len(rows)))]
    tokens, group = blocks.tokens[rows], blocks.group[rows]
    sums = evaluation.evaluate(model, tokens, group).by_document
    sums = sums[np.isin(np.unique(group[:, 1:]), groups)]
    loss, hits, count = sums.sum(axis=0)
    return evaluation.Evaluation(loss / count, hits / count, int(count), sums)


def own_accuracy(model, parent):
    """On a parent's own text, the half that is for the search."""
    domains = lineage.trained_on(parent)
    return np.mean([read(model, domain, 0, sweep_blocks // 2).accuracy for domain in domains])


def own_loss(model, merge):
    """Mean loss on the text of all parents, the half that is for the search."""
    domains = [domain for parent in parents_of[merge] for domain in lineage.trained_on(parent)]
    return float(np.mean([read(model, d, 0, sweep_blocks // 2).loss for d in domains]))


def kept_gains(model, ends):
    """The share of its gain that is left, by parent; `ends` are the ancestor's accuracy, its own."""
    shares = {}
    for parent, (before, after) in ends.items():
        gain = max(after - before, LEAST_GAIN)
        shares[parent] = (own_accuracy(model, parent) - before) / gain
    return shares


# %% [markdown]
# A recipe is a file of mergekit's own kind. In place of models it has the words `parent` and
# `ancestor`, and a list of settings to search. Another file in the folder is another row of what
# follows. This is one of them:

# %%
print((Path(recipe_folder) / f"{every_recipe[-1].name}.yaml").read_text())


# %%
def merge_by(recipe, merge):
    """Merges by a recipe at its best setting, and gives the model's name."""
    parents, before = parents_of[merge], ancestor_of[merge]

    def build(work):
        probe = loading.load_model(folder(before))
        start = {parent: own_accuracy(probe, parent) for parent in parents}
        ends = {p: (start[p], own_accuracy(loading.load_model(folder(p)), p)) for p in parents}
        rows, best = [], None
        for setting in recipe.settings(len(parents)):
            state = merged(recipe.filled(setting, [*map(folder, parents)], folder(before)), seed)
            kept = kept_gains(merging.with_weights(probe, state), ends)
            rows.append({"setting": json.dumps(setting), "worst": min(kept.values()), **kept})
            if rows[-1]["worst"] == max(row["worst"] for row in rows):
                best = setting, state
        merging.save_like(work, folder(parents[0]), best[1])
        filled = recipe.filled(best[0], [f"../{parent}" for parent in parents], f"../{before}")
        (work / merging.RECIPE).write_text(yaml.safe_dump(filled, sort_keys=False))
        pd.DataFrame(rows).to_csv(work / "search.csv", index=False)

    name = f"{merge}.by-{recipe.name}"
    given = {"template": recipe.template, "search": recipe.search, "seed": seed}
    store.make(
        folder(name),
        build,
        parameters=given | {"blocks": [sweep_blocks, evaluation_blocks], "context": context},
        inputs=[run / "corpora", *map(folder, (*parents, before))],
        code=[recipes, merging, evaluation],
    )
    return name


merged_by = {m: {recipe.name: merge_by(recipe, m) for recipe in ways[m]} for m in merges}

# %% tags=["hide-input"] jupyter={"source_hidden": true}
rows = []
for way, model in merged_by[first_merge].items():
    search = pd.read_csv(folder(model) / "search.csv")
    best = search.loc[search["worst"].idxmax()]
    setting = ", ".join(f"{key} {value}" for key, value in json.loads(best["setting"]).items())
    rows.append({"method": way, "best setting": setting or "it has none", "tried": len(search)})
    rows[-1] |= {label(parent): best[parent] for parent in parents_of[first_merge]}
kept_in_search = pd.DataFrame(rows)
show_table(
    kept_in_search,
    dict.fromkeys(map(label, parents_of[first_merge]), ".0%"),
    caption="Each method at the best of its settings, and the share of each parent's gain that is left "
    "there, on the half of the text that the search read.",
)

# %% [markdown]
# ## Controls
#
# Four models show what a merge would be if it were no merge, or no merge of relatives.
#
# - A **parent merged with itself** must come back as it was, by every method.
# - The **ancestor** is a merge of weight zero. Whatever it has of the parents' features, no method can
#   take credit for.
# - The **random task vector** is as long as the mean's, tensor by tensor, and points anywhere:
#
# $$W = W_\text{ancestor} + \lVert\bar\delta\rVert \frac{N}{\lVert N\rVert},\qquad N_{ij} \sim \mathcal N(0, 1).$$
#
# - The **stranger** is a base model trained on the same text from another {term}`seed`. It shares no
#   history with the first parent. The mean of the two shows what the common ancestor is good for. It
#   isn't tuned, so besides the base's text the mean knows the first parent's alone.


# %%
def largest_change(recipe, merge):
    """How far a parent's weights move if it is merged with itself."""
    parents = parents_of[merge]
    with tempfile.TemporaryDirectory() as place:
        copies = [Path(place) / str(number) for number in range(len(parents) + 1)]
        for copy in copies:  # mergekit counts models by their names
            copy.symlink_to(folder(parents[0]).resolve(), target_is_directory=True)
        setting = recipe.settings(len(parents))[0]
        state = merged(recipe.filled(setting, copies[1:], copies[0]), seed)
    own = weights(parents[0])
    return max(float((state[name] - own[name]).abs().max()) for name in own)


changed = {recipe.name: largest_change(recipe, first_merge) for recipe in ways[first_merge]}
assert max(changed.values()) < 1e-6


# %%
def random_task_vector(merge, like):
    """A model that differs from the ancestor as much as another one, in a random direction."""

    def build(work):
        before, after = weights(ancestor_of[merge]), weights(like)
        delta = {name: after[name].double() - before[name].double() for name in before}
        drawn = controls.redrawn(delta, lambda name: bool(delta[name].any()), seed)
        moved = {name: (before[name] + drawn[name]).float() for name in before}
        merging.save_like(work, folder(parents_of[merge][0]), moved)

    return store.make(
        folder(f"{merge}.random-task"),
        build,
        parameters={"seed": seed},
        inputs=[folder(ancestor_of[merge]), folder(like)],
        code=[controls, merging],
    ).name


STRANGER = "mean with a stranger"


def with_stranger(merge):
    """The mean of a merge's first parent and the base model of another seed."""

    def build(work):
        both = [weights(parents_of[merge][0]), weights("second_root")]
        merging.save_like(work, folder(parents_of[merge][0]), merging.linear(both, [0.5, 0.5]))

    return store.make(
        folder(f"{merge}.with-stranger"),
        build,
        parameters={},
        inputs=[folder(parents_of[merge][0]), folder("second_root")],
        code=[merging],
    ).name


# %% [markdown]
# With the stranger we can ask the oldest question about merging: is there a {term}`barrier` on the way
# {cite:p}`frankle2020linear`? We walk straight from the first parent to its own ancestor, and straight to the stranger, and read the
# text that all three have learned from. The barrier is what the loss half-way exceeds the mean of the
# two ends by.

# %%
STEPS = (0, 0.25, 0.5, 0.75, 1)
known_to_all = lineage.trained_on(lineage.root)


def losses_to(other):
    """Loss, tokens foreseen and tokens by document, for each domain and each step of the way."""
    ends = weights(parents_of[first_merge][0]), weights(other)
    probe, found = loading.load_model(folder(other)), {d: [] for d in known_to_all}
    for t in STEPS:
        between = merging.with_weights(probe, merging.linear(ends, [1 - t, t]))
        for domain, each in found.items():
            each.append(read(between, domain, 1).by_document)
    return {domain: np.stack(each) for domain, each in found.items()}


def along(found, times):
    """The mean loss at each step, where documents count so many times, by domain."""
    counted = [times[domain] @ each for domain, each in found.items()]
    return np.mean([each[:, 0] / each[:, 2] for each in counted], axis=0)


def barrier(found, draws=1000):
    """How much the loss half-way exceeds the mean of the ends, with its interval."""
    sizes = {domain: each.shape[1] for domain, each in found.items()}
    rng = np.random.default_rng(seed)
    several = [{d: np.ones(n) for d, n in sizes.items()}]
    several += [
        {d: rng.multinomial(n, np.full(n, 1 / n)) for d, n in sizes.items()} for _ in range(draws)
    ]
    heights = [way[2] - (way[0] + way[4]) / 2 for way in (along(found, one) for one in several)]
    return Interval(float(heights[0]), *around(np.array(heights[1:])))


paths = {}
if lm_seed:
    paths = {
        "its ancestor": losses_to(ancestor_of[first_merge]),
        "a stranger": losses_to("second_root"),
    }

# %% tags=["hide-input"] jupyter={"source_hidden": true}
barriers = {name: barrier(found) for name, found in paths.items()}
if paths:
    figure, axis = style.single(2.6)
    for (name, found), look in zip(paths.items(), ("o-", "D--"), strict=True):
        once = {domain: np.ones(each.shape[1]) for domain, each in found.items()}
        axis.plot(STEPS, along(found, once), look, color="black", label=f"to {name}")
    axis.set(xlabel=f"way from {label(parents_of[first_merge][0])} (0) to the other model (1)")
    axis.set_ylabel("loss, nats a token\n(lower is better)")
    axis.legend()
    show(
        figure,
        f"Loss on the text of {label(lineage.root)} on the straight way from "
        f"{label(parents_of[first_merge][0])} to the model that it was tuned from, and to one of the same "
        "kind that it shares no history with.",
        "fig-barrier",
        "Two curves, one flat, one with a hill in the middle",
    )

# %% tags=["remove-input"] jupyter={"source_hidden": true}
if paths:
    near, far = (barriers[name] for name in paths)
    say(
        f"Half-way to its ancestor the loss is {with_interval(near, 2, share=False)} nats above the mean of the "
        f"ends, half-way to the stranger {with_interval(far, 2, share=False)} ({{numref}}`fig-barrier`). "
        + (
            "Only models with a common history can be averaged. Neuron 7 of one model has nothing to do "
            "with neuron 7 of a stranger."
            if far.low > max(near.high, 0)
            else "Whether strangers merge worse than relatives is unclear here."
        )
    )


# %% [markdown]
# ## Accuracy

# %% tags=["hide-input"] jupyter={"source_hidden": true}
OWN, RANDOM, AGAIN = "this run's merge", "random task vector", "read again"
NOTHING = "the ancestor itself"
reference_of = {
    m: "linear" if "linear" in merged_by[m] else next(iter(merged_by[m])) for m in merges
}
models_of = {}  # of each merge, by the words of a figure's row
for merge in merges:
    reference = merged_by[merge][reference_of[merge]]
    models_of[merge] = merged_by[merge] | {
        OWN: merge,
        RANDOM: random_task_vector(merge, reference),
        NOTHING: ancestor_of[merge],
    }
    if lm_seed and merge == first_merge:
        models_of[merge][STRANGER] = with_stranger(merge)
key_of = {m: "merge" if len(merges) == 1 else f"merge.{m}" for m in merges}
SLUGS = {OWN: "own", RANDOM: "random_task_vector", NOTHING: "ancestor", AGAIN: "read_again"}
SLUGS[STRANGER] = "stranger"


def key(merge, row):
    return f"{key_of[merge]}.{SLUGS.get(row, row)}"


results, scores = {}, {}
for name, each in zip(("barrier_to_ancestor", "barrier"), barriers.values(), strict=False):
    results |= flat(f"{key(first_merge, STRANGER)}.{name}", each)
for merge in merges:
    ends = {parent: parent for parent in parents_of[merge]}
    for row, model in (models_of[merge] | ends).items():
        opened = loading.load_model(folder(model))
        scores[merge, row] = {domain: read(opened, domain, 1) for domain in lineage.domains}
        if row not in ends:
            results |= evaluation.score_results(key(merge, row), scores[merge, row])

# %% tags=["hide-input"] jupyter={"source_hidden": true}
rows = [*models_of[first_merge]]
own = {d: p for p in parents_of[first_merge] for d in lineage.trained_on(p)}
figure, axis = style.single(0.42 * len(rows) + 1.9)
for number_of, (domain, parent) in enumerate(own.items()):
    look = {"color": style.colour_of(domain), "marker": style.MARKERS[number_of]}
    for place, row in enumerate(rows):
        name = f"{key(first_merge, row)}.{domain}.accuracy"
        at = place + 0.12 * (number_of - (len(own) - 1) / 2)
        if f"{name}.ci_low" in results:
            ends = results[f"{name}.ci_low"], results[f"{name}.ci_high"]
            axis.hlines(at, *ends, color=look["color"], lw=2)
        axis.plot(results[name], at, mec="white", ms=8, ls="", **look)
    axis.axvline(scores[first_merge, parent][domain].accuracy, color=look["color"], ls="--", lw=1)
    axis.plot([], [], ls="--", label=label(domain), **look)
axis.set_yticks(range(len(rows)), rows)
axis.set_ylim(len(rows) - 0.5, -0.5)
axis.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
axis.set_xlabel("next-token accuracy (higher is better)")
figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2)
show(
    figure,
    "Accuracy of each method's best merge on the parents' text, with 95 % intervals over groups of "
    "documents that the search has not read. Dashed: the parent that was tuned on that text.",
    "fig-method-accuracy",
    "Dots of accuracy, one row a method, for each parent's domain, beside the parents' own",
)


# %% [markdown]
# The groups of documents are the same for all models. So the difference between two of them has a narrower
# interval than either: whole groups are resampled, and in each draw both count the same ones.


# %%
def accuracy_gap(merge, row, domain, draws=1000):
    """A model's accuracy less the reference's, with an interval over common draws of groups."""
    one, other = (scores[merge, w][domain].by_document for w in (row, reference_of[merge]))
    n = len(one)
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws)
    drawn = (times @ one[:, 1] - times @ other[:, 1]) / (times @ one[:, 2])
    gap = (one[:, 1].sum() - other[:, 1].sum()) / one[:, 2].sum()
    return Interval(float(gap), *around(drawn))


for merge in merges:
    for row in (row for row in models_of[merge] if row != reference_of[merge]):
        for domain in lineage.domains:
            gap = accuracy_gap(merge, row, domain)
            results |= flat(f"{key(merge, row)}.{domain}.accuracy_from_reference", gap)


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def loss_of(merge, row):
    """Mean loss on the text of all parents, the half that nobody has searched."""
    domains = [d for parent in parents_of[merge] for d in lineage.trained_on(parent)]
    return float(np.mean([scores[merge, row][domain].loss for domain in domains]))


def ptp(values):
    return max(values) - min(values)


losses = {row: loss_of(first_merge, row) for row in merged_by[first_merge]}
gap = ptp(losses.values())
lowest = min(losses, key=losses.get)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"On the parents' text the best loss is that of {lowest}, {number(losses[lowest])} nats a token, and all "
    f"methods lie within {number(gap)} nats of it; the ancestor has "
    f"{number(loss_of(first_merge, NOTHING))}, a random task vector "
    f"{number(loss_of(first_merge, RANDOM))}"
    + (
        f", the mean with a stranger {number(loss_of(first_merge, STRANGER))}"
        if STRANGER in models_of[first_merge]
        else ""
    )
    + " ({numref}`fig-method-accuracy`)."
)

# %% [markdown]
# ## At equal loss
#
# A method that predicts better might keep other features for that reason alone. So features are
# compared at equal loss. A merge $W$ whose loss is below the reference's is taken back towards the ancestor,
#
# $$W_\text{ancestor} + s\,(W - W_\text{ancestor}), \qquad 0 < s \le 1,$$
#
# until the two have the same loss on the half of the text that was searched. For task arithmetic, TIES
# and DARE that is a smaller λ. A merge that is worse than the reference stays as it is.


# %%
def at_equal_loss(way, merge):
    """A method's best merge, taken back until its loss is the reference's."""
    best, reference = merged_by[merge][way], merged_by[merge][reference_of[merge]]
    if best == reference:
        return best

    def build(work):
        start, end = weights(ancestor_of[merge]), weights(best)
        probe = loading.load_model(folder(reference))
        goal = own_loss(probe, merge)

        def above(s):
            scaled = merging.with_weights(probe, merging.linear([start, end], [1 - s, s]))
            return own_loss(scaled, merge) - goal

        s = brentq(above, 0, 1, xtol=0.002) if above(1) < 0 < above(0) else 1.0
        merging.save_like(
            work, folder(parents_of[merge][0]), merging.linear([start, end], [1 - s, s])
        )
        (work / "scale.json").write_text(json.dumps(s))

    return store.make(
        folder(f"{best}.at-equal-loss"),
        build,
        parameters={"blocks": [sweep_blocks, evaluation_blocks], "context": context},
        inputs=[run / "corpora", *map(folder, (ancestor_of[merge], best, reference))],
        code=[merging, evaluation],
    ).name


equal = {m: {way: at_equal_loss(way, m) for way in merged_by[m]} for m in merges}

# %% tags=["remove-input"] jupyter={"source_hidden": true}
scales, gaps_left = {}, {}
for merge in merges:
    left = []
    for way, model in equal[merge].items():
        given = folder(model) / "scale.json"
        scales[merge, way] = json.loads(given.read_text()) if given.exists() else 1.0
        results[f"{key(merge, way)}.scale_at_equal_loss"] = scales[merge, way]
        opened = loading.load_model(folder(model))
        ends = {d: read(opened, d, 1) for p in parents_of[merge] for d in lineage.trained_on(p)}
        left.append(float(np.mean([score.loss for score in ends.values()])))
    gaps_left[merge] = ptp(left)
    results[f"{key_of[merge]}.methods.loss_gap_at_equal_loss"] = gaps_left[merge]
back = {way: scales[first_merge, way] for way in merged_by[first_merge]}
back = {way: s for way, s in back.items() if s < 1}
say(
    (
        "Taken back are " + listed([f"{way}, to s = {number(s)}" for way, s in back.items()]) + ". "
        if back
        else f"No method is better than {reference_of[first_merge]}, so none is taken back. "
    )
    + "On text that nobody has searched the losses now lie within "
    f"{number(gaps_left[first_merge])} nats of each other, where they lay within {number(gap)}."
)

# %% [markdown]
# ## What survives
#
# Each of these models, at equal loss, gets a dictionary of its own, by the recipe of the parents'
# dictionaries. The run's own merge and the controls stand beside them. All have one {term}`seed`. They are asked for features of the parents'
# dictionaries of *other* seeds, so no match is owed to a common start. Features fall into classes, by the
# parents this time:
#
# - **both**: a parent's features that another parent has as well (with three parents: *shared*);
# - **first**, **second**: features that this parent alone has;
# - **novel**: the merge's own features that no parent has.
#
# Of each of the former classes we count the share that the merge has. Its {term}`ceiling` is what the
# parent's own other dictionary has of the *same* features, its {term}`floor` what the run's merge has of
# them after its MLP was made [random](floors). One floor serves all methods, so that all are measured from
# one zero. To see whether that is fair, the merge farthest from the run's own gets a random MLP, too.
# One method, finally, is **read again**: the same model,
# a dictionary of another seed. Two methods that differ no more than these two differ by their dictionaries.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
SEED = jobs.ZERO_SEED
recipe = jobs.recipe(globals())
wanted, dictionary_of = [], {}
for merge in merges:
    reads = lineage.reads(merge)
    dictionary_of[merge] = {row: f"{merge}.of-{SLUGS.get(row, row)}" for row in models_of[merge]}
    dictionary_of[merge][OWN] = f"{merge}-{SEED}"  # the run has it already
    for row, name in dictionary_of[merge].items():
        if row != OWN:
            model = equal[merge].get(row, models_of[merge][row])
            # A stranger's mean is sparser; its dictionary gets the L0 of the run's own merge.
            like = f"{merge}-{SEED}" if row == STRANGER else None
            wanted.append(jobs.Job(name, model, SEED, reads, like=like))
    again = equal[merge][reference_of[merge]]
    dictionary_of[merge][AGAIN] = f"{merge}.of-read_again"
    wanted.append(jobs.Job(f"{merge}.of-read_again", again, max(2, other_seeds), reads))


def distance(model, other):
    one, two = weights(model), weights(other)
    return sum(float((one[n].double() - two[n].double()).square().sum()) for n in one)


FLOOR = "random MLP"
farthest = sorted(
    equal[first_merge], key=lambda way: -distance(equal[first_merge][way], first_merge)
)
OWN_FLOORS = {way: f"{FLOOR} of {way}" for way in farthest[:method_floors]}
own_floors = {}
for way in OWN_FLOORS:
    like = dictionary_of[first_merge][way]
    control = f"{equal[first_merge][way]}.mlp"
    controls.make_control(run, equal[first_merge][way], control, controls.Redraw.of(lineage), 0)
    own_floors[way] = f"{like}.mlp"
    reads = lineage.reads(first_merge)
    wanted.append(jobs.Job(own_floors[way], control, SEED, reads, like=like))
measured = jobs.train_and_measure(run, corpora, wanted, recipe, evaluation_blocks)


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def sampled(merge):
    """All dictionaries that a merge's methods are compared with, under common draws."""
    names = {p: [f"{p}-{s}" for s in range(other_seeds)] for p in parents_of[merge]}
    names |= {row: [name] for row, name in dictionary_of[merge].items()}
    asked_seeds = {*range(other_seeds)} - {SEED}
    draws = [d for d in range(control_draws) if d not in asked_seeds] or range(control_draws)
    names[FLOOR] = [f"{merge}.mlp-{draw}" for draw in draws]
    if merge == first_merge:
        names |= {OWN_FLOORS[way]: [name] for way, name in own_floors.items()}
    found = features.open_named(run, [name for each in names.values() for name in each])
    of_models = {model: [found[name] for name in each] for model, each in names.items()}
    criteria = {"min_positions": min_positions, "min_documents": min_documents}
    return resample(of_models, [tau], tau=tau, replicates=replicates, seed=seed, **criteria)


samples = {merge: sampled(merge) for merge in merges}

# %% [markdown]
# Which class a parent's feature is of, the *other* parents' dictionaries of the one seed decide:


# %%
def classes(merge, parent):
    """Masks of a parent's features that another parent has, and that it has alone."""
    sample, shared, alone = samples[merge], [], []
    others = [other for other in parents_of[merge] if other != parent]
    for s in sample.seeds(parent):
        able = sample.eligible[parent][s] & (s != SEED)  # those of the one seed aren't asked
        has = np.zeros_like(able)
        pairs = [((parent, s), (other, SEED)) for other in others]
        for match in sample.matched(pairs).values():
            has |= match.best_r > tau
        shared.append(able & has)
        alone.append(able & ~has)
    return shared, alone


def survival(merge, row):
    """What a model has of the parents' features, by class, beside ceiling and floor."""
    floors = {"random_mlp": FLOOR}
    if merge == first_merge and row in OWN_FLOORS:
        floors["own"] = OWN_FLOORS[row]
    found, how = {}, {"rule": rule, "floors": floors}
    of_shared = []
    for ordinal, parent in zip(ORDINALS, parents_of[merge], strict=False):
        shared, alone = classes(merge, parent)
        of_shared.append(persistence(samples[merge], parent, row, among=shared, **how))
        found[ordinal] = persistence(samples[merge], parent, row, among=alone, **how)
    both = Persistence(
        mean(each.shares for each in of_shared),
        mean(each.ceilings for each in of_shared),
        {name: mean(each.floors[name] for each in of_shared) for name in floors},
        tau,
    )
    return {"both" if len(of_shared) == 2 else "shared": both, **found}


ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
survived = {(m, row): survival(m, row) for m in merges for row in dictionary_of[m]}

# %% [markdown]
# Without the bootstrap that is a count of five lines:

# %%
sample, parent = samples[first_merge], parents_of[first_merge][0]
row = reference_of[first_merge]
match = sample.matched([((parent, 0), (row, 0))])[(parent, 0), (row, 0)]
alone = classes(first_merge, parent)[1][0] & match.asked
by_hand = np.mean(match.best_r[alone] > tau) if alone.any() else np.nan
by_package = survived[first_merge, row]["first"].raw()
assert rule != "best" or other_seeds > 2 or np.isclose(by_hand, by_package, equal_nan=True)


# %% [markdown]
# For novel features the question is turned round. We count those of the merge's features that no parent
# has. A merge that changes nothing gives back a parent, whose other dictionary says how many features
# *seem* novel then.


# %%
def found_in_parents(merge, row):
    """The share of a model's features that a parent has, beside the ceiling; novel is the rest."""
    each = merge_origins(samples[merge], row, parents_of[merge], rule)["novel"]
    able = int(samples[merge].eligible[row][0].sum())
    # Another dictionary would have other features: as in all shares here, that luck is added.
    share = over_seeds({(0, 0): each.shares._replace(asked=able)}, samples[merge].draws, row, row)
    return each._replace(shares=share)


known = {(m, row): found_in_parents(m, row) for m in merges for row in dictionary_of[m]}
known |= {
    (m, FLOOR): merge_origins(samples[m], FLOOR, parents_of[m], rule)["novel"] for m in merges
}

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
for (merge, row), by_class in survived.items():
    for name, each in by_class.items():
        results |= each.as_results(f"{key(merge, row)}.survival_{name}_share")
    novel = known[merge, row]._replace(floors={FLOOR: known[merge, FLOOR].shares})
    results |= novel.lost_results(f"{key(merge, row)}.survival_novel_share")
    results |= flat(f"{key(merge, row)}.survival_novel_share.rescaled", novel.rescaled())

# %% tags=["hide-input"] jupyter={"source_hidden": true}
rows = [*merged_by[first_merge], OWN, AGAIN, RANDOM, NOTHING]
rows += [STRANGER] * (STRANGER in models_of[first_merge])
names = [*survived[first_merge, rows[0]], "novel"]
parents = [label(parent) for parent in parents_of[first_merge]]
titles = ["of both parents" if len(parents) == 2 else "of several parents"]
titles = [*titles, *(f"of {parent} alone" for parent in parents), "novel"]


def drawn(row, name):
    """Share, ceiling and floor of one dot."""
    if name != "novel":
        each = survived[first_merge, row][name]
        return each.share(), each.ceiling(), each.floor()
    own, control = known[first_merge, row], known[first_merge, FLOOR]
    three = own.shares, own.ceilings, control.shares
    return tuple(interval(complement(each), tau) for each in three)


lines = -(-len(names) // 2)
height = lines * (0.26 * len(rows) + 0.9)
figure = style.Figure(figsize=(style.WIDTH, height), layout="constrained")
axes = list(figure.subplots(lines, 2, sharey=True, squeeze=False).flat)
for axis in axes[len(names) :]:
    axis.remove()
for axis, name, title in zip(axes, names, titles, strict=False):
    _, top, low = drawn(rows[0], name)
    axis.axvline(top.estimate, color="black", lw=1.5)
    axis.axvline(low.estimate, color="#999999", lw=3)
    for place, row in enumerate(rows):
        share, _, _ = drawn(row, name)
        if row in OWN_FLOORS and name != "novel":
            own = survived[first_merge, row][name].floor("own")
            axis.plot(own.estimate, place, "|", color="#999999", ms=16, mew=3)
        is_merge = row in (*merged_by[first_merge], OWN)
        colour = style.colour_of(first_merge) if is_merge else style.GREY
        axis.hlines(place, share.low, share.high, color=colour, lw=2)
        axis.plot(share.estimate, place, "o", color=colour, mec="white", ms=7)
    axis.set_yticks(range(len(rows)), [f"{row}" for row in rows], fontsize=9)
    axis.set(title=title, ylim=(len(rows) - 0.5, -0.5))
    axis.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
figure.supxlabel("share of the class that the model has; novel: of its own features", fontsize=11)
show(
    figure,
    "What each way of merging keeps, with 95 % intervals; each panel has a scale of its own. Black line, the ceiling: the parent's own "
    "other dictionary. Grey line, the floor: the merge with a random MLP (a short one: of that method's "
    "own merge). Grey dots: "
    f"{reference_of[first_merge]} read by another dictionary, and models that are no merges. Novel: the "
    "black line is the share that seems novel in a parent's own other dictionary.",
    "fig-survival",
    "Panels of dots, one a class of features, one row a method, with lines for ceiling and floor",
)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
shown = [row for row in rows if row != AGAIN]
table = pd.DataFrame(
    [
        {"model": row, **{name: survived[first_merge, row][name].rescaled() for name in names[:-1]}}
        | {"L0": quality.mean_quality(run, [dictionary_of[first_merge][row]])["l0"]}
        for row in shown
    ]
)
show_table(
    table,
    dict.fromkeys(names[:-1], ".0%") | {"L0": ".0f"},
    caption="Rescaled: 0 is the floor, 100 % the ceiling. Where the two can't be told apart there is "
    "no such number.",
    notes={"L0": "features a token"},
)


# %% tags=["remove-input"] jupyter={"source_hidden": true}
def moved_apart(moved, name):
    return name in moved and (moved[name].low > 0 or moved[name].high < 0)


for way in OWN_FLOORS:
    of_way = survived[first_merge, way]
    moved = {
        name: difference(each.floors["own"], each.floors["random_mlp"], tau)
        for name, each in of_way.items()
    }
    most = max(moved, key=lambda name: abs(moved[name].estimate))
    apart = [title for name, title in zip(names, titles, strict=True) if moved_apart(moved, name)]
    d = moved[most]
    say(
        f"Is one floor fair to all? {way} is the merge farthest from the run's own. With a random MLP of its own "
        f"its floor for features {dict(zip(names, titles, strict=True))[most]} lies {points(d.estimate, 1)} "
        f"[{number(100 * d.low, 1)}, {number(100 * d.high, 1)}] from the common one, for all others nearer. "
        + (
            f"It is apart from zero for features {listed(apart)}: there the common floor is a wrong zero for "
            f"{way}."
            if apart
            else "None of these differences is apart from zero."
        )
    )

# %% [markdown]
# ## How far apart are they?
#
# Every method is compared with one of them, the reference, at equal loss, class by class. So are the controls.
# All shares rest on the same draws of documents, so a difference has an interval of its own.


# %%
def share_of(merge, row, name):
    if name == "novel":
        return complement(known[merge, row].shares)
    return survived[merge, row][name].shares


def differences(merge, rows):
    """Of each row's shares from the reference's, by row and class."""
    start = reference_of[merge]
    return {
        (row, name): difference(share_of(merge, row, name), share_of(merge, start, name), tau)
        for row in rows
        for name in [*survived[merge, start], "novel"]
    }


apart_by = {
    m: differences(m, [r for r in dictionary_of[m] if r != reference_of[m]]) for m in merges
}

# %% tags=["remove-input"] jupyter={"source_hidden": true}
reference, title_of = reference_of[first_merge], dict(zip(names, titles, strict=True))


def farthest_of(rows):
    """The pair of row and class that lies farthest from the reference, in words, and how far."""
    found = {pair: d for pair, d in apart_by[first_merge].items() if pair[0] in rows}
    row, name = max(found, key=lambda pair: np.nan_to_num(abs(found[pair].estimate)))
    d = found[row, name]
    ends = f" [{number(100 * d.low, 0)}, {number(100 * d.high, 0)}]" if np.isfinite(d.low) else ""
    return f"{row}, {title_of[name]}: {points(d.estimate)}{ends}", abs(d.estimate)


other_ways = [way for way in merged_by[first_merge] if way != reference]
(among_ways, by_way) = farthest_of(other_ways) if other_ways else ("", np.nan)
(_, by_dictionary) = farthest_of([AGAIN])
others_shown = [row for row in (NOTHING, RANDOM, STRANGER) if row in models_of[first_merge]]
say(
    f"The largest difference between a method and {reference} is that of {among_ways}. Reading {reference} "
    f"again with another dictionary moves a class by up to {points(by_dictionary)}. "
    + (
        "So much of a difference may be the dictionary's."
        if by_dictionary > by_way / 2
        else "The method's part is larger than that."
    )
    if other_ways
    else f"Only {reference} is compared here.",
    "Of the models that are no merges of relatives, the farthest classes are: "
    + "; ".join(farthest_of([row])[0] for row in others_shown)
    + ".",
)

# %% [markdown]
# Each of these intervals is one of many, and among many some exclude zero by chance. [A page of its
# own](which-merge) asks which differences are left when they are judged together, and turns them into advice.

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
for merge in merges:
    of = [loss_of(merge, way) for way in merged_by[merge]]
    results[f"{key_of[merge]}.methods.loss_gap"] = ptp(of)
    worst = [
        pd.read_csv(folder(model) / "search.csv")["worst"] for model in merged_by[merge].values()
    ]
    results[f"{key_of[merge]}.methods.kept_between_settings"] = max(map(ptp, worst))
    results[f"{key_of[merge]}.methods.kept_between_methods"] = ptp([each.max() for each in worst])
    for (row, name), d in apart_by[merge].items():
        results |= flat(f"{key(merge, row)}.survival_{name}_from_reference", d)
store.write_results(run, "methods", results)

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    "Ways of merging differ in what they do with task vectors: average, add, trim, drop or elect. At their "
    f"best settings their losses differ by up to {number(gap)} nats, so their features were compared at equal "
    f"loss, within {number(gaps_left[first_merge])} nats. There a method moves a class of features by "
    f"{points(by_way)} at most, another dictionary of the same merge by {points(by_dictionary)}. A claim that "
    "one method keeps more needs the ancestor, a random task vector and a second dictionary beside it."
)

# %% [markdown]
# What comes next: [where on the way](along) from one parent to the other features die, and then
# [which merge to use](which-merge).
#
# :::{admonition} Exercise 1
# :class: tip
# For the share of its entries that TIES sets to zero *by the election alone* (density 1), take the first
# two parents: how often do their task vectors disagree in sign? You need `task_vectors(name)`, with one
# row a parent, for each `name` in `ANCESTOR`. Count all entries of all tensors alike.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
disagree = float((both[0].sign() * both[1].sign() < 0).double().mean())

# %%
answer = ...  # a share, from 0 to 1
check(answer, disagree)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
opposed = total = 0
for name in ANCESTOR:
    one, other = (task_vectors(name)[i].numpy() for i in (0, 1))
    opposed += np.sum((one > 0) & (other < 0)) + np.sum((one < 0) & (other > 0))
    total += one.size
answer = opposed / total
check(answer, disagree)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# How much of its length would the mean of two task vectors have if they were at right angles and
# equally long? And DARE, at density 0.5: by which factor does an entry that is kept grow, on average?
# Give both, as a list.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
axes_apart = torch.eye(2, dtype=torch.float64)
many = torch.ones(100_000, dtype=torch.float64)
grown = dropped(many, 0.5, torch.Generator().manual_seed(0)).max()
expected = [float(axes_apart.mean(dim=0).norm()), float(grown)]

# %%
answer = ...  # [length of the mean, factor]
check(answer, expected, within=0.02)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = [np.sqrt(0.5**2 + 0.5**2), 1 / 0.5]  # half of each; half of the entries carry all
check(answer, expected, within=0.02)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# Add a recipe of your own to the folder of recipes, for instance `dare_linear`, with a search of its
# density. Which row of {numref}`fig-survival` do you expect it to be nearest to?
# :::
#
# :::{dropdown} Answer
# Task arithmetic at the same λ: on average dropping and scaling up change nothing. What they add is
# noise, the more the lower the density.
# :::
