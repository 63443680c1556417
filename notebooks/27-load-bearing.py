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
# # Do the features that persist carry more?
#
# A feature may persist and yet do nothing, and one that disappears may have carried a lot. So far we have
# asked when features are *active*. Now we take them out of the model and look what becomes of its
# predictions.
#
# **You will learn** to ablate a set of features beside a matched one, whether persisting features are more
# *load-bearing* than others, and why two features can change the predictions at the same tokens
# and still do different things. **You need** [the counts](tracking) and [their two ends](ceilings).
# **It takes** fifteen minutes, and as long for the exercises.

# %% tags=["hide-input"]
import re
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.lines import Line2D
from safetensors.numpy import load_file
from scipy import sparse
from scipy.sparse.csgraph import maximum_bipartite_matching

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features
from featrack_utils.display import style
from featrack_utils.display.text import check, count, number, say, show, verdict, with_interval
from featrack_utils.lineage import label
from featrack_utils.matching import classes, flow
from featrack_utils.matching.best_matches import open_matches
from featrack_utils.matching.correlation import correlations
from featrack_utils.models import capture, loading
from featrack_utils.pipeline import store
from featrack_utils.statistics import bootstrap
from featrack_utils.statistics.intervals import UNDEFINED, Interval, around
from featrack_utils.statistics.persistence import flat

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of sets, pairs, tokens and of the bootstrap
context = 128  # tokens; paper: 256
evaluation_blocks = 140  # validation blocks per domain on which features were measured
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
replicates = 200  # bootstrap draws over groups of documents
set_size = 150  # features that are ablated together, fewer where there aren't so many
set_draws = 3  # such sets of each kind
factor = 1.25  # two matched features differ by this at most, in density and in length
ablated_tokens = 1_000  # of each domain, on which sets are ablated
pairs = 32  # matched pairs of each kind whose effects are compared
pair_tokens = 128  # of the tokens at which one of a pair is active

# %% [markdown]
# ## Taking features out
#
# The activation $x$ is what the dictionary makes of it, $\hat x$, and an error. To {term}`ablate <ablation>` a set
# $S$ of features, subtract what they write and leave all else, the error included, as it is:
#
# $$x' = x - \sum_{i \in S} f_i(x)\, W_{\text{dec},i}, \qquad
#   \Delta\text{CE} = \text{CE}(x') - \text{CE}(x).$$
#
# CE is the loss at the next token. Where $\Delta\text{CE}$ is above zero, the set was of use there. The
# plain way is a hook that subtracts.


# %%
def logits_without(model, tokens, removed):
    """The whole model's logits, with `removed` [batch, context, d_in] taken from the site."""
    module, reads = capture.plain_module(model, lineage.site)

    def less(given):
        if isinstance(given, tuple):
            return (less(given[0]), *given[1:])
        return given - removed.reshape(given.shape)

    if reads:
        hook = module.register_forward_pre_hook(lambda _, given: less(given))
    else:
        hook = module.register_forward_hook(lambda _, given, out: less(out))
    with torch.no_grad():
        logits = model(input_ids=tokens, use_cache=False).logits
    hook.remove()
    return logits


# %% [markdown]
# In the last block's MLP no later token reads what is written. There only the *tail* of the model is left
# to compute: we keep the residual stream, subtract what reaches it, and unembed. That works at single
# tokens, so we can spread them over all documents. Elsewhere whole blocks of text take their place.


# %% tags=["hide-input"]
# The last norm's name in all families.
FINAL_NORM = r"(?:\w+\.)?(?:norm|ln_f|final_layer_?norm)"


class Tail(NamedTuple):
    """What is left to compute behind a site that no later token reads.

    A token's logits follow from its residual stream at the end of the last block, so what a
    feature writes there can be subtracted without running the model again.
    """

    write: Any  # from the site into the stream; None: it is written as it is
    norm: Any
    unembed: Any

    @classmethod
    def of(cls, model, site):
        """A model's; None for a site before or in attention, or behind which more is done."""
        config = model.config.get_text_config()
        _, layer, hook = site.split(".", 2)
        named = dict(model.base_model.named_modules())
        norms = [module for name, module in named.items() if re.fullmatch(FINAL_NORM, name)]
        if (
            int(layer) + 1 < config.num_hidden_layers
            or "attn" in hook
            or len(norms) != 1
            or any("post_feedforward" in name for name in named)
            or getattr(config, "final_logit_softcapping", None)
        ):
            return None
        module, reads = capture.plain_module(model, site)
        return cls(module if reads else None, norms[0], model.get_output_embeddings())

    @torch.no_grad()
    def logits(self, stream, removed):
        """Logits with `removed` [n, d_in] taken from the site, of a stream [n, d_model]."""
        if self.write is not None:  # without its bias, if it has one
            removed = self.write(removed) - self.write(torch.zeros_like(removed[:1]))
        return self.unembed(self.norm(stream - removed))


