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
# The last chapter ended with a suspicion: features that seem to disappear might seem to
# disappear from an unchanged model, too. {cite:t}`horn2025tracking` train one dictionary per model,
# so their shares have nothing to be compared with. Here each share gets what a measurement needs:
# a **ceiling** (another seed's dictionary of the *same* model), a **floor** (the same features, but
# one model reads other documents) and an **interval** (texts and seeds drawn anew).

# %%
import json

import pandas as pd

from featrack_utils.dictionaries import features
from featrack_utils.display import shareplots, style
from featrack_utils.display.tables import show_table
from featrack_utils.matching import correlation
from featrack_utils.pipeline import store
from featrack_utils.pipeline.config import EDGES, MODELS
from featrack_utils.statistics import (
    bootstrap,
    companions,
    controls,
    curves,
    floors,
    intervals,
    nulls,
    origins,
)

style.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
root_seeds = 3  # dictionaries of the base model; paper: 1
other_seeds = 2  # of every other model; paper: 1
seed = 1337  # of the bootstrap
tau = 0.8  # correlation above which two features match; paper: 0.8
rule = "best"  # or mutual; paper: best match
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
replicates = 200  # bootstrap draws over groups of documents and seeds

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
found = features.open_features(run, lineage, root_seeds, other_seeds)

# %% [markdown]
# ## Every text drawn anew, and every match made anew
#
# Tokens of one document are not independent, and neither are documents of one group: stories of one
# plot, functions of one module. So whole groups are drawn with replacement, within their domains, and
# the matching is done anew in every draw. SAE seeds are drawn, too, in an outer loop. All shares use
# the same draws, so that a ratio of two shares has an interval of its own.
#
# Noise doesn't only scatter a share, it shifts it: where correlations crowd on one side of τ, more are
# thrown over it than back. A draw has the noise of the text twice, and can be given it three times;
# from one, two and three the share without any is extrapolated (SIMEX, {cite:p}`cook1994simulation`), and the
# interval is laid around that. So it needn't lie evenly about the dot. How often such intervals hold
# the truth was measured where it is known: [calibration](calibration), the next chapter.

# %%
seeds = {m: [f for name, f in found.items() if name.startswith(f"{m}-")] for m in MODELS}
draws = bootstrap.draw(
    found["base-0"], {m: len(each) for m, each in seeds.items()}, replicates, seed
)
models = {m: nulls.as_model(m, seeds[m], draws, min_positions, min_documents) for m in MODELS}
taus = sorted({*curves.CURVE_TAUS, tau})
compared = {(a, b): nulls.compare(models[a], models[b], taus) for a, b in EDGES}
own = {name: nulls.compare_seeds(model, taus) for name, model in models.items()}

# %% [markdown]
# ## What could be seen at most, and what chance would show
#
# The **ceiling** of a share is found in the parent itself: of one dictionary's features, how many
# does another dictionary *of the same model* have? The **floor** comes from shifting one model's
# features by half of each domain's documents: all as before, except that the two models no longer
# read the same text.


# %%
def counted(comparison, views=None):
    """Mean share over pairs of seeds by the rule at hand, or with each parent seed's view."""
    if views is None and rule == "mutual":
        views = [bootstrap.mutual_only] * len(models[comparison.parent].seeds)
    seen = nulls.seen_as(comparison, views) if views else comparison
    return nulls.kept_share(seen, draws)


kept = {pair: counted(comparison) for pair, comparison in compared.items()}
ceilings = {name: counted(comparison) for name, comparison in own.items()}
shifted = {(a, b): floors.shifted_matches(models[a], models[b]) for a, b in EDGES}
chance = {pair: floors.shares_above(best, taus) for pair, best in shifted.items()}
at = intervals.at(kept["base", "lua"], tau)

# %%
results = {}
for a, b in EDGES:
    name = f"track.{a}_{b}.persisting_share"
    results |= curves.summary(name, kept[a, b], ceilings[a], float(chance[a, b][0][at]), tau)
for model, ceiling in ceilings.items():
    results |= curves.flat(f"track.{model}.ceiling", intervals.interval(ceiling, tau))
results["track.tau"] = tau


# %%
def row(name, *keys):
    return {"share": results[name]} | {key: results[f"{name}.{key}"] for key in keys}


def cited(name, head):
    """A figure and its interval, as one cell of `show_table`."""
    return {head + end: results.get(name + end) for end in ("", ".ci_low", ".ci_high")}


