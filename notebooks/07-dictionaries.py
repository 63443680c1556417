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
# A share of features found again means nothing if one dictionary is twice as sparse as the other:
# the comparison would measure the sparsity. {cite:t}`horn2025tracking` trained four dictionaries,
# one of them with a sparsity coefficient ten times the others'. We train all with **one**
# coefficient and several seeds, and this chapter checks whether they are alike.
#
# *You will learn* how sparse and precise each dictionary is, what its model's MLP is worth, and how
# many features are copies of another. *You need* [the chapter before](sae). *Time*: ten minutes.

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
from matplotlib.ticker import MultipleLocator, PercentFormatter

from featrack_utils.dictionaries import features, quality
from featrack_utils.display import paper, style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import count, listed, number, percent, say, show
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
# ## Quality on the text each model was trained on
#
# Three figures tell how good a dictionary is. *L0* is the number of active features a token.
# *Variance explained* is how much of the activations they account for. The *CE score* says how much
# of what the MLP contributes to prediction survives when the reconstruction takes the activations'
# place (1: all of it). We take it on the model's **own** text, the domains it learned last; the next
# section shows why. *Copies* are features that correlate with another of their own dictionary above
# τ.


# %%
def row(model, seed, name):
    result = quality.quality(sums[name], lineage.reads(model))
    acts, origin = found[name].acts, found[name].origin
    able = classes.eligible(acts, origin, min_positions, min_documents)
    own = quality.quality(sums[name], quality.own_domains(lineage, model))
    return {
        "model": model,
        "seed": seed,
        **result._asdict(),
        "own_ce_loss_score": own.ce_loss_score,
        "copies_share": correlation.copies(acts, tau, eligible=able).share,
        "eligible_share": able.mean(),
    }


table = pd.DataFrame(
    row(model, seed, name) for model in lineage.order for seed, name in enumerate(names[model])
)

# %% tags=["hide-input"]
figure, axis = style.single(3.2)
markers = "os^Dv*P"
for model in lineage.order:
    for _, one in table[table["model"] == model].iterrows():
        looks = {"color": style.colour_of(model), "ls": "", "ms": 8}
        first = {"label": label(model)} if one["seed"] == 0 else {}
        marker = markers[one["seed"] % len(markers)]
        axis.plot(one["l0"], one["variance_explained"], marker, **looks, **first)
axis.set(xlabel="L0, active features a token", ylabel="variance explained")
axis.set(xlim=(0, 1.1 * table["l0"].max()), ylim=(0, 1))
axis.yaxis.set_major_formatter(PercentFormatter(1))
axis.legend(ncols=2, loc="lower left")
show(
    figure,
    caption="Sparsity and precision of all dictionaries, on validation text of the domains that "
    "their model has read. One colour a model, one marker a seed.",
    name="fig-quality",
    alt="Dots of L0 and variance explained, close together",
)

# %% tags=["hide-input"]
columns = {
    "l0": "L0",
    "variance_explained": "variance explained",
    "own_ce_loss_score": "CE score",
    "copies_share": "copies",
}
shown = table[["model", "seed", *columns]].astype({"own_ce_loss_score": float})
shown["model"] = shown["model"].map(label)
show_table(
    shown.rename(columns=columns),
    {"L0": ".0f", "variance explained": ".2f", "CE score": ".2f", "copies": ".0%"},
    caption="All dictionaries, on validation text of the domains that their model has read.",
    notes={"L0": "active a token", "CE score": "on its model's own text"},
)

# %% tags=["hide-input"]
by_model = table.groupby("model")["l0"]
seed_spread = (by_model.max() - by_model.min()).max()
model_spread = by_model.mean().max() - by_model.mean().min()
low, high = table.min(numeric_only=True), table.max(numeric_only=True)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
seed_or_model = (
    "So the seed is not what makes a dictionary sparse or dense. Where two models' dictionaries "
    "differ in sparsity, a lower share of matches is partly that."
    if seed_spread < model_spread
    else "So a seed changes as much as a model does, and no difference of sparsity between models "
    "can be read off this table."
)
say(
    f"Variance explained ranges from {percent(low['variance_explained'])} to "
    f"{percent(high['variance_explained'])} and L0 from {number(low['l0'], 0)} to "
    f"{number(high['l0'], 0)}. Two seeds of one model are at most {number(seed_spread, 1)} apart in "
    f"L0, the means of two models {number(model_spread, 1)}. {seed_or_model}",
    f"Of a dictionary's features at most {percent(high['dead_share'])} are *dead*, never active on "
    f"that text, and at most {percent(high['dense_share'])} *dense*, active on over a tenth of it. "
    f"At least {percent(low['eligible_share'])} are active often enough on the mix to be judged: at "
    f"{count(min_positions)} positions, in {count(min_documents)} documents. The others are called "
    '*unobserved* from here on, never "disappeared".',
)

