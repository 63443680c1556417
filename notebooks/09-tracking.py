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
# {cite:t}`horn2025tracking` call a feature of a parent model {term}`persisting` if some feature of the
# child is active on the same tokens with the same strength: if their activations correlate above
# 0.8 (their section 4). A parent's feature without such a partner *disappears*, a child's *emerges*.
# This chapter counts them along every edge of the lineage.
# **You will learn** how two features are compared, and where features go. **You need** the chapter on
# [dictionaries](dictionaries). **It takes** twenty minutes.

# %% tags=["hide-input"]
from itertools import permutations, product

import numpy as np
import pandas as pd
from scipy import sparse

from featrack_utils.dictionaries import features
from featrack_utils.display import flow_figure, shareplots, style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import check, count, listed, percent, say, show
from featrack_utils.interpretation import logit_effects
from featrack_utils.lineage import label
from featrack_utils.matching import best_matches, chains, classes, flow, similarity
from featrack_utils.pipeline import store

# %% tags=["parameters"]
run_dir = "runs/quick"
root_seeds = 3  # dictionaries of the first model; paper: 1
other_seeds = 2  # of every other model; paper: 1
tau = 0.8  # correlation above which two features match; paper: 0.8
rule = "best"  # or mutual, assignment; paper: best match
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none

# %% [markdown]
# ## The same tokens for every model
#
# All models read the same text, the evaluation mix. Let $x_t$ be a feature of the parent and $y_t$
# one of the child at token position $t$, zeros included. Their likeness is Pearson's correlation
#
# $$
# r = \frac{\sum_t (x_t - \bar x)\,(y_t - \bar y)}
# {\sqrt{\sum_t (x_t - \bar x)^2}\;\sqrt{\sum_t (y_t - \bar y)^2}}.
# $$
#
# So it counts *when* a feature is active and how strongly. A feature that is active too rarely for
# a correlation to mean anything is *unobserved*, a class of its own. All pairs of dictionaries that
# the book compares are matched here, once; later chapters open the result.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
seeds = {"root_seeds": root_seeds, "other_seeds": other_seeds}
best_matches.match_run(
    run, lineage, **seeds, min_positions=min_positions, min_documents=min_documents, tau=tau
)
matches = best_matches.open_matches(run)
found = features.open_features(run, lineage, **seeds)

# %% [markdown]
# The best correlation of one feature takes five lines. The mean of $y$ needn't be taken off, for
# the deviations of $x$ add up to zero. The package does the same for all features at once.

# %%
parent, child = (matches.names[model][0] for model in lineage.edges[0])
feature = np.flatnonzero(matches.eligible[parent])[0]

x = found[parent].acts[:, [feature]].toarray().ravel()
y = sparse.csr_array(found[child].acts[:, matches.eligible[child]], dtype=np.float64)
deviation = x - x.mean(dtype=np.float64)
spread = np.sqrt(y.power(2).sum(axis=0) - y.sum(axis=0) ** 2 / len(x))
r = (y.T @ deviation) / (spread * np.sqrt(deviation @ deviation))

assert np.isclose(np.nanmax(r), matches.best[parent, child].a_best_r[feature], atol=1e-6)

# %% [markdown]
# ## How close is the closest?
#
# For every observable feature of a parent we look up its best correlation with any feature of the
# child. Beside it stands a pair that nothing lies between: two dictionaries of the parent itself,
# which differ by their seeds.


# %% tags=["hide-input"]
def best_r(a, b):
    best = matches.best[a, b]
    return best.a_best_r[best.a_candidates]


