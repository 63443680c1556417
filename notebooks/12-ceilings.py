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
# # Between two ends: ceiling and floor
#
# Some features that disappear would disappear from an unchanged model, too. Some that persist would persist
# in any model. {cite:t}`horn2025tracking` train one dictionary per model, so nothing stands beside their
# shares. Here each share gets two ends and an interval.
#
# **You will learn** to read a {term}`share` between its {term}`ceiling` and its {term}`floor`, and which
# of the book's numbers answers which question. **You need** [the counts](tracking). **It takes** ten
# minutes, and as long for the exercises.

# %% tags=["hide-input"]
import json
import operator
from itertools import chain, product

import numpy as np
import pandas as pd

from featrack_utils.dictionaries import features
from featrack_utils.display import shareplots, style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import check, percent, points, say, show, verdict, with_interval
from featrack_utils.lineage import label
from featrack_utils.pipeline import store
from featrack_utils.statistics.bootstrap import resample
from featrack_utils.statistics.intervals import difference, ratio
from featrack_utils.statistics.persistence import CURVE_TAUS, RULES, flat, headline, persistence

# %% tags=["parameters"]
run_dir = "runs/quick"
root_seeds = 3  # dictionaries of the first model; paper: 1
other_seeds = 2  # of every other model; paper: 1
seed = 1337  # of the bootstrap
tau = 0.8  # correlation above which two features match; paper: 0.8
rule = "best"  # or mutual; paper: best match
control_draws = 3  # models with a random MLP for each child; paper: none
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
replicates = 200  # bootstrap draws over groups of documents and seeds

# %% [markdown]
# ## Three shares
#
# All three are shares of the *same* features, the parent's {term}`eligible` ones. Only the dictionary in
# which we look for them differs.
#
# - The **share** $s$ is found in a dictionary of the child.
# - The **ceiling** $u$ is found in another dictionary of the parent itself, one from another {term}`seed`.
#   This is what would be found if nothing had happened.
# - The **floor** $l$ is found in the child with a [random MLP](floors). This is what would be found if
#   all that the MLP had learned were gone.
#
# Two numbers say where the share stands:
#
# $$\text{ratio} = \frac{s}{u}, \qquad \text{rescaled persistence} = \frac{s - l}{u - l}.$$
#
# {term}`Rescaled persistence <rescaled persistence>` is 0 at the floor and 1 at the ceiling. The
# {term}`ratio` takes zero for the floor.

# %% tags=["hide-input"]
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
names = features.dictionary_names(lineage, root_seeds, other_seeds)
for _, child in lineage.edges:
    names[f"{child}.mlp"] = [f"{child}.mlp-{draw}" for draw in range(control_draws)]
of_root = f"{lineage.root}.random"
names[of_root] = [f"{of_root}-0"]
zero_step = {c: f"{c}-at-0" for c in lineage.order if len(lineage.parents(c)) == 1}
second_zero_step = f"{lineage.edges[0][1]}-again-at-0"
names |= {name: [name] for name in (*zero_step.values(), second_zero_step)}
found = features.open_named(run, chain(*names.values()))
of_models = {model: [found[name] for name in each] for model, each in names.items()}
criteria = {"min_positions": min_positions, "min_documents": min_documents}
sample = resample(of_models, CURVE_TAUS, tau=tau, replicates=replicates, seed=seed, **criteria)

# %% [markdown]
# We count the three for the first parent and child: a mean over all pairs of different dictionaries.
# The package counts the same for every {term}`edge`, and adds intervals.

# %%
parent, child = lineage.edges[0]


def share_found_in(model):
    ones, others = ([(m, s) for s in sample.seeds(m)] for m in (parent, model))
    matched = sample.matched(pair for pair in product(ones, others) if pair[0] != pair[1])
    shares = [np.mean(each.best_r[each.asked] > tau) for each in matched.values()]
    return np.mean(shares or [np.nan])


share, ceiling, floor = (share_found_in(model) for model in (child, parent, f"{child}.mlp"))
rescaled = (share - floor) / (ceiling - floor)

