"""The r1vl command. Exit status 0: done; 1: failed; 2: the user's mistake, said in one line; 130: interrupted."""

from __future__ import annotations

import json
import signal
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from flows import key_steps
from flows.choosing import choose, from_here, is_file_name, parse_settings, preset_names
from flows.prefect_api import Unreachable
from flows.processes import DidNotStart
from flows.runtime import runtime_from
from flows.scoring import FIELDS
from r1vl_core.config import Hardening, Runtime, StageName

app = typer.Typer(
    name="r1vl",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(key_steps.app)

RootOption = Annotated[Path | None, typer.Option("--root", help="Folder all state lives in.  [default: R1VL_ROOT, else .r1vl]")]
PresetArgument = Annotated[str, typer.Argument(help=f"A bundled preset ({', '.join(preset_names())}) or the path of a .toml file.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, e.g. stepgrpo.group_size=8; repeatable.")
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", min=0, help="Seed of data order, sampling and initial state.  [default: the preset's]")
]
UntilOption = Annotated[
    StageName | None, typer.Option("--until", help="Bring this stage up to date and stop.  [default: the whole pipeline]")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Rebuild the stage named by --until; without it, every stage.")]

QuestionsOption = Annotated[
    Path,
    typer.Option("--questions", help="JSON lines with id, question, answer, key_steps (and choices), R1-VL-10K, or a DuckDB file of ours."),
]


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"r1vl {version('r1vl')}")
        raise typer.Exit


@app.callback()
def r1vl(
    _version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_tell_version, help="Show the version and exit.")] = False,
) -> None:
    """Step-wise reasoning for vision-language models: data, warm-up, StepGRPO and evaluation as one pipeline."""


@app.command()
def run(
    preset: PresetArgument = "tiny",
    settings: SetOption = None,
    seed: SeedOption = None,
    until: UntilOption = None,
    force: ForceOption = False,
    root: RootOption = None,
) -> None:
    """Run the pipeline here and now, in this process; no server to set up."""
    runtime = _settle(root)
    overrides = parse_settings(settings or [])
    choose(preset, overrides, seed)  # a mistake is told before anything starts
    from flows.here import run_here

    run_here(runtime.root, {"preset": preset, "overrides": overrides, "seed": seed, "until": until, "force": force})


@app.command()
def submit(
    deployment: Annotated[str, typer.Argument(help="The deployment to run: full-pipeline, curate, key-steps, warmup, …")] = "full-pipeline",
    preset: Annotated[str | None, typer.Option("--preset", help="Preset name or file.  [default: the deployment's]")] = None,
    settings: SetOption = None,
    seed: SeedOption = None,
    force: Annotated[bool, typer.Option("--force", help="Rebuild the deployment's own stage; full-pipeline rebuilds every stage.")] = False,
    root: RootOption = None,
) -> None:
    """Start the local servers if need be, run a deployment on them, follow it, and print its result."""
    runtime = _settle(root)
    overrides = parse_settings(settings or [])
    if preset is not None:
        choose(preset, overrides, seed)  # a mistake is told before anything starts
        preset = str(Path(preset).resolve()) if is_file_name(preset) else preset  # the worker stands in another folder
    given: dict[str, Any] = {"preset": preset, "overrides": from_here(overrides), "seed": seed, "force": force}
    from flows.submitting import submit_and_follow

    raise typer.Exit(
        submit_and_follow(runtime.root, deployment, {name: value for name, value in given.items() if value not in (None, {}, False)})
    )


@app.command()
def plan(
    preset: PresetArgument = "tiny",
    settings: SetOption = None,
    seed: SeedOption = None,
    until: UntilOption = None,
    memory: Annotated[bool, typer.Option("--memory", help="Say instead how much memory training takes; loads no weights.")] = False,
    root: RootOption = None,
) -> None:
    """Say which stages would be built, which are cached, and why."""
    runtime = _settle(root)
    from flows.planning import print_memory, print_plan

    if memory:
        print_memory(runtime, choose(preset, parse_settings(settings or []), seed))
        return
    print_plan(runtime, choose(preset, parse_settings(settings or []), seed), until)


