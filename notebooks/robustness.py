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
# # Which conclusions depend on how we counted?
#
# Every chapter so far made choices: a threshold, a rule, a definition of correlation, a text to read, a
# seed. {cite:t}`horn2025tracking` made others. Here all combinations are counted side by side, in the
# manner of a *specification curve*, and each conclusion is asked how many of them support it.

# %%
from pathlib import Path

from featrack_utils import features, plots, robustness, shareplots, store
from featrack_utils.tables import show_table

plots.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
base_seeds = 3  # dictionaries of the base model; paper: 1
other_seeds = 2  # of every other model; paper: 1
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none

# %% [markdown]
# ## All the ways to count
#
# Four thresholds; best, mutual or one-to-one matches; the whole mix or one domain; dictionaries of
# seed 0 or 1; and, on the whole mix, correlation as published (a) beside ours (b). For each, the share
# that persists, and its ceiling **counted in the same way**.

# %%
run = Path(run_dir)
found = features.open_features(run, base_seeds, other_seeds)
table = robustness.specifications(found, min_positions, min_documents)
factors = list(robustness.FACTORS)

# %% mystnb={"figure": {"caption": "Share over ceiling for Base → Lua under every way to count, sorted. The marks below say which choices each used. Dashed: no loss.", "name": "fig-specifications"}, "image": {"alt": "Sorted ratios with a grid of choices below"}} tags=["hide-input"]
shareplots.specification_curve(table, "base_lua", factors)

# %% [markdown]
# In {numref}`fig-specifications` each column is one way to count. Look for marks that crowd at one end
# of a row: that choice moves the ratio.
#
# ## Four conclusions
#
# - *lua changes*, *stories changes*: fewer features persist than an unchanged model would show;
# - *merging keeps more*: Lua → merged loses less than Base → Lua;
# - *mostly noise*: an unchanged base would seem to lose over half of what Base → Lua seems to lose.

# %%
claims = robustness.conclusions(table)
support = robustness.flips(claims)
overall = support[support["factor"] == "any"]
show_table(overall[["conclusion", "support", "specifications"]], {"support": ".0%"})

# %% [markdown]
# ## Who disagrees?
#
# For each conclusion the choices under which it finds least support.

# %% tags=["hide-input"]
by_choice = support[support["factor"] != "any"]
least = by_choice.sort_values("support", kind="stable").groupby("conclusion", sort=False).head(3)
show_table(least.sort_values("conclusion", kind="stable"), {"support": ".0%"})

# %% tags=["remove-cell"]
results = {f"robust.{r.conclusion.replace(' ', '_')}.support": r.support
           for r in overall.itertuples()}  # fmt: skip
results |= {
    f"robust.{r.conclusion.replace(' ', '_')}.definition_{r.choice.strip('()')}": r.support
    for r in support[support["factor"] == "definition"].itertuples()
}
results |= {"robust.specifications": len(claims), "robust.conclusions": len(overall),
            "robust.unanimous": (overall["support"].isin((0, 1))).sum()}  # fmt: skip
store.write_results(run, "robustness", results)

# %% [markdown]
# {{ count("robust.unanimous") }} of {{ count("robust.conclusions") }} conclusions come out the same in
# all {{ count("robust.specifications") }} ways to count.
# {% for name, text in [("lua_changes", "That Lua changes features"),
#    ("merging_keeps_more", "That merging keeps more than fine-tuning")] -%}
# {% set a = "robust." + name + ".definition_a" -%}
# {% set b = "robust." + name + ".definition_b" -%}
# {% if defined(a) and defined(b) -%}
# {{ text }} is supported by {{ share(b, 0) }} of the ways that use our definition of correlation and
# by {{ share(a, 0) }} of those that use the published one.
# {% endif -%}
# {% endfor %}
# These are counts of choices, not probabilities: some choices are better than others, and the next
# chapter says why.
#
# ## What we learned
#
# A conclusion that survives all reasonable ways to count is about the models. One that flips with a
# choice is about the choice until somebody argues for it. Sparsity and width are choices, too, but need
# new dictionaries: run the book again with `sae='{l1_coefficient: 4.0}'` or `sae='{expansion: 16}'`.
#
# :::{admonition} Exercise
# :class: tip
# Which factor moves the *share* most, and does it move the ratio as much? Group `table` by each.
# :::
#
# :::{dropdown} Answer
# The threshold moves the share most, since looser matches are more; the ceiling moves with it, so the
# ratio moves less.
# :::
