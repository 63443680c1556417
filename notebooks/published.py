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
# {cite:t}`horn2025tracking` share their code and models, which made this book possible. Reading and
# running it, we found choices that the paper's text doesn't mention and that anyone might have made.
# These are replication notes: each choice is switched on by itself, on our models, beside the ceiling
# and the floor that it has when it is counted in the same way.

# %%
from functools import cache

import pandas as pd
from IPython.display import display

from featrack_utils.dictionaries import features, published_training, training, variants
from featrack_utils.display import style
from featrack_utils.display.tables import show_table
from featrack_utils.matching import classes
from featrack_utils.pipeline import store
from featrack_utils.statistics import bootstrap, curves, replication, stringdraws

style.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the bootstrap
root_seeds = 3  # dictionaries of the base model; paper: 1
other_seeds = 2  # of every other model; paper: 1
tau = 0.8  # correlation above which two features match; paper: 0.8
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
interval_draws = 40  # bootstrap draws over groups of documents; the chapter on ceilings takes more
trainings = []  # choices that dictionaries were trained by, too

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
found = features.open_features(run, lineage, root_seeds, other_seeds)
able = {
    n: classes.eligible(f.acts, f.origin, min_positions, min_documents) for n, f in found.items()
}
draws = bootstrap.draw(found["base-0"], {"base": 1}, interval_draws, seed)
weights = stringdraws.dirichlet(found["base-0"], interval_draws, seed)
PARENT, CHILD, SAME_SEED, AGAIN = "base-0", "lua-1", "lua-0", "base-1"
rare = {n: int(((found[n].acts.getnnz(axis=0) > 0) & ~able[n]).sum()) for n in found}

# %% [markdown]
# ## One choice at a time
#
# The share of the base's features found in Lua, and its ceiling: the share found in another dictionary
# of the base, by the same choice. The floor is what is found when Lua reads other documents. We start
# from our way of counting: dictionaries of different seeds, correlation over all positions, eligible
# features only. Intervals come from documents drawn anew, with every match made anew.

# %%
results, texts = {}, {}


def as_they_are(a, b):
    return a, b


@cache
def drawn(child, change, every):
    """The share over positions, with replicates."""
    a, b = change(found[PARENT], found[child])
    masks = None if every else (able[PARENT], able[child])
    return replication.shares_found(a, b, tau, draws, masks)


# %%
def count(name, text, child=CHILD, change=as_they_are, every=False):
    """Counts over positions."""
    texts[name] = text
    a, b = change(found[PARENT], found[child])
    masks = None if every else (able[PARENT], able[child])
    floor = replication.share_found(a, replication.shifted(b), tau, masks)
    shares = [drawn(n, change, every) for n in (child, AGAIN)]
    results.update(curves.summary(f"published.{name}.share", *shares, floor, tau))


# %%
count("ours", "our way")
count("one_seed", "one seed for both dictionaries", child=SAME_SEED)
# Where no feature is rare this is our way once more.
results["published.rare"] = sum(rare[n] for n in (PARENT, CHILD, AGAIN))
count("no_eligibility", "rare features count", every=results["published.rare"] > 0)


# %% [markdown]
# **Correlation over token strings.** The published code describes a feature by its mean activation on
# each token string, and correlates two features over the strings on which both were ever active. A draw
# of documents leaves a third of them out, and their strings with them, which alone would move such a
# share. So here documents are *weighed* anew, at random but never by zero {cite:p}`rubin1981bayesian`:
# the strings stay, the means vary, and the features are matched by them anew.


# %%
SAME, OTHER_TEXT = (lambda b: b), replication.shifted
LOOKS = ((CHILD, SAME, weights), (AGAIN, SAME, weights), (CHILD, OTHER_TEXT, None))


def count_strings(name, text, change=as_they_are, every=False):
    """Counts over token strings."""
    texts[name], asked = text, []
    for n, view, weighed in LOOKS:
        a, b = change(found[PARENT], found[n])
        masks = None if every else (able[PARENT], able[n])
        asked.append(replication.found_by_strings(a, view(b), tau, masks, weighed))
    shares, floor = [one.drawn for one in asked[:2]], asked[2].share
    results.update(curves.summary(f"published.{name}.share", *shares, floor, tau))
    results[f"published.{name}.strings"] = asked[0].shared


count_strings("definition_a", "correlation over token strings")

