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
# seed, a kind of dictionary. {cite:t}`horn2025tracking` made others. Here all combinations are counted
# side by side, in the manner of a *specification curve*, and each conclusion is asked how many of them
# support it.

# %%

import pandas as pd

from featrack_utils.dictionaries import features, variants
from featrack_utils.display import shareplots, style
from featrack_utils.display.tables import show_table
from featrack_utils.pipeline import store
from featrack_utils.statistics import bootstrap, curves, pairshares, specification

style.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the bootstrap
root_seeds = 3  # dictionaries of the base model; paper: 1
other_seeds = 2  # of every other model; paper: 1
tau = 0.8  # correlation above which two features match; paper: 0.8
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
interval_draws = 40  # bootstrap draws over groups of documents; the chapter on ceilings takes more
sweep = ["expansion-4"]  # dictionaries trained otherwise, by name
all_pairs = False  # which are there for all four conclusions, or for Base → Lua alone

# %% [markdown]
# ## All the ways to count
#
# Six thresholds; best, mutual or one-to-one matches; the whole mix or one domain; dictionaries of
# seed 0 or 1; and, on the whole mix, correlation as published (a) beside ours (b). For each, the share
# that persists, and its ceiling **counted in the same way**.
#
# {% if results["robust.variants"] -%}
# All that is done again on dictionaries that were *trained* otherwise: another L1 coefficient, another
# width, another kind, as the profile asks. Sets of dictionaries besides this run's own:
# {{ count("robust.variants") }}.{% if not results["robust.all_pairs"] %} They are asked about Base → Lua
# alone; the profile `real` has five, asked about every pair.{% endif %}
# {%- else -%}
# Sparsity and width of the dictionaries are choices, too, but each needs dictionaries to be
# trained anew, which this profile leaves out: the profile `real` has five such sets, and
# `robustness='{sweep: [{expansion: 16}]}'` adds one to any run.
# {%- endif %}

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
sets = {specification.OWN: features.open_features(run, lineage, root_seeds, other_seeds)}
trained = variants.needed(all_pairs)
sets |= {variants.label(name): variants.opened(run, name, trained) for name in sweep}
table = pd.concat(
    specification.specifications(found, min_positions, min_documents, name)
    for name, found in sets.items()
)
factors = [factor for factor in specification.FACTORS if table[factor].nunique() > 1]

# %% [markdown]
# On the whole mix, best and mutual matches by our definition get intervals: texts drawn anew, and
# every match made anew. The other ways go without: an assignment would have to be solved in every draw,
# and the published definition is slow to recount, so that only the [next chapter](published) does it.


# %%
def ratios(name, found, number):
    names = f"base-{number}", f"lua-{number}", f"base-{1 - number}"
    draws = bootstrap.draw(found["base-0"], {"base": 2}, interval_draws, seed)
    taus = sorted({*specification.TAUS, tau})
    return pairshares.pair_shares(found, names, draws, taus, min_positions, min_documents)


drawn = {(name, k): ratios(name, found, k) for name, found in sets.items() for k in (0, 1)}
bounds = pd.concat(
    pairshares.ratio_intervals(by_rule).assign(dictionary=name, seed=k)
    for (name, k), by_rule in drawn.items()
).assign(pair="base_lua", domain="all", definition="(b)")
table = table.merge(bounds, how="left", on=["pair", *specification.FACTORS])

# %% mystnb={"figure": {"caption": "Share over ceiling for Base → Lua under every way to count, sorted; bars are 95 % intervals where there are any. The marks below say which choices each used. Dashed: no loss.", "name": "fig-specifications"}, "image": {"alt": "Sorted ratios, some with intervals, with a grid of choices below"}} tags=["hide-input"]
shareplots.specification_curve(table, "base_lua", factors)

# %% [markdown]
# In {numref}`fig-specifications` each column is one way to count. Look for marks that crowd at one end
# of a row: that choice moves the ratio. The next table says how far: it sets medians against each other,
# over those combinations of the *other* choices that were counted with every choice of this one. So the
# whole mix doesn't get the credit for the published definition, which was counted on nothing else.

