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
# # Kinds of text
#
# The experiment needs a model that has read some kinds of text, and fine-tunes that learn others.
# {cite:t}`horn2025tracking` took theirs from BabyLM, TinyStories and public code.
#
# **You will learn** what this run reads instead, how it becomes tokens, and how much of it stands in more
# than one place. **You need** nothing but an idea of what a language model is. **It takes** ten minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import logging
import platform
import re
import textwrap
from importlib import metadata
from itertools import chain, permutations
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import PercentFormatter

from featrack_utils.corpora import files, hub, split, tokenizer
from featrack_utils.corpora.documents import EMBEDDED, SPLITS, SourceConfig
from featrack_utils.corpora.installed import XMAKE
from featrack_utils.corpora.prepare import open_corpora
from featrack_utils.corpora.stories.telling import plots
from featrack_utils.display import style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import check, count, listed, number, percent, say, show
from featrack_utils.errors import FeatrackError
from featrack_utils.interpretation.contexts import signs
from featrack_utils.lineage import Lineage, label
from featrack_utils.pipeline import store

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the split, the order of documents and the story grammar
models = {  # who descends from whom, and what each is trained on; paper: the same four
    "base": {"train": ["english", "python"]},
    "lua": {"parent": "base", "train": ["lua"]},
    "stories": {"parent": "base", "train": ["stories"]},
    "merged": {"merge": ["lua", "stories"], "method": "slerp", "t": "balanced"},  # paper: t 0.58
}
sources_of = {
    "english": {"kind": "embedded"},  # paper: BabyLM
    "python": {"kind": "embedded"},  # paper: nilq/baby-python
    "lua": {"kind": "embedded"},  # paper: nilq/small-lua-stack
    "stories": {"kind": "embedded"},  # paper: roneneldan/TinyStories
}
train_tokens = {  # tokens wanted; a domain with less text gives what it has
    "english": 1_300_000,  # paper: 10 M words
    "python": 1_500_000,  # paper: the whole data set
    "lua": 800_000,  # paper: the whole data set
    "stories": 800_000,  # paper: the whole data set
}
validation_tokens = 45_000  # per domain
validation_share = 0.08  # of the groups (files, folders, plots)
vocab_size = 2048  # paper: 32,000 (Mistral's)
context = 128  # tokens; paper: 256
site = "blocks.0.mlp.hook_post"  # whose activations are taken apart later; paper: the same
tokenizer_from = ""  # a folder whose tokenizer is taken; "": one is learned
dictionaries = {}  # by model, folders of dictionaries that aren't trained here
root_tokens = 2_000_000  # that the first model's training reads; 0 where it isn't trained here

# %% [markdown]
# ## What each text is
#
# Text that is *embedded* comes with the book's own environment: it needs no download, and everyone
# gets the same. It is not the paper's text. What this book says about "English" or "Lua" is about
# these:
#
# - **English** is not English at large. It is the prose of docstrings, by programmers for programmers,
#   from a fixed list of scientific packages that are read as text and never imported. Examples, tables
#   and markup are removed. The code of these packages is in no other text.
# - **Python** is the standard library of the running interpreter: whole files, comments included,
#   without tests and without files that are mostly numbers.
# - **Lua** is one project: the build tool [xmake](https://xmake.io), without licence headers and without
#   files that are mostly copies of others. People wrote it, and it talks of compilers, packages and
#   folders. Its files are licensed under Apache-2.0; the package `xmake-wheel`, which carries them,
#   declares GPL-3.0 for itself.
# - **Stories** are written by no person. A grammar of this book makes them up, in the spirit of
#   TinyStories {cite:p}`eldan2023tinystories`: somebody wants something, meets an obstacle, and gets it or
#   not.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
run = store.open_run(run_dir)
lineage = Lineage(models, site, sources_of, dictionaries)
store.write_lineage(run, lineage)
domains = lineage.domains
embedded = [domain for domain in domains if sources_of[domain]["kind"] == "embedded"]
style.use_style(lineage)
say(
    f"In this run {count(len(embedded))} of {count(len(domains))} texts are embedded. Any other is "
    f"read from where the profile points. The grammar of the stories has {count(len(plots()))} "
    "plots, with alternatives for most of their sentences."
)

# %% [markdown]
# ## Reading and dividing it
#
# Groups are divided, not documents, by a hash of their names: a module that feeds two domains falls on
# one side. Then each training paragraph that shares 13 words in a row with any domain's validation text
# leaves, so a little more is collected than is wanted. No file, plot or package gives more than a fortieth
# of a split until there is nothing else.


