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
# {cite:t}`horn2025tracking` show in their Figure 4 a feature for Python *exceptions* that the Lua model
# has lost: its closest match there is for something else. Such a picture is easily made. Whoever picks
# the worst matched of all features picks noise, unless that was ruled out.
#
# **You will learn** what makes a feature seem {term}`lost` or {term}`new` without being so, and how many
# are beyond that. **You need** the chapter on [ceilings](ceilings). **It takes** twenty minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import numpy as np
import pandas as pd
from IPython.display import HTML, display
from scipy import sparse

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features
from featrack_utils.display import cards, style, text
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import check, count, number, say, show, verdict, with_interval
from featrack_utils.interpretation import contexts, selection
from featrack_utils.lineage import label
from featrack_utils.matching.best_matches import open_matches
from featrack_utils.matching.correlation import correlations
from featrack_utils.pipeline import store
from featrack_utils.statistics.intervals import interval
from featrack_utils.statistics.persistence import complement, flat, headline, persistence, resample

# %% tags=["parameters"]
run_dir = "runs/quick"
root_seeds = 3  # dictionaries of the first model; paper: 1
other_seeds = 2  # of every other model; paper: 1
control_draws = 3  # models with a random MLP for each child; paper: none
context = 128  # tokens; paper: 256
tau = 0.8  # correlation above which two features match; paper: 0.8
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
replicates = 200  # bootstrap draws over groups of documents
seed = 1337  # of the bootstrap and of the random contexts

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
matches = open_matches(run)
names = {model: list(each) for model, each in matches.names.items()}
edges = [(*lineage.parents(c), c) for c in lineage.order if len(lineage.parents(c)) == 1]
for _, child in edges:
    names[f"{child}.mlp"] = [f"{child}.mlp-{draw}" for draw in range(control_draws)]
    names[f"{child}-at-0"] = [f"{child}-at-0"]  # the zero-step child
found = features.open_named(run, [name for each in names.values() for name in each])
first = {model: each[0] for model, each in names.items()}

# %% [markdown]
# ## What would fool us
#
# Each of these makes a feature look lost or new, though nothing happened to it:
# - **An accident of the dictionary.** The next dictionary of the same model may lack it as well. So we
#   ask {term}`reproducible` features alone, those that every other dictionary of their model has.
# - **An accident of the match.** One dictionary may lack it by chance. So *all* of them must.
# - **The text.** The parent's dictionaries never read what the child was tuned on, so what the parent had
#   for it all along would seem new. So we also ask the {term}`zero-step child`.
# - **A dense or rare feature**, or one of the position. Their correlations say little, so features are
#   named only if they are active on 0.1 to 10 % of the tokens, by a threshold, and on many places.
#
# With $r_i$ the best correlation of feature $i$ in a dictionary, *lost* is (for *new*, trade places)
#
# $$\min_{d\,\in\,\text{parent's others}} r_i(d) > \tau \quad\text{and}\quad
#   \max_{d\,\in\,\text{child's}} r_i(d) \le \tau .$$

# %%
parent, child = edges[0]
one = first[parent]
at_home = np.min([matches.best[one, name].a_best_r for name in names[parent][1:]], axis=0)
away = np.max([matches.best[one, name].a_best_r for name in names[child]], axis=0)
lost = np.flatnonzero((at_home > tau) & (away <= tau))
table = selection.missing(matches.best, one, names[parent][1:], names[child], tau)
assert sorted(table["feature"]) == lost.tolist()

# %% [markdown]
# ## How many disappear, and how many would anyway?
#
# For every fine-tune we count the share of reproducible features that a dictionary of the other model
# lacks. Beside it stands what is lacking **where nothing happened**: of the parent's features in the
# zero-step child, of the child's in one more dictionary of the child (with two there is no third, and the
# parent's stand in), and what is lacking in the child **with a random MLP**.

