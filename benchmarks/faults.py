"""What a book survives: kills, a full disk, a read-only folder, a clock that jumps, two at once.

    python -m benchmarks.faults [--kills 30] [--seed 0] [--faults kills disk ...]

A smoke book is made without any fault, in a copy of this checkout. Others are made in further
copies, each with one kind of fault, and are begun again until they are done. What counts at the
end is that `results.json` is the same, digit for digit, that nothing half-written, no process and
no folder of sockets is left, and that whatever could not go on said why in one sentence.

- kills: SIGKILL at random moments, in a part of the time that a phase takes that hasn't been hit
  yet; 30 and more go on until all phases have been. It goes to snakemake and everything that it has
  begun, to snakemake alone, or to one kernel;
- disk: runs/ on a disk of one megabyte that is full again and again, and is made larger each time;
- readonly: runs/, then the whole checkout, on what can't be written to;
- clock: it goes back a day when half of the phases are done; and a source is changed "tomorrow";
- twice: a second run is begun beside the first.

disk and readonly mount things, which only root may; elsewhere they are left out, and that is said.
Everything together takes about half an hour on two cores. The rows of each fault that is tried are
replaced in benchmarks/faults.json, and the exit status says whether all went well.
"""

import argparse
import contextlib
import hashlib
import json
import logging
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline import store
from tests.books import copied, start

log = logging.getLogger("benchmarks.faults")

LOG = Path(__file__).with_suffix(".json")
PATIENCE = 30  # seconds in which every process of a killed run has to be gone
KINDS = ("everything", "everything", "everything", "snakemake", "kernel")
DAY = 24 * 3600
MANY = 30  # kills that are to hit all phases


class Run:
    """A book that is being made, and what it has said so far."""

    def __init__(self, place: Path, *arguments: str) -> None:
        self.begun = time.monotonic()
        self.process = start(place, *arguments)
        self.said: list[str] = []
        self.started: dict[str, float] = {}  # phases, by the seconds after which they began
        self.took: dict[str, float] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.said.append(line.rstrip("\n"))
            if begins := re.match(r"\[[\d:]+\] (\S+) …$", self.said[-1]):
                self.started[begins[1]] = self.seconds
            elif ends := re.match(r"\[[\d:]+\] (\S+): done in ", self.said[-1]):
                self.took[ends[1]] = self.seconds - self.started[ends[1]]

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun

    @property
    def running(self) -> list[str]:
        return sorted(self.started.keys() - self.took.keys())

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        status = self.process.wait()
        self._reader.join(PATIENCE)
        return status

    def refusals(self) -> list[str]:
        """The sentences that are meant for the reader; for one that went well there are none."""
        return [line for line in self.said if "featrack: " in line]

    def raw(self) -> list[str]:
        """What no reader should see."""
        return [line for line in self.said if line.startswith(("Traceback", "OSError"))]


def finished(place: Path, *arguments: str) -> Run:
    """A book made to the end."""
    run = Run(place, *arguments)
    if run.wait() != 0:
        raise RuntimeError("\n".join(run.said))
    return run


def refused(place: Path, *arguments: str) -> dict[str, object]:
    """What a run says that can't go on, and whether that is as it should be."""
    run = Run(place, *arguments)
    status = run.wait()
    said = [line.replace(f"{place.parent}/", "") for line in run.refusals()]
    # Two phases run at once, and both may find the same.
    well = status != 0 and 1 <= len(said) <= 2 and not run.raw()
    if not well:
        log.error("%s", "\n".join(run.said))
    return {"said": said, "running": run.running, "well": well}


def executed(place: Path) -> set[str]:
    """The phases that are done."""
    pages = (place / "runs" / "smoke" / "executed").glob("[!.]*.ipynb")
    return {page.stem for page in pages if not page.stem.endswith(".failed")}


def results(place: Path) -> str:
    return (place / "runs" / "smoke" / "results.json").read_text()


