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
# # Which features persist?
#
# {cite:t}`horn2025tracking` call a feature of a parent model *persisting* if some feature of the
# child model is active on the same tokens with the same strength: if their activations correlate
# above 0.8 (their section 4). Features of the parent without such a partner *disappear*, features
# of the child without one *emerge*. We count them along every edge from the base to the merged
# model. What such a count can and can't mean is the subject of the next chapter; don't quote a
# share from this one without its ceiling from that one.

# %%
from itertools import combinations, permutations, product

import pandas as pd

from featrack_utils.dictionaries import features
from featrack_utils.display import flowplot, style
from featrack_utils.display.tables import format_cell, show_table
from featrack_utils.interpretation import logit_effects
from featrack_utils.matching import chains, classes, correlation, flow, similarity
from featrack_utils.pipeline import store
from featrack_utils.pipeline.config import EDGES, MODELS

style.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
root_seeds = 3  # dictionaries of the base model; paper: 1
other_seeds = 2  # of every other model; paper: 1
tau = 0.8  # correlation above which two features match; paper: 0.8
rule = "best"  # or mutual, assignment; paper: best match
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none

# %% [markdown]
# ## The same tokens for every model
#
# Two features are compared over all token positions of the evaluation mix, zeros included: what
# counts is *when* they are active and how strongly. A feature that is active too rarely for a
# correlation to mean anything is *unobserved*, a class of its own.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
found = features.open_features(run, lineage, root_seeds, other_seeds)
able = {
    n: classes.eligible(f.acts, f.origin, min_positions, min_documents) for n, f in found.items()
}
seeds = {model: [n for n in found if n.startswith(f"{model}-")] for model in MODELS}


def matches(a, b):
    return correlation.correlations(
        found[a].acts, found[b].acts, eligible_a=able[a], eligible_b=able[b]
    )


best = {(a, b): matches(a, b) for p, c in EDGES for a, b in product(seeds[p], seeds[c])}
tracked = {names: classes.classify(result, tau, rule) for names, result in best.items()}

# %% [markdown]
# Beside every parent and child stands a pair that nothing lies between: two dictionaries of the
# parent itself, which differ by their seeds.

# %%
parents = list(dict.fromkeys(parent for parent, _ in EDGES))
one_way = {pair: matches(*pair) for p in parents for pair in combinations(seeds[p], 2)}
own = one_way | {(b, a): classes.turned(result) for (a, b), result in one_way.items()}
every = best | own
group = {n: correlation.copies(f.acts, tau, eligible=able[n]).group for n, f in found.items()}

# %% [markdown]
# ## Shares
#
# Every parent dictionary is compared with every child dictionary; the table gives the mean over
# the pairs of seeds.


# %%
def shares(parent, child):
    over = [tracked[names] for names in product(seeds[parent], seeds[child])]
    return {
        name: sum(getattr(one, name) for one in over) / len(over)
        for name in ("persisting_share", "disappearing_share", "emerging_share", "unobserved_share")
    }


table = pd.DataFrame([{"pair": f"{a}_{b}", **shares(a, b)} for a, b in EDGES])
readable = table.rename(columns=lambda name: name.removesuffix("_share"))
show_table(
    readable.assign(pair=table["pair"].map(style.pair_label)),
    {column: ".1%" for column in readable.columns[1:]},
    caption="Shares of features along each edge, means over all pairs of seeds.",
    notes={"emerging": "of the child's", "unobserved": "of all the parent's"},
)

# %% [markdown]
# Of the base's observable features {{ share("track.base_lua.persisting_share") }} are found in
# the Lua model and {{ share("track.base_stories.persisting_share") }} in the Stories model. The
# step from a fine-tune to the merged model keeps
# {{ share("track.lua_merged.persisting_share") }} (Lua) and
# {{ share("track.stories_merged.persisting_share") }} (Stories).
# {% if results["track.base_lua.persisting_share"] < 0.5
#    and results["track.base_stories.persisting_share"] < 0.5 -%}
# Taken by themselves these numbers say that most of the base's features disappear. Hold that thought
# until the next chapter.
# {%- else -%}
# What they should be if nothing had happened is the next chapter's.
# {%- endif %}
#
# ## How close is the closest?


