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
# # Merging
#
# Two models of equal shape can be mixed without training: take a weighted average of their
# parameters, one by one. {cite:t}`horn2025tracking` interpolate on the sphere
# ({cite:t}`shoemake1985animating`'s *slerp*) and report in their Figure 5 how accuracy moves from
# one parent to the other. We repeat the figure, find the weight at which both domains are served
# equally well, and let mergekit {cite:p}`goddard2024mergekit` write the merged model.

# %%

import numpy as np
import pandas as pd

from featrack_utils.corpora import prepare
from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.display import paper, samples, style
from featrack_utils.display.tables import show_table
from featrack_utils.models import evaluation, loading, merge_sweep, merging, recipes, training
from featrack_utils.pipeline import store

style.use_style()

# %% tags=["parameters"]
run_dir = "runs/quick"
seed = 1337  # of the generated sample
context = 128  # tokens; paper: 256
t = None  # 0 is Lua, 1 is Stories, None the balanced weight; paper: 0.58
sweep_points = 21  # weights tried between the parents
sweep_blocks = 100  # validation blocks per domain for each of them

# %% [markdown]
# ## Is slerp different from a straight line?
#
# Slerp follows the arc between two parameter tensors, at the angle θ. Where θ is small the arc is
# a straight line, and mergekit indeed uses one when cos θ exceeds 0.9995. Two fine-tunes of one
# base haven't gone far, so before anything is said about slerp the angles must be looked at.

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
parents = {
    name: loading.load_model(store.opened(run / "models" / name)) for name in ("lua", "stories")
}
base = loading.load_model(run / "models" / "base")
lua_state, stories_state = (parents[name].state_dict() for name in ("lua", "stories"))

# %% tags=["hide-input"]
angles = merging.geometry(lua_state, stories_state)
short = angles["tensor"].str.replace("model.layers.0.", "").str.removesuffix(".weight")
readable = {
    "cos_theta": "cos θ",
    "slerp_minus_lerp": "arc from line",
    "lerp_fallback": "line taken",
}
show_table(
    angles.assign(tensor=short)[["tensor", *readable]].rename(columns=readable),
    {"cos θ": ".4f", "arc from line": ".4f"},
    caption="Each parameter tensor of the two parents: how far the arc leaves the straight line.",
    notes={
        "cos θ": "between the parents",
        "line taken": "by mergekit, as cos θ > 0.9995",
        "arc from line": "at t = ½, as a share of the distance between the parents",
    },
)

# %% [markdown]
# The largest difference between the arc and the line is
# {{ percent("merge.slerp_minus_lerp_max", 2) }} of the distance between the parents, and
# {{ count("merge.lerp_fallback_tensors") }} of {{ count("merge.tensors") }} tensors are so close
# to parallel that mergekit takes the line anyway. What follows is a statement about merging, not
# about slerp.
#
# ## The sweep
#
# {{ count("merge.sweep_points") }} merges in memory, each scored on both new domains.

# %%
validation = {d: corpora.validation_blocks(d, sweep_blocks).tokens for d in ("lua", "stories")}


def accuracies(model):
    return {
        domain: evaluation.evaluate(model, blocks).accuracy for domain, blocks in validation.items()
    }


ts = np.linspace(0, 1, sweep_points)
swept = merge_sweep.sweep(parents["lua"], lua_state, stories_state, ts, accuracies)
before = accuracies(base)

# %%
balanced = merge_sweep.balanced_t(
    ts,
    swept["lua"],
    swept["stories"],
    base_lua=before["lua"],
    base_stories=before["stories"],
    parent_lua=swept["lua"].iloc[0],
    parent_stories=swept["stories"].iloc[-1],
)
weight = merging.check_t(balanced if t is None else t)
crossed = merge_sweep.crossing(ts, swept["lua"], swept["stories"])
at_theirs = merge_sweep.at_weight(swept, paper.published("merge.t"), before)

# %% mystnb={"figure": {"caption": "Accuracy on both new domains against the merge weight, after the paper's Figure 5. Dashed: the base model. Dotted: the balanced weight.", "name": "fig-sweep"}, "image": {"alt": "Two accuracy curves crossing as the merge weight moves from Lua to Stories"}} tags=["hide-input"]
long = swept.melt("t", var_name="domain", value_name="accuracy")
style.sweep_figure(long, before, balanced)

