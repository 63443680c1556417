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
# # Are the dictionaries comparable?
#
# If one {term}`dictionary` is twice as sparse as the other, a share of features found again measures the
# sparsity. {cite:t}`horn2025tracking` trained four dictionaries, one of them with a sparsity coefficient ten
# times the others'. We train all with **one** coefficient and several seeds. Are they alike? And are they
# worth having?
#
# **You will learn** how sparse and precise each dictionary is, whether it describes its model better
# than the model's own neurons do, and how many features are copies of another. **You need**
# [the chapter before](sae). **It takes** ten minutes.

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib.ticker import MultipleLocator, PercentFormatter

from featrack_utils.dictionaries import features, quality
from featrack_utils.display import paper, style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import check, count, listed, number, percent, points, say, show
from featrack_utils.lineage import label
from featrack_utils.matching import classes, correlation
from featrack_utils.pipeline import store

# %% tags=["parameters"]
run_dir = "runs/quick"
root_seeds = 3  # dictionaries of the base model; paper: 1
other_seeds = 2  # of every other model; paper: 1
tau = 0.8  # correlation above which two features of one dictionary are copies; paper: 0.8
min_positions = 30  # a feature must be active at so many positions of the mix to be judged
min_documents = 10  # and in so many documents

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
names = features.dictionary_names(lineage, root_seeds, other_seeds)
found = features.open_features(run, lineage, root_seeds, other_seeds)
sums = {name: quality.Sums.load(run / "features" / name / "sums.safetensors") for name in found}

# %% [markdown]
# ## Better than neurons?
#
# Two figures tell how good a dictionary is. {term}`L0` is the number of active features a token, and the
# *variance explained* is the share of the activations' variance that they account for. But how much is
# much? The model's own neurons are a description that costs nothing. So we ask what each token's $k$
# largest neurons would explain if all others were zero:
#
# $$
# 1 - \frac{\sum_t \sum_{i \notin \text{top}_k(t)} x_{ti}^2}
#          {\sum_t \lVert x_t - \bar x \rVert^2} .
# $$
#
# A dictionary of L0 = $k$ that explains no more than that is not worth its training.
#
# When a dictionary was measured, each token's squared activations were sorted and added up by rank. From
# these sums the formula follows for all $k$ at once, for any domains:


# %%
def kept_by_neurons(sums, domains):
    """Share of variance that each token's k largest neurons explain, for k = 0, 1, 2, …"""
    rows = [sums.domains.index(domain) for domain in domains]
    ranked = sums.ranked[rows].sum(0).numpy()  # squared activations, each token's largest first
    mean = sums.total[rows].sum(0) / sums.count[rows].sum()
    variance = ranked.sum() - float(sums.count[rows].sum() * mean.square().sum())
    left = ranked.sum() - np.cumsum([0, *ranked])
    return 1 - left / variance


curves = {m: kept_by_neurons(sums[names[m][0]], lineage.reads(m)) for m in lineage.order}


# %%
def own_domains(lineage, model):
    """What a model, or each model that it was merged from, was trained on last.

    On text of before its MLP may do harm.
    """
    if own := lineage.trained_on(model):
        return own
    known = {d for parent in lineage.parents(model) for d in own_domains(lineage, parent)}
    return tuple(domain for domain in lineage.domains if domain in known)


def copies_share(group):
    """Copies / candidates, by the groups of a `Copies`; None: no candidate, so not defined."""
    group = group[group >= 0]
    return float(np.mean(np.bincount(group)[group] > 1)) if group.size else None


def row(model, seed, name):
    result = quality.quality(sums[name], lineage.reads(model))
    acts, origin = found[name].acts, found[name].origin
    able = classes.eligible(acts, origin, min_positions, min_documents)
    own = quality.quality(sums[name], own_domains(lineage, model))
    return {
        "model": model,
        "seed": seed,
        **result._asdict(),
        "own_ce_loss_score": own.meaningful_score,
        "copies_share": copies_share(correlation.copies(acts, tau, eligible=able).group),
        "eligible_share": able.mean(),
    }


table = pd.DataFrame(
    row(model, seed, name) for model in lineage.order for seed, name in enumerate(names[model])
).astype({"ce_loss_score": float, "own_ce_loss_score": float})  # None: no score means anything
for one in table.itertuples():
    curve = curves[one.model]
    by_hand = np.interp(one.l0, range(len(curve)), curve)
    np.testing.assert_allclose(by_hand, one.neuron_variance_explained)

