"""Which stages would be built, which are there, and why: a look at the store that changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from r1vl_core.config import Preset
from tasks.inputs import DIGESTS, DigestCache, Inputs
from tasks.recipe import Recipe
from tasks.stages import Stage, in_order, inputs_of
from tasks.store import Artifact, Store


@dataclass(frozen=True)
class PlanRow:
    """What would be done about one stage, and why; of a cached one the numbers that sum it up.

    >>> PlanRow("stepgrpo", "built", "settings.alpha: 0.1 -> 0.2").action
    'built'
    """

    stage: str
    action: Literal["cached", "built", "built unless its inputs come out the same", "waited for"]
    why: str
    metrics: Mapping[str, float] = field(default_factory=dict)


class WrongInputs(ValueError):
    """What is wrong with the user's own files: all of it, a line each.

    >>> WrongInputs(["no such file a", "no such file b"]).lines
    ('no such file a', 'no such file b')
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))


def check_inputs(until: str, stages: Mapping[str, Stage], preset: Preset) -> None:
    """Have every stage that `until` stands on look at the user's files, before anything is built. Raises WrongInputs."""
    problems: dict[str, None] = {}
    for stage in in_order(stages, until, preset):
        for look in stage.looks(preset):
            try:
                look()
            except ValueError as problem:
                problems[" ".join(str(problem).split())] = None
    if problems:
        raise WrongInputs(problems)


def plan(until: str, stages: Mapping[str, Stage], preset: Preset, store: Store, *, force: frozenset[str] = frozenset()) -> list[PlanRow]:
    """One row a stage that `until` stands on, in the order they would run. Raises ValueError for a stage nobody knows, and WrongInputs.

    Where an input would be built, its digest is not known yet; the stage is then looked up with the digest that the input had
    when it last was most like this, for a rebuild that comes to the same content changes nothing downstream.
    """
    check_inputs(until, stages, preset)
    rows: list[PlanRow] = []
    digests: dict[str, str] = {}
    rebuilt: set[str] = set()
    cache = DigestCache(store.root / DIGESTS)
    for stage in in_order(stages, until, preset):
        names = inputs_of(stage, stages, preset)
        uncertain = [name for name in names if name in rebuilt]
        recipe = stage.recipe(preset, Inputs({name: digests[name] for name in names}, cache, planning=True))
        found = store.get(recipe)
        row = _row(stage.name, recipe, found, uncertain, _Past(store, preset.name), stage.name in force)
        rows.append(row)
        digests[stage.name] = _Past(store, preset.name).expected_digest(recipe)
        if row.action != "cached":
            rebuilt.add(stage.name)
    return rows


def ready(name: str, stages: Mapping[str, Stage], preset: Preset, store: Store) -> tuple[Recipe, dict[str, Artifact]]:
    """The recipe of a stage and the artifacts it would read. Raises ValueError naming the first of them that is not built."""
    cache = DigestCache(store.root / DIGESTS)
    found: dict[str, Artifact] = {}
    for stage in in_order(stages, name, preset):
        inputs = inputs_of(stage, stages, preset)
        recipe = stage.recipe(preset, Inputs({one: found[one].digest for one in inputs}, cache))
        if stage.name == name:
            return recipe, {one: found[one] for one in inputs}
        artifact = store.get(recipe)
        if artifact is None:
            missing = f"stage {stage.name} of preset {preset.name} is not built under {store.root}"
            raise ValueError(f"{missing}; build it first: r1vl run PRESET --until {inputs_of(stages[name], stages, preset)[-1]}")
        found[stage.name] = artifact
    raise AssertionError(f"in_order left out {name}")


@dataclass(frozen=True)
class _Past:
    """What a preset built before. What another one built says nothing of what has changed in this one."""

    store: Store
    preset: str

    def nearest(self, recipe: Recipe) -> Artifact | None:
        """The preset's own artifact whose recipe is most like this."""
        return self.store.nearest(recipe, lambda artifact: artifact.notes.get("preset", self.preset) == self.preset)

    def expected_digest(self, recipe: Recipe) -> str:
        """What the recipe may come to: what it came to before, or what was most like it; "" where nothing was."""
        known = self.store.former_digest(recipe)
        if known is not None:
            return known
        nearest = self.nearest(recipe)
        return "" if nearest is None else nearest.digest


def _local(created: str) -> str:
    """A time of the store's, which is UTC's, as the times of locks are told."""
    return f"{datetime.fromisoformat(created).astimezone():%Y-%m-%d %H:%M:%S}"


def _row(stage: str, recipe: Recipe, found: Artifact | None, uncertain: list[str], past: _Past, forced: bool) -> PlanRow:
    builder = past.store.builder_of(recipe)
    if builder is not None:
        return PlanRow(stage, "waited for", f"{builder} is building it")
    if forced:
        return PlanRow(stage, "built", "asked for by force")
    if found is not None and not uncertain:
        made = f"made {_local(str(found.made['created']))} in {found.made['seconds']:.0f} s"
        return PlanRow(stage, "cached", made, found.notes.get("metrics", {}))
    if found is not None:
        return PlanRow(stage, "built unless its inputs come out the same", f"{', '.join(uncertain)} would be built")
    return PlanRow(stage, "built", _why(recipe, uncertain, past))


def _why(recipe: Recipe, uncertain: list[str], past: _Past) -> str:
    damaged = past.store.defect(recipe)
    if damaged is not None:
        return damaged
    nearest = past.nearest(recipe)
    if nearest is None:
        return "never built"
    differences = nearest.recipe.differences(recipe)
    certain = [text for text in differences if not any(text.startswith(f"inputs.{name}:") for name in uncertain)]
    if certain:
        return certain[0]
    return f"{', '.join(uncertain)} would be built"
