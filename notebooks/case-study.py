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
# # Meeting one feature
#
# Numbers about features are hard to believe without having met one. {cite:t}`horn2025tracking`
# show in their Figure 3 a feature that answers to *variable assignment* and is found in all four
# models. We look for ours by a rule, not by eye: among the universal chains whose strongest
# tokens in the base are assignment operators, the one with the largest smallest correlation.

# %%
from pathlib import Path

import pandas as pd
from IPython.display import display

from featrack_utils import examples, features, plots, shading, store
from featrack_utils.config import MODELS
from featrack_utils.corpora import prepare
from featrack_utils.tables import show_table

plots.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
base_seeds = 3  # dictionaries of the base model; paper: 1
other_seeds = 2  # of every other model; paper: 1
context = 128  # tokens; paper: 256
operator_share = 0.5  # of a feature's activation must fall on assignment operators

# %%
run = Path(run_dir)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
found = features.open_features(run, base_seeds, other_seeds)
chains = pd.read_csv(store.opened(run / "tracking") / "universal.csv")

# %% [markdown]
# ## The rule
#
# A token counts as an assignment operator if it is `=` with or without a space, or one of `+=`,
# `-=` and their like; `==` is not one. A chain qualifies if at least half of the activation of its
# base feature, on the whole evaluation mix, falls on such tokens. With several dictionaries for
# each model there are {{ count("track.seed_combinations") }} ways to pick one for each; the chains
# of all of them take part.

# %%
operators = examples.tokens_matching(corpora.tokenizer, r"\s*[-+*/|&]?=\s*")
on_operators = {name: examples.activation_share(f, operators) for name, f in found.items()}
bases = chains["dictionaries"].str.split().str[0]
chains["share"] = [on_operators[d][i] for d, i in zip(bases, chains["base"], strict=True)]
qualified = chains[chains["share"] >= operator_share]
chosen = examples.choose_chain(chains, operator_share)
names = dict(zip(MODELS, chosen["dictionaries"].split(), strict=True))

# %% [markdown]
# {% if results["case.assignment.combinations"] > 0 %}
# Such a chain exists in {{ count("case.assignment.combinations") }} of
# {{ count("track.seed_combinations") }} combinations.
# {%- if results["case.assignment.combinations"] < results["track.seed_combinations"] %}
# So whether "the assignment feature" is universal depends on which dictionaries one happens to have
# trained: a finding by itself.
# {%- endif %}
# The best linked of them puts {{ share("case.assignment.operator_share", 0) }} of its activation on
# assignment operators.
# {% else %}
# No chain qualifies in this run, in any combination: the features for assignment that the
# dictionaries found don't match well enough. The chain shown below is the one that comes nearest,
# with {{ share("case.assignment.operator_share", 0) }} of its activation on operators.
# {% endif %}
#
# ## The same feature in four models
#
# Each box shows the contexts in which the feature is most active, and below them two drawn at
# random from all contexts in which it is active at all, so that not only the flattering ones are
# seen. The shade is the activation, from none to that model's maximum.

# %% tags=["hide-input"]
for model, name in names.items():
    index = int(chosen[model])
    shown = examples.contexts(found[name], index, corpora, top=3, random=2, width=40, seed=0)
    title = f"**{plots.MODEL_LABELS[model]}**, feature {index} of dictionary {name}"
    display({"text/markdown": title, "text/plain": title}, raw=True)
    peak = found[name].acts[:, index].max()
    display(shading.shade_contexts(shown, peak, plots.MODEL_COLOURS[model]))

# %% [markdown]
# ## How alike are they?
#
# The correlation between every pair of the four, on all tokens of the mix, and where each is
# active.

# %%
columns = {m: found[n].acts[:, int(chosen[m])].toarray().ravel() for m, n in names.items()}
alike = pd.DataFrame(columns).corr()
show_table(alike.rename_axis("r").reset_index(), {m: ".3f" for m in names})

# %%
where = examples.density_by_domain({m: (found[n], int(chosen[m])) for m, n in names.items()})
show_table(
    where, {c: ".2%" for c in where.columns[1:]}, caption="Share of tokens with the feature."
)

# %% tags=["remove-cell"]
store.write_results(
    run,
    "case-study",
    {
        "case.assignment.combinations": qualified["dictionaries"].nunique(),
        "case.assignment.operator_share": chosen["share"],
        "case.assignment.min_r": chosen["min_r"],
    },
)

# %% [markdown]
# ## What we learned
#
# The weakest link of this chain correlates at {{ number("case.assignment.min_r") }}.
# {% if results["case.assignment.combinations"] > 0 %}
# A feature that answers to assignment in Python answers to assignment in Lua, too, and in the
# merged model; fine-tuning did not have to reinvent it.
# {%- if results["case.assignment.combinations"] < results["track.seed_combinations"] %}
# But it takes the right dictionaries to see it, and with others the same criterion would have called
# it lost.
# {%- endif %}
# {% else %}
# The paper shows a universal feature for assignment; at this size and threshold we can't.
# {% endif %}
#
# :::{admonition} Exercise
# :class: tip
# Write a rule for another universal feature, say one for an opening quotation mark, and look at
# its contexts.
# :::
#
# :::{dropdown} Answer
# Replace the pattern given to `examples.tokens_matching` by `r'\s*["\u201c]'`. Dialogue in stories
# and string literals in code may turn out to be one feature, or two.
# :::
