"""kill -9 of training, many times, and not a bit of difference: python -m tests.soak.kills [--kills 20] [--seed 0].

The bundled model goes through warm-up and StepGRPO on a small world, by the stages' own builders and in their own child process, once
undisturbed and then again and again: each life of the trainer is ended by SIGKILL at a drawn moment or in the middle of a named phase, and
the next one goes on. After every kill the newest checkpoint, and at the end of every chain of kills the final weights, the
optimiser's state, the random states, the metrics (less those of the machine) and every sampled token are compared, byte for byte,
with the undisturbed run's. Prints a table; exits with 1 at any difference.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from r1vl_core.config import Preset, Runtime, parse_preset
from r1vl_core.report import Report
from r1vl_core.training.checkpoint import Checkpoints
from tasks.launch import StageKilled
from tasks.registry import STAGES
from tasks.stages import Build, bring_up_to_date, inputs_of
from tasks.store import Artifact, Store
from tests.soak.comparing import differences_at_the_end, differences_of_checkpoints, differences_of_weights

AIMED = {
    "warmup": {
        "forward": 5,
        "backward": 7,
        "before the optimiser's step": 8,
        "after the optimiser's step": 6,
        "weights written": 2,
        "checkpoint written, not renamed": 1,
        "checkpoint read": 1,
    },
    "stepgrpo": {
        "rollout": 60,
        "rewards": 30,
        "forward": 9,
        "before the optimiser's step": 3,
        "after the optimiser's step": 2,
        "before the report": 2,
        "weights written": 1,
        "checkpoint renamed, old ones there": 2,
        "reports cut": 1,
    },
}
"""Phases killed in (`aim/sitecustomize.py`), with the number of the call, counted from the start of that life."""

PRESET = {
    "name": "soak",
    "prompt": "plain",
    "max_pixels": 200704,
    "world": {"num_questions": 24, "num_heldout": 6, "seed": 5},
    "warmup": {"num_epochs": 8.0, "batch_size": 6, "learning_rate": 2e-3, "save_every": 5},
    "stepgrpo": {"num_steps": 10, "questions_per_step": 3, "group_size": 4, "temperature": 1.0, "max_new_tokens": 64, "save_every": 3},
}
RUNTIME = Runtime(num_workers=1, device="cpu")
_CHAIN = 5


@dataclass(frozen=True)
class Moment:
    """When a life ends: in a named phase, or `share` of a step's time after the report of `step` (of the start-up's after none)."""

    stage: str
    aim: str | None = None
    number: int = 0
    step: int = 0
    share: float = 0.0

    def __str__(self) -> str:
        return f"in call {self.number} of: {self.aim}" if self.aim else f"step {self.step} + {self.share:.2f} of a step"


@dataclass
class Life:
    """One life of the trainer: which steps it reported, when, and whether it ended by itself."""

    moment: Moment | None
    steps: list[int] = field(default_factory=list)
    seconds: float = 0.0
    whole: bool = False


@dataclass
class Stage:
    """A training stage under test: how to build it, what the pipeline built, and what the undisturbed run left."""

    name: str
    preset: Preset
    inputs: dict[str, Artifact]
    built: Artifact
    folder: Path
    startup_s: float = 0.0
    step_s: float = 0.0

    def job(self, run: str, on_report: Callable[[Report], None]) -> Build:
        """A build of this stage in folders of its own."""
        out, work = self.folder / run / "out", self.folder / run / "work"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        work.mkdir(exist_ok=True)
        return Build(self.preset, RUNTIME, self.inputs, self.built.recipe, out, work, lambda line: None, on_report, work)


def main(arguments: Sequence[str]) -> int:
    """Kill, rerun, compare; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="kills at drawn moments, half in each stage")
    parser.add_argument("--seed", type=int, default=0, help="decides the moments")
    parser.add_argument("--no-aimed", action="store_true", help="leave out the kills in named phases")
    options = parser.parse_args(arguments)
    started, draw, differences, num_kills = time.monotonic(), random.Random(options.seed), 0, 0
    with tempfile.TemporaryDirectory(prefix="r1vl-soak-") as folder:
        for stage in prepare(Path(folder)):
            whole = undisturbed(stage)
            print(f"{stage.name}: undisturbed {whole.seconds:.0f} s, {len(whole.steps)} steps, {stage.step_s:.2f} s a step", flush=True)
            # The pipeline's own build is a second undisturbed run: when lives differ, this tells which run is the odd one.
            pair = [place / "policy/model.safetensors" for place in (stage.folder / "whole/out", stage.built.path)]
            found = differences_of_weights(*pair)
            differences += tell(stage, "whole", None, whole, [f"beside the pipeline's: {found[0]}"] if found else [])
            moments = drawn(stage, len(whole.steps), options.kills // 2, draw)
            aimed = [] if options.no_aimed else [Moment(stage.name, aim, number) for aim, number in AIMED[stage.name].items()]
            for place, chain in enumerate([*split(moments), *([aimed] if aimed else [])]):
                killed, different = run_chain(stage, f"chain-{place}", chain)
                num_kills, differences = num_kills + killed, differences + different
                shutil.rmtree(stage.folder / f"chain-{place}", ignore_errors=True)
    print(f"seed {options.seed}: {num_kills} kills, {differences} differences, {time.monotonic() - started:.0f} s")
    return 1 if differences else 0


def prepare(folder: Path) -> Iterator[Stage]:
    """Bring up what training stands on; each training stage with its inputs, in order."""
    preset, store = parse_preset(PRESET, "soak"), Store(folder / "store")
    for name in ("warmup", "stepgrpo"):
        results = bring_up_to_date(name, STAGES, preset, RUNTIME, store)
        inputs = {below: results[below].artifact for below in inputs_of(STAGES[name], STAGES, preset)}
        yield Stage(name, preset, inputs, results[name].artifact, folder / name)


def undisturbed(stage: Stage) -> Life:
    """Run to the end, keeping a copy of every checkpoint; measures how long start-up and a step take."""
    kept, work = stage.folder / "kept", stage.folder / "whole" / "work"
    times: list[float] = []

    def keep(report: Report) -> None:
        times.append(time.monotonic())
        for path in work.glob("step-*"):
            if not (kept / path.name).exists():
                shutil.copytree(path, kept / path.name)

    started = time.monotonic()
    life = live(stage, "whole", None, keep)
    assert life.whole
    stage.startup_s, stage.step_s = times[0] - started, (times[-1] - times[0]) / (len(times) - 1)
    return life


def drawn(stage: Stage, num_steps: int, count: int, draw: random.Random) -> list[Moment]:
    """Moments in order of their steps within each chain, so that every life can come to its own."""
    moments = [Moment(stage.name, step=draw.randrange(num_steps), share=round(draw.random(), 2)) for _ in range(count)]
    return [moment for chain in split(moments) for moment in sorted(chain, key=lambda moment: (moment.step, moment.share))]


def split(moments: Sequence[Moment]) -> list[list[Moment]]:
    """Chains of kills, each one run from its beginning."""
    return [list(moments[start : start + _CHAIN]) for start in range(0, len(moments), _CHAIN)]


def run_chain(stage: Stage, run: str, chain: Sequence[Moment]) -> tuple[int, int]:
    """Kill a run at each moment in turn, then let it end; how often it was killed, and how many comparisons failed.

    A run that ends before its moment is compared as it is; the moments left go to a new one.
    """
    num_kills, differences = 0, 0
    for place, moment in enumerate(chain):
        life = live(stage, run, moment, lambda report: None)
        if life.whole:
            print(f"  {stage.name:<9} {moment!s:<52} the run was over before", flush=True)
            differences += tell(stage, run, None, life, differences_at_the_end(stage.folder, run))
            shutil.rmtree(stage.folder / run)
            more_kills, more = run_chain(stage, run, chain[place + 1 :]) if chain[place + 1 :] else (0, 0)
            return num_kills + more_kills, differences + more
        num_kills += 1
        differences += tell(stage, run, moment, life, differences_of_checkpoints(stage.folder, run))
    life = live(stage, run, None, lambda report: None)
    return num_kills, differences + tell(stage, run, None, life, differences_at_the_end(stage.folder, run))


def tell(stage: Stage, run: str, moment: Moment | None, life: Life, found: Sequence[str]) -> int:
    """A row of the table; the number of differences."""
    newest = Checkpoints(stage.folder / run / "work", {}).newest()
    equal = f"equal, {newest.name}" if newest else "nothing saved yet"
    span = f"steps {life.steps[0]}-{life.steps[-1]}" if life.steps else "no step"
    print(f"  {stage.name:<9} {moment or 'to the end'!s:<52} {span:<13} {'; '.join(found) or equal}", flush=True)
    return len(found)


def live(stage: Stage, run: str, moment: Moment | None, on_report: Callable[[Report], None]) -> Life:
    """One life of the trainer, from its last checkpoint to its end or to `moment`."""
    life = Life(moment)
    shots: list[Shot] = []

    last = [time.monotonic()]

    def seen(report: Report) -> None:
        step_s = stage.step_s if not life.steps else time.monotonic() - last[0]  # as fast as this life is just now
        last[0] = time.monotonic()
        life.steps.append(report.step)
        on_report(report)
        if moment and not moment.aim and report.step >= moment.step and not shots:
            shots.append(Shot(moment.share * step_s))

    if moment and not moment.aim and moment.step == 0:
        shots.append(Shot(moment.share * stage.startup_s))
    started = time.monotonic()
    with aimed_at(moment):
        try:
            STAGES[stage.name].build(stage.job(run, seen))
            life.whole = True
        except StageKilled:
            pass
    for shot in shots:
        shot.call_off()
    life.seconds = time.monotonic() - started
    return life


class Shot:
    """SIGKILL to the trainer in so many seconds, or as soon after that as there is one."""

    def __init__(self, seconds: float) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._shoot, args=(seconds,))
        self._thread.start()

    def call_off(self) -> None:
        """The run is over."""
        self._over.set()
        self._thread.join()

    def _shoot(self, seconds: float) -> None:
        self._over.wait(seconds)
        while not self._over.is_set() and not kill_trainer():
            self._over.wait(0.02)


def kill_trainer() -> bool:
    """What `kill -9` does to the trainer, not to those who started it; whether there was one."""
    for process in psutil.Process().children(recursive=True):
        try:
            if "tasks.trainer" in process.cmdline()[1:4]:  # further on it stands in its launchers' too
                os.kill(process.pid, signal.SIGKILL)
                return True
        except (psutil.NoSuchProcess, psutil.ZombieProcess, ProcessLookupError):
            continue  # ended meanwhile
    return False


@contextmanager
def aimed_at(moment: Moment | None) -> Iterator[None]:
    """Within it, processes that start are told where to die."""
    if moment is None or moment.aim is None:
        yield
        return
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent / "aim"), str(Path(__file__).parents[2]), before])
    os.environ["SOAK_AIM"] = f"{moment.aim}:{moment.number}"
    try:
        yield
    finally:
        os.environ["PYTHONPATH"] = before
        del os.environ["SOAK_AIM"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
