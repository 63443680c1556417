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

# %%

import numpy as np
import pandas as pd
import torch

from featrack_utils.corpora import prepare
from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.dictionaries import features
from featrack_utils.display import shareplots, style
from featrack_utils.display.tables import show_table
from featrack_utils.matching import classes, correlation
from featrack_utils.models import capture, loading
from featrack_utils.pipeline import store
from featrack_utils.statistics import bootstrap, curves, decodable, floors, probes, replication

style.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
root_seeds = 3  # dictionaries of the base model; paper: 1
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
# A sample of the base's features that have a match in the child, and one of those that have none
# (dictionaries of different seeds). Probes are fitted on half of each domain's documents and judged on
# the other half, so only features that are active in both are asked.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
found = features.open_features(run, lineage, root_seeds, other_seeds)
base, again = found["base-0"], found["base-1"]
children = {"lua": found["lua-1"], "stories": found["stories-1"]}
draws = bootstrap.draw(base, {"base": 1}, replicates, seed)
fit = probes.halves(base, seed)


def eligible(one):
    return classes.eligible(one.acts, one.origin, min_positions, min_documents)


able = eligible(base)


def matched(other):
    """Which of the base's eligible features another dictionary has, and which not."""
    masks = {"eligible_a": able, "eligible_b": eligible(other)}
    best = correlation.correlations(base.acts, other.acts, **masks)
    return able & (best.a_best_r > tau), able & (best.a_best_r <= tau)


# %%
def probed(kind, most=probed_features):
    return probes.probed(base, fit, kind, most, seed, min_positions, min_documents)


kinds = {child: matched(other) for child, other in children.items()}
picked = {child: [probed(kind) for kind in both] for child, both in kinds.items()}
samples = {
    child: decodable.sampled(
        [len(p) for p in picked[child]], [k.sum() for k in both], replicates, seed
    )
    for child, both in kinds.items()
}
judged = len(probed(able, able.size)) / able.sum()

# %% [markdown]
# ## What each model's activations look like on the mix
#
# The raw activations of the MLP, before any dictionary, on the same tokens.

# %%
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
mix = features.evaluation_mix(
    {domain: corpora.validation_blocks(domain, evaluation_blocks) for domain in DOMAINS}
)
tokens = torch.from_numpy(mix.tokens).long()


def raw_activations(model):
    bridge = loading.boot(store.opened(run / "models" / model))
    parts = [capture.mlp_activations(bridge, batch)[:, 1:] for batch in tokens.split(16)]
    return torch.cat(parts).flatten(0, 1).float()


raw = {model: raw_activations(model) for model in ("base", *children)}

# %% [markdown]
# ## Two probes, and what they find where nothing changed
#
# The *rebuilding* probe takes the ten features of the child that correlate best and weighs them,
# never negatively. The *reading* probe is what a dictionary's encoder is, relu(w·x + b), fitted for
# this one feature. A single match at r > τ explains more than τ² of a feature's variance, so we call
# a feature **decodable** if a probe explains that much on held-out documents.
#
# Both get a ceiling and a floor, like the shares before: the ceiling asks the base *itself*
# (its activations; its dictionary of another seed), the floor a child that reads other documents.

# %%
shift = floors.document_shift(base)
elsewhere = torch.from_numpy(shift)


def ask(target, other, activations):
    """Both probes of one model, rebuilt from features and read from activations; the better."""
    common = (fit, base.origin, draws)
    rebuilt = probes.sparse_probe(target, other, *common)
    read = probes.encoder_probe(target, activations, *common, seed)
    return {"rebuilt": rebuilt, "read": read, "either": decodable.either(rebuilt, read)}


# %%
answers = {}
for child, other in children.items():
    target = base.acts[:, np.concatenate(picked[child])]
    answers[child] = {
        "child": ask(target, other.acts, raw[child]),
        "ceiling": ask(target, again.acts, raw["base"]),
        "floor": ask(target, other.acts[shift], raw[child][elsewhere]),
    }
target = base.acts[:, np.concatenate(picked["lua"])]
line = probes.linear_probe(target, raw["base"], fit, base.origin, draws)

# %% [markdown]
# Why a cut at zero? A feature is silent on most tokens, and a straight line can't be: of the base's
# *own* features, a linear probe of its *own* activations explains
# {{ number("probe.linear_own_r2", 2) }} of the variance (median), the reading probe
# {{ number("probe.encoder_own_r2", 2) }}.
#
# Intervals come from drawing held-out documents anew, and in each draw the probed features of each kind
# as well: they are a sample, too.

# %%
KINDS, PROBES = ("match", "lost"), ("rebuilt", "read")
results = {"gone.judged": judged}
for name, probe in (("linear", line), ("encoder", answers["lua"]["ceiling"]["read"])):
    results[f"probe.{name}_own_r2"] = max(float(np.median(probe.r2)), -1.0)


