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
# # A fine-tune in which the truth is known
#
# The [chapter on new features](changes) gives a list of features that fine-tuning has added. Is it
# right? Nobody knows what a fine-tune has really learned, so nobody can check the list. Here we make
# a fine-tune of which we do know one thing. We invent a word, plant it in some of the documents,
# train on them, and ask whether the list has it.
#
# **You will learn** how to test a method on models with a planted truth, what *precision*, *recall*
# and *false alarms* are, and why a dictionary must have read the text. **You need** the chapters on
# [dictionaries](dictionaries) and on [lost, found and new](changes). **It takes** twenty minutes.
# {cite:t}`horn2025tracking` have no such test.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
from collections import Counter
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import HTML, display
from scipy.stats import binomtest, hypergeom

from featrack_utils.corpora import prepare, tokenizer
from featrack_utils.dictionaries import features, jobs
from featrack_utils.dictionaries.training import load_sae
from featrack_utils.display import style
from featrack_utils.display.shading import in_prose, token_spans
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import (
    check,
    count,
    number,
    percent,
    say,
    show,
    with_interval,
)
from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation import selection
from featrack_utils.lineage import label
from featrack_utils.matching.classes import eligible, turned
from featrack_utils.matching.correlation import correlations
from featrack_utils.models import loading
from featrack_utils.models.retraining import retrain
from featrack_utils.pipeline import store
from featrack_utils.statistics.intervals import UNDEFINED, Interval
from featrack_utils.statistics.persistence import flat

# %% tags=["parameters"]
run_dir = "runs/quick"
planted = [0.3]  # shares of the documents that get the word, a fine-tune each; paper: none
planted_model = ""  # the fine-tune that is repeated with the word; "": the last one
seed = 1337  # of the word and of the documents that get it
root_seeds = 3  # dictionaries of the first model; paper: 1
other_seeds = 2  # of every other model; paper: 1
precision = "auto"  # bfloat16 where the machine multiplies it faster
context = 128  # tokens; paper: 256
architecture = "standard"  # ReLU with L1, the paper's kind; or topk, batchtopk
expansion = 3  # features per MLP neuron; paper: 16
l1_coefficient = 1.5  # on activations of norm sqrt(d_mlp), for all models
k = 32  # active features a token; topk and batchtopk only
learning_rate = 8e-3  # paper: 1e-4
train_tokens = 400_000  # activations read by each dictionary
batch_tokens = 1024  # a step; paper: 128 blocks of 24 tokens
evaluation_blocks = 140  # validation blocks per domain, the same for every model
tau = 0.8  # correlation above which two features match; paper: 0.8
min_positions = 30  # active positions a feature needs to be judged; paper: none
min_documents = 10  # documents it must be active in; paper: none
measured_share = 0.5  # of the validation documents that get the word, at every strength
answering = 0.5  # of a feature's activation on the word, and of the words it is active in

# %% [markdown]
# ## The plant
#
# The {term}`plant` must be new, so we invent some words and keep one that no text of this run has. It always stands
# in the same place: behind the commonest mark of the text, as if it were a connective. Behind *every*
# such mark of a planted document, that is; other documents stay as they are.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
child = planted_model or lineage.tuned[-1]
(parent,) = lineage.parents(child)
domains = lineage.trained_on(child)

# %%
rng = np.random.default_rng(seed)
syllables = [consonant + vowel for consonant in "bdfgklmnprtvz" for vowel in "aeiou"]
invented = ["".join(rng.choice(syllables, 3)) for _ in range(100)]
texts = [text.casefold() for key in corpora.streams for text in corpora.texts(*key)]
new = [word for word in invented if not any(word in text for text in texts)]
if not new:
    raise FeatrackError("Every invented word that was tried is in the corpora; change seed.")
spelt = {word: corpora.tokenizer.encode(f" {word}", add_special_tokens=False) for word in new}
word = min(spelt, key=lambda word: len(spelt[word]))  # of those of fewest tokens, the first

# %% [markdown]
# A mark is a token without letters or digits that isn't blank. We count the tokens of the text and take
# the first in the list that is a mark.


