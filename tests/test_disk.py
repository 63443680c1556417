"""What a full or read-only disk makes of a run is one sentence; files of tomorrow do no harm."""

import errno
import json
import os
import subprocess
import time
from types import SimpleNamespace

import pytest

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline import forkserver, store
from tests.books import ROOT

# A chapter that meets a full disk: /dev/full takes nothing, as such a disk.
CHAPTER = """\
# %% tags=["parameters"]
steps = 3
# %%
with open("/dev/full", "w") as file:
    file.write("a")
"""


@pytest.fixture
def disks(monkeypatch, tmp_path):
    """Sets how many bytes are free in a run and where temporary files go."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(store.tempfile, "gettempdir", lambda: str(temporary))

    def free(run: int, other: int) -> None:
        given = {tmp_path: run, temporary: other}
        monkeypatch.setattr(store.shutil, "disk_usage", lambda at: SimpleNamespace(free=given[at]))

    free(2**30, 2**30)
    return free


@pytest.mark.parametrize(
    "said",
    [
        "[Errno 28] No space left on device: 'runs/x'",
        'Error while serializing: IoError(Os { code: 28, message: "No space left on device" })',
        "[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device",
        os.strerror(errno.EDQUOT),
    ],
)
def test_each_librarys_words_for_a_full_disk_are_understood(disks, tmp_path, said):
    sentence = store.sentence_if_full(said, tmp_path)
    assert "takes no more (" in sentence and "make room there and run `make book`" in sentence


def test_the_fuller_of_two_disks_is_named(disks, tmp_path):
    disks(0, 2**30)
    assert store.sentence_if_full("No space left on device", tmp_path).startswith(f"{tmp_path}/ ")
    disks(2**30, 0)
    assert "/temporary/ takes" in store.sentence_if_full("No space left on device", tmp_path)


def test_a_library_that_does_not_say_so_met_a_full_disk_if_nothing_is_free(disks, tmp_path):
    said = "100 requested and 20 written"
    assert store.sentence_if_full(said, tmp_path / "not" / "made" / "yet") is None
    disks(4096, 2**30)
    assert "No space left" in store.sentence_if_full(said, tmp_path)


def test_what_is_on_a_read_only_disk_is_named(disks, tmp_path):
    sentence = store.sentence_if_full("[Errno 30] Read-only file system: 'runs/a.json'", tmp_path)
    assert sentence.startswith("runs/a.json is on a read-only disk; make it writable")


def test_a_folder_that_cant_be_written_to_is_named_even_if_it_is_not_there_yet(
    tmp_path, monkeypatch
):
    store.require_writable(tmp_path, tmp_path / "not" / "yet")
    shut = tmp_path / "shut"
    shut.mkdir()
    # Root may write wherever the disk allows it, so that no mode of a folder would do.
    monkeypatch.setattr(store.os, "access", lambda folder, mode: folder != shut)
    with pytest.raises(FeatrackError, match=f"^{shut}/ can't be written to; make it writable"):
        store.require_writable(tmp_path, shut / "not" / "yet")


def test_a_chapter_that_meets_a_full_disk_says_so_and_leaves_no_working_file(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "page.py").write_text(CHAPTER)
    done = subprocess.run(
        [*forkserver.PYTHON, "-m", "featrack_utils.run", "page", "made/page.ipynb"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "FEATRACK_RUN": str(tmp_path / "run")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert said.startswith("featrack: ") and "takes no more (No space left on device)" in said
    # The whole traceback is kept, in a notebook that the next run may overwrite.
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["page.failed.ipynb"]
    assert json.loads((tmp_path / "made" / "page.failed.ipynb").read_text())["cells"]


def test_files_of_tomorrow_are_dated_as_of_now_in_their_order(tmp_path):
    now = time.time()
    dates = {"old": -5000, "late": 9000, "later": 90000, "as-late": 9000}
    for name, ahead in dates.items():
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (now + ahead, now + ahead))
    files = [tmp_path / name for name in (*dates, "missing", "old")]
    assert store.date_back(files) == sorted(tmp_path / n for n in ("late", "later", "as-late"))
    found = {name: (tmp_path / name).stat().st_mtime for name in dates}
    assert found["old"] == pytest.approx(now - 5000, abs=0.01)
    assert now - 1 < found["late"] == found["as-late"] < found["later"] <= time.time()
    assert store.date_back(files) == []