keys = ("ci_low", "ci_high", "ceiling", "floor")
table = pd.DataFrame(
    {"pair": f"{a}_{b}", **row(f"track.{a}_{b}.persisting_share", *keys)} for a, b in EDGES
)

# %% mystnb={"figure": {"caption": "Share of each parent's features that persist (dot, 95 % interval), between its floor, what chance would find, and its ceiling, what another dictionary of the parent itself does.", "name": "fig-ceilings"}, "image": {"alt": "Persisting share of five pairs, each between floor and ceiling"}} tags=["hide-input"]
shareplots.shares_with_ceiling(table)

# %% [markdown]
# In {numref}`fig-ceilings` the dot is to be read against the black bar, never against 100 %.


# %% tags=["hide-input"]
def headline(a, b):
    name = f"track.{a}_{b}.persisting_share"
    return {
        "pair": style.pair_label(f"{a}_{b}"),
        **cited(f"{name}.ratio_to_ceiling", "ratio"),
        **cited(name, "share"),
        **cited(f"{name}.ceiling", "ceiling"),
        "floor": results[f"{name}.floor"],
    }


show_table(
    pd.DataFrame(headline(a, b) for a, b in EDGES).astype({"ratio": float}),
    dict.fromkeys(("ratio", "share", "ceiling", "floor"), ".1%"),
    notes={"ratio": "share / ceiling"},
    caption="Share of each parent's features that persist in its child, with 95 % intervals.",
)

# %% [markdown]
# Read the ratio. It asks of every pair: of what *could* be seen to persist, how much does?
#
# {% for pair, label in [("base_lua", "Base → Lua"), ("base_stories", "Base → Stories"),
#    ("lua_merged", "Lua → merged"), ("stories_merged", "Stories → merged"),
#    ("base_merged", "Base → merged")] -%}
# {% set name = "track." + pair + ".persisting_share.ratio_to_ceiling" -%}
# - **{{ label }}**:
#   {% if not defined(name) -%}
#   not defined, for the ceiling itself can't be told from zero.
#   {%- elif results[name + ".ci_high"] < 1 -%}
#   {{ share_ci(name, 0) }}. The interval excludes 100 %: features did change, but far fewer than
#   the bare share suggests.
#   {%- elif results[name + ".ci_low"] > 1 -%}
#   {{ share_ci(name, 0) }}, more than the parent's own dictionaries have in common: the child's
#   features are easier to find twice than the parent's.
#   {%- else -%}
#   {{ share_ci(name, 0) }}. The interval includes 100 %: with these dictionaries, loss can't be
#   told from no change.
#   {%- endif %}
# {% endfor %}
#
# A caveat on all of them: where a model has two dictionaries, there is one pair of them to compare
# and nothing left to draw, and three may agree by luck. How far dictionaries of other seeds would
# differ is then taken from theory: if a dictionary finds each of n features or doesn't, by itself, a
# share p varies between dictionaries with a standard deviation of √(p (1 − p) / n). Features that come
# or stay away together would make it vary more, features that nearly every dictionary finds, or
# hardly any, less.
#
# ## A child that nothing happened to
#
# The measure itself needs a control. Fine-tune for no step, and the child *is* the parent, up to the
# seed of its dictionary. So we let the base's last dictionary stand for such a child and the others
# for the parent: the ratio must be 100 %.

# %%
control = controls.zero_step_control(own["base"], draws)
share, top = control if control else (None, None)
chance_again = floors.chance_share(floors.shifted_matches(models["base"], models["base"]), tau)
results |= curves.summary(
    "track.zero_steps.persisting_share", share, top, chance_again if control else None, tau
)

# %% [markdown]
# {% set name = "track.zero_steps.persisting_share.ratio_to_ceiling" -%}
# {% if not defined(name) -%}
# The control isn't defined here: it takes three dictionaries of the base, with something in common.
# {%- else -%}
# It is {{ share_ci(name) }}, which
# {% if results[name + ".ci_low"] <= 1 <= results[name + ".ci_high"] -%}
# includes 100 %, as it should.
# {%- else -%}
# **excludes** 100 %: these three dictionaries differ by more than their documents show, and so much
# of every ratio above may be the seeds' doing.
# {%- endif %}
# {%- endif %}
#
# ## The threshold is a choice

