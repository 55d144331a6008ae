"""The flow: which stages, in which order. What a stage does is `tasks`' affair, where it runs `infra`'s."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas import State

from flows.naming import flow_run_name
from flows.ordering import Order, run_pipeline
from r1vl_core.config import StageName


@flow(name="r1vl", flow_run_name=flow_run_name, persist_result=False)
def r1vl(
    preset: str = "tiny",
    overrides: dict[str, Any] | None = None,
    force: bool = False,
    seed: int | None = None,
    until: StageName | None = None,
    place: dict[StageName, str] | None = None,
) -> State[Any]:
    """From raw records to an evaluated policy. What is up to date is reused, what is missing or changed is built.

    Args:
        preset: A bundled preset (tiny, r1vl-2b, r1vl-7b) or the path of a .toml file on the machine that runs the flow.
        overrides: Settings laid over the preset, by dotted name, for example {"stepgrpo.alpha": 0.2}.
        force: Rebuild the stage named in "until" although it is up to date; with no such stage, rebuild every stage.
        seed: Seed of the data's order, of sampling and of every initial state; empty means the preset's.
        until: The stage to bring up to date, with all it stands on; empty means the whole pipeline.
        place: Stages that other deployments run, for example {"stepgrpo": "r1vl/stepgrpo"} with that deployment on a GPU pool.
    """
    from tasks.registry import STAGES

    return run_pipeline(
        STAGES, Order(preset, overrides or {}, force, seed, until, {str(stage): name for stage, name in (place or {}).items()})
    )