# %% tags=["hide-input"]
moves = specification.effects(table, "base_lua")
moves["factor"] = moves["factor"].replace("tau", "threshold τ")
moves["moves the ratio by"] = moves.pop("range")
moves = moves.rename(columns={"lowest_choice": "with", "highest_choice": "with "})
show_table(
    moves,
    {"lowest": ".0%", "highest": ".0%", "moves the ratio by": ".0pt"},
    notes={"lowest": "median ratio", "highest": "median ratio", "moves the ratio by": "points"},
    caption="Base → Lua: what each choice does to share / ceiling.",
)

# %% [markdown]
# {% if defined("robust.base_lua.ratio.median") -%}
# Over all ways the ratio goes from {{ share("robust.base_lua.ratio.lowest", 0) }} to
# {{ share("robust.base_lua.ratio.highest", 0) }}, with a median of
# {{ share("robust.base_lua.ratio.median", 0) }}: a figure without its way of counting says little.
# {%- endif %}
# {% if results["robust.intervals"] -%}
# Of the {{ count("robust.intervals") }} ways with an interval, {{ count("robust.intervals_below") }}
# exclude 100 %
# {%- if results["robust.intervals_below"] == results["robust.intervals"] %}: documents alone can't
# explain the loss in any of them{% endif %}.
# {%- else -%}
# None of these ratios has an interval here: nothing is reproducible enough for one.
# {%- endif %}
#
# ## Dictionaries side by side
#
# A stronger L1 or a narrower dictionary finds fewer, commoner features, and those come back more easily:
# to compare shares of dictionaries of different sparsity is to measure the sparsity. So each share stands
# beside L0 (active features a token), the variance explained, and its own ceiling.

# %%
results = {}


def described(name, place, key):
    by_rule = drawn[name, 0].get("best", (None, None))
    summary = curves.summary(f"robust.{key}.share", *by_rule, None, tau)
    quality = variants.mean_quality(place, trained)
    results.update(summary | {f"robust.{key}.{k}": v for k, v in quality.items()})
    ends = (
        "",
        ".ci_low",
        ".ci_high",
        ".ceiling",
        ".ratio_to_ceiling",
        ".ratio_to_ceiling.ci_low",
        ".ratio_to_ceiling.ci_high",
    )
    return [name, *quality.values(), *(summary[f"robust.{key}.share{end}"] for end in ends)]


# %% tags=["hide-input"]
places = {specification.OWN: (run, "own")}
places |= {variants.label(name): (run / "sweep" / name, name) for name in sweep}
columns = [
    "dictionaries",
    "L0",
    "variance explained",
    "share",
    "share.ci_low",
    "share.ci_high",
    "ceiling",
    "ratio",
    "ratio.ci_low",
    "ratio.ci_high",
]
side_by_side = pd.DataFrame([described(n, *places[n]) for n in sets], columns=columns)
side_by_side = side_by_side.astype({column: float for column in columns[1:]})
show_table(
    side_by_side,
    {"L0": ".1f", "variance explained": ".3f"} | dict.fromkeys(columns[3:], ".1%"),
    caption="Base → Lua, dictionaries of seed 0, best matches on the whole mix.",
)

# %% [markdown]
# {% if results["robust.variants"] and defined("robust.ratio.lowest") -%}
# Between these kinds of dictionaries the share goes from {{ share("robust.share.lowest") }} to
# {{ share("robust.share.highest") }}, L0 from {{ number("robust.l0.lowest", 1) }} to
# {{ number("robust.l0.highest", 1) }}, and the ratio to the ceiling from
# {{ share("robust.ratio.lowest", 0) }} to {{ share("robust.ratio.highest", 0) }}.
# {% if results["robust.ratio.highest"] < 1 -%}
# By every kind the base's features are found less often in Lua than in the base itself.
# {%- else -%}
# Not every kind finds them less often in Lua than in the base itself.
# {%- endif %}
# {%- else -%}
# With one kind of dictionary there is nothing to compare here.
# {%- endif %}
#
# ## Four conclusions
#
# - *lua changes*, *stories changes*: fewer features persist than an unchanged model would show;
# - *merging keeps more*: Lua → merged loses less than Base → Lua;
# - *mostly noise*: an unchanged base would seem to lose over half of what Base → Lua seems to lose.