# %% mystnb={"figure": {"caption": "Persisting share, ceiling and floor against the threshold, with 95 % bands. The vertical line is the threshold used elsewhere.", "name": "fig-threshold"}, "image": {"alt": "Five panels with curves falling with the threshold"}} tags=["hide-input"]
curve = pd.concat(
    curves.threshold_curve(f"{a}_{b}", kept[a, b], ceilings[a], chance[a, b][0]) for a, b in EDGES
)
shareplots.threshold_curve(curve, tau)

# %% tags=["remove-cell"]
for a, b in EDGES:
    below = [
        ratio.high < 1
        for t in curves.CURVE_TAUS
        if (ratio := curves.ratio_to_ceiling(kept[a, b], ceilings[a], t))
    ]
    results |= {f"track.{a}_{b}.taus_defined": len(below), f"track.{a}_{b}.taus_below": sum(below)}
    results |= curves.flat(
        f"track.{a}_{b}.unchanged_loss", curves.unchanged_loss(kept[a, b], ceilings[a], tau)
    )

# %% [markdown]
# In {numref}`fig-threshold` no value of τ separates "the same feature" from "another one". For
# Base → Lua the share lies below its ceiling, with an interval of their ratio that excludes 100 %,
# at {{ count("track.base_lua.taus_below") }} of the
# {{ count("track.base_lua.taus_defined") }} thresholds at which the ratio is defined; for
# Lua → merged at {{ count("track.lua_merged.taus_below") }} of
# {{ count("track.lua_merged.taus_defined") }}.
#
# But *how much* is lost depends on it, and so does how much of the loss is the dictionaries' own
# noise. The last column asks that: of what seems lost, how much would an unchanged base lose?

# %% tags=["hide-input"]
TABLED = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
pair, top = kept["base", "lua"], ceilings["base"]
for t in TABLED:
    name = f"track.base_lua.at_{100 * t:.0f}"
    results |= curves.flat(f"{name}.ratio", curves.ratio_to_ceiling(pair, top, t))
    results |= curves.flat(f"{name}.unchanged_loss", curves.unchanged_loss(pair, top, t))
by_tau = pd.DataFrame(
    {
        "τ": t,
        "share": intervals.interval(pair, t).estimate,
        "ceiling": intervals.interval(top, t).estimate,
        **cited(f"track.base_lua.at_{100 * t:.0f}.ratio", "ratio"),
        **cited(f"track.base_lua.at_{100 * t:.0f}.unchanged_loss", "noise's part of the loss"),
    }
    for t in TABLED
)
show_table(
    by_tau,
    {"τ": ".2f"} | dict.fromkeys(by_tau.columns[1:], ".1%"),
    caption="Base → Lua at other thresholds.",
)

# %% [markdown]
# {% set low, high = "track.base_lua.at_50", "track.base_lua.at_90" -%}
# {% if defined(low + ".ratio") and defined(high + ".ratio") -%}
# From τ = 0.5 to τ = 0.9 the ratio goes from {{ share_ci(low + ".ratio", 0) }} to
# {{ share_ci(high + ".ratio", 0) }}: loosely seen, more of the features are still there, and
# asked for sharp likeness, fewer. Noise's part of the apparent loss goes from
# {{ share(low + ".unchanged_loss", 0) }} to {{ share(high + ".unchanged_loss", 0) }}. Neither has
# one value that could be quoted without its threshold τ.
# {%- endif %}
#
# ## Copies and favourites
#
# Where a dictionary holds a feature twice, either copy will do as a match, and both count as found.
# So we count again with copies merged into one, and again with *mutual* matches only. If copies
# did no more than inflate shares and ceilings alike, the ratio would stay.

# %%
parents = list(dict.fromkeys(a for a, _ in EDGES))
groups = {
    name: [
        correlation.copies(f.acts, tau, eligible=able).group
        for f, able in zip(models[name].seeds, models[name].eligible, strict=True)
    ]
    for name in parents
}


def merged_copies(model):
    return [lambda m, group=group: bootstrap.copies_merged(m, group) for group in groups[model]]


def mutual(model):
    return [bootstrap.mutual_only] * len(models[model].seeds)


# %%
ways = {"copies_merged": merged_copies, "mutual": mutual}
for way, views in ways.items():
    top = {m: counted(own[m], views(m)) for m in parents}
    for a, b in EDGES:
        share = counted(compared[a, b], views(a))
        how = {"mutually": True} if way == "mutual" else {"group": groups[a][0]}
        floor = floors.chance_share(shifted[a, b], tau, **how)
        results |= curves.summary(f"track.{a}_{b}.{way}_share", share, top[a], floor, tau)