# %% [markdown]
# ## What the MLP is worth, and where
#
# The CE score divides by what the MLP is worth: the loss without it, less the loss with it. The
# table shows that worth on each domain that the model has read.

# %%
worth = {
    model: {
        domain: quality.mlp_worth(sums[names[model][0]], [domain])
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
    f"{listed(harmed)}. After the last training the MLP says what that text needs, and on text "
    "that the model has forgotten this misleads."
    if harmed
    else "On every domain that it has read each model needs its MLP.",
    "Where the worth is small or below zero, a CE score divides by next to nothing and is no share of "
    f"anything. So this book shows none where the MLP saves less than {percent(quality.NEEDED, 1)} of "
    "the loss. On its own text a model needs its MLP, and the score says how much of that need the "
    "dictionary meets.",
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
median = float(np.median(table["density"].iloc[0]))
say(
    f"In {{numref}}`fig-density` the median feature of {label(lineage.root)}'s first dictionary is "
    f"active on {percent(median, 1)} of the tokens."
)

# %% tags=["remove-cell"]
figures = [
    "l0",
    "variance_explained",
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
    own = quality.own_domains(lineage, model)
    results |= {
        f"sae.{model}.mlp_worth": quality.mlp_worth(sums[first], lineage.reads(model)),
        f"sae.{model}.own_mlp_worth": quality.mlp_worth(sums[first], own),
    }
results |= {
    "sae.seed_spread_l0": seed_spread,
    "sae.model_spread_l0": model_spread,
    "sae.harmful_domains": len(harmed),
    "sae.seen_domains": cases,
    f"sae.{lineage.root}.seed0.median_density": median,
    "track.min_positions": min_positions,
    "track.min_documents": min_documents,
    "sae.dictionaries": len(table),
}
store.write_results(run, "dictionaries", results)

# %% [markdown]
# ## Beside the paper
#
# {cite:t}`horn2025tracking` give no sparsity or variance explained of their dictionaries that
# ours could be set beside, so the table shows how both were made, and what ours came to.

# %% tags=["hide-input"]
given = store.read_record(run / "saes" / names[lineage.root][0])["parameters"]
scale = "ours on activations scaled to norm √d, so the two numbers don't compare"
one_for_all = "ours is one for all: a sparser dictionary would look like a changed model"
coefficient = given["l1_coefficient"]
paper.beside_paper(
    [
        ("sae.expansion", "features per MLP neuron", given["expansion"], None, "chosen by profile"),
        ("sae.seeds", "dictionaries of the root", root_seeds, None, "a ceiling needs a second"),
        ("sae.l1_coefficient", "L1 coefficient", coefficient, None, scale),
        ("sae.l1_coefficient.stories", "L1 coefficient, Stories", coefficient, None, one_for_all),
        ("sae.learning_rate", "learning rate", given["learning_rate"], None, "fewer, larger steps"),
        paper.Row(None, "L0 of the root's first", table["l0"].iloc[0], spec=".0f"),
        paper.Row(
            None, "variance explained by it", table["variance_explained"].iloc[0], spec=".2f"
        ),
    ],
    caption="The dictionaries beside the paper's.",
)

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
    "On its own text each keeps at least "
    f"{percent(low['own_ce_loss_score'])} of what its model's MLP is worth. But "
    f"{percent(low['copies_share'])} to {percent(high['copies_share'])} of the features are copies "
    'of another one. Copies inflate every "found again" share, because either of two twins will do '
    "as a match. So the chapters on tracking report shares with copies merged, too.",
)

# %% [markdown]
# This chapter took the dictionaries as they are; [the chapter on ceilings](ceilings) asks how much
# of one comes back with another seed.
#
# :::{admonition} Exercise 1
# :class: tip
# Raise τ to 0.95. Are there still copies?
# :::
#
# :::{dropdown} Answer
# `python -m featrack_utils.run dictionaries out.ipynb -p tau 0.95`. Copies that remain at 0.95
# are the same direction learned twice; those that go are near-synonyms.
# :::
#
# :::{admonition} Exercise 2
# :class: tip
# A dictionary that reconstructs nothing, always zero: what are its variance explained and its CE
# score? And one that reconstructs the mean?
# :::
#
# :::{dropdown} Answer
# The mean explains none of the variance by definition, and always zero even less: below 0. The CE
# score of always zero is 0 by definition, while the mean may score well above it, for much of
# what an MLP writes is the same at every token. So look at both figures.
# :::
