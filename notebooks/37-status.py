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
# **You will learn** whether this run reached what it should before its {term}`shares <share>` can mean
# anything, what it was made with, and how long that took.
# **You need** nothing, but the words are those of the earlier chapters.
# **It takes** five minutes.
#
# A run with the same lock file on the same machine gives the same numbers, digit for digit. On another
# number of threads sums are rounded otherwise: losses and explained variance stay within a thousandth.

# %% tags=["hide-input"] jupyter={"source_hidden": true}
import json
import math
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd

from featrack_utils.display import style
from featrack_utils.display.tables import show_table
from featrack_utils.display.text import (
    check,
    count,
    estimate,
    listed,
    number,
    percent,
    points,
    say,
    show,
    with_interval,
)
from featrack_utils.errors import FeatrackError
from featrack_utils.lineage import label
from featrack_utils.models.training import uses_bfloat16
from featrack_utils.pipeline import store
from featrack_utils.pipeline.book import notebook_pages

# %% tags=["parameters"]
run_dir = "runs/quick"
toc = "book/_toc.yml"  # whose pages' figures are collected
least_variance = 0.75  # of the activations' variance that each dictionary explains
most_active = 48  # features a token, of each dictionary
most_dead = 0.05  # share of a dictionary's features that are never active
least_gain = 0.5  # nats per token of a fine-tune on its own text
planted_error = 0.02  # largest error of a planted share
false_positives = 0.01  # share found where nothing persists

# %% tags=["hide-input"] jupyter={"source_hidden": true}
run = store.open_run(run_dir)
lineage = store.open_lineage(run)
style.use_style(lineage)
pages = notebook_pages(Path(toc))
records = {
    str(path.parent.relative_to(run)): store.read_record(path.parent)
    for path in sorted(run.glob("*/**/run.json"))
    if not any(part.startswith(".") for part in path.relative_to(run).parts)
}


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def collect_results(run, phases):
    """Joins the figures of these phases into results.json, sorted by name.

    A phase that writes none is skipped, and so is what a phase of another name has left there: it
    may have been renamed or dropped since.
    """
    joined = {}
    for phase in sorted(phases):
        if (run / "results" / f"{phase}.json").exists():
            part = store.read_results(run, phase)
            if twice := sorted(set(part) & set(joined)):
                raise FeatrackError(
                    f"{run}/results/{phase}.json writes {twice[0]}, which another phase also writes."
                )
            joined |= part
    joined = dict(sorted(joined.items()))
    store.write_json(run / "results.json", joined)
    return joined


results = collect_results(run, pages)

# %% [markdown]
# ## Did this run reach what it should?
#
# Shares of features mean something only if the dictionaries are good enough and alike, the
# fine-tunes have learned something, a merge serves the texts of all its parents, and the
# instrument finds what was planted and nothing where nothing is. Each row is one such condition.


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def result(name):
    """A figure of this run; NaN, which meets no target, if it wasn't measured."""
    return results.get(name, math.nan)


variance, gain_over_neurons = (
    result(f"sae.min_{name}") for name in ("variance_explained", "gain_over_neurons")
)
active, dead = result("sae.max_l0"), result("sae.max_dead_share")
targets = [
    (
        f"each dictionary explains at least {percent(least_variance)} of the variance",
        percent(variance, 1),
        variance >= least_variance,
    ),
    (
        "each dictionary explains more than as many of its model's largest neurons",
        points(gain_over_neurons, 1),
        gain_over_neurons > 0,
    ),
    (
        f"no dictionary has more than {most_active} active features a token",
        number(active, 1),
        active <= most_active,
    ),
    (
        f"fewer than {percent(most_dead)} of any dictionary's features are dead",
        percent(dead, 1),
        dead < most_dead,
    ),
]


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def gain(model, domain):
    """Nats per token by which a model beats the root on a text."""
    return result(f"lm.{lineage.root}.{domain}.loss") - result(f"lm.{model}.{domain}.loss")


for model in lineage.tuned:
    for domain in lineage.trained_on(model):
        words = f"{label(model)} gains at least {least_gain} nats on {label(domain)}"
        reached = gain(model, domain)
        targets.append((words, f"{number(reached)} nats", reached >= least_gain))