# %% [markdown]
# **Features of reconstructions.** The hook that replaces the activations by the dictionary's
# reconstruction stays registered, so that features are computed on reconstructions. We encode each
# dictionary's own reconstruction again.

# %%
again = {
    id(found[name]): replication.on_reconstructions(
        found[name], training.load_sae(store.opened(run / "saes" / name))
    )
    for name in (PARENT, CHILD, AGAIN)
}


def reconstructed(a, b):
    return again[id(a)], again[id(b)]


count("reconstructions", "features of reconstructions", change=reconstructed)

# %% [markdown]
# **Other corpora.** Three configurations compare features that were computed on different corpora. By
# our definition such features share no position and can't match; by token strings they can.

# %%
across = replication.on_other_corpora
count("other_corpora", "parent and child read different corpora", change=across)
count_strings("other_corpora_a", "… and correlation over token strings", change=across)

# %% [markdown]
# **All together.** Token strings, rare features, reconstructions. (A filter on pairs compares names such
# as "lua/123" with "lua" and so never holds; it changes nothing.)

# %%
count_strings("together", "token strings, rare features, reconstructions", reconstructed, True)

# %%
ENDS = {"found": "", "ceiling": ".ceiling", "floor": ".floor", "ratio": ".ratio_to_ceiling"}
BOUNDS = ("", ".ci_low", ".ci_high")
formats = {"found": ".1%", "ceiling": ".0%", "floor": ".1%", "ratio": ".0%"}


def row(name):
    share = f"published.{name}.share"
    figures = {c + b: results.get(share + e + b) for c, e in ENDS.items() for b in BOUNDS}
    return {"choice": texts[name]} | figures


def shares_table(names, caption):
    df = pd.DataFrame([row(name) for name in names])
    df = df.astype(dict.fromkeys(df.columns[1:], float)).dropna(axis=1, how="all")
    return show_table(
        df,
        {c: f for c, f in formats.items() if c in df},
        caption,
        notes={"ratio": "found / ceiling"} if "ratio" in df else {},
    )


# %% tags=["hide-input"]
shares_table(
    list(texts), "Base → Lua, one pair of dictionaries, with one choice changed in each row."
)