# %% tags=["hide-input"]
names = {
    f"{rule} match": "persisting_share",
    "copies merged": "copies_merged_share",
    "mutual match": "mutual_share",
}
rules = pd.DataFrame(
    {
        "pair": style.pair_label(f"{a}_{b}"),
        "counted by": way,
        **cited(f"track.{a}_{b}.{name}.ratio_to_ceiling", "ratio"),
        **row(f"track.{a}_{b}.{name}", "ceiling"),
    }
    for a, b in EDGES
    for way, name in names.items()
)
show_table(
    rules.astype({"ratio": float}),
    dict.fromkeys(("ratio", "share", "ceiling"), ".1%"),
    caption="The same pairs, counted in three ways.",
)

# %% [markdown]
# {% set all = "track.base_lua.persisting_share.ratio_to_ceiling" -%}
# {% set once = "track.base_lua.copies_merged_share.ratio_to_ceiling" -%}
# {% if defined(all) and defined(once) -%}
# {% if results[once + ".ci_high"] < results[all + ".ci_low"] -%}
# It doesn't stay. From Base to Lua it falls from {{ share_ci(all, 0) }} to
# {{ share_ci(once, 0) }} when each feature counts once: what a dictionary holds several times is
# what persists best, and so the first figure flatters. Whoever wants one number for *kinds* of
# features should take the second.
# {%- elif results[once + ".ci_low"] > results[all + ".ci_high"] -%}
# It rises: from {{ share_ci(all, 0) }} to {{ share_ci(once, 0) }} from Base to Lua, so features
# that a dictionary holds several times persist less well than others.
# {%- else -%}
# From Base to Lua it is {{ share_ci(all, 0) }} with copies and {{ share_ci(once, 0) }} without: the
# intervals overlap, and copies can't be said to matter.
# {%- endif %}
# {%- endif %}
#
# ## Do equal seeds flatter?
#
# If the dictionaries of parent and child start from the same random numbers, they may find the same
# features a little more often. Most published comparisons, the paper's included, use one seed.


# %%
def arm(pair):
    same, different = controls.same_seed_different_seed(compared[pair], draws)
    gain = curves.difference(same, different, tau)
    results[f"track.{'_'.join(pair)}.same_seed_gain"] = gain.estimate
    return {
        "pair": style.pair_label("_".join(pair)),
        "same seed": intervals.interval(same, tau).estimate,
        "different seeds": intervals.interval(different, tau).estimate,
        **curves.flat("gain", gain),
    }


arms = pd.DataFrame(arm(pair) for pair in EDGES)
results |= {"track.same_seed.pairs_higher": sum(arms["gain.ci_low"] > 0), "track.pairs": len(EDGES)}
show_table(
    arms,
    {"same seed": ".1%", "different seeds": ".1%", "gain": ".1pt"},
    notes={"gain": "points, 95 %"},
)

# %% [markdown]
# {% if results["track.same_seed.pairs_higher"] == 0 -%}
# For none of the pairs does the interval of the gain exclude zero: here an equal seed can't be
# said to help.
# {%- else -%}
# In {{ count("track.same_seed.pairs_higher") }} of {{ count("track.pairs") }} pairs the gain's
# interval excludes zero. A share from equal seeds is partly a memory of the common start, and a
# fair ceiling for it would need it too; ours averages over both.
# {%- endif %}
#
# ## Ask only those who can answer
#
# The cleanest question is put to *reproducible* features, those that another seed's dictionary of
# their own model has as well. Even they are not found every time: asked of a **third** dictionary of
# their own model, they have a ceiling, too.

# %%
third = nulls.reproducible_kept_share(own["base"], own["base"], draws, tau)
for a, b in EDGES:
    share = nulls.reproducible_kept_share(compared[a, b], own[a], draws, tau)
    ceiling = third if a == "base" else None
    again = [mask for (of, _), mask in nulls.reproducible(own[a], tau).items() if of == 0]
    floor = floors.chance_share(shifted[a, b], tau, among=again)
    results |= curves.summary(f"track.{a}_{b}.reproducible_share", share, ceiling, floor, tau)

# %% tags=["hide-input"]
clean = pd.DataFrame(
    {
        "pair": style.pair_label(f"{a}_{b}"),
        "of all": results[f"track.{a}_{b}.persisting_share"],
        **cited(f"track.{a}_{b}.reproducible_share", "of reproducible"),
        "ceiling": results[f"track.{a}_{b}.reproducible_share.ceiling"],
        **cited(f"track.{a}_{b}.reproducible_share.ratio_to_ceiling", "ratio"),
    }
    for a, b in EDGES
)
heads = ("of all", "of reproducible", "ceiling", "ratio")
show_table(
    clean.astype(dict.fromkeys(heads, float)),
    dict.fromkeys(heads, ".1%"),
    caption="Shares that persist.",
)

