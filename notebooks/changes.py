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
# # Lost, found and new
#
# {cite:t}`horn2025tracking` show in their Figure 4 a feature for Python *exceptions* that the Lua
# model has lost: its closest match there is a feature for something else. Such a picture is easily
# made. Whoever picks the worst matched of two thousand features picks noise, unless noise was ruled
# out before. Here are features that fine-tuning removed, features that it made and features that only
# the merged model has, each beside its closest match elsewhere, on the same text.

# %%
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import display

from featrack_utils import (
    cards,
    caseplots,
    cases,
    examples,
    features,
    logits,
    match,
    plots,
    store,
)
from featrack_utils.config import MODELS
from featrack_utils.corpora import prepare
from featrack_utils.tables import show_table

plots.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
base_seeds = 3  # dictionaries of the base model; paper: 1
other_seeds = 2  # of every other model; paper: 1
context = 128  # tokens; paper: 256
tau = 0.8  # correlation above which two features match; paper: 0.8
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
min_density = 0.001  # of all tokens, for a feature that is shown
max_density = 0.1  # of all tokens, above which a feature is dense
max_position_share = 0.1  # of a feature's activation on one place of the blocks
far = 0.5  # best correlation below which a feature counts as far from all others
class_share = 0.5  # of a feature's activation must fall on words for exceptions
token_share = 0.25  # of its activation on its strongest token, for a feature of one token
shown_tokens = 24  # of each context
seed = 0  # of the random contexts

# %%
run = Path(run_dir)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
found = features.open_features(run, base_seeds, other_seeds)
able = {n: match.eligible(f.acts, f.origin, min_positions, min_documents) for n, f in found.items()}
seeds = {model: [n for n in found if n.startswith(f"{model}-")] for model in MODELS}
first = {model: names[0] for model, names in seeds.items()}

# %% [markdown]
# ## What would fool us
#
# The features shown are those of the dictionaries of seed 0. They are chosen by rule, and the rule
# first sets aside what could look like a loss without being one:
#
# - **an accident of the dictionary**: a feature must be *reproducible*, that is, every other seed's
#   dictionary of its own model must have it, with r > τ;
# - **an accident of the match**: it must be missing from *all* dictionaries of the other model, not
#   just from one;
# - **a dense feature** or one that hardly ever fires, whose correlations say little;
# - **a feature of the position**: an attention sink or a counter has much of its activation on one
#   place of the blocks, whatever the text.

# %%
guards = cases.Guards(tau, min_density, max_density, max_position_share)
own = {m: cases.closest(found, able, n, seeds[m][1:], able[n]) for m, n in first.items()}
passing = {m: cases.passes(found[n], context - 1, guards) for m, n in first.items()}
known_again = {m: cases.having(own[m], 0, tau, len(passing[m])) for m in MODELS}


def sought(model, *others):
    """A model's features that its second dictionary has, sought in other models' dictionaries."""
    names = [name for other in others for name in seeds[other]]
    return cases.closest(found, able, first[model], names, known_again[model])


in_others = {
    ("base", "lua"): sought("base", "lua"), ("base", "stories"): sought("base", "stories"),
    ("lua", "base"): sought("lua", "base"), ("stories", "base"): sought("stories", "base"),
    ("merged", "parents"): sought("merged", "lua", "stories"),
}  # fmt: skip

# %% [markdown]
# Does any loss remain after that? Take the features that the base's first two dictionaries have in
# common. What a third dictionary of the base misses of them, the dictionaries are to blame for; what
# Lua and Stories miss beyond that is fine-tuning's doing.

# %% mystnb={"figure": {"caption": "Of the base's features that its first two dictionaries share: how many have a best correlation below r in one dictionary of Lua, of Stories, and (black, where there is one) in a third of the base itself.", "name": "fig-lost"}, "image": {"alt": "Three rising curves of counts on a logarithmic axis; those of Lua and Stories lie above that of the base's third dictionary"}} tags=["hide-input"]
asked = own["base"].r.loc[known_again["base"][own["base"].r.index]]
columns = {"Lua": in_others["base", "lua"].r, "Stories": in_others["base", "stories"].r}
curves = {label: table.iloc[:, 0] for label, table in columns.items() if table.shape[1]}
if asked.shape[1] > 1:
    curves["third of the base"] = asked.iloc[:, 1]
caseplots.how_many_below(curves, tau, far)

# %% tags=["remove-cell"]
results = {"changes.known_again": known_again["base"].sum(), "changes.far": far}
for label, values in curves.items():
    name = {"Lua": "lua", "Stories": "stories"}.get(label, "third")
    results[f"changes.far.{name}"] = (values < far).sum()
    results[f"changes.missed.{name}"] = (values <= tau).sum()
