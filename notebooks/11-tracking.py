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
# A feature of a parent model is {term}`persisting` if some feature of the child is active on the same
# tokens with the same strength. {cite:t}`horn2025tracking` ask for a correlation above 0.8 (their
# section 4). A parent's feature without such a partner is {term}`disappearing`, a child's is *emerging*.
# This chapter counts them for every parent and child, every {term}`edge` of the {term}`lineage`.
#
# **You will learn** how two features are compared, and what share of them persists. **You need** the
# chapter on [dictionaries](dictionaries). **It takes** ten minutes, and as long for the exercises.

# %% tags=["hide-input"]
from itertools import permutations, product

import numpy as np
import pandas as pd
from scipy import sparse

from featrack_utils.dictionaries import features
from featrack_utils.display import flow_figure, shareplots, style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import check, listed, percent, points, say, show, what_was_read
from featrack_utils.lineage import label
from featrack_utils.matching import best_matches, classes, flow
from featrack_utils.pipeline import store
from featrack_utils.statistics.persistence import CURVE_TAUS

# %% tags=["parameters"]
run_dir = "runs/quick"
root_seeds = 3  # dictionaries of the first model; paper: 1
other_seeds = 2  # of every other model; paper: 1
tau = 0.8  # correlation above which two features match; paper: 0.8
rule = "best"  # or mutual, assignment; paper: best match
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
block_positions = 4_194_304  # token positions whose sums are taken at once

# %% [markdown]
# ## The same tokens for every model
#
# All models read the same text, the {term}`evaluation mix`. Let $x_t$ be a feature of the parent and $y_t$
# one of the child at token position $t$, zeros included. Their likeness is Pearson's correlation
#
# $$
# r = \frac{\sum_t (x_t - \bar x)\,(y_t - \bar y)}
# {\sqrt{\sum_t (x_t - \bar x)^2}\;\sqrt{\sum_t (y_t - \bar y)^2}}.
# $$
#
# It is near 1 if both are active at the same positions and equally strongly. For a feature that is
# active very rarely a correlation means nothing. Such a feature is {term}`unobserved`, a class of its own;
# all others are {term}`eligible`. Only these are counted.

# %% tags=["hide-input"]
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
seeds = {"root_seeds": root_seeds, "other_seeds": other_seeds}
best_matches.match_run(
    run,
    lineage,
    **seeds,
    min_positions=min_positions,
    min_documents=min_documents,
    tau=tau,
    block_positions=block_positions,
)
matches = best_matches.open_matches(run)
found = features.open_features(run, lineage, **seeds)

# %% [markdown]
# Here is the formula for one feature of the parent and all features of the child. The mean of $y$ needn't
# be subtracted in the sum above the line, for the deviations of $x$ add up to zero. The package does the
# same for all features at once, and must agree.

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
# For every eligible feature of a parent we look up its {term}`best match` in the child, the feature with
# the highest $r$. Beside it we do the same in another dictionary of the parent itself. The two
# dictionaries read the same model and differ by their {term}`seeds <seed>` alone.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
alone = (
    "**There is one dictionary of a model here, and so no {term}`ceiling`**: nobody can tell how many of "
    "its features another one would find. Numbers that need it are a dash, and what seems lost may "
    "be the dictionary's doing."
)
say(what_was_read(run, lineage), alone if min(root_seeds, other_seeds) < 2 else "")


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
    "Best correlation of each eligible parent feature with any feature of the child (filled), and "
    "with any of another dictionary of the parent itself (outline). Seeds 0 and 1. Dotted: the threshold.",
    "fig-best-match",
    "Histograms of best correlations, one for each edge, with the outline of the parent's own seeds",
)

# %% [markdown]
# There is no gap at the {term}`threshold` in {numref}`fig-best-match`: features lie on both sides of it,
# and close to it. And no outline is a single bar at 1. Even an unchanged model doesn't give the same
# features twice.
#
# ## Shares
#
# Above the threshold a feature persists, below it disappears. We compare every dictionary of the parent
# with every dictionary of the child, and take the mean over these pairs.

# %%
SHARES = ("persisting", "disappearing", "emerging", "unobserved")


