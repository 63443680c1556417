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
# Numbers about features are hard to believe without having met one. {cite:t}`horn2024tracking`
# show in their Figure 3 a feature that answers to *variable assignment* and is found in all four
# models. We look for ours by a rule, not by eye: among the universal chains whose strongest
# tokens in the base are assignment operators, the one with the largest smallest correlation.

# %%
from pathlib import Path

import pandas as pd
from IPython.display import display

from featrack_utils import examples, features, plots, shading, store
from featrack_utils.corpora import prepare
from featrack_utils.tables import show_table

plots.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
context = 128  # tokens; paper: 256
operator_share = 0.5  # of a feature's activation must fall on assignment operators

# %%
run = Path(run_dir)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
found = {name[:-2]: f for name, f in features.open_features(run).items() if name.endswith("-0")}
chains = pd.read_csv(store.opened(run / "tracking") / "universal.csv")

# %% [markdown]
# ## The rule
#
# A token counts as an assignment operator if it is `=` with or without a space, or one of `+=`,
# `-=` and their like; `==` is not one. A feature qualifies if at least half of its total
# activation on the evaluation mix falls on such tokens.

# %%
operators = examples.tokens_matching(corpora.tokenizer, r"\s*[-+*/|&]?=\s*")
on_operators = examples.activation_share(found["base"], operators)
candidates = chains[on_operators[chains["base"]] >= operator_share]
chosen = examples.choose_chain(chains, on_operators, operator_share)
shown = chosen.to_frame().T[["base", "lua", "stories", "merged", "min_r"]]
show_table(
    shown.astype({c: int for c in found}).assign(candidates=len(candidates)), {"min_r": ".3f"}
)

# %% [markdown]
# {% if results["case.assignment.candidates"] > 0 %}
# {{ count("case.assignment.candidates") }} universal features qualify. The chosen one puts
# {{ share("case.assignment.operator_share", 0) }} of its activation on assignment operators.
# {% else %}
# No universal feature qualifies in this run, so the chain shown below is the one that comes
# nearest, with {{ share("case.assignment.operator_share", 0) }} of its activation on operators.
# {% endif %}
#
# ## The same feature in four models
#
# Each box shows the contexts in which the feature is most active, and below them two drawn at
# random from all contexts in which it is active at all, so that not only the flattering ones are
# seen. The shade is the activation, from none to that model's maximum.

# %% tags=["hide-input"]
for model in found:
    index = int(chosen[model])
    shown = examples.contexts(found[model], index, corpora, top=3, random=2, width=40, seed=0)
    peak = found[model].acts[:, index].max()
    title = f"**{plots.MODEL_LABELS[model]}**, feature {index}"
    display({"text/markdown": title, "text/plain": title}, raw=True)
    display(shading.shade_contexts(shown, peak, plots.MODEL_COLOURS[model]))

# %% [markdown]
# ## How alike are they?
#
# The correlation between every pair of the four, on all tokens of the mix, and where each is
# active.

# %%
columns = {m: found[m].acts[:, int(chosen[m])].toarray().ravel() for m in found}
alike = pd.DataFrame(columns).corr()
show_table(alike.rename_axis("r").reset_index(), {m: ".3f" for m in found})

# %%
where = examples.density_by_domain({m: (found[m], int(chosen[m])) for m in found})
show_table(
    where, {c: ".2%" for c in where.columns[1:]}, caption="Share of tokens with the feature."
)

# %% tags=["remove-cell"]
store.write_results(
    run,
    "case-study",
    {
        "case.assignment.candidates": len(candidates),
        "case.assignment.operator_share": float(on_operators[int(chosen["base"])]),
        "case.assignment.min_r": float(chosen["min_r"]),
    },
)

# %% [markdown]
# ## What we learned
#
# The weakest link of this chain correlates at {{ number("case.assignment.min_r") }}. A feature
# that answers to assignment in Python answers to assignment in Lua, in a model that was trained
# on nothing but Lua since; fine-tuning did not have to reinvent it.
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
