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
# # Feature explorer
#
# Every feature of one dictionary for each model (seed 0): what it fires on, how often and how strongly,
# what it does to the next token, what became of it in the other models, and how it was interpreted.
# Numbers about thousands of features should be checked against the features themselves; here anyone
# can.

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
from featrack_utils.display import explorer, style
from featrack_utils.display.text import number, say
from featrack_utils.lineage import label
from featrack_utils.pipeline import store

# %% tags=["parameters", "remove-cell"]
run_dir = "runs/quick"
context = 128  # tokens; paper: 256
seed = 1337  # of the contexts drawn at random
tau = 0.8  # correlation above which two features match; paper: 0.8
rule = "best"  # or mutual; paper: best match

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
settings = {"context": context, "seed": seed}


def build(work):
    explorer.write_data(work / "data", explorer.read_contents(run, **settings), tau, rule)


made = store.make(
    run / "explorer",
    build,
    parameters={"tau": tau, "rule": rule} | settings,
    inputs=explorer.inputs(run, lineage),
    code=[explorer],
)
megabytes = sum(path.stat().st_size for path in (made / "data").iterdir()) / 1e6
store.write_results(run, "explorer", {"explorer.megabytes": megabytes})

# %% tags=["remove-input"] jupyter={"source_hidden": true}
explorer.page()

# %% [markdown]
# :::{dropdown} How to use it
# - **Search** by a token, a word of an interpretation, or a feature's number.
# - **Filter and sort** by model, class, domain, density and correlation with the closest feature of
#   another model.
# - **A feature's page** shows its strongest contexts, each from another document, and others drawn
#   at random from wherever it is active: judge a feature by both. Its shade is the activation,
#   relative to the feature's peak.
# - **Every view has an address** of its own, which can be kept and shared.
# - It works with the keyboard alone, and on a phone.
# :::

# %% tags=["remove-input"] jupyter={"source_hidden": true}
merged = "and one of a merge is *inherited* if a parent has it, " if lineage.merges else ""
say(
    f"A feature of {label(lineage.root)} is *persisting* if a model made from it has it, one of a "
    f"fine-tune if its parent has it, {merged}all by the threshold that [tracking](tracking) used; "
    "what these classes can't mean is said in [ceilings](ceilings). Place and cluster come from "
    "the [map](map).",
    "The page needs no server and fetches nothing from elsewhere. Its data take "
    f"{number(megabytes, 1)} MB, most of which is loaded when a feature is opened.",
)

# %% [markdown]
# ## What we learned
#
# A class is a threshold's verdict on one number. A feature's page shows what the number stands for:
# the closest feature of each other model with its correlation, and what both do in their contexts.
# Near misses and lucky hits are plain to see there, and no table shows them.
#
# :::{admonition} Exercises
# :class: tip
# 1. Find the feature for variable assignment: search for `=` and sort by density. Is its closest
#    feature in another model the one you would have chosen?
# 2. Filter for features that disappeared, and sort by *best r*. The first may have one above the
#    threshold. With a feature of which model, and how can that be? Then go down to those that just
#    missed it: what do they share with their closest match, and what not?
# :::
#
# :::{dropdown} Answers
# 1. [Meeting features in four models](case-study) finds it by a rule. Compare the random contexts, not the
#    strongest: the strongest of almost any feature for `=` look alike.
# 2. A feature has *disappeared* if no model made directly from its own has it; *best r* looks at all
#    models, grandchildren too. What near misses share is often the tokens, but not their weights:
#    two dictionaries cut the same activity at different places.
#    [Gone, or carved up differently?](repartitioned) asks how often.
# :::