# %% mystnb={"figure": {"caption": "Best correlation of each observable parent feature with any feature of the child (filled), and with any feature of another dictionary of the parent itself (outline). Dictionaries of seeds 0 and 1. Dotted: the threshold.", "name": "fig-best-match"}, "image": {"alt": "Five histograms of best correlations, each with the outline of its parent's own seeds"}} tags=["hide-input"]
def best_r(a, b):
    return every[a, b].a_best_r[every[a, b].a_candidates]


observed = {f"{a}_{b}": best_r(f"{a}-0", f"{b}-0") for a, b in EDGES}
unchanged_r = {f"{a}_{b}": best_r(*seeds[a][:2]) for a, b in EDGES if len(seeds[a]) > 1}
style.best_match_histogram(observed, unchanged_r, tau)

# %% [markdown]
# {numref}`fig-best-match` shows the best correlation of every observable parent feature, and, as
# an outline, the same for two dictionaries of the *same* parent that differ only in their seed.
# There is no gap at the threshold: it cuts through a continuum, and no outline is a single bar at 1.
#
# ## Where they go
#
# {numref}`fig-flow` follows the dictionaries of seed 0 through all stages.

# %%
along = {(a, b): tracked[f"{a}-0", f"{b}-0"] for a, b in EDGES}
volumes = flow.flow(
    along["base", "lua"],
    along["base", "stories"],
    along["lua", "merged"],
    along["stories", "merged"],
)

# %% mystnb={"figure": {"caption": "Where features go, after the paper's Figure 2, for the dictionaries of seed 0. Each plain band counts one-to-one matches, grey ones features without a match. Hatched bands do have one, but share it: fused features with another parent, whose match is closer; split ones come from a parent that another child matches more closely. New and novel features come from nowhere.", "name": "fig-flow"}, "image": {"alt": "Flow diagram of features from base through Lua and Stories to merged"}} tags=["hide-input"]
flowplot.flow_diagram(volumes)

# %% [markdown]
# From left to right: the base's observable features, what becomes of them in the two fine-tunes,
# and what the merged model inherits. A plain band counts one-to-one matches. *No match*, grey, is
# where features end, *new* and *novel* where they begin. Hatched bands have a match that isn't
# theirs alone: *fused* features are one of several parents of a child, and not the closest; *split*
# ones are the reverse, one of several children of a parent. How many there are is
# [counted below](#many-to-one).

# %%
origins = pd.Series(flow.origins_of_merged(along["lua", "merged"], along["stories", "merged"]))
counts = origins[origins != "unobserved"].value_counts(normalize=True)
show_table(
    counts.rename_axis("origin of a merged feature").reset_index(name="share"),
    {"share": ".1%"},
    caption="Where the merged model's observable features come from, dictionaries of seed 0.",
)

# %% [markdown]
# ## Universal features
#
# A feature is *universal* here if a chain of matches leads from the base through both fine-tunes
# to one and the same feature of the merged model. Between the dictionaries of seed 0 there are
# {{ count("track.universal_count") }} of them; over all
# {{ count("track.seed_combinations") }} ways to choose one dictionary for each model, from
# {{ count("track.universal_count.lowest") }} to {{ count("track.universal_count.highest") }}.


# %%
def linked(base, lua, stories, merged):
    return [best[pair] for pair in ((base, lua), (base, stories), (lua, merged), (stories, merged))]


def chained(*names):
    known = flow.universal_chains(*linked(*names), best[names[0], names[-1]], tau=tau)
    return known.assign(dictionaries=" ".join(names))


choices = list(product(*seeds.values()))
found_chains = pd.concat([chained(*names) for names in choices], ignore_index=True)
links = {"min_r": "weakest link", "r_base_merged": "base to merged"}
columns = style.MODEL_LABELS | links
show_table(
    found_chains[list(columns)].head(6).rename(columns=columns),
    {name: "d" for name in style.MODEL_LABELS.values()} | {name: ".3f" for name in links.values()},
    caption="The best linked of seed 0, by the numbers that the features have in each model.",
)

# %% [markdown]
# Such a count needs what every share needs. *Copies* of a feature make a chain each, so we count them
# once. The *floor* shifts the text of Lua and Stories by half their documents, so that no link joins
# models that read the same. And the *ceiling*: if neither tuning nor merging had changed anything,
# all four models would be the base, and their dictionaries would differ by the seed alone. So
# dictionaries of the base stand for all four, in every order.
# {% if results["track.base.dictionaries"] > 3 -%}
# {%- elif results["track.base.dictionaries"] == 3 -%}
# That would take four of them, and there are three. But who has a universal chain has both its first
# links and also a path of two, and each of these takes only three dictionaries: the last row's
# ceiling is the smaller of the two, so it is too high rather than too low.
# {%- else -%}
# That takes at least three of them, so it isn't defined here.
# {%- endif %}

