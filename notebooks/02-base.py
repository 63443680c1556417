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
# Before anything can be fine-tuned there has to be something to fine-tune. This chapter trains the
# smallest language model in which the question of this book still makes sense: **one transformer
# layer**. {cite:t}`horn2025tracking` trained a model of this shape with 35 million parameters, on
# English and Python. Ours is smaller, and it won't write a working program. But it has to store
# words and syntax in one layer, and that is where we shall look for {term}`features <feature>`.
#
# **You will learn** how large such a model is, how it learns, and what one layer is able to predict.
# **You need** to have heard of transformers. **It takes** five minutes.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import numpy as np
import pandas as pd
import torch

from featrack_utils.corpora import prepare, tokenizer
from featrack_utils.display import paper, shading, style, training_figures
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import (
    check,
    count,
    estimate,
    listed,
    number,
    percent,
    say,
    show,
    with_interval,
)
from featrack_utils.lineage import label
from featrack_utils.models import evaluation, loading, training
from featrack_utils.pipeline import store

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the weights and of the order of the text; paper: 1337
precision = "auto"  # bfloat16 where the machine multiplies it faster
d_model = 128  # paper: 512
d_mlp = 256  # paper: 1024
n_heads = 4  # paper: 16
n_kv_heads = 2  # paper: 8
context = 128  # tokens; paper: 256
train_tokens = 2_000_000  # paper: 3 or 4 epochs of BabyLM and Python
learning_rate = 3e-3  # paper: 6e-4
batch_blocks = 32  # blocks of `context` tokens a step; paper: 64
weight_decay = 0.1  # as published
warmup_share = 0.05  # of the steps

# %% [markdown]
# ## The architecture
#
# A Mistral block {cite:p}`jiang2023mistral`: RMS normalisation, rotary attention with grouped keys
# and values, and a gated MLP. The MLP multiplies two projections of its input, one of them passed
# through SiLU. This product has `d_mlp` numbers for each token, and it is what the dictionaries of
# the later chapters take apart. The output matrix isn't tied to the embedding, so that a direction
# which the MLP writes can be read off in tokens.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
root = lineage.root
own = lineage.trained_on(root)  # the domains that it reads
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
shape = dict(d_model=d_model, d_mlp=d_mlp, n_heads=n_heads, n_kv_heads=n_kv_heads, context=context)
model = training.new_model(vocab_size=len(corpora.tokenizer), seed=seed, **shape)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
sizes = pd.Series({name: p.numel() for name, p in model.named_parameters()})
parts = sizes.groupby(loading.part_of).sum()
vectors = parts["embedding"] + parts["unembedding"]
say(
    f"Of {number(parts.sum() / 1e6, 1)} million parameters, {percent(vectors / parts.sum())} are one "
    "vector in and one vector out for each token of the vocabulary. Attention has "
    f"{count(parts['attention'])}, and the MLP, in which we look for features, {count(parts['MLP'])}."
)

# %% [markdown]
# ## Training
#
# The domains are shuffled block by block, so that the model never knows which one comes next. The
# optimiser is AdamW with a cosine schedule, as published. A killed run goes on from its last
# checkpoint, and a finished one is not trained again unless a number above, the text or the code
# has changed.

# %%
blocks = np.concatenate([corpora.train_blocks(domain) for domain in own])
recipe = dict(
    train_tokens=train_tokens,
    learning_rate=learning_rate,
    batch_blocks=batch_blocks,
    weight_decay=weight_decay,
    warmup_share=warmup_share,
    precision=precision,
    seed=seed,
)

# %%
folder = store.make(
    run / "models" / root,
    lambda work: training.train(model, blocks, work, tokenizer=corpora.tokenizer, **recipe),
    parameters=recipe | shape | {"domains": list(own)},
    inputs=[run / "corpora"],
    code=[training, tokenizer],
    resumes=True,
)