def decoded(child, kind, probe):
    """Share decodable of one kind; asked of the child, of the base itself, by chance."""
    sample, masks = samples[child]
    shares = [
        decodable.decodable_share(answers[child][source][probe], tau, sample, masks[kind])
        for source in ("child", "ceiling", "floor")
    ]
    return shares[0], shares[1], shares[2] and float(shares[2].estimate[0])


for child in children:
    for kind, word in enumerate(KINDS):
        for probe in PROBES:
            key = f"probe.base_{child}.{word}_{probe}_share"
            results |= curves.summary(key, *decoded(child, kind, probe), tau)

# %% [markdown]
# ## Match or not, decodable or not

# %%
NAMES = {"match": "yes", "lost": "no"}
HOW = {"rebuilt": "few features", "read": "activations"}
BOUNDS = ("", ".ci_low", ".ci_high")
columns = {"share": "", "base itself": ".ceiling", "floor": ".floor", "ratio": ".ratio_to_ceiling"}


def row(key):
    keys = {c + b: key + end + b for c, end in columns.items() for b in BOUNDS}
    return {c: results.get(k) for c, k in keys.items()}


def shown(rows, notes, caption):
    df = pd.DataFrame(rows).dropna(axis=1, how="all")
    formats = {c: ".0%" for c in columns if c in df}
    return show_table(
        df.astype({c: float for c in df if c.split(".")[0] in columns}),
        formats,
        caption,
        {c: n for c, n in notes.items() if c in df},
    )


# %% tags=["hide-input"]
rows = [
    {"child": style.MODEL_LABELS[child], "match": NAMES[kind], "decoded from": HOW[probe]}
    | row(f"probe.base_{child}.{kind}_{probe}_share")
    for child in children
    for kind in KINDS
    for probe in PROBES
]
notes = {"share": "decodable", "ratio": "share / base", "floor": "other texts"}
shown(rows, notes, "Which of the base's features the probes find, by whether they have a match.")

# %% mystnb={"figure": {"caption": "Held-out R² of the reading probe for parent features without a match: asked of the child, and of the base itself. Dotted: decodable.", "name": "fig-probes"}, "image": {"alt": "Cumulative distributions of R² for Lua and Stories beside the base"}} tags=["hide-input"]
without = {
    style.pair_label(f"base_{child}"): [
        told[source]["read"].r2[samples[child][1][1]] for source in ("child", "ceiling")
    ]
    for child, told in answers.items()
}
shareplots.probe_distributions(without, tau)

# %% [markdown]
# {% set name = "probe.base_lua.lost_read_share" -%}
# {% if not defined(name) -%}
# No feature without a match could be probed here.
# {%- else -%}
# Of the base's features without a match in Lua, {{ share_ci(name, 0) }} can still be read from Lua's
# activations; of the same features the base itself gives {{ share_ci(name + ".ceiling", 0) }}.
# {% if defined(name + ".ratio_to_ceiling") -%}
# {% set ratio = name + ".ratio_to_ceiling" -%}
# The ratio, {{ share_ci(ratio, 0) }},
# {% if results[name + ".ceiling.ci_low"] < 0.5 -%}
# says little: the probe misses such features in the base itself.
# {%- elif results[ratio + ".ci_low"] > 0.5 -%}
# lies above a half: most of what seemed to disappear is still there, and only the dictionary doesn't
# show it.
# {%- elif results[ratio + ".ci_high"] < 0.5 -%}
# lies below a half: most of them are not merely hidden by the dictionary, for no single direction of the
# child's activations carries them any more at this precision.
# {%- else -%}
# has an interval that includes a half: whether most of them are still there can't be told from this
# sample.
# {%- endif %}
# {%- endif %}
# {%- endif %}
# {% set few = "probe.base_lua.lost_rebuilt_share" -%}
# {% if defined(few) -%}
# A few of Lua's features rebuild {{ share_ci(few, 0) }} of them, a few of the base's other dictionary
# {{ share_ci(few + ".ceiling", 0) }}.
# {%- endif %}
#
# Not decodable doesn't mean that nothing is left: a feature whose R² lies just below the dotted line of
# {numref}`fig-probes` counts as not decodable. And decodable doesn't mean used: a probe finds what is
# there for it to find, whether or not the model reads it.
#
# ## What became of the parent's features
#
# The samples hold as many features with a match as without, the base doesn't. Weighed by how many
# features each stands for, they tell what became of *all* its eligible features: a feature **persists**
# if it has a match; it was **re-partitioned** if it has none and either probe finds it; it is **gone** if
# neither does. Asked of the base's own other dictionary and activations, the same three say what this way
# of looking makes of a model to which nothing happened.

# %%
kept = {
    n: replication.shares_found(base, other, tau, draws, (able, eligible(other)))
    for n, other in {**children, "base": again}.items()
}


def fates(child, source, match, masks):
    """Shares of the base's features by what became of them, as one source tells it."""
    probe, (sample, _) = answers[child][source]["either"], samples[child]
    return decodable.fates(
        match, *(decodable.decodable_share(probe, tau, sample, mask) for mask in masks)
    )


