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
# # Touch it
#
# **You will learn** what a {term}`feature` does when you have a hand on it: you type a text, slide from
# one model to another, move the threshold, and take a feature out.
# **You need** the chapters on [dictionaries](sae), [tracking](tracking) and [merging](merge).
# **It takes** twenty minutes, and longer once you begin to play.
#
# Horn & Elliott {cite:yearpar}`horn2025tracking` show the second and the third of these as figures. Each
# section has its method in a few lines of code, a still picture that says it without a kernel, and
# then the control.
#
# :::{admonition} The controls work here, and in JupyterLab
# :class: note
# The page computes the models itself, from files that it loads when a control comes into sight;
# nothing you type leaves it. `make lab` opens the same chapter with controls over the package's
# own models, and they say the same numbers.
# :::

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import base64
import io
from html import escape
from itertools import permutations
from typing import NamedTuple

import ipywidgets
import numpy as np
import pandas as pd
import torch
from IPython.display import HTML, display
from matplotlib.font_manager import findfont, get_font
from matplotlib.ticker import FuncFormatter, NullFormatter

from featrack_utils.corpora import prepare
from featrack_utils.dictionaries import features
from featrack_utils.dictionaries.training import load_sae
from featrack_utils.display import (
    cards,
    flow_figure,
    page_models,
    paper,
    shading,
    shareplots,
    style,
    training_figures,
)
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import check, count, number, percent, say, show
from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation import contexts
from featrack_utils.lineage import label
from featrack_utils.matching.best_matches import open_matches
from featrack_utils.matching.flow import flow
from featrack_utils.models import capture, evaluation, loading, merging
from featrack_utils.pipeline import store
from featrack_utils.statistics.persistence import CURVE_TAUS

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the text that is generated
context = 128  # tokens; paper: 256
tau = 0.8  # correlation above which two features match; paper: 0.8
rule = "best"  # or mutual; paper: best match
evaluation_blocks = 140  # validation blocks per domain on which features were measured
loss_blocks = 16  # validation blocks per domain for the loss while sliding
code = "local function add(a, b)\n    return a + b\nend"  # read, and gone on from
story = "One day, a little girl"  # the same
tau_low = 0.5  # a loose threshold for the still picture
tau_high = 0.95  # and a strict one


# %% tags=["hide-input"] jupyter={"source_hidden": true}
class LiveModel(NamedTuple):
    """A model in memory with its dictionary of seed 0."""

    bridge: object  # TransformerLens's
    sae: object
    peaks: np.ndarray  # [d_sae], each feature's largest activation on the evaluation mix


def open_model(name):
    """A model of the run; an error in one sentence if it or its dictionary is missing or damaged."""
    bridge = loading.boot(store.opened(run / "models" / name))
    sae = load_sae(store.opened(run / "saes" / f"{name}-0"))
    return LiveModel(bridge, sae, found[f"{name}-0"].acts.max(axis=0).toarray().ravel())


# %% jupyter={"source_hidden": true} tags=["hide-input"]
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
found = features.open_features(run, lineage, 2, 2)
models = {name: open_model(name) for name in lineage.order}
matches = open_matches(run)
best = {
    (a, b): matches.best[matches.names[a][0], matches.names[b][0]]
    for a, b in permutations(lineage.order, 2)
}
last = lineage.order[-1]  # the model that the second and the last section begin with
results = {}


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def stacked(*parts):
    """Parts below each other; a string is a paragraph."""
    return HTML("".join(p.data if isinstance(p, HTML) else f"<p>{escape(p)}</p>" for p in parts))