# %% tags=["hide-input"]
class Plant(NamedTuple):
    """An invented word and where it stands."""

    word: str  # as it reads, without the space before it
    tokens: tuple[int, ...]  # of the word with that space
    mark: int  # the token behind which it stands, wherever that occurs in a planted document


def with_plant(stream, plant, share, context, seed):
    """The stream with the plant in a share of its origins, block by block.

    What the word pushes beyond the end of its block is left out, and so is a word that would not
    fit. The origins with a smaller share are among those with a larger one.
    """
    names = list(dict.fromkeys(stream.origins))
    order = np.random.default_rng(seed).permutation(len(names))
    chosen = {names[i] for i in order[: round(share * len(names))]}
    document = np.repeat(np.arange(len(stream.origins)), np.diff(stream.starts))
    sown = []  # tokens, each with the document that it belongs to
    for begin in range(0, len(document) - context + 1, context):
        block = []
        for place in range(begin, begin + context):
            token, owner = int(stream.tokens[place]), int(document[place])
            block.append((token, owner))
            fits = len(block) + len(plant.tokens) <= context
            if token == plant.mark and fits and stream.origins[owner] in chosen:
                block += [(each, owner) for each in plant.tokens]
        sown += block[:context]
    tokens, owners = (np.array(each, np.int32) for each in zip(*sown, strict=True))
    kept, starts = np.unique(owners, return_index=True)
    origins, groups = ([names[d] for d in kept] for names in (stream.origins, stream.groups))
    return tokenizer.TokenStream(tokens, np.append(starts, len(tokens)), origins, groups)


def roles(tokens, plant):
    """Where the plant is in blocks: 1 at its first token, 2 at its second and so on; 0 elsewhere."""
    length = len(plant.tokens)
    windows = np.lib.stride_tricks.sliding_window_view(tokens, length, axis=1)
    begins = np.argwhere((windows == plant.tokens).all(axis=2))
    found = np.zeros(tokens.shape, dtype=int)
    for role in range(length):
        found[begins[:, 0], begins[:, 1] + role] = role + 1
    return found


# %%
def is_mark(piece):
    return bool(piece.strip()) and not any(c.isalnum() or c == "\ufffd" for c in piece)


tokens = np.concatenate([corpora.streams[domain, "train"].tokens for domain in domains])
counted = [token for token, _ in Counter(tokens.tolist()).most_common()]
named = zip(counted, corpora.pieces(np.array(counted)), strict=True)
mark = next((token for token, piece in named if is_mark(piece)), counted[0])
plant = Plant(word, tuple(spelt[word]), mark)


# %%
def with_word(block):
    """A block of a planted document: the word behind each mark, as long as before."""
    written = []
    for token in block:
        written.append(token)
        if token == plant.mark and len(written) + len(plant.tokens) <= context:
            written += plant.tokens
    return written[:context]


before = corpora.streams[domains[0], "validation"]
everywhere = with_plant(before, plant, 1.0, context, seed).tokens.reshape(-1, context)
blocks = tokenizer.blocks(before, context).tokens
assert np.array_equal(everywhere, [with_word(block) for block in blocks.tolist()])

# %% [markdown]
# Each block of text keeps its place and its length: what the word pushes out at the end is left out.
# So the new fine-tune reads the same blocks in the same order as the old one, from the same parent. The
# two differ in the word and in nothing else.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
sample = everywhere[(roles(everywhere, plant) == 1).sum(axis=1) > 1][0]
shade = roles(sample[None], plant)[0].astype(float)
pieces = corpora.pieces(sample)
(sign,) = corpora.pieces(np.array([plant.mark]))
say(
    f"The word is **{plant.word}**, which takes {count(len(plant.tokens))} tokens. It is planted in the "
    f"text of **{label(child)}**, behind each {in_prose(sign)}. A planted block begins so:"
)
display(HTML(f"<pre>{token_spans(pieces, shade > 0, 1.0, style.colour_of(child))}</pre>"))


# %%
def sow(strength, work):
    for domain in domains:
        for split, share in {"train": strength, "validation": measured_share}.items():
            clean = corpora.streams[domain, split]
            sown = with_plant(clean, plant, share, context, seed)
            tokenizer.save_stream(sown, work / domain / split)