controls = {b: {"random_mlp": f"{b}.mlp", "random_model": of_root} for _, b in lineage.edges}
kept = {(a, b): persistence(sample, a, b, rule=rule, floors=controls[b]) for a, b in lineage.edges}
emerging = {(a, b): persistence(sample, b, a, rule=rule) for a, b in lineage.edges}
main, new = kept[parent, child], emerging[parent, child]
parts = (main.shares, main.ceilings, main.floors["random_mlp"])
raw = [part.counted[sample.taus.index(tau)] for part in parts]
assert rule != "best" or np.allclose([share, ceiling, floor], raw, equal_nan=True)

# %% tags=["hide-input"]
pair, pairs = style.pair_label(parent, child), [style.pair_label(*edge) for edge in kept]
curve = pd.concat(each.curve(f"{a}_{b}") for (a, b), each in kept.items())
at_tau = curve[curve["tau"] == tau].rename(columns={"share_low": "ci_low", "share_high": "ci_high"})
lowest = [each.floor("random_model").estimate for each in kept.values()]
show(
    shareplots.shares_with_ceiling(at_tau.assign(floor_random_model=lowest)),
    "Share of each parent's features that persist (large dot, 95 % interval), with floor and ceiling. "
    "Read where the dot lies between the grey and the black bar. Small dots: as counted, with noise.",
    "fig-ceilings",
    "Persisting share of each pair, between its floors and its ceiling",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
alone = "**With one dictionary of a model there is no ceiling: numbers that need it are a dash.**"
say(
    alone if min(root_seeds, other_seeds) < 2 else "",
    f"Along {pair} ({{numref}}`fig-ceilings`) the share is {with_interval(main.share())}. The ceiling, in "
    f"an unchanged {label(parent)}, is {with_interval(main.ceiling())}. The floor, with a random MLP, is "
    f"{with_interval(main.floor())}. So the share has come {with_interval(main.rescaled())} of the way "
    f"from floor to ceiling. The ratio is {with_interval(main.ratio())}: it counts as kept what any MLP "
    "would pass on. In a model that has learned nothing at all, light bar, "
    f"{with_interval(main.floor('random_model'))} are found.",
    f"The rest disappear, {percent(1 - main.share().estimate)}. If nothing had happened, 1 − ceiling still "
    f"would, and only the {{term}}`excess` over that, {points(main.excess())}, is a loss. Of the child's "
    f"features {percent(1 - new.share().estimate)} emerge, an excess of {points(new.excess())} by its own ceiling.",
)

# %% [markdown]
# ## How sure are we?
#
# Documents of one {term}`group`, such as stories of one plot, aren't independent. So we resample whole
# groups, and the dictionaries, too, and match again in each {term}`replicate`. Noise in $r$ pushes a count
# up, because more features lie just below the threshold than above it. The large dot is
# [corrected](method-intervals) for that, and the [chapter on calibration](calibration) checks its interval.
#
# One model was trained for each name (n = 1). No interval says how another training run would come out.
#
# ## The threshold is a choice
#
# No {term}`threshold` separates “the same feature” from “another one”. So look at all of them:

# %% tags=["hide-input"]
low, high = (f"{with_interval(main.rescaled(tau=t))} at τ = {t}" for t in (0.5, 0.9))
show(
    shareplots.threshold_curve(curve.dropna(axis="columns", how="all"), tau),
    "Share, ceiling and floor against the threshold, with 95 % bands. The line: τ elsewhere. Along "
    f"{pair} rescaled persistence is {low} and {high}.",
    "fig-threshold",
    "Panels, one for each pair, with curves falling with the threshold",
)

# %% [markdown]
# ## The headline: reproducible features, the same text
#
# Two things still blur the share, and the book's {term}`headline` controls both:
#
# - Most features of one dictionary aren't found in the next, although the model is the same. So it asks
#   for {term}`reproducible` features alone, those that the parent's other dictionaries have.
# - The child's dictionary has read other text than the parent's. So the ceiling is the
#   {term}`zero-step child`: the untouched parent, read through the child's text. Of the ceiling through
#   its own text this is the part in the column *text*. The rest is the text's cost.
#
# Dictionaries with the same seed may resemble each other, so they are never compared here. A merge
# has no zero-step child: three dictionaries of its parent take its place, or its pair is left out.

# %% tags=["hide-input"]
heads = {(a, b): headline(sample, a, b, zero_step.get(b), controls[b]) for a, b in kept}
own_text = {edge: headline(sample, *edge).ceilings for edge in heads if edge[1] in zero_step}
text_costs = {edge: ratio(heads[edge].ceilings, own, tau) for edge, own in own_text.items()}
COLUMNS = ("share", "floor", "ceiling", "rescaled")
rows = pd.DataFrame([{name: getattr(each, name)() for name in COLUMNS} for each in heads.values()])
rows.insert(0, "pair", pairs)
rows["text"] = [text_costs.get(edge) for edge in heads]
show_table(
    rows[[np.isfinite(share.estimate) for share in rows["share"]]],
    dict.fromkeys((*COLUMNS, "text"), ".0%"),
    "Reproducible features of each parent, with 95 % intervals.",
    {"rescaled": "the headline"},
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
top = heads[parent, child].rescaled()
say(
    f"So along {pair} {with_interval(top)} of what {label(parent)}'s MLP had learned is left. "
    + verdict(
        top,
        1,
        below="The text and the dictionaries don't explain the rest: the fine-tune changed features.",
        above="More than in the unchanged parent can only be chance.",
        unclear="Whether the fine-tune has changed features at all can't be told.",
    ),
    "The slider of the built book moves all four numbers to another threshold.",
)
moving = shareplots.at_thresholds(heads, tau)
shareplots.moving_threshold(tau, moving)

# %% [markdown]
# ## Does the measure work?
#
# A second {term}`zero-step child`, from another seed than the ceiling's, takes the child's place. Nothing
# happened to it, so its headline must be 100 %, within its interval. And that interval must not reach
# down to the floor: one so wide that it holds anything says nothing. And what do dictionaries of equal
# seeds, which start alike, add to the bare share? It is a mean over all pairs, these among them.


# %% tags=["hide-input"]
def same_seed_gain(sample, parent, child, rule="best"):
    """What a common start adds: the share between dictionaries of equal seeds − of unequal ones."""
    equal, unequal = (
        persistence(sample, parent, child, rule=rule, pairs=pairs).shares
        for pairs in (operator.eq, operator.ne)
    )
    return difference(equal, unequal, sample.tau)


idle = headline(sample, parent, second_zero_step, zero_step[child], controls[child])
left = idle.rescaled()
told = "as it must be" if 0 < left.low <= 1 <= left.high else "**which fails the check**"
if np.isnan(left.estimate):
    told = "for it takes three dictionaries"
gains = {edge: same_seed_gain(sample, *edge, rule) for edge in kept}
of_controls = {(a, f"{b}.mlp"): same_seed_gain(sample, a, f"{b}.mlp", rule) for a, b in kept}
higher = sum(gain.low > 0 for gain in gains.values())
say(
    f"After no step the headline is {with_interval(left)}, {told}. After all it is {with_interval(top)}.",
    f"Dictionaries of equal seeds share at most {points(max(gains.values()), 1)} more along an edge, and "
    f"clearly more along {higher} of {len(kept)}. With a random MLP they share at most "
    f"{points(max(of_controls.values()), 1)} more.",
)


# %% tags=["remove-cell"]
def write(work):
    (work / "headlines.json").write_text(json.dumps(moving), "utf-8")


store.make(run / "ceilings", write, parameters={"headlines": moving})

results = {"track.tau": tau, "track.same_seed.pairs_higher": higher}
for (a, b), gain in (gains | of_controls).items():
    results |= flat(f"track.{a}_{b}.same_seed.gain", gain)
results |= idle.as_results("track.zero_steps.headline")
for m in lineage.order:
    results |= flat(f"track.{m}.ceiling", persistence(sample, m, m, rule=rule).ceiling())
for (a, b), each in kept.items():
    name = f"track.{a}_{b}"
    results |= each.as_results(f"{name}.persisting_share")
    results |= each.lost_results(f"{name}.disappearing_share")
    results |= emerging[a, b].lost_results(f"{name}.emerging_share")
    results |= heads[a, b].as_results(f"{name}.headline")
    results |= flat(f"{name}.headline.text", text_costs.get((a, b)))
    results |= flat(f"{name}.unchanged_loss", each.unchanged_loss())
    for way in {*RULES} - {rule}:
        floors = None if way == "assignment" else controls[b]  # it is solved once: no interval
        by_way = persistence(sample, a, b, rule=way, floors=floors)
        results |= by_way.as_results(f"{name}.{way.replace(' ', '_')}_share")
counted = store.read_results(run, "tracking")  # the chapter before has some of these
assert all(np.isclose(counted[name], results[name]) for name in counted.keys() & results.keys())
store.write_results(run, "ceilings", {n: x for n, x in results.items() if n not in counted})

# %% [markdown]
# ## Which number answers which question

# %% tags=["hide-input"]
answers = [
    ("How many features persist by the paper's text?", "share", main.share()),
    ("How many would if nothing had happened?", "ceiling", main.ceiling()),
    ("How many would if the MLP had learned nothing?", "floor", main.floor()),
    ("Where between the two is the share?", "rescaled persistence", main.rescaled()),
    ("The same of features found twice, on the same text?", "headline", top),
    ("Of those that could be found, how many are?", "ratio", main.ratio()),
    ("What part of those that disappear would anyway?", "noise", main.unchanged_loss()),
]
table = pd.DataFrame(answers, columns=["question", "name", "number"])
show_table(table, {"number": ".0%"}, f"The numbers of {pair}.")

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
merged = persistence(sample, parent, child, rule="copies merged", floors=controls[child])
loss = main.unchanged_loss()
part = verdict(loss, 0.5, below="not mostly", above="mostly", unclear="in part, perhaps mostly,")
say(
    "A bare share mixes three things. It depends on how many features a dictionary finds *at all*, which "
    "the ceiling tells. It counts what any MLP would show, which the floor tells. Only its place between the "
    f"two says what is left of what the MLP had learned. Along {pair} that is {with_interval(top)}, "
    f"the headline. {with_interval(loss)} of the features that disappear would disappear from an unchanged "
    f"parent, too: that few persist is {part} the dictionaries' own noise. With {{term}}`copies <copy>` "
    f"counted once, rescaled persistence is {with_interval(merged.rescaled())}.",
    "A feature that disappears isn't gone yet: a [later chapter](repartitioned) looks for what it carried. "
    "What comes next: [are they features of tokens, or of contexts?](context)",
)

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# What is the rescaled persistence along the first edge at a threshold of 0.6? Each row of the table `curve`
# is a pair and a threshold, with share, ceiling and floor.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the checks below:
at_06 = main.rescaled(tau=0.6).estimate
expected = [0.5, 0.5, 0.75, 0.625]

# %%
answer = ...  # a number
check(answer, at_06)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
row = curve[(curve["pair"] == f"{parent}_{child}") & np.isclose(curve["tau"], 0.6)].iloc[0]
answer = (row["share"] - row["floor"]) / (row["ceiling"] - row["floor"])
check(answer, at_06)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# One fine-tune keeps 30 % between a floor of 20 % and a ceiling of 40 %, another 25 % between 10 and
# 40 %. Give the rescaled persistence of both, then the ratio of both, as a list of four. Which of them has
# kept more of what the MLP had learned?
# :::

# %%
answer = ...  # [rescaled, rescaled, ratio, ratio]
check(answer, expected)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
# Both stand half-way. The first one's ratio is larger, for its control finds more.
answer = [(30 - 20) / (40 - 20), (25 - 10) / (40 - 10), 30 / 40, 25 / 40]
check(answer, expected)