def picture(figure, alt):
    """A figure as an image that says in words what it shows."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    data = base64.b64encode(drawn.getvalue()).decode()
    return HTML(
        f'<img alt="{escape(alt)}" src="data:image/svg+xml;base64,{data}" '
        'style="max-width: 100%; height: auto; background: white">'
    )


# %% tags=["hide-input"] jupyter={"source_hidden": true}
class Panel(ipywidgets.VBox):
    """Controls, by argument of `show`, and below them the HTML that it makes of their values.

    What a reader can cause (FeatrackError) stands there as one sentence. `page` stands in the
    book, where there is no kernel.
    """

    # Not ipywidgets.interactive: a picture in its output area stops a notebook that papermill runs.

    def __init__(self, show, page=None, **controls):
        view = ipywidgets.HTML()

        def update(_change=None):
            try:
                view.value = show(**{name: each.value for name, each in controls.items()}).data
            except FeatrackError as error:
                view.value = f'<p role="alert">{escape(str(error))}</p>'

        for each in controls.values():
            each.observe(update, names="value")
        super().__init__([*controls.values(), view])
        self._page = page
        update()

    def _repr_mimebundle_(self, **given):
        html = {"text/html": self._page.data} if self._page else {}
        return super()._repr_mimebundle_(**given) | html

    def __repr__(self):
        # The usual form lists every child, with addresses and values that differ between runs.
        return "<controls>"


def control(kind, description, tooltip, **traits):
    """A control with a visible label and a longer explanation, as wide as the page allows."""
    return kind(
        description=description,
        tooltip=tooltip,
        style={"description_width": "11em"},
        layout=ipywidgets.Layout(width="min(100%, 46em)"),
        **traits,
    )


# %% [markdown]
# ## Which features fire on your text?
#
# Each model reads the same text, and its own {term}`dictionary` (seed 0) says which features are active.
# The strongest of each model get a row. The features of the other models that match it above the
# threshold stand beside it, with their correlation r on the {term}`evaluation mix`.


# %%
def encode(tokenizer, text, limit):
    """Token ids of a text, led by the token that begins every document; `limit` counts them all.

    A text that spells that token out gets ordinary tokens for it.
    """
    if not text:
        raise FeatrackError("There is no text to read: type some.")
    text = text.encode("utf-8", "replace").decode()  # a browser may send half a surrogate pair
    ids = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
    if len(ids) >= limit:
        raise FeatrackError(
            f"The text has {len(ids):,} tokens and the models read at most {limit - 1:,}: "
            "shorten it."
        )
    return [tokenizer.bos_token_id, *ids]


@torch.no_grad()
def feature_acts(model, ids):
    """Activations of all features on all tokens but the first, which no dictionary has seen."""
    acts = capture.mlp_activations(model.bridge, torch.tensor([ids]), lineage.site)
    return model.sae.encode(acts[0, 1:]).numpy()


def read(text):
    """Each model's feature activations on a text, [n, d_sae] by model, and the text's tokens."""
    ids = encode(corpora.tokenizer, text, context)
    acts = {name: feature_acts(model, ids) for name, model in models.items()}
    return acts, corpora.pieces(np.array(ids[1:]))


# %%
def strongest_rows(acts, top):
    """The strongest features of each model on a text, each with its matches in the others.

    A row maps models to (feature, r); r is None for the feature that the row is about.
    """
    leaders = []
    for model, each in acts.items():
        peaks = each.max(axis=0)
        strongest = np.argsort(-peaks, kind="stable")[:top]
        leaders += [(peaks[i], model, int(i)) for i in strongest if peaks[i] > 0]
    rows, seen = [], set()
    for _, model, i in sorted(leaders, key=lambda leader: -leader[0]):
        if (model, i) in seen:
            continue  # it stands in a stronger one's row
        row = {model: (i, None)}
        for other in acts:
            if other != model and (r := best[model, other].a_best_r[i]) > tau:
                row[other] = (int(best[model, other].a_best_index[i]), r)
        seen |= {(name, feature) for name, (feature, _) in row.items()}
        rows.append(row)
    return rows


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def cell(model, feature, r, acts, pieces, linked):
    """A feature's name, its r, and the tokens around the one on which it is strongest."""
    each = acts[model][:, feature]
    named = cards.Feature(f"{model}-0", feature)
    title = cards.link(named) if linked else named.name
    title += "" if r is None else f", r {r:.2f}"
    if not each.max() > 0:
        return HTML(f"{title}<br>silent on this text")
    start, end = contexts.window(int(each.argmax()), len(each))
    before, after = ["…"] * (start > 0), ["…"] * (end < len(each))
    tokens = [*before, *pieces[start:end], *after]
    values = [*[0.0] * len(before), *each[start:end], *[0.0] * len(after)]
    peak = models[model].peaks[feature]
    return HTML(title + shading.strip(tokens, values, peak, style.colour_of(model)))


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def rows_table(rows, acts, pieces, caption, linked=False):
    """Rows of features, a column each model; in the book the names lead to the explorer."""
    cells = {
        label(model): [
            cell(model, *row[model], acts, pieces, linked) if model in row else "no match"
            for row in rows
        ]
        for model in acts
    }
    return show_table(pd.DataFrame(cells), caption=caption)