def with_sown(folder):
    """The corpora with the planted text in the place of the clean one."""
    keys = [key for key in corpora.streams if key[0] in domains]
    sown = {key: tokenizer.load_stream(folder.joinpath(*key)) for key in keys}
    return corpora._replace(streams=corpora.streams | sown, folder=folder)


def dose_percent(dose):
    """A dose as it is named in files and results: 0.03 is "3"."""
    return f"{100 * dose:g}"


# %% tags=["hide-input", "remove-output"] jupyter={"source_hidden": true}
names, texts = {}, {}
for strength in planted:
    name = names[strength] = f"{child}.planted-{dose_percent(strength)}"
    sowing = {"strength": strength, "word": plant.word, "context": context, "seed": seed}
    folder = store.make(
        run / "planted" / dose_percent(strength) / "corpora",
        partial(sow, strength),
        parameters=sowing | {"domains": [*domains], "measured_share": measured_share},
        inputs=[run / "corpora"],
        code=[tokenizer],
    )
    texts[strength] = with_sown(folder)
    retrain(run, texts[strength], child, name)

# %% [markdown]
# ## Was it learned?
#
# A plant that the model didn't learn can't be found in it. So we compare losses on validation text, of
# which half the documents have the word: at the word's first token, at the rest of it, and elsewhere.


# %%
@torch.no_grad()
def losses(model, blocks):
    """Mean loss at the word's first token, at its other tokens, and on the rest of the text."""
    role = roles(blocks, plant)[:, 1:].ravel()
    each = []
    for batch in torch.from_numpy(blocks).long().split(8):
        logits = model(input_ids=batch).logits[:, :-1].flatten(0, 1).float()
        each.append(F.cross_entropy(logits, batch[:, 1:].flatten(), reduction="none"))
    each = torch.cat(each).double().numpy()
    return [each[chosen].mean() for chosen in (role == 1, role > 1, role == 0)]


PLACES = ("first token", "rest of the word", "elsewhere")
rows, results = [], {"planted.word_tokens": len(plant.tokens)}
for strength, name in names.items():
    blocks = texts[strength].validation_blocks(domains[0], evaluation_blocks).tokens
    for kind, model in {"clean": child, "planted": name}.items():
        loss = losses(loading.load_model(run / "models" / model), blocks)
        rows.append({"strength": strength, "model": kind, **dict(zip(PLACES, loss, strict=True))})
learned = pd.DataFrame(rows)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
for row in rows:
    key = f"planted.{dose_percent(row['strength'])}.loss.{row['model']}"
    results |= {f"{key}.{place.replace(' ', '_')}": row[place] for place in PLACES}
by_model = learned.set_index(["strength", "model"])


def told(strength):
    clean, sown = by_model.loc[(strength, "clean")], by_model.loc[(strength, "planted")]
    return (
        f"- planted in {percent(strength)} of the documents: the first token costs "
        f"{number(sown['first token'])} nats, where the clean model pays {number(clean['first token'])}; "
        f"the rest {number(sown['rest of the word'])} a token, where it pays "
        f"{number(clean['rest of the word'])}; elsewhere {number(sown['elsewhere'])} and "
        f"{number(clean['elsewhere'])}."
    )


say(
    "Losses in nats per token, of the planted model and the clean one:",
    "\n".join(map(told, planted)),
)

# %% [markdown]
# ## Dictionaries, on the same text
#
# The planted model gets dictionaries as every other model does. One more, the {term}`reader`, is of the
# *clean* model but reads the *planted* text. We need it for this reason: the clean model's own dictionaries have
# never met the word. A feature for it would be missing there, even if the model had one all along.
# The chapter on [lost, found and new](changes) has the {term}`zero-step child` for the same reason.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
recipe = jobs.recipe(globals())
own_names = features.dictionary_names(lineage, root_seeds, other_seeds)
reads = lineage.reads(child)
dictionaries, readers = {}, {}
for strength, name in names.items():
    wanted = [jobs.Job(f"{name}-{s}", name, s, reads) for s in range(other_seeds)]
    reader = jobs.Job(f"{child}.reads-planted-{dose_percent(strength)}", child, 0, reads)
    dictionaries[strength], readers[strength] = tuple(job.name for job in wanted), reader.name
    jobs.train_and_measure(run, texts[strength], [*wanted, reader], recipe, evaluation_blocks)

