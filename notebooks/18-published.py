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
# # What the published code measures
#
# {cite:t}`horn2025tracking` share their code and models, which made this book possible. Their code
# makes choices that the paper's text doesn't mention, and that anyone might have made. These are
# replication notes. Each choice is a switch of ours, written from its description in the
# [method page](method-published). We turn on one at a time, on our models and dictionaries, and set the
# share beside the ceiling and the floor that the same way of counting gives.
#
# So "the paper's criterion" has two readings. By its *text*, two features match if their activations
# correlate above 0.8. By its *code*, their mean activations on token strings do.
#
# **You will learn** which choices move a share, and which move what it stands beside. **You need**
# [ceilings](ceilings), **and** a quarter of an hour.

# %% tags=["hide-input"]
import math
import textwrap

import numpy as np
import pandas as pd
from IPython.display import display

from featrack_utils.dictionaries import features, training
from featrack_utils.display import shareplots, style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import count, number, percent, say, show, with_interval
from featrack_utils.lineage import label
from featrack_utils.matching.best_matches import open_matches
from featrack_utils.pipeline import store
from featrack_utils.statistics import replication
from featrack_utils.statistics.intervals import Interval
from featrack_utils.statistics.persistence import Persistence, persistence
from featrack_utils.statistics.sample import resample

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the bootstrap
root_seeds = 3  # dictionaries of the first model; paper: 1
other_seeds = 2  # of every other model; paper: 1
tau = 0.8  # correlation above which two features match; paper: 0.8
interval_draws = 40  # bootstrap draws over groups of documents; the chapter on ceilings takes more

# %% [markdown]
# ## One pair of dictionaries
#
# We compare a dictionary of the first model with one of its first child. Another dictionary of the
# first model gives the ceiling. The floor is what is found where the child reads *other documents*:
# a sanity check, for no way of counting should find anything there.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
root, child_model = lineage.edges[0]
names = features.dictionary_names(lineage, root_seeds, other_seeds)
PARENT, AGAIN = names[root][0], names[root][-1]
CHILD, SAME_SEED = names[child_model][-1], names[child_model][0]
found = features.open_named(run, {PARENT, AGAIN, CHILD, SAME_SEED})
able = open_matches(run).eligible
pair = style.pair_label(root, child_model)


# %%
def looks(child=CHILD, change=None, every=False):
    """The parent's dictionary and the three it is compared with, by their part in the comparison."""
    change = change or (lambda parent, other: (parent, other))
    parent = change(found[PARENT], found[child])[0]
    others = {"child": change(found[PARENT], found[child])[1]}
    others["again"] = change(found[PARENT], found[AGAIN])[1]
    others["other documents"] = features.other_documents(others["child"])
    masks = {"parent": able[PARENT], "child": able[child], "again": able[AGAIN]}
    masks["other documents"] = masks["child"]
    if every:
        masks = {part: np.ones_like(mask) for part, mask in masks.items()}
    return {"parent": parent, **others}, masks


# %% [markdown]
# We start from our way of counting: dictionaries of different seeds, correlation over all token
# positions, and only features that are active often enough to be judged. Intervals come from groups
# of documents resampled with replacement, with every match made again.

# %%
kept, texts, strings = {}, {}, {}


def count_positions(name, text, **choice):
    """One way to count, with correlation over positions."""
    sides, masks = looks(**choice)
    sample = resample(
        {part: [one] for part, one in sides.items()},
        [tau],
        tau=tau,
        replicates=interval_draws,
        seed=seed,
        eligible_features={part: [mask] for part, mask in masks.items()},
    )
    floors = {"other documents": "other documents"}
    texts[name] = text
    kept[name] = persistence(sample, "parent", "child", ceiling="again", floors=floors)


# %%
count_positions("ours", "our way")
count_positions("one_seed", "one seed for both dictionaries", child=SAME_SEED)
rare = sum(int((found[n].acts.getnnz(axis=0) > 0)[~able[n]].sum()) for n in (PARENT, CHILD, AGAIN))
count_positions("no_eligibility", "rare features count", every=True)