for child in ("lua", "stories"):
    back = in_others[child, "base"].r
    results[f"changes.far.new_{child}"] = (back.iloc[:, 0] < far).sum() if len(back.T) else None

# %% [markdown]
# {% if results["changes.known_again"] == 0 -%}
# In this run no feature of the base is found in its second dictionary, so nothing can be said to be
# lost.
# {%- elif not (defined("changes.far.third") and defined("changes.far.lua")) -%}
# {numref}`fig-lost` lacks the third dictionary of the base (or of a fine-tune one with eligible
# features), so what is missing can't be compared with what would be missing anyway.
# {%- else -%}
# Of {{ count("changes.known_again") }} such features the base's third dictionary misses
# {{ count("changes.missed.third") }} at the threshold, Lua's {{ count("changes.missed.lua") }},
# Stories' {{ count("changes.missed.stories") }}. But look to the left of {numref}`fig-lost`: a best
# correlation below {{ number("changes.far", 1) }} has {{ count("changes.far.third") }} of them in the
# base, {{ count("changes.far.lua") }} in Lua and {{ count("changes.far.stories") }} in Stories.
# {% if results["changes.far.lua"] > 3 * results["changes.far.third"]
#    and results["changes.far.stories"] > 3 * results["changes.far.third"] -%}
# Down there a feature has not just been missed. Something has happened to it.
# {%- else -%}
# Even there the difference isn't large, so take each of the following cases with care.
# {%- endif %}
# {%- endif %}

# %%
changed = {pair: cases.changed(own[pair[0]], matches, passing[pair[0]], tau)
           for pair, matches in in_others.items()}  # fmt: skip
labels = {("base", "lua"): "Base, not in Lua", ("base", "stories"): "Base, not in Stories",
          ("lua", "base"): "Lua, not in Base", ("stories", "base"): "Stories, not in Base",
          ("merged", "parents"): "Merged, in neither parent"}  # fmt: skip


# %%
def funnel(pair):
    """How many features are left after each step."""
    name, again = first[pair[0]], own[pair[0]].r.min(axis=1) > tau
    left = again.index[again]
    return {"features of": labels[pair], "eligible": able[name].sum(), "reproducible": len(left),
            "not dense or bound": passing[pair[0]][left].sum(), "r ≤ τ": len(changed[pair]),
            "far": (changed[pair]["r"] < far).sum()}  # fmt: skip


rows = pd.DataFrame(funnel(pair) for pair in changed)
show_table(rows, {column: ",d" for column in rows.columns[1:]})

# %% [markdown]
# Reproducible features are few, and far ones fewer. Of each row we show two, if there are two: the one
# with the lowest best correlation, and the next that answers to *one token* above all (a quarter or
# more of its activation), because such a feature needs no interpreter.

# %%
pairs = {
    d: (store.opened(run / "models" / m), store.opened(run / "saes" / d)) for m, d in first.items()
}
known = cards.Known(
    found,
    {d: examples.token_shares(found[d], len(corpora.tokenizer)) for d in pairs},
    {d: logits.top_logits(*folders, 8) for d, folders in pairs.items()},
    corpora,
)
writing = {d: logits.read_writing(*folders) for d, folders in pairs.items()}


# %%
def meet(model, row):
    """A feature beside its closest match, on places that one or the other chooses."""
    pair = [cards.Feature(first[model], int(row["feature"]))]
    pair += [cards.Feature(row["partner"], int(row["partner_feature"]))]
    places = [examples.context_positions(found[f.dictionary], f.index, top=t, random=1, seed=seed)
              for f, t in zip(pair, (2, 1), strict=True)]  # fmt: skip
    display(cards.titled(pair[0]), cards.where_table(known, pair))
    display(cards.differences(known, writing, *pair))
    display(cards.logit_table(known, pair))
    display(cards.together(known, pair, np.concatenate(places), shown_tokens))


def meet_all(*pair):
    strength = known.shares[first[pair[0]]].max(axis=0).toarray().ravel()
    for _, row in cases.to_show(changed[pair], strength, token_share).iterrows():
        meet(pair[0], row)


# %% [markdown]
# ## Lost on the way to Lua
#
# For each feature: which tokens it and its closest match answer to, and how often they are active in
# each domain; how the two compare; what they do to the next token; and both on the same text. There
# the first two rows are where the feature is strongest, the third one of its places at random, the
# fourth where the *match* is strongest, the last one of the match's places at random. *Shared* is the
# part of the feature's activation that falls where the match is active, too; *elsewhere* is the part of
# the match's activation that falls where the feature is silent.
# {% if results["changes.base_lua.lost"] == 0 %}
# **No feature qualifies in this run.**
# {% endif %}

# %% tags=["hide-input"]
meet_all("base", "lua")

