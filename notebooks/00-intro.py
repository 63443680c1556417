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
# # featrack
#
# *What happens to the features inside a language model when it is fine-tuned, and when fine-tunes
# are merged?* Horn & Elliott {cite:yearpar}`horn2025tracking` trained a small transformer,
# fine-tuned it, merged the fine-tunes and followed each feature from model to model. This book
# does the same again. Then it asks what they did not: **how many features would seem to be lost if
# nothing had happened at all, and how many would seem to be kept if all that was learned were gone?**
#
# It is for anyone who trains, tunes or merges language models: ten minutes for the headline, some
# three hours for all of it.

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
import pandas as pd

from featrack_utils.display import shareplots, style
from featrack_utils.display.flow_figure import flow_diagram
from featrack_utils.display.style import pair_label
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import (
    estimate,
    listed,
    number,
    percent,
    say,
    show,
    verdict,
    with_interval,
)
from featrack_utils.lineage import label
from featrack_utils.pipeline import store

# %% tags=["parameters", "remove-cell"]
run_dir = "runs/quick"

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
results = store.read_results(run, "tracking", "ceilings", "case-study")
parent, child = lineage.edges[0]
share = f"track.{parent}_{child}.persisting_share"
ratio = estimate(results, f"{share}.ratio_to_ceiling")
rescaled = estimate(results, f"{share}.rescaled")