def artefacts(place: Path) -> dict[str, str]:
    """Each artefact's hash of its content, or what is wrong with it."""
    run, found = place / "runs" / "smoke", {}
    for record in sorted(run.rglob("run.json")):
        name = str(record.parent.relative_to(run))
        if not any(part.startswith(".") for part in record.relative_to(run).parts):
            try:
                store.opened(record.parent)
                files = store.read_record(record.parent)["files"]
                # One holds a whole run, whose notebooks and records tell how long it took.
                told = re.compile(r"(.*/)?(executed|times)/.*|.*/run\.json")
                kept = {file: files[file] for file in sorted(files) if not told.fullmatch(file)}
                found[name] = hashlib.sha256(json.dumps(kept).encode()).hexdigest()
            except FeatrackError as error:
                found[name] = str(error)
    return found


def half_written(place: Path) -> list[str]:
    """What a finished book must not leave: working folders, temporary files, failed notebooks."""
    runs, book = place / "runs", place / "book"
    left = [path for path in runs.rglob("*") if path.name.startswith(".")]
    left += [*runs.rglob("*.failed.ipynb"), *runs.rglob("checkpoints"), *book.glob(".*")]
    # The first page only leads on to another.
    pages = (place / page for page in pages_of(place) if not page.endswith("html/index.html"))
    left += [page for page in pages if not page.read_text().rstrip().endswith("</html>")]
    return sorted(str(path.relative_to(place)) for path in left)


def pages_of(place: Path) -> list[str]:
    html = place / "book" / "_build" / "html"
    pages = [*html.glob("*.html"), *html.glob("executed/*.html")]
    return sorted(str(page.relative_to(place)) for page in pages)


def compared(place: Path, plain: Path) -> dict[str, object]:
    """A finished book beside the one that nothing happened to."""
    ours, theirs = artefacts(place), artefacts(plain)
    names = sorted(ours.keys() | theirs.keys())
    return {
        "results_equal": results(place) == results(plain),
        "artefacts": len(names),
        "artefacts_that_differ": [name for name in names if ours.get(name) != theirs.get(name)],
        "pages_equal": pages_of(place) == pages_of(plain),
        "half_written": half_written(place),
    }


def went_well(outcome: dict[str, object]) -> bool:
    equal = outcome["results_equal"] and outcome["pages_equal"]
    return bool(equal) and not outcome["artefacts_that_differ"] and not outcome["half_written"]


def own_processes() -> list[psutil.Process]:
    """All that was begun with our folder of temporary files, this process aside."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            ours = process.environ().get("TMPDIR") == os.environ["TMPDIR"]
            zombie = process.status() == psutil.STATUS_ZOMBIE
            if ours and not zombie and process.pid != os.getpid():
                found.append(process)
    return found


def end_of_all() -> tuple[float, list[str]]:
    """The seconds until no process of a run is left; those that had to be ended, if any."""
    begun = time.monotonic()
    while (left := own_processes()) and time.monotonic() - begun < PATIENCE:
        time.sleep(0.1)
    names = []
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            names.append(" ".join(process.cmdline())[:120])
            process.kill()
    return round(time.monotonic() - begun, 1), names


def temporary_files() -> dict[str, int]:
    """What is left in our folder of temporary files, by the names that differ only by chance."""
    kinds = Counter()
    for path in Path(os.environ["TMPDIR"]).iterdir():
        kinds[re.match(r"(featrack[a-z-]*-|snakemake|torch\w+_|tmp)?", path.name)[0] + "…"] += 1
    return dict(sorted(kinds.items()))


def kernels(family: list[psutil.Process]) -> list[psutil.Process]:
    """Those that listen on a kernel's socket: a fork bears the name of what it was forked from."""
    found = []
    for process in family:
        with contextlib.suppress(psutil.Error):
            names = [str(each.laddr) for each in process.net_connections("unix")]
            if any("/kernel-" in name for name in names):
                found.append(process)
    return found