# %% [markdown]
# The shade is the activation as a part of the feature's own maximum. A name leads to the feature's
# page in the [explorer](explorer).

# %% tags=["hide-input"] jupyter={"source_hidden": true}
acts = {}
for name, text in (("code", code), ("story", story)):
    acts[name], pieces = read(text)
    rows = strongest_rows(acts[name], top=2)
    results[f"live.{name}.rows"] = len(rows)
    results[f"live.{name}.in_all"] = sum(len(row) == len(models) for row in rows)
    caption = f"The two strongest features of each model on the {name}, with their matches."
    display(rows_table(rows, acts[name], pieces, caption, linked=True))

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"All {len(models)} models fill {results['live.code.in_all']} of the "
    f"{results['live.code.rows']} rows for the code and {results['live.story.in_all']} of the "
    f"{results['live.story.rows']} for the story. A gap doesn't say that the model lacks the "
    "feature: its dictionary of this seed does, and [another one of the very same "
    "model](ceilings) may hold it."
)

# %% [markdown]
# Now your own. The table follows while you type.


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def show_text(text, top):
    """The strongest features of all models on a text."""
    acts, pieces = read(text)
    rows = strongest_rows(acts, top)
    if not rows:
        return stacked("No feature of any model fires on this text.")
    return rows_table(rows, acts, pieces, f"The strongest features on these {len(pieces)} tokens.")


# %% jupyter={"source_hidden": true} tags=["hide-input"]
Panel(
    show_text,
    page=page_models.panel("type"),
    text=control(ipywidgets.Textarea, "Your text", "Text that all models read", value=code, rows=3),
    top=control(
        ipywidgets.IntSlider,
        "Features a model",
        "How many of its strongest features are shown",
        value=3,
        min=1,
        max=10,
    ),
)

# %% [markdown]
# ## From one model to another
#
# Between the weights of two models lies a way of in-between models; a merge is one place on
# it. [Slerp](method-merging) gives the weights at every t: t = 0 is the one model, t = 1 the other.

# %%
# A merge's parents, or else a model and its child, if they are of one architecture.
pairs = [*(lineage.parents(merge)[:2] for merge in lineage.merges), *lineage.edges]
shapes = {
    name: {part: weight.shape for part, weight in model.bridge.original_model.state_dict().items()}
    for name, model in models.items()
}
ends = next((pair for pair in pairs if shapes[pair[0]] == shapes[pair[1]]), (last, last))
apart = ends[0] != ends[1]
states = [loading.load_model(store.opened(run / "models" / name)).state_dict() for name in ends]
between = loading.load_model(run / "models" / ends[0])
if not apart:
    say(
        "No two of these models have the same parameters, so nothing lies between them, and this "
        f"section has nothing to show. Where it speaks of two models, both are {label(last)}."
    )


# %%
def model_at(t):
    """The model at t: always the same one, whose weights are set anew."""
    between.load_state_dict(merging.slerp(*states, t))
    return between


def losses_at(t):
    """Next-token loss at t by domain, nats per token."""
    model = model_at(t)
    return {domain: evaluation.evaluate(model, each).loss for domain, each in blocks.items()}


# %%
def acts_at(t, model, feature, places):
    """What a model's dictionary reads of a feature at t, [n_places, context − 1].

    The first token of a block is left out: no dictionary has seen one.
    """
    tokens = torch.from_numpy(mix.tokens[places[0]]).long()
    with torch.no_grad():
        x = capture.plain_activations(model_at(t), tokens, lineage.site)[:, 1:]
        return models[model].sae.encode(x)[..., feature].numpy()


def text_at(t, prompt):
    """What the model at t writes after a prompt, always with the same random numbers."""
    encode(corpora.tokenizer, prompt, context - 1)  # refuses what leaves no room to write
    options = {"new_tokens": 40, "seed": seed}
    return evaluation.continuation(model_at(t), corpora.tokenizer, prompt, **options)


# %% [markdown]
# At every t the model reads some validation text and goes on from a prompt. Below the losses the figure
# follows one feature, at the three places of the evaluation mix where it is strongest. Its dictionary
# stays as it is. So where the activation falls, the feature may go, or the dictionary may fit the
# model less well.