# %%
SHAPES = (
    "in Lua and in Stories",
    "in Lua, from there in Merged",
    "in Stories, from there in Merged",
    "universal",
)
counted = chains.mean(chains.chained(*linked(*names), group[names[0]], tau) for names in choices)
own_base = {(s, t): own[f"base-{s}", f"base-{t}"] for s, t in permutations(range(root_seeds), 2)}
ceiling = chains.unchanged(own_base, [group[name] for name in seeds["base"]], tau)
first = [f"{model}-0" for model in MODELS]
floor = chains.by_chance([found[n] for n in first], [able[n] for n in first], group["base-0"], tau)
undefined = chains.Count(float("nan"), float("nan"))
shapes = zip(SHAPES, counted, ceiling or [undefined] * 4, floor, strict=True)

# %% tags=["hide-input"]
table_of_chains = pd.DataFrame(
    {
        "a feature of the base found": shape,
        "features": seen.features,
        "ceiling": top.features,
        "by chance": low.features,
        "copies merged": seen.groups,
        "their ceiling": top.groups,
    }
    for shape, seen, top, low in shapes
)
show_table(
    table_of_chains,
    {column: ",.0f" for column in table_of_chains.columns[1:]},
    caption="Chains of matches from the base on: means over all choices of dictionaries.",
    notes={"ceiling": "if nothing had happened", "their ceiling": "copies merged"},
)

# %% [markdown]
# With copies merged, the {{ count("track.universal_count") }} of seed 0 are
# {{ count("track.universal_count.copies_merged") }} different features.
# {% if defined("track.universal_count.unchanged") and results["track.universal_count.unchanged"] -%}
# {% set bound = results["track.base.dictionaries"] == 3 -%}
# {% set share_of = results["track.universal_count.mean"] / results["track.universal_count.unchanged"] -%}
# On average there are {% if bound %}at least {% endif %}{{ share(share_of, 0) }} of what an unchanged
# model would show, and {{ share(results["track.universal_count.copies_merged.mean"]
# / results["track.universal_count.copies_merged.unchanged"], 0) }} with copies merged;
# {% if results["track.universal_count.by_chance"] == 0 -%}
# chance shows none.
# {%- else -%}
# chance shows {{ count("track.universal_count.by_chance") }}.
# {%- endif %}
# {% if share_of < 1 -%}
# So the chains are real, and fewer than if nothing had happened, but the count itself says as much of
# dictionaries as of models: of the base's {{ count("track.base.observable_count") }} features even
# unchanged models would make
# {% if bound %}at most {% endif %}{{ count("track.universal_count.unchanged") }} universal.
# {%- else -%}
# That is no fewer than if nothing had happened, so by this count nothing was lost.
# {%- endif %}
# {%- else -%}
# What an unchanged model would show isn't defined here.
# {%- endif %}
# {% set both = results["track.found_in_both_count"] -%}
# {% if both > 0 -%}
# Of the base's features that both fine-tunes have,
# {{ share(results["track.universal_count.mean"] / both, 0) }} also lead on, both ways, to one
# and the same feature of the merged model.
# {%- endif %}
#
# ## Four ways to count
#
# A best match may be shared by several features; a *mutual* match may not, and an *assignment*
# pairs features one to one. Merging the copies within a dictionary first is a fourth. Each has a
# ceiling of its own: the same rule between the parent's own dictionaries.


# %%
WAYS = ("best", "mutual", "assignment", "copies merged")


def share_found(names, way):
    if way != "copies merged":
        return classes.classify(every[names], tau, way).persisting_share
    one = classes.classify(every[names], tau, "best")
    return classes.merge_copies(one, *(group[name] for name in names)).persisting_share


def mean_share(pairs, way):
    return pd.Series([share_found(names, way) for names in pairs], dtype=float).mean()


by_way = pd.DataFrame(
    {
        "pair": f"{a}_{b}",
        "way": way,
        "share": mean_share(product(seeds[a], seeds[b]), way),
        "ceiling": mean_share(permutations(seeds[a], 2), way),
    }
    for (a, b), way in product(EDGES, WAYS)
)


# %% tags=["hide-input"]
def cell(row):
    both = [format_cell(row[name], ".1%") for name in ("share", "ceiling")]
    return " / ".join(both).replace(" ", "\u00a0")


