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
# # A first look without dictionaries
#
# You have a model and what somebody made of it. Where does the child say something else than its
# parent, and which part of it has moved? Both questions can be answered in minutes, before any
# {term}`dictionary` is trained. {cite:t}`horn2025tracking` begin with dictionaries.
#
# **You will learn** where two models disagree, token by token, and in which directions the activations
# have gone. **You need** to know what a probability is, and [what a neuron is](neurons) helps. **It takes**
# fifteen minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import math

import numpy as np
import pandas as pd
import torch
from IPython.display import display
from matplotlib.lines import Line2D
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter
from scipy.linalg import eigh
from scipy.special import rel_entr, softmax
from scipy.stats import rankdata, spearmanr
from sklearn.decomposition import PCA

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries.features import Features, evaluation_mix
from featrack_utils.display import style
from featrack_utils.display.shading import ShadedFeature, shade, token_html
from featrack_utils.display.tables import HTML, show_table
from featrack_utils.display.text import (
    check,
    estimate,
    listed,
    number,
    percent,
    say,
    show,
    verdict,
    with_interval,
)
from featrack_utils.interpretation import logit_effects
from featrack_utils.lineage import SITE, label
from featrack_utils.models import capture, controls, loading
from featrack_utils.pipeline import store
from featrack_utils.statistics.bootstrap import draw
from featrack_utils.statistics.intervals import Interval, around
from featrack_utils.statistics.persistence import flat

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the bootstrap, the splits and the random directions
context = 128  # tokens
read_blocks = 30  # validation blocks per domain, the same for every model
min_documents = 10  # documents that a listed token must stand in
replicates = 200  # bootstrap draws over groups of documents, and random splits of them
directions = 10  # of the difference, that are looked at

# %% tags=["hide-input"] jupyter={"source_hidden": true}
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
mix = evaluation_mix({d: corpora.validation_blocks(d, read_blocks) for d in lineage.domains})
edges, children = lineage.edges, list(dict.fromkeys(child for _, child in lineage.edges))

# %% [markdown]
# ## What the child says differently
#
# After each token $t$ both models give every word of the vocabulary a probability, the child $q_t$ and the
# parent $p_t$. How far apart these are is told by the {term}`KL divergence <KL>`
#
# $$D_t = \sum_v q_t(v) \ln \frac{q_t(v)}{p_t(v)} .$$
#
# It has a direction. Ours is from the child to the parent: by how many nats the parent is more surprised
# than the child by what the *child* would say next. It is zero only if both say the same. And it
# needs no right answer: the child may have become better, worse or merely different.
#
# How far the activations $x_t$ at the {term}`site` have moved, we measure in lengths of the parent's own:
#
# $$d_t = \lVert x_t^\text{child} - x_t^\text{parent} \rVert \Big/ \frac1n \sum_s \lVert x_s^\text{parent} \rVert .$$


# %%
def kl(child, parent):
    """How much more the parent is surprised by what the child would say; nats, [n]."""
    q, p = child.log_softmax(-1), parent.log_softmax(-1)
    return (q.exp() * (q - p)).sum(-1)


@torch.no_grad()
def read(model, tokens, replace=lambda x: x):
    """Logits, and activations at the site as `replace` leaves them, [n_blocks, context, d_in]."""
    module, is_input = capture.plain_module(model, lineage.site)
    seen = []

    def change(given):
        first = given[0] if isinstance(given, tuple) else given
        seen.append(replace(first.reshape(*tokens.shape, -1)))  # heads side by side
        changed = seen[0].reshape(first.shape)
        return (changed, *given[1:]) if isinstance(given, tuple) else changed

    if is_input:
        hook = module.register_forward_pre_hook(lambda module, given: change(given))
    else:
        hook = module.register_forward_hook(lambda module, given, out: change(out))
    logits = model(input_ids=tokens.to(model.device), use_cache=False).logits.float()
    hook.remove()
    return logits, seen[0]


# %% [markdown]
# What would be a large divergence? As a yardstick we take a child that has lost what writes the site: its
# {term}`control <random MLP>`, with these weights drawn at random. The {term}`KL` from the child to
# its control says what all that they have learned is worth. We read a part of the
# {term}`evaluation mix`, with all models side by side.

# %% tags=["hide-input"]
models = {name: loading.load_model(run / "models" / name) for name in lineage.order}
for child in children:
    models[f"{child}.control"] = control = loading.load_model(run / "models" / child)
    weights = controls.redrawn(control.state_dict(), controls.Redraw.of(lineage), seed=0)
    control.load_state_dict(weights)