# %%
SPARE = 1.05  # so many times the training text wanted is collected, since copies will leave it


def collect(sources, *, wanted, validation_share, seed):
    """Each domain's documents for "train" and "validation", as many characters as are `wanted`."""
    splits = {}
    for domain, source in sources.items():
        budget = wanted[domain] | {"train": int(SPARE * wanted[domain]["train"])}
        documents = split.documents_of(domain, source, seed)
        read = split.read_enough(documents, budget, validation_share, seed)
        side = split.assign_groups({document.group for document in read}, validation_share, seed)
        if len(side) < 2:
            raise FeatrackError(
                f"The {domain} corpus can't be divided into training and validation: it has "
                f"{len(side)} group(s) of text; give it more files or longer ones."
            )
        splits[domain] = {
            name: split.filled((d for d in read if side[d.group] == name), budget[name])
            for name in SPLITS
        }
    validation = [document for sides in splits.values() for document in sides["validation"]]
    for domain, sides in splits.items():
        clean = split.without_leaks(sides["train"], validation)
        sides["train"] = split.filled(clean, wanted[domain]["train"])
        for name, documents in sides.items():
            found, asked = sum(len(d.text) for d in documents), wanted[domain][name]
            if not found:
                raise FeatrackError(
                    f"The {domain} corpus has no text for {name}; give it more text or, where "
                    "there is too little to divide, change validation_share."
                )
            if found < 0.98 * asked:
                message = "the %s corpus has %d characters for %s, %d were wanted; going on"
                logging.getLogger("corpora").warning(message, domain, found, name, asked)
    return splits


# %% [markdown]
# A byte-level BPE vocabulary is learned on what the first model reads, and encodes everything. Text was
# counted in characters; its tokens are cut to the number wanted. Beside them is kept whose text it is: of
# each package the version and licence that its metadata state.


# %%
def version_and_licence(package):
    if package == "python":
        return platform.python_version(), "PSF-2.0"
    try:
        about = metadata.metadata(package)
    except (metadata.PackageNotFoundError, ValueError):
        return "", "as its authors state"
    kinds = [kind for kind in about.get_all("Classifier") or [] if kind.startswith("License :: ")]
    kinds = "; ".join(kind.split(" :: ")[-1] for kind in kinds)
    stated = about.get("License-Expression") or kinds or about.get("License") or "not stated"
    if package == XMAKE:  # by its files' own headers
        stated = "Apache-2.0"
    return metadata.version(package), stated


def provenance(documents):  # a row for each package, the largest first
    rows = [(d.package or "your own files", d.group, len(d.text)) for d in documents]
    table = pd.DataFrame(rows, columns=["package", "groups", "characters"])
    totals = table.groupby("package").agg({"groups": "nunique", "characters": "sum"})
    totals = totals.sort_values("characters", ascending=False, kind="stable")
    stated = [version_and_licence(package) for package in totals.index]
    return pd.DataFrame(stated, totals.index, ["version", "licence"]).join(totals)


def first_tokens(stream, n_tokens):
    n = min(n_tokens, len(stream.tokens))
    starts = stream.starts[stream.starts < n]
    origins, groups = stream.origins[: len(starts)], stream.groups[: len(starts)]
    return tokenizer.TokenStream(stream.tokens[:n], np.append(starts, n), origins, groups)


# %%
def prepare(
    folder,
    *,
    sources,
    train_tokens,
    validation_tokens,
    validation_share,
    vocab_size,
    vocabulary_from,
    seed,
    tokenizer_from="",
):
    configs = {domain: SourceConfig.read(domain, source) for domain, source in sources.items()}
    wanted, chars = {}, {}
    for domain, config in configs.items():
        wanted[domain] = {"train": train_tokens[domain], "validation": validation_tokens}
        # Of the reader's own text nothing is known; 5 characters are more than most tokens have.
        per_token = EMBEDDED[config.text].chars_per_token if config.text else 5.0
        chars[domain] = {name: int(n * per_token) for name, n in wanted[domain].items()}
    documents = collect(configs, wanted=chars, validation_share=validation_share, seed=seed)
    if tokenizer_from:
        learnt = tokenizer.saved_tokenizer(Path(tokenizer_from))
    else:
        learnt_from = (d.text for domain in vocabulary_from for d in documents[domain]["train"])
        learnt = tokenizer.train_tokenizer(learnt_from, vocab_size)
    learnt.save_pretrained(folder / "tokenizer")
    credits = {}
    for domain, sides in documents.items():
        credits[domain] = provenance(chain(*sides.values()))
        for name in SPLITS:
            stream = tokenizer.encode_documents(sides[name], learnt)
            stream = first_tokens(stream, wanted[domain][name])
            tokenizer.save_stream(stream, folder / domain / name)
    pd.concat(credits, names=["domain"]).to_csv(folder / "provenance.csv")


