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
# Every chapter so far made choices: a {term}`threshold`, a rule, a definition of correlation, a text to
# read, a {term}`seed`, a kind of {term}`dictionary`. {cite:t}`horn2025tracking` made others. Here all
# combinations are counted side by side, in the manner of a *specification curve*. Then each
# conclusion is asked how many of them support it.
#
# **You will learn** which choices move a result. **You need** [ceilings and floors](ceilings). **It
# takes** 15 minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from featrack_utils.dictionaries import features, jobs, quality
from featrack_utils.display import style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import (
    check,
    count,
    listed,
    percent,
    points,
    say,
    show,
    verdict,
    with_interval,
)
from featrack_utils.lineage import label
from featrack_utils.matching import classes
from featrack_utils.matching.correlation import correlations, string_correlations
from featrack_utils.pipeline import store
from featrack_utils.statistics.bootstrap import resample
from featrack_utils.statistics.intervals import UNDEFINED, Interval, Shares
from featrack_utils.statistics.persistence import Persistence, persistence

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the bootstrap
root_seeds = 3  # dictionaries of the first model; paper: 1
other_seeds = 2  # of every other model; paper: 1
control_draws = 3  # models with a random MLP for each child; paper: none
tau = 0.8  # correlation above which two features match; paper: 0.8
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
interval_draws = 40  # bootstrap draws over groups of documents; the chapter on ceilings takes more
sweep = ["expansion-2"]  # dictionaries trained otherwise, by name
all_pairs = False  # which are there for all conclusions, or for the first pair alone

# %% [markdown]
# ## All the ways to count
#
# We cross six thresholds, three rules (best, mutual and one-to-one matches), the whole mix or one
# domain, and dictionaries of seed 0 or 1. On the whole mix we also count with correlation over token
# strings, as the paper's code has it. All that is done again on dictionaries that were *trained*
# otherwise, as the profile's `robustness.sweep` asks. Each way has a {term}`ceiling` and a
# {term}`floor` of its own, from dictionaries of the same kind. So each has its own
# {term}`rescaled persistence`, unless the ceiling hardly exceeds the floor.
#
# Best and mutual matches on the whole mix get intervals, along every {term}`edge`. The other ways are
# counted for the first pair alone, without: an assignment would have to be solved in every draw,
# resampling changes correlation over token strings by itself, and one domain has few documents.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
root, child = lineage.edges[0]
pair_name, pair = f"{root}_{child}", style.pair_label(root, child)
own = features.open_features(run, lineage, root_seeds, other_seeds)
children = dict.fromkeys(model for _, model in lineage.edges)
of_controls = [f"{c}.mlp-{draw}" for c in children for draw in range(min(control_draws, 2))]
OWN = "this run's"  # the dictionaries of the other chapters
sets = {OWN: own | features.open_named(run, of_controls)}
trained = [job.name for job in jobs.of_sweep(lineage, all_pairs)]


def kind_in_words(name):
    """A set's name as read: "architecture-topk-k-32" is "TopK k 32"."""
    words = name.replace("_", " ").replace("-", " ").split()
    spelled = {"l1": "L1", "topk": "TopK", "batchtopk": "BatchTopK", "architecture": ""}
    return " ".join(spelled.get(word, word) for word in words).strip()


sets |= {kind_in_words(name): features.open_named(run / "sweep" / name, trained) for name in sweep}

# %% [markdown]
# Seed 0 or 1 is the parent's, the child's and the control's alike. The ceiling is the parent's other
# dictionary.

# %%
TAUS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
RULES = ("best", "mutual", "assignment")
POSITIONS, STRINGS = "positions", "token strings"
FACTORS = ["dictionary", "domain", "definition", "rule", "seed", "tau"]
criteria = {"min_positions": min_positions, "min_documents": min_documents}


def compared(found):
    """(pair, seed, the four dictionaries' names) of each edge whose first three are in a set."""
    for (parent, other), seed in product(lineage.edges, (0, 1)):
        three = f"{parent}-{seed}", f"{other}-{seed}", f"{parent}-{1 - seed}"
        control = f"{other}.mlp-{seed}"
        if found.keys() >= set(three):
            yield f"{parent}_{other}", seed, (*three, control if control in found else None)