# %% [markdown]
# ## The paper's example: exceptions
#
# Do we have the paper's feature? Here the rule starts from the tokens: the base's features with at
# least half of their activation on `raise`, `except`, `try` and names of exceptions. Reproducible or
# not, all of them are in the table.

# %%
words = examples.tokens_matching(corpora.tokenizer, cases.EXCEPTIONS)
on_words = examples.activation_share(found[first["base"]], words)
exceptional = able[first["base"]] & (on_words >= class_share)
own_r = own["base"].r.loc[np.flatnonzero(exceptional)]
in_child = {
    c: cases.closest(found, able, first["base"], seeds[c], exceptional) for c in ("lua", "stories")
}
exceptions = pd.DataFrame({
    "feature": own_r.index, "on exceptions": on_words[exceptional],
    "lowest": own_r.min(axis=1), "highest": own_r.max(axis=1),
    **{plots.MODEL_LABELS[c]: table.r.max(axis=1) for c, table in in_child.items()},
})  # fmt: skip

# %%
named = [cards.linked(cards.Feature(first["base"], i)) for i in exceptions["feature"]]
columns = {"lowest": "base, lowest", "highest": "base, highest"}
show_table(
    exceptions.assign(feature=named).rename(columns=columns),
    {"on exceptions": ".0%"} | dict.fromkeys((*columns.values(), "Lua", "Stories"), ".2f"),
    notes={"Lua": "best r", "Stories": "best r", "base, lowest": "best r in another seed",
           "base, highest": "best r in another seed"},
)  # fmt: skip

# %% tags=["remove-cell"]
farthest = exceptions.sort_values("Lua").dropna().head(1)
for column, name in (("Lua", "lua"), ("lowest", "own_lowest"), ("highest", "own_highest")):
    results[f"changes.exceptions.{name}"] = farthest[column].max() if len(farthest) else None
results["changes.exceptions.count"] = len(exceptions)
results["changes.exceptions.not_in_lua"] = (exceptions["Lua"] <= tau).sum()

# %% [markdown]
# {% if results["changes.exceptions.count"] == 0 -%}
# There is none: these dictionaries hold no feature for exceptions.
# {%- elif not defined("changes.exceptions.lua") -%}
# Whether Lua has them can't be said, for want of eligible features.
# {%- elif results["changes.exceptions.not_in_lua"] == 0 -%}
# Lua has all of them. The lowest best correlation is {{ number("changes.exceptions.lua") }}, so the
# paper's example can't be repeated here. It follows below nevertheless.
# {%- else -%}
# By the paper's criterion the Lua model has lost {{ count("changes.exceptions.not_in_lua") }} of
# {{ count("changes.exceptions.count") }}. The farthest correlates at
# {{ number("changes.exceptions.lua") }} with its closest match.
# {% if results["changes.exceptions.own_lowest"] <= results["changes.tau"] -%}
# But a dictionary of the *unchanged* base has it no better than
# {{ number("changes.exceptions.own_lowest") }}
# {%- if results["changes.exceptions.own_highest"] > results["changes.tau"] %}
# (another has it with {{ number("changes.exceptions.own_highest") }}){% endif %}: with other
# dictionaries it would have seemed to disappear from the base itself. This is what the paper's figure
# could not show.
# {%- else -%}
# Every dictionary of the base has it, with at least {{ number("changes.exceptions.own_lowest") }}, so
# the loss is real: we can confirm the paper's example.
# {%- endif %}
# {%- endif %}

# %% tags=["hide-input"]
if len(farthest):
    number = int(farthest["feature"].iloc[0])
    partner = in_child["lua"].index.loc[number, first["lua"]]
    meet("base", {"feature": number, "partner": first["lua"], "partner_feature": partner})

# %% [markdown]
# ## Lost on the way to Stories
#
# {% if results["changes.base_stories.lost"] == 0 -%}
# No feature qualifies in this run.
# {%- else -%}
# The Stories model reads less and less of what the base knew about code and technical prose. The same
# rule, for its dictionaries.
# {%- endif %}

# %% tags=["hide-input"]
meet_all("base", "stories")

# %% [markdown]
# ## New in Lua
#
# The same rule backwards: features of the Lua model that its other dictionaries have and none of the
# base's does. {% if results["changes.lua_base.new"] == 0 %}There is none.{% else %}If such a feature is
# made *for* Lua, it should be most active on Lua text, so compare the domains. A caveat: the base's
# dictionaries were trained on what the base has read, which is neither Lua nor stories. A feature
# that the base had for such text all along can be missing from its dictionaries and yet not be new.
# {% endif %}

# %% tags=["hide-input"]
meet_all("lua", "base")

# %% [markdown]
# ## New in Stories
# {% if results["changes.stories_base.new"] == 0 %}
# There is none.
# {% endif %}

# %% tags=["hide-input"]
meet_all("stories", "base")