by_way["ratio"] = by_way["share"] / by_way["ceiling"].where(by_way["ceiling"] > 0)
shown = by_way.assign(cell=by_way.apply(cell, axis=1)).pivot(index="pair", columns="way")["cell"]
shown = shown.loc[[f"{a}_{b}" for a, b in EDGES], list(WAYS)].reset_index()
show_table(
    shown.assign(pair=shown["pair"].map(style.pair_label)),
    caption="Share of the parent's features that persist / its ceiling, for four ways to count: "
    "means over all pairs of seeds.",
)

# %% [markdown]
# {% set pair = "track.base_lua.share_over_ceiling" -%}
# {% if defined(pair + ".lowest") -%}
# A stricter way lowers the share, and it lowers the ceiling. Their ratio is what should stay; for
# Base → Lua it goes from {{ share(pair + ".lowest", 0) }} to {{ share(pair + ".highest", 0) }}, so the
# way of counting is a choice that must be named.
# {%- else -%}
# A dash stands where a parent has one dictionary only, or its dictionaries have nothing in common.
# {%- endif %}
#
# (many-to-one)=
# ## Many to one
#
# How often do several parents have one child as their best match, and several children one parent?
# Features that merge or split would show here; so do copies, and a dictionary that carves more finely.


# %%
def several(pairs):
    each = [classes.multiplicity(every[names], tau) for names in pairs]
    shares = [(one.merging_share, one.splitting_share) for one in each]
    return pd.DataFrame(shares, columns=["merging", "splitting"], dtype=float).mean()


many = {f"{a}_{b}": several(product(seeds[a], seeds[b])) for a, b in EDGES}
many_unchanged = {parent: several(permutations(seeds[parent], 2)) for parent in parents}

# %% tags=["hide-input"]
rows = [
    {
        "pair": style.pair_label(pair),
        "children with several parents": seen["merging"],
        "parents with several children": seen["splitting"],
        "either, if unchanged": many_unchanged[pair.split("_")[0]]["merging"],
    }
    for pair, seen in many.items()
]
show_table(
    pd.DataFrame(rows),
    {column: ".1%" for column in list(rows[0])[1:]},
    caption="Matches that are shared, of all features that are someone's best match above the "
    "threshold: means over pairs of seeds. If unchanged: between the parent's own dictionaries.",
)

# %% [markdown]
# Children with several parents are commoner than between a parent's own dictionaries along
# {{ count("track.edges_merging_more") }} of the {{ count("track.edges") }} edges, parents with several
# children along {{ count("track.edges_splitting_more") }}. Only what exceeds the parent's own seeds can be a finding about models; the
# rest is two dictionaries that carve one model differently. No interval stands beside these shares, so
# a difference of a few points is no finding either.
#
# ## Do other yardsticks agree?
#
# r looks at *when* a feature is active and how strongly. On the same pairs we can ask other
# things: whether the two write in the same direction (cosine of the decoders), on which tokens
# both are active (Jaccard: active in both / in either), whether they order those tokens alike
# (Spearman), and whether they push the same next tokens (cosine of the effects on the logits).


# %%
def side(name):
    model = run / "models" / name.split("-")[0]
    return similarity.Side(found[name].acts, logit_effects.read_writing(model, run / "saes" / name))


def measured(a, b):
    pairs = similarity.on_best_matches(every[a, b], side(a), side(b))
    return similarity.summary(pairs, tau)


by_yardstick = {f"{a}_{b}": measured(f"{a}-0", f"{b}-0") for a, b in EDGES}
by_yardstick |= {p: measured(*seeds[p][:2]) for p in parents if len(seeds[p]) > 1}


# %% tags=["hide-input"]
def label(key):
    return style.pair_label(key) if "_" in key else f"{style.MODEL_LABELS[key]}, another seed"


NAMES = {"r": "r"} | similarity.YARDSTICKS
ends = {"": "median", ".ci_low": "p10", ".ci_high": "p90"}
rows = [
    {"dictionaries": label(key)}
    | {
        NAMES[name] + end: row[column]
        for name, row in summary.iterrows()
        for end, column in ends.items()
    }
    for key, summary in by_yardstick.items()
]
show_table(
    pd.DataFrame(rows),
    {name: ".2f" for name in NAMES.values()},
    caption="Matched pairs by other yardsticks: median [10th, 90th percentile]. Seed 0; below, "
    "seeds 0 and 1 of the unchanged parents.",
)