def ways_with_intervals(found):
    """Best and mutual matches over positions on the whole mix, along every edge."""
    edges = list(compared(found))
    names = dict.fromkeys(name for _, _, four in edges for name in four if name)
    sample = resample(
        {name: [found[name]] for name in names},
        TAUS,
        tau=TAUS[-1],
        replicates=interval_draws,
        seed=seed,
        **criteria,
    )
    # Matched all at once, so that all cores have work.
    sample.matched(((one, 0), (n, 0)) for _, _, (one, *others) in edges for n in others if n)
    for pair, number, (parent, other, again, control) in edges:
        floors = {"random_mlp": control} if control else {}
        for rule in ("best", "mutual"):
            each = persistence(sample, parent, other, rule=rule, ceiling=again, floors=floors)
            yield (
                {"pair": pair, "domain": "all", "definition": POSITIONS, "rule": rule},
                number,
                each,
            )


# %% [markdown]
# The other ways are plain counts. A pair has a match if its $r$ exceeds the threshold, by whichever rule,
# definition and text.


# %%
def shares_found(a, b, able, definition, rules):
    """Share of a's eligible features found in b, at each threshold, by each rule."""
    masks = dict(zip(("eligible_a", "eligible_b"), able, strict=True))
    if definition == POSITIONS:
        best = correlations(a.acts, b.acts, **masks)
    else:
        best, _ = string_correlations(a.acts, b.acts, a.tokens, **masks)
    if not (best.a_candidates.any() and best.b_candidates.any()):
        return dict.fromkeys(rules, np.full(len(TAUS), np.nan))
    return {
        rule: np.array([classes.classify(best, t, rule).share("persisting") for t in TAUS])
        for rule in rules
    }


def ways_without(found):
    """The other ways to count, along the first edge."""
    first, *_ = compared(found)
    for domain in ("all", *lineage.domains):
        for pair, number, four in compared(found):
            if pair != first[0]:
                continue
            sides = [found[name] for name in four if name]
            if domain != "all":
                sides = [f.at(f.domain == lineage.domains.index(domain)) for f in sides]
            able = [classes.eligible(f.acts, f.origin, **criteria) for f in sides]
            for definition in (POSITIONS, STRINGS):
                if definition == STRINGS and (domain != "all" or number > 0):
                    continue
                known = domain == "all" and definition == POSITIONS  # with intervals, above
                rules = ("assignment",) if known else RULES
                counts = [
                    shares_found(sides[0], other, (able[0], mask), definition, rules)
                    for other, mask in zip(sides[1:], able[1:], strict=True)
                ]
                for rule in rules:
                    share, ceiling, *floor = (
                        Shares(np.array(TAUS), count[rule], np.empty((0, len(TAUS))))
                        for count in counts
                    )
                    floors = dict(zip(("random_mlp",), floor, strict=False))
                    way = {"pair": pair, "domain": domain, "definition": definition, "rule": rule}
                    yield way, number, Persistence(share, ceiling, floors, tau)


# %% [markdown]
# Each way gives a row for each threshold: shares as counted, since not every way can be corrected for
# noise, and bounds where there are any.

# %%
ROOM = 0.05  # between floor and ceiling: with less, no place between them can be told


def figures_at(each, k):
    """Share, ceiling, floor and what they give at the k-th threshold."""
    parts = each.shares, each.ceilings, *each.floors.values()
    share, ceiling, floor = (*(part.counted[k] for part in parts), np.nan)[:3]
    row = {"tau": TAUS[k], "share": share, "ceiling": ceiling, "floor": floor}
    row |= {"ratio": np.nan, "rescaled": np.nan}
    places = {"ratio": each.ratio(TAUS[k]), "rescaled": each.rescaled(tau=TAUS[k])}
    if not ceiling - floor > ROOM:
        places["rescaled"] = UNDEFINED
    if np.isfinite(places["ratio"].estimate):
        row["ratio"] = share / ceiling
    if np.isfinite(places["rescaled"].estimate):
        row["rescaled"] = (share - floor) / (ceiling - floor)
    for name, one in {**places, "noise": each.unchanged_loss(TAUS[k])}.items():
        row |= {f"{name}_low": one.low, f"{name}_high": one.high}
    return row


