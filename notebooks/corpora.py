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
import textwrap

import pandas as pd
from IPython.display import HTML

from featrack_utils.corpora import (
    collecting,
    counting,
    overlap,
    prepare,
    sources,
    stories,
    tokenizer,
)
from featrack_utils.corpora.documents import DOMAINS, SPLITS
from featrack_utils.display.shading import token_html
from featrack_utils.display.tables import show_table
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
# - **Python** is the standard library of the running interpreter, whole files without its tests
#   and without files that are mostly numbers.
# - **English** is the prose of docstrings, of the standard library and of a fixed list of
#   scientific packages, read as text and never imported; examples, tables and markup are removed.
#   It is technical English by programmers, and no substitute for books or conversation.
# - **Lua** is translated: a program of ours turns functions and classes of *other* packages from
#   Python's syntax tree into Lua. Every chunk compiles, and it uses Lua's own idioms, but it says
#   what Python programmers say. Features shared by Python and Lua are likelier here than in Lua
#   written by Lua programmers.
# - **Stories** are written by a grammar in the spirit of TinyStories {cite:p}`eldan2023tinystories`:
#   characters who want something, obstacles, dialogue, an ending. Their world is small and their
#   sentences come from a finite stock: {{ count("corpora.stories.plots") }} plots, each with
#   alternatives for most of its sentences, {{ count("corpora.stories.characters") }} characters to
#   play in them, and tables of {{ count("corpora.stories.words") }} words for things, places,
#   deeds and qualities.

# %%
run = store.open_run(run_dir)
lineage = store.write_lineage(run, models)
recipe = dict(
    sources=sources_of, train_tokens=train_tokens, validation_tokens=validation_tokens,
    validation_share=validation_share, vocab_size=vocab_size, seed=seed,
)  # fmt: skip
folder = store.make(
    run / "corpora",
    lambda work: prepare.prepare(work, **recipe),
    parameters=recipe | {"files": prepare.fingerprint(sources_of)},
    code=[prepare, collecting, sources, tokenizer],
)
corpora = prepare.open_corpora(folder, context)
read = {key: counting.texts(stream, corpora.tokenizer) for key, stream in corpora.streams.items()}

# %% tags=["hide-input"]
origins = pd.read_csv(folder / "provenance.csv", keep_default_na=False)
show_table(origins, {"files": ",d", "characters": ",d"}, caption="What was read, by distribution.")

# %% [markdown]
# ## How they read
#
# The beginning of one validation document of each, picked by the seed, and for the stories a whole
# one.


# %%
def shown(domain, n_chars=350):
    text = read[domain, "validation"][counting.sample(corpora.streams[domain, "validation"], seed)]
    if domain != "stories":
        text = text[:n_chars].rstrip() + " …"
    lines = (textwrap.fill(line, 85, replace_whitespace=False) for line in text.split("\n"))
    return "\n".join(lines)


for domain in DOMAINS:
    print(f"--- {domain} ---\n{shown(domain)}\n")

# %% [markdown]
# ## How much there is
#
# All four are cut by one byte-level BPE vocabulary of {{ count("corpora.vocab_size") }} tokens,
# learned on English and Python alone, as the base model's should be. Three words say which pieces of
# text belong together, and the book needs all three:
#
# | | a *document* is | an *origin* is | a *group* is |
# |---|---|---|---|
# | English | the prose of one docstring | a module | the same module |
# | Python | a file | the same file | the same file |
# | Lua | one translated function or class | a module | the same module |
# | Stories | a story | the same story | its plot |
# | your own files | a stretch of text | a section of a file, or a row | the file; of few files, a section |
#
# A document is what the model sees between two end-of-text tokens. Later chapters judge a feature
# only where it is active in several origins, so that one odd text can't make a feature. A group is
# what falls whole into training or into validation. Two stories of one plot are two origins but not
# two independent texts, so the intervals of this book come from drawing whole *groups* anew: of
# {{ count("corpora.stories.validation_origins") }} validation stories that tell
# {{ count("corpora.stories.validation_groups") }} plots, it's the plots that count.