# %%
recipe = {
    "sources": hub.pinned({domain: sources_of[domain] for domain in domains}, run / "corpora"),
    "train_tokens": {domain: train_tokens[domain] for domain in domains},
    "validation_tokens": validation_tokens,
    "validation_share": validation_share,
    "vocab_size": vocab_size,
    "vocabulary_from": list(lineage.reads(lineage.root)),
    "seed": seed,
}
if tokenizer_from:
    recipe |= {"vocab_size": None, "tokenizer_from": tokenizer_from}
folder = store.make(
    run / "corpora",
    lambda work: prepare(work, **recipe),
    parameters=recipe | {"files": files.fingerprint(recipe["sources"])},
    code=[split, tokenizer],
)
corpora = open_corpora(folder, context)
read = {key: corpora.texts(*key) for key in corpora.streams}

# %% tags=["hide-output"]
credits = pd.read_csv(folder / "provenance.csv", keep_default_na=False)
show_table(credits, {"groups": ",d", "characters": ",d"}, caption="What was read, by package.")

# %% [markdown]
# ## How they read
#
# The beginning of one validation document of each, picked by the seed.


# %%
def sample(domain, n_chars=600):
    origins = corpora.streams[domain, "validation"].origins
    first = [n for n, name in enumerate(origins) if name not in origins[:n]]
    text = read[domain, "validation"][first[seed % len(first)]]
    text = text[:n_chars] + " …" * (len(text) > n_chars)
    lines = (textwrap.fill(line, 85, replace_whitespace=False) for line in text.split("\n"))
    return signs("\n".join(lines), keep=" \n")  # what can't be seen as a sign


for domain in domains:
    print(f"--- {domain} ---\n{sample(domain)}\n")

# %% [markdown]
# ## How much there is
#
# Three words say which pieces of text belong together, and the book needs all three:
#
# | | a *document* is | an *origin* is | a *group* is |
# |---|---|---|---|
# | English | the prose of one docstring | a module | the same module |
# | Python | a file | the same file | the same file |
# | Lua | a file | the same file | its folder |
# | Stories | a story | the same story | its plot |
# | your own files | a stretch of text | a section of a file, or a row | the file; of few files, a section |
#
# The model sees a *document* between two end-of-text tokens. Later chapters judge a feature only
# where it is active in several *origins*, so that one odd text can't make a {term}`feature`. A {term}`group` falls
# whole into training or into validation. Two stories of one plot are two origins but not two
# independent texts. Therefore the intervals of this book come from resampling whole groups.


# %%
def size(domain, split):
    stream = corpora.streams[domain, split]
    parts = {"tokens": stream.tokens, "documents": stream.origins}
    parts |= {"origins": {*stream.origins}, "groups": {*stream.groups}}
    return {f"{split} {what}": len(each) for what, each in parts.items()}


sizes = pd.DataFrame({"text": label(d)} | size(d, "train") | size(d, "validation") for d in domains)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
figure, axes = style.panels(2, 0.7 + 0.35 * len(domains))
colours = [style.colour_of(domain) for domain in domains]
for axis, what in zip(axes, ("train tokens", "validation groups"), strict=True):
    bars = axis.barh(sizes["text"], sizes[what], color=colours)
    axis.bar_label(bars, map(count, sizes[what]), padding=3, fontsize=10)
    axis.set(xlabel=what.replace("train", "training"), xlim=(0, 1.3 * sizes[what].max()))
    axis.grid(False)
    axis.set_xticks([])
axes[0].invert_yaxis()
show(
    figure,
    caption="How much there is of each text: tokens to train on, and groups held out for validation, "
    "on whose number all intervals rest.",
    name="fig-sizes",
    alt="Bars, one for each text",
)

# %% [markdown]
# More tokens lie ready than the first model reads. Its training draws blocks from them until its own
# number of tokens is reached.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
root_reads = lineage.reads(lineage.root)
available = sum(len(corpora.streams[domain, "train"].tokens) for domain in root_reads)
passes = root_tokens / available
say(
    f"{label(lineage.root)} learns from {listed(list(map(label, root_reads)))}, which hold "
    f"{count(available)} training tokens.",
    f"Its training reads {count(root_tokens)} of them, that is {percent(passes)}: no text twice."
    if 0 < passes <= 1
    else f"Its training reads {count(root_tokens)}: {number(passes, 1)} passes over them."
    if root_tokens
    else "",
)

