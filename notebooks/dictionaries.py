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

# %%

import numpy as np
import pandas as pd

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features, quality
from featrack_utils.display import paper, style
from featrack_utils.display.tables import show_table
from featrack_utils.matching import classes, correlation
from featrack_utils.pipeline import store

style.use_style()

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
found = features.open_features(run, lineage, root_seeds, other_seeds)
sums = {name: quality.Sums.load(run / "features" / name / "sums.safetensors") for name in found}

# %% [markdown]
# ## Quality on the text each model was trained on
#
# *L0* is the number of active features a token; *variance explained* how much of the activations
# they account for; the *CE-loss score* how much of what the MLP contributes to prediction survives
# when the reconstruction takes the activations' place (1: all of it), taken here on the model's
# **own** text, the domains it learned last: why, the next section shows. *Dead* features are never
# active on the text their model has seen, *dense* ones on over a tenth of it, and *copies*
# correlate with another feature of their own dictionary above τ.


# %%
def row(name):
    model, seed = name.split("-")
    result = quality.quality(sums[name], prepare.TRAINED_ON[model])
    acts, origin = found[name].acts, found[name].origin
    able = classes.eligible(acts, origin, min_positions, min_documents)
    copies = correlation.copies(acts, tau, eligible=able).share
    own = quality.quality(sums[name], quality.OWN_DOMAINS[model]).ce_loss_score
    return {
        "model": model,
        "seed": int(seed),
        **result._asdict(),
        "own_ce_loss_score": own,
        "copies_share": copies,
        "eligible_share": able.mean(),
    }


table = pd.DataFrame(row(name) for name in found)

# %% tags=["hide-input"]
names = {
    "l0": "L0",
    "variance_explained": "variance explained",
    "own_ce_loss_score": "CE score",
    "dead_share": "dead",
    "dense_share": "dense",
    "copies_share": "copies",
    "eligible_share": "observable",
}
show_table(
    table[["model", "seed", *names]].replace({"model": style.MODEL_LABELS}).rename(columns=names),
    {"L0": ".1f", "variance explained": ".3f", "CE score": ".3f"}
    | {name: ".1%" for name in ("dead", "dense", "copies", "observable")},
    caption="All dictionaries, on validation text of the domains that their model has seen.",
    notes={
        "L0": "active a token",
        "CE score": "on its model's own text",
        "observable": "often enough on the mix to be judged",
    },
)

# %% [markdown]
# Variance explained ranges from {{ number("sae.min_variance_explained", 3) }} to
# {{ number("sae.max_variance_explained", 3) }} and L0 from {{ number("sae.min_l0", 1) }} to
# {{ number("sae.max_l0", 1) }}; the largest share of dead features is
# {{ share("sae.max_dead_share") }}. Two seeds of one model are at most
# {{ number("sae.seed_spread_l0", 1) }} apart in L0, the means of two models
# {{ number("sae.model_spread_l0", 1) }}.
# {% if results["sae.seed_spread_l0"] < results["sae.model_spread_l0"] %}So the seed is not what
# makes a dictionary sparse or dense; where two models' dictionaries differ in sparsity, a lower
# share of matches is partly that.{% else %}So a seed changes as much as a model does, and no
# difference of sparsity between models can be read off this table.{% endif %}
# The CE score on own text goes from {{ number("sae.min_own_ce_loss_score") }} to
# {{ number("sae.max_own_ce_loss_score") }}.
#
# ## What the MLP is worth, and where
#
# The CE score divides by what the MLP is worth: the loss without it, less the loss with it. The
# table shows that worth on each domain, beside the score there.

# %%
first = {name.split("-")[0]: part for name, part in sums.items() if name.endswith("-0")}
worth = {
    (model, domain): (
        quality.mlp_worth(part, [domain]),
        quality.quality(part, [domain]).ce_loss_score,
    )
    for model, part in first.items()
    for domain in prepare.TRAINED_ON[model]
}

# %% tags=["hide-input"]
rows = [
    {
        "model": style.MODEL_LABELS[model],
        "text": style.DOMAIN_LABELS[domain],
        "own": domain in quality.OWN_DOMAINS[model],
        "MLP's worth": gain,
        "CE score": score,
    }
    for (model, domain), (gain, score) in worth.items()
]
show_table(
    pd.DataFrame(rows),
    {"MLP's worth": ".1%", "CE score": ".2f"},
    caption="What the MLP is worth on each domain that the model has seen, and the CE score there.",
    notes={
        "own": "learned last",
        "MLP's worth": "rise of the loss when it is silenced",
        "CE score": "first seed",
    },
)

