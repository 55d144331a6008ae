"""Where this process works and how fast: read from the environment, in this one place.

Every field of `Runtime` has a variable, R1VL_ROOT, R1VL_NUM_PROCESSES, R1VL_DEVICE and so on. They reach a flow run from the
worker that runs it, or from `job_variables.env` of its deployment or work pool, so that a machine is chosen without touching code.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from r1vl_core.config import Runtime
from r1vl_core.config.mistakes import explain

HOME = Path(__file__).resolve().parents[1]
"""The checkout (or site-packages) this code runs from."""


def runtime_from(environment: Mapping[str, str] = os.environ, root: Path | None = None) -> Runtime:
    """The runtime that the variables R1VL_<FIELD> describe, with `root` over R1VL_ROOT; the root made absolute.

    Raises ValueError naming the variable, or the root where it is a file.

    >>> runtime_from({"R1VL_NUM_PROCESSES": "4", "R1VL_ROOT": "/r"}).num_processes
    4
    """
    given = {name: environment[variable] for name, variable in _variables().items() if environment.get(variable)}
    if root is not None:
        given["root"] = str(root)
    try:
        runtime = Runtime.model_validate(given)
    except ValidationError as error:
        lines = [f"{_variables()[str(each['loc'][0])]}={each['input']:.80}: {explain(each)}" for each in error.errors()]
        raise ValueError("; ".join(lines)) from None
    return runtime.model_copy(update={"root": _folder(runtime.root.expanduser().resolve())})


def _folder(root: Path) -> Path:
    """The root itself. Raises ValueError where it cannot become a folder, because a file is in its place or in its way."""
    there = next(path for path in (root, *root.parents) if path.exists())
    if not there.is_dir():
        raise ValueError(f"the root {root}: {there} is a file, not a folder; give another with --root or R1VL_ROOT")
    return root


def _variables() -> dict[str, str]:
    return {name: f"R1VL_{name.upper()}" for name in Runtime.model_fields}


def ready_root(root: Path) -> Path:
    """Make the folder all state lives in, and see that it can be written. Raises ValueError naming it and the cure."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe = root / f".write-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ValueError(f"cannot write to the root {root}: {error.strerror}; give another with --root or R1VL_ROOT") from None
    return root