for model in lineage.merges:
    for domain in [d for each in lineage.parents(model) for d in lineage.trained_on(each)]:
        words = f"{label(model)} beats {label(lineage.root)} on {label(domain)}"
        reached = gain(model, domain)
        targets.append((words, f"{number(reached)} nats", reached > 0))

# %% tags=["hide-input"] jupyter={"source_hidden": true}
nothing = estimate(results, "track.zero_steps.headline.rescaled")
error, false = result("calibration.largest_error"), result("calibration.nothing.share")
targets += [
    (
        "after a training of no step the headline's interval holds 100 % and not 0",
        with_interval(nothing, 1),
        0 < nothing.low <= 1 <= nothing.high,
    ),
][: any(len(lineage.parents(model)) == 1 for model in lineage.order)]
targets += [
    (
        f"planted shares are found within {100 * planted_error:g} points",
        f"{number(100 * error, 1)} points",
        error <= planted_error,
    ),
    (
        f"at most {percent(false_positives)} is found where nothing persists",
        percent(false, 1),
        false <= false_positives,
    ),
]
reached = pd.DataFrame(targets, columns=["target", "reached", "met"]).astype({"met": bool})
show_table(
    reached,
    caption=f"Profile {run.name}: {reached['met'].sum()} of {len(reached)} targets are met.",
)

# %% [markdown]
# A target that is missed isn't an error: `smoke`, which trains for seconds, can't reach them all. But
# then the shares of the later chapters show that the pipeline runs, and nothing else.
#
# ## How long it took
#
# Phases run side by side where one doesn't need the other, so the time from the first start to the
# last end is less than their sum. A core-second is one core busy for one second: two threads that
# work for a minute make 120.