# %% tags=["hide-input"]
rows = [
    {"dictionaries": label(key)}
    | {NAMES[n]: x for n, x in summary["agreement"].items() if n != "r"}
    for key, summary in by_yardstick.items()
]
show_table(
    pd.DataFrame(rows),
    {name: ".2f" for name in similarity.YARDSTICKS.values()},
    caption="Agreement with r: rank correlation between a yardstick and r over the best matches "
    "of all parent features, those below the threshold included.",
)

# %% [markdown]
# {% set seen, same = "track.base_lua.yardstick.", "track.base.yardstick." -%}
# {% if defined(seen + "decoder_cosine.median") and defined(same + "decoder_cosine.median") -%}
# The matched features of Base → Lua write in directions with a median cosine of
# {{ number(seen + "decoder_cosine.median") }}; those of two seeds of the unchanged base,
# {{ number(same + "decoder_cosine.median") }}. For the logits it is
# {{ number(seen + "logit_cosine.median") }} against {{ number(same + "logit_cosine.median") }}.
# {% if results[seen + "decoder_cosine.median"] < results[same + "decoder_cosine.median"]
#    and results[seen + "logit_cosine.median"] < results[same + "logit_cosine.median"] -%}
# So a feature that persists by r has often changed what it writes: "the same feature" is a matter of
# degree above the threshold, too. A part of that is r itself, whose median is
# {{ number(seen + "r.median") }} against {{ number(same + "r.median") }}.
# {%- else -%}
# So by what they write the persisting features are as close as an unchanged model's.
# {%- endif %}
# Even matched features are active on few of the same tokens: the median Jaccard is
# {{ number(seen + "jaccard.median") }}, and {{ number(same + "jaccard.median") }} between the seeds. r
# weighs strong activations most, and weak ones come and go.
# {%- endif %}
# {% if defined("track.yardstick_agreement.lowest") -%}
# Over all pairs the yardsticks and r order matches alike to a degree between
# {{ number("track.yardstick_agreement.lowest") }} and {{ number("track.yardstick_agreement.highest") }}
# (rank correlations): another yardstick would draw the line elsewhere.
# {%- endif %}

# %% tags=["remove-cell"]
criteria = {
    "tau": tau,
    "rule": rule,
    "min_positions": min_positions,
    "min_documents": min_documents,
}


def write(work):
    volumes.to_csv(work / "flow.csv", index=False)
    found_chains.to_csv(work / "universal.csv", index=False)


store.make(
    run / "tracking",
    write,
    parameters=criteria,
    code=[correlation, classes, flow],
    inputs=[run / "features" / name for name in found],
)

# %% tags=["remove-cell"]
per_choice = found_chains["dictionaries"].value_counts()
per_choice = per_choice.reindex([" ".join(names) for names in choices], fill_value=0)
again = [
    classes.classify(own[names], tau, rule).persisting_share
    for names in permutations(seeds["base"], 2)
]
results = {
    f"track.{pair}.{name}": value
    for pair, row in table.set_index("pair").iterrows()
    for name, value in row.items()
}
results |= {
    f"track.merged_origin.{name.replace(' ', '_')}": value for name, value in counts.items()
}
results |= {
    "track.base.seed_ceiling": sum(again) / len(again),
    "track.base.dictionaries": root_seeds,
    "track.seed_combinations": len(choices),
}

# %% tags=["remove-cell"]
groups_of_first = group["base-0"][found_chains.loc[: per_choice.iloc[0] - 1, "base"]]
results |= {
    "track.universal_count": per_choice.iloc[0],
    "track.universal_count.lowest": per_choice.min(),
    "track.universal_count.highest": per_choice.max(),
    "track.universal_count.mean": counted.universal.features,
    "track.universal_count.copies_merged": len(set(groups_of_first)),
    "track.universal_count.copies_merged.mean": counted.universal.groups,
    "track.universal_count.by_chance": floor.universal.features,
    "track.base.observable_count": able["base-0"].sum(),
    "track.found_in_both_count": counted.both.features,
}
results |= {
    f"track.universal_count{end}.unchanged": ceiling and getattr(ceiling.universal, part)
    for end, part in (("", "features"), (".copies_merged", "groups"))
}