for model in models.values():
    model.to(capture.device())
yardsticks = [(child, f"{child}.control") for child in children]
pairs = {(parent, child): (child, parent) for parent, child in edges}  # the KL's own order
pairs |= {(child, control): (child, control) for child, control in yardsticks}

vocabulary = models[lineage.root].config.get_text_config().vocab_size
at_once = max(1, 2**22 // (context * vocabulary))  # blocks, so that logits stay small
parts = {pair: [] for pair in pairs}
seen = {name: [] for name in models}
backward = []
for tokens in torch.from_numpy(mix.tokens).long().split(at_once):
    logits = {}
    for name, model in models.items():
        logits[name], x = read(model, tokens)
        seen[name].append(x[:, 1:].flatten(0, 1).cpu())
    for pair, (p, q) in pairs.items():
        parts[pair].append(kl(logits[p][:, 1:], logits[q][:, 1:]).flatten())
    backward.append(kl(*(logits[name][:, 1:] for name in edges[0])).flatten())
divergence = {pair: torch.cat(each).cpu().double().numpy() for pair, each in parts.items()}
acts = {name: torch.cat(each).numpy() for name, each in seen.items()}
wide = {name: x.shape[1] for name, x in acts.items()}
compared = [pair for pair in pairs if wide[pair[0]] == wide[pair[1]]]
moved = {}
for a, b in compared:
    scale = np.linalg.norm(acts[a], axis=1).mean(dtype=np.float64)
    moved[a, b] = np.linalg.norm(acts[b] - acts[a], axis=1).astype(np.float64) / scale

# %% [markdown]
# SciPy knows the same sum as `rel_entr`. On a few tokens of one edge it must give the same, and a model
# must not differ from itself.

# %%
parent, child = edges[0]
tokens = torch.from_numpy(mix.tokens[:2]).long()
(said, _), (before, _) = read(models[child], tokens), read(models[parent], tokens)
q, p = (softmax(logits[:, 1:].cpu().double().numpy(), axis=-1) for logits in (said, before))
by_scipy = rel_entr(q, p).sum(axis=-1).ravel()
np.testing.assert_allclose(divergence[parent, child][: by_scipy.size], by_scipy, atol=1e-4)
assert kl(said, said).abs().max() == 0

# %% tags=["remove-input"] jupyter={"source_hidden": true}
apart = [edge for edge in edges if edge not in compared]
drawable = [edge for edge in compared if edge in edges and moved[edge].any()]
focus = (*drawable, *edges)[0]  # the edge that is looked at closely
if apart:
    say(
        f"At {lineage.site} the models of {listed([style.pair_label(*e) for e in apart])} are of different "
        "width. Their activations can't be subtracted, so along these edges there is the KL alone."
    )

# %% [markdown]
# ## How much, and on which text?
#
# For the intervals we resample whole {term}`groups <group>` of documents. A mean over tokens then is a
# ratio of two sums over documents.

# %%
document = mix.origin[:, 1:].ravel()
domain, group = np.repeat(mix.domain, context - 1), mix.group[:, 1:].ravel()
token = mix.tokens[:, 1:].ravel()
text = Features(acts=None, origin=document, domain=domain, tokens=None, group=group)
drawn = draw(text, {lineage.root: 1}, replicates, seed).documents


def mean(value, where=slice(None)):
    """The mean over tokens, with its 95 % interval over groups of documents."""
    size = drawn.shape[1]
    total = np.bincount(document[where], value[where], minlength=size)
    length = np.bincount(document[where], minlength=size)
    return Interval(float(value[where].mean()), *around(drawn @ total / (drawn @ length)))


# %% tags=["hide-input"]
results = {}
for a, b in edges:
    key = f"look.{a}_{b}"
    for of, pair in {"": (a, b), ".control": (b, f"{b}.control")}.items():
        results |= flat(f"{key}.kl{of}", mean(divergence[pair]))
        if pair in compared:
            results |= flat(f"{key}.difference{of}", mean(moved[pair]))
    for number_of, name in enumerate(lineage.domains):
        here = np.flatnonzero(domain == number_of)
        results |= flat(f"{key}.kl.{name}", mean(divergence[a, b], here))

# %% tags=["hide-input"]
figure, axis = style.single(1.2 + 0.45 * len(edges))
height = 0.6 / max(len(lineage.domains), 1)
for row, edge in enumerate(edges):
    key = "look.{}_{}.kl".format(*edge)
    whole = estimate(results, f"{key}.control")
    axis.plot([whole.estimate] * 2, [row - 0.4, row + 0.4], color=style.GREY, lw=3)
    for place, name in enumerate(lineage.domains):
        at = row + height * (place - (len(lineage.domains) - 1) / 2)
        value = estimate(results, f"{key}.{name}")
        axis.plot([value.low, value.high], [at, at], color=style.colour_of(name), lw=1.5)
        mark = style.MARKERS[place % len(style.MARKERS)]
        axis.plot(value.estimate, at, mark, color=style.colour_of(name), ms=5)
axis.set_yticks(range(len(edges)), [style.pair_label(*edge) for edge in edges])
axis.set(ylim=(len(edges) - 0.5, -0.5), xlabel="KL from child to parent, nats per token")
axis.set_xscale("log")
axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
axis.xaxis.set_minor_formatter(NullFormatter())
marks = [
    Line2D([], [], ls="", marker=style.MARKERS[n % 8], color=style.colour_of(d), label=label(d))
    for n, d in enumerate(lineage.domains)
]
marks.append(Line2D([], [], color=style.GREY, lw=3, label="child to its control"))
figure.legend(handles=marks, loc="outside upper center", ncols=3)
show(
    figure,
    "How differently child and parent predict, on each kind of text, with 95 % intervals over groups of "
    "documents. Grey bars: from the child to its control, in which what writes the site is random, over "
    "all texts. Logarithmic scale.",
    "fig-kl",
    "Dots of mean KL, one row an edge, one marker a domain, beside a grey bar for the control",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
key = "look.{}_{}".format(*focus)
of_domain = {d: estimate(results, f"{key}.kl.{d}") for d in lineage.domains}
most, least = (f(of_domain, key=lambda d: of_domain[d].estimate) for f in (max, min))
lost = estimate(results, f"{key}.kl.control")
own = lineage.trained_on(focus[1]) or lineage.domains[:1]
sentence = (
    f"Along {style.pair_label(*focus)} the KL is "
    f"{with_interval(estimate(results, f'{key}.kl'), 2, share=False)} nats a token. "
)
if most != least:
    sentence += (
        f"It is largest on {label(most)} ({with_interval(of_domain[most], 2, share=False)}) and smallest on "
        f"{label(least)} ({with_interval(of_domain[least], 2, share=False)}). "
    )
if most in own and len(lineage.domains) > 1:
    sentence += "So the child differs most where it was trained. "
sentence += f"To lose the site altogether would cost {with_interval(lost, 2, share=False)} nats. "
if f"{key}.difference" in results:
    gone, all_gone = (estimate(results, f"{key}.difference{of}") for of in ("", ".control"))
    sentence += (
        f"The activations move by {with_interval(gone)} of the parent's mean length, and by "
        f"{with_interval(all_gone)} of the child's if the site is lost."
    )
say(sentence)

# %% [markdown]
# ## Token by token
#
# Means hide where it happens. Here is text, shaded by the KL of the prediction *after* each token and by how
# far the activations moved at it. To pick no showpiece, we take of each domain the block whose mean
# KL is the median. Full colour is the largest twentieth of all tokens.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
SHOWN = 48  # tokens of a block
parent, child = focus
by_block = divergence[parent, child].reshape(len(mix.tokens), -1)
excerpts = []
for name in [*own, *(d for d in lineage.domains if d not in own)][:3]:
    rows = np.flatnonzero(mix.domain == lineage.domains.index(name))
    excerpts.append(rows[by_block[rows].mean(axis=1).argsort()[len(rows) // 2]])
looks = {"KL, nats": (divergence, style.colour_of(child)), "moved by": (moved, style.GREY)}
sides = []
for title, (values, colour) in looks.items():
    if (parent, child) in values:
        each = values[parent, child].reshape(by_block.shape)
        contexts = [
            (corpora.pieces(mix.tokens[row, 1 : SHOWN + 1]), each[row, :SHOWN]) for row in excerpts
        ]
        sides.append(ShadedFeature(title, contexts, np.quantile(each, 0.95), colour, title))
display(shade(*sides))


# %% [markdown]
# Do the two agree? We rank all tokens by both, and correlate the ranks (Spearman's $\rho$, zero if they
# have nothing to do with each other).


# %%
def rank_correlation(x, y):
    """Spearman's ρ over tokens, with its 95 % interval over groups of documents."""
    x, y = (rankdata(value) - value.size / 2 for value in (x, y))
    sums = [np.bincount(document, v, drawn.shape[1]) for v in (x**0, x, y, x * x, y * y, x * y)]
    n, x, y, xx, yy, xy = (np.vstack([np.ones(drawn.shape[1]), drawn]) @ v for v in sums)
    r = (n * xy - x * y) / np.sqrt((n * xx - x**2) * (n * yy - y**2))
    return Interval(float(r[0]), *around(r[1:]))


for edge in edges:
    if edge in compared:
        together = rank_correlation(divergence[edge], moved[edge])
        by_scipy = spearmanr(divergence[edge], moved[edge])[0]
        assert np.isclose(together.estimate, by_scipy, equal_nan=True)
        results |= flat("look.{}_{}.rank_r".format(*edge), together)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
if focus in compared:
    together = estimate(results, f"{key}.rank_r")
    say(
        f"Along {style.pair_label(*focus)} ρ is {with_interval(together, 2, share=False)}. "
        + verdict(
            together,
            0.5,
            below="So the two are different questions: activations move at many tokens after which the "
            "child says much the same.",
            above="So the child speaks differently mainly where its activations have moved.",
            unclear="Whether more than loosely they go together can't be told.",
        )
    )


# %% [markdown]
# ## The tokens after which most has changed
#
# A list of extremes is soon a list of rarities: the mean over two tokens is noisy, and the noisiest come out
# on top. So each token's mean is drawn towards the mean $\bar D$ of all, the more the rarer the token:
#
# $$\tilde D_v = \frac{n_v \bar D_v + k \bar D}{n_v + k}, \qquad k = \frac{\sigma^2_\text{within}}
# {\sigma^2_\text{between}} .$$
#
# This {term}`shrunken mean` is what one should expect of the token in other text. Both variances are
# estimated from the text, as in an analysis of variance. We also ask that a token stands in several
# documents.


# %%
def shrunken(value, unit, times):
    """Each unit's mean drawn towards the mean of all; [n_units], NaN where a unit isn't there."""
    n, total, squares = (np.bincount(unit, times * value**power) for power in (0, 1, 2))
    there = n > 0
    n, total, squares = n[there], total[there], squares[there]
    mean, overall = total / n, total.sum() / n.sum()
    within = (squares - n * mean**2).sum() / max(n.sum() - n.size, 1)
    between = (n * (mean - overall) ** 2).sum() - (n.size - 1) * within
    between = max(between / (n.sum() - (n**2).sum() / n.sum()), 1e-12)
    k = within / between
    found = np.full(there.size, np.nan)
    found[there] = (n * mean + k * overall) / (n + k)
    return found


# %% [markdown]
# Would the list be the same in other text? We split the groups of documents in two, at random and many
# times. Each half gets a list, and we correlate their ranks. And is it a list of *this* child? After
# some tokens any model wavers. So we also correlate one half's list with the list of the control
# on the other half: after which tokens the predictions change when the site is lost.


# %%
def expected(pair, times):
    return shrunken(divergence[pair], token, times)[listable]


def agreement(edge, draws):
    """ρ of the list with itself and with the control's, each in two halves of the text."""
    control = edge[1], f"{edge[1]}.control"
    for _ in range(draws):
        first = rng.permutation(n_groups) % 2 == 0
        here, there = (side[group].astype(float) for side in (first, ~first))
        one = expected(edge, here)
        yield [
            spearmanr(one, expected(other, there), nan_policy="omit")[0]
            for other in (edge, control)
        ]


n_groups, rng = group.max() + 1, np.random.default_rng(seed)
in_documents = np.bincount(np.unique([token, document], axis=1)[0], minlength=token.max() + 1)
listable = np.flatnonzero(in_documents >= min_documents)
differing, agree = [edge for edge in edges if divergence[edge].any()], {}
for edge in differing:
    agree[edge] = np.array([*agreement(edge, replicates // 4)])
    itself, control = (Interval(float(r.mean()), *around(r)) for r in agree[edge].T)
    results |= flat("look.{}_{}.tokens.halves".format(*edge), itself)
    results |= flat("look.{}_{}.tokens.control".format(*edge), control)

# %% tags=["hide-input"]
each_once, top = np.ones(token.size), {}
rows = []
for edge in differing:
    order = listable[np.argsort(-expected(edge, each_once))]
    top[edge] = order[:6]
    shown = ", ".join(f"<code>{token_html(piece)}</code>" for piece in corpora.pieces(top[edge]))
    itself, control = (
        estimate(results, "look.{}_{}.tokens.{}".format(*edge, of)) for of in ("halves", "control")
    )
    rows.append({"edge": style.pair_label(*edge), "after": HTML(shown), "ρ of halves": itself})
    rows[-1]["ρ with the control"] = control
show_table(
    pd.DataFrame(rows),
    {"ρ of halves": ".2f", "ρ with the control": ".2f"},
    caption=f"Tokens after which the KL is largest, of those in at least {min_documents} documents. "
    "Brackets: 95 % of random splits of the text.",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
parent, child = focus
values = np.array([expected(focus, drawn[r, document]) for r in range(min(50, replicates))])
order = np.argsort(-expected(focus, each_once))[:1]
highest = Interval(
    float(expected(focus, each_once)[order][0]),
    *np.nanquantile(values[:, order], [0.025, 0.975]),
)
itself, control = (estimate(results, f"{key}.tokens.{of}") for of in ("halves", "control"))
gap = agree.get(focus, np.full((1, 2), np.nan)) @ [1, -1]
say(
    f"Along {style.pair_label(*focus)} the first of them has a shrunken mean of "
    f"{with_interval(highest, 2, share=False)} nats, against {number(results[f'{key}.kl'])} on average. "
    f"Two halves of the text agree on their lists by ρ = {with_interval(itself, 2, share=False)}. "
    + verdict(
        Interval(float(gap.mean()), *around(gap)),
        0,
        below="But with the control's list they agree even more: these are tokens after which any "
        "change shows.",
        above=f"With the control's list it is {with_interval(control, 2, share=False)}, which is less: the "
        "list tells something about this child.",
        unclear=f"With the control's list it is {with_interval(control, 2, share=False)}: much of it may be "
        "tokens after which any change would show.",
    )
)

# %% [markdown]
# ## The documents that changed most
#
# Documents are ranked in the same way. One that is short says little and is drawn towards the mean.
# Does a document's first half foretell its second? To see more than that one kind of text differs
# from another, we take each domain's mean out first.

# %% tags=["hide-input"]
LEAST = 2 * 16  # tokens of a document
parent, child = focus
length = np.bincount(document)
long_enough = np.flatnonzero(length >= LEAST)
of_document = shrunken(divergence[parent, child], document, each_once)
domain_of = np.zeros(length.size, int)
domain_of[document] = domain
changed = long_enough[np.argsort(-of_document[long_enough])][:5]
rows = []
for one in changed:
    words = corpora.tokenizer.decode(token[document == one][:24], skip_special_tokens=True)
    rows.append(
        {
            "text": label(lineage.domains[domain_of[one]]),
            "from": " ".join(words.split())[:60],
            "tokens": length[one],
            "KL": of_document[one],
        }
    )
show_table(
    pd.DataFrame(rows),
    {"KL": ".2f"},
    caption=f"Documents along {style.pair_label(parent, child)} with the largest shrunken mean, of those "
    f"with at least {LEAST} tokens.",
    notes={"KL": "nats a token"},
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
position = pd.Series(document).groupby(document).cumcount().to_numpy()
late = (2 * position >= length[document]).astype(int)
kinds, ranks = domain_of[long_enough], []
for side in (0, 1):
    where = late == side
    total = np.bincount(document[where], divergence[parent, child][where], length.size)
    half = total[long_enough] / np.bincount(document[where], minlength=length.size)[long_enough]
    of_kind = np.bincount(kinds, half) / np.maximum(np.bincount(kinds), 1)
    ranks.append(rankdata(half - of_kind[kinds]))
times = np.vstack([np.ones(long_enough.size), drawn[:, long_enough]])
x, y = (rank - rank.mean() for rank in ranks)
n, sx, sy, xx, yy, xy = (times @ v for v in (x**0, x, y, x * x, y * y, x * y))
r = (n * xy - sx * sy) / np.sqrt((n * xx - sx**2) * (n * yy - sy**2))
foretold = Interval(float(r[0]), *around(r[1:]))
results |= flat(f"{key}.documents.halves", foretold)
say(
    f"Over {long_enough.size} documents ρ of their halves is {with_interval(foretold, 2, share=False)}. "
    + verdict(
        foretold,
        0,
        below="So the order of documents is no property of theirs.",
        above="So a document that has changed in its first half has probably changed in its second.",
        unclear="So within a domain the order of documents may be chance.",
    )
)

# %% [markdown]
# ## The directions of the difference
#
# We turn to the difference $\Delta_t = x_t^\text{child} - x_t^\text{parent}$ itself. A part of it is the same
# for every token, its mean $\mu$. How the rest varies is described by *principal components*: the direction
# $u_1$ of length one along which $\Delta_t - \mu$ has the largest variance, then $u_2$ at right angles to it,
# and so on. Each explains the share
#
# $$s_k = \frac{\sum_t \bigl(u_k \cdot (\Delta_t - \mu)\bigr)^2}{\sum_t \lVert \Delta_t - \mu \rVert^2} .$$
#
# Directions are chosen to explain much, so they flatter themselves on the text that they are chosen on. We
# find $\mu$ and $u_k$ on one half of the groups and measure $s_k$ on the other.


# %%
def main_directions(difference):
    """The mean, and the directions of largest variance around it, largest first; [k, d_in]."""
    mu = difference.mean(axis=0, dtype=np.float64)
    rest = (difference - mu).astype(np.float64)
    d = rest.shape[1]
    k = min(directions, d)
    _, u = eigh(rest.T @ rest, subset_by_index=[d - k, d - 1])
    return mu, u.T[::-1]


def explained(difference, mu, u):
    """What each direction explains of a difference, [k, n_tokens], and what there is, [n_tokens]."""
    rest = difference - mu
    return (u @ rest.T) ** 2, (rest**2).sum(axis=1)


# %% tags=["hide-input"]
if focus in drawable:
    difference = acts[focus[1]] - acts[focus[0]]
    mu, u = main_directions(difference)
    each, _ = explained(difference, mu, u)
    fitted = PCA(len(u), svd_solver="full").fit(difference.astype(np.float64))
    by_sklearn = fitted.explained_variance_ * (len(difference) - 1)
    np.testing.assert_allclose(each.sum(axis=1), by_sklearn, rtol=1e-4, atol=1e-9)

# %% [markdown]
# The cell above compares this with scikit-learn's `PCA`. Two nulls stand beside the shares. If neurons changed
# independently of each other, there would be no direction but those of single neurons. We get there by
# permuting each neuron's differences over the tokens of the first half {cite:p}`horn1965rationale`. The
# second is the control: the directions in which the child's activations go when the site is lost.

# %% tags=["hide-input"]
fit = rng.permutation(n_groups)[group] % 2 == 0
shares, found = {}, {}


def held_out(difference, mu, u):
    """Shares that directions explain on the other half, summed up one by one, in all draws."""
    each, all_of_it = explained(difference[~fit], mu, u)
    size, of = drawn.shape[1], document[~fit]
    top = np.cumsum([np.bincount(of, part, size) for part in each], axis=0)
    below = np.bincount(of, all_of_it, size)
    times = np.vstack([np.ones(size), drawn])
    whole, *in_draws = (times @ top.T) / (times @ below)[:, None]
    return whole, np.array(in_draws)


def mean_share(difference):
    """The share of the squared difference that is the same for every token."""
    by_document = [np.bincount(document, x, drawn.shape[1]) for x in difference.T.astype(float)]
    size = np.bincount(document, (difference.astype(float) ** 2).sum(axis=1), drawn.shape[1])
    length = np.bincount(document, minlength=drawn.shape[1])
    times = np.vstack([np.ones(drawn.shape[1]), drawn])
    summed, n = times @ np.transpose(by_document), times @ length
    share = (summed**2).sum(axis=1) / n / (times @ size)
    return Interval(float(share[0]), *around(share[1:]))


for a, b in compared:
    difference = acts[b] - acts[a]
    mu, u = found[a, b] = main_directions(difference[fit])
    shares[a, b] = held_out(difference, mu, u)
    if (a, b) in edges:
        apart = rng.permuted(difference[fit], axis=0)
        shares[a, b, "permuted"] = held_out(difference, *main_directions(apart))
        results |= flat(f"look.{a}_{b}.mean_share", mean_share(difference))
for a, b in edges:
    if (a, b) in drawable:
        whole, in_draws = shares[a, b]
        for count in (1, len(whole)):
            name = f"look.{a}_{b}.directions_{count}"
            share = Interval(float(whole[count - 1]), *around(in_draws[:, count - 1]))
            results |= flat(name, share)
            results[f"{name}.permuted"] = float(shares[a, b, "permuted"][0][count - 1])
            if (b, f"{b}.control") in shares:
                results[f"{name}.control"] = float(shares[b, f"{b}.control"][0][count - 1])

# %% tags=["hide-input"]
if drawable:
    figure, axes = style.panels(len(drawable), 2.1)
    for axis, (a, b) in zip(axes, drawable, strict=True):
        whole, in_draws = shares[a, b]
        steps = np.arange(1, len(whole) + 1)
        low, high = np.quantile(in_draws, [0.025, 0.975], axis=0)
        axis.fill_between(steps, low, high, color=style.colour_of(b), alpha=0.25, lw=0)
        axis.plot(steps, whole, color=style.colour_of(b), marker="o", ms=3)
        axis.plot(steps, shares[a, b, "permuted"][0], color=style.GREY, ls=":")
        axis.plot(steps, shares[b, f"{b}.control"][0], color=style.GREY, ls="--", lw=1.5)
        axis.set(title=style.pair_label(a, b), ylim=(0, 1))
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    figure.supxlabel("directions", fontsize=11)
    figure.supylabel("share of the difference", fontsize=11)
    marks = [
        Line2D([], [], color=style.colour_of(drawable[0][1]), label="child (its colour)"),
        Line2D([], [], color=style.GREY, ls="--", label="control"),
        Line2D([], [], color=style.GREY, ls=":", label="neurons apart"),
    ]
    figure.legend(handles=marks, loc="outside upper center", ncols=3)
    show(
        figure,
        "Share of the difference between child and parent that the first directions explain together, on "
        "text on which they weren't chosen; bands: 95 % over groups of documents. Dashed: the same for "
        "the child and its control. Dotted: directions found after permuting each neuron by itself.",
        "fig-directions",
        "Rising curves of explained share, one panel an edge, with two grey curves beside each",
    )

# %% tags=["remove-input"] jupyter={"source_hidden": true}
for a, b in drawable[:1]:
    first, several = (estimate(results, f"{key}.directions_{n}") for n in (1, len(shares[a, b][0])))
    name = f"{key}.directions_{len(shares[a, b][0])}"
    say(
        f"Along {style.pair_label(a, b)} {with_interval(estimate(results, f'{key}.mean_share'))} of the squared difference "
        "is the same for every token. Of the rest the first direction explains "
        f"{with_interval(first)}, and the first {len(shares[a, b][0])} together {with_interval(several)}. "
        f"A random direction would explain {percent(1 / wide[a], 1)}. "
        + verdict(
            several,
            results[f"{name}.permuted"],
            below="If neurons changed each by itself it would be more: nothing speaks for directions here.",
            above=f"If neurons changed each by itself, it would be {percent(results[f'{name}.permuted'])}: "
            "they change together.",
            unclear="If neurons changed each by itself, it might be as much.",
        )
        + " "
        + verdict(
            several,
            results[f"{name}.control"],
            below="But losing the site is a change in fewer directions still.",
            above="Losing the site spreads over more directions.",
            unclear="Losing the site isn't clearly more spread.",
        )
    )


# %% [markdown]
# ## What a direction says
#
# A direction has a meaning for the model if it changes what the model says. So we push the child's
# activations along it, at every token, by one standard deviation $\sigma_k$ of the difference there, forth and
# back:
#
# $$e_k = \frac1{2n} \sum_t \bigl(\text{logits}_t(x_t + \sigma_k u_k) - \text{logits}_t(x_t - \sigma_k u_k)\bigr) ,$$
#
# less its mean over the vocabulary. This works at any site of any model. The sign of a direction is
# arbitrary; we choose the one in which the difference has its longer tail.


# %%
def effect(model, push, tokens):
    """Mean change of each logit when activations are pushed along a vector of [d_in]; [vocab]."""
    push = push.to(model.device)
    forth, back = (
        read(model, tokens, lambda x, sign=sign: x + sign * push)[0][:, 1:] for sign in (1, -1)
    )
    change = (forth - back).cpu().double().mean(dim=(0, 1)).numpy() / 2
    return change - change.mean()


# %% tags=["hide-input"]
PUSHED = 2  # blocks of each domain
some = np.concatenate([np.flatnonzero(mix.domain == n)[:PUSHED] for n in range(len(mix.domains))])
some = torch.from_numpy(mix.tokens[some]).long()
effects, rows = {}, []


def pieces(ids):
    return HTML(", ".join(f"<code>{token_html(piece)}</code>" for piece in corpora.pieces(ids)))


for a, b in drawable:
    mu, u = found[a, b]
    along = (acts[b] - acts[a] - mu) @ u[0]
    sign = np.sign((along**3).sum()) or 1.0
    push = torch.from_numpy(sign * along.std() * u[0]).float()
    effects[a, b] = pushed = effect(models[b], push, some)
    random = torch.from_numpy(rng.standard_normal((4, len(push)))).float()
    random *= push.norm() / random.norm(dim=1, keepdim=True)
    plain = np.sqrt(np.mean([effect(models[b], one, some) ** 2 for one in random]))
    times_random = float(np.sqrt((pushed**2).mean()) / plain)
    results[f"look.{a}_{b}.effect"] = times_random
    # By size; ids beyond the tokenizer's are padding of the vocabulary.
    order = np.argsort(pushed[: len(corpora.tokenizer)])
    rows.append({"edge": style.pair_label(a, b), "raises": pieces(order[:-6:-1])})
    rows[-1] |= {"lowers": pieces(order[:5]), "effect": times_random}
if rows:
    display(
        show_table(
            pd.DataFrame(rows),
            {"effect": ".1f"},
            caption="What the first direction of the difference does to the child's next token.",
            notes={"effect": "times a random direction's"},
        )
    )

# %% tags=["remove-input"] jupyter={"source_hidden": true}
agreed = math.nan
one_layer = models[lineage.root].config.model_type == "mistral" and lineage.site == SITE
if one_layer and drawable and models[lineage.root].config.num_hidden_layers == 1:
    a, b = drawable[0]
    mu, u = found[a, b]
    along = (acts[b] - acts[a] - mu) @ u[0]
    writing = logit_effects.read_writing(run / "models" / b, site=lineage.site)._replace(
        W_dec=u[:1]
    )
    direct = logit_effects.logit_effects(writing, np.array([0]))[0] * np.sign((along**3).sum())
    agreed = float(np.corrcoef(direct, effects[a, b])[0, 1])
    untold = "" if agreed > 0.8 else " Here the weights alone don't tell what the direction writes."
    say(
        "For a model of one layer the effect can also be computed from the weights alone, as later "
        "chapters do for features: the direction times the MLP's output matrix times the unembedding. "
        "That leaves out the final norm. Over the vocabulary the two correlate by "
        f"{number(agreed)}.{untold}"
    )
    results[f"{key}.effect_r"] = agreed

# %% tags=["remove-cell"]
# A child that is its parent has no ranks and no directions.
defined = {n: None if x is None or np.isnan(x) else x for n, x in results.items()}
store.write_results(run, "first-look", defined)

# %% [markdown]
# Two caveats. A direction of the difference is not a feature. It is where much moves at once, and may
# be a mixture of many features. And a change that is rare but large in effect, a new habit after one word,
# say, has hardly any variance. For that, look at the lists of tokens and documents.
#
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
kls = {edge: estimate(results, "look.{}_{}.kl".format(*edge)) for edge in edges}
far, near = (f(kls, key=lambda edge: kls[edge].estimate) for f in (max, min))
say(
    "Without any dictionary we know how much a child says differently, after which tokens, and whether its "
    "activations have moved together. "
    + (
        f"In this lineage predictions differ most along {style.pair_label(*far)} "
        f"({with_interval(kls[far], 2, share=False)} nats a token) and least along "
        f"{style.pair_label(*near)} ({with_interval(kls[near], 2, share=False)}). "
        if far != near
        else f"The KL is {with_interval(kls[far], 2, share=False)} nats a token. "
    )
    + "What this look can't give is a list of the things that were kept, lost or learned. That takes "
    "[dictionaries](sae), which come next."
)

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# The KL has a direction. What is it from the *parent* to the child along the first edge, in nats a token?
# You have `models`, `read` and `kl`. Take the first 8 blocks of `mix.tokens` and leave out the first position.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
reversed_kl = torch.cat(backward)[: 8 * (context - 1)].cpu().double().mean().item()

# %%
answer = ...  # nats a token
check(answer, reversed_kl)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
tokens = torch.from_numpy(mix.tokens[:8]).long()
p, q = (softmax(read(models[name], tokens)[0][:, 1:].cpu().numpy(), axis=-1) for name in focus)
answer = rel_entr(p.astype(float), q).sum(axis=-1).mean()
check(answer, reversed_kl)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# A token was read 3 times, and the mean KL after it was 2 nats. The mean of all tokens is 0.5 nats, the
# variance within a token is 1, that between tokens 0.1. What is its shrunken mean?
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
drawn_in = 0.5 + (2 - 0.5) * 3 / (3 + 1 / 0.1)

# %%
answer = ...  # nats
check(answer, drawn_in)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = (3 * 2 + 10 * 0.5) / 13  # k = 1 / 0.1 = 10
check(answer, drawn_in)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# A fine-tune on chat has taught a model to end its answers. Which of this chapter's pictures would show
# it, and which hardly?
# :::
#
# :::{dropdown} Answer
# The end of an answer is one token among many. The list of tokens shows it, if the texts hold answers
# at all. The mean KL and the first directions hardly do, since they are sums over all tokens.
# :::
