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
# # Which merge should I use?
#
# {cite:t}`horn2025tracking` merge by slerp at one weight. Other ways of merging were measured in the chapters
# before this one. Nothing is measured here: this page judges their results together, as advice for this lineage.
#
# **You will learn** which method serves which purpose here, and how to tell when a comparison doesn't know.
# **You need** [ways of merging](methods) and [ceilings](ceilings). **It takes** ten minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import json
import re

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator, PercentFormatter
from scipy.stats import norm

from featrack_utils.display import style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import (
    check,
    estimate,
    listed,
    number,
    percent,
    points,
    say,
    show,
    verdict,
    with_interval,
)
from featrack_utils.lineage import label
from featrack_utils.pipeline import store
from featrack_utils.statistics.intervals import Interval

# %% tags=["parameters"]
run_dir = "runs/quick"
chapters = ["merge", "methods", "along", "prediction"]  # on merging, those that this lineage has
compared = ["merged"]  # merges that the chapter on ways of merging compares with others

# %% tags=["hide-input"] jupyter={"source_hidden": true}
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
results = store.read_results(run, "ceilings", *chapters)
made = [merge for merge in lineage.merges if merge not in lineage.loaded]
pairs = [merge for merge in made if len(lineage.parents(merge)) == 2]
first_merge = compared[0] if compared else lineage.merges[0]
parents = lineage.parents(first_merge)
ancestor = lineage.common_ancestor(parents)
at = "merge" if len(compared) == 1 else f"merge.{first_merge}"
# Each method that is compared has been taken back to an equal loss, by so much.
ways = re.findall(rf"^{at}\.(\S+)\.scale_at_equal_loss$", "\n".join(results), re.MULTILINE)
gap = f"{lineage.domains[0]}.accuracy_from_reference"
reference = next((way for way in ways if f"{at}.{way}.{gap}" not in results), "")
method = lineage.models[first_merge].get("method", "slerp")
own = "the loaded merge" if first_merge not in made else f"this run's merge ({method})"


def of(row, what):
    """A figure of a method or a control, with its interval."""
    return estimate(results, f"{at}.{row}.{what}")


def mean_of(figures):
    """The mean of figures of separate texts, with its interval."""
    middle, low, high = np.array(figures).T
    half = [np.sqrt(np.sum((end - middle) ** 2)) / len(middle) for end in (low, high)]
    return Interval(float(middle.mean()), middle.mean() - half[0], middle.mean() + half[1])


kept = [estimate(results, f"track.{p}_{first_merge}.persisting_share.rescaled") for p in parents]
kept = [f"{with_interval(k)} for {label(p)}" for k, p in zip(kept, parents, strict=True)]
say(
    f"Of several merges {label(first_merge)} is judged here." if len(lineage.merges) > 1 else "",
    f"The share of a parent's features that {label(first_merge)} has, between floor (0) and ceiling "
    f"(100 %): {listed(kept)}.",
    ""
    if ways
    else "**What this page can't say.** No ways of merging were compared in this run (its profile's "
    "`arms.methods` names those that are), so none can be recommended.",
)