# %% [markdown]
# ## What the tokens are
#
# Characters per token say how well the vocabulary fits a text. It was learned on what the first
# model reads; in other text, words that are frequent only there are spelt with several tokens.
# So a loss *per token* doesn't tell which of two texts is harder.


# %%
def tokens_of(domain):
    counts = pd.Series(corpora.streams[domain, "train"].tokens).value_counts()
    counts = counts.drop(corpora.tokenizer.bos_token_id)  # the one that leads each document
    row = {"text": label(domain), "distinct tokens": len(counts)}
    for name in SPLITS:
        stream = corpora.streams[domain, name]
        n_tokens = len(stream.tokens) - len(stream.origins)
        row[f"{name} chars per token"] = sum(map(len, read[domain, name])) / n_tokens
    return row


used = pd.DataFrame(map(tokens_of, domains))

# %% tags=["remove-input"] jupyter={"source_hidden": true}
per_token = zip(used["text"], used["train chars per token"], strict=True)
say(
    f"The vocabulary has {count(len(corpora.tokenizer))} tokens. One of them is so many characters long on "
    f"average: {listed([f'{number(chars, 1)} ({text})' for text, chars in per_token])}."
)

# %% [markdown]
# ## Does validation text leak into training?
#
# Groups are held out whole and long copies have left. Shorter overlaps remain, as they do between any two
# texts of one kind. We count them as *n-grams*, n words in a row: the share of one text's n-grams that
# stand somewhere in another. Every occurrence counts, and punctuation is a word of its own.

# %%
WORD = r"\w+(?:'\w+)*|[^\w\s]+"


def known_ngrams(asked, known, n):
    def grams(texts):
        runs = (re.findall(WORD, text) for text in texts)
        return [tuple(words[i : i + n]) for words in runs for i in range(len(words) - n + 1)]

    there = set(grams(known))
    found = [gram in there for gram in grams(asked)]
    return sum(found) / len(found)


# %% [markdown]
# With 64-bit hashes instead of tuples it takes a fraction of the time: one of each word, and of an n-gram
# a polynomial in those. That any two of ten million different ones have the same has a chance of 3 in a
# million. On a part of the first text both agree. No n-gram crosses from one text into the next.


# %%
BASE = 0xD6E8FEB86659FD93


def words_of(texts):
    found = (np.array(re.findall(WORD, text), dtype=object) for text in texts)
    return [pd.util.hash_array(words, categorize=False) for words in found]


def ngrams(words, n):
    def hashes(text):
        grams = np.zeros(max(len(text) - n + 1, 0), np.uint64)
        for offset in range(n):
            grams = grams * np.uint64(BASE) + text[offset : offset + len(grams)]  # wraps around
        return grams

    return np.concatenate([hashes(text) for text in words])


def known_share(asked, known):
    return float(pd.Series(asked).isin(known).mean())


def distinct_share(grams):
    return float((~pd.Series(grams).duplicated()).mean())


# %%
part = read[domains[0], "validation"][:200], read[domains[0], "train"][:2000]
plain = known_ngrams(*part, 4)
assert plain == known_share(*(ngrams(words_of(texts), 4) for texts in part))

# %%
words = {key: words_of(texts) for key, texts in read.items()}
eights = {key: ngrams(words[key], 8) for key in read}


def repetition(domain):
    validation, train = (domain, "validation"), (domain, "train")
    thirteens = (ngrams(words[key], 13) for key in (validation, train))
    return {
        "text": label(domain),
        "distinct 4-grams": distinct_share(ngrams(words[train], 4)),
        "known 8-grams": known_share(eights[validation], eights[train]),
        "known 13-grams": known_share(*thirteens),
    }


repeated = pd.DataFrame(map(repetition, domains))

# %% tags=["hide-input"] jupyter={"source_hidden": true}
figure, axis = style.single(0.9 + 0.35 * len(domains))
for marker, what in zip("osD", repeated.columns[1:], strict=True):
    axis.plot(repeated[what], repeated["text"], marker, ls="", label=what, color="black", alpha=0.7)
axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
axis.set(xlabel="share of the n-grams", xlim=(-0.02, 1), ylim=(len(domains) - 0.5, -0.5))
figure.legend(loc="outside upper center", ncols=3)
show(
    figure,
    caption="Repetition. Distinct: different 4-grams among all of a text's training part (higher: less "
    "repetition). Known: n-grams of its validation part that its training part has (lower is better).",
    name="fig-repeated",
    alt="Three markers for each text",
)

