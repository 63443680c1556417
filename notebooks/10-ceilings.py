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
# # What would the number be if nothing had happened, or everything?
#
# Some features that seem to disappear would seem to disappear from an unchanged model, too. Some that
# persist would persist in any model. {cite:t}`horn2025tracking` train one dictionary per model, so
# their shares have nothing to be compared with. Here each gets two ends and an interval.
#
# **You will learn** to read a {term}`share` between its {term}`ceiling` and its {term}`floor`, and which
# of the book's numbers answers which question. **You need** [the counts](tracking). **It takes** twenty
# minutes.

# %% tags=["hide-input"]
from itertools import chain, product

import numpy as np
import pandas as pd

from featrack_utils.dictionaries import features
from featrack_utils.display import shareplots, style, text
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import check, percent, points, say, show, verdict, with_interval
from featrack_utils.lineage import label
from featrack_utils.pipeline import store
from featrack_utils.statistics.persistence import (
    CURVE_TAUS,
    RULES,
    difference,
    flat,
    headline,
    merge_origins,
    persistence,
    resample,
)

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
# Each of the three is a share of the *same* features: those of the parent that are active often
# enough to be judged. Only the dictionary that we look them up in differs.
#
# - The **share** $s$ is found in the child.
# - The **ceiling** $u$ is found in the parent itself, by a dictionary that started from another seed.
#   So much would be found if nothing had happened.
# - The **floor** $l$ is found in the child after its MLP was replaced by a [random one](floors). So much
#   would be found if everything that the MLP had learned were gone.
#
# Two numbers say where the share stands:
#
# $$\text{ratio} = \frac{s}{u}, \qquad \text{rescaled persistence} = \frac{s - l}{u - l}.$$
#
# {term}`Rescaled persistence <rescaled persistence>` is 0 at the floor and 1 at the ceiling.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
names = features.dictionary_names(lineage, root_seeds, other_seeds)
for _, child in lineage.edges:
    names[f"{child}.mlp"] = [f"{child}.mlp-{draw}" for draw in range(control_draws)]
names[f"{lineage.root}.random"] = [f"{lineage.root}.random-0"]
zero_step = {c: f"{c}-at-0" for c in lineage.order if len(lineage.parents(c)) == 1}
names |= {name: [name] for name in zero_step.values()}
found = features.open_named(run, chain(*names.values()))
of_models = {model: [found[name] for name in each] for model, each in names.items()}
criteria = {"min_positions": min_positions, "min_documents": min_documents}
sample = resample(of_models, CURVE_TAUS, tau=tau, replicates=replicates, seed=seed, **criteria)

# %% [markdown]
# Counting them takes a few lines. We average over all pairs of dictionaries, and leave out the pair
# of a dictionary with itself.

# %%
parent, child = lineage.edges[0]


def share_found_in(model):
    ones, others = ([(m, s) for s in sample.seeds(m)] for m in (parent, model))
    matched = sample.matched(pair for pair in product(ones, others) if pair[0] != pair[1])
    return np.mean([np.mean(each.best_r[each.asked] > tau) for each in matched.values()])


share, ceiling, floor = (share_found_in(model) for model in (child, parent, f"{child}.mlp"))
rescaled = (share - floor) / (ceiling - floor)

# %% [markdown]
# The package counts the same, for every edge of the lineage and with an interval.


# %%
def controls(child):
    return {"random_mlp": f"{child}.mlp", "random_model": f"{lineage.root}.random"}


kept = {(a, b): persistence(sample, a, b, rule=rule, floors=controls(b)) for a, b in lineage.edges}
main = kept[parent, child]
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
    "Share of each parent's features that persist (large dot, 95 % interval) between floor and ceiling. "
    "Read the dot between the grey and the black bar, not between 0 and 100 %.",
    "fig-ceilings",
    "Persisting share of each pair, between its floors and its ceiling",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"Along {pair} ({{numref}}`fig-ceilings`) {with_interval(main.share())} of the features persist. In "
    f"an unchanged {label(parent)} {with_interval(main.ceiling())} would be found, with a random MLP "
    f"{with_interval(main.floor())}, and in a model that has learned nothing at all "
    f"{with_interval(main.floor('random_model'))}. So the share has come "
    f"{with_interval(main.rescaled())} of the way from floor to ceiling. The ratio is "
    f"{with_interval(main.ratio())}. It also counts what any MLP would pass on.",
    f"Read it with the texts in mind: {text.what_was_read(run, lineage)}",
)

# %% [markdown]
# ## How sure are we?
#
# Tokens of one document aren't independent, nor are documents of one {term}`group`: stories of one
# plot, functions of one module. So whole groups are resampled with replacement, within their domains,
# and dictionaries, too. Features are matched again in each {term}`replicate`. All shares use the same
# replicates, so a ratio of two shares has an interval of its own.
#
# Noise pushes a count up, because more features lie just below τ than above it. So we count again with
# twice and with three times the noise, and follow the curve [back to none](method-intervals). The dot
# is that corrected share, the small grey dot the raw count. A corrected share varies more than a count,
# so its interval is widened by a factor that the chapter on [calibration](calibration) checks.
#
# Two or three dictionaries hardly show how much seeds vary. Where they vary less than they would if each
# feature were found or missed by itself, the interval is widened to that.
#
# No interval holds another training run. Of each model there is one, so n = 1 for every arm. How far two
# models are apart that share nothing but their data is seen in the chapter on doses.
#
# ## The threshold is a choice
#
# No threshold separates “the same feature” from “another one”. So look at all of them:

