# One papermill run per phase. A phase's only declared output is its executed notebook, written
# last: the artefacts it makes look after themselves (featrack_utils.pipeline.store), so that a killed
# or failed phase loses nothing that was finished.
import dataclasses
import json
import sys
from pathlib import Path

from featrack_utils.pipeline.config import MODELS
from featrack_utils.corpora.files import matched_files
from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline.forkserver import start
from featrack_utils.pipeline.profiles import load_profile

OVERRIDES = dict(config)
try:
    PROFILE = load_profile(Path("profiles") / f"{OVERRIDES.pop('profile', 'quick')}.yaml", OVERRIDES)
    # The reader's own files are looked up at once, not when the first phase has started.
    TEXTS = [
        str(path)
        for domain, source in PROFILE.corpora.sources_of.items()
        if source["kind"] == "files"
        for path in matched_files(domain, source["globs"])
    ]
except FeatrackError as error:
    sys.exit(f"featrack: {error}")

TOC = "book/_toc.yml"
RUN = Path("runs") / PROFILE.name
COMMON = {
    "run_dir": str(RUN),
    "seed": PROFILE.seed,
    "precision": PROFILE.precision,
    "context": PROFILE.corpora.context,
}
SEEDS = {"root_seeds": PROFILE.sae.root_seeds, "other_seeds": PROFILE.sae.other_seeds}
CODE = sorted(str(path) for path in Path("featrack_utils").rglob("*.py"))
# One kernel for each model's dictionaries; the page shows the very first, by itself.
SAES = {"sae": ("base", [0])}
SAES |= {
    f"sae-{model}": (model, [s for s in PROFILE.sae.seeds(model) if (model, s) != ("base", 0)])
    for model in MODELS
}

STATIC = ("book/_static", "book/_static/explorer")


def executed(page):
    return str(RUN / "executed" / f"{page}.ipynb")


def section(name, without=()):
    values = dataclasses.asdict(getattr(PROFILE, name))
    return {key: value for key, value in values.items() if key not in without}


def common(*names):
    return {name: COMMON[name] for name in ("run_dir", *names)}


def tracking(*names):
    return {name: getattr(PROFILE.tracking, name) for name in names}


def arms(*names):
    return {name: getattr(PROFILE.arms, name) for name in names}


DICTIONARY = (
    common("precision", "context")
    | section("sae", without=SEEDS)
    | tracking("evaluation_blocks")
)
SWEEP = {f"sweep-{name}": (name, sae) for name, sae in PROFILE.swept().items()}
SWEPT = {
    "sweep": [name for name, _ in SWEEP.values()],
    "all_pairs": PROFILE.robustness.all_pairs,
}
TRAININGS = PROFILE.published.training
PUBLISHED_PAGE = ["sweep-published"] if TRAININGS else []
CRITERIA = SEEDS | tracking("tau", "min_positions", "min_documents")
DRAWS = {"interval_draws": min(40, PROFILE.tracking.replicates)}
PROBES = ("evaluation_blocks", "probed_features")

VERDICT = common("seed", "context") | tracking("tau", "rule", "min_positions", "min_documents")

FIRST = (
    "merge", "sae", "arms",
    "ceilings", "repartitioned", "robustness", "published", "map", "interpretation",
)  # fmt: skip
MET = ["case-study", "changes", "explorer", "live"]
CHECKS = ["repartitioned", "dose", "calibration", "robustness", "published", *MET]