# %% [markdown]
# ## In neither parent
#
# What does a merge make that neither of its parents had? Weights were averaged, nothing was trained.
# {% if results["changes.merged_parents.new"] == 0 -%}
# In this run nothing: no reproducible feature of the merged model is missing in both parents.
# {%- else -%}
# Of the merged model's reproducible features {{ count("changes.merged_parents.new") }} are in no
# dictionary of a parent. How many are far from all of them: {{ count("changes.merged_parents.far") }}.
# How many have a match in the base, and so skipped a generation:
# {{ count("changes.merged.in_base") }}.
# {%- endif %}

# %%
novel = np.zeros(len(passing["merged"]), dtype=bool)
novel[changed["merged", "parents"]["feature"].to_numpy(dtype=int)] = True
in_base = cases.closest(found, able, first["merged"], seeds["base"], novel)

# %% tags=["hide-input"]
meet_all("merged", "parents")

# %% tags=["remove-cell"]
results |= {"changes.tau": tau, "changes.merged.in_base": int((in_base.r.max(axis=1) > tau).sum())}
for (model, other), table in changed.items():
    kind = "lost" if model == "base" else "new"
    results[f"changes.{model}_{other}.{kind}"] = len(table)
    results[f"changes.{model}_{other}.far"] = int((table["r"] < far).sum())
    reproducible = int((own[model].r.min(axis=1) > tau).sum())
    results[f"changes.{model}_{other}.reproducible"] = reproducible
store.write_results(run, "changes", results)

# %% [markdown]
# ## What we learned
#
# | | paper, Figure 4 | ours |
# |---|---|---|
# | exceptions in Lua | a feature of the base that disappears | {% if results["changes.exceptions.count"] == 0 %}no such feature{% elif not defined("changes.exceptions.lua") %}not defined{% elif results["changes.exceptions.not_in_lua"] == 0 %}persists in Lua, at {{ number("changes.exceptions.lua") }} or better{% elif results["changes.exceptions.own_lowest"] <= results["changes.tau"] %}missing in Lua, but missing in a dictionary of the unchanged base, too{% else %}disappears, although every dictionary of the base has it{% endif %} |
# | evidence | one dictionary for each model | several for each; only reproducible features are asked |
#
# {% if results["changes.base_lua.reproducible"] > 0 -%}
# Of the base's {{ count("changes.base_lua.reproducible") }} reproducible features
# {{ count("changes.base_lua.lost") }} have no match in Lua and
# {{ count("changes.base_stories.lost") }} none in Stories, but only
# {{ count("changes.base_lua.far") }} and {{ count("changes.base_stories.far") }} are far from all that
# the child has. The others have a relative there, only not one above the threshold.
# {% endif -%}
# {% set back = ["changes.far.new_lua", "changes.far.new_stories"] -%}
# {% if defined("changes.far.lua") and defined("changes.far.stories") and defined(back[0])
#    and defined(back[1]) -%}
# {% set gone = results["changes.far.lua"] + results["changes.far.stories"] -%}
# {% set made = results[back[0]] + results[back[1]] -%}
# To weigh losses against gains, both must be asked alike: features that two dictionaries of their own
# model share, sought in one of the other model. Then {{ count("changes.far.lua") }} of the base's are
# far from Lua's and {{ count("changes.far.stories") }} from Stories', while {{ count(back[0]) }} of Lua's
# and {{ count(back[1]) }} of Stories' are far from the base's.
# {%- if made > gone %} As far as dictionaries can tell, fine-tuning adds more than it removes.
# {%- elif made < gone %} As far as dictionaries can tell, fine-tuning removes more than it adds.{% endif %}
# {% endif -%}
# {% if results["changes.merged_parents.reproducible"] > 0 -%}
# The merged model has {{ count("changes.merged_parents.reproducible") }} reproducible features, of
# which {{ count("changes.merged_parents.far") }} far from everything in its parents
# {%- if results["changes.merged_parents.far"] < 0.01 * results["changes.merged_parents.reproducible"] %}:
# averaging weights invents next to nothing{% endif %}.
# {% endif %}
#
# :::{admonition} Exercise
# :class: tip
# Take the first guard away: in `cases.changed`, give `own.r.max(axis=1)` in place of the smallest, or
# choose the lowest best correlation among *all* eligible features. What do you meet?
# :::
#
# :::{dropdown} Answer
# Features that answer to nothing in particular and that no other dictionary of the same model has
# either. They are lost from everywhere, and so say nothing about fine-tuning.
# :::
#
# :::{admonition} Exercise
# :class: tip
# Set `far` to 0.7. How do the counts in Lua compare with the base's third dictionary now?
# :::
#
# :::{dropdown} Answer
# All three grow, the third dictionary's fastest. The nearer the threshold comes to τ, the more of
# what is counted as lost is the instrument's doing.
# :::
