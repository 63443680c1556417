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
# This chapter counts them along every {term}`edge` of the {term}`lineage`.
#
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
from featrack_utils.display.text import check, listed, number, percent, say, show, what_was_read
from featrack_utils.lineage import label
from featrack_utils.matching import best_matches, classes, flow
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
# All models read the same text, the {term}`evaluation mix`. Let $x_t$ be a feature of the parent and $y_t$
# one of the child at token position $t$, zeros included. Their likeness is Pearson's correlation
#
# $$
# r = \frac{\sum_t (x_t - \bar x)\,(y_t - \bar y)}
# {\sqrt{\sum_t (x_t - \bar x)^2}\;\sqrt{\sum_t (y_t - \bar y)^2}}.
# $$
#
# So it counts *when* a feature is active and how strongly. A feature that is active too rarely for
# a correlation to mean anything is {term}`unobserved`, a class of its own; all others are
# {term}`eligible`. All pairs of dictionaries that the book compares are matched here, once. Later
# chapters open the result.

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
# For every eligible feature of a parent we look up its {term}`best match` in the child. Beside it
# stands a pair that nothing lies between: two dictionaries of the parent itself, which differ by their
# {term}`seeds <seed>`.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(what_was_read(run, lineage))


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
    "of another dictionary of the parent itself (outline). Seeds 0 and 1. Dotted: the threshold.",
    "fig-best-match",
    "Histograms of best correlations, one for each edge, with the outline of the parent's own seeds",
)

# %% [markdown]
# There is no gap at the {term}`threshold` in {numref}`fig-best-match`: it cuts through a continuum. And
# no outline is a single bar at 1: even an unchanged model isn't read the same way twice.
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
    readable[["pair", "persisting_share", "emerging_share"]].rename(
        columns={"persisting_share": "persisting", "emerging_share": "emerging"}
    ),
    dict.fromkeys(("persisting", "emerging"), ".0%"),
    caption="Shares of features along each edge, means over all pairs of seeds.",
    notes={"persisting": "of the parent's", "emerging": "of the child's"},
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
first = table.iloc[0]
own, root = matches.names[lineage.root], label(lineage.root)
found_again = [matches.tracking(*p, tau, rule).persisting_share for p in permutations(own, 2)]
seed_ceiling = np.mean(found_again) if found_again else np.nan
say(
    f"Along {style.pair_label(first['pair'])} {percent(first['persisting_share'])} of the parent's "
    f"eligible features are found in the child; unobserved are {percent(first['unobserved_share'])} of "
    "all. Taken by itself such a number says that the rest "
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
# there; so do {term}`copies <copy>`, and a dictionary that carves more finely. Only what exceeds the
# parent's own seeds can be a finding about models.


# %%
def shared(pairs):
    rows = [classes.shared_by_several(matches.best[pair], tau) for pair in pairs]
    return pd.DataFrame(rows, columns=["merging", "splitting"]).mean()


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
    say(
        f"Where {label(merge)}'s eligible features come from: {listing}. A later chapter sets that "
        "[beside a merge whose MLP is random](context)."
    )

# %% [markdown]
# ## Beside the authors' own count
#
# The counts behind the paper's Figure 2 aren't published with it. The authors' repository
# (`feature-dynamics`) holds an earlier one: `data/flow/all_models_flow.json` at commit fe0cf0c, of 5 May
# 2024, five months before the paper; in the repository's last state that file is empty. It lists 462
# flows of 16,384 base features. 456 lead into TinyStories, to 233 different features there; 405 lead into
# the merged model, to 187; none into Lua, which isn't in the file. Ours are of seed 0, and of *all*
# features, as theirs.

# %%
AUTHORS_FLOWS = {"flows": 456, "features": 16_384, "children": 233}  # base to TinyStories
from_root = {}
for (a, b), one in tracked.items():
    if a == lineage.root:
        partners = one.parent_partner[one.parent_partner >= 0]
        from_root[b] = {
            "matched": len(partners) / len(one.parent_partner),
            "children": len(np.unique(partners)) / max(len(partners), 1),
        }

# %% tags=["remove-input"] jupyter={"source_hidden": true}
theirs = AUTHORS_FLOWS["flows"] / AUTHORS_FLOWS["features"]
per_match = AUTHORS_FLOWS["children"] / AUTHORS_FLOWS["flows"]
lines = [
    f"- {style.pair_label(root, b)}: {percent(one['matched'])} have a match, "
    f"{number(one['children'])} different children to a match."
    for b, one in from_root.items()
]
say(
    f"In the authors' file {percent(theirs, 1)} of the base's features have a match in TinyStories, with "
    f"{number(per_match)} different children to a match: half of the matches share theirs.",
    "\n".join(lines),
    "The two can't be set equal: theirs rests on means over token strings, on four times as many "
    "features of a larger model, and on an unknown threshold.",
)


# %% tags=["remove-cell"]
def write(work):
    volumes.to_csv(work / "flow.csv", index=False)


parameters, inputs = {"tau": tau, "rule": rule}, [run / best_matches.FOLDER]
code = [classes, flow]
store.make(run / "tracking", write, parameters=parameters, inputs=inputs, code=code)
results = {
    f"track.{lineage.root}.seed_ceiling": seed_ceiling,
    f"track.{lineage.root}.dictionaries": len(own),
    f"track.{lineage.root}.observable_count": matches.eligible[own[0]].sum(),
    "track.edges": len(edges),
}
for b, one in from_root.items():
    results |= {f"track.{lineage.root}_{b}.flow.{name}": x for name, x in one.items()}
for name, (a, _) in edges.items():
    row = table.set_index("pair").loc[name]
    results |= {f"track.{name}.{share}.raw": row[share] for share in SHARES[:-1]}
    results[f"track.{name}.unobserved_share"] = row["unobserved_share"]
    results |= {f"track.{name}.{kind}_share": x for kind, x in many[name].items()}
    results |= {f"track.{name}.{kind}_share.unchanged": x for kind, x in unchanged_many[a].items()}
for merge, shares in origins.items():
    results |= {f"track.{merge}_origin.{n.replace(' ', '_')}.raw": x for n, x in shares.items()}
store.write_results(run, "tracking", {n: None if pd.isna(x) else x for n, x in results.items()})

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
lost, anyway = first["disappearing_share"], 1 - seed_ceiling
say(
    f"By the paper's criterion {percent(lost)} of the parent's features are lost along "
    f"{style.pair_label(first['pair'])}; of an unchanged {root} model {percent(anyway)} would be. "
    "What does a share mean that has no ceiling? That is the [next chapter](ceilings)."
)

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# Which share of the first edge's features would persist at a threshold of 0.7? You need the array
# `best_r(*pair)`, with the best correlation of each eligible feature of the parent.
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
# A match is {term}`mutual <mutual match>` if each is the other's best. Which share of the same
# features has a mutual match above `tau`? `matches.best[pair]` holds `a_best_r`, `a_best_index` and
# `b_best_index`, and in `a_candidates` the eligible features.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
mutual_share = matches.tracking(*pair, tau, "mutual").persisting_share

# %%
answer = ...  # your share, from 0 to 1
check(answer, mutual_share)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
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
# Both detect the same thing, but do something else about it: r knows of the reading side alone. Who
# steers writes, so the decoder, or better the effect on the logits, is to be asked.
# :::