def kill(run: Run, kind: str, rng: random.Random) -> str:
    """Kills a run, or a part of it; returns what was killed, for there may be no kernel yet."""
    if run.process.poll() is not None:
        return "nothing"
    family = []
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(run.process.pid).children(recursive=True)
    if kind == "kernel" and (candidates := kernels(family)):
        with contextlib.suppress(psutil.NoSuchProcess):
            rng.choice(candidates).kill()
        return kind
    if kind == "snakemake":
        run.process.kill()
        return kind
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.process.pid, signal.SIGKILL)
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    return "everything"


def wait_for_target(run: Run, delays: dict[str, float]) -> str:
    """Until one of some phases has been running for its delay, or has ended before; its name."""
    while run.process.poll() is None:
        for phase, begun in [*run.started.items()]:
            if phase in delays and (phase in run.took or run.seconds - begun >= delays[phase]):
                return phase
        time.sleep(0.02)
    return ""


def try_kills(folder: Path, plain: Path, times: dict, kills: int, rng: random.Random) -> dict:
    """A book that is killed so often, and each time begun again."""
    place, rows, hit, books = fresh(plain, folder), [], set(), []
    while len(rows) < kills or (kills >= MANY and times["took"].keys() - hit):
        kind, early, part = rng.choice(KINDS), rng.random() < 0.1, rng.random()
        targets = times["took"].keys() - executed(place)
        missed = targets - hit
        run = Run(place)
        if len(rows) >= kills and not missed:
            target, delay = "", run.wait()  # to its end: what was missed is in another book
        elif early:  # while snakemake still plans, or at the first phase's beginning
            target, delay = "", part * (times["first"] + 2)
            time.sleep(delay)
        else:
            delays = {p: 0.8 * part * times["took"][p] for p in missed or targets}
            target = wait_for_target(run, delays)
            delay = delays.get(target, 0.0)
        running, after = run.running, run.seconds
        if run.process.poll():  # it failed by itself
            raise RuntimeError("\n".join(run.said))
        row = {"number": len(rows) + 1, "killed": kill(run, kind, rng), "target": target}
        row |= {"delay_s": round(delay, 2), "after_s": round(after, 1), "running": running}
        row |= {"phases_done": len(executed(place))}
        status = run.wait()
        row["gone_after_s"], row["orphans"] = end_of_all()
        if status == 0:  # it was done before the kill: another book has to bear the rest
            books.append(compared(place, plain))
            log.info("Too late: %s: %s", row, books[-1])
            shutil.rmtree(place)
            fresh(plain, folder)
            continue
        row["well"] = not row["orphans"]
        if row["killed"] == "kernel":
            row["said"] = run.refusals()
            row["well"] = row["well"] and len(row["said"]) == 1 and not run.raw()
        hit |= {*running} - executed(place)  # beside a killed kernel, the other phase goes on
        rows.append(row)
        log.info("%s", row)
    last = finished(place)
    _, orphans = end_of_all()
    outcome = compared(place, plain) | {"orphans": orphans, "temporary_files": temporary_files()}
    outcome["said"] = last.refusals()
    outcome["other_books"] = books
    outcome["phases"] = len(times["took"])
    outcome["phases_not_hit"] = sorted(times["took"].keys() - hit)
    outcome["hit_by_more_than_one_kill"] = sum(
        sum(phase in row["running"] for row in rows) > 1 for phase in times["took"]
    )
    sockets = [kind for kind in outcome["temporary_files"] if kind.startswith("featrack")]
    outcome["well"] = all(row["well"] for row in rows) and all(map(went_well, [outcome, *books]))
    outcome["well"] = outcome["well"] and not (orphans or sockets or outcome["said"])
    return {"kills": rows, "kills_outcome": outcome}


