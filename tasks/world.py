"""The bundled world as an input of the pipeline, and where a preset's data lies: its own files, or the world's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from r1vl_core.config import Preset, Source
from r1vl_core.data.curate import open_held_out
from r1vl_core.evaluation.benchmarks.tsv import read_tsv
from r1vl_core.records import BenchmarkRow
from tasks.inputs import Inputs
from tasks.recipe import Recipe
from tasks.stages import Build, Stage
from tasks.store import Artifact

REVISION = 2


def recipe(preset: Preset, inputs: Inputs) -> Recipe:
    """The world is a function of its three numbers."""
    assert preset.world is not None, "the stage is left out of presets with sources of their own"
    return Recipe("world", REVISION, preset.world.model_dump(mode="json"))


def build(job: Build) -> None:
    """Write the world's files."""
    from r1vl_core.handwriting.world import make_world  # scikit-learn is imported only where a world is really made

    assert job.preset.world is not None, "the stage is left out of presets with sources of their own"
    world = job.preset.world
    make_world(job.out, world.num_questions, world.num_heldout, world.seed)
    job.log(f"world: {world.num_questions} clean training records with planted defects on top, {world.num_heldout} held-out questions")


def sources(preset: Preset, inputs: Mapping[str, Artifact]) -> tuple[Source, ...]:
    """The training files: the preset's, or the world's one."""
    if preset.world is None:
        return preset.sources
    folder = inputs["world"].path
    licence = "digits: UCI Optical Recognition of Handwritten Digits, CC BY 4.0"
    return (Source(name="handwriting", path=folder / "mulberry_sft.json", images=folder / "images", licence=licence),)


def image_roots(preset: Preset, inputs: Mapping[str, Artifact]) -> dict[str, Path]:
    """Folder of each source's images."""
    return {source.name: source.images for source in sources(preset, inputs)}


def weights_of(preset: Preset) -> dict[str, float]:
    """How often each source's questions are drawn, where that is not as often as any other's."""
    return {source.name: source.weight for source in preset.sources if source.weight != 1}


def heldout_file(preset: Preset, inputs: Mapping[str, Artifact]) -> Path:
    """The held-out questions: the preset's file, or the world's."""
    return preset.evaluate.data if preset.evaluate.data is not None else inputs["world"].path / "heldout.tsv"


def check_heldout(preset: Preset) -> None:
    """Look at the preset's own held-out file, if it has one, as `check_rows`."""
    if preset.evaluate.data is not None:
        check_rows(preset.evaluate.data, read_tsv, preset.curate.max_image_pixels)


def check_rows(file: Path, read: Callable[[Path], Iterator[BenchmarkRow]], max_pixels: int) -> None:
    """Look at an evaluation file: every row's cells, and the first row's picture decoded. Raises ValueError."""
    rows = read(file)
    first = next(rows, None)
    if first is None:
        raise ValueError(f"held-out file {file}: no row with a picture; fill its column 'image'")
    open_held_out(first, max_pixels)
    for _ in rows:  # reading a row checks its cells, the picture's base64 too
        pass


STAGE = Stage("world", (), recipe, build, wanted=lambda preset: preset.world is not None)
