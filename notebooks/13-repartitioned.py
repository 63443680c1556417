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
# # Gone, or carved up differently?
#
# A parent feature without a match in the child may be gone. Or the child's dictionary holds it in
# pieces, or the child still computes it and its dictionary spends no feature on it.
# {cite:t}`horn2025tracking` call all of these *disappearing*. Here two probes tell them apart: can the
# feature's activations be rebuilt from **a few of the child's features**, or read from **the child's
# raw activations**?
#
# **You will learn** what a dictionary misses. **You need** [ceilings](ceilings), **and** twenty minutes.
# Its terms are [defined](method-probes) on the method page.

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
import torch
from IPython.display import display

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features
from featrack_utils.display import shareplots, style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import (
    estimate,
    number,
    percent,
    points,
    say,
    show,
    verdict,
    with_interval,
)
from featrack_utils.lineage import label
from featrack_utils.matching.best_matches import open_matches
from featrack_utils.models import capture, loading
from featrack_utils.pipeline import store
from featrack_utils.statistics import probes
from featrack_utils.statistics.intervals import Interval
from featrack_utils.statistics.persistence import Persistence, persistence
from featrack_utils.statistics.sample import resample

# %% tags=["parameters"]
run_dir = "runs/quick"
root_seeds = 3  # dictionaries of the first model; paper: 1
other_seeds = 2  # of every other model; paper: 1
seed = 1337  # of the halves, the sample and the bootstrap
tau = 0.8  # correlation above which two features match; paper: 0.8
min_positions = 30  # active positions a feature needs to be judged
min_documents = 10  # documents it must be active in
replicates = 200  # bootstrap draws over the held-out documents
context = 128  # tokens; paper: 256
evaluation_blocks = 220  # validation blocks per domain
probed_features = 100  # of each kind, with a match and without

# %% [markdown]
# ## Whom we ask
#
# For each child of the first model we sample features of the parent that have a match in the child,
# and features that have none (dictionaries of different seeds). Probes are fitted on half of each
# domain's documents and judged on the other half, so only features that are active in both are asked.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
root = lineage.root
names = features.dictionary_names(lineage, root_seeds, other_seeds)
OWN, AGAIN = names[root][0], names[root][-1]
chosen = {child: names[child][-1] for child in lineage.children(root)}
found = features.open_named(run, [OWN, AGAIN, *chosen.values()])
parent = found[OWN]
matches = open_matches(run)
able = matches.eligible[OWN]
sample = resample(
    {root: [parent], "again": [found[AGAIN]]} | {c: [found[n]] for c, n in chosen.items()},
    [tau],
    tau=tau,
    replicates=replicates,
    seed=seed,
    min_positions=min_positions,
    min_documents=min_documents,
)
fit = probes.halves(parent, seed)


# %%
def matched(other):
    """Which of the parent's eligible features another dictionary has, and which not."""
    best_r = matches.best[OWN, other].a_best_r
    return able & (best_r > tau), able & (best_r <= tau)


def probed(kind, most=probed_features):
    """A sample of the features of one kind that can be probed."""
    return probes.probed(parent, fit, kind, most, seed, min_positions, min_documents)


kinds = {child: matched(name) for child, name in chosen.items()}
picked = {child: [probed(kind) for kind in both] for child, both in kinds.items()}
samples = {
    child: probes.sampled(
        [len(p) for p in picked[child]], [k.sum() for k in both], replicates, seed
    )
    for child, both in kinds.items()
}
judged = len(probed(able, able.size)) / able.sum()

# %% [markdown]
# The raw activations of the MLP, before any dictionary, come from the same tokens.

# %%
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
mix = features.evaluation_mix(
    {domain: corpora.validation_blocks(domain, evaluation_blocks) for domain in lineage.domains}
)
tokens = torch.from_numpy(mix.tokens).long()


