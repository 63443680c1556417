# One papermill run per phase. A phase's only declared output is its executed notebook, written
# last: the artefacts it makes look after themselves (featrack_utils.pipeline.store), so that a
# killed or failed phase loses nothing that was finished.
import json
import os
import sys
from functools import cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import jupytext
from snakemake.logging import logger

from featrack_utils.corpora.files import fingerprint
from featrack_utils.corpora.hub import pinned
from featrack_utils.errors import FeatrackError
from featrack_utils.models.recipes import comparable, read_recipes
from featrack_utils.pipeline.forkserver import ADDRESS, start
from featrack_utils.pipeline.profile import load_profile
from featrack_utils.pipeline.progress import Progress, take_lock
from featrack_utils.pipeline.sources import imported_files
from featrack_utils.pipeline.store import date_back, require_writable
from featrack_utils.run import declared_parameters, find

OVERRIDES = dict(config)
RECIPES = Path("profiles/merges")
try:
    PROFILE = load_profile(Path("profiles") / f"{OVERRIDES.pop('profile', 'quick')}.yaml", OVERRIDES)
    LINEAGE = PROFILE.lineage
    PAGES = Path("runs") / PROFILE.name / "executed"
    require_writable(Path(), Path(".snakemake"), Path("book"), PAGES.parent, PAGES)
    # The reader's own files are looked up at once, not when the first phase has started.
    WAYS = read_recipes(RECIPES, PROFILE.arms.methods)
    MERGED = comparable(LINEAGE, WAYS)
    for parents in map(LINEAGE.parents, MERGED):
        for way in (each for each in WAYS if each.fits(len(parents))):
            for setting in way.settings(len(parents)):
                way.filled(setting, parents, LINEAGE.common_ancestor(parents))
    SOURCES = {d: PROFILE.corpora.sources_of[d] for d in LINEAGE.domains}
    SOURCES = pinned(SOURCES, Path("runs") / PROFILE.name / "corpora")
    TEXTS = fingerprint(SOURCES)
    FOUND, LOADED, TOKENIZER = {}, "", PROFILE.corpora.tokenizer_from
    RUN = Path("runs") / PROFILE.name
    if LINEAGE.loaded or TOKENIZER:
        from featrack_utils.models import loading  # takes seconds to load
    if TOKENIZER:
        TOKENIZER = str(loading.tokenizer_folder(TOKENIZER, RUN / "corpora"))
    if LINEAGE.loaded:
        FOUND = loading.find_all(LINEAGE, PROFILE.corpora.context, RUN)
        for merge in MERGED:  # task vectors begin at the ancestor
            parents = LINEAGE.parents(merge)
            kin = (LINEAGE.common_ancestor(parents), *parents, merge)
            loading.require_one_shape(merge, [FOUND[name] for name in kin if name in FOUND])
        LOADED = loading.fingerprint(FOUND.values())
        for name, model in FOUND.items():
            if not (RUN / "models" / name).exists():  # read once, and not before every `make book`
                loading.require_finite(model)
    if LINEAGE.given:
        from featrack_utils.dictionaries import loading as outside

        SIZES = {
            source: outside.require_fit(
                where, outside.find(where, source), LINEAGE.site, FOUND[model].width(LINEAGE.hook)
            )
            for model in LINEAGE.order
            if model in FOUND
            for where in [f"dictionaries.{model}"]
            for source in LINEAGE.given[model]
        }
        if len({*SIZES.values()}) > 1:
            raise FeatrackError(
                f"The dictionaries have {sorted({*SIZES.values()})} features: a share depends on "
                "their number, so give some of one size."
            )
except FeatrackError as error:
    sys.exit(f"featrack: {error}")

TOC = "book/_toc.yml"
STATIC = ("book/_static", "book/_static/explorer", "book/_static/touch")


class Phase(NamedTuple):
    """A notebook and the phases that it needs.

    Its parameters are those that the notebook declares, looked up by name: in `given`, then in
    these sections of the profile, then in what all phases share.
    """

    needs: list[str]
    notebook: str = ""  # named otherwise than the phase
    sections: tuple[str, ...] = ()
    given: dict = {}
    threads: int = 1
    urgent: int = 0  # 1: among the longest, so it goes first; 2: long, and others wait for it


def section(name):
    return getattr(PROFILE, name).model_dump()


SHARED = {
    "run_dir": str(RUN),
    "seed": PROFILE.seed,
    "precision": PROFILE.precision,
    "models": PROFILE.models,
    "site": PROFILE.site,
    "context": PROFILE.corpora.context,
    "root_seeds": PROFILE.seeds[0],
    "other_seeds": PROFILE.seeds[1],
    "dictionaries": PROFILE.dictionaries,
    "toc": TOC,
}
# What a chapter asks of fewer bootstrap draws than the headline.
DRAWS = {"interval_draws": min(40, PROFILE.tracking.replicates)}