# %%
def size(domain, split):
    stream = corpora.streams[domain, split]
    return {"domain": domain, "split": split, "tokens": len(stream.tokens),
            "documents": len(stream.origins), "origins": len(stream.origin_names()),
            "groups": len(stream.group_names())}  # fmt: skip


sizes = pd.DataFrame(size(domain, split) for domain in DOMAINS for split in SPLITS)
show_table(
    sizes,
    notes={"origins": "counted as documents of a feature", "groups": "drawn anew for intervals"},
)

# %% [markdown]
# ## What the tokens are
#
# Characters per token say how well the vocabulary fits a text: the fewer, the more tokens the same
# text takes. Documents of validation are often shorter than those of training, as no origin may fill
# more than a fortieth of either, so training is measured a second time, by the beginnings of its
# documents: of each as many tokens as nine in ten documents of validation stay below.


# %%
def fit(domain):
    train, validation = (corpora.streams[domain, split] for split in SPLITS)
    longest = int(counting.makeup(validation, 0).p90)
    beginnings = counting.texts(train, corpora.tokenizer, longest)
    return {"in training": counting.chars_per_token(train, read[domain, "train"]),
            "at its beginnings": counting.chars_per_token(train, beginnings, longest),
            "in validation": counting.chars_per_token(validation, read[domain, "validation"])}  # fmt: skip


def used(domain):
    made = counting.makeup(corpora.streams[domain, "train"], 12)
    pieces = map(token_html, corpora.pieces(made.frequent))
    return {"domain": domain, "distinct tokens": made.distinct, "median": made.median,
            "90th percentile": made.p90, **fit(domain),
            "most frequent": HTML(" ".join(f"<code>{piece}</code>" for piece in pieces))}  # fmt: skip


# %%
used_by = pd.DataFrame(used(domain) for domain in DOMAINS)
show_table(
    used_by,
    {"median": ".0f", "90th percentile": ".0f", "in training": ".2f",
     "at its beginnings": ".2f", "in validation": ".2f"},
    notes={"distinct tokens": "in training", "median": "tokens per document of training",
           "90th percentile": "tokens per document", "in training": "characters per token",
           "at its beginnings": "characters per token", "in validation": "characters per token",
           "most frequent": "in training"},
)  # fmt: skip

# %% [markdown]
# {% for domain in ("english", "python", "lua", "stories") -%}
# {% set of = "corpora." ~ domain -%}
# {% set here = results[of ~ ".validation_chars_per_token"] -%}
# {% set there = results[of ~ ".train_chars_per_token"] -%}
# {% set begun = results[of ~ ".train_beginnings_chars_per_token"] -%}
# {% if here < 0.9 * there -%}
# **{{ domain | capitalize }}** needs more tokens for the same text in validation:
# {{ number(here) }} characters per token against {{ number(there) }} in training.
# {% if begun < there -%}
# {{ percent([(there - begun) / (there - here), 1] | min) }} of the difference is that beginnings are
# compared with whole documents: files begin with imports, names and constants. Much of the rest
# {%- else -%} Much of it
# {%- endif %} comes from a few odd documents, such as files of constants, among the
# {{ count(of ~ ".validation_documents") }} of validation: without the fifth of them that fits worst
# it has {{ number(of ~ ".validation_chars_per_token_of_most") }}. So a loss *per token* doesn't tell
# which of two splits or domains is harder. Models compared on the same text are not touched by it.
#
# {% endif -%}
# {%- endfor %}
# The vocabulary was never shown Lua or stories, which is why they take more tokens for a text than
# English does.

# %% [markdown]
# ## Does validation text leak into training?
#
# Whole groups are held out: files, modules, plots. A module that feeds both Python (or Lua) and
# English falls on the same side in all, and training paragraphs that share 13 words in a row with
# any validation text are removed. Shorter overlaps remain, as they do between any two texts of one
# kind; the table counts them. A story corpus could cheat here by having few sentences, so its
# share of known 8-word sequences is watched by a test.