# page: (notebook, parameters, pages it needs, threads)
PHASES = {
    "corpora": (
        "corpora",
        common("seed") | section("corpora") | {"models": PROFILE.models},
        [],
        2,
    ),
    "base": ("base", common("seed", "precision", "context") | section("base"), ["corpora"], 2),
    "finetune": (
        "finetune",
        common("seed", "precision", "context") | section("finetune") | arms("doses", "dosed"),
        ["base"],
        2,
    ),
    "merge": ("merge", common("seed", "context") | section("merge"), ["finetune"], 1),
    **{
        page: (
            "sae",
            DICTIONARY | {"model": model, "sae_seeds": seeds},
            ["merge" if model == "merged" else "finetune"],
            1,
        )
        for page, (model, seeds) in SAES.items()
    },
    # A second base model is trained with both cores, as the first one is.
    "arms": (
        "arms",
        DICTIONARY | section("arms"),
        ["sae"],
        2 if PROFILE.arms.lm_seed else 1,
    ),
    "dictionaries": ("dictionaries", common() | CRITERIA, list(SAES), 1),
    "tracking": (
        "tracking",
        common() | CRITERIA | tracking("rule"),
        list(SAES),
        1,
    ),
    "ceilings": (
        "ceilings",
        common("seed") | CRITERIA | tracking("rule", "replicates"),
        ["tracking", "dictionaries"],
        1,
    ),
    "repartitioned": (
        "repartitioned",
        common("seed", "context") | CRITERIA | tracking("replicates", *PROBES),
        ["ceilings"],
        1,
    ),
    "dose": (
        "dose",
        common("seed")
        | {"root_seeds": PROFILE.sae.root_seeds}
        | tracking("tau", "rule", "min_positions", "min_documents", "replicates")
        | section("arms"),
        ["arms", *SAES],
        1,
    ),
    "calibration": (
        "calibration",
        common("seed") | tracking("tau", "calibration_sets", "calibration_features"),
        ["tracking"],
        1,
    ),
    **{
        page: (
            "sweep",
            DICTIONARY
            | {key: getattr(sae, key) for key in section("sae", without=SEEDS)}
            | {"variant": name, "all_pairs": PROFILE.robustness.all_pairs},
            ["merge"],
            1,
        )
        for page, (name, sae) in SWEEP.items()
    },
    **{
        page: ("sweep", DICTIONARY | {"published": TRAININGS}, ["merge"], 1)
        for page in PUBLISHED_PAGE
    },
    "robustness": (
        "robustness",
        common("seed") | CRITERIA | DRAWS | SWEPT,
        ["tracking", *SWEEP],
        1,
    ),
    "published": (
        "published",
        common("seed") | CRITERIA | DRAWS | {"trainings": TRAININGS},
        ["tracking", *PUBLISHED_PAGE],
        1,
    ),
    "case-study": (
        "case-study",
        common("context") | SEEDS | tracking("min_positions", "min_documents"),
        ["tracking"],
        1,
    ),
    "changes": (
        "changes",
        common("seed", "context") | CRITERIA | tracking("replicates") | arms("dosed"),
        ["tracking", "arms"],
        1,
    ),
    "interpretation": (
        "interpretation",
        common("seed", "context")
        | tracking("tau", "min_positions", "min_documents", "replicates")
        | section("interpretation"),
        ["tracking"],
        1,
    ),
    "map": ("map", VERDICT, ["tracking"], 1),
    "explorer": ("explorer", VERDICT, ["map", "interpretation"], 1),
    "live": (
        "live",
        common("seed", "context")
        | tracking("tau", "rule", "min_positions", "min_documents", "evaluation_blocks"),
        list(SAES),
        1,
    ),
    "intro": ("intro", common(), CHECKS, 1),
    "status": ("status", common() | {"toc": TOC}, ["intro"], 1),
}


# The name holds the server's stdin, which ends the server when this process ends.
onstart:
    global FORKSERVER
    FORKSERVER = start(max(cores for *_, cores in PHASES.values()))


rule all:
    input:
        "book/_build/html/index.html",


for page, (notebook, parameters, needs, cores) in PHASES.items():

    rule:
        name:
            page
        input:
            f"notebooks/{notebook}.py",
            [executed(need) for need in needs],
            CODE,
            TEXTS if page == "corpora" else [],
            TOC if page == "status" else [],
            "benchmarks/coverage.json" if page == "calibration" else [],
        output:
            executed(page),
        params:
            notebook=notebook,
            # A function, because Snakemake would fill in the braces of a plain string.
            parameters=lambda wildcards, given=json.dumps(parameters): given,
        threads: cores
        # The longest of their kind, or one that others wait for: they go first.
        priority: 1 if page in FIRST else 0
        shell:
            # Threads that wait by spinning take the core from those they wait for; beside one busy
            # process, spinning briefly trains four times faster than OpenMP's default, and as
            # fast where nothing else runs.
            "FEATRACK_RUN={RUN} GOMP_SPINCOUNT=10000 OMP_NUM_THREADS={threads} NUMBA_NUM_THREADS={threads}"
            " python -IS featrack_utils/pipeline/forkclient.py -m featrack_utils.run"
            " {params.notebook} {output:q} --json {params.parameters:q}"


rule book:
    input:
        [executed(page) for page in PHASES],
        "_config.yml",
        TOC,
        "book/bibliography.md",
        "book/references.bib",
        # The explorer's data, a folder lower, are put there by this very rule.
        sorted(str(p) for at in STATIC for p in Path(at).glob("*") if p.is_file()),
    output:
        "book/_build/html/index.html",
    params:
        profile=PROFILE.name,
    shell:
        "python -m featrack_utils.pipeline.book {RUN} book"
        " && jupyter-book build book --config _config.yml --path-output book -W -q"