# %% [markdown]
# ## Correlation over token strings
#
# This switch describes a feature by its mean activation on each token string. It correlates two
# features over the strings on which both were ever active; two strings are enough.
#
# These rows have no interval. Resampling would drop a third of the documents, and some token strings
# with them, which changes this measure by itself.


# %%
def count_strings(name, text, **choice):
    """One way to count, with correlation over token strings."""
    sides, masks = looks(**choice)
    parent, own = sides.pop("parent"), masks.pop("parent")
    counted = {
        part: replication.found_by_strings(parent, one, own, masks[part], tau)
        for part, one in sides.items()
    }
    shares = {part: one.share for part, one in counted.items()}
    texts[name], strings[name] = text, counted["child"].strings
    floors = {"other documents": shares["other documents"]}
    kept[name] = Persistence(shares["child"], shares["again"], floors, tau)


# %%
count_strings("definition_a", "correlation over token strings")

# %% [markdown]
# ## Features of reconstructions
#
# With this switch a dictionary's reconstruction has taken the activations' place before features are
# computed. We encode each dictionary's own reconstruction again.

# %%
again = {
    id(found[name]): replication.on_reconstructions(
        found[name], training.load_sae(store.opened(run / "saes" / name))
    )
    for name in {PARENT, CHILD, AGAIN}
}


def reconstructed(parent, other):
    return again[id(parent)], again[id(other)]


count_positions("reconstructions", "features of reconstructions", change=reconstructed)

# %% [markdown]
# ## Other corpora
#
# Here parent and child read different texts: the parent those that its model was trained on, the
# child all others. Over positions such features can't match, for they share none. By token strings
# they can.

# %%
first_texts = [lineage.domains.index(domain) for domain in lineage.trained_on(root)]


def across(parent, other):
    return replication.on_other_corpora(parent, other, first_texts)


count_positions("other_corpora", "parent and child read different corpora", change=across)
count_strings("other_corpora_a", "different corpora, over token strings", change=across)

# %% [markdown]
# ## All together
#
# Token strings, rare features and reconstructions at once. (A further choice, a filter on pairs by
# their names, never applies, so there is nothing to switch on.)

# %%
count_strings(
    "together", "token strings, rare features, reconstructions", change=reconstructed, every=True
)

# %% tags=["hide-input"]
rows = pd.DataFrame({"pair": [textwrap.fill(text, 22) for text in texts.values()]})
figures = {"share": "found", "ceiling": "at_most", "floor": "at_least"}
for column, figure in figures.items():
    rows[column] = [getattr(each, figure)().estimate for each in kept.values()]
rows["ci_low"], rows["ci_high"] = zip(*(each.found()[1:] for each in kept.values()), strict=True)
show(
    shareplots.shares_with_ceiling(rows),
    f"Share of the parent's features found along {pair}, one choice changed in each row, beside the "
    "ceiling and the floor counted in the same way. Bars are 95 % intervals where there are any.",
    "fig-published",
    "One row for each choice: share, ceiling and floor",
)

# %% tags=["hide-input"]
table = {
    "choice": list(texts.values()),
    "found": [each.found() for each in kept.values()],
    "ceiling": [Interval(x, math.nan, math.nan) for x in rows["ceiling"]],
    "floor": [Interval(x, math.nan, math.nan) for x in rows["floor"]],
    "ratio": [each.ratio() for each in kept.values()],
}
display(
    show_table(
        pd.DataFrame(table),
        dict.fromkeys(list(table)[1:], ".0%"),
        f"{pair}, one pair of dictionaries, one choice changed in each row.",
        {"ratio": "found / ceiling", "floor": "other documents"},
    )
)

# %% [markdown]
# ## Reading the figure