# %%
models = {model: [found[name] for name in each] for model, each in names.items()}
enough = {"min_positions": min_positions, "min_documents": min_documents}
sample = resample(models, [tau], tau=tau, replicates=replicates, seed=seed, **enough)
counted = {}  # shares found again, of the parent's features and of the child's, with both ends
for a, b in edges:
    zero, control = f"{b}-at-0", {"random_mlp": f"{b}.mlp"}
    counted[a, b] = headline(sample, a, b, zero, control)
    # Dictionaries of equal seeds resemble each other, so they aren't compared.
    unequal = {"pairs": lambda seed, _: seed != features.ZERO_SEED}
    new = persistence(sample, b, zero, among="reproducible", floors=control, **unequal)
    at_home = headline(sample, b, a).ceilings
    if np.isnan(at_home.estimate).all():
        at_home = headline(sample, a, b).ceilings
    counted[b, a] = new._replace(ceilings=at_home)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
ENDS = ("", ".unchanged", ".random_mlp")
rows, results, told = {}, {}, []
for (model, other), each in counted.items():
    kind = "lost" if (model, other) in edges else "new"
    shares = (each.shares, each.ceilings, each.floors["random_mlp"])
    row = {end: interval(complement(s), tau) for end, s in zip(ENDS, shares, strict=True)}
    row[".excess"] = each.excess()
    for end, figure in row.items():
        results |= flat(f"changes.{model}_{other}.missed_share{end}", figure)
    title = f"{label(model)}’s, not in {label(other)} ({kind})"
    rows[title] = row
    more = verdict(row[".excess"], 0, below="so fewer", above="**the tuning's**", unclear="unclear")
    told.append(f"- {title}: {text.points(row['.excess'])}, {more}.")
WORDS = ("in the other model", "where nothing happened", "with a random MLP")
COLOURS = (style.colour_of(lineage.order[1]), "black", style.GREY)
figure, axis = style.single(0.55 * len(rows) + 1.2)
for k, end in enumerate(ENDS):
    each = pd.DataFrame([row[end] for row in rows.values()])
    places = each.index + (0, -0.2, 0.2)[k]
    axis.hlines(places, each["low"], each["high"], color=COLOURS[k])
    axis.plot(each["estimate"], places, "oDs"[k], ms=5, color=COLOURS[k], label=WORDS[k])