def mean_shares(a, b):
    pairs = product(matches.names[a], matches.names[b])
    tracked = [matches.tracking(*pair, tau, rule) for pair in pairs]
    return {f"{name}_share": np.mean([one.share(name) for one in tracked]) for name in SHARES}


table = pd.DataFrame([{"pair": name, **mean_shares(*edge)} for name, edge in edges.items()])

# %% tags=["hide-input"]
readable = table.assign(pair=table["pair"].map(style.pair_label))
show_table(
    readable[["pair", "persisting_share", "emerging_share"]].rename(
        columns={"persisting_share": "persisting", "emerging_share": "emerging"}
    ),
    dict.fromkeys(("persisting", "emerging"), ".0%"),
    caption="Shares of features along each edge, means over all pairs of dictionaries.",
    notes={"persisting": "of the parent's", "emerging": "of the child's"},
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
first = table.iloc[0]
own, root = matches.names[lineage.root], label(lineage.root)
found_again = [matches.tracking(*p, tau, rule).share("persisting") for p in permutations(own, 2)]
seed_ceiling = np.mean(found_again) if found_again else np.nan
say(
    f"Along {style.pair_label(first['pair'])} {percent(first['persisting_share'])} of the parent's "
    f"eligible features persist. ({percent(first['unobserved_share'])} of all are unobserved.) By itself "
    "this seems to say that fine-tuning changed the rest. But two dictionaries of the *unchanged* "
    f"{root} model share only {percent(seed_ceiling)} of their features.",
)

# %% [markdown]
# ## Where they go
#
# The flow diagram follows the features of one dictionary a model, from left to right.


# %%
def tracked_at(threshold):
    return {edges[n]: matches.tracking(*pair, threshold, rule) for n, pair in seed_0.items()}


tracked = tracked_at(tau)
volumes = flow.flow(lineage, tracked)

# %% tags=["hide-input"]
show(
    flow_figure.flow_diagram(volumes, lineage),
    "Where features go, after the paper's Figure 2; dictionaries of seed 0. Plain bands: one-to-one "
    "matches. Hatched bands: matches that aren't a feature's alone. *Fused* features share their match "
    "with another feature of the parent, *split* ones share their parent's feature. Grey: no match.",
    "fig-flow",
    "Flow diagram of features from the first model of the lineage to the last",
)

# %% tags=["hide-input"]
taus = sorted({*CURVE_TAUS, tau})
at_each = {threshold: flow.flow(lineage, tracked_at(threshold)) for threshold in taus}
moving = pd.concat(at_each, names=["tau"]).reset_index("tau")
shareplots.moving_threshold(tau, flow_figure.moving_flow(moving, lineage, "fig-flow"))

# %% [markdown]
# In {numref}`fig-flow` features end at *no match* and begin at *new* or *novel*. Do the hatched bands
# show that features really fuse or split? {term}`Copies <copy>` within a dictionary look the same. So we
# count them between two dictionaries of the parent, too. Only what exceeds that is a finding about models.
# ([A later chapter](published) sets the diagram beside a count of the authors' own.)


# %% tags=["hide-input"]
def shared_by_several(best, tau):
    """Of b's features that are a best match of a's (r > tau) the share that several of a's have
    in common, and the reverse; NaN of none.
    """
    shares = []
    for r, index in ((best.a_best_r, best.a_best_index), (best.b_best_r, best.b_best_index)):
        _, times = np.unique(index[r > tau], return_counts=True)
        shares.append(float(np.mean(times > 1)) if times.size else np.nan)
    return shares


def shared(pairs):
    rows = [shared_by_several(matches.best[pair], tau) for pair in pairs]
    return pd.DataFrame(rows, columns=["merging", "splitting"]).mean()


many = {name: shared(product(matches.names[a], matches.names[b])) for name, (a, b) in edges.items()}
unchanged_many = {a: shared(permutations(matches.names[a], 2)) for a, _ in lineage.edges}

# %% tags=["remove-input"] jupyter={"source_hidden": true}
name, (a, _) = next(iter(edges.items()))
beyond = [many[n]["merging"] - unchanged_many[a]["merging"] for n, (a, _) in edges.items()]
say(
    f"Along {style.pair_label(name)} {percent(many[name]['merging'])} of the matched children have "
    f"several parents. Between two dictionaries of {label(a)} itself it is "
    f"{percent(unchanged_many[a]['merging'])}. Over all edges the difference is at most "
    f"{points(np.max(beyond))}."
)
origins = {}
for merge in lineage.merges:
    each = pd.Series(flow.origins(lineage, merge, tracked))
    origins[merge] = each[each != "unobserved"].value_counts(normalize=True)
    listing = listed([f"{percent(share)} {name}" for name, share in origins[merge].items()])
    say(
        f"Where do {label(merge)}'s eligible features come from? {listing}. A later chapter sets that "
        "[beside a merge whose MLP is random](context)."
    )


# %% tags=["remove-cell"]
def write(work):
    volumes.to_csv(work / "flow.csv", index=False)
    moving.to_csv(work / "moving.csv", index=False)


parameters, inputs = {"tau": tau, "rule": rule}, [run / best_matches.FOLDER]
code = [classes, flow]
store.make(run / "tracking", write, parameters=parameters, inputs=inputs, code=code)
results = {
    f"track.{lineage.root}.seed_ceiling": seed_ceiling,
    f"track.{lineage.root}.dictionaries": len(own),
    f"track.{lineage.root}.observable_count": matches.eligible[own[0]].sum(),
    "track.edges": len(edges),
}
for name, (a, _) in edges.items():
    row = table.set_index("pair").loc[name]
    results |= {f"track.{name}.{kind}_share.raw": row[f"{kind}_share"] for kind in SHARES[:-1]}
    results[f"track.{name}.unobserved_share"] = row["unobserved_share"]
    results |= {f"track.{name}.{kind}_share": x for kind, x in many[name].items()}
    results |= {f"track.{name}.{kind}_share.unchanged": x for kind, x in unchanged_many[a].items()}
for merge, shares in origins.items():
    results |= {f"track.{merge}_origin.{n.replace(' ', '_')}.seed_0": x for n, x in shares.items()}
store.write_results(run, "tracking", {n: None if pd.isna(x) else x for n, x in results.items()})

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
without, anyway = first["disappearing_share"], 1 - seed_ceiling
say(
    "Two features are one if they are active on the same tokens, with the same strength. By this "
    f"criterion of the paper's text {percent(without)} of the parent's features disappear along "
    f"{style.pair_label(first['pair'])}. But {percent(anyway)} would seem to disappear from {root} if "
    "nothing had happened to it. So the share needs something to be read beside, and that is the subject "
    "of the [next chapter](ceilings)."
)

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# Which share of the first edge's features would persist at a threshold of 0.7? You need the array
# `best_r(*pair)`, with the best correlation of each eligible feature of the parent.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
pair = seed_0[next(iter(edges))]
share_at_07 = matches.tracking(*pair, 0.7).share("persisting")

# %%
answer = ...  # your share, from 0 to 1
check(answer, share_at_07)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = (best_r(*pair) > 0.7).mean()
check(answer, share_at_07)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# A match is {term}`mutual <mutual match>` if each is the other's best. Which share of the same
# features has a mutual match above `tau`? `matches.best[pair]` holds `a_best_r`, `a_best_index` and
# `b_best_index`, and in `a_candidates` the eligible features.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
mutual_share = matches.tracking(*pair, tau, "mutual").share("persisting")

# %%
answer = ...  # your share, from 0 to 1
check(answer, mutual_share)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
best = matches.best[pair]
home = [best.b_best_index[there] == i for i, there in enumerate(best.a_best_index)]
answer = (np.array(home) & (best.a_best_r > tau))[best.a_candidates].mean()
check(answer, mutual_share)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# A feature of the parent and one of the child correlate by 0.85, but the cosine of their decoders is
# 0.3. Is that the same feature? Which of the two would you ask if you wanted to *steer* with it?
# :::
#
# :::{dropdown} Answer
# Both detect the same thing, but do different things about it: r compares only what they read. Steering
# writes, so ask the decoder, or better the effect on the logits.
# :::