@app.command()
def up(
    prefect_port: Annotated[int | None, typer.Option(help="Port of the Prefect server.  [default: a free one]", min=1, max=65535)] = None,
    mlflow_port: Annotated[int | None, typer.Option(help="Port of the MLflow server.  [default: a free one]", min=1, max=65535)] = None,
    pool: Annotated[list[str] | None, typer.Option("--pool", help="Start a worker for this pool as well; repeatable.")] = None,
    root: RootOption = None,
) -> None:
    """Start Prefect, MLflow and a worker on loopback, and deploy; what runs already is left alone."""
    from flows import servers
    from flows.doctor import close_abandoned

    runtime = _settle(root)
    services = servers.up(runtime.root, prefect_port=prefect_port, mlflow_port=mlflow_port, pools=(servers.LOCAL_POOL, *(pool or ())))
    for line in close_abandoned(runtime.root, services):
        typer.echo(f"closed: {line}")
    typer.echo(f"Prefect  {services.prefect_url}\nMLflow   {services.mlflow_url}")
    typer.echo('point the prefect and mlflow commands at them: eval "$(r1vl env)"')


@app.command()
def down(root: RootOption = None) -> None:
    """End what `up` started, by recorded process id; a training under way saves a checkpoint first."""
    from flows import servers

    ended = servers.down(_settle(root).root)
    typer.echo(f"ended: {', '.join(ended)}" if ended else "nothing was running")


@app.command()
def env(root: RootOption = None) -> None:
    """Print the exports that point prefect and mlflow at the local servers: eval "$(r1vl env)"."""
    from flows import servers

    typer.echo(servers.exports(_settle(root).root))


@app.command()
def results(
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    run_id: Annotated[str, typer.Option("--run", help="A flow run's id; last is the last run of the whole pipeline.")] = "last",
    root: RootOption = None,
) -> None:
    """Show what the last run of the pipeline came to."""
    from rich.console import Console

    from flows.results import print_result, read_result

    result = read_result(_settle(root).root, run_id)
    if as_json:
        typer.echo(json.dumps(result.as_plain(), indent=1))
    else:
        print_result(Console(), result, {"report": result.report} if result.report else {})


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What to ask about the picture.")],
    image: Annotated[Path, typer.Option("--image", help="The picture (PNG, JPEG, WEBP).")],
    model: Annotated[Path | None, typer.Option("--model", help="A checkpoint folder.  [default: the StepGRPO policy made last]")] = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", help="Prompt template.  [default: the policy's own; reasoning with --model]")
    ] = None,
    root: RootOption = None,
) -> None:
    """Answer a question about a picture with a trained policy; the sections of its reasoning are shown apart."""
    runtime = _settle(root)
    from flows.asking import print_answer

    print_answer(runtime, question, image, model, prompt)


@app.command(epilog=FIELDS)
def reward(
    questions: QuestionsOption,
    responses: Annotated[Path, typer.Option("--responses", help='JSON lines {"id": …, "response": …}; - reads the standard input.')],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a response.")] = False,
    alpha: Annotated[float, typer.Option("--alpha", help="Weight of the matched key steps in StepRAR.")] = 0.1,
    hardening: Annotated[Hardening, typer.Option("--hardening", help="The paper's rewards, or those harder to fool.")] = "none",
) -> None:
    """Score responses offline: StepRAR, StepRVR and everything that explains them, one line a response."""
    from flows.scoring import print_rewards

    print_rewards(questions, responses, as_json=as_json, alpha=alpha, hardening=hardening)


@app.command()
def audit_rewards(
    questions: Annotated[
        Path | None, typer.Option("--questions", help="As for `r1vl reward`, with reference paths.  [default: the last run's]")
    ] = None,
    responses: Annotated[Path | None, typer.Option("--responses", help="A policy's responses.  [default: the last run's samples]")] = None,
    hardening: Annotated[Hardening | None, typer.Option("--hardening", help="Audit one definition.  [default: both]")] = None,
    alpha: Annotated[float, typer.Option("--alpha", help="Weight of the matched key steps in StepRAR.", min=0.0, max=1e6)] = 0.1,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Questions attacked, evenly spread; 0 means all.")] = 500,
    page: Annotated[Path | None, typer.Option("--page", help="The HTML page.  [default: audit.html in the root]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the audit as JSON.")] = False,
    root: RootOption = None,
) -> None:
    """Measure what the rewards can be fooled by, and whether they tell right paths from wrong ones; ends in a table and a page."""
    runtime = _settle(root)
    from flows.auditing import audit_rewards as audit_and_print

    chosen: list[Hardening] = [hardening] if hardening else ["none", "strict"]
    audit_and_print(runtime.root, questions, responses, chosen, alpha=alpha, limit=limit, page=page, as_json=as_json)


