"""Which stages would be built, which are there, and why: a look at the store that changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from r1vl_core.config import Preset
from tasks.inputs import DIGESTS, DigestCache, Inputs
from tasks.recipe import Recipe
from tasks.stages import Stage, in_order, inputs_of
from tasks.store import Artifact, Store


@dataclass(frozen=True)
class PlanRow:
    """What would happen to one stage, and why.

    >>> PlanRow("stepgrpo", "build", "settings.alpha: 0.1 -> 0.2").action
    'build'
    """

    stage: str
    action: Literal["cached", "build", "build unless its inputs come out the same"]
    why: str


def plan(until: str, stages: Mapping[str, Stage], preset: Preset, store: Store, *, force: frozenset[str] = frozenset()) -> list[PlanRow]:
    """One row a stage that `until` stands on, in the order they would run. Raises ValueError for a stage nobody knows.

    Where an input would be built, its digest is not known yet; the stage is then looked up with the digest that the input had
    when it last was most like this, for a rebuild that comes to the same content changes nothing downstream.
    """
    rows: list[PlanRow] = []
    digests: dict[str, str] = {}
    rebuilt: set[str] = set()
    cache = DigestCache(store.root / DIGESTS)
    for stage in in_order(stages, until, preset):
        names = inputs_of(stage, stages, preset)
        uncertain = [name for name in names if name in rebuilt]
        recipe = stage.recipe(preset, Inputs({name: digests[name] for name in names}, cache, planning=True))
        found = store.get(recipe)
        row = _row(stage.name, recipe, found, uncertain, store, stage.name in force)
        rows.append(row)
        digests[stage.name] = _expected_digest(recipe, store)
        if row.action != "cached":
            rebuilt.add(stage.name)
    return rows


def ready(name: str, stages: Mapping[str, Stage], preset: Preset, store: Store) -> tuple[Recipe, dict[str, Artifact]]:
    """The recipe of a stage and the artifacts it would read. Raises ValueError naming the first of them that is not built."""
    cache = DigestCache(store.root / "digests.sqlite")
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


def _expected_digest(recipe: Recipe, store: Store) -> str:
    known = store.former_digest(recipe)
    if known is not None:
        return known
    nearest = store.nearest(recipe)
    return "" if nearest is None else nearest.digest


def _row(stage: str, recipe: Recipe, found: Artifact | None, uncertain: list[str], store: Store, forced: bool) -> PlanRow:
    if forced:
        return PlanRow(stage, "build", "asked for by force")
    if found is not None and not uncertain:
        return PlanRow(stage, "cached", f"made {str(found.made['created'])[:19]} in {found.made['seconds']:.0f} s")
    if found is not None:
        return PlanRow(stage, "build unless its inputs come out the same", f"{', '.join(uncertain)} would be built")
    return PlanRow(stage, "build", _why(stage, recipe, uncertain, store))


def _why(stage: str, recipe: Recipe, uncertain: list[str], store: Store) -> str:
    damaged = store.defect(recipe)
    if damaged is not None:
        return damaged
    nearest = store.nearest(recipe)
    if nearest is None:
        return "never built"
    differences = nearest.recipe.differences(recipe)
    certain = [text for text in differences if not any(text.startswith(f"inputs.{name}:") for name in uncertain)]
    if certain:
        return certain[0]
    return f"{', '.join(uncertain)} would be built"