table = pd.DataFrame(
    [
        {"dictionary": name, **way, "seed": number, **figures_at(each, k)}
        for name, found in sets.items()
        for count_ways in (ways_with_intervals, ways_without)
        for way, number, each in count_ways(found)
        for k in range(len(TAUS))
    ]
)
known = table[(table["pair"] == pair_name) & table["rescaled"].notna()]

# %% tags=["hide-input"] jupyter={"source_hidden": true}
figure = Figure(figsize=(style.WIDTH, 2.6), layout="constrained")
axis = figure.subplots()
ordered = known.sort_values("rescaled", kind="stable").reset_index(drop=True)
looks = {
    POSITIONS: ("o", style.colour_of(child)),
    STRINGS: ("x", "black"),
}
for definition, (marker, colour) in looks.items():
    rows = ordered[ordered["definition"] == definition]
    axis.vlines(rows.index, rows["rescaled_low"], rows["rescaled_high"], color=colour, alpha=0.4)
    axis.plot(
        rows.index, rows["rescaled"], marker, color=colour, ms=3.5, label=f"over {definition}"
    )
for line in (0, 1):
    axis.axhline(line, color="black", lw=1)
axis.set(ylim=(-0.5, 1.5), xlabel="ways to count, sorted", ylabel="rescaled persistence")
axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
figure.legend(loc="outside upper center", ncols=2)
show(
    figure,
    f"Rescaled persistence along {pair} under every way to count, sorted; bars are 95 % intervals "
    "where there are any. 0 %: as with a random MLP; 100 %: as if nothing had happened. Values beyond "
    "the frame are cut.",
    "fig-specifications",
    "Sorted dots, some with intervals, between 0 and 100 per cent",
)

# %% [markdown]
# ## Which choice moves it?
#
# For each choice we compare only ways that were counted with every choice of its kind, all else being
# equal. Without this, the whole mix would look important merely because correlation over token strings
# was only counted there.


# %%
def comparable(table, factor):
    """The ways whose other choices were counted with every choice of `factor`."""
    others = [name for name in FACTORS if name != factor]
    choices = table.groupby(others)[factor].transform("nunique")
    return table[choices == table[factor].nunique()]


def medians(table, factor, figure="rescaled"):
    """Median of a figure by choice, and its quartiles."""
    by_choice = comparable(table, factor).groupby(factor, sort=False)[figure]
    return by_choice.quantile([0.25, 0.5, 0.75]).unstack()


moves = {factor: medians(known, factor) for factor in FACTORS}
moves = {factor: each for factor, each in moves.items() if len(each) > 1}
ranges = {factor: float(np.ptp(each[0.5])) for factor, each in moves.items()}
factors = sorted(moves, key=lambda factor: -ranges[factor])

# %% tags=["hide-input"] jupyter={"source_hidden": true}
NAMES = {"tau": "threshold τ"}
rows = [(f, choice, each) for f in factors for choice, each in moves[f].iterrows()]
figure = Figure(figsize=(style.WIDTH, 0.8 + 0.24 * len(rows)), layout="constrained")
axis = figure.subplots()
for place, (factor, _, each) in enumerate(rows):
    colour = style.PALETTE[factors.index(factor) % len(style.PALETTE)]
    axis.hlines(place, each[0.25], each[0.75], color=colour, lw=2, alpha=0.5)
    axis.plot(each[0.5], place, "o", color=colour, ms=6)