# %% tags=["hide-input"]
figure, axis = style.single(3.4)
shape = dict(zip(lineage.order, style.MARKERS * len(lineage.order), strict=False))
for model in lineage.order:
    axis.plot(curves[model], color=style.colour_of(model), lw=1)
    mine = table[table["model"] == model]
    looks = {"color": style.colour_of(model), "marker": shape[model], "ls": "", "ms": 8}
    axis.plot(mine["l0"], mine["variance_explained"], **looks, label=label(model))
axis.set(xlabel="active a token: features (L0), or neurons (k)", ylabel="variance explained")
axis.set(xlim=(0, 2 * table["l0"].max()), ylim=(0, 1))
axis.yaxis.set_major_formatter(PercentFormatter(1))
axis.legend(ncols=2, loc="lower right")
show(
    figure,
    caption="Variance explained by each dictionary (markers) and by as many of its model's largest "
    "neurons (lines). On validation text of the domains that the model has read.",
    name="fig-quality",
    alt="Markers of all dictionaries close together, beside rising curves of the neurons",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
table["gain"] = table["variance_explained"] - table["neuron_variance_explained"]
worse = table.loc[table["gain"] <= 0, "model"]
by_model = table.groupby("model", sort=False)
seed_spread = (by_model["l0"].max() - by_model["l0"].min()).max()
model_spread = by_model["l0"].mean().max() - by_model["l0"].mean().min()
low, high = table.min(numeric_only=True), table.max(numeric_only=True)
say(
    f"The dictionaries explain {percent(low['variance_explained'])} to "
    f"{percent(high['variance_explained'])} of the variance with an L0 from {number(low['l0'], 0)} to "
    f"{number(high['l0'], 0)}. As many neurons would explain "
    f"{percent(low['neuron_variance_explained'])} to {percent(high['neuron_variance_explained'])}. "
    + (
        f"So every dictionary beats its model's neurons, the least by {points(low['gain'], 1)}."
        if worse.empty
        else "Not all dictionaries beat their models' neurons. Those that don't are of "
        f"{listed([label(model) for model in worse.unique()])}. More text to learn from helps most."
    ),
    f"Two seeds of one model are at most {number(seed_spread, 1)} apart in L0, and the means of two models "
    f"at most {number(model_spread, 1)}. "
    + (
        "So models differ in sparsity, and part of a lower share of matches may be owed to that."
        if seed_spread < model_spread
        else "Seeds differ as much as models, so no model is sparser than another."
    ),
)

# %% [markdown]
# ## What the MLP is worth, and where
#
# Put the reconstruction in the activations' place: how well does the model still predict? The *CE score*
# is the share of the MLP's worth that is left, where its *worth* is the loss without the MLP less the
# loss with it. The table shows the worth on each {term}`domain` that a model has read.

# %%
worth = {
    model: {
        domain: quality.quality(sums[names[model][0]], [domain]).mlp_worth
        for domain in lineage.reads(model)
    }
    for model in lineage.order
}

# %% tags=["hide-input"]
grid = pd.DataFrame(worth, index=lineage.domains).T.rename(index=label, columns=label)
show_table(
    grid.reset_index(names="model"),
    {domain: ".1%" for domain in grid},
    caption="By which share the loss on each domain rises when the MLP is silenced. Where it falls, "
    "the MLP does harm.",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
cases = sum(map(len, worth.values()))
harmed = [
    f"{label(model)} on {label(domain)}"
    for model, gains in worth.items()
    for domain, gain in gains.items()
    if gain < 0
]
say(
    f"The model gets *better* without its MLP in {len(harmed)} of {cases} cases: "
    f"{listed(harmed)}. Its MLP has learned what the last text needs, and misleads it on text that it "
    "has forgotten."
    if harmed
    else "On every domain that it has read each model needs its MLP.",
    "Where the worth is small or below zero, the score is no share of anything. So none is shown where "
    f"the MLP saves less than {percent(quality.NEEDED, 1)} of the loss. We look at a model's **own** "
    "text, the domains that it learned last.",
)

# %% [markdown]
# ## Scores and copies
#
# A {term}`copy` is a feature that correlates above τ with another of its own dictionary. Either of two
# copies will do as a match. So copies raise every share of features found again.

# %% tags=["hide-input"]
figure = style.Figure(figsize=(style.WIDTH, 0.8 + 0.35 * len(lineage.order)), layout="constrained")
heads = {"own_ce_loss_score": "CE score on own text", "copies_share": "copies among features"}
axes = figure.subplots(1, 2, sharey=True)
for axis, (column, head) in zip(axes, heads.items(), strict=True):
    for place, model in enumerate(lineage.order):
        values = table.loc[table["model"] == model, column]
        looks = {"color": style.colour_of(model), "marker": shape[model], "ls": "", "ms": 8}
        axis.plot(values, [place] * len(values), **looks)
    axis.set(xlabel=head, xlim=(0, 1.05 * max(1 if axis is axes[0] else 0, table[column].max())))
axes[1].xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
axes[0].set_yticks(range(len(lineage.order)), map(label, lineage.order))
axes[0].set_ylim(len(lineage.order) - 0.5, -0.5)
show(
    figure,
    caption="All dictionaries: what is left of the MLP's use for prediction, and how many features "
    "are copies of another.",
    name="fig-copies",
    alt="Dots by model for the score and for the share of copies",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"On its own text each dictionary keeps at least {percent(low['own_ce_loss_score'])} of what its "
    f"model's MLP is worth. {percent(low['copies_share'])} to {percent(high['copies_share'])} of the "
    "features are copies. [Ceilings](ceilings) also counts each group of copies once."
)

# %% [markdown]
# ## How often features are active

# %% tags=["hide-input"]
figure, axis = style.single(3.2)
bins = np.linspace(-5, 0, 31)
middle = 100 * 10 ** ((bins[1:] + bins[:-1]) / 2)
for one in table.itertuples():
    alive = one.density[one.density > 0]
    shares = np.histogram(np.log10(alive), bins)[0] / one.density.size
    first = {"label": label(one.model)} if one.seed == 0 else {}
    looks = {"color": style.colour_of(one.model), "lw": 1.5, "ls": ["-", "--", ":"][one.seed % 3]}
    axis.plot(middle, shares, **looks, **first)
axis.axvline(100 * quality.DENSE_SHARE, color="black", ls=":", lw=1)
axis.set(xscale="log", xlabel="tokens on which a feature is active, %", ylabel="features")
axis.xaxis.set_major_formatter("{x:.4g}")
axis.yaxis.set_major_locator(MultipleLocator(0.05))
axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
axis.legend()
show(
    figure,
    caption="How often features are active, one line a dictionary (dashed and dotted: other "
    "seeds). Right of the dotted vertical a feature counts as dense.",
    name="fig-density",
    alt="Lines of the distribution of densities, one per dictionary",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
density = table["density"].iloc[0]
median = float(np.median(density))
rare = float(np.mean(density < 0.001))
say(
    f"In {{numref}}`fig-density` the median feature of {label(lineage.root)}'s first dictionary is "
    f"active on {percent(median, 1)} of the tokens, and {percent(rare)} of its features on less than "
    "one token in a thousand. In large models' dictionaries most features are as rare as that "
    "{cite:p}`bricken2023monosemanticity`.",
    f"Of a dictionary's features at most {percent(high['dead_share'])} are *dead*, never active on "
    f"that text, and at most {percent(high['dense_share'])} *dense*, active on over a tenth of it. "
    f"At least {percent(low['eligible_share'])} are {{term}}`eligible`: active often enough on the mix "
    f"to be judged, at {count(min_positions)} positions in {count(min_documents)} documents. The "
    "others are called {term}`unobserved`, and never count as disappearing.",
)

# %% tags=["remove-cell"]
figures = [
    "l0",
    "variance_explained",
    "neuron_variance_explained",
    "ce_loss_score",
    "own_ce_loss_score",
    "dead_share",
    "dense_share",
    "copies_share",
]
results = {
    f"sae.{one.model}.seed{one.seed}.{figure}": getattr(one, figure)
    for one in table.itertuples()
    for figure in figures
}
for figure in figures:
    results |= {f"sae.min_{figure}": table[figure].min(), f"sae.max_{figure}": table[figure].max()}
for model, (first, *_) in names.items():
    for which, domains in {
        "mlp_worth": lineage.reads(model),
        "own_mlp_worth": own_domains(lineage, model),
    }.items():
        results[f"sae.{model}.{which}"] = quality.quality(sums[first], domains).mlp_worth
results |= {
    "sae.min_gain_over_neurons": low["gain"],
    "sae.seed_spread_l0": seed_spread,
    "sae.model_spread_l0": model_spread,
    "sae.harmful_domains": len(harmed),
    "sae.seen_domains": cases,
    f"sae.{lineage.root}.seed0.median_density": median,
    "track.min_positions": min_positions,
    "track.min_documents": min_documents,
    "sae.dictionaries": len(table),
}
results = {name: None if pd.isna(value) else value for name, value in results.items()}
store.write_results(run, "dictionaries", results)

# %% [markdown]
# ## Beside the paper
#
# {cite:t}`horn2025tracking` give no sparsity and no variance explained of their dictionaries. So the table
# shows how theirs and ours were made.

# %% tags=["hide-input"]
given = store.read_record(run / "saes" / names[lineage.root][0])["parameters"]
scale = "ours on activations scaled to norm √d, so the two numbers don't compare"
one_for_all = "ours is one for all: a sparser dictionary would look like a changed model"
if "source" in given:  # it comes from outside
    say(
        "These dictionaries were given, not trained here: their sizes and parameters are their makers'."
    )
else:
    coefficient = given["l1_coefficient"]
    table_beside = paper.beside_paper(
        [
            (
                "sae.expansion",
                "features per MLP neuron",
                given["expansion"],
                None,
                "chosen by profile",
            ),
            ("sae.seeds", "dictionaries of the root", root_seeds, None, "a ceiling needs a second"),
            ("sae.l1_coefficient", "L1 coefficient", coefficient, None, scale),
            (
                "sae.l1_coefficient.stories",
                "L1 coefficient, Stories",
                coefficient,
                None,
                one_for_all,
            ),
            (
                "sae.learning_rate",
                "learning rate",
                given["learning_rate"],
                None,
                "fewer, larger steps",
            ),
        ],
        caption="The dictionaries beside the paper's.",
    )
    display(table_beside)

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
spread = high["variance_explained"] - low["variance_explained"]
alike = high["l0"] < 1.25 * low["l0"] and spread < 0.05
say(
    "The dictionaries of all models are about equally sparse and about equally precise, so they can "
    "be compared."
    if alike
    else "The dictionaries differ in sparsity or precision, so a share of matches between two models "
    "must be read beside these figures.",
    "All describe their models better than as many neurons would."
    if worse.empty
    else f"{count(len(worse))} of {count(len(table))} describe their models no better than as many "
    "neurons would.",
    f"Up to {percent(high['copies_share'])} of the features are copies of another one, and raise every "
    "share of features found again.",
)

# %% [markdown]
# *What comes next*: [dictionaries of models that have learned nothing](floors).
#
# :::{admonition} Exercise 1
# :class: tip
# How many neurons a token would it take to explain as much of the root's activations as its first
# dictionary does? `curves[lineage.root]` has the neurons' share for every `k`, and
# `table["variance_explained"].iloc[0]` the dictionary's. Give the smallest whole `k`.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
by_neurons = int(np.searchsorted(curves[lineage.root], table["variance_explained"].iloc[0]))

# %%
answer = ...  # a number of neurons
check(answer, by_neurons)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
explained = table["variance_explained"].iloc[0]
answer = next(k for k, share in enumerate(curves[lineage.root]) if share >= explained)
check(answer, by_neurons)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# `acts = found[names[lineage.root][0]].acts` is a sparse matrix of features, one row a token of the
# whole mix. What is the dictionary's L0 on the mix?
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
l0_on_mix = quality.quality(sums[names[lineage.root][0]]).l0

# %%
answer = ...  # features a token
check(answer, l0_on_mix)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
acts = found[names[lineage.root][0]].acts
answer = acts.nnz / acts.shape[0]
check(answer, l0_on_mix)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# A dictionary that reconstructs nothing, always zero: what are its variance explained and its CE
# score? And one that reconstructs the mean?
# :::
#
# :::{dropdown} Answer
# By definition the mean explains none of the variance; zero explains even less, below 0. By definition the
# CE score of zero is 0. The mean may score well above that, for much of what an MLP writes is the same at
# every token. So look at both figures.
# :::