# %% tags=["hide-input"]
low, high = (f"{with_interval(main.rescaled(tau=t))} at τ = {t}" for t in (0.5, 0.9))
show(
    shareplots.threshold_curve(curve.dropna(axis="columns", how="all"), tau),
    "Share, ceiling and floor against the threshold, with 95 % bands; the line: τ elsewhere. Along "
    f"{pair} rescaled persistence is {low} and {high}.",
    "fig-threshold",
    "Panels, one for each pair, with curves falling with the threshold",
)

# %% [markdown]
# ## The headline: features that can be found twice, and the same text
#
# Two things still blur the number. Most features of one dictionary are missed by the next, although
# the model is the same. And the child's dictionary has read other text than the parent's. The book's
# {term}`headline` controls both:
#
# - It asks for {term}`reproducible` features alone, those that other dictionaries of the parent have.
# - Its ceiling is the {term}`zero-step child`: the parent, untouched, but read by a dictionary that has
#   learned from the child's text.
#
# Dictionaries that started from one seed may resemble each other. So they are never compared here. A
# merge has no zero-step child. There the parent's own dictionaries are the ceiling, and three of them
# are needed: a dash means that there are fewer.

# %% tags=["hide-input"]
heads = {(a, b): headline(sample, a, b, zero_step.get(b), controls(b)) for a, b in kept}
COLUMNS = ("share", "floor", "ceiling", "rescaled")
rows = [{name: getattr(each, name)() for name in COLUMNS} for each in heads.values()]
show_table(
    pd.DataFrame({"pair": pairs, **pd.DataFrame(rows)}),
    dict.fromkeys(COLUMNS, ".0%"),
    "Reproducible features of each parent, with 95 % intervals. Each row is one trained model (n = 1).",
    {"rescaled": "the headline"},
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
top = heads[parent, child]
say(
    f"So along {pair} {with_interval(top.rescaled())} of what {label(parent)}'s MLP had learned is left. "
    + verdict(
        top.rescaled(),
        1,
        below="The fine-tune has changed features, and not only their text or their dictionary.",
        above="More than in the unchanged parent can only be chance.",
        unclear="That the fine-tune has changed features at all can't be shown.",
    )
)

# %% [markdown]
# And at other thresholds? In the built book the slider moves all four numbers.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
shareplots.moving_threshold(heads, tau)

# %% [markdown]
# ## Do copies matter?
#
# Several features may share one best match. A {term}`mutual match` may not, and an
# {term}`assignment` pairs features one to one. *Copies merged* counts the copies within a dictionary
# once. If copies raised share, floor and ceiling alike, all ways would agree.

# %% tags=["hide-input"]
by_way = {"assignment": {edge: persistence(sample, *edge, rule="assignment") for edge in kept}}
for way in {*RULES} - {"assignment"}:
    by_way[way] = {(a, b): persistence(sample, a, b, rule=way, floors=controls(b)) for a, b in kept}
ways = {way: by_way[way][parent, child].rescaled() for way in ("mutual", "copies merged")}
listing = " and ".join(f"{with_interval(one)} ({way})" for way, one in ways.items())
say(f"Along {pair} rescaled persistence is {with_interval(main.rescaled())}, and {listing}.")

# %% [markdown]
# ## What disappears, what emerges, and what would anyway
#
# If nothing had happened, 1 − ceiling of the features would still *seem* to disappear. Only the
# {term}`excess` over that is a loss. For emerging features the child's own ceiling counts. A merge that
# changes nothing gives back a parent, so a parent's second dictionary says what would look novel.

# %% tags=["hide-input"]
emerging = {(a, b): persistence(sample, b, a, rule=rule) for a, b in lineage.edges}
new = emerging[parent, child]
say(
    f"Along {pair} {percent(1 - main.share().estimate)} seem to disappear, an excess of "
    f"{points(main.excess())}. Of the child's features {percent(1 - new.share().estimate)} seem to "
    f"emerge, an excess of {points(new.excess())}."
)
origins = {m: merge_origins(sample, m, lineage.parents(m), rule) for m in lineage.merges}
for merge, each in origins.items():
    excess = each["novel"].excess()
    says = verdict(
        excess,
        0,
        below="The merge has fewer than a parent would.",
        above="So much the merge really made, or broke.",
        unclear="Merging can't be said to make new features.",
    )
    say(
        f"Of {label(merge)}'s features {percent(1 - each['novel'].share().estimate)} are novel: no "
        f"parent has them. The excess is {points(excess)}. {says}"
    )

# %% [markdown]
# ## Controls of the measure itself
#
# Let the first model's last dictionary stand for its child. Nothing happened to that child, so its
# ratio must be 100 %. And dictionaries of equal seeds may agree more often than others do.

# %% tags=["hide-input"]
last, of_itself = root_seeds - 1, (sample, lineage.root, lineage.root)
others = persistence(*of_itself, rule=rule, pairs=lambda s, t: last not in (s, t))
idle = persistence(*of_itself, rule=rule, pairs=lambda s, t: t == last)
idle = idle._replace(ceilings=others.shares)

higher = 0
for edge in lineage.edges:
    equal = persistence(sample, *edge, rule=rule, pairs=lambda s, t: s == t)
    different = persistence(sample, *edge, rule=rule, pairs=lambda s, t: s != t)
    higher += difference(equal.shares, different.shares, tau).low > 0
say(
    f"The ratio of a child that nothing happened to is {with_interval(idle.ratio())}. Equal seeds agree "
    f"more, beyond doubt, along {higher} of {len(kept)} edges."
)

# %% tags=["remove-cell"]
results = {"track.tau": tau, "track.same_seed.pairs_higher": higher}
if root_seeds > 2:
    results |= idle.as_results("track.zero_steps.persisting_share")
for m in lineage.order:
    results |= flat(f"track.{m}.ceiling", persistence(sample, m, m, rule=rule).ceiling())
for (a, b), each in kept.items():
    name = f"track.{a}_{b}"
    results |= each.as_results(f"{name}.persisting_share")
    results |= each.lost_results(f"{name}.disappearing_share")
    results |= emerging[a, b].lost_results(f"{name}.emerging_share")
    results |= heads[a, b].as_results(f"{name}.headline")
    results |= flat(f"{name}.unchanged_loss", each.unchanged_loss())
    for way in {*RULES} - {rule}:
        results |= by_way[way][a, b].as_results(f"{name}.{way.replace(' ', '_')}_share")
for merge, each in origins.items():
    for name, one in each.items():
        key = f"track.{merge}_origin.{name.replace(' ', '_')}"
        results |= one.lost_results(key) if name == "novel" else one.as_results(key)
# The chapter before has counted some of these.
counted = store.read_results(run, "tracking")
assert all(np.isclose(counted[name], results[name]) for name in counted.keys() & results.keys())
store.write_results(run, "ceilings", {n: x for n, x in results.items() if n not in counted})

# %% [markdown]
# ## Which number answers which question
#
# One pair of models has many numbers. None of them is wrong. Each answers its own question.

# %% tags=["hide-input"]
QUESTIONS = [
    ("How much of what the parent's MLP had learned is left?", top.rescaled, "the headline"),
    ("The same of all features, found twice or not?", main.rescaled, "three shares"),
    ("How many persist by the paper's criterion?", main.share, "chapter on tracking"),
    ("How many could be found at most?", main.ceiling, "three shares"),
    ("How many without anything that the MLP learned?", main.floor, "chapter on floors"),
    ("Of those that could be found, how many are?", main.ratio, "three shares"),
    ("How much of the loss would an unchanged model show?", main.unchanged_loss, "below"),
]
rows = [(question, answer(), where) for question, answer, where in QUESTIONS]
table = pd.DataFrame(rows, columns=["question", "number", "where"])
show_table(table, {"number": ".0%"}, f"Which number answers which question: {pair}.")

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
loss = main.unchanged_loss()
part = verdict(loss, 0.5, below="not mostly", above="mostly", unclear="in part, perhaps mostly,")
say(
    "A bare share mixes three things: how many features a dictionary finds *at all*, what any MLP "
    "behind this embedding and attention would show, and what is left of what the MLP had learned. "
    f"Only the place between floor and ceiling speaks of the third. Along {pair} it is "
    f"{with_interval(top.rescaled())}, the headline. Of what seems lost there, an unchanged parent would "
    f"seem to lose {with_interval(loss)}: that few features persist is {part} the dictionaries' own noise. "
    "Not found is still not gone: a [later chapter](repartitioned) looks for what a feature carried. "
    "First [calibration](calibration) tries all this where the truth is known."
)

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# What is the rescaled persistence along the first edge at a threshold of 0.6? The table `curve` has
# a row for each pair and threshold, with its share, ceiling and floor.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
at_06 = main.rescaled(tau=0.6).estimate

# %%
answer = ...  # a number
check(answer, at_06)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
row = curve[(curve["pair"] == f"{parent}_{child}") & np.isclose(curve["tau"], 0.6)].iloc[0]
answer = (row["share"] - row["floor"]) / (row["ceiling"] - row["floor"])
check(answer, at_06)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# One fine-tune keeps 30 % between a floor of 20 % and a ceiling of 40 %, another 25 % between 10 and
# 40 %. Which has kept more of what the MLP had learned? And whose ratio is larger?
# :::
#
# :::{dropdown} Answer
# Both have come half of the way. The first one's ratio is larger, since its control finds more as well.
# :::
