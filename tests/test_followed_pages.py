"""Pages of docs/ that are followed literally: their files are written, their commands run in order."""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
import yaml

from iclab.models import load
from iclab.studies import open_folder
from iclab.training import Run

ROOT = Path(__file__).parents[1]
STUDY = [*(ROOT / "src/iclab/studies/example").glob("*"), *(ROOT / "examples/penalty").glob("*")]
# Pages, and what their commands must show.
PAGES = {
    "train-your-own": ("train", "evaluate", "exchange", "--processes", "--resume", "--check", "--curve"),
    "studies": ("study new", "study run", "--set", "--profile", "--workers", "--dask", "kill"),
    "along-training": ("--log",),
    "sweeps": ("--over", "--dry-run", "--evaluate", "--beside", "--plot", "--workers", "--dask", "kill"),
}


def blocks(page):
    """Language and content of each fenced block."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", (ROOT / f"docs/{page}.md").read_text(), re.DOTALL | re.MULTILINE)


def named(body):
    """The file that a block is, by its first line."""
    found = re.match(r"# ([\w/]+\.(?:yaml|py))\n", body)
    return found[1] if found else None


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_a_file_commands_an_example_code_of_ours_or_left_to_the_reader(page):
    for language, body in blocks(page):
        if language not in ("sh", "text") and not body.startswith(">>>") and not named(body):
            assert language == "python", body
            assert any(body in path.read_text() for path in STUDY if path.suffix == ".py"), body
    commands = "".join(body for language, body in blocks(page) if language == "sh")
    for word in PAGES[page]:
        assert word in commands


def follow(page, folder):
    """Write the files of a page and run its commands; processes that they leave behind end with the page."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    groups = []
    try:
        for language, body in blocks(page):
            if name := named(body):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(body)
            for command in body.strip().splitlines() if language == "sh" else ():
                with (folder / "stderr").open("w+") as err:
                    shell = ["bash", "-c", command]
                    done = subprocess.Popen(
                        shell, cwd=folder, env=environment, stdout=err, stderr=err, start_new_session=True
                    )
                    groups.append(done.pid)
                    code = done.wait(timeout=1200)
                    said = (folder / "stderr").read_text()
                assert code == 0, f"{command}\n{said}"
                assert "Traceback" not in said, f"{command}\n{said}"
    finally:
        for group in groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)


@pytest.mark.slow
def test_train_your_own(tmp_path):
    follow("train-your-own", tmp_path)
    assert load(tmp_path / "models" / "linear-3").architecture.positions == "rotary"
    assert Run.open(tmp_path / "runs" / "killed").finished
    assert Run.open(tmp_path / "runs" / "two").finished


@pytest.mark.slow
def test_along_training(tmp_path):
    follow("along-training", tmp_path)
    assert len(pd.read_csv(tmp_path / "runs/watched/losses.csv"))
    assert list((tmp_path / "runs/watched/tensorboard").iterdir())


@pytest.mark.slow
def test_studies(tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    follow("studies", tmp_path)
    assert (tmp_path / "attention/results/attention.html").is_file()
    killed, cluster = (pd.read_csv(tmp_path / name / "studies/attention/errors.csv") for name in ("killed", "cluster"))
    pd.testing.assert_frame_equal(killed, cluster, check_exact=True)
    grown = pd.read_csv(tmp_path / "attention/results/studies/attention/at_N.csv")
    assert sorted(set(grown["n_train"])) == [4, 8, 12]
    assert set(grown["n"]) == {200}


@pytest.mark.slow
def test_sweeps(tmp_path):
    follow("sweeps", tmp_path)
    table, clustered = (pd.read_csv(tmp_path / name / "table.csv") for name in ("s", "d"))
    pd.testing.assert_frame_equal(table, clustered, check_exact=True)
    assert len(table.groupby(["n_train", "seed"])) == 6
    assert pd.read_csv(tmp_path / "f/failed.csv")["optimizer.learning_rate"].tolist() == [1e9]
    assert (tmp_path / "s.png").stat().st_size


def test_the_example_study(tmp_path, iclab):
    """Ridge with the noise's variance as penalty is Bayes' rule, so no other penalty may beat it."""
    study = open_folder(ROOT / "examples/penalty")
    for profile in ("smoke", "laptop", "paper"):
        study.settings_of(profile)
    code, _, err = iclab(
        "study", "run", ROOT / "examples/penalty", "--profile", "smoke", "--workers", 1, "--directory", tmp_path / "r"
    )
    assert code == 0, err
    errors = pd.read_csv(tmp_path / "r/studies/penalty/errors.csv")
    assert errors.loc[errors["penalty"] == 1, "excess"].tolist() == [0]
    assert (errors.loc[errors["penalty"] != 1, "excess"] > 0).all()


def test_the_jobs_of_the_queue_are_as_the_page_says():
    """dask-jobqueue takes the file's keys, and asks Slurm for what they say."""
    from dask_jobqueue.slurm import SLURMJob

    content = yaml.safe_load((ROOT / "examples/slurm.yaml").read_text())
    (shown,) = [body for _, body in blocks("sweeps") if named(body) == "slurm.yaml"]
    assert yaml.safe_load(shown) == content
    assert (content.pop("queue"), content.pop("jobs")) == ("slurm", 8)
    job = SLURMJob(scheduler="tcp://127.0.0.1:8786", name="cell", **content)
    script = job.job_script()
    for line in ("--cpus-per-task=8", "--mem=15G", "-t 04:00:00", "-A my_project", "/shared/venv/bin/activate"):
        assert line in script, script
