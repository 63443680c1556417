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
# # Dose and response
#
# If fine-tuning is what makes features disappear, then a little of it should make few disappear, and
# none of it none. {cite:t}`horn2025tracking` compare a model before with the same model after;
# {cite:t}`xu2024tracking` follow features along a whole training. Here the fine-tune is stopped on
# the way, and each time one dictionary is asked what it still finds of the base.

# %%
import itertools

import pandas as pd
from IPython.display import display

from featrack_utils.dictionaries import arms, features
from featrack_utils.display import doseplots, style
from featrack_utils.display.tables import show_table
from featrack_utils.pipeline import store
from featrack_utils.statistics import response

style.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
root_seeds = 3  # dictionaries of the base model; paper: 1
seed = 1337  # of the bootstrap
tau = 0.8  # correlation above which two features match; paper: 0.8
rule = "best"  # or mutual; paper: best match
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
replicates = 200  # bootstrap draws over groups of documents and seeds
doses = [0.01, 0.03, 0.1, 0.3]  # shares of a fine-tune's steps, beside none and all; paper: none
dosed = ["lua"]  # fine-tunes followed along the doses
warm_start = True  # also: a dictionary that starts from the base's
lm_seed = False  # also: a second base model, from another seed

# %% [markdown]
# ## A dose of nothing
#
# The dictionaries of [the controls](arms) all have the SAE seed that is called 1, and so have the
# fine-tune's dictionary of the last dose and the base's own that gives the ceiling. They are compared
# with the base's dictionaries of the *other* seeds. Between one dose and the next, and between any
# dose and the ceiling, nothing differs but the weights and the text that the dictionary learnt from.
#
# These two are told apart by **dose 0**: the untouched base, its dictionary learnt from the
# fine-tune's mixture of texts. What is missing there, no weight is to blame for.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
planned = arms.planned(run, doses=doses, dosed=dosed, warm_start=warm_start, lm_seed=lm_seed)
own = [f"base-{s}" for s in range(root_seeds)] + [f"{child}-{arms.SEED}" for child in dosed]
found = {
    name: features.load_features(store.opened(run / "features" / name) / "features.safetensors")
    for name in dict.fromkeys([*own, "lua-0", *(arm.name for arm in planned)])
}

# %%
unchanged = f"base-{arms.SEED}"
others = [found[f"base-{s}"] for s in range(root_seeds) if s != arms.SEED]
paths = {child: arms.doses_of(planned, child) for child in dosed}
asked = [unchanged, *(name for path in paths.values() for name in path.values())]
asked += [arms.SECOND] if lm_seed else []
criteria = response.Criteria(tau, rule, min_positions, min_documents, replicates, seed)
answers = response.ask(others, {name: found[name] for name in asked}, criteria)

# %%
results = {}
ends = ("", ".ci_low", ".ci_high")
for child, path in paths.items():
    first, ratios = response.along(answers, path)
    for percent, name in path.items():
        key = f"dose.{child}.{percent}"
        results |= response.summary(f"{key}.persisting_share", answers, name, unchanged)
        values = ratios[percent] or (None,) * 3
        results |= {f"{key}.ratio_to_dose_0{end}": x for end, x in zip(ends, values, strict=True)}
    results[f"dose.{child}.first_change"] = None if first is None else float(first)
if lm_seed:
    results |= response.summary("dose.second.persisting_share", answers, arms.SECOND, unchanged)

# %% [markdown]
# How far the weights have moved at each dose is read from [the controls](arms).

# %%
moved = store.read_results(run, "arms")


def row(child, percent):
    name = f"dose.{child}.{percent}"
    ratio = f"{name}.persisting_share.ratio_to_ceiling"
    return {
        "child": child,
        "percent": percent,
        "share": results[f"{name}.persisting_share"],
        "ratio": results[ratio],
        "ratio_low": results[f"{ratio}.ci_low"],
        "ratio_high": results[f"{ratio}.ci_high"],
        "distance": moved[f"{name}.weight_distance"],
    }


