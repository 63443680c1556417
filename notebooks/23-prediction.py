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
# # Can one tell before merging which features survive?
#
# A merge keeps some of its parents' features and loses others. {cite:t}`horn2025tracking` find out
# afterwards. It would be better to know before. All that a merge is made of is there already: the parents'
# weights, their dictionaries, and what these have in common. Does that tell a feature's fate? Or does it
# tell no more than how often the feature is active?
#
# **You will learn** to predict with folds that don't leak, and what a good prediction must be set beside.
# **You need** [ways of merging](methods) and [ceilings and floors](ceilings). **It takes** ten minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import numpy as np
import pandas as pd
import torch
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from featrack_utils.dictionaries import features
from featrack_utils.dictionaries.training import load_sae
from featrack_utils.display import style
from featrack_utils.display.text import (
    check,
    count,
    listed,
    number,
    percent,
    say,
    show,
    verdict,
    with_interval,
)
from featrack_utils.lineage import label
from featrack_utils.matching.best_matches import open_matches
from featrack_utils.matching.correlation import correlations
from featrack_utils.models import capture, controls, loading
from featrack_utils.pipeline import store
from featrack_utils.statistics.intervals import Interval
from featrack_utils.statistics.persistence import flat

# %% tags=["parameters"]
run_dir = "runs/quick"
root_seeds = 3  # dictionaries of the first model; paper: 1
other_seeds = 2  # of every other model; paper: 1
seed = 1337  # of draws and shuffles
tau = 0.8  # correlation above which two features match; paper: 0.8
replicates = 200  # bootstrap draws over groups of features

# %% tags=["hide-input"] jupyter={"source_hidden": true}
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
merges = lineage.merges
parents_of = {merge: lineage.parents(merge) for merge in merges}
first_merge = merges[0]
names = features.dictionary_names(lineage, root_seeds, other_seeds)
matches = open_matches(run)
found = features.open_features(run, lineage, root_seeds, other_seeds)


def best_r(name, model):
    """Each feature's largest r with the dictionaries of a model, of other seeds than its own."""
    place = int(name.rsplit("-", 1)[1])
    each = []
    for other in (one for k, one in enumerate(names[model]) if k != place):
        if (name, other) not in matches.best:
            able = {"eligible_a": matches.eligible[name], "eligible_b": matches.eligible[other]}
            matches.best[name, other] = correlations(found[name].acts, found[other].acts, **able)
        each.append(matches.best[name, other].a_best_r)
    return np.array(each)


def reproducible(name):
    model = name.rsplit("-", 1)[0]
    return matches.eligible[name] & (best_r(name, model).min(axis=0) > tau)


# %% [markdown]
# ## What is to be told
#
# We ask {term}`reproducible` features of each parent. One **survives** if some dictionary of the merge, of
# another {term}`seed` than its own, has a feature with $r > \tau$. That is the label. For a merge of more
# than two parents, *the other parent* means the mean of the others.
#
# ## What is known before
#
# With $w_i$ the encoder's and $d_i$ the decoder's direction of a feature, both at the {term}`site`, and
# $\Delta$ a {term}`task vector` of the matrices that write the site, we know
#
# - its {term}`density`;
# - its *norm* $\lVert w_i\rVert\,\lVert d_i\rVert$;
# - its largest $r$ in the {term}`ancestor`, and in the other parent;
# - its *alignment* with the parent's own task vector, and with the other's: how much more of the change
#   lies along $w_i$ than along an average direction,
#
# $$a_i = \sqrt{d}\,\frac{\lVert w_i^{\top} \Delta\rVert}{\lVert w_i\rVert\,\lVert\Delta\rVert_F};$$
#
# - the *interference* in the matrix that reads the site: how differently the two parents write what the
#   feature writes, $\lVert (W_\text{out}' - W_\text{out})\, d_i\rVert \,/\, \lVert W_\text{out}\, d_i\rVert$.


# %%
def alignment(directions, changes):
    """How much of a change lies along each direction; 1 is an average one.

    directions [d, n]; changes: matrices [d, …] of one task vector.
    """
    unit = directions / directions.norm(dim=0)
    along = sum((unit.T @ change).square().sum(dim=1) for change in changes)
    total = sum(change.square().sum() for change in changes)
    return (len(directions) * along / total).sqrt()