# %% [markdown]
# {numref}`fig-sweep` is the paper's Figure 5 on our models. Each domain gains as the merge nears its own parent. The
# balanced weight, where both have kept the same share of what their parent gained over the base,
# is **t = {{ number("merge.t_balanced") }}** from Lua
# ({{ number(1 - results["merge.t_balanced"]) }} from Stories). It was chosen on validation text,
# one number from a smooth curve; the grids at the end of this chapter are measured on more of the
# same text, so the merged model is very slightly flattered there.
#
# ## On which side of the balance did the paper merge?
#
# Here the two axes matter. In the authors' published sweep, which runs from TinyStories to Lua, the
# accuracies cross near 0.57 *from TinyStories*; read from Lua, that is 0.43. Their recipe has
# Lua as its base and t = 0.58, so if its t counts from Lua, as mergekit's does, the published merge
# probably lies on the other side of the balance, where TinyStories keep more than Lua does.
# On our models the same t keeps {{ percent("merge.at_published.lua.kept") }} of what the Lua
# fine-tune gained in accuracy over the base and
# {{ percent("merge.at_published.stories.kept") }} of what the Stories fine-tune gained.
# {% if (results["merge.at_published.lua.kept"] - results["merge.at_published.stories.kept"]) | abs < 0.05 %}
# The two are close: on our models that t is nearly balanced.
# {% elif results["merge.at_published.lua.kept"] < results["merge.at_published.stories.kept"] %}
# So there, too, it is Lua that comes off worse.
# {% else %}
# On our models it is the other way about: Stories come off worse there.
# {% endif %}

# %% tags=["hide-input"]
readable = {
    "t_from_lua": "t from Lua",
    "t_from_stories": "t from Stories",
    "lua_paper": "Lua, paper",
    "lua_ours": "Lua, ours",
    "stories_paper": "Stories, paper",
    "stories_ours": "Stories, ours",
}
side_by_side = merge_sweep.compare_to_published(swept).rename(columns=readable)
show_table(
    side_by_side,
    {c: ".2f" if c.startswith("t ") else ".1%" for c in side_by_side},
    caption="Next-token accuracy along the merge, the authors' published sweep and ours.",
    notes={"t from Lua": "our axis", "t from Stories": "theirs"},
)

# %% [markdown]
# Every accuracy differs from theirs, at both ends already: other text, another vocabulary, another
# size and length of training. What can be compared is the shape: each curve falls from its own
# parent to the other
# {% if defined("merge.crossing") %}and they cross, ours at {{ number("merge.crossing") }} from Lua,
# the paper's at 0.43{% else %}but ours never cross{% endif %}.

# %% tags=["remove-cell"]
words = "other text, other models; raw accuracies, so the easier domain counts for more"
why = "the paper's counts from Lua if its base is Lua; ours is the balanced t unless a profile sets one"
no = "not in the paper"

# %% tags=["hide-input"]
mirrored = None if crossed is None else 1 - crossed
paper.beside_paper(
    [
        ("merge.t", "t of the merged model, from Lua", weight, None, why),
        paper.Row(
            None, "balanced t: equal shares of the gain, from Lua", balanced, None, no, ".2f"
        ),
        paper.Row(None, "balanced t, from Stories", 1 - balanced, None, no, ".2f"),
        ("merge.crossing_from_lua", "t where the accuracies cross, from Lua", crossed, None, words),
        ("merge.crossing_from_stories", "the same, from Stories", mirrored, None, words),
    ],
    caption="The merge weight beside the paper's, on both axes.",
)

# %% [markdown]
# ## The merged model
#
# mergekit writes it from a recipe that is kept beside it and can be used on models of any size.


# %%
def write_merged(work):
    recipe = work / "recipe.yaml"
    places = (run / "models" / name for name in ("lua", "stories", "base"))
    recipes.write_recipe(recipe, *places, weight)
    recipes.run_recipe(recipe, work)


folder = store.make(
    run / "models" / "merged",
    write_merged,
    parameters={"t": weight, "method": "slerp"},
    inputs=[run / "models" / name for name in ("lua", "stories", "base")],
    code=[merging, recipes],
)
print((folder / "recipe.yaml").read_text())

# %%
merged = loading.load_model(folder)
blocks = {domain: corpora.validation_blocks(domain, 400) for domain in DOMAINS}
merged_scores = {
    domain: evaluation.evaluate(merged, part.tokens, part.units) for domain, part in blocks.items()
}
prompts = {"lua": "local function add(a, b)\n", "stories": "One day, a little"}
written = {
    name: evaluation.continuation(merged, corpora.tokenizer, prompt, new_tokens=60, seed=seed)
    for name, prompt in prompts.items()
}

# %% tags=["remove-cell"]
results = {
    "merge.t_balanced": balanced,
    "merge.crossing": crossed,
    "merge.t": weight,
    "merge.sweep_points": sweep_points,
    "merge.tensors": len(angles),
    "merge.lerp_fallback_tensors": int(angles["lerp_fallback"].sum()),
    "merge.slerp_minus_lerp_max": float(angles["slerp_minus_lerp"].max()),
}

# %% tags=["remove-cell"]
above = swept["t"][(swept[["lua", "stories"]] > pd.Series(before)).all(axis=1)]
results |= {"merge.both_above": len(above)} | {
    f"merge.both_above_{end}": value if len(above) else None
    for end, value in {"from": above.min(), "to": above.max()}.items()
}
results |= {
    f"merge.at_published.{domain}.{figure}": value
    for domain, figures in at_theirs.items()
    for figure, value in figures.items()
}