table = pd.DataFrame(row(child, percent) for child, path in paths.items() for percent in path)
read = [found[name].acts for path in paths.values() for name in path.values()]
table["L0"] = [acts.nnz / acts.shape[0] for acts in read]

# %% mystnb={"figure": {"caption": "Of the base's features that a dictionary of the base itself would find again, the share that is found after part of the fine-tune, with 95 % band: against the steps done and against how far the weights have moved. Dashed: as many as in the unchanged base. At 0 steps only the text that the dictionary learnt from differs.", "name": "fig-dose"}, "image": {"alt": "Share over ceiling falling with the dose and with the distance of the weights"}} tags=["hide-input"]
doseplots.dose_response(table)

# %% tags=["hide-input"]
figures = {
    "share": "persisting_share",
    "share / ceiling": "persisting_share.ratio_to_ceiling",
    "share / dose 0": "ratio_to_dose_0",
}
formats = dict.fromkeys((*figures, "weights moved"), ".1%") | {"L0": ".1f"}
notes = {"share": "of the base's features", "share / dose 0": "same text and seed"}
for child, rows in table.groupby("child", sort=False):
    shown = rows[["percent", "distance", "L0"]]
    for (head, figure), end in itertools.product(figures.items(), ("", ".ci_low", ".ci_high")):
        shown[head + end] = [results[f"dose.{child}.{p}.{figure}{end}"] for p in rows["percent"]]
    shown = shown.rename(columns={"percent": "steps, %", "distance": "weights moved"})
    order = ["steps, %", *(c for c in shown if c.split(".")[0] in figures), "weights moved", "L0"]
    shown = shown[order].astype({c: float for c in order[1:]})
    display(show_table(shown, formats, f"{style.MODEL_LABELS[child]}, dose by dose.", notes))

# %% tags=["remove-cell"]
for child, path in paths.items():
    start, end = (moved[f"dose.{child}.{percent}.loss"] for percent in ("0", "100"))
    gain = start - end
    for percent in path:
        loss = moved[f"dose.{child}.{percent}.loss"]
        results[f"dose.{child}.{percent}.gained"] = (start - loss) / gain if gain > 0 else None
    first = results[f"dose.{child}.first_change"]
    for figure in ("weight_distance", "gained"):
        name = None if first is None else f"dose.{child}.{first:g}.{figure}"
        results[f"dose.{child}.first_change.{figure}"] = (results | moved).get(name)