def interference(directions, own, other):
    """How far apart two matrices [d, …] write each direction [d, n], beside what one writes."""
    return ((other - own).T @ directions).norm(dim=0) / (own.T @ directions).norm(dim=0)


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def oriented(module, site_is_output):
    """A module's weights as [d_site, …]; None where it has no matrix."""
    weight = getattr(module, "weight", None)
    if weight is None or weight.ndim != 2:
        return None
    weight = weight.detach().double()
    # A Conv1D of transformers has its weights the other way round.
    return weight if isinstance(module, torch.nn.Linear) == site_is_output else weight.T


def around_site(model):
    """The matrices that write a model's site, and the one that reads it; [d_site, …] each."""
    opened = loading.load_model(store.opened(run / "models" / model))
    module, reads = capture.plain_module(opened, lineage.site)
    if reads:  # what the MLP computes before its last matrix, or attention before its own
        written, last = controls.Redraw.of(lineage), {"attention": "v_proj"}.get(lineage.writer, "")
        before = [
            one
            for name, one in opened.named_modules()
            if written(f"{name}.weight") and name.endswith(last) and one is not module
        ]
    else:
        outs = {"hook_resid_post": ("hook_mlp_out", "hook_attn_out")}.get(
            lineage.hook, (lineage.hook,)
        )
        sites = [f"blocks.{lineage.layer}.{hook}" for hook in outs]
        before = [capture.plain_module(opened, site)[0] for site in sites]
    width = capture.width(opened, lineage.site)
    writers = [oriented(one, True) for one in before]
    writers = [one for one in writers if one is not None and len(one) == width]
    return writers, oriented(module, False) if reads else None


CUES = {
    "density": "density",
    "norm": "norm",
    "r_ancestor": "r in the ancestor",
    "r_other": "r in the other parent",
    "own_alignment": "alignment, own change",
    "other_alignment": "alignment, the other’s",
    "interference": "interference",
}


def known_before(merge, parent, name, asked, sites):
    """What is known of a parent's features `asked` before the merge; a row each."""
    before = lineage.common_ancestor(parents_of[merge])
    others = [other for other in parents_of[merge] if other != parent]
    (start, _), (mine, reader) = sites[before], sites[parent]
    there = [np.mean([sites[o][0][k] for o in others], axis=0) for k in range(len(mine))]
    sae = load_sae(store.opened(run / "saes" / name))
    w, d = (each.detach().double() for each in (sae.W_enc[:, asked], sae.W_dec[asked].T))
    table = {
        "density": np.log(matches.positions[name][asked] / len(found[name].tokens)),
        "norm": (w.norm(dim=0) * d.norm(dim=0)).log().numpy(),
        "r_other": np.max([best_r(name, other).max(axis=0)[asked] for other in others], axis=0),
    }
    if before != parent:
        table["r_ancestor"] = best_r(name, before).max(axis=0)[asked]
    changes = {
        "own_alignment": [a - b for a, b in zip(mine, start, strict=True)],
        "other_alignment": [torch.as_tensor(a) - b for a, b in zip(there, start, strict=True)],
    }
    for cue, change in changes.items():
        if any(one.any() for one in change):
            table[cue] = alignment(w, change)
    if reader is not None:
        other_reader = torch.as_tensor(np.mean([sites[o][1] for o in others], axis=0))
        table["interference"] = interference(d, reader, other_reader)
    return pd.DataFrame({cue: np.asarray(values) for cue, values in table.items()})


def asked_about(merge):
    """All reproducible features of a merge's parents, with their fate and what is known of them."""
    models = {*parents_of[merge], lineage.common_ancestor(parents_of[merge])}
    sites = {model: around_site(model) for model in models}
    rows = []
    for parent in parents_of[merge]:
        for s, name in enumerate(names[parent]):
            asked = np.flatnonzero(reproducible(name))
            lived = best_r(name, merge).max(axis=0)[asked] > tau
            table = known_before(merge, parent, name, asked, sites)
            rows.append(table.assign(parent=parent, name=name, seed=s, feature=asked, lived=lived))
    joined = pd.concat(rows, ignore_index=True)
    # What isn't known of one of the parents, or is the same for all, tells nothing.
    useless = [
        c for c in CUES if c in joined and (joined[c].isna().any() or joined[c].nunique() < 2)
    ]
    return joined.drop(columns=useless)