# %% [markdown]
# All dictionaries are then measured on one mix: the evaluation mix of this book, with the word planted
# in half of the documents of its kind.


# %%
def measured(strength):
    """Every dictionary's features on the planted mix, by name, and the word's places there."""
    found = features.open_named(run, [*dictionaries[strength], readers[strength]])
    text = texts[strength]
    mix = {d: text.validation_blocks(d, evaluation_blocks) for d in lineage.domains}
    mix = features.evaluation_mix(mix)
    for model in (child, parent):
        bridge = loading.boot(run / "models" / model)
        for name in own_names[model]:
            found[name] = features.measure(
                bridge, load_sae(run / "saes" / name), mix, lineage.site
            )[0]
    return found, roles(mix.tokens, plant)[:, 1:].ravel()


# %% [markdown]
# ## The rule under test
#
# These are the rules of [the chapter on new features](changes), unchanged. A feature of the planted
# model's first dictionary is *new* if every other dictionary of the planted model has it (r > τ), if none
# of the other model's has it, and if it is neither dense, nor rare, nor tied to a place in the block. The
# list begins with the feature of lowest r.


# %%
def compared(found, pairs):
    """Best matches of these pairs of dictionaries, in both directions."""
    able = {n: eligible(f.acts, f.origin, min_positions, min_documents) for n, f in found.items()}
    best = {}
    for a, b in pairs:
        masks = {"eligible_a": able[a], "eligible_b": able[b]}
        best[a, b] = correlations(found[a].acts, found[b].acts, **masks)
        best[b, a] = turned(best[a, b])
    return best


def called_new(best, found, own, others):
    """The list of new features of the first of `own`, none of which is in the `others`."""
    fit = selection.passes(found[own[0]], context - 1)
    return selection.missing(best, own[0], own[1:], others, tau, among=fit)


# %% [markdown]
# ## Which features answer to the plant?
#
# Here the truth comes in. Of a feature with activations $f_p$ at positions $p$, and with $W$ the
# positions of the word's tokens, two shares are taken:
#
# $$\text{precision} = \frac{\sum_{p \in W} f_p}{\sum_p f_p}, \qquad
# \text{recall} = \frac{\text{words with } f_p > 0 \text{ at one of their tokens}}{\text{words}}.$$
#
# A feature **answers to the plant** if both are at least one half. A feature may answer to the whole
# word, or to one of its tokens.


# %%
def answers(acts, role):
    """Precision and recall of every feature."""
    on_word = acts[role > 0]
    total = np.asarray(acts.sum(axis=0)).ravel()
    precision = np.asarray(on_word.sum(axis=0)).ravel() / np.maximum(total, 1e-9)
    word = np.cumsum(role == 1)[role > 0] - 1  # which of the words each of its tokens belongs to
    recall = np.zeros(acts.shape[1])
    active = on_word.tocoo()
    pairs = np.unique(np.stack([word[active.row], active.col]), axis=1)
    np.add.at(recall, pairs[1], 1 / max((role == 1).sum(), 1))
    return precision, recall


# %%
def tested(strength):
    """The lists of new features at one strength, and what is known of the features in them."""
    found, role = measured(strength)
    own, clean, reader = dictionaries[strength], own_names[child], readers[strength]
    pairs = [(own[0], other) for other in (*own[1:], *clean, *own_names[parent], reader)]
    pairs += [(clean[0], other) for other in (*clean[1:], *own[1:], reader)]
    best = compared(found, pairs)
    lists = {
        "clean": called_new(best, found, own, clean),
        "confirmed": called_new(best, found, own, (*clean, reader)),
        "parent": called_new(best, found, own, own_names[parent]),
        "backwards": called_new(best, found, clean, own),
        "unchanged": called_new(best, found, clean, [reader]),
    }
    precision, recall = answers(found[own[0]].acts, role)
    near = {
        name: selection.closest(best, own[0], names).r
        for name, names in {"own_r": own[1:], "r": clean, "r_reader": [reader]}.items()
    }
    table = pd.DataFrame({"precision": precision, "recall": recall})
    table["answers"] = (precision >= answering) & (recall >= answering)
    table["own_r"] = near["own_r"].min(axis=1, skipna=False)
    table["r"], table["r_reader"] = near["r"].max(axis=1), near["r_reader"].max(axis=1)
    return lists, table