# %% jupyter={"source_hidden": true} tags=["hide-input"]
mix = features.evaluation_mix(
    {domain: corpora.validation_blocks(domain, evaluation_blocks) for domain in lineage.domains}
)
blocks = {d: corpora.validation_blocks(d, loss_blocks).tokens for d in lineage.domains}
assert np.array_equal(found[f"{last}-0"].tokens, mix.tokens[:, 1:].ravel())


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def strongest_places(model, feature, n=3):
    """Where a feature is strongest on the mix, each in another document: blocks, and positions."""
    rows = contexts.positions_of(found[f"{model}-0"], feature, top=n, random=0, seed=0)
    return np.divmod(rows, mix.tokens.shape[1] - 1)


def loss_curve(grid):
    """Losses on the way: a row each t, a column each domain."""
    return pd.DataFrame({t: losses_at(t) for t in grid}).T


def feature_curve(grid, model, feature, places):
    """A feature's activation at its strongest places: a row each t, a column each place."""
    if not len(places[0]):
        return pd.DataFrame(index=grid)
    at = np.arange(len(places[0])), places[1]
    return pd.DataFrame({t: acts_at(t, model, feature, places)[at] for t in grid}).T


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def draw_way(losses, activations, model, feature, t):
    """Loss against t, and below it one feature's activation; a dotted line marks one t."""
    figure = style.Figure(figsize=(style.WIDTH, 4.6), layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 2))
    for domain, marker in zip(losses, style.MARKERS, strict=False):
        look = {"color": style.colour_of(domain), "marker": marker, "ms": 4}
        above.plot(losses[domain], **look, label=label(domain))
    above.set_ylabel("loss, nats per token\n(lower is better)")
    for place in activations:
        below.plot(activations[place], color=style.colour_of(model), lw=1.5)
    below.set(ylabel=f"activation of\n{model} {feature}", xlim=(-0.02, 1.02))
    below.set_ylim(bottom=0)
    below.set_xlabel(training_figures.weight_label(ends))
    for axis in (above, below):
        axis.axvline(t, color=style.GREY, ls=":")
    looks = {"ncols": 4, "handlelength": 1.2, "columnspacing": 1}
    figure.legend(*above.get_legend_handles_labels(), loc="outside upper center", **looks)
    return figure


# %% jupyter={"source_hidden": true} tags=["hide-input"]
losses = loss_curve(np.linspace(0, 1, 11))
# A dictionary reads what lies between the two if it is as wide as theirs.
d_in = models[ends[0]].sae.cfg.d_in
readers = [name for name, model in models.items() if model.sae.cfg.d_in == d_in]
reader = last if last in readers else ends[1]
followed = int(acts["code"][reader].max(axis=0).argmax())
activations = feature_curve(losses.index, reader, followed, strongest_places(reader, followed))
swept = len(lineage.parents(last)) == 2 and last not in lineage.loaded
read_off = store.read_results(run, "merge") if swept else {}
t = read_off.get("merge.t", 0.5)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
first, second = map(label, ends)
if apart:
    show(
        draw_way(losses, activations, reader, followed, t),
        caption=f"Above: loss on each kind of text on the way from {first} to {second}. Below: the "
        f"activation of feature {followed} of the {label(reader)} model at its three strongest "
        f"places. Dotted: t = {number(t)}.",
        name="fig-live-merge",
        alt="Loss curves against the weight, and below them three curves of a feature's activation",
    )

# %% [markdown]
# And what it writes at both ends and at that weight, from the same prompt and the same random
# numbers:

# %% tags=["hide-input"] jupyter={"source_hidden": true}
titles = {0: f"t = 0, {first}", t: f"t = {number(t)}", 1: f"t = 1, {second}"}
if apart:
    display(
        shading.show_samples({title: (story, text_at(at, story)) for at, title in titles.items()})
    )


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def show_way(t, model, feature, prompt):
    """Losses, writing, and a feature's strongest contexts at t, under the scale of its peak."""
    now = losses_at(t)
    by_domain = ", ".join(f"{label(domain)} {loss:.2f}" for domain, loss in now.items())
    words = f"Loss at t = {t:.2f}, nats per token: {by_domain}."
    written = shading.show_samples({f"t = {t:.2f}": (prompt, text_at(t, prompt))})
    places = strongest_places(model, feature)
    if not len(places[0]):
        return stacked(words, written, f"{model} {feature} is never active on this text.")
    curve = feature_curve(losses.index, model, feature, places)
    seen = []
    for block, position, acts in zip(*places, acts_at(t, model, feature, places), strict=True):
        stretch = slice(*contexts.window(position, len(acts)))
        seen.append((corpora.pieces(mix.tokens[block, 1:][stretch]), acts[stretch].tolist()))
    name, peak = cards.Feature(f"{model}-0", feature).name, models[model].peaks[feature]
    shaded = shading.shade(shading.ShadedFeature(name, seen, peak, style.colour_of(model)))
    drawn = picture(draw_way(losses, curve, model, feature, t), words)
    return stacked(drawn, words, written, shaded)


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def choose_feature(names, model, feature):
    """Two controls: whose dictionary, of these models', and which of its features."""
    named = [(label(name), name) for name in names]
    return {
        "model": control(
            ipywidgets.Dropdown,
            "Dictionary of",
            "The model whose dictionary holds the feature",
            value=model,
            options=named,
        ),
        "feature": control(
            ipywidgets.BoundedIntText,
            "Feature",
            "The feature's number in that dictionary",
            value=feature,
            max=min(len(models[name].peaks) for name in names) - 1,
        ),
    }


# %% jupyter={"source_hidden": true} tags=["hide-input"]
if apart:
    display(
        Panel(
            show_way,
            page=page_models.panel("slide"),
            t=control(
                ipywidgets.FloatSlider,
                "Weight t",
                f"0 is the {first} model, 1 is the {second} model",
                value=t,
                min=0,
                max=1,
                step=0.05,
                continuous_update=False,
            ),
            **choose_feature(readers, reader, followed),
            prompt=control(
                ipywidgets.Text,
                "Text to go on from",
                "The model at this weight writes on from here",
                value=story,
                continuous_update=False,
            ),
        )
    )

# %% [markdown]
# ## How much hangs on the threshold
#
# The same features, the same correlations, and two thresholds: which features are "the same" is
# decided by τ alone. The {term}`share <persisting>` counts the parent's features whose best r in the
# child exceeds τ, the {term}`ceiling` those whose best r in the parent's own other dictionary does.


# %%
def trackings_at(tau):
    """What becomes of each feature along every edge, at one threshold."""
    return {
        (a, b): matches.tracking(matches.names[a][0], matches.names[b][0], tau, rule)
        for a, b in lineage.edges
    }


def shares_at(tau):
    """Persisting shares of seed 0, and how much of what another seed finds that is."""
    rows = []
    for (a, b), tracking in trackings_at(tau).items():
        ceiling = matches.tracking(*matches.names[a][:2], tau, rule).share("persisting")
        row = {"pair": style.pair_label(a, b), "share": tracking.share("persisting")}
        row |= {"ceiling": ceiling, "ratio": row["share"] / ceiling if ceiling > 0 else None}
        rows.append(row)
    return pd.DataFrame(rows)


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def draw_flow(tau):
    """Where the features go at one threshold."""
    return flow_figure.flow_diagram(flow(lineage, trackings_at(tau)), lineage)


