"""Bringing stages up to date: what is there is reused, what is missing or changed is built, each once.

A stage is a function from its settings and its input artifacts to a folder. This module knows nothing of any one of them, nor of
Prefect: a flow that wraps each stage in a task of its own calls `run_stage`; `bring_up_to_date` walks the whole graph.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from r1vl_core.config import Preset, Runtime
from r1vl_core.report import Report
from tasks.curve import Curve
from tasks.files import BrokenArtifact
from tasks.inputs import DIGESTS, DigestCache, Inputs
from tasks.mending import discard
from tasks.recipe import Recipe
from tasks.shards import Engine, processes
from tasks.store import Artifact, Store, StoreError
from tasks.tracked_run import TrackedRun
from tasks.tracking import Tracker
from tasks.vitals import watched


@dataclass(frozen=True)
class Build:
    """What a stage builds from: settings, input artifacts by stage, and where to put things.

    `out` is the empty folder that becomes the artifact; `work` is scratch that outlives a killed build of the same recipe, for
    checkpoints to resume from. `log` takes a line for people (`tasks.launch.WARNING` begins one that must be heard), `on_report` the state
    of a training loop. `root` is where the store lies, and caches with it. Work cut into shards goes through the `engine`:
    `with job.engine(job.runtime) as map_shards`.
    """

    preset: Preset
    runtime: Runtime
    inputs: Mapping[str, Artifact]
    recipe: Recipe
    out: Path
    work: Path
    log: Callable[[str], None]
    on_report: Callable[[Report], None]
    root: Path
    engine: Engine = processes


@dataclass(frozen=True)
class Stage:
    """A kind of stage: the stages it reads, the recipe it has, and how it is built.

    `build` may return notes, plain values kept with the artifact. Four of them mean something: "content" (see `Store.put`),
    "metrics" (numbers that sum the stage up), "files" (names of small files to copy to MLflow) and "checkpoint" (name of the
    folder that holds a model; "." for the whole artifact). `wanted` says whether a preset has this stage at all. `looks` are the cheap
    ones at the user's own files that need nothing built: each raises ValueError for what the stage would refuse later.

    >>> STAGE = Stage("curate", ("world",), recipe, build)  # doctest: +SKIP
    """

    name: str
    inputs: tuple[str, ...]
    recipe: Callable[[Preset, Inputs], Recipe]
    build: Callable[[Build], Mapping[str, Any] | None]
    wanted: Callable[[Preset], bool] = lambda preset: True
    looks: Callable[[Preset], Iterable[Callable[[], object]]] = lambda preset: ()


@dataclass(frozen=True)
class StageResult:
    """A stage that is up to date: built just now or reused, in how many seconds, and what it came to.

    `mlflow_run_id` is the run that made the artifact ("spooled:…" while MLflow has not been told, see `Tracker.resolve`).
    """

    stage: str
    state: Literal["built", "cached"]
    seconds: float
    key: str
    digest: str
    artifact: Artifact
    mlflow_run_id: str | None


@dataclass(frozen=True)
class StageEvent:
    """Something a person may want to see while stages run; `report` and `result` go with the kinds of their names.

    >>> StageEvent("curate", "log", "3 records rejected").kind
    'log'
    """

    stage: str
    kind: Literal["waiting", "building", "log", "report", "built", "cached"]
    text: str = ""
    report: Report | None = None
    result: StageResult | None = None


OnEvent = Callable[[StageEvent], None]


def in_order(stages: Mapping[str, Stage], until: str, preset: Preset) -> tuple[Stage, ...]:
    """The stages that `until` stands on, and itself, each after its inputs. Raises ValueError for a name nobody knows."""
    if until not in stages:
        raise ValueError(f"stage {until!r}: no such stage; there are {', '.join(stages)}")
    if not stages[until].wanted(preset):
        raise ValueError(f"stage {until!r}: preset {preset.name} leaves it out; name another stage, or give the preset [{until}]")
    ordered: dict[str, Stage] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"stages in a circle: {' -> '.join((*above, name))}"
        for below in inputs_of(stages[name], stages, preset):
            visit(below, (*above, name))
        ordered.setdefault(name, stages[name])

    visit(until, ())
    return tuple(ordered.values())


def inputs_of(stage: Stage, stages: Mapping[str, Stage], preset: Preset) -> tuple[str, ...]:
    """The stages whose artifacts this stage reads under this preset."""
    unknown = [name for name in stage.inputs if name not in stages]
    assert not unknown, f"stage {stage.name} reads {unknown}, which are no stages"
    return tuple(name for name in stage.inputs if stages[name].wanted(preset))


def bring_up_to_date(
    until: str,
    stages: Mapping[str, Stage],
    preset: Preset,
    runtime: Runtime,
    store: Store,
    *,
    force: frozenset[str] = frozenset(),
    tracker: Tracker | None = None,
    tags: Mapping[str, str] | None = None,
    on_event: OnEvent = lambda event: None,
    engine: Engine = processes,
) -> dict[str, StageResult]:
    """Bring `until` and everything it stands on up to date; the stages in `force` are built anew.

    With a tracker, one MLflow run stands for the whole walk, with `tags`, and one below it for each stage that is built.
    """
    results: dict[str, StageResult] = {}
    with ExitStack() as stack:
        parent = None
        if tracker is not None:
            parent = stack.enter_context(tracker.start(f"{preset.name}: {until}", tags=tags))
            parent.log_params(flat(preset.model_dump(mode="json")))
        for stage in in_order(stages, until, preset):
            upstream = {name: results[name].artifact for name in inputs_of(stage, stages, preset)}
            forced = stage.name in force
            results[stage.name] = run_stage(
                stage, preset, runtime, store, upstream, force=forced, tracker=tracker, parent=parent, on_event=on_event, engine=engine
            )
    return results


def run_stage(
    stage: Stage,
    preset: Preset,
    runtime: Runtime,
    store: Store,
    upstream: Mapping[str, Artifact],
    *,
    force: bool = False,
    tracker: Tracker | None = None,
    parent: TrackedRun | None = None,
    tags: Mapping[str, str] | None = None,
    on_event: OnEvent = lambda event: None,
    engine: Engine = processes,
) -> StageResult:
    """Bring one stage up to date, its inputs being there; `upstream` holds their artifacts by name.

    Raises what the build raises, StoreError for a full disk and for an input that was damaged (which is removed).
    """
    inputs = Inputs({name: artifact.digest for name, artifact in upstream.items()}, DigestCache(store.root / DIGESTS))
    recipe = stage.recipe(preset, inputs)
    started = time.monotonic()
    run: TrackedRun | None = None
    curve: Curve | None = None
    built = False
    with ExitStack() as stack:

        def build(out: Path) -> Mapping[str, Any]:
            nonlocal run, curve, built
            built = True
            _check_inputs(store, upstream)
            if tracker is not None:
                run = stack.enter_context(_start_run(tracker, recipe, upstream, inputs.raw, parent, tags))
                stack.enter_context(watched(run.log_metrics))
                curve = Curve(run)
            on_event(StageEvent(stage.name, "building"))
            job = _job(stage, preset, runtime, store, upstream, recipe, out, curve, on_event, engine)
            return {**(stage.build(job) or {}), "preset": preset.name, "mlflow_run": None if run is None else run.reference}

        artifact = store.put(
            recipe, build, force=force, on_wait=lambda holder: on_event(StageEvent(stage.name, "waiting", f"{holder} is building it"))
        )
        if run is not None and curve is not None:
            curve.complete(artifact.path)
            _record(run, artifact)
    result = _result(artifact, "built" if built else "cached", time.monotonic() - started)
    if parent is not None:
        _tell_parent(parent, result)
    on_event(StageEvent(stage.name, result.state, result=result))
    return result


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names, as MLflow's params are.

    >>> flat({"stepgrpo": {"alpha": 0.1}, "seed": 0})
    {'stepgrpo.alpha': 0.1, 'seed': 0}
    """
    leaves: dict[str, Any] = {}
    for key, value in table.items():
        leaves.update(flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return leaves


def _result(artifact: Artifact, state: Literal["built", "cached"], seconds: float) -> StageResult:
    run = artifact.notes.get("mlflow_run")
    return StageResult(artifact.stage, state, round(seconds, 3), artifact.key, artifact.digest, artifact, run)


def _check_inputs(store: Store, upstream: Mapping[str, Artifact]) -> None:
    """Weights are about to be loaded: their content must be what the record says, not only their size."""
    for artifact in upstream.values():
        try:
            store.read(artifact.key, "safetensors")
        except BrokenArtifact as broken:
            discard(store, artifact)
            raise StoreError(artifact.path, f"damaged ({broken})", "it has been removed: run again to build it anew") from None


def _job(
    stage: Stage,
    preset: Preset,
    runtime: Runtime,
    store: Store,
    upstream: Mapping[str, Artifact],
    recipe: Recipe,
    out: Path,
    curve: Curve | None,
    on_event: OnEvent,
    engine: Engine,
) -> Build:
    work = store.work_dir(recipe)

    def on_report(report: Report) -> None:
        if curve is not None:
            curve.tell(report, work)
        on_event(StageEvent(stage.name, "report", report=report))

    def log(line: str) -> None:
        on_event(StageEvent(stage.name, "log", line))

    return Build(preset, runtime, upstream, recipe, out, work, log, on_report, store.root, engine)


def _start_run(
    tracker: Tracker,
    recipe: Recipe,
    upstream: Mapping[str, Artifact],
    raw: Mapping[Path, str],
    parent: TrackedRun | None,
    tags: Mapping[str, str] | None,
) -> TrackedRun:
    own = {"r1vl.stage": recipe.stage, "r1vl.key": recipe.key}
    run = tracker.start(recipe.stage, parent=parent, tags={**own, **(tags or {})})
    run.log_params(flat({"revision": recipe.revision, **recipe.settings}))
    for name, artifact in upstream.items():
        run.log_input(name, artifact.digest, str(artifact.path), context=recipe.stage)
    for path, digest in raw.items():
        run.log_input(path.name, digest, str(path), context=recipe.stage)
    return run


def _record(run: TrackedRun, artifact: Artifact) -> None:
    """What became of the build: only now do its files lie where they will stay."""
    run.set_tags({"r1vl.digest": artifact.digest})
    run.log_metrics({f"final/{name}": value for name, value in artifact.notes.get("metrics", {}).items()})
    for name in artifact.notes.get("files", []):
        run.log_file(artifact.path / name)
    checkpoint = artifact.notes.get("checkpoint")
    if checkpoint is not None:
        run.log_checkpoint(artifact.stage, artifact.path / checkpoint, artifact.digest)


def _tell_parent(parent: TrackedRun, result: StageResult) -> None:
    parent.set_tags(
        {
            f"r1vl.{result.stage}.state": result.state,
            f"r1vl.{result.stage}.digest": result.digest,
            f"r1vl.{result.stage}.run": result.mlflow_run_id or "untracked",
        }
    )
    parent.log_metrics({f"{result.stage}/{name}": value for name, value in result.artifact.notes.get("metrics", {}).items()})