@app.command()
def sql(
    query: Annotated[str | None, typer.Argument(help="One SELECT.  [default: list the tables with their columns and rows]")] = None,
    artifact: Annotated[str, typer.Option("--artifact", metavar="STAGE", help="The stage whose artifact is asked.")] = "stepgrpo",
    run_id: Annotated[str | None, typer.Option("--run", help="The flow run it belongs to; last is the last.  [default: made last]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a row.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated, with a header.")] = False,
    root: RootOption = None,
) -> None:
    """Ask a stage's artifact in SQL: rollouts, rewards, questions, key steps, rejected records; read-only, cut off from all else."""
    if as_json and as_csv:
        raise ValueError("--json and --csv: give one of them")
    from flows.querying import print_answer as answer

    answer(_settle(root).root, artifact, run_id, query, "json" if as_json else "csv" if as_csv else "table")


@app.command()
def world(
    out: Annotated[Path, typer.Option("--out", help="A new or empty folder.")],
    questions: Annotated[int, typer.Option("--questions", min=1, help="Clean training questions; planted defects come on top.")] = 2400,
    heldout: Annotated[int, typer.Option("--heldout", min=1, help="Held-out questions.")] = 600,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides boards, questions and defects.")] = 0,
) -> None:
    """Make a handwriting world: a Mulberry-SFT file with its images, and a VLMEvalKit TSV of held-out questions."""
    from r1vl_core.handwriting.world import make_world

    make_world(out, questions, heldout, seed)
    typer.echo(f"{out}: {questions} clean training questions, planted defects on top (planted.json), {heldout} held-out; seed {seed}")


@app.command()
def tiny_base(
    out: Annotated[Path, typer.Option("--out", help="Folder for the checkpoint.")],
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Optimiser steps.  [default: what the bundled one took]")] = None,
    work_dir: Annotated[Path | None, typer.Option("--work-dir", help="Folder for checkpoints to resume from.")] = None,
) -> None:
    """Train the tiny base model that the bundled world starts from."""
    from flows.progress import Progress
    from r1vl_core.handwriting.tiny_base import NUM_STEPS, train_tiny_base

    show = Progress(lambda _percent, line: typer.echo(line), interval_s=5.0)
    for report in train_tiny_base(out, seed, steps or NUM_STEPS, work_dir):
        show(report.step, report.num_steps, report.metrics)
    typer.echo(f"saved to {out}")


@app.command()
def doctor(
    look: Annotated[bool, typer.Option("--look", help="Only say what is wrong; mend nothing.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte of every artifact (about a second a gigabyte).")] = False,
    root: RootOption = None,
) -> None:
    """Find and mend what a crash left: runs nobody works on any more, broken artifacts, leftover builds, dead servers."""
    runtime = _settle(root)
    from flows.doctor import examine

    found = examine(runtime.root, mend=not look, deep=deep)
    for finding in found:
        typer.echo(finding)
    typer.echo(f"{len(found)} found{'' if look else ' and mended'}" if found else "all well")


def _settle(root: Path | None) -> Runtime:
    return runtime_from(root=root)


def main() -> None:
    """Run the command; turn what went wrong into one line and an exit status."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun with & by a shell: what we start must not inherit that
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app()
    except ValueError as error:
        sys.exit(_said(error, 2))
    except (DidNotStart, Unreachable, OSError) as error:
        sys.exit(_said(error, 1))
    except KeyboardInterrupt:
        sys.exit(_said("interrupted", 130))


def _said(problem: object, status: int) -> int:
    print(f"r1vl: {' '.join(str(problem).split())}", file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
