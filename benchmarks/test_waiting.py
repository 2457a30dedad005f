"""What a user waits for: the first word of a verb, the first picture of the report, the checks of the paper.

Run on an otherwise idle machine: ``pytest benchmarks/test_waiting.py -n 0 -s``.
"""

import os
import resource
import subprocess
import sys
import time

import pytest

MODEL = "linear-columns-d20-identity"
# Verbs that load torch.
VERBS = {
    "train": ("train", "tiny", "--set", "steps=20", "--directory", "run"),
    "evaluate": ("evaluate", MODEL, "--suite", "standard", "--prompts", "50"),
    "sweep": ("sweep", "tiny", "--over", "seed=0..1", "--set", "steps=20", "--directory", "sweep"),
    "study": ("study", "run", "figure1", "--profile", "smoke", "--directory", "study"),
    "inspect": ("inspect", MODEL, "--directory", "inspect"),
}
FIRST_WORD, FIRST_PICTURE, SMOKE, VERIFY = 2.5, 60, 90, 15


def begin(folder, *arguments):
    """The command, what it says in one stream, and when it began."""
    usual = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "MKL_", "OPENBLAS_"))}
    command = [sys.executable, "-m", "iclab", *arguments]
    run = subprocess.Popen(command, cwd=folder, env=usual, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return run, time.perf_counter()


def end(run):
    run.terminate()
    run.communicate()


@pytest.mark.parametrize("verb", VERBS)
def test_the_first_word(verb, tmp_path):
    run, began = begin(tmp_path, *VERBS[verb])
    word = run.stdout.read(1)
    seconds = time.perf_counter() - began
    rest = run.stdout.readline()
    end(run)
    print(f"{verb}: {seconds:.1f} s, {(word + rest).decode().strip()[:60]!r}")
    assert not (word + rest).startswith(b"iclab: ")
    assert seconds < FIRST_WORD


def test_the_first_picture(tmp_path):
    run, began = begin(tmp_path, "reproduce", "--directory", "out")
    while not (found := list(tmp_path.rglob("[!.]*.svg"))) and run.poll() is None:
        time.sleep(0.1)
    seconds = time.perf_counter() - began
    end(run)
    print(f"first picture of the report: {seconds:.0f} s, {[path.name for path in found][:1]}")
    assert found
    assert seconds < FIRST_PICTURE


def test_the_paper_at_smoke_size(tmp_path):
    run, began = begin(tmp_path, "reproduce", "--profile", "smoke", "--directory", "out")
    run.communicate()
    seconds = time.perf_counter() - began
    print(f"smoke profile: {seconds:.0f} s")
    assert run.returncode == 0
    assert seconds < SMOKE


def test_the_claims(tmp_path):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run, _ = begin(tmp_path, "verify")
    run.communicate()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"verify: {seconds:.1f} CPU s")
    assert run.returncode == 0
    assert seconds < VERIFY