# %%
for child, other in children.items():
    mask = matched(again)[0][np.concatenate(picked[child])]
    chance = replication.share_found(base, replication.shifted(other), tau, (able, eligible(other)))
    by_chance = decodable.constant(chance, kept[child])
    every = [np.ones_like(mask)] * 2  # what matches by chance is no kind of its own
    results |= decodable.summary(
        f"gone.base_{child}",
        fates(child, "child", kept[child], samples[child][1]),
        fates(child, "ceiling", kept["base"], (mask, ~mask)),
        fates(child, "floor", by_chance, every),
        tau,
    )

# %%
FATES = {
    "match_decodable": ("yes", "yes", "persisting"),
    "match_undecodable": ("yes", "no", "persisting"),
    "repartitioned": ("no", "yes", "re-partitioned"),
    "gone": ("no", "no", "gone"),
}


def fate_row(child, fate):
    words = dict(zip(("match", "decodable", "so it is"), FATES[fate], strict=True))
    name = f"gone.base_{child}.{fate}_share"
    ends = (".floor", ".ceiling") if fate == "gone" else (".ceiling", ".floor")
    heads = dict(zip(("share", "base itself", "floor"), ("", *ends), strict=True))
    values = {c + b: results.get(name + e + b) for c, e in heads.items() for b in BOUNDS}
    return {"child": style.MODEL_LABELS[child]} | words | values


# %% tags=["hide-input"]
caption = (
    "What became of the base's eligible features, and what would seem to have become of them where "
    "nothing happened: in the base itself."
)
notes = {"share": "of all eligible", "floor": "other texts"}
shown([fate_row(child, fate) for child in children for fate in FATES], notes, caption)

# %% tags=["remove-cell"]
store.write_results(run, "repartitioned", results)

# %% [markdown]
# {% for child, label in [("lua", "Lua"), ("stories", "Stories")] -%}
# {% set k = "gone.base_" + child + "." -%}
# {% if defined(k + "gone_share") -%}
# **{{ label }}**: of the base's eligible features {{ share_ci(k + "persisting_share", 0) }} persist,
# {{ share_ci(k + "repartitioned_share", 0) }} were re-partitioned and
# {{ share_ci(k + "gone_share", 0) }} are gone; looking at the base itself in the same way shows
# {{ share(k + "persisting_share.ceiling", 0) }}, {{ share(k + "repartitioned_share.ceiling", 0) }} and
# {{ share(k + "gone_share.floor", 0) }}.
# {% if defined(k + "gone_share.excess") -%}
# {% if results[k + "gone_share.excess.ci_low"] > 0 -%}
# Gone because of the fine-tune are {{ share_ci(k + "gone_share.excess", 0) }}.
# {%- else -%}
# The difference in what is gone, {{ share_ci(k + "gone_share.excess", 0) }}, can't be told from zero.
# {%- endif %}
# {%- endif %}
# {%- else -%}
# **{{ label }}**: too few features could be probed to say what became of the rest.
# {%- endif %}
#
# {% endfor -%}
# {% if results["gone.judged"] < 1 -%}
# Of the eligible features {{ share("gone.judged", 0) }} are active often enough in both halves to be
# probed; the rest are taken to fare like those of their kind.
# {%- endif %}
#
# ## What we learned
#
# {% set k = "gone.base_lua." -%}
# "Disappeared" is three things: missed by the child's dictionary, carved up differently, and really
# gone.
# {% if defined(k + "gone_share") and defined(k + "gone_share.excess") -%}
# {% if results[k + "gone_share.excess.ci_low"] <= 0 -%}
# Between base and Lua nothing is shown to be gone; what the dictionary doesn't match, a probe finds as
# often as in the base itself.
# {%- elif results[k + "gone_share.ci_low"] > results[k + "repartitioned_share.ci_high"] -%}
# Between base and Lua more features are gone than only look so: the fine-tune did change what the
# model computes.
# {%- elif results[k + "gone_share.ci_high"] < results[k + "repartitioned_share.ci_low"] -%}
# Between base and Lua more features only look gone than are: the fine-tune did change what the model
# computes, but the dictionary exaggerates it.
# {%- else -%}
# Between base and Lua features are gone, so the fine-tune did change what the model computes; but whether
# more are gone or only look so can't be told from this sample.
# {%- endif %}
# {%- endif %}
# The ceiling of the last chapter accounts for the dictionary's part on average; the probes say it feature
# by feature.
#
# :::{admonition} Exercise
# :class: tip
# Ask the features that *do* have a match. Why can't all of them be read from the activations?
# :::
#
# :::{dropdown} Answer
# A match is judged on the whole mix, the probe on documents it was not fitted on, and its few
# hundred steps don't find every rare feature; the column of the base itself says how many are missed
# where nothing happened.
# :::
#
# :::{admonition} Exercise
# :class: tip
# In the base itself many features have no match in its other dictionary, and yet hardly any is gone. How
# can a feature be read from the activations and be missing in a dictionary of the same activations?
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