labels = [f"{NAMES.get(factor, factor)}: {choice}" for factor, choice, _ in rows]
axis.set_yticks(range(len(rows)), labels, fontsize=9)
axis.set(ylim=(len(rows) - 0.5, -0.5), xlabel=f"rescaled persistence, {pair}", xlim=(-0.5, 1.5))
axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
show(
    figure,
    "Median rescaled persistence by choice (dot) and the middle half of the ways (bar), the choice that "
    "moves it most on top.",
    "fig-choices",
    "One row for each choice, grouped by kind and sorted by how much it matters",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
bounded = table.dropna(subset=["rescaled_low", "rescaled_high"])
below = int((bounded["rescaled_high"] < 1).sum())
above = int((bounded["rescaled_low"] > 0).sum())
rescaled = known["rescaled"]
say(
    f"Over all ways the rescaled persistence of {pair} goes from {percent(rescaled.min())} to "
    f"{percent(rescaled.max())}, with a median of {percent(rescaled.median())}. A figure without its "
    f"way of counting says little. Of the {count(len(bounded))} intervals, over all pairs, "
    f"{count(below)} lie below 100 % and {count(above)} above 0 %.",
    f"What moves it most, in {{numref}}`fig-choices`, is the "
    f"{NAMES.get(factors[0], factors[0])}: by {points(ranges[factors[0]])}."
    if factors
    else "",
)

# %% [markdown]
# ## Dictionaries side by side
#
# A stronger L1 or a narrower dictionary finds fewer, commoner features, and those come back more
# easily. To compare shares of dictionaries of different sparsity is to measure the sparsity. So each
# share stands beside {term}`L0`, the variance explained, and its own ceiling and floor.


# %%
def counted(found):
    """Persistence of the first pair in one set of dictionaries, at seed 0."""
    names = f"{root}-0", f"{child}-0", f"{root}-1", f"{child}.mlp-0"
    sample = resample(
        {name: [found[name]] for name in names},
        [tau],
        tau=tau,
        replicates=interval_draws,
        seed=seed,
        **criteria,
    )
    parent, one, again, control = names
    return persistence(sample, parent, one, ceiling=again, floors={"random_mlp": control})


kept = {name: counted(found) for name, found in sets.items()}
places = {OWN: run} | {kind_in_words(name): run / "sweep" / name for name in sweep}
models = [name for name in trained if ".mlp-" not in name]
good = {name: quality.mean_quality(place, models) for name, place in places.items()}

# %% [markdown]
# These are the curve's own ways, at seed 0:

# %%
ways = table[table["pair"] == pair_name].set_index(FACTORS)["share"]
for name, each in kept.items():
    way = (name, "all", POSITIONS, "best", 0, tau)
    assert way not in ways.index or np.isclose(ways[way], each.raw())

# %% tags=["hide-input"] jupyter={"source_hidden": true}
FIGURES = ("share", "ceiling", "floor", "rescaled")
columns = {
    "dictionaries": list(sets),
    "L0": [good[name]["l0"] for name in sets],
    "variance explained": [good[name]["variance_explained"] for name in sets],
} | {name: [getattr(each, name)() for each in kept.values()] for name in FIGURES}
show_table(
    pd.DataFrame(columns),
    {"L0": ".0f", "variance explained": ".2f"} | dict.fromkeys(FIGURES, ".0%"),
    caption=f"{pair}, dictionaries of seed 0, best matches on the whole mix.",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
clear = [name for name, each in kept.items() if each.rescaled().high < 1]
say(
    f"By {count(len(clear))} of {count(len(kept))} kinds of dictionaries {label(child)} has lost "
    f"features of {label(root)}. Rescaled persistence is "
    + listed([f"{with_interval(each.rescaled())} by {name}" for name, each in kept.items()])
    + "."
)

# %% [markdown]
# ## Conclusions, and who supports them
#
# - *changes*: fewer features persist in the child than an unchanged parent would show;
# - *keeps something*: more persist than in the child with a random MLP;
# - *mostly noise*: of the features that disappear, more than half would in an unchanged parent;
# - *keeps more*: rescaled, a merge keeps more of its parent than fine-tuning kept of that parent's own
#   parent.
#
# A way to count supports a conclusion if its whole interval does, and contradicts it if its whole
# interval lies on the other side. Ways without an interval have no say.

# %%
SAYS = {"below": "no", "above": "yes", "unclear": "unclear"}


def says(low, high):
    """Whether a figure with these bounds lies above 0, by each way that has them."""
    bounds = pd.DataFrame({"low": low, "high": high}).dropna()
    intervals = (Interval(np.nan, *pair) for pair in bounds.to_numpy())
    return pd.Series([verdict(each, 0, **SAYS) for each in intervals], bounds.index, dtype=object)


by_pair = {pair: rows.set_index(FACTORS) for pair, rows in table.groupby("pair")}
said = {}
for parent, other in lineage.edges:
    rows = by_pair.get(f"{parent}_{other}")
    if rows is None:
        continue
    if other not in lineage.merges:
        said[f"{other} changes"] = says(1 - rows["ratio_high"], 1 - rows["ratio_low"])
        said[f"{other} keeps something"] = says(rows["rescaled_low"], rows["rescaled_high"])
        said[f"{other} mostly noise"] = says(rows["noise_low"] - 0.5, rows["noise_high"] - 0.5)
    elif parent in lineage.parents(other):
        for before in lineage.parents(parent):
            earlier = by_pair.get(f"{before}_{parent}")
            if earlier is not None:
                said[f"{other} keeps more than {parent}"] = says(
                    rows["rescaled_low"] - earlier["rescaled_high"],
                    rows["rescaled_high"] - earlier["rescaled_low"],
                )
claims = pd.concat(
    [each.rename("says").reset_index().assign(conclusion=name) for name, each in said.items()]
)


# %%
def support(claims):
    """Share of the ways that say so, that say the opposite, and that can't tell."""
    says = claims.groupby("conclusion", sort=False)["says"]
    shares = says.value_counts(normalize=True).unstack(fill_value=0.0)
    shares = shares.reindex(columns=["yes", "unclear", "no"], fill_value=0.0)
    return shares.reindex(claims["conclusion"].unique()).assign(ways=says.size())


overall = support(claims)


def in_words(conclusion):
    """A conclusion with its models by their labels."""
    return " ".join(label(w) if w in lineage.order else w for w in conclusion.split())


# %% tags=["hide-input"] jupyter={"source_hidden": true}
figure = Figure(figsize=(style.WIDTH, 0.9 + 0.32 * len(overall)), layout="constrained")
axis = figure.subplots()
left = np.zeros(len(overall))
shades = {
    "yes": ("#0072B2", "support"),
    "unclear": ("#cccccc", "unclear"),
    "no": ("#D55E00", "contradict"),
}
for answer, (colour, words) in shades.items():
    axis.barh(range(len(overall)), overall[answer], left=left, color=colour, label=words)
    left += overall[answer].to_numpy()
axis.set_yticks(
    range(len(overall)), [f"{in_words(name)} ({n:.0f})" for name, n in overall["ways"].items()]
)
axis.set(xlim=(0, 1), ylim=(len(overall) - 0.5, -0.5), xlabel="ways to count with an interval")
axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
axis.grid(visible=False)
figure.legend(loc="outside upper center", ncols=3)
show(
    figure,
    "Of the ways to count with an interval (how many, in brackets), those that support each conclusion, "
    "those that contradict it, and those that can't tell.",
    "fig-support",
    "Stacked bars, one for each conclusion",
)

# %% [markdown]
# Who disagrees? These choices give a conclusion least support. Again only ways are compared that
# differ in that choice alone.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
least = [
    support(part).reset_index().assign(choice=f"{NAMES.get(factor, factor)}: {choice}")
    for _, one in claims.groupby("conclusion", sort=False)
    for factor in FACTORS
    if one[factor].nunique() > 1
    for choice, part in comparable(one, factor).groupby(factor, sort=False)
]
least = pd.concat(least).sort_values("yes", kind="stable").groupby("conclusion", sort=False).head(1)
least["conclusion"] = least["conclusion"].map(in_words)
show_table(
    least[least["yes"] < 1].head(7)[["conclusion", "choice", "yes", "unclear"]],
    {"yes": ".0%", "unclear": ".0%"},
    caption="The choice with least support for each conclusion that some way doesn't support.",
)

# %% tags=["remove-cell"]
unanimous = int((overall[["yes", "no"]] == 1).any(axis=1).sum())
results = {
    "robust.specifications": len(table.drop_duplicates(FACTORS)),
    "robust.conclusions": len(overall),
    "robust.unanimous": unanimous,
    "robust.variants": len(sweep),
    "robust.all_pairs": int(all_pairs),
    "robust.intervals": len(bounded),
    "robust.intervals_below": below,
    "robust.intervals_above": above,
}
for name, row in overall.iterrows():
    key = f"robust.{name.replace(' ', '_')}"
    results |= {f"{key}.support": row["yes"], f"{key}.contradict": row["no"]}
for name, key in zip(sets, ("own", *sweep), strict=True):
    results |= kept[name].as_results(f"robust.{key}.share")
    results |= {f"robust.{key}.{figure}": value for figure, value in good[name].items()}
for figure in ("ratio", "rescaled"):
    if len(known):
        ends = {"lowest": "min", "median": "median", "highest": "max"}
        results |= {
            f"robust.{pair_name}.{figure}.{e}": known[figure].agg(of) for e, of in ends.items()
        }
store.write_results(run, "robustness", results)

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
strings = table[(table["pair"] == pair_name) & (table["definition"] == STRINGS)]
strings = strings[strings["tau"] == tau]
no_room = strings["rescaled"].isna()
say(
    f"{count(unanimous)} of {count(len(overall))} conclusions come out the same in all ways to count "
    "that have an interval.",
    f"By the paper's code, with correlation over token strings, {pair} has no interval. At τ = {tau} "
    f"share / ceiling lies between {percent(strings['ratio'].min())} and "
    f"{percent(strings['ratio'].max())}, and in {count(no_room.sum())} of {count(len(strings))} such ways "
    f"the ceiling lies no more than {points(ROOM)} above the floor, so that nothing can "
    "be told between them.",
    "These are counts of choices, not probabilities: some choices are better than others, and the "
    "[next chapter](published) says why. A conclusion that survives all reasonable ways to count is "
    "about the models. One that flips with a choice is about the choice until somebody argues for it.",
)

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# By how much does the threshold move the *share*, from its lowest median to its highest? The table
# `known_everywhere` holds the first pair's ways that were counted at every threshold.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
known_everywhere = comparable(known, "tau")
moved = float(np.ptp(medians(known, "tau", "share")[0.5])) if len(known_everywhere) else np.nan

# %%
answer = ...  # a difference of two shares
check(answer, moved)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
by_tau = [np.median(rows["share"]) for _, rows in known_everywhere.groupby("tau")]
answer = max(by_tau) - min(by_tau) if by_tau else np.nan
check(answer, moved)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# A reader asks whether less than half is kept. How many of the intervals in `bounded` leave that open,
# because they include one half? Give a share of all of them.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
low, high = bounded["rescaled_low"].to_numpy(), bounded["rescaled_high"].to_numpy()
left_open = 1 - np.mean((high < 0.5) | (low > 0.5)) if len(bounded) else np.nan

# %%
answer = ...  # a share, from 0 to 1
check(answer, left_open)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = bounded.eval("rescaled_low <= 0.5 <= rescaled_high").mean() if len(bounded) else np.nan
check(answer, left_open)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# Add dictionaries with twice the L1 coefficient: `robustness='{sweep: [{l1_coefficient: 4.0}]}'`. Before
# you look: will the share rise or fall? And rescaled persistence?
# :::
#
# :::{dropdown} Answer
# The share rises, and so do its ceiling and its floor: fewer features are left, the common ones, and
# they come back with any seed and in any model. The variance explained falls, which is the price. Read
# rescaled persistence for what the fine-tune did.
# :::