# %%
claims = specification.conclusions(table)
support = specification.flips(claims)
overall = support[support["factor"] == "any"]
show_table(overall[["conclusion", "support", "specifications"]], {"support": ".0%"})

# %% [markdown]
# ## Who disagrees?
#
# For each conclusion the choices under which it finds least support, where not all ways agree; again
# among combinations that were counted with every choice of that factor.

# %% tags=["hide-input"]
by_choice = support[support["factor"] != "any"]
split = by_choice[by_choice["support"] < 1].sort_values("support", kind="stable")
least = split.groupby("conclusion", sort=False).head(3)
show_table(
    least.sort_values("conclusion", kind="stable"),
    {"support": ".0%"},
    caption="" if len(least) else "None: every way supports every conclusion.",
)

# %% tags=["remove-cell"]
results |= {
    f"robust.{r.conclusion.replace(' ', '_')}.support": r.support for r in overall.itertuples()
}
results |= {
    f"robust.{r.conclusion.replace(' ', '_')}.definition_{r.choice.strip('()')}": r.support
    for r in support[support["factor"] == "definition"].itertuples()
}
results |= {
    "robust.specifications": len(claims),
    "robust.conclusions": len(overall),
    "robust.unanimous": (overall["support"].isin((0, 1))).sum(),
    "robust.variants": len(sweep),
    "robust.all_pairs": int(all_pairs),
}
bounded = table["ratio_high"].dropna()
results |= {"robust.intervals": len(bounded), "robust.intervals_below": (bounded < 1).sum()}

# %% tags=["remove-cell"]
for name, column in (("share", "share"), ("l0", "L0"), ("ratio", "ratio")):
    ends = side_by_side[column].agg(["min", "max"])
    if ends.notna().all():
        results |= {f"robust.{name}.lowest": ends["min"], f"robust.{name}.highest": ends["max"]}
counted = table.loc[table["pair"] == "base_lua", "ratio"].dropna()
if len(counted):
    results |= {
        "robust.base_lua.ratio.lowest": counted.min(),
        "robust.base_lua.ratio.median": counted.median(),
        "robust.base_lua.ratio.highest": counted.max(),
    }
store.write_results(run, "robustness", results)

# %% [markdown]
# {{ count("robust.unanimous") }} of {{ count("robust.conclusions") }} conclusions come out the same in
# all {{ count("robust.specifications") }} ways to count.
# {% for name, text in [("lua_changes", "That Lua changes features"),
#    ("merging_keeps_more", "That merging keeps more than fine-tuning")] -%}
# {% set a = "robust." + name + ".definition_a" -%}
# {% set b = "robust." + name + ".definition_b" -%}
# {% if defined(a) and defined(b) -%}
# {{ text }} is supported by {{ share(a, 0) }} of the ways that use the published definition of
# correlation and by {{ share(b, 0) }} of the same ways with ours.
# {% endif -%}
# {% endfor -%}
# {% if defined("robust.mostly_noise.support") and results["robust.mostly_noise.support"] < 1 -%}
# That the loss is mostly noise is a matter of the threshold: {{ share("robust.mostly_noise.support", 0) }}
# of the ways support it, and the table above says which don't.
# {%- endif %}
# These are counts of choices, not probabilities: some choices are better than others, and the next
# chapter says why.
#
# ## What we learned
#
# A conclusion that survives all reasonable ways to count is about the models. One that flips with a
# choice is about the choice until somebody argues for it.
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
#
# :::{admonition} Exercise
# :class: tip
# Add dictionaries with twice the L1 coefficient: `robustness='{sweep: [{l1_coefficient: 4.0}]}'`. Before
# you look: will the share rise or fall? And the ratio?
# :::
#
# :::{dropdown} Answer
# The share rises, and so does its ceiling: fewer features are left, the common ones, and they come back
# with any seed. The variance explained falls, which is the price. Read the ratio for what Lua did.
# :::
