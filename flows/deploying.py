"""Deployments, as a prefect.yaml lists them, brought to a Prefect server."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from flows.prefect_api import PrefectApi
from flows.processes import DidNotStart
from flows.runtime import HOME

DEPLOYMENTS = HOME / "infra" / "prefect.yaml"


def digest_of(deployments: Path) -> str:
    """A digest of what would be deployed. Raises ValueError when there is no such file."""
    if not deployments.is_file():  # a wheel holds the packages, not infra/
        raise ValueError(f"{deployments}: no such file; deployments need a checkout of r1vl (pip install -e .), `r1vl run` does without")
    return hashlib.sha256(deployments.read_bytes() + str(HOME).encode()).hexdigest()


def deploy(api: PrefectApi, deployments: Path, env: Mapping[str, str], log: Path) -> None:
    """Make the pools that the file names and deploy all of it. Raises DidNotStart naming the log when Prefect refuses."""
    for pool in pools_named_in(deployments):
        ensure_pool(api, pool)
    command = [sys.executable, "-m", "prefect", "deploy", "--all", "--prefect-file", str(deployments)]
    done = subprocess.run(command, cwd=HOME, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    log.write_text(done.stdout + done.stderr)
    if done.returncode != 0:
        raise DidNotStart(f"`prefect deploy` of {deployments} failed; its output: {log}")


def names_in(deployments: Path) -> list[str]:
    """The deployments that a prefect.yaml lists, in its order."""
    return [str(each["name"]) for each in yaml.safe_load(deployments.read_text())["deployments"]]


def pools_named_in(deployments: Path) -> list[str]:
    """The work pools that a prefect.yaml mentions."""
    table = yaml.safe_load(deployments.read_text())
    return sorted({each["work_pool"]["name"] for each in table["deployments"]})


def ensure_pool(api: PrefectApi, pool: str) -> None:
    """A pool nobody made is a pool of local processes; make one of another type with `prefect work-pool create` first."""
    if not api.pool_exists(pool):
        api.create_process_pool(pool)