tables = {merge: asked_about(merge) for merge in merges}
table = tables[first_merge]
cues = [cue for cue in CUES if cue in table]

# %% tags=["remove-input"] jupyter={"source_hidden": true}
by_parent = table.groupby("parent", sort=False)["lived"]
say(
    f"In {label(first_merge)} we ask about "
    + listed(
        [
            f"{count(len(lived))} features of {label(parent)}, of which {percent(lived.mean())} survive"
            for parent, lived in by_parent
        ]
    )
    + "."
)

# %% [markdown]
# ## A prediction
#
# Logistic regression turns what is known, standardised ($z$), into the probability to survive:
#
# $$p_i = \frac{1}{1 + e^{-(\beta_0 + \beta \cdot z_i)}} .$$
#
# It must be judged by features that it hasn't seen. We hold out one dictionary seed at a time: the
# regression learns from all parents' dictionaries of the other seeds and predicts those of this one. That
# shows whether it holds for another *dictionary*. The models are the same, so whether it holds for another
# *merge* it can't show. A harder split comes below: learn from one parent, predict the other.


# %%
def predicted(table, cues, folds):
    """The log-odds of survival of each feature, by a regression that hasn't seen its fold."""
    scores = np.zeros(len(table))
    for fold in np.unique(folds):
        held = (folds == fold).to_numpy()
        known, lived = table[cues].to_numpy(), table["lived"].to_numpy()
        if len({*lived[~held]}) == 2:
            model = make_pipeline(StandardScaler(), LogisticRegression())
            scores[held] = model.fit(known[~held], lived[~held]).decision_function(known[held])
    return scores


# %% [markdown]
# The measure is the {term}`AUC`: of all pairs of a feature that survives and one that doesn't, in how many has
# the survivor the higher score? Ties count half. By chance it is one half. We compare only features of the
# same dictionary, so that telling the parents apart earns nothing.


# %%
def auc(scores, lived, stratum, weights):
    """AUC over pairs within strata, for each row of weights [n_draws, n_features]; NaN: no pair."""
    won = pairs = 0
    for one in np.unique(stratum):
        here = stratum == one
        rank = np.unique(scores[here], return_inverse=True)[1]
        at_rank = np.eye(rank.max() + 1)[rank]
        alive, dead = ((weights[:, here] * side[here]) @ at_rank for side in (lived, ~lived))
        won = won + (alive * (np.cumsum(dead, axis=1) - dead / 2)).sum(axis=1)
        pairs = pairs + alive.sum(axis=1) * dead.sum(axis=1)
    return won / np.where(pairs > 0, pairs, np.nan)


# %%
scores = predicted(table, cues, table["seed"])
one = (table["name"] == table["name"].iloc[0]).to_numpy()
lived = table["lived"].to_numpy()
if len({*lived[one]}) == 2:
    ours = auc(scores[one], lived[one], np.zeros(one.sum()), np.ones((1, one.sum())))[0]
    assert np.isclose(ours, roc_auc_score(lived[one], scores[one]))

# %% [markdown]
# The interval resamples features. But features aren't independent of each other: a dictionary has
# {term}`copies <copy>`, and the next one of the same model has the same features again. So whatever is linked
# by matches above $\tau$, within a parent's dictionaries or between them, is drawn together as one group.


# %%
def linked(table):
    """The group of each feature: all that matches above tau link, of one parent."""
    first, total = {}, 0
    for name, eligible in matches.eligible.items():
        first[name], total = total, total + len(eligible)
    ends = []
    for name in table["name"].unique():
        model = name.rsplit("-", 1)[0]
        for other in names[model]:
            r, partner = (
                (matches.best[name, other].a_best_r, matches.best[name, other].a_best_index)
                if other != name
                else matches.copies[name][:2]
            )
            close = np.flatnonzero(r > tau)
            ends.append(np.stack([first[name] + close, first[other] + partner[close]]))
    i, j = np.concatenate(ends, axis=1)
    graph = sparse.coo_matrix((np.ones(len(i)), (i, j)), shape=(total, total))
    group = connected_components(graph, directed=False)[1]
    return group[table["name"].map(first) + table["feature"]]