@contextlib.contextmanager
def mounted(place: Path, *options: str) -> Iterator[None]:
    """Has something mounted at a place; OSError where that isn't allowed."""
    done = subprocess.run(["mount", *options, place], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"left out, because mounting is not allowed here: {done.stderr.strip()}")
    try:
        yield
    finally:
        end_of_all()
        subprocess.run(["umount", place], check=True)


def remount(place: Path, *options: str) -> None:
    subprocess.run(["mount", "-o", ",".join(["remount", *options]), place], check=True)


def try_disk(folder: Path, plain: Path) -> dict:
    """A book on a disk that is full, is made larger, and is full again, until there is enough."""
    place, rows, size = fresh(plain, folder), [], 1
    runs, known = place / "runs", artefacts(plain)
    runs.mkdir()
    with mounted(runs, "-t", "tmpfs", "-o", f"size={size}m", "featrack-faults"):
        while True:
            run = Run(place)
            if run.wait() == 0:
                break
            found = artefacts(place)
            row = {"megabytes": size, "said": run.refusals(), "running": run.running}
            row["phases_done"] = len(executed(place))
            # A chapter that makes a run of its own has more meanwhile: they have to be whole.
            row["wrong_artefacts"] = [
                name
                for name, content in found.items()
                if content != known.get(name, content) or not re.fullmatch(r"\w{64}", content)
            ]
            row["well"] = 1 <= len(row["said"]) <= 2 and not run.raw()
            row["well"] = row["well"] and all("No space left" in line for line in row["said"])
            row["well"] = row["well"] and not row["wrong_artefacts"]
            if not row["well"]:
                log.error("%s", "\n".join(run.said))
            rows.append(row)
            log.info("%s", row)
            size *= 2
            if size > 4096:
                raise RuntimeError("\n".join(run.said))
            remount(runs, f"size={size}m")
        outcome = compared(place, plain)
    outcome["well"] = bool(rows) and all(row["well"] for row in rows) and went_well(outcome)
    return {"disk": rows, "disk_outcome": outcome | {"megabytes": size}}


def fresh(plain: Path, folder: Path) -> Path:
    """A checkout like the one that the finished book was made in, before it was."""
    return shutil.copytree(plain.parent / "before", folder / "featrack")


def copy_of(plain: Path, folder: Path) -> Path:
    """A copy of the finished book, all that it has made included."""
    return shutil.copytree(plain, folder / "featrack", symlinks=True)


def try_readonly(folder: Path, plain: Path) -> dict:
    """What can't be written to: an empty folder for runs, a run that has a phase to do, all."""
    rows = []
    place = copy_of(plain, folder)
    run = place / "runs" / "smoke"
    for what, where, harm in (
        ("runs/, with a phase to do", place / "runs", (run / "executed" / "tracking.ipynb").unlink),
        ("the whole checkout", place, lambda: None),
        ("the folder of figures", run / "results", lambda: None),
        ("the folder of notebooks", run / "executed", lambda: None),
        ("runs/, with nothing in it", place / "runs", lambda: shutil.rmtree(run)),
    ):
        harm()
        with mounted(where, "--bind", where):
            remount(where, "ro", "bind")
            rows.append({"read_only": what} | refused(place))
            log.info("%s", rows[-1])
            remount(where, "rw", "bind")
        if where == run / "executed":
            finished(place)
            outcome = compared(place, plain)
    outcome["well"] = all(row["well"] for row in rows) and went_well(outcome)
    return {"readonly": rows, "readonly_outcome": outcome}