# %% [markdown]
# {% if results["published.rare"] == 0 -%}
# Every feature of these dictionaries that is ever active is active often enough to be judged, so that
# *rare features count* is our way, figure for figure.
# {%- else -%}
# Counting the rare adds {{ count("published.rare") }} features of the three dictionaries to those that
# can be judged.
# {%- endif %}
#
# {% set a, ours = "published.definition_a.share", "published.ours.share" -%}
# {% if defined(a) and defined(ours) -%}
# **Token strings.** By the published correlation {{ share_ci(a) }} of the features are found, over
# positions {{ share_ci(ours) }}. But its ceiling
# {% if defined(a + ".ratio_to_ceiling") and defined(ours + ".ratio_to_ceiling") -%}
# moves as well, to {{ share_ci(a + ".ceiling") }}, so that the ratio goes from
# {{ share_ci(ours + ".ratio_to_ceiling", 0) }} to {{ share_ci(a + ".ratio_to_ceiling", 0) }}:
# {% if results[a + ".ratio_to_ceiling.ci_low"] > results[ours + ".ratio_to_ceiling.ci_high"] -%}
# a measure on which a fine-tuned model looks more like its base than positions say. With few strings in
# common a high correlation comes easily, in the child as in the base itself
# {%- if defined(a + ".floor") and results[a + ".floor"] > 0.05 %}, and even where the child reads
# other documents: {{ share(a + ".floor") }} are "found" there{% endif %}.
# {%- elif results[a + ".ratio_to_ceiling.ci_high"] < results[ours + ".ratio_to_ceiling.ci_low"] -%}
# a measure on which a fine-tuned model looks less like its base than positions say.
# {%- else -%}
# the intervals overlap, so against what can be seen at most it says no more than positions do.
# {%- endif %}
# {%- else -%}
# isn't defined here, and neither is a ratio.
# {%- endif %}
# {%- endif %}
# {% if defined("published.other_corpora_a.share") -%}
# Read on different corpora, {{ share("published.other_corpora_a.share") }} are still "found" that way,
# of which none share a position.
# {%- endif %}
#
# {% set re = "published.reconstructions.share" -%}
# {% if defined(re) and defined(ours) -%}
# **Reconstructions.** Of their features, over positions, {{ share_ci(re) }} are found
# {%- if results[re + ".ci_low"] > results[ours + ".ci_high"] %}, clearly more than by our way
# {%- elif results[re + ".ci_high"] < results[ours + ".ci_low"] %}, clearly fewer than by our way
# {%- else %}; that and our way's interval overlap{% endif %}.
# {%- endif %}
#
# {% if defined("published.together.strings") and defined("published.definition_a.strings") -%}
# **All together**, {{ share("published.together.share") }} are found in Lua,
# {{ share("published.together.share.ceiling") }} in the base's other dictionary and
# {{ share("published.together.share.floor") }} where Lua reads other documents. Behind the median best
# correlation stand {{ count("published.together.strings") }} strings, instead of
# {{ count("published.definition_a.strings") }} with token strings alone
# {%- if results["published.together.strings"] <= 2 %}, and any two points lie on a line{% endif %}.
# {%- endif %}
#
# The chapter on [ways to count](robustness) crosses the definition with the other choices.
#
# ## What needs training anew
#
# Three choices act while dictionaries learn; a fourth, ghost gradients, crashes before its first use.
# {% set choices = {"wrong_axis": "the decoder's other axis", "over_tokens": "L1 over tokens",
#    "ten_times": "ten times the L1"} -%}
# {% set off = [] -%}
# {% for name in choices if not defined("published." + name + ".l0") -%}
# {% set _ = off.append(name) -%}
# {% endfor -%}
# {% if off -%}
# Not in this run {{ "is" if off | length == 1 else "are" }}
# {% for name in off %}*{{ choices[name] }}*{{ " and " if loop.revindex == 2 else ", " if not loop.last }}
# {%- endfor %}; `published='{training: [{{ choices | join(", ") }}]}'` trains all three.
# {%- endif %}
#
# {% if "wrong_axis" not in off -%}
# *The other axis*: the published decoder is normalised so that each *input* has length one over all
# features, not each feature over all inputs. L1 doesn't look at lengths, so a feature may get long and
# its activation small.
#
# {% endif -%}
# {% if "over_tokens" not in off -%}
# *L1 over tokens*: for batches of three dimensions the L1 norm is taken along the second, which holds
# tokens, and then averaged over features, so that the same coefficient weighs as much less as a
# dictionary has more features than a block has tokens. It leaves most features active on most tokens, so
# that it's counted on a thirtieth of the evaluation mix.
#
# {% endif -%}
# {% if "ten_times" not in off -%}
# *Ten times the L1*: one of the four dictionaries, that of Stories, has ten times the others'
# coefficient. Here so has the child's alone; and its ceiling is a dictionary of the base with ten times
# the coefficient, too.
# {%- endif %}


# %% [markdown]
# The dictionaries of a choice, where it has any, take the places of the run's own.


# %%
def count_trained(name, choice):
    held = found | (variants.opened(run, name, choice.trained) if name in trainings else {})
    masks = {
        n: classes.eligible(held[n].acts, held[n].origin, min_positions, min_documents)
        for n in (PARENT, f"{choice.child}-1", AGAIN)
    }
    (a, own), *others = ((held[n], masks[n]) for n in masks)
    drawn = bootstrap.draw(a, {"base": 1}, interval_draws, seed)
    shares = [replication.shares_found(a, b, tau, drawn, (own, mask)) for b, mask in others]
    b, mask = others[0]
    floor = replication.share_found(a, replication.shifted(b), tau, (own, mask))
    results.update(curves.summary(f"published.{name}.share", *shares, floor, tau))


# %%
chosen = {n: c for n, c in published_training.CHOICES.items() if n in trainings}
by_child = {choice.child for choice in chosen.values()}
plain = {
    "lua": ("ours", "our way, Base → Lua"),
    "stories": ("ours_stories", "our way, Base → Stories"),
}
compared = {
    name: published_training.Choice(text, child, ())
    for child, (name, text) in plain.items()
    if child in by_child
} | chosen
for name, choice in compared.items():
    texts[name] = choice.text
    if name != "ours":
        count_trained(name, choice)

# %% [markdown]
# A choice that makes features dense or few changes what a share can be, so L0 and the variance explained
# of the child's dictionary come first.

