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
from pathlib import Path

import numpy as np

from featrack_utils import evaluation, lm, merge, plots, recipes, store, sweep
from featrack_utils.corpora import prepare
from featrack_utils.corpora.documents import DOMAINS
from featrack_utils.tables import show_table

plots.use_style()

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
run = Path(run_dir)
corpora = prepare.open_corpora(store.opened(run / "corpora"), context)
parents = {name: lm.load_model(store.opened(run / "models" / name)) for name in ("lua", "stories")}
base = lm.load_model(run / "models" / "base")
lua_state, stories_state = (parents[name].state_dict() for name in ("lua", "stories"))
angles = merge.geometry(lua_state, stories_state)
columns = ["tensor", "cos_theta", "slerp_minus_lerp", "lerp_fallback"]
short = angles["tensor"].str.replace("model.layers.0.", "").str.removesuffix(".weight")
show_table(
    angles.assign(tensor=short)[columns],
    {"cos_theta": ".4f", "slerp_minus_lerp": ".4f"},
    notes={"slerp_minus_lerp": "at t = ½, as a share of the distance between the parents"},
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
swept = sweep.sweep(parents["lua"], lua_state, stories_state, ts, accuracies)
before = accuracies(base)

# %%
balanced = sweep.balanced_t(
    ts, swept["lua"], swept["stories"], base_lua=before["lua"], base_stories=before["stories"],
    parent_lua=swept["lua"].iloc[0], parent_stories=swept["stories"].iloc[-1],
)  # fmt: skip
weight = merge.check_t(balanced if t is None else t)

# %% mystnb={"figure": {"caption": "Accuracy on both new domains against the merge weight, after the paper's Figure 5. Dashed: the base model. Dotted: the balanced weight.", "name": "fig-sweep"}, "image": {"alt": "Two accuracy curves crossing as the merge weight moves from Lua to Stories"}} tags=["hide-input"]
long = swept.melt("t", var_name="domain", value_name="accuracy")
plots.sweep_figure(long, before, balanced)

# %% [markdown]
# {numref}`fig-sweep` is the paper's Figure 5 on our models. Each domain gains as the merge nears its own parent. The
# balanced weight, where both have kept the same share of what their parent gained over the base,
# is **t = {{ number("merge.t_balanced") }}** from Lua
# ({{ number(1 - results["merge.t_balanced"]) }} from Stories). It was chosen on validation text,
# one number from a smooth curve; the table below uses more of the same text, so it is very
# slightly flattered.
#
# The paper merges at 0.58. In the authors' published sweep, which runs from TinyStories to Lua,
# the curves cross near 0.57 *from TinyStories*; read from Lua, that is 0.43.

# %% tags=["hide-input"]
show_table(sweep.compare_to_published(), {c: ".3f" for c in sweep.compare_to_published()})

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
    code=[merge, recipes],
)
print((folder / "recipe.yaml").read_text())

# %%
merged = lm.load_model(folder)
blocks = {domain: corpora.validation_blocks(domain, 400).tokens for domain in DOMAINS}
merged_scores = {domain: evaluation.evaluate(merged, part) for domain, part in blocks.items()}
results = {
    "merge.t_balanced": balanced,
    "merge.t": weight,
    "merge.sweep_points": sweep_points,
    "merge.tensors": len(angles),
    "merge.lerp_fallback_tensors": int(angles["lerp_fallback"].sum()),
    "merge.slerp_minus_lerp_max": float(angles["slerp_minus_lerp"].max()),
}
store.write_results(run, "merge", results | evaluation.score_results("merged", merged_scores))
scores = evaluation.score_table(store.read_results(run, "base", "finetune", "merge"))

# %% mystnb={"figure": {"caption": "Validation loss of all four models on all four domains; the best of each domain in bold.", "name": "fig-grid-loss"}, "image": {"alt": "Grid of losses, four models by four domains"}} tags=["hide-input"]
plots.domain_heatmap(scores, "loss", "loss, nats per token (lower is better)")

# %% mystnb={"figure": {"caption": "The same as accuracy: the share of tokens that are the model's first choice.", "name": "fig-grid-accuracy"}, "image": {"alt": "Grid of accuracies, four models by four domains"}} tags=["hide-input"]
plots.domain_heatmap(scores, "accuracy", "next-token accuracy (higher is better)", best="high")

# %% [markdown]
# {% if results["lm.merged.lua.loss"] < results["lm.base.lua.loss"] and
#       results["lm.merged.stories.loss"] < results["lm.base.stories.loss"] %}
# The merged model beats the base on both new domains, though it never trained on either:
# {% else %}
# The merged model does **not** beat the base on both new domains:
# {% endif %}
# {{ number("lm.merged.lua.loss") }} against {{ number("lm.base.lua.loss") }} nats on Lua,
# {{ number("lm.merged.stories.loss") }} against {{ number("lm.base.stories.loss") }} on stories.
# Neither parent is reached. Two writing samples from the same model:

# %%
for prompt in ("local function add(a, b)\n", "One day, a little"):
    print(evaluation.continuation(merged, corpora.tokenizer, prompt, new_tokens=60, seed=seed))
    print("---")

# %% [markdown]
# ## What we learned
#
# A single mixed set of weights serves two domains that no single training run has seen together.
# Somewhere in it must be features of both parents, or features that neither had. To tell which,
# we need to see features, and the next chapter builds the instrument.
#
# :::{admonition} Exercise
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