# %% [markdown]
# Punctuation marks count as words in {numref}`fig-repeated`, so code comes to eight "words" sooner than
# prose does.
#
# ## Does one text stand in another?
#
# A fine-tune that reads again what its parent has read is not only learning something new. So we ask
# the same of every pair: which share of the 8-grams in one text's training part stands word for word
# in the training part of another?

# %%
between = pd.DataFrame(index=map(label, domains), columns=map(label, domains), dtype=float)
for asked, known in permutations(domains, 2):
    share = known_share(eights[asked, "train"], eights[known, "train"])
    between.loc[label(asked), label(known)] = share

# %% tags=["hide-input"]
figure, axis = style.single(0.6 + 0.5 * len(between))
sns.heatmap(between, ax=axis, annot=True, fmt=".2%", cmap="Blues", vmin=0, vmax=0.1, cbar=False)
axis.grid(False)
axis.tick_params(axis="y", rotation=0)
axis.set(xlabel="… stand in the training text of", ylabel="Of the 8-grams of …")
show(
    figure,
    caption="Overlap between the texts: of all runs of eight words in one text's training part, "
    "the share that stands word for word in another's (lower is better).",
    name="fig-overlap",
    alt="A table of shares, one row and one column for each text",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
largest = between.max(axis=None)
where = "By {numref}`fig-overlap`"
say(f"{where}, no text has more than {percent(largest, 2)} of its 8-grams from another.")

# %% tags=["remove-cell"]
results = {"corpora.vocab_size": len(corpora.tokenizer)}
results["corpora.embedded"] = len(embedded)
results["corpora.stories.plots"] = len(plots())
results |= {"corpora.root_available_tokens": available, "corpora.root_read_tokens": root_tokens}
tables = sizes.merge(used).merge(repeated).drop(columns="text")
for domain, row in zip(domains, tables.to_dict("records"), strict=True):
    for column, value in row.items():
        results[f"corpora.{domain}.{column.replace('-', '').replace(' ', '_')}"] = value
for asked, known in permutations(domains, 2):
    share = between.loc[label(asked), label(known)]
    results[f"corpora.{asked}.known_8grams_in_{known}"] = share
store.write_results(run, "corpora", results)

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
known = zip(repeated["text"], repeated["known 8-grams"], strict=True)
shares = [f"{percent(share)} ({text})" for text, share in known]
held_out = zip(sizes["text"], sizes["validation groups"], strict=True)
groups = [f"{count(n)} ({text})" for text, n in held_out]
say(
    f"Of {count(len(domains))} texts, {count(len(embedded))} come with the book's environment. Of "
    f"validation's runs of eight words, {listed(shares)} stand in the training text of their kind; "
    f"between two kinds it is at most {percent(largest, 2)}. What later chapters say "
    f"with an interval rests on so many groups of validation text: {listed(groups)}."
)

# %% [markdown]
# The [next chapter](base) trains the first model. Bring your own text with a profile whose sources
# are `files`; the README shows how.
#
# :::{admonition} Exercise 1
# :class: tip
# How many *tokens* of the first text's training part stand in its longest document? The array
# `corpora.streams[domains[0], "train"].starts` says where each document begins, and last where all end.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
longest = corpora.streams[domains[0], "train"]
longest = max(b - a for a, b in zip(longest.starts[:-1], longest.starts[1:], strict=True))

# %%
answer = ...  # tokens
check(answer, longest)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = pd.Series(corpora.streams[domains[0], "train"].starts).diff().max()
check(answer, longest)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# Which share of the last text's validation 2-grams stands in its training part? `words[domain, split]` and
# `ngrams` are at hand. Why is it so much larger than that of 8-grams?
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
plain = [read[domains[-1], split] for split in ("validation", "train")]
twos = known_ngrams(*plain, 2)

# %%
answer = ...  # a share, from 0 to 1
check(answer, twos)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
pairs = [ngrams(words[domains[-1], split], 2) for split in ("validation", "train")]
answer = known_share(*pairs)
check(answer, twos)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# Suppose every validation story were there twice. What would happen to an interval that comes from
# resampling *stories*, what to one from resampling *plots*, and which of the two is right?
# :::
#
# :::{dropdown} Answer
# Twice as many stories make the first narrower by a factor of √2, although nothing new was read.
# The second stays as it was: a plot is drawn with all its stories, once or twice told. It's right.
# :::
