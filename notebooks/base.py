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
# # The base model
#
# Before anything can be fine-tuned there has to be something to fine-tune. This chapter trains
# the smallest language model in which the question still makes sense: **one transformer layer**
# that has read English and Python. {cite:t}`horn2025tracking` trained a model of this shape with
# 35 million parameters; ours has {{ number("lm.base.parameters_millions", 1) }} million
# ([the status page](status) says how long its training took). It won't write a working program.
# But it has to store English words and Python syntax in one layer, and that is where we shall
# look for features.

# %%

import numpy as np
import pandas as pd

from featrack_utils.corpora import prepare, tokenizer
from featrack_utils.corpora.documents import BASE_DOMAINS, DOMAINS
from featrack_utils.display import paper, samples, style
from featrack_utils.display.tables import show_table
from featrack_utils.models import evaluation, loading, training
from featrack_utils.pipeline import store

style.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the weights and of the order of the text; paper: 1337
precision = "auto"  # bfloat16 where the machine multiplies it faster
d_model = 128  # paper: 512
d_mlp = 256  # paper: 1024
n_heads = 4  # paper: 16
n_kv_heads = 2  # paper: 8
context = 128  # tokens; paper: 256
train_tokens = 2_500_000  # paper: 3 or 4 epochs of BabyLM and Python
learning_rate = 3e-3  # paper: 6e-4
batch_blocks = 32  # blocks of `context` tokens a step; paper: 64
weight_decay = 0.1  # as published
warmup_share = 0.05  # of the steps

# %% [markdown]
# ## The architecture
#
# A Mistral block {cite:p}`jiang2023mistral`: RMS normalisation, rotary attention with grouped
# keys and values, and a gated MLP. The MLP multiplies two projections of its input, one of them
# passed through SiLU, and it is this product, {{ count("lm.base.d_mlp") }} numbers for each
# token, that the dictionaries of the later chapters take apart. The output matrix isn't tied to
# the embedding, so a direction that the MLP writes can be read off in tokens.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
model = training.new_model(
    vocab_size=len(corpora.tokenizer),
    d_model=d_model,
    d_mlp=d_mlp,
    n_heads=n_heads,
    n_kv_heads=n_kv_heads,
    context=context,
    seed=seed,
)
# %%
parts = pd.Series({name: p.numel() for name, p in model.named_parameters()})
parts = parts.groupby(
    lambda name: (
        "attention"
        if "attn" in name
        else "MLP"
        if "mlp" in name
        else "embedding"
        if "embed" in name
        else "unembedding"
        if "lm_head" in name
        else "norms"
    )
).sum()
show_table(
    parts.rename_axis("part").reset_index(name="parameters"),
    {"parameters": ",d"},
    caption="Where the parameters are: most of them are one vector in and one out per token.",
)

# %% [markdown]
# ## Training
#
# English and Python, shuffled block by block, so that the model never knows which comes next.
# The optimiser is AdamW with a cosine schedule, as published. A killed run goes on from its last
# checkpoint, and a finished one is not trained again unless a number above, the text or the code
# has changed.

# %%
blocks = np.concatenate([corpora.train_blocks(domain) for domain in BASE_DOMAINS])
recipe = dict(
    train_tokens=train_tokens,
    learning_rate=learning_rate,
    batch_blocks=batch_blocks,
    weight_decay=weight_decay,
    warmup_share=warmup_share,
    precision=precision,
    seed=seed,
)
shape = dict(d_model=d_model, d_mlp=d_mlp, n_heads=n_heads, n_kv_heads=n_kv_heads, context=context)
folder = store.make(
    run / "models" / "base",
    lambda work: training.train(model, blocks, work, tokenizer=corpora.tokenizer, **recipe),
    parameters=recipe | shape,
    inputs=[run / "corpora"],
    code=[training, tokenizer],
)

# %% mystnb={"figure": {"caption": "Training loss of the base model against tokens read. The gain comes early.", "name": "fig-base-loss"}, "image": {"alt": "Training loss falling steeply, then slowly"}} tags=["hide-input"]
history = training.read_history(folder).assign(model="base", split="train")
style.loss_curves(history)

# %% [markdown]
# In {numref}`fig-base-loss` the steep part is the model learning which tokens are common; the long slope is it learning
# which follow which. The whole training is {{ number("lm.base.epochs", 1) }} passes over the text,
# {% if results["lm.base.epochs"] <= 1 %}so every block is new when the model meets it and this is
# nearly a validation curve.{% else %}so towards the end the model meets blocks that it has seen
# before, and the curve flatters it a little.{% endif %}
#
# ## What it has learned, on all four domains
#
# Loss is measured in nats per token, on text that no model has trained on: whole files,
# packages and plots are held out, not lines. The model has never seen Lua or a story.

# %%
base = loading.load_model(folder)
validation = {domain: corpora.validation_blocks(domain, 400) for domain in DOMAINS}
scores = {
    d: evaluation.evaluate(base, blocks.tokens, blocks.units) for d, blocks in validation.items()
}