@cache  # several phases run one notebook
def declared_by(notebook):
    return declared_parameters(jupytext.read(find(notebook)))


def parameters(page, phase):
    known = SHARED | {}
    for name in reversed((*phase.sections, "tracking")):
        known |= section(name)
    known |= SHARED | phase.given
    return {name: known[name] for name in declared_by(phase.notebook or page) if known.get(name) is not None}


PRETRAINED = LINEAGE.root not in FOUND
ROOT_TOKENS = PROFILE.pretraining.train_tokens if PRETRAINED else 0
# A short training takes two fifths more core-seconds on two threads, and on one another phase has room beside it.
SHORT = 5_000_000  # tokens
given = {"root_tokens": ROOT_TOKENS, "sources_of": PROFILE.corpora.sources_of | SOURCES}
given["tokenizer_from"] = TOKENIZER if PRETRAINED else str(FOUND[LINEAGE.root].folder)
# What is simulated goes beside the text, what needs text alone beside the first training: each takes one core.
PHASES = {"calibration": Phase([]), "corpora": Phase([], sections=("corpora",), given=given, urgent=1)}
MODELS = ["corpora"]  # the phases after which all models are there
if PRETRAINED:
    threads = 1 if ROOT_TOKENS <= SHORT else 2
    PHASES["base"] = Phase(MODELS, sections=("pretraining",), threads=threads, urgent=1)
    MODELS = ["base"]
if FOUND:
    PHASES["load"] = Phase(MODELS, threads=2)
    MODELS = ["load"]
READ_FROM = {LINEAGE.root: MODELS}  # the phases after which a model's dictionaries can be trained
MERGES = [name for name in LINEAGE.merges if name not in FOUND]  # those that are made here
if LINEAGE.tuned:
    threads = 1 if PROFILE.finetune.train_tokens <= SHORT else 2
    PHASES["finetune"] = Phase(MODELS, sections=("finetune", "arms"), threads=threads, urgent=1)
    MODELS = ["finetune"]
READ_FROM = dict.fromkeys(LINEAGE.order, MODELS) | READ_FROM
if MERGES:
    PHASES["merge"] = Phase(MODELS, sections=("merge",), urgent=1)
    MODELS = ["merge"]
READ_FROM |= dict.fromkeys(MERGES, MODELS)

# One kernel for each model's dictionaries, which share its captured activations. The chapter is
# the root's.
SEEDS = {model: PROFILE.seeds[1] for model in LINEAGE.order}
SEEDS[LINEAGE.root] = PROFILE.seeds[0]
SAES = {
    "sae" if model == LINEAGE.root else f"sae-{model}": (model, list(range(SEEDS[model])))
    for model in LINEAGE.order
}
for page, (model, seeds) in SAES.items():
    PHASES[page] = Phase(
        READ_FROM[model],
        notebook="sae",
        sections=("sae",),
        given={"model": model, "sae_seeds": seeds},
        urgent=int(page == "sae"),
    )
# One kernel for each child's controls; the chapter comes when all are there.
CHILDREN = list(dict.fromkeys(child for _, child in LINEAGE.edges))
FLOORS = [f"floors-{child}" for child in CHILDREN]
for page, child in zip(FLOORS, CHILDREN, strict=True):
    PHASES[page] = Phase(
        list(SAES), notebook="floors", sections=("sae",), given={"children": [child]}, urgent=1
    )
for name, sae in PROFILE.swept.items():
    given = {"variant": name, "all_pairs": PROFILE.robustness.all_pairs} | sae.model_dump()
    # The chapter on robustness, which waits for these, would else be left for the end, alone.
    PHASES[f"sweep-{name}"] = Phase(FLOORS, notebook="sweep", sections=("sae",), given=given, urgent=1)
SWEPT = {"sweep": list(PROFILE.swept), "all_pairs": PROFILE.robustness.all_pairs}

