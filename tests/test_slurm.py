"""A job of SLURM: the script for it, with stand-ins for ``srun`` and ``scontrol`` and real signals."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from metanas_pl.cli import app
from metanas_pl.cli.train import run
from tests.runs import (
    HANGS_S,
    TELL_SLOWLY,
    assert_same_training,
    compose,
    environment,
    load,
    tiny,
)

JOB = "4242"
# Two nodes of one process each; the signal of SLURM goes to the processes, not to srun.
SRUN = f"""\
    #!{sys.executable}
    import os, subprocess, sys
    job = {{"SLURM_NTASKS": "2", "SLURM_NODELIST": "127.0.0.1", "SLURM_LOCALID": "0"}}
    tasks = [
        subprocess.Popen(sys.argv[1:], env={{**os.environ, **job, "SLURM_PROCID": r, "SLURM_NODEID": r}})
        for r in "01"
    ]
    open("pids", "w").write(" ".join(str(task.pid) for task in tasks))
    codes = [task.wait() for task in tasks]
    sys.exit(max(128 - code if code < 0 else code for code in codes))
"""
SCONTROL = """\
    #!/bin/sh
    echo "$@" >> requeued
"""
TRAIN = f"""\
    #!/bin/sh
    exec {sys.executable} -m metanas_pl.train "$@"
"""


def start_slurm_job(folder: Path, options: list[str]) -> subprocess.Popen[str]:
    """What SLURM starts on the first node of a job."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("metanas-train", TRAIN)):
        (programs / name).write_text(textwrap.dedent(text))
        (programs / name).chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    slurm = {"SLURM_JOB_ID": JOB, "SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "1"}
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        ["bash", str(Path(app.CONFIG_DIR) / "launch" / "slurm.sbatch"), *options],
        cwd=folder,
        env=environment(**slurm, SLURM_JOB_NAME="metanas", MASTER_PORT=port, PATH=path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.nightly
def test_a_job_is_requeued_and_ends_like_an_undisturbed_run(images: Path, tmp_path: Path) -> None:
    options = [*tiny(images), "data.n_train_episodes=20"]
    options += ["trainer.max_steps=20", "trainer.precision=64-true"]
    options += ["meta.outer.optimizer=sgd", "meta.outer.weight_lr=0.05"]
    # With it this small search is chaotic: rounding grew to 9e-7 in 20 steps, without to 2e-11.
    options += ["meta.inner.alpha_weight_decay=0"]
    on_cluster = [*options, "trainer.accelerator=cpu"]
    job = start_slurm_job(tmp_path, [*on_cluster, *TELL_SLOWLY])
    assert any(line.startswith("step 3") for line in job.stdout)
    for pid in (tmp_path / "pids").read_text().split():
        os.kill(int(pid), signal.SIGUSR1)
    error = job.communicate(timeout=HANGS_S)[1]
    assert job.returncode == 0, error[-2000:]
    assert (tmp_path / "requeued").read_text() == f"requeue {JOB}\n"
    last = tmp_path / "outputs" / JOB / "checkpoints" / "last.ckpt"
    assert 3 <= load(last)["global_step"] < 20
    job = start_slurm_job(tmp_path, on_cluster)
    error = job.communicate(timeout=HANGS_S)[1]
    assert job.returncode == 0, error[-2000:]
    assert (tmp_path / "requeued").read_text() == f"requeue {JOB}\n"
    run(compose([*options, f"run_dir={tmp_path / 'undisturbed'}"]))
    assert_same_training(last, tmp_path / "undisturbed" / "checkpoints" / "last.ckpt", 1e-7)