def drawn_weights(table, replicates, seed):
    """How often each draw holds each feature, [1 + replicates, n]; the first holds all once."""
    rng, weights = np.random.default_rng(seed), np.ones((1 + replicates, len(table)))
    for parent in table["parent"].unique():
        here = (table["parent"] == parent).to_numpy()
        place = np.unique(linked(table)[here], return_inverse=True)[1]
        n = place.max() + 1
        weights[1:, here] = rng.multinomial(n, np.full(n, 1 / n), size=replicates)[:, place]
    return weights


def with_draws(values):
    """A figure with the interval of its draws; the first is the figure itself."""
    if not np.isfinite(values).all():
        return Interval(float(values[0]), np.nan, np.nan)
    return Interval(float(values[0]), *map(float, np.quantile(values[1:], [0.025, 0.975])))


# %% tags=["remove-input"] jupyter={"source_hidden": true}
sizes = [np.unique(linked(each), return_counts=True)[1] for _, each in table.groupby("parent")]
say(
    f"Here {count(len(table))} features fall into {count(sum(map(len, sizes)))} groups; the largest has "
    f"{count(max(size.max() for size in sizes))}."
)

# %% [markdown]
# ## Better than density?
#
# A feature that is often active is easier to find in any dictionary. So the prediction stands beside the
# same regression on {term}`density` alone. Each cue is also asked alone, and all without the two $r$, which
# need dictionaries of three models: what do the *weights* tell?

# %% tags=["hide-input"] jupyter={"source_hidden": true}
FROM_MATCHES = ("r_ancestor", "r_other")
aucs = {}
for merge, each in tables.items():
    weights, fate = drawn_weights(each, replicates, seed), each["lived"].to_numpy()
    cell = each["name"].to_numpy()
    there = [cue for cue in CUES if cue in each]
    rows = {cue: ([cue], each["seed"]) for cue in there}
    rows["without_r"] = [c for c in there if c not in FROM_MATCHES], each["seed"]
    rows["all"] = there, each["seed"]
    rows["across_parents"] = there, each["parent"]
    for row, (some, folds) in rows.items():
        aucs[merge, row] = auc(predicted(each, some, folds), fate, cell, weights)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
WORDS = CUES | {
    "without_r": "all but the two r",
    "all": "all, another dictionary",
    "across_parents": "all, the other parent",
}
rows = [row for row in WORDS if (first_merge, row) in aucs]
figure, axis = style.single(0.34 * len(rows) + 1)
for place, row in enumerate(rows):
    dot = with_draws(aucs[first_merge, row])
    colour = style.GREY if row in CUES else style.colour_of(first_merge)
    colour = "black" if row == "density" else colour
    axis.hlines(place, dot.low, dot.high, color=colour)
    axis.plot(dot.estimate, place, "o", color=colour, ms=6)
axis.axvline(0.5, color=style.GREY, ls=":")
axis.set(yticks=range(len(rows)), yticklabels=[WORDS[row] for row in rows])
axis.set(ylim=(len(rows) - 0.5, -0.5), xlabel="AUC (higher is better)")
show(
    figure,
    "How well a regression tells survivors, from each cue alone (grey; density black), from all that needs "
    "no matching, and from all cues, judged by another dictionary or by the other parent. 95 % intervals "
    "over groups of features. Dotted: chance.",
    "fig-auc",
    "Rows of dots with intervals, one for each cue, then three for all cues together",
)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
figure, axis = style.single(3.4)
looks = {"density": ("black", "--"), "all": (style.colour_of(first_merge), "-")}
for row, (colour, line) in looks.items():
    used = ["density"] if row == "density" else cues
    if "density" in cues and len({*lived}) == 2:
        curve = roc_curve(lived, predicted(table, used, table["seed"]))
        axis.plot(*curve[:2], color=colour, ls=line, label=WORDS[row].split(",")[0])