PHASES |= {
    "first-look": Phase(MODELS),
    "dictionaries": Phase(list(SAES)),
    "floors": Phase(FLOORS, sections=("sae",), given={"children": CHILDREN}),
    "tracking": Phase(list(SAES)),
    "ceilings": Phase(["tracking", "dictionaries", *FLOORS], urgent=1),
    "context": Phase(["ceilings"], given=DRAWS, urgent=1),
    "repartitioned": Phase(["tracking", *FLOORS], sections=("sae",), urgent=1),
    "robustness": Phase(
        ["tracking", *(f"sweep-{name}" for name in PROFILE.swept)], given=DRAWS | SWEPT, urgent=1
    ),
    "published": Phase(["tracking", *FLOORS], given=DRAWS, urgent=1),
    "case-study": Phase(["tracking", *FLOORS], given=DRAWS),
    "interpretation": Phase(["tracking", *FLOORS], sections=("interpretation",), urgent=1),
    "map": Phase(["tracking"], urgent=1),
    "explorer": Phase(["map", "interpretation"]),
    "live": Phase(["tracking"]),
    "lesson": Phase(["live"]),
    "machines": Phase(MODELS, given={"sample_tokens": min(20_000, PROFILE.sae.train_tokens // 3)}),
    "changes": Phase(["tracking", *FLOORS]),
    "load-bearing": Phase(["tracking", *FLOORS], urgent=1),
    "crosscoder": Phase(["tracking", *FLOORS], sections=("sae",), urgent=1),
}
# Neuron i of one model has to do with neuron i of another where both have as many.
if LINEAGE.hook == "mlp.hook_post" and len({model.d_mlp for model in FOUND.values()}) < 2:
    PHASES["neurons"] = Phase(MODELS)
# Models are trained on both cores only where nothing else is ready: one thread takes a quarter fewer
# core-seconds. A loaded root has no second one like it.
dosed = PROFILE.arms.dosed if LINEAGE.tuned else []
second = bool(dosed) and PROFILE.arms.lm_seed and bool(ROOT_TOKENS)
if dosed:
    # The chapter on methods waits for its second root.
    PHASES["dose"] = Phase(FLOORS, sections=("sae", "arms"), given={"lm_seed": second}, urgent=2)
if PROFILE.arms.rates and PRETRAINED and {*LINEAGE.children(LINEAGE.root)} & {*LINEAGE.tuned}:
    PHASES["rate"] = Phase(FLOORS, sections=("sae", "arms"), urgent=1)
if PROFILE.arms.own_steps and not FOUND:
    PHASES["own"] = Phase(["corpora"], sections=("arms",))
if PROFILE.arms.planted and LINEAGE.tuned:
    PHASES["planted"] = Phase(list(SAES), sections=("sae", "arms"), urgent=1)
if MERGED:
    given = {"recipe_folder": str(RECIPES), "lm_seed": second}
    needs = [*FLOORS, *["dose"] * second]  # where the second root is trained
    PHASES["methods"] = Phase(needs, sections=("sae", "merge", "arms"), given=given, urgent=1)
# A path leads from one parent to the other; more parents have none.
if any(len(LINEAGE.parents(merge)) == 2 for merge in MERGES):
    PHASES["along"] = Phase(["tracking", *FLOORS], sections=("merge",), given=DRAWS, urgent=1)
if LINEAGE.merges:
    PHASES["prediction"] = Phase(["tracking"])
# They ask what another dictionary of the same model finds.
if min(PROFILE.seeds) < 2:
    for page in (
        *("along", "changes", "context", "dose", "lesson", "live", "methods", "planted"),
        *("prediction", "repartitioned", "robustness"),
    ):
        PHASES.pop(page, None)
# What the chapters on merging say together, as far as this lineage has them.
told = [page for page in ("merge", "methods", "along", "prediction") if page in PHASES]
if LINEAGE.merges:
    given = {"chapters": told, "compared": list(MERGED) if "methods" in told else []}
    PHASES["which-merge"] = Phase([*told, "ceilings"], given=given)
PHASES["intro"] = Phase([page for page in PHASES if page not in ("status", "corpora")])
PHASES["status"] = Phase(["intro"])


def executed(page):
    return str(RUN / "executed" / f"{page}.ipynb")


# Correlations are made of sums over positions. Of many positions each block is a job of its own.
SUMS = []
AT_ONCE = PROFILE.tracking.block_positions
POSITIONS = PROFILE.tracking.evaluation_blocks * len(LINEAGE.domains) * (PROFILE.corpora.context - 1)
if POSITIONS > AT_ONCE:
    from featrack_utils.dictionaries.features import dictionary_names
    from featrack_utils.matching.best_matches import pairs_to_match

    SUMS = [
        str(RUN / "sums" / f"{a}_{b}_{block}.done")
        for a, b in pairs_to_match(LINEAGE, dictionary_names(LINEAGE, *PROFILE.seeds))
        for block in range(-(-POSITIONS // AT_ONCE))
    ]


# Phases are told by their files' dates whether they are to run: after the clock went back, or in a
# checkout from a machine whose clock is ahead, some are of tomorrow.
SOURCE_FILES = ("_config.yml", "book/*", "book/_static/**/*", "notebooks/*.py", "benchmarks/*.json")
SOURCE_FILES += ("featrack_utils/**/*.py", "profiles/merges/*", "book/_build/html/index.html")
date_back(
    chain(
        *(Path().glob(each) for each in SOURCE_FILES),
        (RUN / "executed").glob("*.ipynb"),
        (RUN / "sums").glob("*"),
    )
)

# Whatever says something may be the first to fail: they go to standard error, once.
PROGRESS = Progress()
logger.addHandler(PROGRESS)


onstart:
    # The names hold the lock and the server's stdin, which let go when this process ends.
    global LOCK, FORKSERVER
    try:
        LOCK = take_lock(Path(".snakemake") / "featrack.lock")
        # Where each phase is a job of its own, its machine may have what this one lacks.
        if workflow.local_exec and PROFILE.device not in ("auto", "cpu"):
            from featrack_utils.models.capture import device  # takes seconds to load

            device(PROFILE.device)
    except FeatrackError as error:
        print(f"featrack: {error}", file=sys.stderr)
        raise
    PROGRESS.relay(Path(".snakemake") / "featrack.progress")
    # On a cluster (profiles/cluster/) each phase is a job of its own, maybe elsewhere.
    # A chapter that runs a pipeline has a server already.
    if workflow.local_exec and ADDRESS not in os.environ:
        FORKSERVER = start(max(phase.threads for phase in PHASES.values()))


localrules:
    all,
    book,
    archive,


rule all:
    input:
        "book/_build/html/index.html",
        [executed(page) for page in PHASES],


for page, phase in PHASES.items():

    rule:
        name:
            page
        input:
            str(find(phase.notebook or page)),
            [executed(need) for need in phase.needs],
            imported_files(find(phase.notebook or page)),
            TOC if page == "status" else [],
            SUMS if page == "tracking" else [],
            sorted(map(str, RECIPES.glob("*.yaml"))) if page == "methods" else [],
            "benchmarks/coverage.json" if page == "calibration" else [],
        output:
            executed(page),
        params:
            notebook=phase.notebook or page,
            # A hash and not the files themselves: Snakemake takes braces in a name for wildcards.
            texts={"corpora": TEXTS, "load": LOADED}.get(page, ""),
            # A function, because Snakemake would fill in the braces of a plain string.
            parameters=lambda wildcards, given=json.dumps(parameters(page, phase)): given,
        threads: phase.threads
        priority: phase.urgent
        shell:
            # Threads that wait by spinning take the core from those they wait for; beside one busy
            # process, spinning briefly trains four times faster than OpenMP's default, and as
            # fast where nothing else runs.
            "FEATRACK_RUN={RUN} FEATRACK_DEVICE={PROFILE.device} FEATRACK_PROCESSES={PROFILE.processes}"
            " GOMP_SPINCOUNT=10000 OMP_NUM_THREADS={threads} NUMBA_NUM_THREADS={threads} python -IS featrack_utils/pipeline/forkserver.py"
            " -m featrack_utils.run {params.notebook} {output:q} --json {params.parameters:q}"


if SUMS:

    rule sums:
        input:
            [executed(page) for page in SAES],
        output:
            touch(str(RUN / "sums" / "{a}_{b}_{block}.done")),
        shell:
            "NUMBA_NUM_THREADS={threads} python -m featrack_utils.matching.best_matches"
            " {RUN} {wildcards.a} {wildcards.b} {wildcards.block} {AT_ONCE}"


# The book and its chapters as notebooks that run in a checkout, for `make archive`.
rule archive:
    input:
        "book/_build/html/index.html",
    output:
        "book/_build/featrack.zip",
    shell:
        "python -m featrack_utils.pipeline.book book --archive {output}"


rule book:
    input:
        [executed(page) for page in PHASES],
        "_config.yml",
        TOC,
        sorted(map(str, Path("book").glob("*.md"))),
        "book/references.bib",
        # The explorer's data, a folder lower, are put there by this very rule.
        sorted(str(p) for at in STATIC for p in Path(at).glob("*") if p.is_file()),
    output:
        "book/_build/html/index.html",
    params:
        profile=PROFILE.name,
        pages=" ".join(PHASES),
        toc=str(RUN / "_toc.yml"),
    shell:
        # Forked, like the phases, it ends with this process, however that ends.
        "python -IS featrack_utils/pipeline/forkserver.py -m featrack_utils.pipeline.book"
        " book --run {RUN} --phases {params.pages} --toc {params.toc:q} > /dev/null"