# %% tags=["hide-input"]
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
matches = open_matches(run)
first = {model: matches.names[model][0] for model in lineage.order}
found = features.open_named(run, first.values())
mix = features.evaluation_mix(
    {domain: corpora.validation_blocks(domain, evaluation_blocks) for domain in lineage.domains}
)
tokens = torch.from_numpy(mix.tokens).long()
assert np.array_equal(found[first[lineage.root]].tokens, mix.tokens[:, 1:].ravel())


class Reading(NamedTuple):
    """A model, its tail where it has one, and with it the stream at all positions of the mix."""

    model: Any
    tail: Tail | None
    stream: torch.Tensor | None


def read(name):
    """Reads the mix with a model of the run, up to the end of its last block."""
    model = loading.load_model(store.opened(run / "models" / name))
    tail = Tail.of(model, lineage.site)
    if tail is None:
        return Reading(model, None, None)
    end = f"blocks.{lineage.layer}.hook_resid_post"
    parts = [capture.plain_activations(model, batch, end)[:, 1:] for batch in tokens.split(16)]
    return Reading(model, tail, torch.cat(parts).flatten(0, 1))


def decoder(name):
    """What each feature of a dictionary writes, [d_sae, d_in]."""
    return load_file(store.opened(run / "saes" / name) / "sae_weights.safetensors")["W_dec"]


W_dec = {model: decoder(name) for model, name in first.items()}

# %%
root = read(lineage.root)
acts = found[first[lineage.root]].acts[: context - 1]  # of the first block
removed = torch.from_numpy(acts @ W_dec[lineage.root])[None]
slowly = logits_without(root.model, tokens[:1], F.pad(removed, (0, 0, 1, 0)))[0, 1:]
if root.tail is not None:
    quickly = root.tail.logits(root.stream[: context - 1], removed[0])
    assert torch.allclose(quickly, slowly, atol=1e-3)

# %% [markdown]
# ## Against what?
#
# A set of features that are active everywhere and write a lot carries a lot. That says nothing about
# persisting. So each set stands beside a {term}`matched set`: as many features of
# the same dictionary, paired by {term}`density` and by *length*. The length is that of what a feature writes where
# it is active, $\sqrt{\overline{f_i^2}}\; \lVert W_{\text{dec},i} \rVert$. (All decoder rows have
# length one, so that alone would match nothing.) We take as many pairs as there are.


# %%
def matched(of, among, measures, rng):
    """Pairs of features, as many as there can be, no measure further apart than by `factor`."""
    of, among = (rng.permutation(np.flatnonzero(mask)) for mask in (of, among))
    apart = [np.abs(np.log(each[of])[:, None] - np.log(each[among])) for each in measures]
    near = sparse.csr_matrix(np.max(apart, axis=0) <= np.log(factor))
    partner = maximum_bipartite_matching(near, perm_type="column")
    return of[partner >= 0], among[partner[partner >= 0]]


def density_and_length(acts, W_dec):
    """Share of positions at which each feature is active, and the length of what it writes."""
    times = np.maximum(acts.getnnz(axis=0), 1)
    squares = np.asarray(acts.power(2).sum(axis=0)).ravel() / times
    return times / acts.shape[0], np.sqrt(squares) * np.linalg.norm(W_dec, axis=1)


# %% [markdown]
# These are the sets. Each is compared with features that are just *not* of its kind:
#
# - along each {term}`edge`, in the parent: **persisting** against disappearing features;
# - in the child: **emerging** features against those that have a match in the parent;
# - in each model: **universal** features, with a {term}`chain <universal chain>` through all models,
#   against all others;
# - in each model: {term}`reproducible` features, those that its own other dictionaries have, against all
#   others. Nothing happened between these dictionaries. What they show as well is no effect of tuning.
#
# Of a group of {term}`copies <copy>` one is taken, for each would cover for the other. All sets are equally
# large.

# %% tags=["hide-input"]
best = {(a, b): matches.best[first[a], first[b]] for a, b in {*lineage.edges, *flow.steps(lineage)}}
universal = flow.in_chains(lineage, best, matches.tau)
kinds = {}  # (kind, place): the model and which of its features
for a, b in lineage.edges:
    along = matches.tracking(first[a], first[b])
    kinds["persisting", f"{a}_{b}"] = (a, along.parent == "persisting")
    kinds["emerging", f"{a}_{b}"] = (b, along.child == "emerging")
for model, name in first.items():
    kinds["universal", model] = (model, universal[model])
    if others := matches.names[model][1:]:
        again = np.min([matches.best[name, other].a_best_r for other in others], axis=0)
        kinds["reproducible", model] = (model, again > matches.tau)