# %% tags=["remove-input"] jupyter={"source_hidden": true}
ours, by_strings = kept["ours"], kept["definition_a"]
say(
    "**Token strings.** In {numref}`fig-published` correlation over token strings finds "
    f"{percent(by_strings.found().estimate)} of the features, over positions "
    f"{with_interval(ours.found())}. Its ceiling moves as well, to "
    f"{percent(by_strings.at_most().estimate)}, and its floor to "
    f"{percent(by_strings.at_least().estimate)}. The ratio goes from {with_interval(ours.ratio())} to "
    f"{percent(by_strings.ratio().estimate)}. With few strings in common a high correlation comes "
    "easily, in the child as in the parent itself.",
    f"Where the two read different corpora, {percent(kept['other_corpora_a'].found().estimate)} are "
    "still “found” over token strings, though none share a position.",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
remade, together = kept["reconstructions"], kept["together"]
low, high = remade.found().low - ours.found().high, remade.found().high - ours.found().low
compared = (
    "clearly more than by our way"
    if low > 0
    else "clearly fewer than by our way"
    if high < 0
    else "which can't be told from our way"
)
say(
    f"**Reconstructions.** Of their features {with_interval(remade.found())} are found over positions, "
    f"{compared}.",
    f"**Rare features.** Counting them adds {count(rare)} features of the three dictionaries.",
    f"**All together**, {percent(together.found().estimate)} are found in the child, "
    f"{percent(together.at_most().estimate)} in the parent's other dictionary, and "
    f"{percent(together.at_least().estimate)} where the child reads other documents. The median best "
    f"correlation rests on {number(strings['together'], 0)} strings; with token strings alone on "
    f"{number(strings['definition_a'], 0)}. Any two points lie on a line.",
)

# %% tags=["remove-cell"]
results = {"published.rare": rare}
for name, each in kept.items():
    results |= each.as_results(f"published.{name}.share")
results |= {f"published.{name}.strings": n for name, n in strings.items() if not math.isnan(n)}
compared_at_all = [each for name, each in kept.items() if name != "other_corpora"]
extremes = {}
for figure in ("found", "ratio"):
    values = [getattr(each, figure)().estimate for each in compared_at_all]
    extremes[figure] = np.nanmin([*values, np.inf]), np.nanmax([*values, -np.inf])
    word = {"found": "share", "ratio": "ratio"}[figure]
    for end, value in zip(("lowest", "highest"), extremes[figure], strict=True):
        results[f"published.{end}.{word}_found"] = value if math.isfinite(value) else None
store.write_results(run, "published", results)

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
share_ends, ratio_ends = (" to ".join(map(percent, extremes[f])) for f in ("found", "ratio"))
say(
    "None of these choices is odd by itself, and the paper's question stands. But of one and the same "
    f"pair of models, {label(root)} and {label(child_model)}, the share found runs from {share_ends} "
    f"with the way of counting, and share / ceiling from {ratio_ends}. A share without the choices "
    "behind it, its ceiling and its floor is not a finding about models."
)

# %% [markdown]
# Three more choices act while dictionaries learn, such as the axis along which a decoder is
# normalised. They are not among these switches.
#
# :::{admonition} Exercise
# :class: tip
# Which switch would you expect to matter for a model whose tokenizer has few strings?
# :::
#
# :::{dropdown} Answer
# The definition of correlation: fewer strings mean fewer points behind each r, and more chance matches.
# :::
#
# :::{admonition} Exercise
# :class: tip
# Suppose that every feature is found, in the child and in the parent's other dictionary. Which column
# of the table tells you whether to be glad?
# :::
#
# :::{dropdown} Answer
# The floor. A measure that finds features where the child reads other documents finds them anywhere,
# and a ratio of two shares near 100 % is near 100 % whatever happened to the model.
# :::
#
# :::{admonition} Exercise
# :class: tip
# Why have the rows by token strings no interval? What would happen to the share in a replicate with
# two thirds of the documents?
# :::
#
# :::{dropdown} Answer
# Features would share fewer strings, and with fewer points chance correlations are higher, though true
# ones are noisier, too. The replicates would vary around another share than the one counted.
# :::
