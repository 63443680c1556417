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
# # What would the number be if nothing had happened?
#
# The last chapter ended with a suspicion: most features that seem to disappear would seem to
# disappear from an unchanged model, too. {cite:t}`horn2024tracking` train one dictionary per model,
# so their shares have nothing to be compared with. Here each share gets what a measurement needs:
# a **ceiling** (another seed's dictionary of the *same* model), a **floor** (the same features, but
# one model reads other documents) and an **interval** (documents and seeds drawn anew).

# %%
from pathlib import Path

import pandas as pd

from featrack_utils import curves, features, intervals, nulls, plots, shareplots, store
from featrack_utils.tables import show_table

plots.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the bootstrap
tau = 0.8  # correlation above which two features match; paper: 0.8
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
replicates = 300  # bootstrap draws over documents and seeds

# %%
run = Path(run_dir)
found = {
    path.name: features.load_features(store.opened(path) / "features.safetensors")
    for path in sorted((run / "features").glob("[a-z]*"))
}
models = {
    m: nulls.as_model(m, [f for n, f in found.items() if n.startswith(f"{m}-")],
                      min_positions, min_documents)
    for m in ("base", "lua", "stories", "merged")
}  # fmt: skip
pairs = [("base", "lua"), ("base", "stories"), ("lua", "merged"), ("stories", "merged"),
         ("base", "merged")]  # fmt: skip

# %% [markdown]
# ## Intervals
#
# Tokens of one document are not independent, so documents are drawn with replacement, within
# their domains, and the matching is done anew in every draw. SAE seeds are drawn, too, in an outer
# loop. All shares use the same draws, so that a ratio of two shares has an interval of its own.

# %%
draws = intervals.draw(
    found["base-0"], {name: len(m.seeds) for name, m in models.items()}, replicates, seed
)
taus = curves.CURVE_TAUS
compared = {(a, b): nulls.compare(models[a], models[b], draws, taus) for a, b in pairs}
kept = {pair: nulls.kept_share(c, draws) for pair, c in compared.items()}
ceilings = {name: nulls.seed_ceiling(m, draws, taus) for name, m in models.items()}
floors = {(a, b): nulls.document_shift_floor(models[a], models[b], taus) for a, b in pairs}

# %%
at = intervals.at(kept["base", "lua"], tau)
summaries = {
    (a, b): curves.summary(f"track.{a}_{b}.persisting_share", kept[a, b], ceilings[a],
                           float(floors[a, b][at]), tau)
    for a, b in pairs
}  # fmt: skip


def row(a, b):
    name = f"track.{a}_{b}.persisting_share"
    entry = {"pair": f"{a}_{b}", "share": summaries[a, b][name]}
    for key in ("ci_low", "ci_high", "ceiling", "floor", "ratio_to_ceiling"):
        entry[key] = summaries[a, b][f"{name}.{key}"]
    return entry


table = pd.DataFrame(row(a, b) for a, b in pairs)

# %% tags=["hide-input"]
shareplots.shares_with_ceiling(table)

# %% [markdown]
# The dot is the share that persists, with its interval; the black bar is the ceiling, the share
# that a second dictionary of the *parent itself* would find; the grey bar the floor.

# %% tags=["hide-input"]
show_table(
    table.assign(pair=table["pair"].map(plots.pair_label)),
    {column: ".1%" for column in table.columns[1:]},
    notes={"ratio_to_ceiling": "share / ceiling"},
)

# %% [markdown]
# Read the last column. Of what *could* be seen to persist from the base to Lua,
# {{ share("track.base_lua.persisting_share.ratio_to_ceiling", 0) }} does
# [{{ share("track.base_lua.persisting_share.ratio_to_ceiling.ci_low", 0) }},
# {{ share("track.base_lua.persisting_share.ratio_to_ceiling.ci_high", 0) }}].
# {% if results["track.base_lua.persisting_share.ratio_to_ceiling.ci_high"] < 1 %}
# The interval excludes 100 %, so fine-tuning did change features, but far fewer than the bare
# share suggests.
# {% else %}
# The interval includes 100 %: with these dictionaries, no loss can be told from no change.
# {% endif %}
#
# ## The threshold is a choice

# %% tags=["hide-input"]
curve = pd.DataFrame(
    {"pair": f"{a}_{b}", "tau": tau_, **dict(zip(("share", "share_low", "share_high"), i, strict=True)),
     "ceiling": intervals.interval(ceilings[a], tau_)[0], "floor": float(floor)}
    for a, b in pairs
    for tau_, floor in zip(taus, floors[a, b], strict=True)
    for i in [intervals.interval(kept[a, b], tau_)]
)  # fmt: skip
shareplots.threshold_curve(curve, tau)

# %% [markdown]
# Share, ceiling and floor against the threshold. No value of τ separates "the same feature" from
# "another one"; but the distance between share and ceiling tells the same story at most of them.
#
# ## Equal seeds flatter
#
# If the dictionaries of parent and child start from the same random numbers, they find the same
# features a little more often. Most published comparisons, the paper's included, use one seed.


# %%
def arm(pair):
    same, different = nulls.same_seed_different_seed(compared[pair], draws)
    return {"pair": plots.pair_label("_".join(pair)),
            "same seed": intervals.interval(same, tau).estimate,
            "different seeds": intervals.interval(different, tau).estimate}  # fmt: skip


arms = pd.DataFrame(arm(pair) for pair in pairs)
show_table(arms, {column: ".1%" for column in arms.columns[1:]})

# %% [markdown]
# ## Ask only those who can answer
#
# The cleanest question is put to *reproducible* features, those that another seed's dictionary of
# their own model has as well. If such a feature has no match in the child, it has really changed.

# %%
clean = {(a, b): nulls.reproducible_kept_share(models[a], models[b], draws, tau) for a, b in pairs}
rows = [
    {"pair": plots.pair_label(f"{a}_{b}"), "all": kept[a, b].estimate[at],
     "reproducible": i.estimate, "ci_low": i.low, "ci_high": i.high}
    for (a, b), share in clean.items()
    if share
    for i in [intervals.interval(share, tau)]
]  # fmt: skip
show_table(pd.DataFrame(rows), {c: ".1%" for c in ("all", "reproducible", "ci_low", "ci_high")})

# %% tags=["remove-cell"]
results = {
    name: value
    for (a, b), figures in summaries.items()
    for name, value in figures.items()
    if name != f"track.{a}_{b}.persisting_share"
}
for name, ceiling in ceilings.items():
    results |= dict(
        zip([f"track.{name}.ceiling" + end for end in ("", ".ci_low", ".ci_high")],
            intervals.interval(ceiling, tau), strict=True)
    )  # fmt: skip
for (a, b), share in clean.items():
    results |= curves.summary(f"track.{a}_{b}.reproducible_share", share, None, None, tau)
store.write_results(run, "ceilings", results)

# %% [markdown]
# ## What we learned
#
# Among reproducible features {{ share("track.base_lua.reproducible_share", 0) }} persist from the
# base to Lua and {{ share("track.lua_merged.reproducible_share", 0) }} from Lua to the merged model.
# "Few features persist" is mostly the dictionary's own noise; what remains of it is the distance
# between these numbers and 100 %.
#
# :::{admonition} Exercise
# :class: tip
# Train with three seeds for every model (`sae='{other_seeds: 3}'`). Which intervals shrink?
# :::
#
# :::{dropdown} Answer
# Those that are wide because of the seeds. Intervals that stay are those in which documents
# differ; only more validation text narrows them.
# :::