def raw_activations(model):
    bridge = loading.boot(store.opened(run / "models" / model))
    parts = [capture.mlp_activations(bridge, batch)[:, 1:] for batch in tokens.split(16)]
    return torch.cat(parts).flatten(0, 1).float()


raw = {model: raw_activations(model) for model in (root, *chosen)}

# %% [markdown]
# ## Two probes
#
# The *rebuilding* probe takes the ten features of the child that correlate best and weighs them,
# never negatively. The *reading* probe is what a dictionary's encoder is, relu(w·x + b), fitted for
# this one feature. A single match at r > τ explains more than τ² of a feature's variance, so we call
# a feature **decodable** if a probe explains that much on held-out documents.
#
# The same is asked of the parent *itself*: of its activations, and of its other dictionary. For the
# reading probe that is no fair ceiling: it has the form of the encoder that defined the feature, so
# the parent decodes nearly all of its own by construction. A child that changed harmlessly would be a
# fairer one. Read these shares by themselves, therefore, and the parent's as a check of the probe.


# %%
def ask(target, other, activations):
    """Both probes of one model, rebuilt from features and read from activations; the better."""
    common = (fit, parent.origin, sample.draws)
    rebuilt = probes.sparse_probe(target, other, *common)
    read = probes.encoder_probe(target, activations, *common, seed)
    return {"rebuilt": rebuilt, "read": read, "either": probes.either(rebuilt, read)}


answers = {}
for child, name in chosen.items():
    target = parent.acts[:, np.concatenate(picked[child])]
    answers[child] = {
        "child": ask(target, found[name].acts, raw[child]),
        "parent": ask(target, found[AGAIN].acts, raw[root]),
    }

# %% [markdown]
# ## Match or not, decodable or not

# %%
KINDS = {"match": "yes", "lost": "no"}
HOW = {"rebuilt": "few features", "read": "activations"}
results = {"gone.judged": judged}
rows = []
for child in chosen:
    features_of, masks = samples[child]
    for (kind, word), mask in zip(KINDS.items(), masks, strict=True):
        for probe, how in HOW.items():
            both = [
                probes.decodable_share(answers[child][source][probe], tau, features_of, mask)
                for source in ("child", "parent")
            ]
            row = {"child": label(child), "match": word, "decoded from": how}
            if None not in both:
                kept = Persistence(*both, {}, tau)
                results |= kept.as_results(f"probe.{root}_{child}.{kind}_{probe}_share")
                row |= {"decodable": kept.found(), "parent itself": kept.at_most()}
            rows.append(row)

# %% tags=["hide-input"]
show_table(
    pd.DataFrame(rows),
    dict.fromkeys(("decodable", "parent itself"), ".0%"),
    "Which of the parent's features the probes find, by whether they have a match.",
)

