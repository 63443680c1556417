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
# # One dictionary for two models
#
# So far each model had {term}`dictionaries <dictionary>` of its own, and their features were matched
# afterwards. A [crosscoder](method-crosscoder) {cite:p}`lindsey2024crosscoders` does it at once. It reads two models at
# the same token and learns *one* dictionary for both. Each of its {term}`latents <latent>` is active for
# both models or for none, and writes along one direction in each. Where it hardly writes in one of them,
# it seems to belong to the other alone.
#
# **You will learn** how a crosscoder is trained, how to check whether a latent really is of one model
# alone, and whether crosscoder and correlation agree on which features persist. **You need** the chapters
# on [one dictionary](sae) and on [ceilings and floors](ceilings). **It takes** twenty minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import numpy as np
import pandas as pd
import torch
from matplotlib.ticker import MaxNLocator, PercentFormatter
from scipy import sparse, stats
from torch import nn
from torch.nn.functional import embedding_bag

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features
from featrack_utils.dictionaries.activations import Buffers, activation_batches, training_mixture
from featrack_utils.display import style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import (
    check,
    count,
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
from featrack_utils.matching.classes import eligible
from featrack_utils.matching.correlation import correlations
from featrack_utils.models import loading
from featrack_utils.models.training import uses_bfloat16
from featrack_utils.pipeline import store
from featrack_utils.statistics.intervals import LEVEL, UNDEFINED, Interval, proportion
from featrack_utils.statistics.persistence import flat

style.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
root_seeds = 3  # dictionaries of the first model; paper: 1
tau = 0.8  # correlation above which two features match; paper: 0.8
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
replicates = 200  # bootstrap draws over dictionaries and features
seed = 1337  # of the first weights, the order of the text and the bootstrap
precision = "auto"  # bfloat16 where the machine multiplies it faster
context = 128  # tokens; paper: 256
expansion = 3  # features (and latents) for each neuron of an MLP; paper: 16
k = 32  # active latents a token
learning_rate = 8e-3  # of dictionaries; a crosscoder's is half that; paper: 1e-4
train_tokens = 400_000  # activations that each dictionary, and each crosscoder, reads
batch_tokens = 1024  # a step of a dictionary's; a crosscoder's reads a quarter of that
evaluation_blocks = 140  # validation blocks per domain

# %% [markdown]
# ## What a crosscoder computes
#
# Let $x^m$ be the activation of model $m$ at a token, scaled so that every model's have the same mean norm.
# The models' encoders add up to one code, and each model has a decoder of its own:
#
# $$f = \mathrm{ReLU}\Big(\sum_m x^m W^m_{enc} + b_{enc}\Big), \qquad
#   \hat x^m = f\,W^m_{dec} + b^m_{dec}.$$
#
# Of a batch of $n$ tokens only the $k\,n$ entries with the largest score are kept, so that a token has $k$
# active latents on average (*BatchTopK*, {cite:t}`bussmann2024batchtopk`). The score counts what a latent
# writes in both models together:
#
# $$v_j = f_j \sum_m \lVert W^m_{dec,j} \rVert .$$
#
# No penalty draws activations or directions towards zero. That matters here. An L1 penalty would also pull
# down the smaller of a latent's two directions, and so make latents of one model that aren't
# {cite:p}`minder2025overcoming`. Below, the models' activations stand side by side in `x`, and so do the
# directions in each row of `W_dec`. With one model, this is an ordinary dictionary.


# %%
class Crosscoder(nn.Module):
    """One dictionary for the models whose activations stand side by side, `widths` numbers each."""

    def __init__(self, widths, n_latents, seed):
        super().__init__()
        drawn = torch.Generator().manual_seed(seed)
        directions = torch.randn(n_latents, sum(widths), generator=drawn)
        directions /= directions.norm(dim=1, keepdim=True)
        self.W_dec, self.W_enc = nn.Parameter(directions), nn.Parameter(directions.T.contiguous())
        self.b_dec = nn.Parameter(torch.zeros(sum(widths)))
        self.b_enc = nn.Parameter(torch.zeros(n_latents))
        self.widths, self.threshold = widths, 0.0

    def directions(self):
        """Each model's decoder, [n_latents, width]."""
        return self.W_dec.detach().split(self.widths, dim=1)

    def norms(self):
        """The length of each latent's direction in each model, [models, n_latents]."""
        return torch.stack([each.norm(dim=1) for each in self.directions()])

    def encode(self, x):
        """Activations before any are dropped, and their scores; both [n, n_latents]."""
        f = torch.relu(x @ self.W_enc + self.b_enc).float()
        return f, f.detach() * self.norms().sum(dim=0)

    def decode(self, f, kept):
        """The reconstruction from the entries of f at the places `kept`, in rising order."""
        token, latent = kept // f.shape[1], kept % f.shape[1]
        begin = torch.searchsorted(token, torch.arange(len(f)))
        size = f.flatten()[kept]
        return (
            embedding_bag(latent, self.W_dec, begin, per_sample_weights=size, mode="sum")
            + self.b_dec
        )


# %% [markdown]
# Training is plain gradient descent on the squared error of both models, $\sum_m \lVert x^m - \hat x^m
# \rVert^2$. When the crosscoder is read later there is no batch. So the smallest score that was kept is
# averaged over the steps, and becomes a threshold.


# %%
def train(batches, widths, n_latents, *, k, steps, learning_rate, seed, fast=False):
    """A crosscoder that has learned from so many batches of activations [n, sum(widths)]."""
    coder = Crosscoder(widths, n_latents, seed)
    optimiser = torch.optim.Adam(coder.parameters(), lr=learning_rate, fused=True)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1, (step + 1) / (steps // 20 + 1), 3 * (steps - step) / steps)
    )
    for step, x in zip(range(steps), batches, strict=False):
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            f, score = coder.encode(x)
        top = score.flatten().topk(k * len(x), sorted=False)
        error = x - coder.decode(f, top.indices.sort().values)
        optimiser.zero_grad()
        error.square().sum(dim=1).mean().backward()
        optimiser.step()
        rate.step()
        coder.threshold += (top.values.min().item() - coder.threshold) * max(0.01, 1 / (step + 1))
    return coder


@torch.no_grad()
def read(coder, x):
    """The activations of a crosscoder's latents at tokens x, sparse [n, n_latents]."""
    parts = []
    for batch in x.split(1024):
        f, score = coder.encode(batch)
        parts.append(sparse.csr_matrix((f * (score >= coder.threshold)).numpy()))
    return sparse.vstack(parts, format="csr")


# %% [markdown]
# Nothing is dropped where it ought to be kept: the sparse sum of directions is that of a dense product.

# %%
small = Crosscoder([3, 2], 8, seed)
f, score = small.encode(torch.randn(50, 5, generator=torch.Generator().manual_seed(seed)))
top = score.flatten().topk(2 * 50)
mask = torch.zeros(50 * 8).scatter(0, top.indices, 1).reshape(50, 8)
dense = (f * mask) @ small.W_dec + small.b_dec
torch.testing.assert_close(small.decode(f, top.indices.sort().values), dense)

# %% [markdown]
# ## Whose is a latent?
#
# The {term}`relative norm` compares the lengths of a latent's two directions, in the parent $p$ and the
# child $c$:
#
# $$\Delta_j = \frac12\left(1 +
# \frac{\lVert W^c_{dec,j}\rVert - \lVert W^p_{dec,j}\rVert}
# {\max\big(\lVert W^c_{dec,j}\rVert, \lVert W^p_{dec,j}\rVert\big)}\right) .$$
#
# It is 0 where the latent writes in the parent alone, ½ where it writes alike in both, 1 where it writes in
# the child alone. As {cite:t}`minder2025overcoming` do, we call a latent *shared* from 0.4 to 0.6, the
# parent's *alone* below 0.1 and the child's above 0.9.


# %%
def relative_norm(coder):
    """Δ of each latent of a crosscoder, [n_latents]."""
    parent, child = coder.norms().numpy().astype(float)
    return (1 + (child - parent) / np.maximum(parent, child)) / 2


# %% [markdown]
# ## First, where the truth is known
#
# As in [calibration](calibration), we plant causes, each with events of some size at few tokens. Here each
# cause also has a direction in both models, so there are activations that dictionaries can learn from.
# Some causes work in both models, some in both but half as strong in the child, others in one alone.

# %%
STRENGTHS = {"shared": (1, 1), "weaker": (1, 0.5), "parent's": (1, 0), "child's": (0, 1)}


def plant(n_tokens, seed, each=12, width=24, density=0.03):
    """Events [n_tokens, causes], the causes' kinds, and two models' activations, side by side."""
    rng = np.random.default_rng(seed)
    kind = np.repeat([*STRENGTHS], each)
    shape = n_tokens, len(kind)
    events = rng.exponential(size=shape) * (rng.random(shape) < density)
    in_parent = rng.normal(size=(len(kind), width))
    in_child = in_parent + 0.3 * rng.normal(size=in_parent.shape)  # turned a little
    models = []
    for model, directions in enumerate((in_parent, in_child)):
        strength = np.array([STRENGTHS[one][model] for one in kind])
        unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        models.append((events * strength) @ unit + 0.02 * rng.normal(size=(n_tokens, width)))
    return sparse.csr_matrix(events), kind, torch.tensor(np.hstack(models), dtype=torch.float32)


def learn(x, widths, seed, steps=600, batch=256):
    """A small crosscoder on activations x."""
    drawn = torch.Generator().manual_seed(seed)
    batches = (x[torch.randint(len(x), (batch,), generator=drawn)] for _ in range(steps))
    return train(batches, widths, 60, k=2, steps=steps, learning_rate=2e-2, seed=seed)


# %% [markdown]
# Three dictionaries learn from the planted activations: one of the parent alone, one of the child alone,
# and a crosscoder. So both measures can be asked, and compared with the truth.

# %%
events, kind, planted = plant(20_000, seed)
width = planted.shape[1] // 2
planted_coder = learn(planted, [width, width], seed)
of_both, delta = read(planted_coder, planted), relative_norm(planted_coder)
alone = {
    model: read(learn(x, [width], seed + n), x)
    for n, (model, x) in enumerate(
        zip(("parent", "child"), planted.split(width, dim=1), strict=True)
    )
}


def judged(own, other):
    """What both measures say of one model's planted features, and what is true of them."""
    cause, match, latent = (correlations(alone[own], b) for b in (events, alone[other], of_both))
    seen = (cause.a_best_r > tau) & (latent.a_best_r > tau)
    table = {
        "kind": kind[cause.a_best_index],
        "r": match.a_best_r,
        "delta": delta[latent.a_best_index],
    }
    return pd.DataFrame(table)[seen]


truths = pd.concat(
    [judged("parent", "child"), judged("child", "parent").query("kind == 'child\\'s'")]
)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
figure, axis = style.single(3.0)
for n, (name, mine) in enumerate(truths.groupby("kind", sort=False)):
    axis.plot(mine["delta"], mine["r"], style.MARKERS[n], color=style.PALETTE[n], ms=6, label=name)
axis.axhline(tau, color="black", ls=":", lw=1)
for edge in (0.1, 0.9):
    axis.axvline(edge, color="black", ls=":", lw=1)
axis.set(xlabel="relative norm Δ", ylabel="best r in the other model", xlim=(-0.03, 1.03))
figure.legend(loc="outside upper center", ncols=4, handletextpad=0.1)
show(
    figure,
    "Planted features by both measures: the relative norm of the latent closest to a feature, and the "
    "feature's best correlation in the other model's own dictionary. Dotted: the limits of either.",
    "fig-crosscoder-planted",
    "Dots of four kinds of planted features, in three places along the horizontal axis",
)

# %% tags=["hide-input"] jupyter={"source_hidden": true}


truths["found"] = truths["r"] > tau
truths["in both"] = (truths["delta"] >= 0.1) & (truths["delta"] <= 0.9)
truths["agree"] = truths["found"] == truths["in both"]
truths["true"] = truths["kind"].isin(["shared", "weaker"])
MEASURES = {"found": "match by r", "in both": "latent of both", "agree": "measures agree"}
rows = [
    {"planted": name, "features": len(mine)}
    | {words: float(mine[column].mean()) for column, words in MEASURES.items()}
    for name, mine in truths.groupby("kind", sort=False)
]
show_table(
    pd.DataFrame(rows),
    dict.fromkeys(MEASURES.values(), ".0%"),
    "What the two measures say of planted features, of those that have a latent.",
    {"match by r": "in the other model", "latent of both": "Δ from 0.1 to 0.9"},
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
right = {name: proportion(truths[name] == truths["true"]) for name in ("found", "in both")}
agreed = proportion(truths["agree"])
weaker = {name: proportion(truths.loc[truths["kind"] == "weaker", name]) for name in right}
say(
    f"In {{numref}}`fig-crosscoder-planted` correlation is right about {with_interval(right['found'])} of "
    f"the features and the crosscoder about {with_interval(right['in both'])}. They agree on "
    f"{with_interval(agreed)}. Of causes that are weaker in the child, correlation finds "
    f"{with_interval(weaker['found'])} there, the crosscoder {with_interval(weaker['in both'])}. The "
    "correlation itself doesn't depend on strength. But in the child's own dictionary a weak cause competes "
    "with stronger ones, and may get a poor feature or none."
)

# %% [markdown]
# ## Unmasking: is it really absent?
#
# A short direction is no proof. Training may have drawn it to zero though the model has the pattern
# (*shrunken*), or given each model a latent of its own for the same thing (*decoupled*). So
# {term}`latent scaling` {cite:p}`minder2025overcoming` asks the activations. Let $d$ be the latent's
# direction in the model that has it. How large a multiple of $f_j\,d$ fits best into some vectors $y$?
#
# $$\beta_j(y) = \arg\min_\beta \sum_t \lVert \beta f_{tj}\, d - y_t \rVert^2
#   = \frac{\sum_t f_{tj}\, \langle d, y_t\rangle}{\lVert d\rVert^2 \sum_t f_{tj}^2} .$$
#
# We put in each model's error without this latent, $y = x - \hat x + f_j W_{dec,j}$, and its
# reconstruction, $y = \hat x - b_{dec}$. The ratio of the two models' scales is 1 where the pattern is as
# strong in the model that is said to lack it, and 0 where it is absent. A ratio of the errors over ½
# unmasks a shrunken latent, one of the reconstructions a decoupled one.


# %%
@np.errstate(divide="ignore", invalid="ignore")  # NaN for a latent that is never active
def scale(f, y, d):
    """Least-squares scale β of each latent's direction d [n_latents, width] in y [n, width]."""
    squares = np.asarray(f.power(2).sum(axis=0)).ravel()
    return ((f.T @ y) * d).sum(axis=1) / ((d**2).sum(axis=1) * squares)


@np.errstate(divide="ignore", invalid="ignore")
def scaling(f, x, directions, own):
    """Both ratios of each latent, as if it were of the model `own` (0 or 1) alone.

    f sparse [n, n_latents]; of each model x [n, width] less its bias, directions [n_latents, width].
    """
    d = directions[own]
    rebuilt = [f @ each for each in directions]
    error = [
        scale(f, each - again, d) + (part * d).sum(axis=1) / (d**2).sum(axis=1)
        for each, again, part in zip(x, rebuilt, directions, strict=True)
    ]
    of_rebuilt = [scale(f, again, d) for again in rebuilt]
    return error[1 - own] / error[own], of_rebuilt[1 - own] / of_rebuilt[own]


def without_bias(coder, x):
    """Each model's part of x [n, sum(widths)] less its bias, as numpy arrays."""
    return [each.numpy() for each in (x - coder.b_dec.detach()).split(coder.widths, dim=1)]


# %% [markdown]
# We try it on latents of the planted crosscoder. Those that are the parent's alone should stay. Then we
# spoil the shared ones by hand. Once their directions in the child are set to zero. Once they are cut into
# two latents, one for each model.

# %%
x = without_bias(planted_coder, planted)
in_parent, in_child = (each.numpy() for each in planted_coder.directions())
cause = correlations(of_both, events)
clear = cause.a_best_r > tau
shared = clear & (kind[cause.a_best_index] == "shared") & (abs(delta - 0.5) < 0.1)
exclusive = clear & (kind[cause.a_best_index] == "parent's") & (delta < 0.1)

cut = np.where(shared[:, None], 0, in_child)
doubled = sparse.hstack([of_both, of_both[:, shared]], format="csr")
two = [
    np.vstack([in_parent, np.zeros_like(in_child[shared])]),
    np.vstack([cut, in_child[shared]]),
]
spoilt = {
    "parent's alone": np.array(scaling(of_both, x, [in_parent, in_child], 0))[:, exclusive],
    "shared, shrunken": np.array(scaling(of_both, x, [in_parent, cut], 0))[:, shared],
    "shared, decoupled": np.array(scaling(doubled, x, two, 0))[:, : len(delta)][:, shared],
}

# %% tags=["hide-input"] jupyter={"source_hidden": true}
figure, axis = style.single(3.0)
for n, (name, ratios) in enumerate(spoilt.items()):
    axis.plot(*ratios, style.MARKERS[n], color=style.PALETTE[n], ms=6, label=name)
axis.axhline(0.5, color="black", ls=":", lw=1)
axis.axvline(0.5, color="black", ls=":", lw=1)
axis.set(xlabel="child's scale / parent's, errors", ylabel="the same, reconstructions")
figure.legend(loc="outside upper center", ncols=3, handletextpad=0.1, columnspacing=1)
show(
    figure,
    "Latent scaling of latents that all seem to be the parent's alone. What lies right of the dotted "
    "vertical, or above the dotted horizontal, is unmasked: the child has it, too.",
    "fig-crosscoder-scaling",
    "Three groups of dots: near the origin, at the right, and at the top",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
caught = {name: proportion((ratios > 0.5).any(axis=0)) for name, ratios in spoilt.items()}
truly, shrunken, decoupled = map(with_interval, caught.values())
say(
    f"Unmasked are {shrunken} of the shrunken and {decoupled} of the decoupled latents, and {truly} of "
    "those that truly are the parent's alone."
)

# %% [markdown]
# ## The models of this run
#
# Now two real models: the {term}`root` and its first child. Both read the text that the child's
# dictionaries read. A second crosscoder gets the child with a {term}`random MLP` in the child's place. It
# says what "shared" means where the MLP has nothing in common with the parent's.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
parent, child = lineage.edges[0]
control = f"{child}.mlp-0"
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
read_by = {domain: corpora.train_blocks(domain) for domain in lineage.reads(child)}
blocks = training_mixture(read_by, train_tokens)
mix = features.evaluation_mix(
    {domain: corpora.validation_blocks(domain, evaluation_blocks) for domain in lineage.domains}
)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
learned, evaluated, factor = {}, {}, {}
for model in (parent, child, control):
    plain = loading.load_model(store.opened(run / "models" / model))
    learned[model] = Buffers(plain, blocks, lineage.site, precision=precision)
    first = learned[model][0].float().cpu()
    factor[model] = first.shape[1] ** 0.5 / first.norm(dim=1).mean()
    on_mix = Buffers(plain, mix.tokens, lineage.site)
    evaluated[model] = factor[model] * torch.cat([on_mix[n].cpu() for n in range(len(on_mix))])
    del on_mix


def together(*models):
    """Shuffled batches of several models' scaled activations at the same tokens."""
    how = {"batch_tokens": batch_tokens // 4, "seed": seed}
    for parts in zip(*(activation_batches(learned[m], **how) for m in models), strict=True):
        yield torch.cat([x.cpu() * factor[m] for x, m in zip(parts, models, strict=True)], dim=1)


# %% [markdown]
# Would so short a training show latents of one model alone, if there were any? A first try, in batches as
# large as a dictionary's, didn't: hence the smaller ones. To know, we put some in. To the second
# crosscoder's activations we add invented causes, half of them with a direction in the parent alone, half in
# the other model alone. They are sparse and about as strong as real ones.

# %%
INVENTED = 16
rng = np.random.default_rng(seed)
widths = [evaluated[model].shape[1] for model in (parent, control)]
one_sided = rng.normal(size=(INVENTED, sum(widths)))
one_sided[: INVENTED // 2, widths[0] :] = 0
one_sided[INVENTED // 2 :, : widths[0]] = 0
one_sided /= np.linalg.norm(one_sided, axis=1, keepdims=True)


def invent(n):
    """Events of the invented causes at n tokens: at one in 200, of mean size 4."""
    return rng.exponential(4, (n, INVENTED)) * (rng.random((n, INVENTED)) < 0.005)


def with_invented(x, events):
    """Activations of both models with the invented causes added."""
    return x + torch.from_numpy(events @ one_sided).float()


# %%
invented = invent(len(evaluated[parent]))
inputs = {
    child: torch.cat([evaluated[parent], evaluated[child]], dim=1),
    control: with_invented(torch.cat([evaluated[parent], evaluated[control]], dim=1), invented),
}
streams = {
    child: together(parent, child),
    control: (with_invented(x, invent(len(x))) for x in together(parent, control)),
}
coders, acts = {}, {}
for other in (child, control):
    widths = [evaluated[model].shape[1] for model in (parent, other)]
    coders[other] = train(
        streams[other],
        widths,
        expansion * widths[0],
        k=k,
        steps=max(1, 4 * train_tokens // batch_tokens),
        learning_rate=learning_rate / 2,
        seed=seed,
        fast=uses_bfloat16(precision),
    )
    acts[other] = read(coders[other], inputs[other])
learned.clear()  # a good deal of memory

# %% tags=["remove-input"] jupyter={"source_hidden": true}
closest = correlations(sparse.csr_matrix(invented.astype(np.float32)), acts[control])
seen = closest.a_best_r > tau
of_invented = relative_norm(coders[control])[closest.a_best_index[seen]]
in_parent_alone = np.arange(INVENTED)[seen] < INVENTED // 2
spotted = proportion(np.where(in_parent_alone, of_invented < 0.1, of_invented > 0.9))
with_latent = proportion(seen)
say(
    f"Of {INVENTED} invented causes {count(seen.sum())} have a latent, and {with_interval(spotted)} of those are "
    "called what they are, of one model alone. "
    + verdict(
        with_latent if np.isnan(spotted.estimate) else spotted,
        0.5,
        below="So this training is too short: that a latent isn't of one model alone means nothing here.",
        above="So where none are found below, they aren't missed for want of training.",
        unclear="So that none are found may be for want of training.",
    )
)

# %% [markdown]
# ## Shared, or of one model alone?
#
# Counted are latents that are {term}`eligible` on the {term}`evaluation mix`, as features are. Where two
# models have the same neurons, a latent's two directions can be compared, too: their cosine is 1 if it
# writes the same in both.

# %%
found = features.open_named(run, features.dictionary_names(lineage, root_seeds, 1)[parent])
origin = next(iter(found.values())).origin
enough = {"min_positions": min_positions, "min_documents": min_documents}
latents = pd.DataFrame()
for other, coder in coders.items():
    one, two = (each.numpy() for each in coder.directions())
    alike = one.shape == two.shape  # else no neuron of one is a neuron of the other
    lengths = coder.norms().numpy().prod(axis=0)
    of_other = {
        "other": other,
        "delta": relative_norm(coder),
        "cosine": (one * two).sum(axis=1) / lengths if alike else np.nan,
        "able": eligible(acts[other], origin, **enough),
        "unmasked": np.nan,
    }
    for own, alone_in in enumerate((of_other["delta"] < 0.1, of_other["delta"] > 0.9)):
        if alike and alone_in.any():
            ratios = scaling(acts[other], without_bias(coder, inputs[other]), [one, two], own)
            both = np.max(ratios, axis=0) > 0.5
            of_other["unmasked"] = np.where(alone_in, both, of_other["unmasked"])
    latents = pd.concat([latents, pd.DataFrame(of_other)])
# The invented causes have served their purpose.
own_words = correlations(acts[control], sparse.csr_matrix(invented.astype(np.float32))).a_best_r
latents.loc[latents["other"] == control, "able"] &= own_words <= tau

# %% tags=["hide-input"] jupyter={"source_hidden": true}
judged_latents = {other: mine[mine["able"]] for other, mine in latents.groupby("other", sort=False)}
words = {child: label(child), control: f"{label(child)}, random MLP"}
figure = style.Figure(figsize=(style.WIDTH, 2.8), layout="constrained")
looks = {"histtype": "step", "lw": 2}
panels = {"delta": ("relative norm Δ", 0, 1), "cosine": ("cosine of directions", -0.5, 1)}
for axis, (column, (title, low, high)) in zip(figure.subplots(1, 2), panels.items(), strict=True):
    for other, mine in judged_latents.items():
        values = mine[column].dropna()
        share = np.full(len(values), 1 / max(len(mine), 1))
        bins, colour = np.linspace(low, high, 41), style.colour_of(other)
        axis.hist(values, bins, weights=share, color=colour, label=words[other], **looks)
    axis.set(xlabel=title, xlim=(low, high))
    axis.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
for edge in (0.1, 0.4, 0.6, 0.9):
    figure.axes[0].axvline(edge, color="black", ls=":", lw=1)
figure.axes[0].set_ylabel("latents")
figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
show(
    figure,
    f"Latents of two crosscoders on {label(parent)} and another model: how their two directions compare in "
    "length (left; dotted: limits of the classes) and in direction (right).",
    "fig-crosscoder-latents",
    "Two panels of histograms, each with an outline for the child and one for the child with a random MLP",
)


# %% tags=["remove-input"] jupyter={"source_hidden": true}
def variance_explained(coder, f, x):
    """Of both models' activations."""
    error = [
        each - f @ d.numpy()
        for each, d in zip(without_bias(coder, x), coder.directions(), strict=True)
    ]
    both = zip(error, x.split(coder.widths, dim=1), strict=True)
    return [1 - float((e**2).sum() / (m - m.mean(dim=0)).square().sum()) for e, m in both]


results, shares = {}, {}
for other, mine in judged_latents.items():
    end = "" if other == child else ".random_mlp"
    classes_of = {
        "shared": mine["delta"].between(0.4, 0.6),
        "parent_only": mine["delta"] < 0.1,
        "child_only": mine["delta"] > 0.9,
    }
    shares[other] = {name: proportion(hits) for name, hits in classes_of.items()}
    shares[other]["unmasked"] = proportion(mine["unmasked"].dropna())
    for name, each in shares[other].items():
        results |= flat(f"crosscoder.{name}_share{end}", each)
    results[f"crosscoder.median_cosine{end}"] = mine["cosine"].median()
    results[f"crosscoder.l0{end}"] = acts[other].nnz / acts[other].shape[0]
    explained = variance_explained(coders[other], acts[other], inputs[other])
    results |= dict(
        zip(
            [f"crosscoder.variance_explained{m}{end}" for m in (".parent", ".child")],
            explained,
            strict=True,
        )
    )
ve = [percent(results[f"crosscoder.variance_explained.{m}"]) for m in ("parent", "child")]
own, floor = shares[child], shares[control]
alone_there = [own[name].estimate for name in ("parent_only", "child_only")]
# The interval of a difference of two independent shares.
a, b = own["shared"], floor["shared"]
beyond_floor = Interval(
    a.estimate - b.estimate,
    a.estimate - b.estimate - np.hypot(a.estimate - a.low, b.high - b.estimate),
    a.estimate - b.estimate + np.hypot(a.high - a.estimate, b.estimate - b.low),
)
results |= flat("crosscoder.shared_share.beyond_random_mlp", beyond_floor)
# Adding zero makes −0.00 a plain 0.00.
cosines = [
    number(round(results[f"crosscoder.median_cosine{end}"], 2) + 0.0) for end in ("", ".random_mlp")
]
say(
    f"The crosscoder of {label(parent)} and {label(child)} explains {ve[0]} and {ve[1]} of the variance, with "
    f"{number(results['crosscoder.l0'], 0)} active latents a token. {with_interval(own['shared'])} of its latents are "
    f"shared, {percent(alone_there[0], 1)} are {label(parent)}'s alone and {percent(alone_there[1], 1)} {label(child)}'s. "
    + (
        f"Of those, {with_interval(own['unmasked'])} are unmasked."
        if sum(alone_there) > 0
        else "So there is none to unmask."
    ),
    f"With a random MLP {with_interval(floor['shared'])} are shared: that many answer to something that both "
    "models read, a token above all, to which any MLP has *some* response. "
    + verdict(
        beyond_floor,
        0,
        below=f"In {label(child)} it is fewer, by {points(-beyond_floor.estimate)}.",
        above=f"In {label(child)} it is {points(beyond_floor.estimate)} more; only that can be owed to what "
        "the MLP has learned.",
        unclear=f"Whether it is more in {label(child)} can't be told.",
    ),
    f"Of the directions the median cosine is {cosines[0]} in {label(child)} and {cosines[1]} with a random MLP.",
)

# %% [markdown]
# ## Feature by feature: do the two measures agree?
#
# Each eligible feature of the root's dictionaries looks for the latent that it correlates best with, at
# $r > \tau$. The latent has a relative norm, and the feature persists or not: it has a match in one of the
# child's dictionaries, or it hasn't. Agreement is the chance that, of a persisting feature and one that
# isn't, the persisting one has the larger relative norm (the area under the ROC curve, AUC). With the
# norms' ranks $R_i$ among $n$ persisting and $m$ other features,
#
# $$\mathrm{AUC} = \frac{\sum_{i\ \text{persists}} R_i - n(n+1)/2}{n\,m} .$$
#
# It is ½ by chance. Two rivals are asked the same: the cosine of the latent's directions, and the feature's
# {term}`density` alone, in the direction that fits better.


# %%
def auc(score, persists):
    """Chance that a persisting feature has the larger score; NaN where one kind is missing."""
    n, m = persists.sum(), (~persists).sum()
    if not n * m:
        return np.nan
    return (stats.rankdata(score)[persists].sum() - n * (n + 1) / 2) / (n * m)


def mean_auc(scores, persists, draw=None):
    """Mean of auc over dictionaries, or over those, and the features, that a draw holds."""
    draw = draw or [(name, slice(None)) for name in persists]
    each = [auc(scores[name][rows], persists[name][rows]) for name, rows in draw]
    defined = [one for one in each if np.isfinite(one)]
    return np.mean(defined) if defined else np.nan


def draws_of(persists, replicates, seed):
    """Draws of dictionaries, and in each of its features, with replacement."""
    rng, names = np.random.default_rng(seed), [*persists]
    sizes = {name: len(each) for name, each in persists.items()}
    return [
        [(name, rng.choice(sizes[name], sizes[name])) for name in rng.choice(names, len(names))]
        for _ in range(replicates if min(sizes.values(), default=0) else 0)
    ]


# %%
matches = open_matches(run)
(in_control,) = features.open_named(run, [control]).values()
able_in_control = eligible(in_control.acts, origin, **enough)
asked = []
for name, of_root in found.items():
    able = matches.eligible[name]
    there = correlations(of_root.acts, in_control.acts, eligible_a=able, eligible_b=able_in_control)
    near = {
        child: np.max([matches.best[name, one].a_best_r for one in matches.names[child]], axis=0),
        control: there.a_best_r,
    }
    for other, best_r in near.items():
        of_latents = latents[latents["other"] == other].reset_index(drop=True)
        closest = correlations(
            of_root.acts, acts[other], eligible_a=able, eligible_b=of_latents["able"].to_numpy()
        )
        table = of_latents[["delta", "cosine"]].reindex(closest.a_best_index).reset_index(drop=True)
        table["density"] = matches.positions[name]
        table["persists"], table["has latent"] = best_r > tau, closest.a_best_r > tau
        asked.append(table[able].assign(dictionary=name, other=other))
asked = pd.concat(asked)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
RIVALS = {"delta": "relative norm", "cosine": "cosine of directions", "density": "density alone"}
aucs, beyond, covered = {}, {}, {}


def with_bounds(estimate, *replicates):
    """An interval from replicates; undefined where the estimate is, or most replicates are."""
    kept = np.array([one for one in replicates if np.isfinite(one)])
    if not np.isfinite(estimate) or 2 * len(kept) < len(replicates):
        return UNDEFINED
    return Interval(
        float(estimate), *np.quantile(kept, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    )


for other, mine in asked.groupby("other", sort=False):
    of_each = dict(iter(mine[mine["has latent"]].groupby("dictionary", sort=False)))
    persists = {name: one["persists"].to_numpy() for name, one in of_each.items()}
    draws, figures = draws_of(persists, replicates, seed), {}
    for score in RIVALS:
        values = {name: one[score].to_numpy() for name, one in of_each.items()}
        each = np.array([mean_auc(values, persists, draw) for draw in (None, *draws)])
        figures[score] = 1 - each if score == "density" and each[0] < 0.5 else each
        aucs[other, score] = with_bounds(*figures[score])
    beyond[other] = with_bounds(*(figures["delta"] - figures["density"]))
    for kept in (True, False):
        covered[other, kept] = proportion(mine.loc[mine["persists"] == kept, "has latent"])

# %% tags=["hide-input"] jupyter={"source_hidden": true}
figure, axis = style.single(2.4)
for n, other in enumerate((child, control)):
    for place, score in enumerate(RIVALS):
        at, each = place + 0.2 * n - 0.1, aucs[other, score]
        first = {"label": words[other]} if place == 0 else {}
        axis.hlines(at, each.low, each.high, color=style.colour_of(other))
        axis.plot(each.estimate, at, "os"[n], color=style.colour_of(other), **first)
axis.axvline(0.5, color="black", ls="--", lw=1)
axis.set_yticks(range(len(RIVALS)), RIVALS.values())
axis.set(xlabel="AUC for persisting by correlation", xlim=(0, 1), ylim=(len(RIVALS) - 0.5, -0.5))
figure.legend(loc="outside upper center", ncols=2)
show(
    figure,
    "How well the relative norm of its latent, and two rivals, tell whether a feature persists by "
    "correlation. 95 % intervals over dictionaries and features. Dashed: chance.",
    "fig-crosscoder-agreement",
    "Three rows of dots with intervals, one for the child and one for the child with a random MLP",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
agreement, by_density = (aucs[child, score] for score in ("delta", "density"))
of_child = asked[asked["other"] == child]
lost = of_child.loc[~of_child["persists"] & of_child["has latent"], "delta"]
still_shared = proportion(lost.between(0.4, 0.6))
of_parent = truths[truths["kind"] != "child's"]
scores, persists = ({"": of_parent[name].to_numpy()} for name in ("delta", "found"))
draws = draws_of(persists, replicates, seed)
on_planted = with_bounds(*(mean_auc(scores, persists, draw) for draw in (None, *draws)))
agrees = verdict(
    agreement,
    0.5,
    below="The two measures contradict each other:",
    above="The two measures agree more than by chance:",
    unclear="Whether the two measures agree can't be told:",
)
more = verdict(
    beyond[child],
    0,
    below="Density alone would have told more",
    above="That is more than density alone tells",
    unclear="That isn't clearly more than density alone tells",
)
say(
    f"{agrees} the AUC is {with_interval(agreement, 2, share=False)}. {more} "
    f"({with_interval(by_density, 2, share=False)}). On the planted causes of the parent the AUC is "
    f"{with_interval(on_planted, 2, share=False)}.",
    "But look at whom could be asked. Of the persisting features "
    f"{with_interval(covered[child, True])} have a latent, of the others {with_interval(covered[child, False])}. "
    "What one dictionary finds and another doesn't, the crosscoder mostly doesn't find, either. And of the "
    f"{count(len(lost))} features that have a latent and no match in the child, {with_interval(still_shared)} have "
    "a *shared* one. "
    + verdict(
        still_shared,
        0.5,
        below="By the crosscoder, too, they are changed.",
        above="By the crosscoder they aren't lost.",
        unclear="",
    ),
)

# %% tags=["remove-cell"]
results |= flat("crosscoder.planted.correlation_right", right["found"])
results |= flat("crosscoder.planted.crosscoder_right", right["in both"])
results |= flat("crosscoder.planted.agreement_share", agreed)
results |= flat("crosscoder.planted.agreement", on_planted)
results |= flat("crosscoder.invented.with_latent_share", with_latent)
results |= flat("crosscoder.invented.spotted_share", spotted)
for each, end in zip(caught.values(), ("exclusive", "shrunken", "decoupled"), strict=True):
    results |= flat(f"crosscoder.planted.unmasked_share.{end}", each)
NAMES = {"delta": "agreement", "cosine": "agreement_by_cosine", "density": "agreement_by_density"}
for other, end in ((child, ""), (control, ".random_mlp")):
    for score, name in NAMES.items():
        results |= flat(f"crosscoder.{name}{end}", aucs[other, score])
    results |= flat(f"crosscoder.agreement_beyond_density{end}", beyond[other])
    results |= flat(f"crosscoder.covered_share.persisting{end}", covered[other, True])
    results |= flat(f"crosscoder.covered_share.disappearing{end}", covered[other, False])
results |= flat("crosscoder.disappearing_shared_share", still_shared)
results = {name: None if pd.isna(value) else value for name, value in results.items()}
store.write_results(run, "crosscoder", results)

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    "A crosscoder learns one dictionary for two models, and the lengths of a latent's two directions say "
    "in which of them it writes. On planted causes that is right about "
    f"{percent(right['in both'].estimate)} of the features, and latent scaling unmasks what was spoilt by hand.",
    f"In this run {percent(own['shared'].estimate)} of the latents of {label(parent)} and {label(child)} are "
    f"shared. With a random MLP it is {percent(floor['shared'].estimate)}. "
    + verdict(
        beyond_floor,
        0,
        below="So sharing says nothing of what the MLP has learned.",
        above=f"So only {points(beyond_floor.estimate)} of the sharing speak for what the MLP has learned.",
        unclear="So sharing says nothing of what the MLP has learned.",
    )
    + f" Look at the directions, too: their median cosine is {cosines[0]}, and {cosines[1]} with a random MLP.",
    f"{agrees} the AUC is {with_interval(agreement, 2, share=False)}. {more}. Crosscoder and correlation both "
    "depend on what a dictionary happens to find. Next: [a map](map) of all features.",
)

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# Which share of *all* latents of `coders[child]` has a direction in the child that is longer than the one
# in the parent? `coders[child].directions()` gives both decoders.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
longer = float((relative_norm(coders[child]) > 0.5).mean())

# %%
answer = ...  # a share, from 0 to 1
check(answer, longer)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
one, two = coders[child].directions()
answer = (two.square().sum(dim=1) > one.square().sum(dim=1)).float().mean()
check(answer, longer)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# Compute a scale β by least squares, without the formula. Take the planted crosscoder's latent `j` below,
# its activations `of_both[:, [j]]`, its direction `in_parent[j]`, and the child's activations `x[1]`. Which
# multiple of $f_{tj}\,d$ fits them best?
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
j = int(np.flatnonzero(shared)[0])
x = without_bias(planted_coder, planted)
best_scale = scale(of_both, x[1], in_parent)[j]

# %%
answer = ...  # a number
check(answer, best_scale)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
pattern = np.outer(of_both[:, [j]].toarray(), in_parent[j])
answer = np.linalg.lstsq(pattern.reshape(-1, 1), x[1].ravel())[0][0]
check(answer, best_scale)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# A latent has Δ = ½, and the cosine of its directions is 0. Has the feature persisted?
# :::
#
# :::{dropdown} Answer
# Both models answer to the same thing, equally strongly, so by correlation it persists. But what the MLP
# writes when it sees it has nothing in common. Correlation asks when, the cosine asks what.
# :::