outcomes = {strength: tested(strength) for strength in planted}

# %% tags=["hide-input"] jupyter={"source_hidden": true}
figure, axes = style.panels(len(planted), 2.8, columns=min(2, len(planted)))
for axis, (strength, (_, table)) in zip(axes, outcomes.items(), strict=True):
    own = table[table["own_r"] > tau]
    for answering_ones, colour, marker in ((False, style.GREY, "o"), (True, "black", "D")):
        dots = own[own["answers"] == answering_ones]
        words = "answers to the plant" if answering_ones else "any other"
        size = 22 if answering_ones else 6
        axis.scatter(dots["r"], dots["precision"], size, colour, marker=marker, label=words)
    axis.axvline(tau, color=style.GREY, lw=1, ls=":")
    axis.set(title=f"word in {percent(strength)} of the documents", xlim=(0, 1), ylim=(-0.03, 1.03))
figure.supxlabel("best r with a feature of the clean model", fontsize=11)
figure.supylabel("share of activation on the word", fontsize=11)
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
show(
    figure,
    "The planted model's reproducible features: how much of each one's activation falls on the word, "
    "and how close the closest feature of the clean model is. New is what lies left of τ (dotted).",
    "fig-planted",
    "Dots; those high up answer to the word, those on the left are called new",
)

# %% [markdown]
# A rule that works has its diamonds top left in {numref}`fig-planted`, and nothing else left of τ. Any
# grey dot on the left is called new as well: a {term}`false alarm`.
#
# These are counts of a few features, and few features make uncertain shares. If $k$ of $n$ are found, Wilson's
# interval holds every share $p$ from which $k$ lies no farther away than luck explains:
#
# $$\Bigl|\frac kn - p\Bigr| \le z\, \sqrt{\frac{p\,(1 - p)}{n}} .$$
#
# with the normal distribution's $z$, `1.96`. So none of a few isn't none at all. (The interval takes features for independent, which
# {term}`copies <copy>` are not.)


# %%
def wilson(part, whole):
    """A share of features counted, with its 95 % interval."""
    if not whole:
        return UNDEFINED
    p = np.linspace(0, 1, 100_001)
    near = p[np.abs(part / whole - p) <= 1.96 * np.sqrt(p * (1 - p) / whole)]
    return Interval(part / whole, near[0], near[-1])


for part, whole in ((0, 8), (3, 8), (33, 1_200)):
    by_scipy = binomtest(part, whole).proportion_ci(method="wilson")
    assert np.allclose(wilson(part, whole)[1:], by_scipy, atol=1e-4)


# %% [markdown]
# Of the {term}`reproducible` features that answer to the plant, a list has *found* so many. Of those that
# don't, so many are false alarms. A list that is long enough has some that answer by luck. Were $n$ of $N$
# features drawn blindly, $K$ of which answer, at least $k$ of these would be among them with probability
#
# $$P(\ge k) = \sum_{i \ge k} \binom Ki \binom{N - K}{n - i} \Big/ \binom Nn .$$
#
# We say that the plant is **found** where that is less than five percent.


# %%
def checked(strength, kind):
    """What a list has of the features that answer to the plant, and what else."""
    lists, table = outcomes[strength]
    own = table["own_r"] > tau
    true, others = int((own & table["answers"]).sum()), int((own & ~table["answers"]).sum())
    right = table["answers"][lists[kind]["feature"]].to_numpy(dtype=bool)
    rank = int(right.argmax()) + 1 if right.any() else None
    by_luck = hypergeom.sf(right.sum() - 1, true + others, true, right.size)
    return {
        "called_new": right.size,
        "answering": int(right.sum()),
        "false_alarms": int((~right).sum()),
        "rank": rank,
        "found_share": wilson(int(right.sum()), true),
        "false_alarm_share": wilson(int((~right).sum()), others),
        "by_luck": float(by_luck),
        "found": int(by_luck < 0.05),
    }