axis.plot([0, 1], [0, 1], color=style.GREY, ls=":", label="chance")
axis.set(xlabel="of those that don't survive, share picked", xlim=(0, 1), ylim=(0, 1.01))
axis.set_ylabel("of survivors, share picked")
axis.legend(loc="lower right")
show(
    figure,
    "If one picks features from the highest score down: the share of survivors that one has, against the share "
    "of the others. The area below a curve is its AUC (here over all dictionaries together).",
    "fig-roc",
    "Two curves above the diagonal from the lower left to the upper right",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
key_of = {m: "predict_survival" if len(merges) == 1 else f"predict_survival.{m}" for m in merges}
SLUGS = {"all": "auc", "density": "auc_density", "without_r": "auc_without_r"}
SLUGS["across_parents"] = "auc_across_parents"
results, better = {}, {}
for merge in merges:
    for row in WORDS:
        if (merge, row) in aucs:
            slug = SLUGS.get(row, f"auc_{row}")
            results |= flat(f"{key_of[merge]}.{slug}", with_draws(aucs[merge, row]))
    if (merge, "density") in aucs:
        better[merge] = with_draws(aucs[merge, "all"] - aucs[merge, "density"])
        results |= flat(f"{key_of[merge]}.auc_difference", better[merge])
    if (merge, "r_other") in aucs:
        beyond_r = with_draws(aucs[merge, "all"] - aucs[merge, "r_other"])
        results |= flat(f"{key_of[merge]}.auc_beyond_r_other", beyond_r)
    results[f"{key_of[merge]}.features"] = len(tables[merge])
gain = better.get(first_merge, Interval(np.nan, np.nan, np.nan))
everything = with_draws(aucs[first_merge, "all"])
VERDICTS = {
    "below": "**Worse than density alone.** The other cues only mislead.",
    "above": "**Better than density alone**, by {gain}.",
    "unclear": "**No better than density alone** can be shown: the difference is {gain}.",
}
difference_told = with_interval(gain, 2, share=False)
outcome = verdict(gain, 0, **VERDICTS).format(gain=difference_told)
if np.isfinite(everything.estimate):
    across = with_draws(aucs[first_merge, "across_parents"])
    alone = {cue: aucs[first_merge, cue][0] for cue in cues}
    best = max(alone, key=alone.get)
    weights_only = with_draws(aucs[first_merge, "without_r"] - aucs[first_merge, "density"])
    r_alone = aucs.get((first_merge, "r_other"), np.full(1, np.nan))
    beyond_r = with_draws(aucs[first_merge, "all"] - r_alone)
    say(
        f"From all cues the AUC is {with_interval(everything, 2, share=False)}, from density alone "
        f"{with_interval(with_draws(aucs[first_merge, 'density']), 2, share=False)}. {outcome}",
        f"The best single cue is *{CUES[best]}*, with {number(alone[best])}. Beside r in the other parent "
        "everything else together "
        + verdict(
            beyond_r,
            0,
            below="does harm",
            above="adds something",
            unclear="adds nothing that can be shown",
        )
        + f" ({with_interval(beyond_r, 2, share=False)}). Without the two r the "
        "regression is "
        + verdict(
            weights_only,
            0,
            below="worse than density",
            above="still better than density: the weights themselves tell something",
            unclear="not clearly better than density: the weights themselves tell little",
        )
        + f" ({with_interval(weights_only, 2, share=False)}). Learned from one parent and judged by the other "
        f"it has an AUC of {with_interval(across, 2, share=False)}.",
    )
else:
    say("All of the features asked have the same fate here, so there is nothing to predict.")

# %% [markdown]
# ## What a prediction of nothing looks like
#
# Suppose that only density decided. Then among features of *like* density fates would be dealt at random.
# We shuffle the labels within tenths of density, in each dictionary, and do all of the above again. Compared
# only within the same tenth, the AUC must then be one half. What it really is there tells how much the
# other cues know beyond density.


# %%
def density_bins(table, bins=10):
    """A dictionary and a tenth of its densities, one number for each."""
    tenth = table.groupby("name")["density"].transform(
        lambda density: pd.qcut(density.rank(method="first"), bins, labels=False)
    )
    return table["name"].astype("category").cat.codes.to_numpy() * bins + tenth.to_numpy(int)


def shuffled(table, stratum, rng):
    """The same features, with fates dealt anew within strata."""
    fates = table["lived"].to_numpy().copy()
    for one in np.unique(stratum):
        here = np.flatnonzero(stratum == one)
        fates[here] = fates[rng.permutation(here)]
    return table.assign(lived=fates)


# %% tags=["hide-input"] jupyter={"source_hidden": true}
SHUFFLES = 20
rng = np.random.default_rng(seed)
once = np.ones((1, len(table)))
within, dealt = Interval(np.nan, np.nan, np.nan), np.full(SHUFFLES, np.nan)
if table.groupby("name").size().min() >= 10 and "density" in cues:
    stratum = density_bins(table)
    within = with_draws(auc(scores, lived, stratum, drawn_weights(table, replicates, seed)))
    for k in range(SHUFFLES):
        other = shuffled(table, stratum, rng)
        again = predicted(other, cues, other["seed"])
        dealt[k] = auc(again, other["lived"].to_numpy(), stratum, once)[0]
key = key_of[first_merge]
results |= flat(f"{key}.within_density.auc", within)
results[f"{key}.within_density.auc_shuffled"] = None if np.isnan(dealt).any() else dealt.mean()
store.write_results(run, "prediction", results)
say(
    f"With fates dealt anew the AUC within tenths of density is {number(dealt.mean())} on average "
    f"({number(dealt.min())} to {number(dealt.max())} in {SHUFFLES} shuffles). As it is, it is "
    f"{with_interval(within, 2, share=False)}: "
    + verdict(
        within,
        0.5,
        below="at like density the cues mislead.",
        above="at like density the cues still tell survivors from others.",
        unclear="at like density nothing can be told.",
    )
    if np.isfinite(within.estimate)
    else "There are too few features here for tenths of density."
)

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
highest = scores >= np.quantile(scores, 0.9)
say(
    f"Before the merge one can tell survivors with an AUC of {with_interval(everything, 2, share=False)}; "
    f"among the tenth with the highest scores {percent(lived[highest].mean())} survive, among all "
    f"{percent(lived.mean())}. {outcome} The best single cue is {CUES[best]}."
    if np.isfinite(everything.estimate)
    else "In this run all features asked have one fate, so there was nothing to predict."
)

# %% [markdown]
# Mind what the folds can't show. All fates come from one merge of one set of models (n = 1), and the next
# dictionary of a parent holds mostly the same features. Cues and fates are read on the same text. The
# intervals take the regression and the fates as given. And a cue that predicts needn't be a cause: a feature that both parents have survives because
# *both* have it, and not because $r$ is high.
#
# What comes next: all that these chapters say on merging, [as advice](which-merge).
#
# :::{admonition} Exercise 1
# :class: tip
# Five features have the scores 2.0, 1.0, 0.5, 0.5 and −1.0. The first, the second and the fourth survive.
# What is the AUC?
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
five = np.array([2, 1, 0.5, 0.5, -1]), np.array([True, True, False, True, False])
auc_of_five = auc(*five, np.zeros(5), np.ones((1, 5)))[0]

# %%
answer = ...  # from 0 to 1
check(answer, auc_of_five)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = (2 + 2 + 1.5) / 6  # each survivor beats both others; the fourth ties with one
check(answer, auc_of_five)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# How many features would one pick *right* if one called as many survivors as there are, those with the
# highest scores? You need `scores` and `lived`. Give the share of those picked that survive.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
picked = np.argsort(-scores, kind="stable")[: lived.sum()]
picked_right = float(lived[picked].mean()) if lived.any() else np.nan

# %%
answer = ...  # a share, from 0 to 1
check(answer, picked_right)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
ordered = sorted(zip(-scores, range(len(scores)), lived, strict=True))[: int(lived.sum())]
answer = sum(bool(survives) for *_, survives in ordered) / max(len(ordered), 1)
check(answer, picked_right)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# If folds were drawn at random over features instead of by dictionary, would the AUC be higher or lower?
# Why?
# :::
#
# :::{dropdown} Answer
# If anything higher: copies of one feature would stand on both sides, and so would features of the same
# dictionary, with all its peculiarities. With seven cues there is little to learn by heart, though.
# :::
