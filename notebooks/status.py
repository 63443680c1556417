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
# What this book was made with: parameters, versions, times. A run with the same lock file on the
# same machine gives the same numbers, digit for digit.

# %%
from pathlib import Path

import pandas as pd

from featrack_utils import report, store
from featrack_utils.render import notebook_pages
from featrack_utils.tables import show_table

# %% tags=["parameters"]
run_dir = "runs/quick"
toc = "book/_toc.yml"  # whose pages' figures are collected

# %%
run = Path(run_dir)
records = report.records(run)
results = store.collect_results(run, notebook_pages(Path(toc)))

# %% [markdown]
# ## Did this run reach what it should?
#
# What the dictionaries, the models and the measure itself have to reach for the chapters to mean
# something, at the size of the profile `quick`. A smaller run may miss it, and says so here.

# %% tags=["hide-input"]
show_table(report.targets(results), {"reached": ".3g"})

# %% [markdown]
# ## How long it took
#
# Phases side by side share the machine's cores, so that the sum of their times is more than the time
# it took.

# %% tags=["hide-input"]
phases = report.phases(run)
show_table(phases, {"started after": ".0f", "took": ".0f"},
           notes={"started after": "seconds", "took": "seconds"},
           caption=f"The phases of the profile {run.name}, as they were started.")  # fmt: skip

# %% [markdown]
# ## With what

# %% tags=["hide-input"]
show_table(report.versions(records), caption="Versions and machine.")

# %% [markdown]
# What every artefact was made with. Artefacts of one kind that agree on a parameter share a line.

# %% mystnb={"code_prompt_show": "Every parameter", "code_prompt_hide": "Every parameter"} tags=["remove-input", "hide-output"]
show_table(report.parameters(records))

# %% [markdown]
# ## Every figure of this run
#
# The numbers below are `results.json`, the only place from which the text of this book takes its
# figures.

# %% mystnb={"code_prompt_show": "Every figure", "code_prompt_hide": "Every figure"} tags=["remove-input", "hide-output"]
show_table(pd.DataFrame(results.items(), columns=["name", "value"]), {"value": ".4g"})
