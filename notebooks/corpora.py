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
# # Four kinds of text
#
# The experiment needs text of four kinds: **English** and **Python** for the base model, **Lua**
# and **stories** for its two fine-tunes. {cite:t}`horn2025tracking` took theirs from BabyLM,
# TinyStories and public code. This run {% if results["corpora.embedded"] == 4 %}takes all four from what is already
# installed with the book, so that it needs no download and gives everyone the same text{% else %}takes
# {{ count("corpora.embedded") }} of the four from what is installed with the book and the rest from
# where the profile points{% endif %}.
# This chapter says plainly what that text is, shows some of it, and checks that nothing stands on
# both sides of the line between training and validation.

# %%
from pathlib import Path

import pandas as pd

from featrack_utils import store, tokens
from featrack_utils.corpora import collecting, overlap, prepare, sources
from featrack_utils.corpora.documents import DOMAINS, SPLITS
from featrack_utils.tables import show_table

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the split, the order of documents and the story grammar
sources_of = {
    "english": {"kind": "embedded"},  # paper: BabyLM
    "python": {"kind": "embedded"},  # paper: nilq/baby-python
    "lua": {"kind": "embedded"},  # paper: nilq/small-lua-stack
    "stories": {"kind": "embedded"},  # paper: roneneldan/TinyStories
}
train_tokens = {  # tokens wanted; a domain with less text gives what it has
    "english": 1_600_000,  # paper: 10 M words
    "python": 2_100_000,  # paper: the whole data set
    "lua": 1_050_000,  # paper: the whole data set
    "stories": 1_050_000,  # paper: the whole data set
}
validation_tokens = 60_000  # per domain
validation_share = 0.08  # of the groups (files, modules, plots)
vocab_size = 4096  # paper: 32,000 (Mistral's)
context = 128  # tokens; paper: 256

# %% [markdown]
# ## Where each comes from
#
# The table below says what this run has read. Where a domain is embedded, it is this:
#
# - **Python** is the standard library of the running interpreter, whole files without its tests.
# - **English** is the prose of docstrings, of the standard library and of a fixed list of
#   scientific packages, read as text and never imported; examples, tables and markup are removed.
#   It is technical English by programmers, and no substitute for books or conversation.
# - **Lua** is translated: a program of ours turns functions and classes of *other* packages from
#   Python's syntax tree into Lua. Every chunk compiles, and it uses Lua's own idioms, but it says
#   what Python programmers say. Features shared by Python and Lua are likelier here than in Lua
#   written by Lua programmers.
# - **Stories** are written by a grammar in the spirit of TinyStories {cite:p}`eldan2023tinystories`:
#   characters who want something, obstacles, dialogue, an ending. Their world is small and their
#   sentences come from a finite stock.

# %%
run = Path(run_dir)
recipe = dict(
    sources=sources_of, train_tokens=train_tokens, validation_tokens=validation_tokens,
    validation_share=validation_share, vocab_size=vocab_size, seed=seed,
)  # fmt: skip
folder = store.make(
    run / "corpora",
    lambda work: prepare.prepare(work, **recipe),
    parameters=recipe | {"files": prepare.fingerprint(sources_of)},
    code=[prepare, collecting, sources, tokens],
)
corpora = prepare.open_corpora(folder, context)

# %% tags=["hide-input"]
origins = pd.read_csv(folder / "provenance.csv", keep_default_na=False)
show_table(origins, {"files": ",d", "characters": ",d"}, caption="What was read, by distribution.")

# %% [markdown]
# ## How they read
#
# The beginning of one validation document of each, picked by the seed.


# %%
def beginning(domain, n_tokens=90):
    stream = corpora.streams[domain, "validation"]
    start = stream.starts[seed % (len(stream.starts) - 1)]
    return corpora.tokenizer.decode(stream.tokens[start + 1 : start + n_tokens])


for domain in DOMAINS:
    print(f"--- {domain} ---\n{beginning(domain)}\n")

# %% [markdown]
# ## How much there is
#
# All four are cut by one byte-level BPE vocabulary of {{ count("corpora.vocab_size") }} tokens,
# learned on English and Python alone, as the base model's should be. A document is a docstring,
# a file, a function or a story; an *origin* is what documents share when they are not independent
# of each other (a file, a module), and it is origins that later chapters resample for intervals.


# %%
def size(domain, split):
    stream = corpora.streams[domain, split]
    text = corpora.tokenizer.decode(stream.tokens)
    return {"domain": domain, "split": split, "tokens": len(stream.tokens),
            "documents": len(stream.origins), "origins": len(stream.origin_names()),
            "characters per token": len(text) / len(stream.tokens)}  # fmt: skip


sizes = pd.DataFrame(size(domain, split) for domain in DOMAINS for split in SPLITS)
show_table(sizes, {"tokens": ",d", "documents": ",d", "origins": ",d",
                   "characters per token": ".2f"})  # fmt: skip

# %% [markdown]
# ## Does validation text leak into training?
#
# Whole groups are held out: files, modules, plots. A module that feeds both Python (or Lua) and
# English falls on the same side in all, and training paragraphs that share 13 words in a row with
# any validation text are removed. Shorter overlaps remain, as they do between any two texts of one
# kind; the table counts them. A story corpus could cheat here by having few sentences, so its
# share of known 8-word sequences is watched by a test.


# %%
def texts(domain, split):
    stream = corpora.streams[domain, split]
    bounds = zip(stream.starts[:-1] + 1, stream.starts[1:], strict=True)
    return corpora.tokenizer.batch_decode([stream.tokens[a:b] for a, b in bounds])


def repetition(domain):
    train, validation = texts(domain, "train"), texts(domain, "validation")
    return {"domain": domain, "distinct 4-grams": overlap.distinct_ngram_share(train, 4),
            "known 8-grams": overlap.seen_ngram_share(validation, train, 8),
            "known 13-grams": overlap.seen_ngram_share(validation, train, 13)}  # fmt: skip


# %%
repeated = pd.DataFrame(repetition(domain) for domain in DOMAINS)
show_table(
    repeated,
    {column: ".1%" for column in repeated.columns[1:]},
    notes={"distinct 4-grams": "of all in training", "known 8-grams": "of validation's",
           "known 13-grams": "of validation's"},
)  # fmt: skip

# %% tags=["remove-cell"]
results = {f"corpora.{r.domain}.{r.split}_tokens": r.tokens for r in sizes.itertuples()}
names = {"distinct 4-grams": "distinct_4grams", "known 8-grams": "known_8grams"}
results |= {f"corpora.{r['domain']}.{short}": r[name]
            for r in repeated.to_dict("records") for name, short in names.items()}  # fmt: skip
results["corpora.embedded"] = sum(s["kind"] == "embedded" for s in sources_of.values())
results["corpora.vocab_size"] = len(corpora.tokenizer)
store.write_results(run, "corpora", results)

# %% [markdown]
# ## What we learned
#
# Each domain has enough text for a model of this size, and of the word sequences of length eight
# in the validation stories, {{ share("corpora.stories.known_8grams") }} occur in training
# (English: {{ share("corpora.english.known_8grams") }}, Python:
# {{ share("corpora.python.known_8grams") }}, Lua: {{ share("corpora.lua.known_8grams") }}).
# Bring your own text with a profile whose sources are `files`; the README shows how.
#
# :::{admonition} Exercise
# :class: tip
# Which of the four domains would you expect to have the fewest distinct 4-grams, and is it so?
# :::
#
# :::{dropdown} Answer
# Stories: their sentences come from a grammar. See the second column of the last table.
# :::
