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
# # Does the instrument read what was put in?
#
# Nobody knows how many features *really* persist in a fine-tuned model, so nobody can check a
# reported share against the truth. In simulated activations the truth is planted: we decide which
# features persist, emerge, vanish, split or are copied, and ask the same code that the other chapters
# use. {cite:t}`horn2025tracking` report no such check.
#
# **You will learn** how far a reported share can be off, and how often its interval holds the truth.
# **You need** [ceilings](ceilings), **and** a quarter of an hour. Its terms are
# [defined](method-simulation) on the method page.

# %% tags=["hide-input"]
import pandas as pd
from matplotlib.ticker import PercentFormatter

from featrack_utils.display import shareplots, style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import (
    count,
    listed,
    number,
    percent,
    points,
    say,
    show,
    verdict,
    with_interval,
)
from featrack_utils.pipeline import store
from featrack_utils.statistics import calibration
from featrack_utils.statistics.intervals import LEVEL, UNDEFINED
from featrack_utils.statistics.persistence import flat
from featrack_utils.statistics.simulation import Plan, simulate

style.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the simulated sets
tau = 0.8  # correlation above which two features match; paper: 0.8
calibration_sets = 4  # simulated sets for each planted share
calibration_features = 1000  # features per simulated dictionary

# %% [markdown]
# ## What is planted
#
# Documents have a domain and a topic, so that firings cluster. Densities are heavy-tailed, from a few
# tokens in ten thousand to a tenth of all. A *persisting* feature fires on the same events in both
# models with noise of its own, so that its true r with its mate is known. *Vanishing* and *emerging*
# features are in one model only. A *split* one is two in the child, a *copy* appears twice in the
# parent. *Dense* ones fire everywhere and mean nothing, *dead* ones never fire.

# %%
plan = Plan(n_features=calibration_features, n_documents=300, tokens_per_document=150)
one = simulate(plan, seed)
kinds = pd.Series(one.parent_truth[0].kind).value_counts()
show_table(
    kinds.rename({"dense_a": "dense"})
    .rename_axis("kind of parent feature")
    .reset_index(name="features"),
    caption="What one simulated parent dictionary holds.",
)

# %% [markdown]
# ## Planted and reported
#
# True mates correlate far above the threshold here, as those of good dictionaries would.

# %%
PLANTED = (0.0, 0.05, 0.2, 0.5, 0.8)
made = {
    share: calibration.calibrate(
        share, (0.9, 1.0), tau=tau, sets=calibration_sets, seed=seed, plan=plan
    )
    for share in PLANTED
}