# %% [markdown]
# {% set name = "track.base_lua.reproducible_share" -%}
# {% if not defined(name) -%}
# No feature of the base is reproducible here, so the question can't be put.
# {%- elif not defined(name + ".ratio_to_ceiling") -%}
# Of the base's reproducible features {{ share_ci(name) }} persist in Lua. Their ceiling isn't
# defined: it takes three dictionaries of the base.
# {%- else -%}
# Of the base's reproducible features {{ share_ci(name) }} persist in Lua, where a third dictionary
# of the base itself finds {{ share(name + ".ceiling") }} of them: a ratio of
# {{ share_ci(name + ".ratio_to_ceiling", 0) }}.
# {% if results[name + ".ratio_to_ceiling.ci_high"] < 1 -%}
# What is missing to 100 % is no longer found by the child's dictionaries at this threshold,
# and not for want of a second look.
# {%- else -%}
# The interval reaches 100 %: even the reproducible features can't be shown to have changed.
# {%- endif %}
# {%- endif %}
# A dash stands where a model has only two dictionaries, and nobody is left to ask.
#
# ## What disappears, what emerges, and what would anyway
#
# The complements need the same care with signs reversed. If nothing had happened, 1 − ceiling of the
# features would still *seem* to disappear; only the **excess** over that is a loss. For emerging
# features the child's own ceiling counts.

# %%
for a, b in EDGES:
    gone, new = nulls.complement(kept[a, b]), nulls.emerging_share(compared[a, b], draws)
    for name, share, model, side in (("disappearing", gone, a, 0), ("emerging", new, b, 1)):
        anyway = nulls.complement(ceilings[model])
        by_chance = float(chance[a, b][side][at])
        results |= curves.lost_summary(f"track.{a}_{b}.{name}_share", share, anyway, by_chance, tau)


# %% tags=["hide-input"]
def lost_row(a, b, name):
    key = f"track.{a}_{b}.{name}_share"
    return {
        "pair": style.pair_label(f"{a}_{b}"),
        "features": name,
        **cited(key, "share"),
        "if unchanged": results[f"{key}.floor"],
        **cited(f"{key}.excess", "excess"),
    }


lost = [lost_row(a, b, name) for a, b in EDGES for name in ("disappearing", "emerging")]
show_table(
    pd.DataFrame(lost),
    {"share": ".1%", "if unchanged": ".1%", "excess": ".1pt"},
    notes={"excess": "points, 95 %"},
)

# %% [markdown]
# {% set name = "track.base_lua.disappearing_share" -%}
# On the way to Lua {{ share(name) }} of the base's features seem to disappear, but
# {{ share(name + ".floor") }} would from an unchanged model. The excess is
# {{ share_ci(name + ".excess") }}{% if results[name + ".excess.ci_low"] <= 0 %}, which includes
# nothing at all{% endif %}.
#
# *Unobserved* features have no ceiling, floor or interval. Whether a feature is active often enough is
# counted, not matched, so none can be found by chance or missed for want of another seed; and it is a
# fact about this mix of text. What differs between seeds stands in the chapter on
# [dictionaries](dictionaries), each by itself.
#
# ## Where the merged model's features come from
#
# What would these shares be if nothing had been merged? A merge that changes nothing gives back one of
# its parents. So let a second dictionary of Lua stand for the merged model, and then one of Stories,
# and ask for *their* features' origins in the same two dictionaries. *Lua only* is to be read against
# Lua's own case, *Stories only* against Stories'; for *both* and *novel* we take the mean of the two.

# %%
sides = [compared["lua", "merged"].known[0, 0], compared["stories", "merged"].known[0, 0]]
sides = [bootstrap.mutual_only(side) for side in sides] if rule == "mutual" else sides
came_from = controls.origin_shares(*sides)
unmerged = origins.unmerged_origins(models["lua"], models["stories"], own, taus, rule)
by_chance = origins.chance_origins(models["lua"], models["stories"], models["merged"], tau)
results |= origins.origin_results(came_from, unmerged, by_chance, tau)