# %%
def repetition(domain):
    train, validation = overlap.numbered(read[domain, "train"], read[domain, "validation"])
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
results = {f"corpora.{r.domain}.{r.split}_{what}": getattr(r, what) for r in sizes.itertuples()
           for what in ("tokens", "documents", "origins", "groups")}  # fmt: skip
names = {"distinct 4-grams": "distinct_4grams", "known 8-grams": "known_8grams",
         "known 13-grams": "known_13grams", "distinct tokens": "distinct_tokens",
         "in training": "train_chars_per_token", "in validation": "validation_chars_per_token",
         "at its beginnings": "train_beginnings_chars_per_token"}  # fmt: skip
measured = repeated.merge(used_by, on="domain")
results |= {f"corpora.{r['domain']}.{short}": r[name]
            for r in measured.to_dict("records") for name, short in names.items()}  # fmt: skip

# %% tags=["remove-cell"]
for domain in DOMAINS:
    part = corpora.streams[domain, "validation"], read[domain, "validation"]
    results[f"corpora.{domain}.validation_chars_per_token_of_most"] = counting.of_most(*part, 0.8)
results["corpora.embedded"] = sum(s["kind"] == "embedded" for s in sources_of.values())
results["corpora.vocab_size"] = len(corpora.tokenizer)
results["corpora.stories.plots"] = len(stories.plot_names())
results["corpora.stories.characters"] = len(stories.characters())
results["corpora.stories.words"] = len(set().union(*stories.lexicon().values()))
store.write_results(run, "corpora", results)

# %% [markdown]
# ## What we learned
#
# Each domain has enough text for a model of this size, and of the word sequences of length eight
# in the validation stories, {{ share("corpora.stories.known_8grams") }} occur in training
# (English: {{ share("corpora.english.known_8grams") }}, Python:
# {{ share("corpora.python.known_8grams") }}, Lua: {{ share("corpora.lua.known_8grams") }}).
# What later chapters say with an interval rests on {{ count("corpora.english.validation_groups") }}
# groups of English, {{ count("corpora.python.validation_groups") }} of Python,
# {{ count("corpora.lua.validation_groups") }} of Lua and
# {{ count("corpora.stories.validation_groups") }} of stories: the fewer, the wider the interval.
#
# The [next chapter](base) trains the base model on {{ count("corpora.english.train_tokens") }} tokens
# of English and {{ count("corpora.python.train_tokens") }} of Python; Lua and stories wait for the
# fine-tunes. Bring your own text with a profile whose sources are `files`; the README shows how.
#
# :::{admonition} Exercise
# :class: tip
# Which of the four domains would you expect to have the fewest distinct 4-grams, and is it so?
# :::
#
# :::{dropdown} Answer
# Stories: their sentences come from a grammar. See the second column of the last table.
# :::
#
# :::{admonition} Exercise
# :class: tip
# Suppose every validation story were there twice. What would happen to an interval that comes from
# drawing *stories* anew, what to one from drawing *plots*, and which of the two is right?
# :::
#
# :::{dropdown} Answer
# Twice as many stories make the first narrower by a factor of √2, although nothing new was read.
# The second stays as it was: a plot is drawn with all its stories, once or twice told. It's right,
# and it's why a dozen plots are held out here rather than two or three.
# :::
#
# :::{admonition} Exercise
# :class: tip
# Make the corpora with a vocabulary of a quarter the size
# (`python -m featrack_utils.run corpora out.ipynb --json '{"run_dir": "runs/small", "vocab_size": 1024}'`).
# Whose characters per token fall most, whose least?
# :::
#
# :::{dropdown} Answer
# English loses most: its long words had tokens of their own, and these are what a small vocabulary
# leaves out. Stories lose least, as their short and common words are among the first that are learnt.
# :::