# %% tags=["hide-input"]
TOLERANCE = 0.02  # largest error that we ask for, a share of one
errors = pd.DataFrame([{"planted": c.planted, **flat("bias", c.bias)} for c in made.values()])
show(
    shareplots.recovered_shares(errors, TOLERANCE),
    "Error of the share of persisting features that the pipeline reports, against the share that was "
    "planted: mean over simulated sets with its 95 % interval. Dashed: the largest error that we ask "
    "for.",
    "fig-recovered",
    "Errors of five planted shares, beside zero",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
largest = max(abs(c.bias.estimate) for share, c in made.items() if share)
biased = [percent(s) for s, c in made.items() if c.bias.low > 0 or c.bias.high < 0]
nothing = made[0.0].share
met = largest <= TOLERANCE and nothing.estimate <= 0.01
say(
    f"In {{numref}}`fig-recovered` the largest error among the planted shares is {points(largest, 1)}. "
    f"Where nothing persists, {percent(nothing.estimate, 2)} is reported. We ask for errors of at most "
    "two points, and one false alarm in a hundred where nothing persists: "
    + ("met." if met else "**not met here**."),
    f"Small is not none: the interval of the error excludes zero where {listed(biased)} of the features "
    "persist. Such errors are what the misses and false alarms of the next section leave when they "
    "don't cancel."
    if biased
    else "Every interval of an error includes zero.",
)

# %% [markdown]
# ## Hits and false alarms
#
# Feature by feature: how many of the truly persisting are called so (*sensitivity*), how many of the
# others are not (*specificity*)?

# %%
columns = {
    "planted": [c.planted for c in made.values()],
    "reported": [c.share for c in made.values()],
    "sensitivity": [c.sensitivity or UNDEFINED for c in made.values()],
    "specificity": [c.specificity or UNDEFINED for c in made.values()],
}
show_table(
    pd.DataFrame(columns),
    dict.fromkeys(columns, ".1%"),
    caption="Shares reported, hits among the truly persisting, and rejections among the others.",
)

# %% [markdown]
# ## Where mates are no better than the threshold
#
# Real mates don't all correlate at 0.9. If their true r spreads from 0.5 to 1, many lie within the
# noise of the threshold. More of them may cross it one way than the other, and the share is biased.

# %%
spread = calibration.calibrate(
    0.5, (0.5, 1.0), tau=tau, sets=calibration_sets, seed=seed, plan=plan
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
low, high = (number(100 * bound, 1) for bound in spread.bias[1:])
also = "Such shares are also reported too {}. In real dictionaries many mates lie at the threshold, too, "
also += "so expect the raw shares of this book, and their ceilings, to be off by about as much."
say(
    f"{percent(spread.planted, 1)} of the features truly correlate above τ with a mate, and "
    f"{with_interval(spread.share, 1)} are reported. The bias is {points(spread.bias.estimate, 1)} "
    f"[{low}, {high}]. "
    + verdict(
        spread.bias,
        0,
        below=also.format("low"),
        above=also.format("high, since the best of many candidates is also chosen for its luck"),
        unclear="With so few sets that can't be told from none.",
    )
)

# %% [markdown]
# ## Do the intervals hold the truth?
#
# The intervals of the [chapter on ceilings](ceilings) allow for such a bias by extrapolating to no
# noise. How often do they hold the truth? That was measured once, on many more simulated sets than
# fit into a run of this book (`benchmarks/coverage.py`, whose table is kept with the book).
#
# Some simulations group documents in threes that share their errors. Others train two or three
# simulated dictionaries that each miss some features; there "truth" is the average over many further
# dictionaries.

# %%
coverage = calibration.measured_coverage()
places, names, place = [], {}, 0
for size, rows in coverage.groupby("size", sort=False):
    names[place] = f"{size}:"
    for row in rows.itertuples():
        place += 1
        places.append(place)
        names[place] = f"{row.figure}, true r {row.rho_low:g}–{row.rho_high:g}"
    place += 1

# %% tags=["hide-input"]
figure, axis = style.single(0.19 * len(names) + 0.9)
ends = coverage["coverage.ci_low"], coverage["coverage.ci_high"]
axis.hlines(places, *ends, color=style.GREY, lw=1.5)
axis.plot(coverage["coverage"], places, "o", ms=4, color=style.PALETTE[0])
axis.axvline(LEVEL, color="black", ls="--", lw=1)
axis.set_yticks(list(names), list(names.values()), fontsize=8)
axis.set_xticks([0.9, 0.92, 0.94, 0.96, 0.98, 1])
axis.set(xlabel="coverage", ylim=(place - 0.3, -0.7))
axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
axis.grid(axis="y", visible=False)
show(
    figure,
    "Coverage: the share of simulated sets whose 95 % interval holds the true figure, with Wilson's "
    "interval, one row for each kind of evaluation mix, figure and range of the mates' true r.",
    "fig-coverage",
    "Dots around a dashed line at 95 %",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
below = int((coverage["coverage.ci_high"] < LEVEL).sum())
above = int((coverage["coverage.ci_low"] > LEVEL).sum())
fewest = int(coverage["sets"].min())
say(
    f"Over the {count(len(coverage))} cases of {{numref}}`fig-coverage`, {count(fewest)} sets each, "
    f"coverage goes from {percent(coverage['coverage'].min(), 1)} to "
    f"{percent(coverage['coverage'].max(), 1)}. By more than the number of sets explains, it lies below "
    f"{percent(LEVEL)} in {count(below)} of them. It lies above in {count(above)}, where intervals are "
    "wider than they need be. All mixes have a hundred groups of documents or more. With a "
    "dozen groups, as a small domain may have, a bootstrap is known to cover less."
)

# %% tags=["remove-cell"]
results = {
    "calibration.largest_error": largest,
    "calibration.planted_with_bias": len(biased),
    "calibration.spread.planted": spread.planted,
    **flat("calibration.spread.bias", spread.bias),
    **flat("calibration.spread.share", spread.share),
    "calibration.coverage.lowest": coverage["coverage"].min(),
    "calibration.coverage.highest": coverage["coverage"].max(),
    "calibration.coverage.nominal": LEVEL,
    "calibration.coverage.sets": fewest,
    "calibration.coverage.regimes": len(coverage),
    "calibration.coverage.too_low": below,
    "calibration.coverage.too_high": above,
}
for share, c in made.items():
    name = f"calibration.planted_{share:.0%}".rstrip("%") if share else "calibration.nothing"
    for key in ("share", "sensitivity", "specificity", "bias"):
        results |= flat(f"{name}.{key}", getattr(c, key) or UNDEFINED)
store.write_results(store.open_run(run_dir), "calibration", results)

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    "A share reported by this pipeline is the share of features with a mate above τ: within "
    f"{points(largest, 1)} where mates are clear, and with a bias of {points(spread.bias.estimate, 1)} "
    "where many lie at the threshold. What it can't say is whether two dictionaries of *one* model "
    "would agree: that is what ceilings are for."
)

# %% [markdown]
# :::{admonition} Exercise
# :class: tip
# Raise τ to 0.95 (`-p tau 0.95`). What happens to the sensitivity, and why is that no fault?
# :::
#
# :::{dropdown} Answer
# Sensitivity counts mates with a *true* r above τ. With mates between 0.9 and 1 half of them lie
# above 0.95, many close to it, and the noise of r throws some to the other side, in both directions.
# :::
#
# :::{admonition} Exercise
# :class: tip
# Simulate twice as many documents (`n_documents=600` in the plan). Which of the errors shrinks, and
# why does the one at the threshold not go to zero at once?
# :::
#
# :::{dropdown} Answer
# The noise of r falls with the number of documents, and with it both the false alarms and the bias of
# mates near τ. But more documents only halve the noise when there are four times as many, and close
# to τ there is always some mate that half the noise still throws over.
# :::