# %% tags=["hide-input"]
without = {
    style.pair_label(root, child): [
        told[source]["read"].r2[samples[child][1][1]] for source in ("child", "parent")
    ]
    for child, told in answers.items()
}
show(
    shareplots.probe_distributions(without, tau),
    "Held-out R² of the reading probe for parent features without a match: asked of the child, and of "
    "the parent itself. Dotted: decodable.",
    "fig-probes",
    "Cumulative distributions of R² for each child beside the parent",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
VERDICTS = {
    "below": "Most of them are not merely hidden by the dictionary.",
    "above": "Most of what seemed to disappear is still there, and only the dictionary misses it.",
    "unclear": "Whether most of them are still there can't be told from this sample.",
}
reading = {child: estimate(results, f"probe.{root}_{child}.lost_read_share") for child in chosen}
verdicts = {child: verdict(share, 0.5, **VERDICTS) for child, share in reading.items()}
say(
    *(
        f"**{label(child)}**: of the features without a match {with_interval(share)} can still be read "
        f"from the activations. {verdicts[child]}"
        for child, share in reading.items()
    ),
    "The intervals come from resampled documents and from a resampled sample of features; they are "
    "corrected for noise, so that a share needn't lie in the middle of its own.",
)

# %% [markdown]
# Not decodable doesn't mean that nothing is left: a feature whose R² lies just below the dotted line
# of {numref}`fig-probes` counts as not decodable. And decodable doesn't mean used: a probe finds what
# is there for it to find, whether or not the model reads it.
#
# ## What became of the parent's features
#
# We probed as many matched as unmatched features. Since one kind is more common than the other, each
# kind is weighted by how many features of the parent it stands for. A feature **persists** if it has a
# match. It was **re-partitioned** if it has none and either probe finds it. It is **gone** if neither
# does.

# %%
FATES = {
    "persisting": "persist",
    "repartitioned": "were re-partitioned",
    "gone": "are gone",
}


def fates(child, source, match, masks):
    """Shares of the parent's features by what became of them, as one source tells it."""
    probe, features_of = answers[child][source]["either"], samples[child][0]
    decoded = (probes.decodable_share(probe, tau, features_of, mask) for mask in masks)
    return probes.fates(match, *decoded)


for child in chosen:
    kept = persistence(sample, root, child, ceiling="again")
    of_parent = matched(AGAIN)[0][np.concatenate(picked[child])]
    asked = fates(child, "child", kept.share, samples[child][1])
    unchanged = fates(child, "parent", kept.ceiling, (of_parent, ~of_parent))
    results |= probes.fate_results(f"gone.{root}_{child}", asked, unchanged, tau)

# %% tags=["hide-input"]
table = []
for child in chosen:
    for fate in FATES:
        name = f"gone.{root}_{child}.{fate}_share"
        unchanged = estimate(results, name + (".floor" if fate == "gone" else ".ceiling"))
        row = {"child": label(child), "so many": FATES[fate]}
        table.append(row | {"share": estimate(results, name), "parent itself": unchanged})
display(
    show_table(
        pd.DataFrame(table),
        dict.fromkeys(("share", "parent itself"), ".0%"),
        "What became of the parent's eligible features, and what the same look makes of the parent "
        "itself, where nothing happened.",
    )
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
lines = []
for child in chosen:
    excess = estimate(results, f"gone.{root}_{child}.gone_share.excess")
    bounds = Interval(*(100 * value for value in excess))
    lines.append(
        f"**{label(child)}**: beyond what the same look misses in the parent itself, "
        f"{points(excess.estimate)} [{number(bounds.low, 0)}, {number(bounds.high, 0)}] are gone. "
        + verdict(
            excess,
            0,
            below="Fewer seem gone than in the parent itself.",
            above="The fine-tune did change what the model computes.",
            unclear="That can't be told from zero.",
        )
    )
say(
    *lines,
    f"Of the eligible features {percent(judged)} are active often enough in both halves to be probed; "
    "the rest are taken to fare like those of their kind.",
)

# %% tags=["remove-cell"]
store.write_results(run, "repartitioned", results)

# %% [markdown]
# ## What we learned
#
# "Disappeared" is three things: missed by the child's dictionary, carved up differently, and really
# gone. The ceiling of the last chapter accounts for the dictionary's part on average; the probes say
# it feature by feature.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(*(f"{style.pair_label(root, child)}: {text}" for child, text in verdicts.items()))

# %% [markdown]
# :::{admonition} Exercise
# :class: tip
# In the parent itself many features have no match in its other dictionary, and yet hardly any is gone.
# How can a feature be read from the activations and be missing in a dictionary of the same activations?
# :::
#
# :::{dropdown} Answer
# A dictionary has a fixed number of features and chooses what to spend them on. Two of them choose
# differently; what one leaves out is still a direction that a probe made for it can find.
# :::
#
# :::{admonition} Exercise
# :class: tip
# Be stricter: run the chapter with `tau = 0.9`. Which of the three shares grows?
# :::
#
# :::{dropdown} Answer
# A match needs a higher r, and so does decodable a higher R², so fewer persist and more are gone. What
# becomes of the re-partitioned depends on which of the two falls faster.
# :::