# %% tags=["hide-input"] jupyter={"source_hidden": true}
def duration(seconds):
    """ "43 s", "2 min 05 s", "3 h 07 min": what a reader can picture."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


rows = []
for path in (run / "executed").glob("[!.]*.ipynb"):
    ran = nbformat.read(path, as_version=4).metadata.get("papermill", {})
    if path.stem == "status" or ran.get("duration") is None:
        continue  # this page isn't finished
    counted = run / store.TIMES / f"{path.stem}.json"
    cores = json.loads(counted.read_text())["core_seconds"] if counted.is_file() else math.nan
    rows.append((path.stem, datetime.fromisoformat(ran["start_time"]), ran["duration"], cores))
columns = ["phase", "started", "seconds", "core_seconds"]
times = pd.DataFrame(sorted(rows, key=lambda row: row[1]), columns=columns)

begun = (times["started"] - times["started"].min()).dt.total_seconds()
passed = (begun + times["seconds"]).max()
busy = times["core_seconds"].sum(min_count=1)

# %% tags=["hide-input"] jupyter={"source_hidden": true}
figure, axis = style.single(0.24 * len(times) + 1)
axis.barh(times["phase"], times["seconds"] / 60, left=begun / 60, color=style.PALETTE[0])
axis.invert_yaxis()
axis.margins(y=0.01)
axis.grid(axis="y", visible=False)
axis.set_xlabel("minutes since the first phase began")
show(
    figure,
    caption=f"The phases of this run: when each began and ended. {duration(passed)} passed from the "
    f"first start to the last end; added up, the kernels ran for {duration(times['seconds'].sum())} "
    f"and took {count(busy)} core-seconds.",
    name="fig-phases",
    alt="A bar for each phase from its start to its end, in the order in which they began",
)

# %% tags=["remove-input"] jupyter={"source_hidden": true}
longest = times.nlargest(3, "seconds")
took = [f"{row.phase} ({duration(row.seconds)})" for row in longest.itertuples()]
say(
    (f"The longest phases were {listed(took)}. " if took else "")
    + "If part of a run was made again later, the time that passed includes the pause between the two."
)

# %% [markdown]
# ## What made it

# %% tags=["hide-input"] jupyter={"source_hidden": true}
last = max(records.values(), key=lambda record: record["finished"])
given = [record["parameters"] for record in records.values()]
precision = next(each["precision"] for each in given if "precision" in each)
used = "bfloat16" if uses_bfloat16(precision) else "float32"
facts = {
    "profile": run.name,
    "machine": last["machine"],
    "precision of trainings": f"{precision}: {used} on this machine",
    "Python": last["python"],
    "last artefact finished": last["finished"].replace("T", " ").replace("Z", " UTC"),
}
show_table(pd.DataFrame(facts.items(), columns=["what", "value"]), caption="The run.")

# %% tags=["remove-input"] jupyter={"source_hidden": true}
packages = (
    "torch transformers tokenizers transformer-lens sae-lens mergekit numpy scipy numba pandas"
)
packages += " safetensors matplotlib seaborn jupytext papermill jupyter-book snakemake"
say(
    f"The main packages: {listed([f'{name} {version(name)}' for name in packages.split()])}. "
    "`requirements.lock` names all of them."
)

# %% mystnb={"code_prompt_show": "Every artefact", "code_prompt_hide": "Every artefact"} tags=["remove-input", "hide-output"] jupyter={"source_hidden": true}
built = pd.DataFrame(
    [{"artefact": name, "took": duration(r["seconds"])} for name, r in records.items()]
)
show_table(built, caption="What the phases left behind, and how long each took to make.")

# %% [markdown]
# What every artefact was made with. Artefacts of one kind that agree on a parameter share a line.

# %% mystnb={"code_prompt_show": "Every parameter", "code_prompt_hide": "Every parameter"} tags=["remove-input", "hide-output"] jupyter={"source_hidden": true}
given = pd.DataFrame(
    [
        (name.split("/")[0], name, key, value if isinstance(value, str) else json.dumps(value))
        for name, record in records.items()
        for key, value in record["parameters"].items()
    ],
    columns=["kind", "artefact", "parameter", "value"],
)
agreed = given.groupby(["kind", "parameter", "value"])["artefact"].agg(["first", "size"])
agreed = agreed.reset_index()
many = agreed["size"].astype(str) + " " + agreed["kind"]
agreed["artefact"] = agreed["first"].where(agreed["size"] == 1, many)
show_table(agreed[["artefact", "parameter", "value"]])

# %% [markdown]
# ## Every figure of this run
#
# The numbers below are `results.json`, the only place from which the text of this book takes its
# figures.

# %% mystnb={"code_prompt_show": "Every figure", "code_prompt_hide": "Every figure"} tags=["remove-input", "hide-output"] jupyter={"source_hidden": true}
show_table(pd.DataFrame(results.items(), columns=["name", "value"]), {"value": ".4g"})

# %% [markdown]
# ## What we learned

# %% tags=["remove-input"] jupyter={"source_hidden": true}
missed = reached.loc[~reached["met"], "target"].tolist()
say(
    f"This run met {count(reached['met'].sum())} of {count(len(reached))} targets. "
    + (f"Not met: {'; '.join(missed)}." if missed else ""),
    "*What comes next*: your own. The [first page](intro) has a map of the chapters, and README says how "
    "to name models of yours.",
)

# %% [markdown]
# :::{admonition} Exercise 1
# :class: tip
# How many cores were busy on average while this run was made? `times` has a row for each phase with
# `started`, `seconds` and `core_seconds`.
# :::

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
# For the check below:
busy_cores = busy / passed

# %%
answer = ...  # cores
check(answer, busy_cores)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
ends = times["started"] + pd.to_timedelta(times["seconds"], unit="s")
took = ends.max() - times["started"].min()
answer = np.nansum(times["core_seconds"]) / took.total_seconds() if busy == busy else np.nan
check(answer, busy_cores)

# %% [markdown]
# :::{admonition} Exercise 2
# :class: tip
# How precise is this book? A figure `results[name]` has its 95 % interval in `name.ci_low` and
# `name.ci_high`. What is the median width of all intervals in `track.`, as a share of one?
# :::

# %% tags=["remove-cell"] jupyter={"source_hidden": true}
# For the check below:
tracked = pd.Series(results, dtype=float).filter(like="track.")
upper, lower = (
    tracked[tracked.index.str.endswith(end)].rename(lambda name: name.rpartition(".")[0])
    for end in (".ci_high", ".ci_low")
)
width = (upper - lower).median()

# %%
answer = ...  # a share, from 0 to 1
check(answer, width)

# %% tags=["hide-cell", "answer"] mystnb={"code_prompt_show": "Answer"} jupyter={"source_hidden": true, "outputs_hidden": true}
# One way to answer:
widths = []
for name, value in results.items():
    if name.startswith("track.") and name.endswith(".ci_low"):
        widths.append(results[name.replace(".ci_low", ".ci_high")] - value)
answer = np.median(widths)
check(answer, width)
