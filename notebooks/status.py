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
# # Status of this run
#
# What this book was made with, how long it took, and whether the run reached what it should before
# its shares can mean anything. A run with the same lock file on the same machine gives the same
# numbers, digit for digit.

# %%
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from featrack_utils.display import rundown
from featrack_utils.display.tables import show_table
from featrack_utils.models.training import uses_bfloat16
from featrack_utils.pipeline import store
from featrack_utils.pipeline.book import notebook_pages

# %% tags=["parameters"]
run_dir = "runs/quick"
toc = "book/_toc.yml"  # whose pages' figures are collected

# %%
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
pages = notebook_pages(Path(toc))
results = store.collect_results(run, pages)
records = {
    str(path.parent.relative_to(run)): store.read_record(path.parent)
    for path in sorted(run.glob("*/**/run.json"))
    if not any(part.startswith(".") for part in path.relative_to(run).parts)
}

# %% [markdown]
# ## Did this run reach what it should?

# %% tags=["hide-input"]
reached = rundown.targets(results)
show_table(
    reached,
    caption=f"Profile {run.name}: {reached['met'].sum()} of {len(reached)} targets are met.",
)

# %% [markdown]
# A target that is missed isn't an error: `smoke`, which trains for seconds, can't reach them all. But
# then the shares of the later chapters show that the pipeline runs, and nothing else.
#
# ## How long it took

# %% tags=["hide-input"]
times = rundown.phase_times(run / "executed", pages)
total = {"phase": "all together", "seconds": times["seconds"].sum()}
shown = pd.concat([times, pd.DataFrame([total])])
show_table(
    pd.DataFrame(
        {
            "phase": shown["phase"],
            "started": [f"{at:%Y-%m-%d %H:%M:%S}" if at == at else None for at in shown["started"]],
            "took": shown["seconds"].map(rundown.duration),
        }
    ),
    caption=f"The phases in the pipeline's order; {rundown.duration(rundown.span(times))} passed from "
    "the first start to the last end.",
    notes={"started": "UTC", "took": "a kernel's time; some run side by side"},
)

# %% [markdown]
# If part of a run was made again later, the time from the first start to the last end includes the
# pause between the two.
#
# ## What made it

# %% tags=["hide-input"]
last = max(records.values(), key=lambda record: record["finished"])
precision = records["models/base"]["parameters"]["precision"]
used = "bfloat16" if uses_bfloat16(precision) else "float32"
facts = {
    "profile": run.name,
    "machine": last["machine"],
    "precision of trainings": f"{precision}: {used} on this machine",
    "Python": last["python"],
    "last artefact finished": last["finished"].replace("T", " ").replace("Z", " UTC"),
}
show_table(pd.DataFrame(facts.items(), columns=["what", "value"]), caption="The run.")

# %% tags=["hide-input"]
packages = (
    "torch",
    "transformers",
    "tokenizers",
    "transformer-lens",
    "sae-lens",
    "mergekit",
    "datasets",
    "numpy",
    "scipy",
    "numba",
    "pandas",
    "safetensors",
    "matplotlib",
    "seaborn",
    "plotly",
    "jupytext",
    "papermill",
    "jupyter-book",
    "snakemake",
)
show_table(
    pd.DataFrame([(name, version(name)) for name in packages], columns=["package", "version"]),
    caption="The main packages; requirements.lock names all of them.",
)

# %% mystnb={"code_prompt_show": "Every artefact", "code_prompt_hide": "Every artefact"} tags=["remove-input", "hide-output"]
built = pd.DataFrame(
    [{"artefact": name, "took": rundown.duration(r["seconds"])} for name, r in records.items()]
)
show_table(built, caption="What the phases left behind, and how long each took to make.")

# %% [markdown]
# What every artefact was made with. Artefacts of one kind that agree on a parameter share a line.

# %% mystnb={"code_prompt_show": "Every parameter", "code_prompt_hide": "Every parameter"} tags=["remove-input", "hide-output"]
show_table(rundown.parameter_table(records))

# %% [markdown]
# ## Every figure of this run
#
# The numbers below are `results.json`, the only place from which the text of this book takes its
# figures.

# %% mystnb={"code_prompt_show": "Every figure", "code_prompt_hide": "Every figure"} tags=["remove-input", "hide-output"]
show_table(pd.DataFrame(results.items(), columns=["name", "value"]), {"value": ".4g"})