# %% tags=["remove-cell"]
results |= {
    f"merge.sample.{name}.break_share": samples.break_share(prompts[name], text)
    for name, text in written.items()
}

# %% tags=["remove-cell"]
store.write_results(run, "merge", results | evaluation.score_results("merged", merged_scores))
scores = evaluation.score_table(store.read_results(run, "base", "finetune", "merge"))

# %% mystnb={"figure": {"caption": "Validation loss of all four models on all four domains; the best of each domain in bold.", "name": "fig-grid-loss"}, "image": {"alt": "Grid of losses, four models by four domains"}} tags=["hide-input"]
style.domain_heatmap(scores, "loss", "loss, nats per token (lower is better)")

# %% mystnb={"figure": {"caption": "The same as accuracy: the share of tokens that are the model's first choice.", "name": "fig-grid-accuracy"}, "image": {"alt": "Grid of accuracies, four models by four domains"}} tags=["hide-input"]
style.domain_heatmap(scores, "accuracy", "next-token accuracy (higher is better)", best="high")

# %% [markdown]
# {% if results["lm.merged.lua.loss"] < results["lm.base.lua.loss"] and
#       results["lm.merged.stories.loss"] < results["lm.base.stories.loss"] %}The merged model
# beats the base on both new domains, though it never trained on either:{% else %}The merged
# model does **not** beat the base on both new domains:{% endif %}
# {{ number("lm.merged.lua.loss") }} against {{ number("lm.base.lua.loss") }} nats on Lua,
# {{ number("lm.merged.stories.loss") }} against {{ number("lm.base.stories.loss") }} on stories.
# {% if results["lm.merged.lua.loss"] > results["lm.lua.lua.loss"] and
#       results["lm.merged.stories.loss"] > results["lm.stories.stories.loss"] %}Neither parent
# is reached. {% endif %}Two writing samples from the same model; the prompt is bold, ⏎ is a
# line break and a number says how many came in a row.

# %% tags=["hide-input"]
samples.show_samples(
    {
        f"after the beginning of a {kind}": (prompts[name], written[name])
        for name, kind in {"lua": "Lua function", "stories": "story"}.items()
    }
)

# %% [markdown]
# {% if results["merge.sample.lua.break_share"] > 0.5 or
#       results["merge.sample.stories.break_share"] > 0.5 %}
# The merged model soon falls silent: line breaks are
# {{ percent("merge.sample.lua.break_share") }} of the characters that it adds to the function and
# {{ percent("merge.sample.stories.break_share") }} of those that it adds to the story. Its guesses at
# the next token of a *given* text are better than the base's, but here it reads what it wrote
# itself, and a blank line, common to both parents' texts, makes the next one likelier still.
# A loss says nothing about that, which is why the samples stand here.
# {% else %}
# Neither sample is of any use as a text. What to look for is whether each goes on in the manner of
# its own prompt, for it is one set of weights that answers to both.
# {% endif %}
#
# ## What we learned
#
# {% if results["lm.merged.lua.loss"] < results["lm.base.lua.loss"] and
#       results["lm.merged.stories.loss"] < results["lm.base.stories.loss"] %}A single mixed set of
# weights serves two domains that no single training run has seen together.
# Somewhere in it must be features of both parents, or features that neither had.{% else %}Mixed
# weights are not a mixed model: what both parents learned doesn't add up here. Whether their
# features are lost, or only used badly, is not to be told from a loss.{% endif %} To tell which,
# we need to see features, and [the next chapter](sae) builds the instrument; the merged model is
# the fourth of the models whose features it shows.
#
# :::{admonition} Exercise 1
# :class: tip
# Merge at t = 0.1 and at t = 0.9
# (`snakemake --cores 2 --config merge='{t: 0.1}'`). Which features of the merged model would you
# expect to be found in only one parent?
# :::
#
# :::{dropdown} Answer
# Those of the parent that contributes little should go missing first. The chapter on tracking
# counts them: look at "from Lua only" and "from Stories only" there.
# :::
#
# :::{admonition} Exercise 2
# :class: tip
# Is there a t at which the merge beats the base on Lua *and* on stories? Read it off
# {numref}`fig-sweep`: where do both curves lie above their dashed lines?
# :::
#
# :::{dropdown} Answer
# {% if results["merge.both_above"] > 0 %}{{ count("merge.both_above") }} of the
# {{ count("merge.sweep_points") }} weights tried do, from t = {{ number("merge.both_above_from") }}
# to {{ number("merge.both_above_to") }}.{% else %}None of the weights tried does in this run.{% endif %}
# Outside that range one domain has been given up for the other.
# :::