# %% tags=["hide-input"] jupyter={"source_hidden": true}
show(
    draw_flow(tau_low),
    caption=f"Where features go if a correlation above {number(tau_low)} counts as the same "
    "feature.",
    name="fig-live-low",
    alt="Flow diagram at a loose threshold: most bands go on",
)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
show(
    draw_flow(tau_high),
    caption=f"The same if it takes more than {number(tau_high)}.",
    name="fig-live-high",
    alt="Flow diagram at a strict threshold: most bands end",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
parent, child = lineage.edges[0]
low, high = (shares_at(at).drop(columns="pair").iloc[0] for at in (tau_low, tau_high))
results |= {f"live.tau_low.{name}": value for name, value in low.items()}
results |= {f"live.tau_high.{name}": value for name, value in high.items()}
say(
    f"From {{numref}}`fig-live-low` to {{numref}}`fig-live-high` the share of the "
    f"{label(parent)} model's features that persist in {label(child)} goes from "
    f"{percent(low['share'])} to {percent(high['share'])}, and what another seed finds in "
    f"{label(parent)} itself from {percent(low['ceiling'])} to {percent(high['ceiling'])}. Their "
    f"ratio goes from {percent(low['ratio'])} to {percent(high['ratio'])}. These are single "
    "dictionaries of seed 0; [the chapter on ceilings](ceilings) has all seeds and the intervals."
)


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def show_threshold(tau):
    """The flow diagram, and each share beside its ceiling."""
    shares = shares_at(tau)
    first = shares.iloc[0]
    words = f"Flow of features at τ = {tau:.2f}; {first['pair']}: {first['share']:.0%} persist"
    table = show_table(
        shares,
        dict.fromkeys(("share", "ceiling", "ratio"), ".0%"),
        notes={"ceiling": "another seed", "ratio": "share / ceiling"},
    )
    return stacked(table, picture(draw_flow(tau), words))


taus = sorted({*CURVE_TAUS, tau})
flows = pd.concat({at: flow(lineage, trackings_at(at)) for at in taus}, names=["tau"])
curves = flow_figure.moving_flow(flows.reset_index("tau"), lineage) | {"pairs": []}
shares = pd.concat([shares_at(at) for at in taus]).replace({np.nan: None})
for (_, to), (pair, rows) in zip(lineage.edges, shares.groupby("pair", sort=False), strict=True):
    one = {name: [[x, None, None] for x in rows[name]] for name in ("share", "ceiling", "ratio")}
    curves["pairs"].append({"name": pair, "colour": style.colour_of(to), **one})


# %% jupyter={"source_hidden": true} tags=["hide-input"]
Panel(
    show_threshold,
    page=shareplots.moving_threshold(tau, curves),
    tau=control(
        ipywidgets.FloatSlider,
        "Threshold τ",
        "Correlation above which two features match",
        value=tau,
        min=0.3,
        max=0.99,
        step=0.01,
        continuous_update=False,
    ),
)

# %% [markdown]
# Shares of all seeds, with floors and intervals, follow a threshold in [ceilings](ceilings).

# %% [markdown]
# ## What one feature does to the next token
#
# A feature is a direction in which it writes into the MLP's activation x. To ablate it, subtract what
# it writes and leave everything else as it is, what the dictionary can't explain included:
#
# $$x' = x - f(x)\, W_\text{dec}$$
#
# Then look at the next token. What changes is measured as the share of probability that goes to other
# tokens, half the sum of all changes.


# %%
def next_token(model, ids, *ablated):
    """Probabilities of the token after a text, [vocab], with some features taken out."""

    def subtract(x):
        f = model.sae.encode(x[:, 1:])[..., ablated]
        return torch.cat([x[:, :1], x[:, 1:] - f @ model.sae.W_dec[list(ablated)]], dim=1)

    replace = subtract if ablated else None
    logits = capture.logits_with(model.bridge, torch.tensor([ids]), replace, lineage.site)
    return logits[0, -1].softmax(-1).numpy()


def moved(clean, without):
    """The share of probability that goes to other tokens, 0 to 1."""
    return float(np.abs(without.astype(np.float64) - clean).sum() / 2)


# %%
def effects(model, ids):
    """The features active on a text's last token, and what the ablation of each alone moves."""
    acts = feature_acts(model, ids)[-1]
    active = np.argsort(-acts, kind="stable")[: np.count_nonzero(acts)]
    clean = next_token(model, ids)
    table = pd.DataFrame({"feature": active, "activation": acts[active]})
    table["moved"] = [moved(clean, next_token(model, ids, int(i))) for i in active]
    return table.sort_values("moved", ascending=False, kind="stable", ignore_index=True)


# %% [markdown]
# These models have one layer, so only what is active on the last token counts. On the code above we
# ablate every feature that is active there, each alone, and show the one that moves most.

# %% jupyter={"source_hidden": true} tags=["hide-input"]
ids = encode(corpora.tokenizer, code, context)
moves = effects(models[last], ids)
removed = int(moves["feature"].iloc[0]) if len(moves) else 0
clean, without = next_token(models[last], ids), next_token(models[last], ids, removed)
strength = feature_acts(models[last], ids)[-1, removed]
stronger = int((strength < moves["activation"]).sum())
results |= {
    "live.ablated.active": len(moves),
    "live.ablated.moved": moved(clean, without),
    "live.ablated.median": moves["moved"].median() if len(moves) else None,
    "live.ablated.stronger": stronger,
}
store.write_results(run, "live", results)


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def largest_changes(clean, without, n=10):
    """The tokens whose probabilities change most, those that lose by the ablation first."""
    change = without - clean
    # Among equal changes the likelier tokens come in.
    chosen = np.lexsort((-clean, -np.abs(change)))[:n]
    chosen = chosen[np.lexsort((-clean[chosen], change[chosen]))]
    columns = {"clean": clean, "without": without, "change": change}
    table = pd.DataFrame({name: each[chosen] for name, each in columns.items()})
    table.insert(0, "token", corpora.pieces(chosen))
    return table


# %% tags=["hide-input"] jupyter={"source_hidden": true}
FONT = "DejaVu Sans Mono"  # comes with matplotlib
LEAST = 1e-8  # probability at the left end of the axis, where there are smaller ones


def drawable(token):
    """A token's text, with the number of each character that the font can't draw."""
    known = get_font(findfont(FONT)).get_char_index
    signs = ((character, contexts.visible(character)) for character in token)
    return "".join(
        sign if all(known(ord(part)) for part in sign) else f"<U+{ord(character):04X}>"
        for character, sign in signs
    )


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def draw_changes(changes, model):
    """Probabilities with and without a feature, one row a token, on a logarithmic axis."""
    figure, axis = style.single(0.3 * len(changes) + 1.2)
    rows = np.arange(len(changes))
    clean, without = (np.maximum(changes[name], LEAST) for name in ("clean", "without"))
    colour = style.colour_of(model)
    axis.hlines(rows, clean, without, color=colour, lw=1.5, zorder=1)
    axis.scatter(clean, rows, s=42, color=style.GREY, label="clean", zorder=2)
    axis.scatter(
        without, rows, s=42, color=colour, marker="D", label="without the feature", zorder=3
    )
    names = map(drawable, changes["token"])
    # A token with two dollar signs is no formula.
    axis.set_yticks(rows, names, parse_math=False, fontfamily=FONT)
    axis.set_ylim(len(changes) - 0.5, -0.5)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("probability of the next token (logarithmic)")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


# %% tags=["hide-input"] jupyter={"source_hidden": true}
show(
    draw_changes(largest_changes(clean, without), last),
    caption=f"Probabilities of the token after the code in the {label(last)} model, with every "
    f"feature in place and without feature {removed}, on a logarithmic axis: the ten tokens that "
    "change most.",
    name="fig-live-ablation",
    alt="Ten rows with a token each and two marks, its probability with and without a feature",
)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
named = [cards.linked(cards.Feature(f"{last}-0", int(i))) for i in moves["feature"]]
show_table(
    moves.assign(feature=named).head(5),
    {"activation": ".2f", "moved": ".0%"},
    notes={"moved": "of the next token's probability"},
    caption="The five features whose ablation moves most.",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"On the last token {count(len(moves))} features are active. The one in "
    f"{{numref}}`fig-live-ablation` moves {percent(moved(clean, without), 1)} of the probability to "
    f"other tokens; half of them move less than {percent(moves['moved'].median(), 1)}.",
    f"It isn't the strongest: {count(stronger)} of the others are more active."
    if stronger
    else "Here none is more active. That need not be so: try other texts.",
)


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def show_ablation(text, model, feature):
    """What becomes of the next token without a feature, and where the feature is active."""
    one, name = models[model], cards.Feature(f"{model}-0", feature).name
    ids = encode(corpora.tokenizer, text, context)
    acts = feature_acts(one, ids)
    clean, without = next_token(one, ids), next_token(one, ids, feature)
    words = f"{name} isn't active on the last token, so nothing changes after it."
    if acts[-1, feature] > 0:
        share = f"{moved(clean, without):.1%} of the next token's probability"
        words = f"Without {name}, {share} goes to other tokens."
    ranked = np.argsort(-acts[-1], kind="stable")[: np.count_nonzero(acts[-1])][:12]
    active = ", ".join(map(str, ranked)) or "no feature at all"
    here = (corpora.pieces(np.array(ids[1:])), acts[:, feature])
    colour = style.colour_of(model)
    shaded = shading.shade(shading.ShadedFeature(name, [here], one.peaks[feature], colour))
    changes = largest_changes(clean, without)
    drawn = picture(draw_changes(changes, model), f"Probabilities with and without {name}")
    readable = changes.assign(token=["".join(map(contexts.visible, t)) for t in changes["token"]])
    formats = {"clean": ".2%", "without": ".2%", "change": ".2pt"}
    table = show_table(readable, formats, notes={"change": "points"})
    hint = f"Active on the last token, strongest first: {active}."
    return stacked(words, hint, shaded, drawn, table)


# %% jupyter={"source_hidden": true} tags=["hide-input"]
Panel(
    show_ablation,
    page=page_models.panel("ablate"),
    text=control(
        ipywidgets.Textarea, "Your text", "Text that the model goes on from", value=code, rows=3
    ),
    **choose_feature(models, last, removed),
)

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
# What the page needs to compute all this by itself.
marks = {"balanced": read_off.get("merge.t_balanced")}
if read_off:
    marks["published"] = paper.PAPER["merge.t"].value
way = {
    "ends": ends,
    "t": t,
    "marks": [{"name": name, "t": at} for name, at in marks.items() if at is not None],
    "feature": f"{last}-{removed}",
    "text": code,
}
left_out = page_models.unfit(run, lineage)


def build(work):
    (work / "data").mkdir()
    if not left_out:
        page_models.write_models(work / "data", run, lineage, way)


names = [run / "models" / name for name in lineage.order]
names += [run / "saes" / f"{name}-0" for name in lineage.order]
store.make(
    run / "touch",
    build,
    parameters={"way": way, "left_out": left_out},
    inputs=names,
    code=[page_models],
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
if left_out:
    say(f"In the book these controls stand still, as {left_out}.")
else:
    display(page_models.scripts())

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
rows = results["live.code.rows"] + results["live.story.rows"]
whole = results["live.code.in_all"] + results["live.story.in_all"]
say(
    "- **On any text a feature is something to look at**, and so is its match. All "
    f"{len(models)} models fill {whole} of the {rows} rows that two texts gave.\n"
    f"- **The threshold decides how much persists.** Between τ = {number(tau_low)} and "
    f"{number(tau_high)} the share in {label(child)} goes from {percent(low['share'])} to "
    f"{percent(high['share'])}, and the ceiling with it.\n"
    "- **Where a feature is active is half of what there is to know about it.** What it does shows "
    f"when it is taken out. Of {count(len(moves))} features active on one token the one that "
    f"matters most moves {percent(moved(clean, without), 1)} of the probability, the median one "
    f"{percent(moves['moved'].median(), 1)}.",
    "*What comes next*: the same controls, put together as [a lesson](lesson) for a class.",
)

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# Take the *mean* of the two models' weights instead of slerp's way between them. What is its loss on
# the first domain, in nats per token? `states` holds the weights of both, `between` is a model that
# takes them by `between.load_state_dict(…)`, and `evaluation.evaluate(between, tokens).loss` is its loss
# on `tokens = next(iter(blocks.values()))`.
# :::

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
# For the check below:
tokens = next(iter(blocks.values()))
between.load_state_dict(merging.linear(states, [0.5, 0.5]))
mean_loss = evaluation.evaluate(between, tokens).loss

# %%
answer = ...  # nats per token
check(answer, mean_loss)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
between.load_state_dict({name: (one + states[1][name]) / 2 for name, one in states[0].items()})
with torch.no_grad():
    ahead = between(input_ids=torch.from_numpy(tokens).long()).logits[:, :-1].log_softmax(-1)
right_ones = torch.from_numpy(tokens[:, 1:]).long()[..., None]
answer = -ahead.gather(-1, right_ones).mean()
check(answer, mean_loss)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# Take out the two features that moved most, both at once. Which share of the probability do they move
# together? Is it the sum of what each moves alone?
# :::

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
# For the check below:
sae, two = models[last].sae, [*moves["feature"].head(2), 0, 1][:2]


def keep_others(x):
    f = sae.encode(x[:, 1:])
    kept = f.index_fill(-1, torch.tensor(two), 0)
    return torch.cat([x[:, :1], x[:, 1:] + sae.decode(kept) - sae.decode(f)], dim=1)


changed = capture.logits_with(models[last].bridge, torch.tensor([ids]), keep_others, lineage.site)
both_move = moved(clean, changed[0, -1].softmax(-1).numpy())

# %%
answer = ...  # a share, from 0 to 1
check(answer, both_move)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = moved(clean, next_token(models[last], ids, *two))
say(f"Alone they move {percent(moves['moved'].head(2).sum(), 1)} when added up.")
check(answer, both_move)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# In the last control take any feature of one model and a text on whose last token it isn't active.
# What do you expect, and why wouldn't it be so in a model of two layers?
# :::
#
# :::{dropdown} Answer
# Nothing changes. The MLP is the last thing that happens at a position before the token is
# predicted. With a second layer, attention would carry what a feature wrote at an earlier position
# to the last one.
# :::
