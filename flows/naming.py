"""What a flow run is called: by its parameters, so that people find it again in Prefect, in MLflow and with `r1vl watch`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.choosing import choose

_LONGEST = 60
"""Characters of a name that say what is changed; all of it stands among the run's parameters."""


def flow_run_name() -> str:
    """The name of the flow run under way; Prefect asks for it when the run begins."""
    from prefect.runtime import flow_run  # who submits a run names it as well, and needs nothing of Prefect

    return run_name(flow_run.parameters)


def run_name(parameters: Mapping[str, Any]) -> str:
    """The name of a run with these parameters of the flow; without the seed where the preset is none that can be read.

    >>> run_name({"preset": "tiny", "until": "warmup", "overrides": {"warmup.num_epochs": 2}})
    'tiny seed 0: until warmup, warmup.num_epochs=2'
    """
    preset, overrides = str(parameters["preset"]), parameters.get("overrides") or {}
    try:
        seed = f" seed {choose(preset, overrides, parameters.get('seed')).seed}"
    except ValueError:  # the run itself says what is wrong with it
        seed = ""
    parts = [f"until {parameters['until']}"] if parameters.get("until") else []
    parts += [f"{name}={value}" for name, value in overrides.items()]
    parts += ["forced"] if parameters.get("force") else []
    rest = f": {', '.join(parts)}" if parts else ""
    return f"{Path(preset).name.removesuffix('.toml')}{seed}{rest if len(rest) <= _LONGEST else rest[: _LONGEST - 1] + '…'}"