# %% tags=["hide-input"]
def origin(name):
    key = f"track.merged_origin.{name.replace(' ', '_')}"
    lost = name == "novel"  # not found: what an unmerged parent shows is its floor
    return {
        "from": name,
        **cited(key, "share"),
        "in an unmerged parent": results[f"{key}.{'floor' if lost else 'ceiling'}"],
        "ratio": None,
        **({} if lost else cited(f"{key}.ratio_to_ceiling", "ratio")),
        **cited(f"{key}.excess", "excess"),
    }


heads = {"share": ".1%", "in an unmerged parent": ".1%", "ratio": ".1%", "excess": ".1pt"}
show_table(
    pd.DataFrame(map(origin, came_from)).astype(dict.fromkeys(heads, float)),
    heads,
    notes={"excess": "points, 95 %"},
)

# %% [markdown]
# Shares of the merged model's features (dictionaries of seed 0) by the parents that have them. For
# *novel* features floor and ceiling change places: {{ share("track.merged_origin.novel.floor") }} would
# look novel in a model that is one of the parents.
# {% set key = "track.merged_origin.novel.excess" -%}
# {% if results[key + ".ci_low"] > 0 -%}
# The excess, {{ share_ci(key) }}, is what the merge really made, or broke.
# {%- elif results[key + ".ci_high"] < 0 -%}
# The merged model has even fewer, by {{ share(-results[key]) }}.
# {%- else -%}
# The excess, {{ share_ci(key) }}, includes nothing at all: merging can't be said to make new features.
# {%- endif %}
# {% set key = "track.merged_origin.both.ratio_to_ceiling" -%}
# {% if defined(key) and results[key + ".ci_low"] > 1 -%}
# Features of both parents are commoner in the merged model than in a parent
# ({{ share_ci(key, 0) }} of what a parent has): merging favours what both share.
# {%- elif defined(key) and results[key + ".ci_high"] < 1 -%}
# Of the features that both parents share the merged model holds fewer than a parent does
# ({{ share_ci(key, 0) }}).
# {%- elif defined(key) -%}
# Features of both parents are as common in the merged model as in a parent, so far as can be told
# ({{ share_ci(key, 0) }}).
# {%- endif %}

# %% tags=["remove-cell"]
tracking = json.loads((run / "results" / "tracking.json").read_text())
store.write_results(run, "ceilings", curves.besides(results, tracking))

# %% [markdown]
# ## Shares that stand alone
#
# Every share of this book stands beside its interval, ceiling, floor and ratio, unless one of these
# reasons holds.

# %% tags=["hide-input"]
show_table(pd.DataFrame(companions.standing_alone()), caption="Shares without a companion.")

# %% [markdown]
# ## What we learned
#
# A share of features found again is a product of two things: how much of a model a dictionary of
# that size finds *at all*, and how much of it is still there in the child. Only its ratio to the
# ceiling speaks of the second. From the base to Lua it is
# {{ share_ci("track.base_lua.persisting_share.ratio_to_ceiling", 0) }}, from Lua to the merged model
# {{ share_ci("track.lua_merged.persisting_share.ratio_to_ceiling", 0) }}; and it depends on τ and on
# how copies are counted.
# {% set loss = "track.base_lua.unchanged_loss" -%}
# {% if defined(loss) -%}
# Of what seems lost on the way to Lua at this threshold, {{ share_ci(loss, 0) }} would seem lost from
# an unchanged base: "few features persist" is
# {% if results[loss + ".ci_low"] > 0.5 %}mostly{% elif results[loss + ".ci_high"] < 0.5 %}not
# mostly{% else %}about half{% endif %} the dictionary's own noise.
# {%- endif %}
#
# Not found is still not gone: the feature may have been carved up differently. A
# [later chapter](repartitioned) looks for what it carried.
#
# :::{admonition} Exercise
# :class: tip
# Train with three seeds for every model (`sae='{other_seeds: 3}'`). Which intervals shrink, and
# which dashes go?
# :::
#
# :::{dropdown} Answer
# Intervals that are wide because of the seeds shrink; those in which documents differ stay, and only
# more validation text narrows them. Reproducible features of every parent get their ceiling.
# :::
#
# :::{admonition} Exercise
# :class: tip
# A colleague reports that 60 % of features persist at τ = 0.5. Read the ceiling at 0.5 from the
# curve. What do you answer?
# :::
#
# :::{dropdown} Answer
# That a lower threshold lets in looser matches for both, and that only the distance to the ceiling
# at the same threshold says anything about the models.
# :::