# %% [markdown]
# {% set mix = "dose.lua.0.persisting_share.ratio_to_ceiling" -%}
# {% set end = "dose.lua.100.ratio_to_dose_0" -%}
# {% if not defined("dose.lua.0.persisting_share") -%}
# Lua isn't among the fine-tunes that this run follows.
# {%- elif not defined(mix) -%}
# In this run the base's dictionaries have too little in common for a ratio: no dose can be told from
# any other.
# {%- else -%}
# **The text alone.** Without a single step, the dictionary that learnt from Lua's mixture finds
# {{ share_ci(mix, 0) }} of what the base's own finds.
# {% if results[mix + ".ci_high"] < 1 -%}
# So part of what every comparison of base and Lua seems to lose was never the fine-tune's doing: a
# dictionary of a given size that must also describe Lua spends fewer features on the rest.
# {%- elif results[mix + ".ci_low"] > 1 -%}
# It finds more than the base's own does: whatever the fine-tune loses, the text is not to blame.
# {%- else -%}
# The interval includes 100 %: that its text is another one can't be shown to matter.
# {%- endif %}
#
# **The weights alone.** Measured against dose 0, the whole fine-tune keeps
# {% if defined(end) %}{{ share_ci(end, 0) }}{% else %}a share that is not defined{% endif %}.
# {% if defined("dose.lua.first_change") -%}
# The interval lies below 100 % from {{ results["dose.lua.first_change"] }}&nbsp;% of the steps on, where
# the weights have moved by {{ share("dose.lua.first_change.weight_distance") }} and
# {{ share("dose.lua.first_change.gained", 0) }} of the gain in loss is made.
# {%- else -%}
# At the last dose the interval includes 100 %, so the weights can't be shown to lose any feature.
# {%- endif %}
# {%- endif %}
#
# {% set end = "dose.stories.100.ratio_to_dose_0" -%}
# {% if defined(end) and defined("dose.stories.0.persisting_share.ratio_to_ceiling") -%}
# **Stories**, in the same way: through its mixture, {{ share_ci(
# "dose.stories.0.persisting_share.ratio_to_ceiling", 0) }} of what the base's own dictionary finds; and
# of that, the whole fine-tune keeps {{ share_ci(end, 0) }}
# {%- if defined("dose.stories.first_change") %}, below 100 % from
# {{ results["dose.stories.first_change"] }}&nbsp;% of the steps on{% endif %}.
#
# {% endif -%}
# The bands cover other documents and, where the base has more than two dictionaries, other
# dictionaries of the base; not another dictionary of the child, of which every dose has one.
# {% if defined("dose.lua.seed_gap") -%}
# How much that matters shows at the last dose, which has two: asked of one and the same dictionary of
# the base, they differ by {{ number(100 * results["dose.lua.seed_gap"], 1) }} points of the share.
# {%- endif %}
# All doses' dictionaries start from the same random weights and read the same text in the same order,
# so another seed should move the whole curve rather than bend it.

# %% tags=["remove-cell"]
if "lua" in dosed and root_seeds > 2:
    either = {name: found[name] for name in ("lua-0", f"lua-{arms.SEED}")}
    two = response.ask(others[-1:], either, criteria._replace(replicates=1))
    results["dose.lua.seed_gap"] = response.gap(two, *either)

# %% [markdown]
# ## A dictionary that starts where the parent's ended
#
# {% if not defined("dose.lua.warm.persisting_share") -%}
# This run has no warm start, in which the child's dictionary begins as the parent's;
# `--config arms='{warm_start: true}'` adds one.
# {%- else -%}
# Independent dictionaries are biased *against* persistence: what one of them chose to spend a feature
# on, another need not. A **warm start** is biased towards it: the child's dictionary begins as the
# parent's and learns on, and a feature that is still of some use has no reason to go
# {cite:p}`xu2024tracking`. Each is set against the unchanged base, read in the same way through the
# same text. And since the two may speak of different features, those that another dictionary of the
# base has as well (*reproducible*) are asked apart from those that none has.
# {%- endif %}

# %%
masks = response.reproducible(others, criteria)
who = {"persisting": None}
if masks:
    who |= {"reproducible": masks, "irreproducible": [~mask for mask in masks]}
ways = {}
if warm_start:
    ways |= {"cold": (answers, "lua-1", "lua-at-0")} if "lua" in dosed else {}
    warm = {name: found[name] for name in ("base-warm", "lua-warm")}
    warmed = response.ask([found[arms.PARENT]], warm, criteria)
    ways["warm"] = (warmed, "lua-warm", "base-warm")
for way, (told, child, same) in ways.items():
    for kind, among in who.items():
        among = among and among[: 1 if way == "warm" else None]
        results |= response.summary(f"dose.lua.{way}.{kind}_share", told, child, same, among)