# %%
trained = []
for name, choice in compared.items():
    child = f"{choice.child}-1"
    place = run / "sweep" / name if choice.trained else run
    quality = variants.mean_quality(place, [child])
    length, low, high = published_training.lengths(place / "saes" / child).values()
    quality |= {"length": length, "length.ci_low": low, "length.ci_high": high}
    results |= {f"published.{name}.{figure}": value for figure, value in quality.items()}
    trained.append({"choice": choice.text} | quality)

# %% tags=["hide-input"]
columns = {"l0": "L0", "variance_explained": "variance explained"}
notes = {"L0": "active features a token"}
if "wrong_axis" in trainings:
    columns |= {f"length{b}": f"feature length{b}" for b in BOUNDS}
    notes["feature length"] = "median, 5th and 95th percentile"
if trained:
    table = pd.DataFrame(trained)[["choice", *columns]].rename(columns=columns)
    places = {"L0": ".1f", "variance explained": ".2f", "feature length": ".2f"}
    places = {c: places[c] for c in places if c in table}
    display(show_table(table, places, "The child's dictionary, as it learnt.", notes))
    display(shares_table(compared, "The same questions, asked of these dictionaries."))

# %% tags=["remove-cell"]
results["published.trainings"] = len(trainings)
counted = [n for n in texts if n not in compared and n != "other_corpora"] + ["ours"]
for figure, end in (("share", ""), ("ratio", ".ratio_to_ceiling")):
    values = [results[f"published.{n}.share{end}"] for n in counted]
    values = [value for value in values if value is not None]
    results[f"published.lowest.{figure}_found"] = min(values, default=None)
    results[f"published.highest.{figure}_found"] = max(values, default=None)
store.write_results(run, "published", results)

# %% [markdown]
# {% for name, text, plain in [
#    ("wrong_axis", "Normalised along the other axis,", "published.ours.share"),
#    ("over_tokens", "With L1 over tokens,", "published.ours.share"),
#    ("ten_times", "With ten times the L1,", "published.ours_stories.share")] -%}
# {% if defined("published." + name + ".l0") -%}
# {% set key = "published." + name + ".share" -%}
# - {{ text }} {{ number("published." + name + ".l0", 1) }} features of the child are active a token and
#   explain {{ share("published." + name + ".variance_explained", 0) }} of the variance;
# {% if name == "wrong_axis" -%}
# half of the features are longer than {{ number("published.wrong_axis.length", 2) }};
# {% endif -%}
# {% if defined(key) and defined(plain) -%}
# {{ share_ci(key) }} of the base's features are found, with a ceiling of
# {{ share(key + ".ceiling") }}, instead of {{ share_ci(plain) }} with one of
# {{ share(plain + ".ceiling") }}.
# {% if defined(key + ".ratio_to_ceiling") and defined(plain + ".ratio_to_ceiling") -%}
# As a ratio that is {{ share_ci(key + ".ratio_to_ceiling", 0) }} instead of
# {{ share_ci(plain + ".ratio_to_ceiling", 0) }}.
# {% endif -%}
# {% else -%}
# no feature is active often enough for a share.
# {% endif -%}
# {% endif -%}
# {% endfor %}
#
# ## What we learned
#
# None of these choices is odd by itself, and the paper's question stands.
# {% if defined("published.lowest.share_found") -%}
# But in the ways of the first table that compare features at all, the share of the base's features found
# in one and the same pair of models runs from {{ share("published.lowest.share_found", 0) }} to
# {{ share("published.highest.share_found", 0) }}
# {%- if defined("published.lowest.ratio_found") %}, and against ceilings counted in the same way from
# {{ share("published.lowest.ratio_found", 0) }} to {{ share("published.highest.ratio_found", 0) }}
# {%- endif %}.
# {%- endif %}
# A share without the choices behind it, its ceiling and its floor is not a finding about models.
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
# Suppose that every feature is found, in the child and in the base's other dictionary. Which column of
# the table tells you whether to be glad?
# :::
#
# :::{dropdown} Answer
# The floor. A measure that finds features where the child reads other documents finds them anywhere, and
# a ratio of two shares near 100 % is near 100 % whatever happened to the model.
# :::
#
# :::{admonition} Exercise
# :class: tip
# Why are documents weighed for the rows by token strings, and not drawn? What would happen to the share
# in a replicate with two thirds of the documents?
# :::
#
# :::{dropdown} Answer
# Features would share fewer strings, and with fewer points chance correlations are higher, though true
# ones are noisier, too. The replicates would vary around another share than the one counted.
# :::
