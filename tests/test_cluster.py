"""Phases as jobs of a cluster: the profiles are complete, and what they submit is a whole job."""

import os
import subprocess

import pytest
import yaml

from featrack_utils.pipeline import forkserver
from tests.books import ROOT

CLUSTER = ROOT / "profiles" / "cluster"


# `processes` runs phases in test_pipeline.
@pytest.mark.parametrize("profile", ["slurm", "kubernetes"])
def test_a_profile_plans_the_whole_book(profile):
    # Slurm's plugin isn't in the environment: what it would be asked to run is the same.
    executor = ["--executor", "dryrun"] if profile == "slurm" else []
    config = ["profile=smoke", "tracking={block_positions: 5000}"]
    command = ["-n", "--profile", CLUSTER / profile, *executor, "--config", *config]
    command = [*forkserver.PYTHON, "-m", "snakemake", *map(str, command), "name=planned"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    planned = done.stdout + done.stderr
    phases = ("corpora", "sae-merged", "sums/base-0_lua-1_2.done", "tracking", "status", "book")
    assert all(name in planned for name in phases)


@pytest.fixture
def kubectl(tmp_path, monkeypatch):
    """Sets what `kubectl` prints; gives the file that keeps what it was asked."""
    stub, asked = tmp_path / "kubectl", tmp_path / "asked"

    def answers(text):
        stub.write_text(f'#!/bin/sh\necho "$@" > {asked}.arguments\ncat > {asked}\necho "{text}"\n')
        stub.chmod(0o755)
        return asked

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return answers


def script(name, *arguments):
    command = [CLUSTER / "kubernetes" / name, *map(str, arguments)]
    return subprocess.run(command, input="", capture_output=True, text=True, check=False, cwd=ROOT)


def test_a_job_for_kubernetes_sees_the_checkout_where_it_lies_here(kubectl, monkeypatch):
    asked = kubectl("job.batch/featrack-x7k2p")
    monkeypatch.setenv("FEATRACK_CLAIM", "books")
    monkeypatch.setenv("FEATRACK_IMAGE", "python:3.11")
    assert script("submit", 2, 8000, 1, "job.sh").stdout == "job.batch/featrack-x7k2p\n"
    pod = yaml.safe_load(asked.read_text())["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == ["bash", "job.sh"] and container["workingDir"] == str(ROOT)
    assert container["volumeMounts"] == [{"name": "checkout", "mountPath": str(ROOT)}]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "books"
    wanted = {"requests": {"cpu": 2, "memory": "8000Mi"}}
    wanted["limits"] = {"memory": "8000Mi", "nvidia.com/gpu": 1}
    assert container["resources"] == wanted and container["image"] == "python:3.11"


def test_without_a_claim_nothing_is_submitted(kubectl, monkeypatch):
    asked = kubectl("")
    monkeypatch.delenv("FEATRACK_CLAIM", raising=False)
    refused = script("submit", 1, 100, 0, "job.sh")
    assert refused.returncode != 0 and "name the claim" in refused.stderr and not asked.exists()


@pytest.mark.parametrize("counts", [("1/", "success"), ("/", "running"), ("/1", "failed")])
def test_a_jobs_state_is_one_word(counts, kubectl):
    kubectl(counts[0])
    assert script("status", "job.batch/x").stdout == f"{counts[1]}\n"