# %% [markdown]
# {% if results["sae.harmful_domains"] > 0 %}In {{ count("sae.harmful_domains") }} of
# {{ count("sae.seen_domains") }} rows the worth is below zero: silencing the MLP makes the model
# *better* there. After the last training the MLP says what that text needs, and on text that the
# model has forgotten this misleads.
# {% else %}On every domain that it has seen each model needs its MLP.{% endif %}
# {% if results["sae.stories.mlp_worth"] < 0 %}For the Stories model harm outweighs use on all that
# it has seen: {{ share("sae.stories.mlp_worth") }} in all, against
# {{ share("sae.stories.own_mlp_worth") }} on stories. Its score on all of it,
# {{ number("sae.stories.seed0.ce_loss_score") }}, is a quotient of two differences of the wrong
# sign, no share of anything{% if results["sae.stories.seed0.ce_loss_score"] > 1 %}, and so can lie above
# one{% endif %}; on its own text it is {{ number("sae.stories.seed0.own_ce_loss_score") }}.
# {% endif %}
# Where the worth is near zero, the score is a small number over a small number and can have any
# value. Hence the first table's column: on its own text a model needs its MLP, and the score says
# how much of that need the dictionary meets.
#
# ## How often features are active

# %% mystnb={"figure": {"caption": "How often features are active, one panel per dictionary. Right of the dotted line a feature counts as dense.", "name": "fig-density"}, "image": {"alt": "Histograms of log density, one per dictionary"}} tags=["hide-input"]
style.density_histograms(
    {f"{style.MODEL_LABELS[r.model]} seed {r.seed}": r.density for r in table.itertuples()}
)

# %% [markdown]
# {% if results["sae.base.seed0.median_density"] < 0.05 %}Most features are rare: in{% else
# %}In{% endif %} {numref}`fig-density` the median feature of the base is active on
# {{ share("sae.base.seed0.median_density") }} of the tokens, and at most
# {{ share("sae.max_dense_share") }} of a dictionary's features are dense. Features too rare to be judged
# (active at fewer than {{ count("track.min_positions") }} positions or in fewer than
# {{ count("track.min_documents") }} documents of the mix) are called *unobserved* from here on,
# never "disappeared".

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
    f"sae.{r.model}.seed{r.seed}.{figure}": getattr(r, figure)
    for r in table.itertuples()
    for figure in figures
}
for figure in figures:
    results |= {f"sae.min_{figure}": table[figure].min(), f"sae.max_{figure}": table[figure].max()}
by_model = table.groupby("model")["l0"]
results["sae.seed_spread_l0"] = (by_model.max() - by_model.min()).max()
results["sae.model_spread_l0"] = by_model.mean().max() - by_model.mean().min()

# %% tags=["remove-cell"]
for model, part in first.items():
    results |= {
        f"sae.{model}.mlp_worth": quality.mlp_worth(part, prepare.TRAINED_ON[model]),
        f"sae.{model}.own_mlp_worth": quality.mlp_worth(part, quality.OWN_DOMAINS[model]),
    }
results |= {
    "sae.harmful_domains": sum(gain < 0 for gain, _ in worth.values()),
    "sae.seen_domains": len(worth),
    "sae.base.seed0.median_density": float(np.median(table["density"].iloc[0])),
    "track.min_positions": min_positions,
    "track.min_documents": min_documents,
}
store.write_results(run, "dictionaries", results | {"sae.dictionaries": len(table)})

# %% [markdown]
# ## Beside the paper
#
# {cite:t}`horn2025tracking` give no sparsity or variance explained of their dictionaries that
# ours could be set beside, so the table shows how both were made, and what ours came to.

# %% tags=["hide-input"]
given = store.read_record(run / "saes" / "base-0")["parameters"]
scale = "ours on activations scaled to norm √d, so the two numbers don't compare"
paper.beside_paper(
    [
        ("sae.expansion", "features per MLP neuron", given["expansion"], None, "chosen by profile"),
        ("sae.seeds", "dictionaries of the base", root_seeds, None, "a ceiling needs a second"),
        ("sae.l1_coefficient", "L1 coefficient", given["l1_coefficient"], None, scale),
        (
            "sae.l1_coefficient.stories",
            "L1 coefficient for Stories",
            given["l1_coefficient"],
            None,
            "ours is one for all: a sparser dictionary would look like a changed model",
        ),
        ("sae.learning_rate", "learning rate", given["learning_rate"], None, "fewer, larger steps"),
        paper.Row(None, "L0 of the base's first", table["l0"].iloc[0], spec=".1f"),
        paper.Row(
            None, "variance explained by it", table["variance_explained"].iloc[0], spec=".3f"
        ),
    ],
    caption="The dictionaries beside the paper's.",
)

# %% [markdown]
# ## What we learned
#
# {% if results["sae.max_l0"] < 1.25 * results["sae.min_l0"] and
#       results["sae.max_variance_explained"] - results["sae.min_variance_explained"] < 0.05 %}The
# dictionaries of all four models are about equally sparse and about equally precise, so they can be
# compared{% else %}The dictionaries differ in sparsity or precision, so a share of matches between
# two models must be read beside these figures{% endif %}; on its own text each keeps at least
# {{ percent("sae.min_own_ce_loss_score") }} of what its model's MLP is worth. But
# {{ percent("sae.min_copies_share") }} to {{ percent("sae.max_copies_share") }} of the features are
# copies of another one. Copies inflate every "found again" share, because either of two twins will
# do as a match; the tracking chapter therefore reports shares with copies merged, too. It takes
# these dictionaries as they are, and [the chapter on ceilings](ceilings) asks how much of one
# comes back with another seed.
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