# %% tags=["remove-input"] jupyter={"source_hidden": true}
say(
    f"""
::::{{grid}} 1 2 2 4
:gutter: 2
:class-container: featrack-headline

:::{{grid-item-card}} {percent(results.get(share))}
of the {label(parent)} model's features are found again in the {label(child)} model.
:::
:::{{grid-item-card}} {percent(results.get(f"{share}.ceiling"))}
would be found again in *the very same model*, read a second time.
:::
:::{{grid-item-card}} {percent(ratio.estimate)}
is the first number divided by the second: the part of what can be found at all.
:::
:::{{grid-item-card}} {with_interval(rescaled)}
is what is left of it on a scale from 0 %, where the {label(child)} model's MLP is random numbers, to
100 %, where nothing happened.
:::
::::
"""
)

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
ENDS = {"share": "", "ci_low": ".ci_low", "ci_high": ".ci_high", "ceiling": ".ceiling"}
ENDS |= {"floor": ".floor", "floor_random_model": ".floor_random_model"}
shares = pd.DataFrame(
    {"pair": f"{a}_{b}"}
    | {column: results.get(f"track.{a}_{b}.persisting_share{end}") for column, end in ENDS.items()}
    for a, b in lineage.edges
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
show(
    shareplots.shares_with_ceiling(shares.dropna(subset="share")),
    caption="The headline: the share of each parent's features that persists in its child (dot, "
    "95 % interval), between what the child would show if its MLP were random (its floor) and what an "
    "unchanged model would (its ceiling). Light: a model that is random altogether.",
    name="fig-headline",
    alt="Persisting shares of each pair of models, each between its floors and its ceiling",
)

# %% [markdown]
# :::{admonition} Seven words
# :class: note
# - **Feature**: a direction in the model's activations that answers to one kind of thing, such as
#   the `=` of an assignment. A token's activations are a sum of a few features.
# - **Dictionary**: all the features that a *sparse autoencoder* has found in one model. Train it
#   again from another random **seed** and it finds partly other ones.
# - **Persisting**: a feature of a parent model whose activations correlate above a threshold τ
#   with those of some feature of the child, on the same text.
# - **Ceiling**: the share that persists where nothing happened, between two dictionaries of one
#   model.
# - **Floor**: the share found in the child after its MLP was replaced by random numbers. Tokens and
#   attention are still there, so it isn't zero.
# - **Ratio**: share / ceiling.
# - **Rescaled**: (share − floor) / (ceiling − floor).
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
loss = estimate(results, f"track.{parent}_{child}.unchanged_loss")
floor = estimate(results, f"{share}.floor")
edge = f"From {label(parent)} to {label(child)}"
stands = f"between a random MLP (0 %) and no change (100 %) it comes to {with_interval(rescaled)}"
changed = verdict(
    rescaled,
    1,
    below=f"{edge} features did change: {stands}.",
    above=f"{edge} no loss is seen: {stands}.",
    unclear=f"{edge} change can't be told from none with these dictionaries: {stands}.",
)
part = verdict(
    loss,
    0.5,
    below="Less than half of what seems lost",
    above="Most of what seems lost",
    unclear="Whether it is more than half isn't clear, but part of what seems lost",
)
say(
    f"**What follows.** {changed} The ratio, {with_interval(ratio)}, leaves out that a child whose MLP "
    f"is random still has {with_interval(floor)} of the features, which tokens and attention carry.",
    f"{part} at the threshold τ = "
    f"{number(results.get('track.tau'), 1)} would seem lost from an unchanged model as well: "
    f"{with_interval(loss)} of it. All this depends on how matches are counted, and "
    "[a chapter](robustness) says how.",
    "**One** language model was trained for each name in the figure. So the intervals tell how sure "
    "one can be about *these* models, given other text and other dictionaries. They don't tell "
    "how much another fine-tune of the same kind would differ.",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
show(
    flow_diagram(pd.read_csv(store.opened(run / "tracking") / "flow.csv"), lineage),
    caption="Features on their way from model to model. A band is as thick as the number of "
    "features it stands for. Grey bands have no match. Hatched ones have one that isn't theirs "
    "alone: *fused* features share their child with a closer parent, *split* ones their parent "
    "with a closer child. *New* and *novel* ones have no parent.",
    name="fig-flow-intro",
    alt=f"Flow diagram of features through the models {listed([*map(label, lineage.order)])}",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
RESCALED = {"rescaled": "persisting_share", "copies merged": "copies_merged_share"}
rows = []
for a, b in lineage.edges:
    row = {"pair": pair_label(a, b)}
    for heading, name in RESCALED.items():
        row[heading] = estimate(results, f"track.{a}_{b}.{name}.rescaled")
    row["ratio"] = estimate(results, f"track.{a}_{b}.persisting_share.ratio_to_ceiling")
    row["share"] = estimate(results, f"track.{a}_{b}.persisting_share")
    for end in ("floor", "ceiling"):
        row[end] = results.get(f"track.{a}_{b}.persisting_share.{end}")
    rows.append(row)
show_table(
    pd.DataFrame(rows),
    dict.fromkeys((*RESCALED, "ratio", "share", "floor", "ceiling"), ".0%"),
    caption="The headline in figures, with 95 % intervals.",
    notes={"ratio": "share / ceiling", "copies merged": "rescaled, each counted once"},
)

# %% [markdown]
# ## What it takes
#
# You need some Python and an idea of what a transformer is. Sparse autoencoders are explained
# [where the first is trained](sae). Each chapter stands for itself and says at its head what you
# will learn and how long it takes. All of it runs on a laptop: every figure is made by the code
# shown with it, and every number in the text comes from this run.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
EMBEDDED = {
    "english": "*English* is the prose of docstrings",
    "python": "*Python* is the standard library",
    "lua": "*Lua* is the scripts of the build tool xmake",
    "stories": "the *stories* come from a grammar of our own",
}
sources = store.read_record(run / "corpora")["parameters"]["sources"]
texts = [
    EMBEDDED[domain]
    if domain in EMBEDDED and sources[domain]["kind"] == "embedded"
    else f"*{label(domain)}* was given by whoever made this run"
    for domain in lineage.domains
    if domain in sources
]
say(
    f"**What the models read.** {'; '.join(texts)}. So a feature “for English” is one for the "
    "English that programmers write, if that is what stands there. These are very small models on "
    "a small choice of text. What they can't show is said where it matters."
)

# %% [markdown]
# ## Which chapter for which question
#
# The chapters follow the experiment: text, models, dictionaries, tracking, single features. Each
# can be run again with other parameters, and its sentences follow.

# %% tags=["remove-input"] jupyter={"source_hidden": true}
feature = results.get(f"case.assignment.{lineage.root}")
met = (
    "any of them in the [explorer](explorer)"
    if feature is None
    else f'<a href="explorer.html#{lineage.root}-{feature:.0f}">one of them</a> in the '
    "[explorer](explorer)"
)
# By the chapter that a line is about: a lineage without merges, say, has no chapter on merging.
QUESTIONS = {
    "tracking": "**How many features persist?** [Which features persist?](tracking) counts them, "
    "and [what the number would be if nothing had happened, or everything](ceilings) puts the count "
    "between its ends. Where the lower one comes from is [a chapter of its own](floors). Read the first two if you have ten minutes.",
    "robustness": "**Can the counting be trusted?** [Planted truths](calibration) are found again, "
    "[other ways to count](robustness) are compared, and so is "
    "[what the published code measures](published).",
    "repartitioned": "**Gone, or only seen differently?** [Probes](repartitioned) look for lost "
    "features in the model itself.",
    "changes": "**Which are lost, and which are new?** [Those that changed](changes), one by one.",
    "dose": "**How soon do features go?** [Step by step](dose) through a fine-tune.",
    "neurons": "**What of single neurons?** [Compared](neurons) before any dictionary is trained.",
    "rate": "**Does it matter how fast a model is tuned?** [The learning rate](rate) is a dose, too.",
    "sae": "**What is a dictionary?** [One is trained](sae), then [all](dictionaries).",
    "merge": "**How are models merged, and what for?** [Merging](merge) does it at every weight.",
    "explorer": f"**What do features look like?** Meet {met}, [some in all models](case-study), "
    "all [on a map](map), and [in words](interpretation).",
    "live": "**Hands on:** [four controls](live) to type, slide and ablate, in JupyterLab.",
    "corpora": "**What is it made of?** [The texts](corpora), and [this run](status): its targets, "
    "times and versions.",
}
chapters = {path.stem for path in (run / "executed").glob("*.ipynb")}
say("\n".join(f"- {line}" for page, line in QUESTIONS.items() if page in chapters))