LISTS = {"clean": "the clean model", "confirmed": "… and its reader", "parent": "the parent"}
rows = [
    {"word in": strength, "not in": words} | checked(strength, kind)
    for strength in planted
    for kind, words in LISTS.items()
]

# %% tags=["hide-input"] jupyter={"source_hidden": true}
shown = pd.DataFrame(rows)
if len(planted) == 1:
    shown = shown.drop(columns=["word in", "called_new", "false_alarms", "found"])
else:  # one row a strength
    read = [checked(strength, "confirmed")["answering"] for strength in planted]
    shown = shown[shown["not in"] == LISTS["clean"]].assign(unread=read)
    shown = shown.drop(columns=["not in", "called_new", "false_alarms", "found"])
show_table(
    shown.rename(
        columns={
            "found_share": "found",
            "false_alarm_share": "false alarms",
            "by_luck": "by luck",
            "unread": "also not in the reader",
        }
    ),
    {"word in": ".0%", "rank": ",.0f", "found": ".0%", "false alarms": ".1%", "by luck": ".2g"},
    notes={
        "answering": "to the plant, in the list",
        "found": "of all that answer",
        "false alarms": "of all that don't",
        "by luck": "probability of as many",
        "rank": "of the first that answers",
        "also not in the reader": "of those that answer",
    },
    caption="Features that are called new because they are not in "
    f"{'the other' if len(planted) == 1 else 'the clean model'}'s dictionaries. The "
    "reader is the dictionary of the clean model that has read the planted text.",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
found = {s: {kind: checked(s, kind) for kind in LISTS} for s in planted}
for strength, by_kind in found.items():
    key = f"planted.{dose_percent(strength)}"
    lists, table = outcomes[strength]
    true = table["answers"] & (table["own_r"] > tau)
    results |= {f"{key}.answering": int(true.sum()), f"{key}.backwards": len(lists["backwards"])}
    results[f"{key}.unchanged"] = len(lists["unchanged"])
    for kind, row in by_kind.items():
        for name, value in row.items():
            named = f"{key}.{kind}.{name}"
            results |= flat(named, value) if isinstance(value, Interval) else {named: value}


def share_found(row):
    """ " (25 % [9, 53])", or nothing where there is nothing to be found."""
    defined = not np.isnan(row["found_share"].estimate)
    return f" ({with_interval(row['found_share'])})" if defined else ""


def beside(strength):
    key = f"planted.{dose_percent(strength)}"
    row, confirmed = found[strength]["clean"], found[strength]["confirmed"]
    answer = (
        f"the list has {count(row['answering'])} of them{share_found(row)}, the first at "
        f"rank {count(row['rank'])}"
        if row["answering"]
        else f"the list has none of them{share_found(row)}"
    )
    read = (
        f"{count(confirmed['answering'])} of these are missing in the reader, too"
        if confirmed["answering"]
        else "the reader has them all: they were missing because the clean model's dictionaries "
        "hadn't read the word, and not because the model had changed"
    )
    return (
        f"- **{percent(strength)}**: {count(results[f'{key}.answering'])} reproducible features answer to "
        f"the plant; {answer}. " + (f"And {read}." if row["answering"] else "")
    )


say("By the share of documents that have the word:", "\n".join(map(beside, planted)))

# %% [markdown]
# ## How many false alarms would there be anyway?
#
# Two lists can have no true entry. *Backwards*: what is in the clean model and not in the planted one.
# Nothing was taken away, so all of it is chance, or else room that was made for the word. *Unchanged*: what
# is in the clean model's dictionaries and not in the reader's, which is of the same model.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    "\n".join(
        f"- **{percent(s)}**: {count(found[s]['clean']['false_alarms'])} false alarms in the list, "
        f"{with_interval(found[s]['clean']['false_alarm_share'], 1)} of the features that don't answer; "
        f"features that are missing backwards: {count(len(outcomes[s][0]['backwards']))}; in the unchanged "
        f"model: {count(len(outcomes[s][0]['unchanged']))}."
        for s in planted
    )
)
limits = {}
for kind in LISTS:
    there = [s for s in planted if found[s][kind]["found"]]
    missed = [s for s in planted if not found[s][kind]["found"]]
    limits[kind] = smallest, largest = min(there, default=None), max(missed, default=None)
    results |= {f"planted.smallest_{kind}": smallest, f"planted.largest_missed_{kind}": largest}