edges = {f"{a}_{b}": (a, b) for a, b in lineage.edges}
seed_0 = {n: (matches.names[a][0], matches.names[b][0]) for n, (a, b) in edges.items()}
again = {n: matches.names[a][:2] for n, (a, _) in edges.items() if len(matches.names[a]) > 1}
observed, unchanged = ({n: best_r(*pair) for n, pair in of.items()} for of in (seed_0, again))
show(
    shareplots.best_match_histogram(observed, unchanged, tau),
    "Best correlation of each observable parent feature with any feature of the child (filled), and "
    "of another dictionary of the parent itself (outline). Seeds 0 and 1. Dotted: the threshold.",
    "fig-best-match",
    "Histograms of best correlations, one for each edge, with the outline of the parent's own seeds",
)

# %% [markdown]
# There is no gap at the threshold in {numref}`fig-best-match`: it cuts through a continuum. And no
# outline is a single bar at 1: even an unchanged model isn't read the same way twice.
#
# ## Shares
#
# Above the threshold a feature persists, below it disappears. Every parent dictionary is compared
# with every child dictionary; the table gives the mean over these pairs.

# %%
SHARES = ("persisting_share", "disappearing_share", "emerging_share", "unobserved_share")


def mean_shares(a, b):
    pairs = product(matches.names[a], matches.names[b])
    tracked = [matches.tracking(*pair, tau, rule) for pair in pairs]
    return {name: np.mean([getattr(one, name) for one in tracked]) for name in SHARES}


table = pd.DataFrame([{"pair": name, **mean_shares(*edge)} for name, edge in edges.items()])