def one_of_each(name, rng):
    """Eligible features of a dictionary, one of each group of its copies."""
    able = rng.permutation(np.flatnonzero(matches.eligible[name]))
    group = matches.copies[name].group[able]
    _, chosen = np.unique(np.where(group < 0, -1 - able, group), return_index=True)
    return np.isin(np.arange(matches.eligible[name].size), able[chosen])


rng = np.random.default_rng(seed)
measures = {m: density_and_length(found[name].acts, W_dec[m]) for m, name in first.items()}
drawn = {}
for kind, (model, mask) in kinds.items():
    for _ in range(set_draws):
        once = one_of_each(first[model], rng)
        two = matched(mask & once, ~mask & once, measures[model], rng)
        drawn.setdefault(kind, []).append(np.stack(two)[:, rng.permutation(len(two[0]))])
fewest = {kind: min(each.shape[1] for each in sets) for kind, sets in drawn.items()}
# All sets are as small as the smallest, so a kind with far fewer pairs than most is left out.
least = max(2, np.median([*fewest.values()]) / 5)
size = min([set_size, *(n for n in fewest.values() if n >= least)])
sets = {k: [each[:, :size] for each in drawn[k]] for k, n in fewest.items() if n >= least}

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"That gives sets of {count(size)} features, {count(set_draws)} of each kind, and as many that are "
    f"matched. In {count(len(kinds) - len(sets))} of {count(len(kinds))} cases there are too few pairs."
)

# %% [markdown]
# ## What they carry
#
# Each set is ablated on the same tokens, at which its model's predictions without ablation are known. Beside
# $\Delta\text{CE}$ we keep the {term}`KL` from the ablated to the untouched prediction. It says how far a
# prediction moves, for better or worse.