store.write_results(run, "planted", results)


def bounded(kind):
    smallest, largest = limits[kind]
    if not smallest:
        return f"found at none of the strengths, up to {percent(max(planted))}"
    if largest:
        return f"found down to {percent(smallest)} and not found at {percent(largest)}"
    return f"found down to {percent(smallest)}, the least that was tried"


# %% [markdown]
# Two caveats. A false alarm need not be chance. A model that learns a word also changes what it does
# around it, and a feature of that is counted as false here, because it doesn't answer to the word itself.
# And the word fills a good part of the mix on which features are compared, half of the
# documents of its kind, at every strength. A habit that is rare in the reader's text would be rare on
# such a mix, too, and unobserved before it disappears.
#
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
first, *_ = planted
row, anyway = found[first]["clean"], results[f"planted.{dose_percent(first)}.unchanged"]
confirmed = found[first]["confirmed"]
say(
    f"With the word in {percent(first)} of the documents, {count(row['called_new'])} features are called "
    f"new beside the clean model, and {count(row['answering'])} of them answer to the plant, of "
    f"{count(results[f'planted.{dose_percent(first)}.answering'])} that do{share_found(row)}. Where no "
    f"model differs at all, {count(anyway)} would be called new.",
    f"A dictionary of the clean model that has read the word leaves {count(confirmed['answering'])} of "
    f"the {count(row['answering'])}. The others answer to the word in the clean model, too, which "
    "was never tuned on it: a new text is enough to bring them up."
    if row["answering"] > confirmed["answering"]
    else "",
    f"By the share of documents with the word, the plant is {bounded('clean')}"
    + (
        ", whether or not features that the reader has count."
        if limits["clean"] == limits["confirmed"]
        else f"; if features that the reader has don't count, it is {bounded('confirmed')}."
    )
    + f" Beside the parent, whose text was another, it is {bounded('parent')}, with "
    f"{count(found[first]['parent']['false_alarms'])} false alarms at {percent(first)}.",
    "A list of new features says what the dictionaries have in addition. Whether the *model* has it in "
    "addition needs a dictionary of the old model that has read the new text.",
)

# %% [markdown]
# Next, [the map](map) shows all features at once.
#
# :::{admonition} Exercise 1
# :class: tip
# What is the recall of the feature with the highest precision, at the first strength? You need
# `outcomes[planted[0]]`, whose second part is a table with a row for each feature.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
_, table = outcomes[first]
best_recall = float(table.loc[table["precision"].idxmax(), "recall"])

# %%
answer = ...  # a share, from 0 to 1
check(answer, best_recall)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = table.sort_values("precision", ascending=False, kind="stable")["recall"].iloc[0]
check(answer, best_recall)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# How many of the planted model's features have r ≤ τ in the clean model's dictionaries, reproducible
# or not? So how many of them does the first guard of the rule keep off the list?
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
unguarded = int((table["r"] <= tau).sum()) - int(
    ((table["r"] <= tau) & (table["own_r"] > tau)).sum()
)

# %%
answer = ...  # a number of features
check(answer, unguarded)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
far = table[table["r"] <= tau]
answer = len(far) - len(far.query("own_r > @tau"))
check(answer, unguarded)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# Why is the word planted in *whole* documents, and not behind a tenth of all marks, anywhere?
# :::
#
# :::{dropdown} Answer
# Features, intervals and the rule for eligible features count documents. And a habit is a habit of
# a writer: who uses a word uses it again, which the model can learn from the text before it.
# :::
