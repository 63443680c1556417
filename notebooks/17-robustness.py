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
# Every chapter so far made choices: a threshold, a rule, a definition of correlation, a text to read,
# a seed, a kind of dictionary. {cite:t}`horn2025tracking` made others. Here all combinations are
# counted side by side, in the manner of a *specification curve*. Then each conclusion is asked how
# many of them support it.
#
# **You will learn** which choices move a result. **You need** [ceilings](ceilings), **and** a quarter
# of an hour. Its terms are [defined](method-ways) on the method page.

# %% tags=["hide-input"]
import pandas as pd

from featrack_utils.dictionaries import features, quality, variants
from featrack_utils.display import shareplots, style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import count, listed, percent, say, show, with_interval
from featrack_utils.lineage import label
from featrack_utils.pipeline import store
from featrack_utils.statistics import specification
from featrack_utils.statistics.persistence import persistence
from featrack_utils.statistics.sample import resample

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the bootstrap
root_seeds = 3  # dictionaries of the first model; paper: 1
other_seeds = 2  # of every other model; paper: 1
tau = 0.8  # correlation above which two features match; paper: 0.8
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
interval_draws = 40  # bootstrap draws over groups of documents; the chapter on ceilings takes more
sweep = ["expansion-4"]  # dictionaries trained otherwise, by name
all_pairs = False  # which are there for all conclusions, or for the first pair alone

# %% [markdown]
# ## All the ways to count
#
# We cross six thresholds, three rules (best, mutual and one-to-one matches), the whole mix or one
# domain, and dictionaries of seed 0 or 1. On the whole mix we also count with correlation over token
# strings, as the paper's code has it. For each way we count the share that persists, and its ceiling
# in the same way.
#
# All that is done again on dictionaries that were *trained* otherwise, as the profile's
# `robustness.sweep` asks. Unless `all_pairs` is set, these are there for the first pair alone.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
root, child = lineage.edges[0]
pair_name, pair = f"{root}_{child}", style.pair_label(root, child)
sets = {specification.OWN: features.open_features(run, lineage, root_seeds, other_seeds)}
trained = [job.name for job in variants.needed(lineage, all_pairs)]
sets |= {variants.label(name): variants.opened(run, name, trained) for name in sweep}

# %% [markdown]
# Best and mutual matches on the whole mix get intervals from groups of documents resampled with
# replacement. The other ways have none. An assignment would have to be solved in every draw,
# resampling changes correlation over token strings by itself, and one domain has few documents.

# %%
counting = specification.Counting(min_positions, min_documents, interval_draws, seed)
table = pd.concat(
    specification.specifications(found, lineage, counting, name) for name, found in sets.items()
)
moves = specification.effects(table, pair_name)
factors = moves["factor"].tolist()  # the one that moves the ratio most comes first

# %% tags=["hide-input"]
show(
    shareplots.specification_curve(table, pair_name, factors),
    f"Share over ceiling for {pair} under every way to count, sorted; bars are 95 % intervals where "
    "there are any. The marks below say which choices each used; the choice that moves the ratio most "
    "comes first. Dashed: no loss.",
    "fig-specifications",
    "Sorted ratios, some with intervals, with a grid of choices below",
)

# %% [markdown]
# In {numref}`fig-specifications` each column is one way to count. Look for marks that crowd at one
# end of a row: that choice moves the ratio. The table says how far. For each choice it compares only
# ways that differ in that choice. Without this, the whole mix would look important merely because
# correlation over token strings was only counted there.