# %% tags=["hide-input"]
one = found[first[lineage.root]]
place = np.arange(len(one.tokens)) % (context - 1)
known = place < context - 2  # the next token is in the block
rows = []
for domain in range(len(lineage.domains)):
    here = np.flatnonzero((one.domain == domain) & known)
    if root.tail is None:
        here = np.flatnonzero(one.domain == domain)
        blocks = np.linspace(0, len(here) // (context - 1), -(-ablated_tokens // context) + 1)
        wanted = np.isin(here // (context - 1) - here[0] // (context - 1), blocks[:-1].astype(int))
        rows.append(here[wanted])
    else:
        rows.append(np.sort(rng.choice(here, min(ablated_tokens, len(here)), replace=False)))
rows = np.concatenate(rows)
following = torch.from_numpy(np.roll(one.tokens, -1)[rows]).long()
asked = known[rows]
domain_of = one.domain[rows][asked]
draws = bootstrap.draw(one.at(rows[asked]), {}, replicates, seed).documents
picked = rng.multinomial(set_draws, np.full(set_draws, 1 / set_draws), replicates) / set_draws


# %%
def log_probabilities(reading, removed):
    """Of the token after each of `rows`, in parts; `removed` [n_rows, d_in] is taken out."""
    if reading.tail is not None:
        for stream, part in zip(reading.stream[rows].split(1024), removed.split(1024), strict=True):
            yield reading.tail.logits(stream, part).log_softmax(-1)
        return
    blocks = tokens[np.unique(rows // (context - 1))]
    each = removed.reshape(len(blocks), context - 1, -1)
    for batch, part in zip(blocks.split(8), each.split(8), strict=True):
        logits = logits_without(reading.model, batch, F.pad(part, (0, 0, 1, 0)))
        yield logits[:, 1:].flatten(0, 1).log_softmax(-1)


def effect(reading, removed, untouched):
    """Loss at each of `rows` and KL to the untouched prediction, [2, n_rows] in nats."""
    parts = []
    targets = following.split([len(part) for part in untouched])
    changed = log_probabilities(reading, removed)
    for before, after, target in zip(untouched, changed, targets, strict=True):
        loss = F.nll_loss(after, target, reduction="none")
        parts.append(torch.stack([loss, (before.exp() * (before - after)).sum(-1)]))
    return torch.cat(parts, dim=1).double().numpy()


# %% tags=["hide-input"]
effects, written = {}, {}  # (kind, place): [draws, set or matched, loss or KL, tokens]; squares
everything = {}  # model: ΔCE at each token without all that its dictionary writes
for model in lineage.order:
    reading, acts = root if model == lineage.root else read(model), found[first[model]].acts[rows]
    nothing = torch.zeros(len(rows), W_dec[model].shape[1])
    untouched = list(log_probabilities(reading, nothing))
    clean = effect(reading, nothing, untouched)
    all_out = effect(reading, torch.from_numpy(acts @ W_dec[model]), untouched)
    everything[model] = np.repeat((all_out - clean)[None, 0][:, asked], set_draws, axis=0)
    for kind in [kind for kind in sets if kinds[kind][0] == model]:
        taken = [[acts[:, s] @ W_dec[model][s] for s in two] for two in sets[kind]]
        each = [[effect(reading, torch.from_numpy(x), untouched) for x in two] for two in taken]
        effects[kind] = (np.array(each) - clean)[..., asked]
        written[kind] = np.mean([[np.square(x).sum() for x in two] for two in taken], axis=0)
    if model == lineage.root:
        kept_untouched = untouched  # for an exercise


def mean(values, of=None):
    """Over tokens and draws of sets [set_draws, n], with a 95 % interval; of one domain, or all."""
    here = np.ones(values.shape[1], bool) if of is None else domain_of == of
    weights = draws[:, one.origin[rows][asked][here]]
    each = (weights @ values[:, here].T) / weights.sum(axis=1, keepdims=True)
    return Interval(values[:, here].mean(), *around((each * picked).sum(axis=1)))


# %% tags=["hide-input"]
def all_means(kind, of=None):
    """ΔCE of a kind's sets and of the matched ones, and their difference."""
    loss = effects[kind][:, :, 0]
    return [mean(each, of) for each in (loss[:, 0], loss[:, 1], loss[:, 0] - loss[:, 1])]


results = {"ablate.set_size": size, "ablate.kinds": len(sets)}
carried = {kind: all_means(kind) for kind in effects}
by_domain = {
    (*kind, domain): all_means(kind, of)
    for kind in effects
    for of, domain in enumerate(lineage.domains)
}
groups = {
    "along an edge": [f"{a}_{b}" for a, b in lineage.edges],
    "in a model": list(lineage.order),
}
LOOKS = {
    "persisting": ("o", "persisting − disappearing"),
    "emerging": ("D", "emerging − matched in the parent"),
    "universal": ("s", "universal − others"),
    "reproducible": ("^", "reproducible − others"),
}
figure = style.Figure(
    figsize=(style.WIDTH, 0.42 * sum(map(len, groups.values())) + 2.4), layout="constrained"
)
axes = figure.subplots(2, sharex=True, height_ratios=[len(each) for each in groups.values()])
for axis, places in zip(axes, groups.values(), strict=True):
    for kind, (marker, _) in LOOKS.items():
        shown = [(i, carried[kind, at][2]) for i, at in enumerate(places) if (kind, at) in carried]
        for i, more in shown:
            y = i + (0.16 if kind in ("emerging", "reproducible") else -0.16)
            colour = style.colour_of(places[i].split("_")[-1])
            axis.hlines(y, more.low, more.high, color=colour)
            axis.plot(more.estimate, y, marker, color=colour, ms=6)
    axis.axvline(0, color="black", lw=1)
    names = [style.pair_label(at) if "_" in at else label(at) for at in places]
    axis.set(yticks=range(len(places)), yticklabels=names, ylim=(len(places) - 0.5, -0.5))
    axis.grid(axis="y", visible=False)
axes[-1].set_xlabel(
    "ΔCE of the set less that of its matched set, nats per token\n(right: the set carries more)"
)
marks = [Line2D([], [], color=style.GREY, marker=m, ls="", label=w) for m, w in LOOKS.values()]
figure.legend(handles=marks, loc="outside upper center", ncols=2, handletextpad=0.3)
show(
    figure,
    f"How much more loss it costs to ablate {count(size)} features of a kind than {count(size)} others that "
    "are active as often and write as much. 95 % intervals over groups of documents and sets.",
    "fig-load",
    "Differences in loss of ablated sets, for each edge and each model, around a line at zero",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
TITLES = {
    "persisting": "Persisting features",
    "emerging": "Emerging features",
    "universal": "Universal features",
    "reproducible": "Reproducible features",
}


def tally(kind):
    """How many of a kind's differences lie clearly above and clearly below zero."""
    gaps = [three[2] for (each, _), three in carried.items() if each == kind]
    return sum(gap.low > 0 for gap in gaps), sum(gap.high < 0 for gap in gaps), len(gaps)


lines = []
for kind, title in TITLES.items():
    more, less, n = tally(kind)
    if n:
        lines.append(
            f"- {title} carry clearly more in {more} of {n} places, clearly less in {less}."
        )
say("In {numref}`fig-load`:", "\n".join(lines))
a, b = lineage.edges[0]
if at_first := carried.get(("persisting", f"{a}_{b}")):
    own, other, apart = (with_interval(each, 4, share=False) for each in at_first)
    say(
        f"Along {style.pair_label(a, b)} the persisting sets cost {own} nats a token, the disappearing ones "
        f"{other}; the difference is {apart}. "
        + verdict(
            at_first[2],
            0,
            below="So those that disappear carry more.",
            above="So those that persist carry more.",
            unclear="Which of the two carries more can't be told.",
        )
    )
whole = with_interval(mean(everything[lineage.root]), 2, share=False)
say(
    f"All that {label(lineage.root)}'s dictionary writes is worth {whole} nats a token, so a few features "
    "can't be worth much. One in twenty such intervals lies beside zero by chance alone."
)

# %% [markdown]
# On which text? A set may be of use in one {term}`domain` and do harm in another.

# %% tags=["hide-input"]
figure, axes = style.panels(len(lineage.domains), 0.4 * len(lineage.edges) + 0.9)
for axis, domain in zip(axes, lineage.domains, strict=True):
    for i, (a, b) in enumerate(lineage.edges):
        three = by_domain.get(("persisting", f"{a}_{b}", domain), [])
        looks = ((style.colour_of(b), "o", -0.16), (style.GREY, "D", 0.16))
        for each, (colour, marker, shift) in zip(three, looks, strict=False):
            axis.hlines(i + shift, each.low, each.high, color=colour)
            axis.plot(each.estimate, i + shift, marker, color=colour, ms=5)
    axis.axvline(0, color="black", lw=1)
    axis.set(title=label(domain), ylim=(len(lineage.edges) - 0.5, -0.5))
    axis.set_yticks(range(len(lineage.edges)), [style.pair_label(*edge) for edge in lineage.edges])
    axis.grid(axis="y", visible=False)
figure.supxlabel("ΔCE, nats per token (right: of use there)", fontsize=11)
marks = [
    Line2D([], [], color=style.GREY, marker=m, ls="", label=w, mfc=f)
    for m, w, f in (
        ("o", "persisting (in the child's colour)", "white"),
        ("D", "disappearing", style.GREY),
    )
]
figure.legend(handles=marks, loc="outside upper center", ncols=2)
show(
    figure,
    "What the persisting features of each parent carry on each kind of text, and what as many "
    "disappearing ones do that are matched in density and length. 95 % intervals.",
    "fig-load-domains",
    "A panel for each domain with two dots for each edge",
)

# %% [markdown]
# ## How much of it is what they write together?
#
# Features that are matched one by one needn't be matched as a set. Where two of a set are active at one
# token and write alike, more is taken out than the sum of their squares. So we compare two ratios, each of
# the set to its matched one: of the squared length of what is taken out, and of the {term}`KL`. On the
# diagonal of the next figure a set moves predictions just as far as what it writes lets one expect.

# %% tags=["hide-input"]


def ratios_of(kind):
    """Of what is taken out, and of the KL, each the set's over the matched one's; NaN of nothing."""
    kl = effects[kind][:, :, 1].mean(axis=(0, 2))
    return [x / y if min(x, y) > 0 else np.nan for x, y in (written[kind], kl)]


ratios = {kind: ratios_of(kind) for kind in effects}
figure, axis = style.single(3.6)
for kind, (marker, words) in LOOKS.items():
    points = np.array([two for (each, _), two in ratios.items() if each == kind]).reshape(-1, 2)
    axis.plot(*points.T, marker, ms=7, label=words.replace("−", "/"), alpha=0.8)
line = [pick([1, *np.ravel([*ratios.values()])]) for pick in (np.nanmin, np.nanmax)]
axis.plot(line, line, color="black", lw=1)
axis.axhline(1, color=style.GREY, ls=":", lw=1)
axis.axvline(1, color=style.GREY, ls=":", lw=1)
axis.set(xscale="log", yscale="log")
for side in (axis.xaxis, axis.yaxis):
    side.set_major_formatter("{x:g}")
    side.set_minor_formatter("{x:g}")
axis.set(xlabel="ratio of what is taken out (squared length)", ylabel="ratio of the KL")
figure.legend(loc="outside upper center", ncols=2, handletextpad=0.3)
show(
    figure,
    "Each dot is a kind of feature along one edge or in one model, beside its matched set. To the right "
    "more is taken out, above predictions move farther. The line: as far as what is taken out.",
    "fig-load-written",
    "Ratios of KL against ratios of the squared length taken out, around a diagonal",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
told = []
for kind, title in TITLES.items():
    if two := [two for (each, _), two in ratios.items() if each == kind]:
        taken, moved = np.exp(np.log(two).mean(axis=0))
        results[f"ablate.{kind}.written_ratio"], results[f"ablate.{kind}.kl_ratio"] = taken, moved
        told.append(
            f"- {title}: {number(taken)} times as much is taken out, predictions move {number(moved)} "
            f"times as far; for the same amount {number(moved / taken)} times."
        )
say("Beside their matched sets, as geometric means over edges or models:", "\n".join(told))

# %% [markdown]
# ## Do two matched features do the same?
#
# Features match if they are *active* alike. Does each do to its own model what the other does? We ablate
# one feature of the parent in the parent, its match in the child, at the same tokens (at least one of
# the two is active there). Two measures compare what happens, $p$ being a model's prediction and $p'$
# its prediction without the feature:
#
# - **where**: Pearson's $r$ over tokens between the two models' $\text{KL}(p \,\Vert\, p')$;
# - **what**: the cosine between the two models' changes $p' - p$, the mean over tokens at which both are
#   active.
#
# Beside the child stand the parent's other dictionary (the {term}`ceiling`) and the child with a
# {term}`random MLP` (the {term}`floor`). And we test the measures: the match keeps its activations, but
# writes what *another* feature of the child, drawn at random, does. Whatever still looks alike tells
# nothing about what features do.


# %%
def alone(source, feature, at, writes=None):
    """KL and change of the prediction at some positions, a feature ablated; and its activations."""
    acts, W_dec, reading = source
    strength = acts[:, [feature]].toarray().ravel()[at]
    write = W_dec[feature] if writes is None else W_dec[writes]
    removed = torch.from_numpy(np.float32(strength[:, None] * write))
    logits = [reading.tail.logits(reading.stream[at], x) for x in (0 * removed, removed)]
    before, after = (each.log_softmax(-1) for each in logits)
    kl = (before.exp() * (before - after)).sum(-1).double().numpy()
    return kl, after.exp() - before.exp(), strength


def alike(one, other):
    """r of the KL of two ablations over tokens, and the mean cosine of the changes."""
    both = (one[2] > 0) & (other[2] > 0)
    cosine = F.cosine_similarity(one[1], other[1], dim=-1).numpy()[both]
    constant = min(one[0].std(), other[0].std()) < 1e-12
    r = np.nan if constant else np.corrcoef(one[0], other[0])[0, 1]
    return r, cosine.mean() if both.any() else np.nan


# %% tags=["hide-input"]
def compared(source, target, best):
    """`alike` of matched pairs drawn at random, [n, 2]; with another's writing; and how they match."""
    rng = np.random.default_rng(seed)
    able = np.flatnonzero(best.a_candidates & (best.a_best_r > matches.tau))
    found, swapped = [], []
    for i in rng.choice(able, min(pairs, len(able)), replace=False):
        j = int(best.a_best_index[i])
        active = np.union1d(source[0][:, [i]].indices, target[0][:, [j]].indices)
        at = np.sort(rng.choice(active, min(pair_tokens, len(active)), replace=False))
        here = alone(source, i, at)
        found.append(alike(here, alone(target, j, at)))
        swapped.append(alike(here, alone(target, j, at, rng.integers(len(target[1])))))
    chosen = best.a_best_r[able].mean() if len(able) else np.nan
    return np.array(found).reshape(-1, 2), np.array(swapped).reshape(-1, 2), chosen


def source_of(name, model):
    """A dictionary's activations, column by column, what it writes, and the model it is of."""
    if model not in readings:
        readings[model] = read(model)
    each = found[name] if name in found else features.open_named(run, [name])[name]
    return each.acts.tocsc(), decoder(name), readings[model]


readings = {lineage.root: root}
compared_pairs = {}
for a, b in lineage.edges if root.tail is not None else []:
    parent, control = source_of(first[a], a), f"{b}.mlp-0"
    compared_pairs[a, b] = compared(parent, source_of(first[b], b), best[a, b])
    if len(matches.names[a]) > 1 and (a, a) not in compared_pairs:
        again = matches.names[a][1]
        compared_pairs[a, a] = compared(parent, source_of(again, a), matches.best[first[a], again])
    random = features.open_named(run, [control])[control]
    able = classes.eligible(random.acts, random.origin, min_positions, min_documents)
    masks = {"eligible_a": matches.eligible[first[a]], "eligible_b": able}
    floor = correlations(found[first[a]].acts, random.acts, floor=matches.tau, **masks)
    compared_pairs[a, control] = compared(parent, source_of(control, control), floor)
    readings.pop(control)


def over_pairs(values):
    """Mean over pairs with its interval, pairs resampled; and the replicates. NaN of none."""
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return UNDEFINED, np.full(replicates, np.nan)
    chosen = rng.integers(len(values), size=(replicates, len(values)))
    each = values[chosen].mean(axis=1)
    return Interval(values.mean(), *around(each)), each


# %% tags=["hide-input"]
MEASURES = ("where", "what")
no_pairs = (np.empty((0, 2)), np.empty((0, 2)), np.nan)
stands = {}  # (edge, measure): child, ceiling, floor, swapped, each with replicates
for a, b in lineage.edges if compared_pairs else []:
    places = [
        compared_pairs[a, b],
        compared_pairs.get((a, a), no_pairs),
        compared_pairs[a, f"{b}.mlp-0"],
    ]
    for k, measure in enumerate(MEASURES):
        each = [place[0][:, k] for place in places] + [places[0][1][:, k]]
        stands[a, b, measure] = [over_pairs(values) for values in each]

ROLES = (
    ("o", None, "match in the child"),
    ("D", "black", "parent's other dictionary"),
    ("s", style.GREY, "random MLP"),
    ("x", "#D55E00", "child, writing swapped"),
)
figure = style.Figure(figsize=(style.WIDTH, 0.6 * len(lineage.edges) + 1.6), layout="constrained")
axes = figure.subplots(1, 2, sharey=True, sharex=True)
for axis, measure in zip(axes, MEASURES, strict=True):
    for i, (a, b) in enumerate(lineage.edges):
        for k, (mean_of, _) in enumerate(stands.get((a, b, measure), [])):
            marker, colour, _ = ROLES[k]
            colour = colour or style.colour_of(b)
            y = i + 0.18 * (k - 1.5)
            axis.hlines(y, mean_of.low, mean_of.high, color=colour)
            axis.plot(mean_of.estimate, y, marker, color=colour, ms=5, mew=2)
    axis.grid(axis="y", visible=False)
    axis.set(ylim=(len(lineage.edges) - 0.5, -0.5))
    axis.set_yticks(range(len(lineage.edges)), [style.pair_label(*edge) for edge in lineage.edges])
axes[0].set(title="where", xlabel="r of the KL over tokens")
axes[1].set(title="what", xlabel="cosine of the changes")
marks = [
    Line2D([], [], color=colour or style.GREY, marker=marker, ls="", mew=2, label=words)
    for marker, colour, words in ROLES
]
figure.legend(handles=marks, loc="outside upper center", ncols=2, handletextpad=0.3)
if stands:
    show(
        figure,
        "Matched pairs of features, each ablated in its own model. Left: do they move the predictions at the "
        "same tokens? Right: do they move them the same way? Means over pairs with 95 % intervals.",
        "fig-load-pairs",
        "Two panels: left all four marks lie close together, right they may lie apart",
    )


# %% tags=["remove-input"] jupyter={"source_hidden": true}
def rescaled(three):
    """(child − floor) / (ceiling − floor) over pairs, with its interval."""
    (child, each), (ceiling, ceilings), (floor, floors) = three
    span = ceilings - floors
    if not np.min(span) > 0:
        return UNDEFINED
    estimate = (child.estimate - floor.estimate) / (ceiling.estimate - floor.estimate)
    return Interval(estimate, *around((each - floors) / span))


def gap(edge, measure, role):
    """How much more alike pairs of parent and child are than those of another role."""
    (child, each), (other, others) = (stands[*edge, measure][k] for k in (0, role))
    return Interval(child.estimate - other.estimate, *around(each - others))


same = {edge: rescaled(stands[*edge, "what"][:3]) for edge in lineage.edges if stands}
if stands:
    edge = lineage.edges[0]
    where, what = ([one for one, _ in stands[*edge, measure]] for measure in MEASURES)

    def told(four):
        child, ceiling, floor, swapped = (with_interval(x, 2, share=False) for x in four)
        return (
            f"{child}. For the parent's other dictionary it is {ceiling}, with a random MLP {floor}, and with "
            f"swapped writing {swapped}."
        )

    say(
        f"Along {style.pair_label(*edge)} the r of the KL is {told(where)} "
        + verdict(
            gap(edge, "where", 3),
            0,
            below="So what a feature does makes no pair more alike.",
            above="So a part of this r is owed to what the features do.",
            unclear="So this r can't be told from that of a feature which does something else: it follows "
            "from the activations, which were matched in the first place.",
        ),
        f"The cosine of the changes is {told(what)} "
        + verdict(
            gap(edge, "what", 1),
            0,
            below="So matched features do less alike than those of an unchanged model.",
            above="So matched features do more alike than those of an unchanged model.",
            unclear="Whether they do less alike than those of an unchanged model can't be told.",
        ),
        verdict(
            gap(edge, "what", 2),
            0,
            below="With a random MLP they do more alike, which can only be chance.",
            above="With a random MLP features may be active at the same tokens, but do less alike.",
            unclear="Whether they do more alike than with a random MLP can't be told.",
        )
        + f" Rescaled between floor and ceiling the cosine is {with_interval(same[edge])}.",
    )
    how_close = [number(compared_pairs[pair][2]) for pair in [edge, (edge[0], f"{edge[1]}.mlp-0")]]
    say(
        f"Is it the matches that differ? The mean r of the activations is {how_close[0]} in the child and "
        f"{how_close[1]} with a random MLP."
    )
else:
    say(
        "At this run's site later tokens read what a feature writes, so that a token's prediction can't be "
        "computed alone: single features aren't ablated here."
    )

# %% tags=["remove-cell"]
for (kind, at), three in carried.items():
    rows_of = {"": three} | {f".{d}": by_domain[kind, at, d] for d in lineage.domains}
    for domain, (own, other, more) in rows_of.items():
        turned = Interval(-more.estimate, -more.high, -more.low)
        sides = {kind: (own, other, more)}
        if kind == "persisting":
            sides["disappearing"] = (other, own, turned)
        for name, figures in sides.items():
            ends = ("delta_ce", "matched_delta_ce", "difference")
            for end, each in zip(ends, figures, strict=True):
                results |= flat(f"ablate.{name}.{at}{domain}.{end}", each)
    for name, ratio in zip(("written", "kl"), ratios[kind, at], strict=True):
        results[f"ablate.{kind}.{at}.{name}_ratio"] = ratio
for (a, b, measure), four in stands.items():
    key = f"ablate.pairs.{a}_{b}.{'kl_r' if measure == 'where' else 'cosine'}"
    for end, (each, _) in zip(("", ".ceiling", ".floor", ".swapped"), four, strict=True):
        results |= flat(key + end, each)
for model, each in everything.items():
    results |= flat(f"ablate.everything.{model}.delta_ce", mean(each))
for (a, b), each in same.items():
    results |= flat(f"ablate.pairs.{a}_{b}.cosine.rescaled", each)
store.write_results(
    run, "load-bearing", {n: x for n, x in results.items() if x is not None and np.isfinite(x)}
)

# %% [markdown]
# ## What would fool us
#
# - **Dense features carry nearly everything.** Sets are matched in density for that, and in length.
# - **Sets overlap in what they write.** So copies are left out, and {numref}`fig-load-written` shows what is
#   taken out beside what that does.
# - **Most tokens say nothing.** A feature that is silent changes nothing, so over all tokens the KL of any
#   two would agree at their zeros. Pairs are asked only where one of them is active.
# - **Agreement that comes with the choice.** Pairs were chosen because they are active alike. Only what
#   swapped writing doesn't reach is a finding.
#
# One dictionary of each model is asked, that of the first seed, and one language model was trained for
# each name.

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
more, less, n = tally("persisting")
more_again, less_again, n_again = tally("reproducible")
if n:
    say(
        "Of equally frequent and equally strong features, those that persist carry clearly more of the loss "
        f"along {more} of {n} edges, and clearly less along {less}."
        + (
            " For comparison: features that another dictionary of the same model finds carry more in "
            f"{more_again} of {n_again} models, and less in {less_again}."
            if n_again
            else ""
        )
    )
if stands:
    n = len(lineage.edges)
    below = sum(gap(edge, "what", 1).high < 0 for edge in lineage.edges)
    above = sum(gap(edge, "what", 2).low > 0 for edge in lineage.edges)
    say(
        "That two matched features move predictions at the same tokens mostly follows from how they were "
        f"matched. *How* they move them is another matter: along {above} of {n} edges matched pairs do "
        f"clearly more alike than pairs with a random MLP, and along {below} clearly less alike than pairs "
        "of an unchanged model."
        + (
            " So a match says that a feature is still *read*, and not that all it does is still the same."
            if below > n / 2
            else ""
        )
    )
say("*What comes next*: [one dictionary for two models](crosscoder).")

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# Ablate the first set of persisting features along the first edge (of another kind, where this run has
# none of these): `chosen`, features of the model `model`. How large is their mean $\Delta\text{CE}$ over
# `rows[asked]`? You need `acts`, `writes` (the decoder), `reading`, `log_probabilities` and `following`.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
kind = next((kind for kind in sets if kinds[kind][0] == lineage.root), None)
model, reading, untouched = lineage.root, root, kept_untouched
chosen = sets[kind][0][0] if kind else np.array([], int)
acts, writes = found[first[model]].acts[rows], W_dec[model]
cost = effects[kind][0, 0, 0].mean() if kind else 0.0

# %%
answer = ...  # nats per token
check(answer, cost, within=1e-5)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
removed = torch.zeros(len(rows), writes.shape[1])
for i in chosen:
    removed += torch.from_numpy(acts[:, [i]].toarray() * writes[i])
p = torch.cat(list(log_probabilities(reading, removed))).exp()
q = torch.cat(untouched).exp()
answer = (q.gather(1, following[:, None]) / p.gather(1, following[:, None])).log()[asked].mean()
check(answer, cost, within=1e-5)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# How much of what this set takes out is due to features that write alike at the same tokens? Divide the
# summed squared length of what is taken out by the sum that each feature would take out alone.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
together = np.square(acts[:, chosen] @ writes[chosen]).sum()
together /= max((acts[:, chosen].power(2) @ np.square(writes[chosen]).sum(axis=1)).sum(), 1e-12)

# %%
answer = ...  # 1: they don't overlap
check(answer, together)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
active = acts[:, chosen].T @ acts[:, chosen]  # of each two features, summed over tokens
overlap = active.toarray() * (writes[chosen] @ writes[chosen].T)
answer = overlap.sum() / max(np.trace(overlap), 1e-12)
check(answer, together)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# With swapped writing a feature does something else altogether. Why does the KL still correlate?
# :::
#
# :::{dropdown} Answer
# A small change $\delta$ of the stream moves the prediction by a KL that is about quadratic in $\delta$, and
# $\delta$ is the activation times a direction. So over tokens the KL goes with the square of the
# activation, in whatever direction it is written; and activations are what was matched.
# :::