# %% tags=["hide-input"]
KINDS = {"persisting": "all", "reproducible": "reproducible", "irreproducible": "not reproducible"}
WAYS = {"cold": "independent", "warm": "warm start"}
heads = {"in Lua": "", "in the unchanged base": ".ceiling", "ratio": ".ratio_to_ceiling"}
keys = {head + b: end + b for head, end in heads.items() for b in ("", ".ci_low", ".ci_high")}
bracket = pd.DataFrame(
    {
        "the base's features": KINDS[kind],
        "Lua's dictionary": WAYS[way],
        **{head: results.get(f"dose.lua.{way}.{kind}_share{key}") for head, key in keys.items()},
    }
    for kind in who
    for way in ways
)
if ways:
    formats = {"in Lua": ".1%", "in the unchanged base": ".1%", "ratio": ".0%"}
    display(show_table(bracket.astype(dict.fromkeys(keys, float)), formats))

# %% tags=["remove-cell"]
store.write_results(run, "dose", results)

# %% [markdown]
# {% set warm = "dose.lua.warm.persisting_share" -%}
# {% set cold = "dose.lua.cold.persisting_share" -%}
# {% set warm_rep = "dose.lua.warm.reproducible_share.ratio_to_ceiling" -%}
# {% set cold_rep = "dose.lua.cold.reproducible_share.ratio_to_ceiling" -%}
# {% set warm_irr = "dose.lua.warm.irreproducible_share" -%}
# {% if defined(warm) and not defined(cold) -%}
# Lua isn't among the fine-tunes followed here, so there is nothing to set the warm start against.
# {%- elif defined(warm) -%}
# **Bare shares.** {% if results[warm + ".ci_low"] > results[cold + ".ci_high"] -%}
# The two arms bracket what is left of the base's features in Lua: at least
# {{ share_ci(cold) }} (independent), at most {{ share_ci(warm) }} (warm).
# {%- else -%}
# The warm start finds {{ share_ci(warm) }} of the base's features in Lua, the independent dictionary
# {{ share_ci(cold) }}: the one meant to err upwards isn't clearly above the other.
# {%- endif %}
#
# {% if defined(warm + ".ratio_to_ceiling") and defined(cold + ".ratio_to_ceiling") -%}
# {% set w = warm + ".ratio_to_ceiling" -%}
# {% set c = cold + ".ratio_to_ceiling" -%}
# **Against the unchanged base.** A warm start keeps {{ share_ci(w, 0) }}, an independent dictionary
# {{ share_ci(c, 0) }} of what each shows where nothing happened.
# {% if results[w + ".ci_high"] < results[c + ".ci_low"] -%}
# The arm that favours persistence shows *less* of it. That is no contradiction: an independent
# dictionary's ceiling leaves out whatever only one dictionary found, while the warm start is asked
# for that as well.
# {%- elif results[w + ".ci_low"] > results[c + ".ci_high"] -%}
# The truth lies in between.
# {%- else -%}
# The intervals overlap: it doesn't matter here how the dictionary starts.
# {%- endif %}
# {% if results[w + ".ci_high"] < 1 and results[c + ".ci_high"] < 1 -%}
# Both intervals exclude 100 %: however it is measured, the fine-tune changed features.
# {%- elif results[w + ".ci_high"] < 1 or results[c + ".ci_high"] < 1 -%}
# Only one of the intervals excludes 100 %: whether features changed depends on how one looks.
# {%- else -%}
# Neither interval excludes 100 %.
# {%- endif %}
# {%- else -%}
# In this run a ratio to the unchanged base isn't defined for both.
# {%- endif %}
#
# {% if defined(warm_rep) and defined(cold_rep) -%}
# **Reproducible features alone.** Warm {{ share_ci(warm_rep, 0) }}, independent
# {{ share_ci(cold_rep, 0) }}.
# {% if results[warm_rep + ".ci_high"] < results[cold_rep + ".ci_low"]
#    or results[warm_rep + ".ci_low"] > results[cold_rep + ".ci_high"] -%}
# Here, too, the arms differ.
# {%- else -%}
# Asked of the same features, two ways of reading that err in opposite directions can't be told
# apart: this is the share of what can be relied on that the fine-tune left in place.
# {%- endif %}
# {% if defined(warm_irr + ".ratio_to_ceiling")
#    and results[warm_irr + ".ratio_to_ceiling.ci_high"] < results[warm_rep + ".ci_low"] -%}
# Features that no other dictionary of the base has go more easily: a warm start keeps
# {{ share(warm_irr + ".ceiling", 0) }} of them while the model stays as it is, and in Lua
# {{ share_ci(warm_irr, 0) }}. It seems they were one way among many to describe the base, and other
# weights call for another.
# {%- endif %}
# {%- else -%}
# Which features are reproducible can't be told here: it takes three dictionaries of the base, with
# something in common.
# {%- endif %}
# {%- endif %}
#
# ## Another model that read the same
#
# {% set second = "dose.second.persisting_share" -%}
# {% if not defined(second) -%}
# This run trained no second base, which takes as long as the first; `--config arms='{lm_seed: true}'`
# (and the profile `real`) trains one from another seed, to see what data and architecture dictate.
# {%- else -%}
# A fine-tune is one way to get a model that differs. Another is to train the base again from other
# random weights, on the same text in another order. That model owes the base nothing but the data;
# what the two share, data and architecture dictate.
#
# The second base has {{ share_ci(second) }} of the first one's features, where another dictionary of
# the first has {{ share(second + ".ceiling") }}.
# {% if not defined(second + ".ratio_to_ceiling") -%}
# Their ratio isn't defined.
# {%- elif results[second + ".ratio_to_ceiling.ci_high"] < 1 -%}
# The ratio, {{ share_ci(second + ".ratio_to_ceiling", 0) }}, is what the data dictate;
# {% if defined("dose.lua.100.persisting_share.ratio_to_ceiling") -%}
# a fine-tune, which starts from the base's own weights, keeps
# {{ share_ci("dose.lua.100.persisting_share.ratio_to_ceiling", 0) }}.
# {%- else -%}
# the rest is chance of training.
# {%- endif %}
# {%- else -%}
# The ratio, {{ share_ci(second + ".ratio_to_ceiling", 0) }}, includes 100 %: these features are no
# accident of one training, but what the data ask for.
# {%- endif %}
# {%- endif %}
#
# ## What we learned
#
# A share of persisting features mixes three things: the noise of dictionaries, which the ceiling takes
# out; the text that they learn from, which dose 0 takes out; and the weights. Only the last is about
# the model.
# {% if defined("dose.lua.first_change") -%}
# In Lua it shows from {{ results["dose.lua.first_change"] }}&nbsp;% of the steps on, and by the end
# {{ share_ci("dose.lua.100.ratio_to_dose_0", 0) }} are left of what dose 0 shows.
# {%- elif defined("dose.lua.100.ratio_to_dose_0") -%}
# In Lua it can't be shown at any dose.
# {%- endif %}
#
# :::{admonition} Exercise
# :class: tip
# Fine-tune more gently: `finetune='{learning_rate: 1e-4}'`. Does the share depend on the steps, or on
# how far the weights have moved? Compare the two panels of {numref}`fig-dose`.
# :::
#
# :::{dropdown} Answer
# With a smaller rate each dose moves the weights less, and the left curve lies higher. If the right
# one stays where it was, distance is what counts.
# :::
#
# :::{admonition} Exercise
# :class: tip
# Dose 0 changes no weight. Why may its dictionary still lack features that the base's own has?
# :::
#
# :::{dropdown} Answer
# It learns from another mixture of texts, of which a part is new. Features that describe the new part
# take places in a dictionary of fixed size, so fewer are left for English and Python.
# :::
#
# {% if defined("dose.lua.warm.persisting_share") -%}
# :::{admonition} Exercise
# :class: tip
# Why has the warm start a ceiling below 100 %, although nothing happened to the model?
# :::
#
# :::{dropdown} Answer
# Its dictionary learns on, from another mixture and with a fresh schedule. Features drift, some die,
# and a feature that moved far enough to correlate below τ counts as gone.
# :::
# {%- endif %}