# %% tags=["remove-cell"]
for pair, rows in by_way.groupby("pair"):
    one = rows.set_index("way").loc["assignment"]
    name = f"track.{pair}.assignment_share"
    results |= {
        name: one["share"],
        f"{name}.ceiling": one["ceiling"],
        f"{name}.ratio_to_ceiling": one["ratio"],
    }
    name = f"track.{pair}.share_over_ceiling"
    results |= {f"{name}.lowest": rows["ratio"].min(), f"{name}.highest": rows["ratio"].max()}
for pair, seen in many.items():
    same = many_unchanged[pair.split("_")[0]]
    results |= {f"track.{pair}.{name}_share": value for name, value in seen.items()}
    results |= {f"track.{pair}.{name}_share.unchanged": value for name, value in same.items()}

# %% tags=["remove-cell"]
exceeding = sum((many[f"{a}_{b}"] > many_unchanged[a]).astype(int) for a, b in EDGES)
results |= {f"track.edges_{name}_more": n for name, n in exceeding.items()}
agreements = pd.concat([summary["agreement"].drop("r") for summary in by_yardstick.values()])
results |= {
    "track.yardstick_agreement.lowest": agreements.min(),
    "track.yardstick_agreement.highest": agreements.max(),
    "track.edges": len(EDGES),
}
results |= {
    f"track.{key}.yardstick.{name}.{column}": value
    for key, summary in by_yardstick.items()
    for name, row in summary.iterrows()
    for column, value in row.items()
}
results = {name: None if pd.isna(value) else value for name, value in results.items()}
store.write_results(run, "tracking", results)

# %% [markdown]
# ## What we learned
#
# By the paper's criterion {{ share("track.base_lua.disappearing_share", 0) }} of the base's
# features are lost on the way to Lua. But two dictionaries of the *unchanged* base share only
# {{ share("track.base.seed_ceiling", 0) }} of their features by the same criterion.
# {% set lost = results["track.base_lua.disappearing_share"] -%}
# {% set anyway = 1 - results["track.base.seed_ceiling"] -%}
# {% if anyway >= lost -%}
# So as many would seem lost from a model that nothing happened to: by this count there is no loss at
# all.
# {%- else -%}
# So {{ share(anyway / lost, 0) }} of what seems lost would seem lost from a model that nothing happened
# to:
# {% if anyway > 0.5 * lost -%}
# most of the loss is the instrument's.
# {%- else -%}
# the greater part is the models'.
# {%- endif %}
# {%- endif %}
# {% if defined("track.universal_count.unchanged") and results["track.universal_count.unchanged"] -%}
# The same goes for universal features: there are {{ count("track.universal_count.mean") }}, beside
# {% if results["track.base.dictionaries"] == 3 %}at most {% endif -%}
# {{ count("track.universal_count.unchanged") }} in a model that didn't change, and
# {{ share(1 - results["track.universal_count.copies_merged"] / results["track.universal_count"], 0)
#    if results["track.universal_count"] else "none" }} of those of seed 0 repeat another.
# {%- endif %}
# The next chapter takes that apart.
#
# :::{admonition} Exercise
# :class: tip
# Set `rule` to `assignment`. Why do the shares fall, and for which pair most? Why does the ratio to
# the ceiling move less?
# :::
#
# :::{dropdown} Answer
# One child feature can be the best match of several parents, most often of copies; an assignment
# gives it to one of them. "Many to one" says how often that happens. Between a parent's own
# dictionaries it happens as well, so the ceiling falls, too; where it happens less often there than
# between parent and child, the ratio falls a little.
# :::
#
# :::{admonition} Exercise
# :class: tip
# Why does the ceiling of universal features, taken from three dictionaries, lie above the one that
# four would give?
# :::
#
# :::{dropdown} Answer
# Let A, B, C and D stand for base, Lua, Stories and merged. A universal chain from a feature of A
# needs a match in B *and* one in C *and* a feature of D that both lead to. With three dictionaries
# we can only ask for some of that: for the first two, or for the path A – B – D. Who meets all
# conditions meets some of them, never the other way round.
# :::
#
# :::{admonition} Exercise
# :class: tip
# A feature of the base and one of Lua correlate by 0.85, but the cosine of their decoders is 0.3. Is
# that the same feature? Which of the two numbers would you ask if you wanted to *steer* with it?
# :::
#
# :::{dropdown} Answer
# Both detect the same thing, but they do something else about it: r knows of the reading side alone,
# the decoder of the writing side. Who steers writes, so the decoder, or better the effect on the
# logits, is to be asked; who monitors reads, and r is.
# :::
