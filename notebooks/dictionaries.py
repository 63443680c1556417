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
from pathlib import Path

import numpy as np
import pandas as pd

from featrack_utils import correlate, features, match, plots, quality, store
from featrack_utils.corpora import prepare
from featrack_utils.tables import show_table

plots.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
base_seeds = 3  # dictionaries of the base model; paper: 1
other_seeds = 2  # of every other model; paper: 1
tau = 0.8  # correlation above which two features of one dictionary are copies; paper: 0.8
min_positions = 30  # a feature must be active at so many positions of the mix to be judged
min_documents = 10  # and in so many documents

# %%
run = Path(run_dir)
found = features.open_features(run, base_seeds, other_seeds)
sums = {name: quality.Sums.load(run / "features" / name / "sums.safetensors") for name in found}

# %% [markdown]
# ## Quality on the text each model was trained on
#
# *L0* is the number of active features a token; *variance explained* how much of the activations
# they account for; the *CE-loss score* how much of what the MLP contributes to prediction survives
# when the reconstruction takes the activations' place (1: all of it). *Dead* features are never
# active on this text, *dense* ones on over a tenth of it, and *copies* correlate with another
# feature of their own dictionary above τ.


# %%
def row(name):
    model, seed = name.split("-")
    result = quality.quality(sums[name], prepare.TRAINED_ON[model])
    acts, origin = found[name].acts, found[name].origin
    able = match.eligible(acts, origin, min_positions, min_documents)
    copies = correlate.copies(acts, tau, eligible=able).share
    return {"model": model, "seed": int(seed), **result._asdict(), "copies_share": copies,
            "eligible_share": able.mean()}  # fmt: skip


table = pd.DataFrame(row(name) for name in found)

# %% tags=["hide-input"]
names = {"l0": "L0", "variance_explained": "variance explained", "ce_loss_score": "CE score",
         "dead_share": "dead", "dense_share": "dense", "copies_share": "copies",
         "eligible_share": "observable"}  # fmt: skip
show_table(
    table.drop(columns="density").rename(columns=names),
    {"L0": ".1f", "variance explained": ".3f", "CE score": ".3f"}
    | {name: ".1%" for name in ("dead", "dense", "copies", "observable")},
    caption="All dictionaries, on validation text of the domains that their model has seen.",
)

# %% [markdown]
# Variance explained ranges from {{ number("sae.min_variance_explained", 3) }} to
# {{ number("sae.max_variance_explained", 3) }} and L0 from {{ number("sae.min_l0", 1) }} to
# {{ number("sae.max_l0", 1) }}; the largest share of dead features is
# {{ share("sae.max_dead_share") }}. Seeds of one model differ far less than models do, so the
# seed is not what makes a dictionary good or bad. Keep the spread of L0 between models in mind:
# where two models' dictionaries differ in sparsity, a lower share of matches is partly that.

# %% mystnb={"figure": {"caption": "How often features are active, one panel per dictionary. Right of the dotted line a feature counts as dense.", "name": "fig-density"}, "image": {"alt": "Histograms of log density, one per dictionary"}} tags=["hide-input"]
plots.density_histograms(
    dict(zip([n.replace("-", " seed ") for n in found], table["density"], strict=True))
)

# %% [markdown]
# Most features are rare: in {numref}`fig-density` the median feature of the base is active on
# {{ share("sae.base.seed0.median_density") }} of the tokens. To the left of the dotted line nothing
# is dense. Features too rare to be judged
# (active at fewer than {{ count("track.min_positions") }} positions or in fewer than
# {{ count("track.min_documents") }} documents of the mix) are called *unobserved* from here on,
# never "disappeared".

# %% tags=["remove-cell"]
figures = ["l0", "variance_explained", "ce_loss_score", "dead_share", "dense_share", "copies_share"]
results = {
    f"sae.{r.model}.seed{r.seed}.{figure}": getattr(r, figure)
    for r in table.itertuples()
    for figure in figures
}
for figure in ("l0", "variance_explained", "dead_share"):
    results |= {f"sae.min_{figure}": table[figure].min(), f"sae.max_{figure}": table[figure].max()}
results["sae.base.seed0.median_density"] = float(np.median(table["density"].iloc[0]))
results |= {"track.min_positions": min_positions, "track.min_documents": min_documents}
store.write_results(run, "dictionaries", results | {"sae.dictionaries": len(table)})

# %% [markdown]
# ## What we learned
#
# The instrument works equally well on all four models, within the spread printed above, and part
# of what it shows are copies of the same feature. Copies inflate every "found again" share,
# because either of two twins will do as a match; the tracking chapter therefore reports shares
# with copies merged, too.
#
# :::{admonition} Exercise
# :class: tip
# Raise τ to 0.95. Are there still copies?
# :::
#
# :::{dropdown} Answer
# `python -m featrack_utils.run dictionaries out.ipynb -p tau 0.95`. Copies that remain at 0.95
# are the same direction learned twice; those that go are near-synonyms.
# :::