axis.set(xlabel="share of reproducible features without a match", xlim=(0, 1))
axis.set(yticks=range(len(rows)), yticklabels=rows, ylim=(len(rows) - 0.5, -0.5))
figure.legend(loc="outside upper center", ncols=3)
show(
    figure,
    "Of each model's reproducible features: the share that a dictionary of the other model lacks, "
    "beside what would be lacking where nothing happened and with a random MLP. 95 % intervals.",
    "fig-lacking",
    "For each pair a dot for the other model, a diamond for nothing happened, a square for a random MLP",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say("In {numref}`fig-lacking` more are lacking than where nothing happened, by:", "\n".join(told))

# %% [markdown]
# ## Which features are lost, which are new?
#
# The rule gives a list for each pair, the farthest first. The zero-step child confirms some. A feature
# that a random MLP's dictionaries have, too, needs no learning: it comes with embedding and attention.


# %%
def best_r(model, other):
    """The largest r of each feature of a model's first dictionary with any of another model's."""
    matched = sample.matched(((model, 0), (other, seed)) for seed in sample.seeds(other))
    none = np.zeros(sample.eligible[model][0].size)  # where the other has nothing to match
    return np.max([none, *(each.best_r for each in matched.values())], axis=0)


able = {n: able for m in names for n, able in zip(names[m], sample.eligible[m], strict=True)}
fit = {m: selection.passes(found[first[m]], context - 1) for m in lineage.order}
missing, shown = {}, []
for (model, other), title in zip(counted, rows, strict=True):
    name, tuned = first[model], other if (model, other) in edges else model
    own, others = names[model][1:], names[other]
    table = selection.missing(matches.best, name, own, others, tau, among=fit[model])
    # The zero-step child is the parent: it must have what is lost, and lack what is new.
    untouched = best_r(model, f"{tuned}-at-0")[table["feature"].to_numpy(int)] > tau
    left = table[untouched == (tuned == other)].reset_index(drop=True)
    has = best_r(model, f"{tuned}.mlp")[left["feature"].to_numpy(int)] > tau
    missing[model, other] = left
    row = {"listed": len(table), "confirmed": len(left), "random MLP has": int(has.sum())}
    results |= {f"changes.{model}_{other}.{k.replace(' ', '_')}": n for k, n in row.items()}
    ahead = [cards.link(cards.Feature(name, int(i))) for i in left["feature"].head(3)]
    shown.append({"features": title, **row, "farthest": HTML(", ".join(ahead) or "–")})

# %% tags=["hide-input"] jupyter={"source_hidden": true}
show_table(
    pd.DataFrame(shown),
    notes={"confirmed": "by the zero-step child", "random MLP has": "of the confirmed"},
    caption="Reproducible features of the first dictionaries that all dictionaries of the other model "
    "lack. The links lead to the explorer, which shows each with its matches.",
)

# %% [markdown]
# ## The paper's example: exceptions
#
# Is the paper's feature among them? We look for it without a cut-off. An **indicator** is 1 at the
# positions in question and 0 at all others: at the *keywords* `raise` and `except`, or right *after* them,
# where the names of exceptions stand. The three features that correlate best with each are judged. One
# is lost in a child if it is reproducible and if, in every dictionary of the child, the interval of its r
# with the closest match lies below τ (see [the method](method-cases)).

# %%
root, mix = first[lineage.root], found[first[lineage.root]]
keyword = contexts.tokens_matching(corpora.tokenizer, r"\s*(raise|except)")[mix.tokens]
begins = np.diff(mix.origin, prepend=-1) != 0
begins[:: context - 1] = True
indicators = {"keywords": keyword, "what follows": np.roll(keyword, 1) & ~begins}
columns = {w: sparse.csr_matrix(np.float32(y[:, None])) for w, y in indicators.items()}
r_with = pd.DataFrame({w: correlations(mix.acts, y).a_best_r for w, y in columns.items()})
r_with[~able[root]] = 0
ranked = [i for words in r_with for i in r_with[words].nlargest(3).index if r_with.at[i, words] > 0]
ranked = list(dict.fromkeys(ranked))
children = [child for parent, child in edges if parent == lineage.root]
own, draws = names[lineage.root][1:], sample.draws.documents


def judge(i, child):
    return selection.judge(matches.best, found, (root, i), own, names[child], tau, draws)


judged = {(i, c): judge(i, c) for i in ranked for c in children}

# %% tags=["hide-input"] jupyter={"source_hidden": true}
table = r_with.loc[ranked].add_prefix("r with ")
table.insert(0, "feature", [cards.linked(cards.Feature(root, i)) for i in ranked])
table["own seeds"] = [judged[i, children[0]]["own_r"] for i in ranked]
for c in children:
    table[f"in {label(c)}"] = [judged[i, c]["r"] for i in ranked]
table["random MLP"] = best_r(lineage.root, f"{children[0]}.mlp")[ranked]
show_table(
    table,
    dict.fromkeys(table.columns[1:], ".2f"),
    notes={"own seeds": "lowest r", "random MLP": f"of {label(children[0])}"},
    caption="The features closest to exceptions, and their closest matches [95 % over documents].",
)
lost_pairs = [pair for pair, each in judged.items() if each["verdict"] == "lost"]
stable = table.index[table["own seeds"] > tau]
about = [i for i in ranked if r_with.loc[i].max() > tau]  # of exceptions, and not just near them
paper_kind = [pair for pair in lost_pairs if pair[0] in about]
say(
    f"**The paper's example is {'found again' if paper_kind else 'not found in this run'}.** Of "
    f"{count(len(ranked))} features {count(len(stable))} are reproducible, and {count(len(about))} answer "
    f"to an indicator with r above τ. In {count(len(lost_pairs))} of {count(len(judged))} cases (a feature, "
    f"a child) the feature is lost, and in {count(len(paper_kind))} of these it is such a one.",
    f"A random MLP has {count((table['random MLP'] > tau).sum())}: for those the token is enough.",
)
counts = {"judged": judged, "lost": lost_pairs, "reproducible": stable, "of_them_lost": paper_kind}
results |= {f"changes.exceptions.{name}": len(each) for name, each in counts.items()}

# %% [markdown]
# So we also ask the other way round. Of the features that the rule above *does* call lost, and the
# zero-step child confirms, which is nearest to exceptions? It has the largest r with one of the two
# indicators, and is lost by the interval in every dictionary of the child, too.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
confirmed = [(int(i), c) for c in children for i in missing[lineage.root, c]["feature"]]
confirmed.sort(key=lambda pair: -r_with.loc[pair[0]].max())
nearest = next((pair for pair in confirmed[:20] if judge(*pair)["verdict"] == "lost"), None)
if nearest:
    i, c = nearest
    near, word, r_nearest = judge(i, c), r_with.loc[i].idxmax(), r_with.loc[i].max()
    results["changes.exceptions.nearest"] = r_nearest
    results["changes.exceptions.confirmed"] = len(confirmed)
    alike = "as the paper's does" if r_nearest > tau else "too little to be *of* exceptions"
    r_random = best_r(lineage.root, f"{c}.mlp")[i]
    has = "doesn't have it, either" if r_random <= tau else "has it: the token is enough"
    say(
        f"Of {count(len(confirmed))} confirmed cases it is {cards.link(cards.Feature(root, i))}. Every other "
        f"dictionary of {label(lineage.root)} has it, with r of at least {number(near['own_r'])}. None in "
        f"{label(c)} does: the closest has r = {with_interval(near['r'], 2, share=False)}. A random MLP "
        f"{has} (r = {number(r_random)}). It answers to *{word}* with r = {number(r_nearest)}, {alike}."
    )
else:
    say("Of the confirmed features none is lost by this stricter rule.")

# %% [markdown]
# ## One lost and one new, in full
#
# The lost one is farthest from everything in a child, the new one from everything in the parent. Each is
# shown beside its closest match there, where it is strongest, at random, and where the match is strongest.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
for pairs in (edges, [edge[::-1] for edge in edges]):
    tables = [missing[pair].head(1).assign(name=first[pair[0]]) for pair in pairs]
    for row in pd.concat(tables).sort_values("r").head(1).itertuples():
        two = ((row.name, row.feature), (row.partner, row.partner_feature))
        pair = [cards.Feature(name, int(index)) for name, index in two]
        known = cards.read_known(run, lineage, corpora, {name: found[name] for name, _ in two})
        display(cards.feature_table(known, pair, {"r": [None, row.r]}))
        display(cards.together(known, pair, [(pair[0], 2, 1), (pair[1], 1, 0)], seed))
        say(f"What sets {pair[1].name} apart: {selection.difference(found, *pair)}.")

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
store.write_results(run, "changes", results)
clear = [row for row in rows.values() if row[".excess"].low > 0]
say(
    f"In {count(len(clear))} of {count(len(rows))} comparisons more reproducible features are lacking "
    "than where nothing happened. A list of lost features without that means little.",
    f"Of the paper's kind, a lost feature for exceptions, we find {count(len(paper_kind))} in "
    f"{count(len(judged))} cases (a feature, a child), over all dictionaries. Next: [one dictionary "
    "for two models](crosscoder).",
)

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# Take the first guard away. Of *all* eligible features of the first parent's first dictionary, how many
# do all dictionaries of its first child lack? You need `able[one]`, `away` and `tau`.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the checks below:
near = selection.closest(matches.best, one, names[child]).r
lost_in_all = int((near[able[one]].fillna(-1) <= tau).all(axis=1).sum())
taken_off = shown[1]["listed"] - shown[1]["confirmed"]  # of the first child's

# %%
answer = ...  # a number of features
check(answer, lost_in_all)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = np.count_nonzero(able[one] & (away <= tau))
check(answer, lost_in_all)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# How many features of the first child seem new and aren't, because the zero-step child has them? You need
# `best_r(model, other)`, and `selection.missing(…, among=fit[model])` as it is used above. Why must the
# zero-step child lack a *new* feature, and have a *lost* one?
# :::

# %%
answer = ...  # a number of features
check(answer, taken_off)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
# It is the parent, read through the child's text: what it has of the child, the parent had all along;
# what it lacks of the parent, a child to which nothing happened would lack, too.
own, others = names[child][1:], names[parent]
new = selection.missing(matches.best, first[child], own, others, tau, among=fit[child])
answer = (best_r(child, f"{child}-at-0")[new["feature"].to_numpy(int)] > tau).sum()
check(answer, taken_off)