# %% tags=["hide-input"]
readable = table.assign(pair=table["pair"].map(style.pair_label))
show_table(
    readable.rename(columns=lambda name: name.removesuffix("_share")),
    dict.fromkeys(("persisting", "disappearing", "emerging", "unobserved"), ".0%"),
    caption="Shares of features along each edge, means over all pairs of seeds.",
    notes={"emerging": "of the child's", "unobserved": "of all the parent's"},
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
first = table.iloc[0]
own, root = matches.names[lineage.root], label(lineage.root)
found_again = [matches.tracking(*p, tau, rule).persisting_share for p in permutations(own, 2)]
seed_ceiling = np.mean(found_again) if found_again else np.nan
say(
    f"Along {style.pair_label(first['pair'])} {percent(first['persisting_share'])} of the parent's "
    "observable features are found in the child. Taken by itself such a number says that the rest "
    f"is lost. But two dictionaries of the *unchanged* {root} model share only "
    f"{percent(seed_ceiling)} of their features. The next chapter takes that apart."
)

# %% [markdown]
# ## Where they go
#
# We follow the dictionaries of seed 0 through the lineage, from left to right.

# %%
tracked = {edges[n]: matches.tracking(*pair, tau, rule) for n, pair in seed_0.items()}
volumes = flow.flow(lineage, tracked)

# %% tags=["hide-input"]
show(
    flow_figure.flow_diagram(volumes, lineage),
    "Where features go, after the paper's Figure 2; dictionaries of seed 0. Plain bands count "
    "one-to-one matches, grey ones features without a match. Hatched ones share theirs: fused "
    "features with another parent feature, whose match is closer; split ones come from a parent "
    "feature that another child feature matches more closely.",
    "fig-flow",
    "Flow diagram of features from the first model of the lineage to the last",
)

# %% [markdown]
# In {numref}`fig-flow` *no match*, grey, is where features end; *new* and *novel* is where they
# begin. Hatched bands have a match that isn't theirs alone. Features that really merge or split show
# there; so do copies, and a dictionary that carves more finely. Only what exceeds the parent's own
# seeds can be a finding about models.


# %%
def shared(pairs):
    each = [classes.multiplicity(matches.best[pair], tau) for pair in pairs]
    rows = [(one.merging_share, one.splitting_share) for one in each]
    return pd.DataFrame(rows, columns=["merging", "splitting"], dtype=float).mean()


many = {name: shared(product(matches.names[a], matches.names[b])) for name, (a, b) in edges.items()}
unchanged_many = {a: shared(permutations(matches.names[a], 2)) for a, _ in lineage.edges}

# %% tags=["remove-input"] jupyter={"source_hidden": true}
lines = [
    f"- **{style.pair_label(name)}**: {percent(many[name]['merging'])} of the matched children have "
    f"several parents; between the parent's own seeds {percent(unchanged_many[a]['merging'])}."
    for name, (a, _) in edges.items()
]
say("\n".join(lines))
origins = {}
for merge in lineage.merges:
    each = pd.Series(flow.origins(lineage, merge, tracked))
    origins[merge] = each[each != "unobserved"].value_counts(normalize=True)
    listing = listed([f"{percent(share)} {name}" for name, share in origins[merge].items()])
    say(f"Where {label(merge)}'s observable features come from: {listing}.")

# %% [markdown]
# ## Universal features
#
# A feature is *universal* here if a chain of matches leads from the first model through all the
# others. Where models are merged, all ways must lead to one and the same feature of the merge.
#
# The count needs a ceiling. If nothing had happened, all models would be the first one, and their
# dictionaries would differ by the seed alone. So the first model's own dictionaries stand for all of
# them, in every order. Copies of a feature make a chain each, so we also count groups of copies.


# %%
def chained(chosen):
    names = dict(zip(lineage.order, chosen, strict=True))
    best = {(a, b): matches.best[names[a], names[b]] for a, b in lineage.edges}
    known = chains.universal_chains(lineage, best, tau)
    return known.assign(dictionaries=" ".join(chosen))


choices = list(product(*(matches.names[model] for model in lineage.order)))
each_choice = {chosen: chained(chosen) for chosen in choices}
groups = {name: copies.group for name, copies in matches.copies.items()}
counted = [chains.count(known, lineage.root, groups[c[0]]) for c, known in each_choice.items()]
mean = chains.Count(*np.mean(counted, axis=0))
ceiling = chains.if_unchanged(lineage, matches.best, own, groups, tau)
ceiling = ceiling or chains.Count(np.nan, np.nan)  # it takes three dictionaries

# %% tags=["remove-input"] jupyter={"source_hidden": true}
each = [one.features for one in counted]
bound = (
    f"It would take {count(len(lineage.order))} dictionaries of the {root} model to know this ceiling; "
    f"we have {count(len(own))}. Every universal chain contains simpler patterns that need only "
    "three: the first links to two children, and the path through a child to a grandchild. The rarer "
    "of these is an upper limit for the true ceiling."
)
say(
    f"Between the dictionaries of seed 0 there are {count(each[0])} universal features; over all "
    f"{count(len(choices))} choices from {count(min(each))} to {count(max(each))}. The mean, "
    f"{count(mean.features)}, stands beside {count(ceiling.features)} if nothing had happened; with "
    f"copies merged it is {count(mean.groups)} beside {count(ceiling.groups)}.",
    bound if 2 < len(own) < len(lineage.order) else "",
)

# %% [markdown]
# ## Do other yardsticks agree?
#
# On the same pairs we can ask other things. Do the two write in the same direction (cosine of the
# decoders)? On which tokens are both active (Jaccard: both / either)? Do they order those tokens
# alike (Spearman)? Do they push the same next tokens (cosine of the effects on the logits)?


# %% tags=["hide-input"]
def side(name):
    model = run / "models" / name.rsplit("-", 1)[0]
    return similarity.Side(found[name].acts, logit_effects.read_writing(model, run / "saes" / name))


pairs = seed_0 | {name.split("_")[0]: pair for name, pair in again.items()}
by_yardstick = {
    n: similarity.medians(matches.best[a, b], side(a), side(b), tau) for n, (a, b) in pairs.items()
}
yardsticks = pd.DataFrame(by_yardstick).T.rename(columns=similarity.YARDSTICKS)
labels = [style.pair_label(n) if n in edges else f"{label(n)}, again" for n in pairs]
yardsticks.insert(0, "dictionaries", labels)
show_table(
    yardsticks,
    dict.fromkeys(yardsticks.columns[1:], ".2f"),
    caption="Matched pairs by other yardsticks: medians. Seed 0; below, seeds 0 and 1 of one model.",
)

# %% [markdown]
# Read each row against that of the parent's own seeds. Features can match and yet be active on few
# of the same tokens: r weighs strong activations most, and weak ones come and go.


# %% tags=["remove-cell"]
def write(work):
    volumes.to_csv(work / "flow.csv", index=False)
    pd.concat(each_choice.values()).to_csv(work / "universal.csv", index=False)


parameters, inputs = {"tau": tau, "rule": rule}, [run / best_matches.FOLDER]
code = [classes, flow, chains]
store.make(run / "tracking", write, parameters=parameters, inputs=inputs, code=code)
results = {
    f"track.{lineage.root}.seed_ceiling": seed_ceiling,
    f"track.{lineage.root}.dictionaries": len(own),
    f"track.{lineage.root}.observable_count": matches.eligible[own[0]].sum(),
    "track.edges": len(edges),
    "track.seed_combinations": len(choices),
    "track.universal_count.lowest": min(each),
    "track.universal_count.highest": max(each),
}
for end, one in {"": counted[0], ".mean": mean, ".unchanged": ceiling}.items():
    results[f"track.universal_count{end}"] = one.features
    results[f"track.universal_count.copies_merged{end}"] = one.groups
for name, (a, _) in edges.items():
    row = table.set_index("pair").loc[name]
    results |= {f"track.{name}.{share}.raw": row[share] for share in SHARES[:-1]}
    results[f"track.{name}.unobserved_share"] = row["unobserved_share"]
    results |= {f"track.{name}.{kind}_share": x for kind, x in many[name].items()}
    results |= {f"track.{name}.{kind}_share.unchanged": x for kind, x in unchanged_many[a].items()}
for merge, shares in origins.items():
    results |= {f"track.{merge}_origin.{n.replace(' ', '_')}.raw": x for n, x in shares.items()}
for key, row in by_yardstick.items():
    results |= {f"track.{key}.yardstick.{name}.median": x for name, x in row.items()}
store.write_results(run, "tracking", {n: None if pd.isna(x) else x for n, x in results.items()})

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
lost, anyway = first["disappearing_share"], 1 - seed_ceiling
say(
    f"By the paper's criterion {percent(lost)} of the parent's features are lost along "
    f"{style.pair_label(first['pair'])}; of an unchanged {root} model {percent(anyway)} would be. "
    f"{count(mean.features)} features are universal, {count(ceiling.features)} would be. What does a "
    "share mean that has no ceiling? That is the [next chapter](ceilings)."
)

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# Which share of the first edge's features would persist at a threshold of 0.7? You need the array
# `best_r(*pair)`, with the best correlation of each observable feature of the parent.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
pair = seed_0[next(iter(edges))]
share_at_07 = matches.tracking(*pair, 0.7).persisting_share

# %%
answer = ...  # your share, from 0 to 1
check(answer, share_at_07)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
answer = (best_r(*pair) > 0.7).mean()
check(answer, share_at_07)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# Set `rule` to `assignment`. Why do the shares fall? Why does the ratio to the ceiling move less?
# :::
#
# :::{dropdown} Answer
# One child feature can be the best match of several parents, most often of copies; an assignment
# gives it to one of them. Between a parent's own dictionaries that happens as well, so the ceiling
# falls, too.
# :::
#
# :::{admonition} Exercise 3
# :class: tip
# A feature of the parent and one of the child correlate by 0.85, but the cosine of their decoders is
# 0.3. Is that the same feature? Which of the two would you ask if you wanted to *steer* with it?
# :::
#
# :::{dropdown} Answer
# Both detect the same thing, but do something else about it: r knows of the reading side alone. Who
# steers writes, so the decoder, or better the effect on the logits, is to be asked.
# :::