# %% tags=["hide-input"]
rows = [
    {"domain": style.DOMAIN_LABELS[d], "loss": s.loss, "accuracy": s.accuracy}
    | evaluation.intervals(s)
    for d, s in scores.items()
]
show_table(
    pd.DataFrame(rows),
    {"loss": ".3f", "accuracy": ".1%"},
    caption="The base model on validation text, with 95 % intervals over groups of documents.",
    notes={"loss": "nats per token, lower is better", "accuracy": "first choice is right"},
)

# %% [markdown]
# The authors report one loss and one accuracy, on validation text of their own mixture and with
# their own vocabulary. A loss over another vocabulary is another quantity, so the two must not be
# compared digit by digit: longer tokens are harder to guess, and fewer of them cover a text.

# %% tags=["hide-input"]
both = evaluation.pooled(*(scores[domain] for domain in BASE_DOMAINS))
figures = evaluation.score_results("base", scores | {"own": both})
words = f"theirs is their own text with 32,000 tokens to choose from, ours has {len(corpora.tokenizer):,}"
size = "set by the profile; the one called paper has theirs"
paper.beside_paper(
    [
        (
            "base.loss",
            "loss on English and Python, nats per token",
            paper.interval(figures, "lm.base.own.loss"),
            None,
            words,
        ),
        (
            "base.accuracy",
            "next-token accuracy on both",
            paper.interval(figures, "lm.base.own.accuracy"),
            None,
            "as above",
        ),
        ("model.parameters_millions", "parameters, millions", int(parts.sum()) / 1e6, None, size),
        ("base.epochs", "passes over the text", train_tokens / blocks.size, None, size),
    ],
    caption="The base model beside the paper's.",
)

# %% [markdown]
# And this is how it writes. Nothing is picked: the first sample of a fixed seed. The prompt is
# bold; ⏎ is a line break.

# %%
prompts = {"english": "Return the number of", "python": "def read(self, path):\n"}
samples.show_samples(
    {
        style.DOMAIN_LABELS[domain]: (
            prompt,
            evaluation.continuation(base, corpora.tokenizer, prompt, new_tokens=60, seed=seed),
        )
        for domain, prompt in prompts.items()
    }
)

# %% [markdown]
# {% if results["lm.base.own.accuracy"] > 0.15 %}
# Most words are real, brackets and quotes come where such text has them, and no thought is
# carried to its end: one layer can look back, but only once.
# {% else %}
# After so little training hardly a word is real; only the look of such text is there.
# {% endif %}

# %% tags=["remove-cell"]
unigram = evaluation.unigram_loss(
    blocks,
    np.concatenate([validation[domain].tokens for domain in BASE_DOMAINS]),
    len(corpora.tokenizer),
)
figures |= {
    "lm.base.uniform_loss": float(np.log(len(corpora.tokenizer))),
    "lm.base.unigram_loss": unigram,
    "lm.base.parameters_millions": int(parts.sum()) / 1e6,
    "lm.base.d_mlp": d_mlp,
    "lm.base.epochs": train_tokens / blocks.size,
}
store.write_results(run, "base", figures)

# %% [markdown]
# ## What we learned
#
# One layer is enough to predict {{ percent("lm.base.python.accuracy") }} of the next tokens of
# unseen Python. On Lua, which it never saw, the loss is
# {% if results["lm.base.lua.loss"] > results["lm.base.python.loss"] %}{{
# number(results["lm.base.lua.loss"] - results["lm.base.python.loss"]) }} nats higher than on
# Python{% else %}no higher than on Python: this run is too short to tell the two apart{% endif %}.
# The next chapter takes these weights as the starting point of two fine-tunes, and all
# later chapters ask what has become of the features that are in them now.
#
# :::{admonition} Exercise 1
# :class: tip
# Train on half as many tokens: run this chapter again with half the `train_tokens` of the
# parameters cell (`python -m featrack_utils.run base out.ipynb -p train_tokens …`). Which of
# English and Python loses more, and why would you have expected that?
# :::
#
# :::{dropdown} Answer
# Compare the table of losses in `out.ipynb` with the one above, domain by domain: if the intervals
# of a domain overlap, the run can't tell. A guess worth testing is Python, as its regularities
# (indentation, brackets, names defined lines ago) span more tokens than frequent words do.
# :::
#
# :::{admonition} Exercise 2
# :class: tip
# A model that knows nothing but how common each token is has a loss of its own. Is it nearer to
# {{ number("lm.base.uniform_loss") }}, the loss of guessing all tokens alike, or to the base model's
# {{ number("lm.base.own.loss") }}? Work it out from `corpora.train_blocks`.
# :::
#
# :::{dropdown} Answer
# It is {{ number("lm.base.unigram_loss") }} nats on English and Python together: the loss, on
# validation text, of guessing by token counts in the training text. What lies between that and the base
# model's loss is what it knows about *order*.
# :::
#
# :::{admonition} Exercise 3
# :class: tip
# Why does most of a model this small sit in its embedding and unembedding, and what does that
# mean for the number of parameters one can compare with the paper's?
# :::
#
# :::{dropdown} Answer
# Both hold one vector per token of the vocabulary, whatever the depth. With a smaller vocabulary
# the same layer makes a far smaller model, so compare d_model and d_mlp, not the total.
# :::
