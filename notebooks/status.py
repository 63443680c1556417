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

from featrack_utils import store
from featrack_utils.render import notebook_pages
from featrack_utils.tables import show_table

# %% tags=["parameters"]
run_dir = "runs/quick"
toc = "book/_toc.yml"  # whose pages' figures are collected

# %%
run = Path(run_dir)
records = {
    str(path.parent.relative_to(run)): store.read_record(path.parent)
    for path in sorted(run.glob("*/**/run.json"))
    if not any(part.startswith(".") for part in path.relative_to(run).parts)
}
last = max(records.values(), key=lambda record: record["finished"])

# %% tags=["hide-input"]
times = pd.DataFrame(
    [{"artefact": name, "seconds": r["seconds"], "finished": r["finished"]}
     for name, r in records.items()]
)  # fmt: skip
show_table(times, {"seconds": ".0f"}, caption="What was built, how long it took, and when.")

# %% tags=["hide-input"]
versions = last["versions"] | {"Python": last["python"], "machine": last["machine"]}
show_table(pd.DataFrame(versions.items(), columns=["part", "version"]))

# %% [markdown]
# What every artefact was made with. Artefacts of one kind that agree on a parameter share a line.

# %% mystnb={"code_prompt_show": "Every parameter", "code_prompt_hide": "Every parameter"} tags=["remove-input", "hide-output"]
given = pd.DataFrame(
    [{"parameter": key, "value": str(value), "kind": name.split("/")[0], "artefact": name}
     for name, r in records.items() for key, value in r["parameters"].items()]
)  # fmt: skip


def members(names):
    return names.iloc[0] if len(names) == 1 else f"{len(names)} {names.iloc[0].split('/')[0]}"


shared = given.groupby(["kind", "parameter", "value"])["artefact"].agg(members).reset_index()
show_table(shared[["artefact", "parameter", "value"]])

# %% [markdown]
# ## Every figure of this run
#
# The numbers below are `results.json`, the only place from which the text of this book takes its
# figures.

# %% mystnb={"code_prompt_show": "Every figure", "code_prompt_hide": "Every figure"} tags=["remove-input", "hide-output"]
results = store.collect_results(run, notebook_pages(Path(toc)))
show_table(pd.DataFrame(results.items(), columns=["name", "value"]), {"value": ".4g"})