# %% tags=["hide-input"]
shown = moves.replace({"factor": {"tau": "threshold τ"}})
shown = shown.rename(
    columns={
        "lowest_choice": "with",
        "highest_choice": "with ",
        "range": "moves the ratio by",
    }
)
show_table(
    shown,
    {"lowest": ".0%", "highest": ".0%", "moves the ratio by": ".0pt"},
    notes={"lowest": "median ratio", "highest": "median ratio", "moves the ratio by": "points"},
    caption=f"{pair}: what each choice does to share / ceiling.",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
ratios = table.loc[(table["pair"] == pair_name) & table["ratio"].notna(), "ratio"]
bounded = table.dropna(subset=["ratio_low", "ratio_high"])
below = int((bounded["ratio_high"] < 1).sum())
say(
    f"Over all ways the ratio of {pair} goes from {percent(ratios.min())} to {percent(ratios.max())}, "
    f"with a median of {percent(ratios.median())}. A figure without its way of counting says little. "
    f"Of the {count(len(bounded))} ratios with an interval, over all pairs, {count(below)} exclude 100 %."
)

# %% [markdown]
# ## Dictionaries side by side
#
# A stronger L1 or a narrower dictionary finds fewer, commoner features, and those come back more
# easily. To compare shares of dictionaries of different sparsity is to measure the sparsity. So each
# share stands beside L0, the variance explained, and its own ceiling.


# %%
def counted(found):
    """Persistence of the first pair in one set of dictionaries, at seed 0."""
    names = f"{root}-0", f"{child}-0", f"{root}-1"
    sample = resample(
        {name: [found[name]] for name in names},
        [tau],
        tau=tau,
        replicates=interval_draws,
        seed=seed,
        min_positions=min_positions,
        min_documents=min_documents,
    )
    return persistence(sample, names[0], names[1], ceiling=names[2])


kept = {name: counted(found) for name, found in sets.items()}
places = {specification.OWN: run} | {variants.label(name): run / "sweep" / name for name in sweep}
good = {name: quality.mean_quality(place, trained) for name, place in places.items()}

# %% tags=["hide-input"]
columns = {
    "dictionaries": list(sets),
    "L0": [good[name]["l0"] for name in sets],
    "variance explained": [good[name]["variance_explained"] for name in sets],
    "share": [each.found() for each in kept.values()],
    "ceiling": [each.at_most() for each in kept.values()],
    "ratio": [each.ratio() for each in kept.values()],
}
show_table(
    pd.DataFrame(columns),
    {"L0": ".1f", "variance explained": ".2f"}
    | dict.fromkeys(("share", "ceiling", "ratio"), ".0%"),
    caption=f"{pair}, dictionaries of seed 0, best matches on the whole mix.",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
clear = [name for name, each in kept.items() if each.ratio().high < 1]
say(
    f"By {count(len(clear))} of {count(len(kept))} kinds of dictionaries the features of {label(root)} "
    f"are found less often in {label(child)} than in {label(root)} itself. The ratio is "
    + listed([f"{with_interval(each.ratio())} by {name}" for name, each in kept.items()])
    + "."
)

# %% [markdown]
# ## Conclusions, and who supports them
#
# - *changes*: fewer features persist in the child than an unchanged parent would show;
# - *mostly noise*: of what seems lost, an unchanged parent would seem to lose more than half;
# - *keeps more*: a merge loses less of its parent than fine-tuning lost of that parent's own parent.
#
# A way to count supports a conclusion if its whole interval does, and contradicts it if its whole
# interval lies on the other side. Ways without an interval have no say.

# %%
claims = specification.conclusions(table, lineage)
support = specification.support_by_choice(claims)
overall = support[support["factor"] == "any"]
words = {"yes": "support", "no": "contradict"}
show_table(
    overall[["conclusion", "yes", "unclear", "no", "specifications"]].rename(columns=words),
    {"support": ".0%", "unclear": ".0%", "contradict": ".0%"},
    caption="Of the ways to count with an interval, how many support each conclusion.",
)

# %% [markdown]
# ## Who disagrees?
#
# The choices under which a conclusion finds least support, where some way doesn't support it. Again
# only ways are compared that differ in that choice alone.

# %% tags=["hide-input"]
by_choice = support[(support["factor"] != "any") & (support["yes"] < 1)]
least = by_choice.sort_values("yes", kind="stable").groupby("conclusion", sort=False).head(3)
show_table(
    least.sort_values("conclusion", kind="stable").rename(columns=words),
    {"support": ".0%", "unclear": ".0%", "contradict": ".0%"},
    caption="Choices with least support for each conclusion.",
)

# %% tags=["remove-cell"]
results = {
    "robust.specifications": len(table.drop_duplicates(list(specification.FACTORS))),
    "robust.conclusions": len(overall),
    "robust.unanimous": int(overall[["yes", "no"]].eq(1).any(axis=1).sum()),
    "robust.variants": len(sweep),
    "robust.all_pairs": int(all_pairs),
    "robust.intervals": len(bounded),
    "robust.intervals_below": below,
}
for row in overall.itertuples():
    name = f"robust.{row.conclusion.replace(' ', '_')}"
    results |= {f"{name}.support": row.yes, f"{name}.contradict": row.no}
for name, key in zip(sets, ("own", *sweep), strict=True):
    results |= kept[name].as_results(f"robust.{key}.share")
    results |= {f"robust.{key}.{figure}": value for figure, value in good[name].items()}
if len(ratios):
    ends = {"lowest": ratios.min(), "median": ratios.median(), "highest": ratios.max()}
    results |= {f"robust.{pair_name}.ratio.{end}": value for end, value in ends.items()}
store.write_results(run, "robustness", results)

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
strings = table[(table["pair"] == pair_name) & (table["definition"] == specification.STRINGS)]
strings = strings.loc[strings["tau"] == tau, "ratio"]
say(
    f"{count(results['robust.unanimous'])} of {count(len(overall))} conclusions come out the same in "
    "all ways to count that have an interval. With correlation over token strings, the paper's code, "
    f"the ratio of {pair} at τ = {tau} lies between {percent(strings.min())} and "
    f"{percent(strings.max())}, with no interval to tell it from 100 %.",
    "These are counts of choices, not probabilities: some choices are better than others, and the "
    "[next chapter](published) says why. A conclusion that survives all reasonable ways to count is "
    "about the models. One that flips with a choice is about the choice until somebody argues for it.",
)

# %% [markdown]
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
# with any seed. The variance explained falls, which is the price. Read the ratio for what the
# fine-tune did.
# :::