# %% [markdown]
# ## Accuracy against features
#
# A merge can predict the parents' text and hold their features, and one doesn't follow from the other. Features
# stand between a {term}`floor` and a {term}`ceiling`, as everywhere in this book.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
panels = [(k, f"of {label(p)} alone", p) for k, p in zip(ORDINALS, parents, strict=False)]
two = len(parents) == 2
panels.append(("both", "of both parents", ancestor) if two else ("shared", "of several", ancestor))
domains_of = {p: lineage.trained_on(p) or lineage.domains for p in (*parents, ancestor)}
rows = {way: way for way in ways} | {"own": own, "ancestor": f"{label(ancestor)} itself"}
rows |= {"random_task_vector": "random task vector"}
lines = -(-len(panels) // 2)
figure = style.Figure(figsize=(style.WIDTH, 2.6 * lines + 0.9), layout="constrained")
axes = list(figure.subplots(lines, 2, squeeze=False).flat)
for axis, (kind, title, model) in zip(axes, panels, strict=False):
    for end, look in (("floor", {"color": "#999999", "lw": 3}), ("ceiling", {"color": "black"})):
        axis.axvline(of(reference, f"survival_{kind}_share.{end}").estimate, **look)
    for row, marker in zip(rows, style.MARKERS * 3, strict=False):
        x = of(row, f"survival_{kind}_share")
        y = mean_of([of(row, f"{domain}.accuracy") for domain in domains_of[model]])
        looks = {"color": style.colour_of(first_merge) if row in (*ways, "own") else style.GREY}
        axis.hlines(y.estimate, x.low, x.high, lw=1, **looks)
        axis.vlines(x.estimate, y.low, y.high, lw=1, **looks)
        axis.plot(x.estimate, y.estimate, marker, mec="white", ms=8, label=rows[row], **looks)
    axis.set(title=title, ylabel=f"accuracy, {label(model)}'s text", xlabel="share kept")
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        one.set_major_formatter(PercentFormatter(1))
for axis in axes[len(panels) :]:
    axis.remove()
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
if ways:
    show(
        figure,
        "Next-token accuracy of each way of merging (at its best setting) against the features that it keeps (at "
        "equal loss), both with 95 % intervals; up and right is better. Black line: the ceiling. Grey "
        "line: the floor. Grey marks are no merges. Each panel has scales of its own.",
        "fig-which-merge",
        "Panels of marks, accuracy upwards and surviving features to the right, between two lines",
    )

# %% [markdown]
# ## When is a difference a difference?
#
# Every method is set beside one of them, the reference, in several classes of features. Of many intervals some
# exclude zero by chance. So each is widened until all $n$ hold *together* as often as one alone should, which
# fails with probability $\alpha$ (Bonferroni's correction). With $z_q$ for the normal quantile it grows by
#
# $$z_{1 - \alpha/2n} \,/\, z_{1 - \alpha/2} .$$
#
# What still excludes zero is **apart**. If all lie within a margin of zero, they are **alike**. Else the
# answer is **unclear**, and that is an answer.


# %%
def widened(interval, comparisons):
    """An interval of 95 % as one among several that hold together at 95 %."""
    factor = norm.ppf(1 - 0.025 / comparisons) / norm.ppf(0.975)
    middle, low, high = interval
    return Interval(middle, middle - factor * (middle - low), middle + factor * (high - middle))


def conclusion(differences, margin=0.05, comparisons=None):
    """Whether differences, by name, are apart from zero, alike or unclear; and which are apart."""
    known = {name: d for name, d in differences.items() if np.isfinite([*d]).all()}
    wide = {name: widened(d, comparisons or len(known)) for name, d in known.items()}
    apart = [name for name, (_, low, high) in wide.items() if low > 0 or high < 0]
    if apart:
        return "apart", apart
    within = all(-margin < low and high < margin for _, low, high in wide.values())
    return ("alike" if known and within else "unclear"), []


# %% tags=["hide-input"] jupyter={"source_hidden": true}
others = [way for way in ways if way != reference]
title_of = {kind: title for kind, title, _ in panels} | {"novel": "that no parent has"}
classes = [f"survival_{kind}" for kind in title_of]


def from_reference(rows, respects):
    """How far rows lie from the reference in several respects, by row and respect."""
    found = {(row, what): of(row, f"{what}_from_reference") for row in rows for what in respects}
    return {pair: d for pair, d in found.items() if np.isfinite([*d]).all()}


in_features = from_reference(others, classes)
outcome, apart = conclusion(in_features)
own_texts = dict.fromkeys(domain for parent in parents for domain in domains_of[parent])
in_accuracy = from_reference(others, [f"{domain}.accuracy" for domain in own_texts])
least = dict.fromkeys(others, np.inf)  # by which a method predicts every text better, at the least
for (way, _), d in in_accuracy.items():
    least[way] = min(least[way], widened(d, len(in_accuracy)).low)
better = sorted((way for way in others if least[way] > 0), key=lambda way: -least[way])


def setting(way):
    """A method's best setting, as the search found it."""
    search = pd.read_csv(store.opened(run / "models" / f"{first_merge}.by-{way}") / "search.csv")
    best = json.loads(search["setting"][search["worst"].idxmax()])
    return f"{way} ({', '.join(f'{k} {v}' for k, v in best.items())})" if best else way


# %% [markdown]
# ## Which method for which purpose


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def choice(differences, margin, comparisons, sign=1):
    """What to take for one purpose, and why, from differences by method; sign −1: less is better."""
    found, names = conclusion(differences, margin, comparisons)
    best = max(names, key=lambda name: sign * differences[name].estimate, default=reference)
    if names and sign * differences[best].estimate > 0:
        return setting(best), f"apart: {points(differences[best].estimate, 1)} from {reference}"
    return setting(reference), f"apart: {listed(names)} worse" if names else found


table = []
if ways:
    found, _ = conclusion(in_accuracy, margin=0.01)
    mixed = "apart, but none on all" if found == "apart" else found
    why = f"apart: {points(least[better[0]], 1)} or more" if better else mixed
    table.append(("accuracy on every parent's text", setting((better or [reference])[0]), why))
    asked = [f"{domain}.accuracy_from_reference" for domain in domains_of[ancestor]]
    old = {way: mean_of([of(way, what) for what in asked]) for way in others}
    table.append((f"accuracy on {label(ancestor)}'s text", *choice(old, 0.01, len(old))))
    for kind, title in title_of.items():
        of_kind = {way: d for (way, what), d in in_features.items() if what == f"survival_{kind}"}
        sign, few = (-1, "few ") if kind == "novel" else (1, "")
        table.append((f"{few}features {title}", *choice(of_kind, 0.05, len(in_features), sign)))
show_table(
    pd.DataFrame(table, columns=["if you want", "take (best setting)", "the verdict"]),
    caption=f"What is apart from {reference} serves best. Where nothing is, {reference} stands there: it is "
    "simple. Alike: within a point of accuracy, or five of features.",
) if ways else None

# %% [markdown]
# ## Is it more than noise?
#
# The ancestor is no merge, and the random task vector only noise as long as a merge's. If the reference isn't
# apart from these in any class, it has done nothing to features that could be shown.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
CONTROLS = {"ancestor": label(ancestor), "random_task_vector": "a random task vector"}
CONTROLS |= {"stranger": "the mean with a stranger", "own": own}
told = []
for row, words in CONTROLS.items():
    if not (against := from_reference([row], classes)):
        continue  # a stranger, say, that this run hasn't
    found, which = conclusion(against)
    parts = [title_of[what.removeprefix("survival_")] for _, what in which]
    where = f", in features {listed(parts)}" if parts else ""
    told.append(f"- {reference} against {words}: **{found}**{where}")
again = [abs(d.estimate) for d in from_reference(["read_again"], classes).values()]
again = points(max(again, default=np.nan))
told.append(f"\nA second dictionary of {reference} moves a class by up to {again}." if ways else "")
say("\n".join(told))

# %% [markdown]
# ## The rest of a recipe

# %% tags=["remove-input"] jupyter={"source_hidden": true}
place = "merge" if len(pairs) == 1 else f"merge.{first_merge}"
t = estimate(results, f"{place}.t_balanced" if first_merge in pairs else "")
say(
    f"**Which t?** Both parents keep the same share of their gain at t = {with_interval(t, 2, share=False)} "
    f"from {label(parents[0])}; this run's merge has {number(results[f'{place}.t'])}."
    if np.isfinite(t.estimate)
    else "**Which t?** That is not known of this merge: it was made elsewhere, or of more than two parents, "
    "or its parents' gains don't cross."
)
for parent in parents:
    lag = estimate(results, f"along.{first_merge}.{parent}.own.half_after_gain")
    when = {"below": "before", "above": "after", "unclear": "before or after (unclear)"}
    half = f"On the way from {label(parent)} half of its own features die {verdict(lag, 0, **when)} half"
    say(f"{half} of its gain in loss is gone." if np.isfinite(lag.estimate) else "")
found, _ = conclusion(from_reference(["own"], [f"{d}.accuracy" for d in own_texts]), 0.01)
same = f" In accuracy, each at its own weight, {reference} and {own} are **{found}**."
if first_merge in pairs and "merge.angle_max" in results:
    say(
        f"**Slerp or a straight line?** Half-way the two lie {percent(results['merge.slerp_minus_lerp_max'], 1)} "
        "of the parents' distance apart in the tensor where it is most, whose angle is "
        f"{number(results['merge.angle_max'], 0)}°.{same if ways else ''}"
    )
barrier = of("stranger", "barrier")
high = {"below": "there is none", "above": "don't merge models without a common history"}
height = verdict(barrier, 0, **high, unclear="whether there is one is unclear")
told = f"**A stranger?** The barrier is {with_interval(barrier, 2, share=False)} nats: {height}."
say(told if np.isfinite(barrier.estimate) else "")
foretold = "predict_survival" if len(lineage.merges) == 1 else f"predict_survival.{first_merge}"
auc, gain = (estimate(results, f"{foretold}.auc{end}") for end in ("", "_difference"))
tells = verdict(gain, 0, below="worse than", above="better than", unclear="not clearly better than")
told = f"with an AUC of {with_interval(auc, 2, share=False)}, {tells} by density alone."
say(f"**Which features will be left?** One can tell beforehand {told}" if auc.estimate > 0 else "")
within, between = (results.get(f"{at}.methods.kept_between_{k}") for k in ("settings", "methods"))
told = f"by up to {points(within)} within one method, methods at their best by {points(between)}."
say(f"**Search the setting.** What is left of a parent's gain varies {told}" if ways else "")

# %% [markdown]
# Mind the limits. One model was trained for each name (n = 1), all are tiny, each merge has one dictionary, and
# features are counted at equal loss, not at the best setting. What is apart here may not be in larger models.
#
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
LEARNED = {
    "apart": "Methods differ in which features they keep: choose by the class that you need."
}
LEARNED["alike"] = "Methods keep the same features, so choose by accuracy."
LEARNED["unclear"] = (
    "Whether methods keep other features is unclear, so it is no reason to choose one."
)
ahead = listed(better or ["no method"])
say(
    f"{LEARNED[outcome]} Ahead of {reference} on every parent's text: {ahead}."
    if ways
    else "Without a comparison of methods there is no advice on them, only a merge to look at."
)
store.write_results(run, "which-merge", {f"{at}.methods.apart": len(apart)} if ways else {})

# %% [markdown]
# What comes next: features that one can [meet](case-study).
#
# :::{admonition} Exercise 1
# :class: tip
# A difference of five points has the interval from one to nine. It is one of seven. Where does its lower
# end lie once all seven hold together, as a share of one? Does it still exclude zero?
# :::

# %%
answer = ...  # the lower end, as a share
check(answer, widened(Interval(0.05, 0.01, 0.09), 7).low, within=0.001)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = 0.05 - 0.04 * norm.ppf(1 - 0.025 / 7) / norm.ppf(0.975)  # below zero: no longer apart
check(answer, widened(Interval(0.05, 0.01, 0.09), 7).low, within=0.001)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# Nothing differs, and you look at twenty independent intervals of 95 %. How often does at least one of
# them exclude zero?
# :::

# %%
answer = ...  # a share, from 0 to 1
check(answer, 1 - 0.95**20)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = 1 - np.prod([0.95] * 20)  # unless each holds zero, all at once
check(answer, 1 - 0.95**20)
