"""`r1vl eval`: a policy or a served model answers benchmark questions, and the answers are scored as the paper's table is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.status import Status
from rich.text import Text

from flows.choosing import choose, is_file_name, preset_names
from flows.evaluation_table import as_plain, print_evaluation
from flows.judging import endpoint_dials
from flows.policies import given, made_last_of
from flows.progress import Progress
from flows.runtime import ready_root
from flows.servers import environment, is_up, read_services
from r1vl_core.config import BUNDLED_MODEL, Judge, Preset, Runtime, ServedModel, World
from r1vl_core.evaluation.benchmarks.registry import benchmark
from r1vl_core.evaluation.benchmarks.rulings import Profile
from r1vl_core.evaluation.decoding import Decoding
from r1vl_core.evaluation.published import FILES
from r1vl_core.policy.bundled import bundled_checkpoint
from r1vl_core.prompts import prompt_names
from tasks.benchmarks import NAME, Evaluated, Request, Served, look_at, stage_of
from tasks.inputs import DIGESTS, DigestCache
from tasks.launch import WARNING, StageFailed, StageStopped
from tasks.stages import StageEvent, StageResult, run_stage
from tasks.store import Store
from tasks.tracking import Tracker

SERVED_MAX_NEW_TOKENS = 2048
"""Tokens of a served model's response, at most, where nothing else is asked for: R1-VL's own setting."""

SERVED_MAX_PIXELS = 400_000

_TELL_EVERY_S = 60.0


@dataclass(frozen=True)
class Asked:
    """What the command was given."""

    policy: str | None
    benchmarks: str
    data_dir: Path
    where: str | None = None
    limit: int | None = None
    prompt: str | None = None
    max_new_tokens: int | None = None
    num_samples: int = 1
    temperature: float | None = None
    seed: int = 0
    endpoint: str | None = None
    model: str | None = None
    endpoint_settings: tuple[str, ...] = ()


def evaluate(runtime: Runtime, asked: Asked, profile: Profile, judge: Judge | None = None, *, as_json: bool) -> None:
    """Answer, keep, have the judge decide where no rule does if there is one, and print.

    Raises ValueError for what the user got wrong, before anything is loaded; TeacherStopped when the judge is out or its budget spent;
    OSError else.
    """
    names = names_of(asked.benchmarks)
    paths = files_of(names, asked.data_dir, runtime.root)
    _check_sampling(asked)
    ready_root(runtime.root)
    who, max_new_tokens = _who(runtime, asked)
    decoding = Decoding(asked.max_new_tokens or max_new_tokens, asked.num_samples, asked.temperature, asked.seed)
    request = look_at(who, paths, asked.where, asked.limit, decoding)
    result = _answered(runtime, request, judge)
    if as_json:
        print(json.dumps(as_plain(request, result, profile, judge)))
    else:
        print_evaluation(Console(markup=False, highlight=False), request, result, profile, judge)


def names_of(benchmarks: str) -> list[str]:
    """The benchmarks of a comma-separated list. Raises ValueError for an unknown one, one given twice, and none."""
    names = [name.strip() for name in benchmarks.split(",") if name.strip()]
    if not names:
        raise ValueError(f"--benchmarks {benchmarks!r}: names none; there are {', '.join(FILES)}")
    for name in names:
        benchmark(name)
        if names.count(name) > 1:
            raise ValueError(f"--benchmarks {benchmarks}: {name} is given twice; give it once")
    return names


def files_of(names: Sequence[str], folder: Path, root: Path) -> dict[str, Path]:
    """The benchmarks' files in the folder; handwriting's, where it is not there, in the world that a run made last.

    Raises ValueError naming all that were looked for in vain, and how to go on without them.
    """
    if not folder.is_dir():
        raise ValueError(f"--data-dir {folder}: no such folder; give the one that holds the benchmarks' TSV files")
    found = {name: folder / FILES[name] for name in names if (folder / FILES[name]).is_file()}
    world = Store(root).latest("world") if "handwriting" in names and "handwriting" not in found else None
    if world is not None:
        found["handwriting"] = world.path / FILES["handwriting"]
    missing = [name for name in names if name not in found]
    if missing:
        files = f"s {', '.join(FILES[name] for name in missing)} in {folder}" if len(missing) > 1 else f" {folder / FILES[missing[0]]}"
        whose = "VLMEvalKit publishes them under these names" if missing != ["handwriting"] else "`r1vl world` writes it"
        on = f"; --benchmarks {','.join(found)} goes on with those that are there" if found else ""
        raise ValueError(f"--benchmarks {','.join(missing)}: no file{files}; {whose}: put them there or give --data-dir{on}")
    return {name: found[name] for name in names}


def _check_sampling(asked: Asked) -> None:
    if asked.num_samples > 1 and asked.temperature is None:
        raise ValueError(f"--samples {asked.num_samples}: greedy responses would all be the same; give --temperature, such as 0.7")


def _who(runtime: Runtime, asked: Asked) -> tuple[Evaluated, int]:
    """Who is asked, and the longest response where none is given."""
    if asked.prompt is not None and asked.prompt not in prompt_names():
        raise ValueError(f"--prompt {asked.prompt}: no prompt template has this name; there are {', '.join(prompt_names())}")
    if asked.endpoint is not None:
        return _served(asked, asked.endpoint), SERVED_MAX_NEW_TOKENS
    if asked.endpoint_settings:
        raise ValueError("--endpoint-set needs --endpoint URL, the served model's address")
    if asked.model is not None:
        raise ValueError(f"--model {asked.model}: names a served model; give its --endpoint too, or the folder of a checkpoint as argument")
    if asked.policy is None:
        raise ValueError("nobody to ask; give a preset, a checkpoint's folder, or --endpoint with --model")
    if not _is_preset(asked.policy) and not Path(bundled_checkpoint(asked.policy)).exists():
        raise ValueError(_nobody(Path(asked.policy)))
    if _is_preset(asked.policy):
        answering = made_last_of(choose(asked.policy).name, runtime.root)
    else:
        answering = given(Path(asked.policy), runtime.root, "the policy")
    if answering.artifact is not None:
        digest = answering.artifact.digest
    else:
        digest = DigestCache(runtime.root / DIGESTS).folder(answering.checkpoint)
    prompt = asked.prompt or answering.prompt
    return Evaluated(asked.policy, prompt, answering.max_pixels, digest, answering.checkpoint), answering.max_new_tokens


def _nobody(policy: Path) -> str:
    """What may have been meant by a name of nothing."""
    beside = [str(folder.parent) for folder in policy.parent.glob("*/config.json")]
    names = [*preset_names(), BUNDLED_MODEL]
    near = get_close_matches(str(policy), [*names, *beside], n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return (
        f"{policy}: neither a preset nor the folder of a checkpoint; {meant}give {', '.join(names)}, a .toml file or a checkpoint's folder"
    )


def _is_preset(policy: str) -> bool:
    return policy in preset_names() or (is_file_name(policy) and policy.endswith(".toml") and policy != BUNDLED_MODEL)


def _served(asked: Asked, endpoint: str) -> Evaluated:
    if asked.policy is not None:
        raise ValueError(f"{asked.policy} and --endpoint {endpoint}: two to ask; give one of them")
    if asked.model is None:
        raise ValueError(f"--endpoint {endpoint}: give the model's name there with --model")
    dials = endpoint_dials(endpoint, asked.model, asked.endpoint_settings)
    served = Served(dials, os.environ.get(ServedModel.KEY_VARIABLE, ""))
    return Evaluated(asked.model, asked.prompt or "plain", SERVED_MAX_PIXELS, served.digest, served=served)


def _answered(runtime: Runtime, request: Request, judge: Judge | None) -> StageResult:
    # The child reads few of a preset's settings; the whole text that is asked stands in the request.
    preset = Preset(name=request.who.name, prompt="plain", max_pixels=request.who.max_pixels, world=World())
    services = is_up(runtime.root, ("mlflow",)) and environment(runtime.root, read_services(runtime.root))
    uri = services["MLFLOW_TRACKING_URI"] if services else os.environ.get("MLFLOW_TRACKING_URI")
    tags = {"r1vl.policy": request.who.name, "r1vl.partial": str(request.is_partial).lower()}
    console = Console(stderr=True, highlight=False, markup=False)
    for name, why in request.left_out.items():
        console.print(f"{name} is left out: {why}", soft_wrap=True)
    with console.status("reading the files") as status:
        tracker = Tracker(runtime.root, uri)
        run = partial(run_stage, preset=preset, runtime=runtime, store=Store(runtime.root), tracker=tracker, tags=tags)
        shown = following(status, console)
        try:
            answered = run(stage_of(request), upstream={}, on_event=shown)
            return answered if judge is None else _judged(partial(run, upstream={NAME: answered.artifact}, on_event=shown), request, judge)
        except (StageFailed, StageStopped) as problem:
            first, *others = str(problem).splitlines()
            raise OSError(" ".join([first, *others[-1:]])) from problem
        except KeyboardInterrupt:
            console.print("every answer so far is kept: the same command goes on from there")
            raise


def _judged(run: Callable[..., StageResult], request: Request, judge: Judge) -> StageResult:
    from tasks.judged_answers import NUM_FAILED
    from tasks.judged_answers import stage_of as judging_of

    result = run(judging_of(request, judge))
    if result.state == "cached" and result.artifact.notes[NUM_FAILED]:
        return run(judging_of(request, judge), force=True)  # only what failed is asked again: the other answers are kept
    return result


def following(status: Status, console: Console) -> Callable[[StageEvent], None]:
    """What goes on, on one line that changes; what must be heard, on lines that stay. Brackets in what a process says are no markup.

    Where no terminal shows such a line, how far it is goes on a line of its own now and then.
    """

    def update(line: str) -> None:
        status.update(Text(line))

    def publish(_percent: float, line: str) -> None:
        show_line = update if console.is_terminal else partial(console.print, soft_wrap=True)
        show_line(line.replace("step", "answered", 1).replace("step", "row"))

    progress = Progress(publish, interval_s=2.0 if console.is_terminal else _TELL_EVERY_S)

    def show(event: StageEvent) -> None:
        if event.report is not None:
            progress(event.report.step, event.report.num_steps, event.report.metrics)
        elif event.text.startswith(WARNING):
            console.print(event.text.removeprefix(WARNING)[:2000], soft_wrap=True)
        elif event.kind in ("log", "waiting"):
            update(event.text[:200])

    return show