# %% tags=["hide-input"]
history = pd.read_csv(folder / "history.csv").assign(model=root, split="train")
show(
    training_figures.loss_curves(history),
    caption="Training loss of the base model against tokens read. Most of the gain comes early.",
    name="fig-base-loss",
    alt="Training loss falling steeply, then slowly",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
epochs = train_tokens / blocks.size
say(
    "In {numref}`fig-base-loss` the steep part is the model learning which tokens are common. On "
    "the long slope it learns which follow which. "
    f"It has read {count(train_tokens)} tokens, {number(epochs, 1)} passes over its text of "
    f"{count(blocks.size)}. "
    + (
        "So every block is new when the model meets it, and this is nearly a validation curve."
        if epochs <= 1
        else "So the model meets blocks that it has seen before, and the curve flatters it a little."
    )
)

# %% [markdown]
# ## What it has learned
#
# Loss is measured in nats per token, on text that no model has trained on: whole files, packages
# and plots are held out, not lines. We measure on every {term}`domain` of the run, those that the base
# model has never read included.
#
# For a text of tokens $t_1, t_2, \dots, t_n$ the loss is the mean
#
# $$-\frac1{n - 1} \sum_{i=2}^n \ln p(t_i \mid t_1 \dots t_{i-1}) ,$$
#
# and the accuracy says how often the likeliest token was the right one.

# %%
base = loading.load_model(folder)
validation = {d: corpora.validation_blocks(d, 400) for d in lineage.domains}
scores = evaluation.evaluate_each(base, validation)

# %% [markdown]
# By hand, on four blocks of the first domain:

# %%
tokens = torch.from_numpy(validation[own[0]].tokens[:4]).long()
with torch.no_grad():
    log_p = base(tokens).logits[:, :-1].log_softmax(-1)
of_the_next = log_p.gather(-1, tokens[:, 1:, None]).squeeze(-1)
hits = log_p.argmax(-1) == tokens[:, 1:]
by_package = evaluation.evaluate(base, tokens.numpy())
np.testing.assert_allclose(-of_the_next.mean(), by_package.loss, rtol=1e-5)
np.testing.assert_allclose(hits.float().mean(), by_package.accuracy)

# %% [markdown]
# A loss means little without something to compare it with. The natural yardstick is a model that knows
# only *how common* each token is in the training text, and nothing about order: token counts alone.

# %%
vocabulary = len(corpora.tokenizer)
counts = np.bincount(blocks.ravel(), minlength=vocabulary) + 1  # none is impossible
log_share = np.log(counts / counts.sum())
unigram = {d: float(-log_share[texts.tokens].mean()) for d, texts in validation.items()}
assert unigram == {
    d: evaluation.unigram_loss(blocks, texts.tokens, vocabulary) for d, texts in validation.items()
}

# %% tags=["hide-input"]
rows = [
    {"domain": label(d), "loss": s.loss, "accuracy": s.accuracy}
    | evaluation.intervals(s)
    | {"counts alone": unigram[d]}
    for d, s in scores.items()
]
show_table(
    pd.DataFrame(rows),
    {"loss": ".3f", "accuracy": ".1%", "counts alone": ".3f"},
    caption="The base model on validation text, with 95 % intervals over groups of documents.",
    notes={
        "loss": "nats per token, lower is better",
        "accuracy": "first choice is right",
        "counts alone": "loss of knowing how common each token was in training",
    },
)

# %% tags=["remove-cell"]
together = evaluation.pooled(*(scores[domain] for domain in own))
held_out = np.concatenate([validation[domain].tokens for domain in own])
figures = evaluation.score_results(f"lm.{root}", scores | {"own": together}) | {
    f"lm.{root}.uniform_loss": float(np.log(vocabulary)),
    f"lm.{root}.unigram_loss": evaluation.unigram_loss(blocks, held_out, vocabulary),
    f"lm.{root}.parameters_millions": int(parts.sum()) / 1e6,
    f"lm.{root}.d_mlp": d_mlp,
    f"lm.{root}.epochs": epochs,
}
store.write_results(run, "base", figures)

# %% [markdown]
# The authors report one loss and one accuracy, on validation text of their own and with
# their own vocabulary. A loss over another vocabulary is another quantity, so the two must not be
# compared digit by digit: longer tokens are harder to guess, and fewer of them cover a text.

# %% tags=["hide-input"]
words = f"theirs is other text, with 32,000 tokens to choose from; ours has {vocabulary:,}"
size = "set by the profile; the one called paper has theirs"
unigrams = figures[f"lm.{root}.unigram_loss"]
paper.beside_paper(
    [
        (
            "base.loss",
            "loss, nats per token",
            estimate(figures, f"lm.{root}.own.loss"),
            None,
            words,
        ),
        (None, "loss of knowing token counts alone", unigrams, None, "not in the paper", ".3f"),
        (
            "base.accuracy",
            "next-token accuracy",
            estimate(figures, f"lm.{root}.own.accuracy"),
            None,
            words,
        ),
        ("model.parameters_millions", "parameters, millions", int(parts.sum()) / 1e6, None, size),
        ("base.epochs", "passes over the text", epochs, None, size),
        ("base.learning_rate", "learning rate", learning_rate, None, "fewer steps, so larger ones"),
    ],
    caption=f"The base model on {listed([*map(label, own)])}, beside the paper's.",
)

# %% [markdown]
# And this is how it writes. Nothing is picked: the prompts begin the first validation text of each
# domain, and each sample is the first of a fixed seed. The prompt is bold; ⏎ is a line break. Look
# for real words, for brackets and quotes where such text has them, and for the place where the
# thought breaks off. One layer can look back, but only once.

# %%
prompts = {domain: evaluation.opening(corpora, domain) for domain in own}
written = {
    d: evaluation.continuation(base, corpora.tokenizer, prompt, new_tokens=60, seed=seed)
    for d, prompt in prompts.items()
}
shading.show_samples({label(d): (prompts[d], text) for d, text in written.items()})

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
accuracies = [
    f"{with_interval(estimate(figures, f'lm.{root}.{d}.accuracy'))} on {label(d)}" for d in own
]
strange = [d for d in lineage.domains if d not in own]
losses = [f"{number(scores[d].loss)} on {label(d)}" for d in strange]
own_loss = figures[f"lm.{root}.own.loss"]
say(
    f"One layer is enough to guess the next token of unseen text: {listed(accuracies)}. Its loss of "
    f"{number(own_loss)} nats lies {number(unigrams - own_loss)} below that of token counts alone: "
    "so much it knows about order.",
    f"On text that it has never read its loss is {listed(losses)}." if losses else "",
    "These weights are the starting point of everything that follows. All later chapters ask what "
    "has become of the features that are in them now.",
)

# %% [markdown]
# Next, copies of it go on to [other text](finetune).
#
# :::{admonition} Exercise 1
# :class: tip
# What is the loss, in nats a token, of a model that finds all tokens equally likely? The size of the
# vocabulary is `vocabulary`. Is the loss of token counts alone nearer to it, or to the base model's?
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
uniform = figures[f"lm.{root}.uniform_loss"]

# %%
answer = ...  # nats a token
check(answer, uniform)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
alike = torch.zeros(1, vocabulary)  # equal logits
answer = torch.nn.functional.cross_entropy(alike, torch.tensor([0])).item()
say(
    f"All alike {number(answer)}, token counts {number(unigrams)}, the model {number(own_loss)} nats."
)
check(answer, uniform)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# How many parameters would the MLP have if `d_mlp` were twice as large? You need `d_model` and `d_mlp`.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
# For the check below:
wider = training.new_model(vocab_size=8, seed=0, **shape | {"d_mlp": 2 * d_mlp})
of_wider = sum(p.numel() for name, p in wider.named_parameters() if ".mlp." in name)

# %%
answer = ...  # parameters
check(answer, of_wider)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
answer = 3 * d_model * (2 * d_mlp)  # gate, up and down, each d_model × d_mlp
check(answer, of_wider)

# %% [markdown]
# :::{admonition} Exercise 3
# :class: tip
# Train on half as many tokens: run this chapter again with half the `train_tokens` of the
# parameters cell (`python -m featrack_utils.run base out.ipynb -p train_tokens …`). Which domain
# loses most, and why would you have expected that?
# :::
#
# :::{dropdown} Answer
# Compare the table of losses in `out.ipynb` with the one above, domain by domain: if the intervals
# of a domain overlap, the run can't tell. A guess worth testing is code, as its regularities
# (indentation, brackets, names defined lines ago) span more tokens than frequent words do.
# :::