def try_clock(folder: Path, plain: Path, times: dict) -> dict:
    """A clock that goes back a day: all that is done, and one source, are of tomorrow."""
    place = copy_of(plain, folder)
    run = place / "runs" / "smoke"
    order = [*times["took"]]
    later = order[order.index("tracking") + 1 :]
    for phase in later:
        (run / "executed" / f"{phase}.ipynb").unlink(missing_ok=True)
    for path in [*run.rglob("*"), *(place / "book" / "_build").rglob("*")]:
        if path.is_file():
            when = path.stat().st_mtime + DAY
            os.utime(path, (when, when))
    first = finished(place)
    again = finished(place)
    (source,) = (place / "notebooks").glob("*-machines.py")  # needed by few
    source.write_text(source.read_text() + "\n# changed tomorrow\n")
    os.utime(source, (time.time() + DAY, time.time() + DAY))
    third = finished(place)
    fourth = finished(place)
    outcome = {
        "made": sorted(first.took),
        "asked_for": sorted({*later} & set(order)),
        "made_by_the_next": sorted(again.took),
        "made_for_a_source_changed_tomorrow": sorted(third.took),
        "made_by_the_one_after": sorted(fourth.took),
    } | compared(place, plain)
    outcome["well"] = went_well(outcome) and not again.took and not fourth.took
    outcome["well"] = outcome["well"] and {*first.took} == {*later} and "machines" in third.took
    return {"clock_outcome": outcome}


def try_twice(folder: Path, plain: Path) -> dict:
    """A second run beside the first."""
    place = fresh(plain, folder)
    first = Run(place)
    while not first.started:
        time.sleep(0.1)
    outcome = refused(place)
    kill(first, "everything", random.Random(0))
    first.wait()
    outcome["well"] = outcome["well"] and f"process {first.process.pid}" in outcome["said"][0]
    return {"twice_outcome": outcome}


def plain_book(folder: Path) -> tuple[Path, dict]:
    """A book that nothing happens to, and how long its phases took; kept, if it is there."""
    kept, place = folder / "times.json", folder / "featrack"
    if not kept.exists():
        shutil.rmtree(folder, ignore_errors=True)
        # The checkout may change while this runs: all books are made from one state of it.
        shutil.copytree(copied(folder), folder / "before")
        run = finished(place)
        times = {"seconds": round(run.seconds, 1), "first": min(run.started.values())}
        times["took"] = {phase: run.took[phase] for phase in run.started}
        kept.write_text(json.dumps(times, indent=1))
    return place, json.loads(kept.read_text())


def main(arguments: argparse.Namespace) -> int:
    trials = {
        "kills": lambda at: try_kills(
            at, plain, times, arguments.kills, random.Random(arguments.seed)
        ),
        "disk": lambda at: try_disk(at, plain),
        "readonly": lambda at: try_readonly(at, plain),
        "clock": lambda at: try_clock(at, plain, times),
        "twice": lambda at: try_twice(at, plain),
    }
    record = json.loads(LOG.read_text()) if LOG.exists() else {}
    well = True
    with contextlib.ExitStack() as stack:
        scratch = tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True)
        folder = arguments.folder or Path(stack.enter_context(scratch))
        temporary = folder / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary.resolve())
        plain, times = plain_book(folder / "plain")
        log.info("A book takes %s s here; its phases: %s", times["seconds"], [*times["took"]])
        record["machine"] = f"{platform.machine()}, {os.cpu_count()} cores"
        record["uninterrupted_s"] = times["seconds"]
        for name in arguments.faults or trials:
            at = folder / name
            shutil.rmtree(at, ignore_errors=True)
            begun = time.monotonic()
            try:
                found = trials[name](at)
            except OSError as error:
                found = {f"{name}_outcome": {"well": None, "said": str(error)}}
            outcome = found[f"{name}_outcome"]
            outcome["seconds"] = round(time.monotonic() - begun)
            if name == "kills":
                outcome["seed"] = arguments.seed
            log.info("%s: %s", name, outcome)
            well &= outcome["well"] is not False
            record |= found
            LOG.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0 if well else 1


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", nargs="+", help="these alone; all if none is named")
    parser.add_argument("--folder", type=Path, help="where the books are made, and stay")
    sys.exit(main(parser.parse_args()))
