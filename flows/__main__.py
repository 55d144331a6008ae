"""The r1vl command: the pipeline and what it made. In `serving` and `tools` are further commands, in `exits` how they end."""

from __future__ import annotations

import json
import signal
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from flows import key_steps, serving, tools
from flows.choosing import choose, from_here, is_file_name, parse_settings
from flows.commands import Commands
from flows.exits import exit_status
from flows.options import (
    ForceOption,
    PresetArgument,
    RootOption,
    RunArgument,
    SeedOption,
    SetOption,
    UntilOption,
)
from flows.runtime import runtime_from
from flows.scoring import FIELDS
from r1vl_core.config import STAGES, check_keys
from r1vl_core.prompts import prompt_names

app = Commands(
    name="r1vl",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(key_steps.app)

_DEPLOYMENTS = f"full-pipeline, or a stage with all it stands on: {', '.join(stage.replace('_', '-') for stage in STAGES)}."


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"r1vl {version('r1vl')}")
        raise typer.Exit


@app.callback()
def r1vl(
    context: typer.Context,
    _version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_tell_version, help="Show the version and exit.")] = False,
) -> None:
    """Step-wise reasoning for vision-language models: data, warm-up, StepGRPO and evaluation as one pipeline."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


@app.command()
def run(
    preset: PresetArgument = "tiny",
    settings: SetOption = None,
    seed: SeedOption = None,
    until: UntilOption = None,
    force: ForceOption = False,
    root: RootOption = None,
) -> None:
    """Run the pipeline here and now, in this process. No server to set up."""
    runtime = runtime_from(root=root)
    overrides = parse_settings(settings or [])
    from flows.planning import look_over

    look_over(choose(preset, overrides, seed, given_by="--set"), until)  # a mistake is told before anything starts
    from flows.here import run_here

    run_here(runtime.root, {"preset": preset, "overrides": overrides, "seed": seed, "until": until, "force": force})


@app.command()
def submit(
    deployment: Annotated[str, typer.Argument(metavar="DEPLOYMENT", help=_DEPLOYMENTS)] = "full-pipeline",
    preset: Annotated[
        str | None, typer.Option("--preset", metavar="PRESET", help="Preset name or file.  [default: the deployment's]")
    ] = None,
    settings: SetOption = None,
    seed: SeedOption = None,
    force: Annotated[bool, typer.Option("--force", help="Rebuild the deployment's own stage; full-pipeline rebuilds every stage.")] = False,
    root: RootOption = None,
) -> None:
    """Run a deployment on the local servers and follow it. Starts them if need be, and prints the result."""
    runtime = runtime_from(root=root)
    overrides = parse_settings(settings or [])
    check_keys(overrides, "--set")  # a mistake is told before anything starts
    if preset is not None:
        from flows.planning import look_over

        look_over(choose(preset, overrides, seed, given_by="--set"), None)
        preset = str(Path(preset).resolve()) if is_file_name(preset) else preset  # the worker stands in another folder
    given: dict[str, Any] = {"preset": preset, "overrides": from_here(overrides), "seed": seed, "force": force}
    from flows.submitting import submit_and_follow

    raise typer.Exit(
        submit_and_follow(runtime.root, deployment, {name: value for name, value in given.items() if value not in (None, {}, False)})
    )


@app.command()
def watch(run_id: RunArgument = None, root: RootOption = None) -> None:
    """Follow a run again, to its result. As `submit` does; Ctrl-C leaves it running."""
    from flows.submitting import watch as watch_run

    raise typer.Exit(watch_run(runtime_from(root=root).root, run_id))


@app.command()
def cancel(run_id: RunArgument = None, root: RootOption = None) -> None:
    """End a run that goes. A training under way saves a checkpoint first, and a rerun goes on from there."""
    from flows.submitting import cancel as cancel_run

    cancel_run(runtime_from(root=root).root, run_id)


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
    runtime = runtime_from(root=root)
    from flows.planning import print_memory, print_plan

    if memory:
        print_memory(runtime, choose(preset, parse_settings(settings or []), seed, given_by="--set"))
        return
    print_plan(runtime, choose(preset, parse_settings(settings or []), seed, given_by="--set"), until)


app.command()(serving.up)
app.command()(serving.down)
app.command()(serving.env)


@app.command()
def results(
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    run_id: Annotated[
        str, typer.Option("--run", metavar="ID", help="A flow run's id; last is the last run of the whole pipeline.")
    ] = "last",
    root: RootOption = None,
) -> None:
    """Show what the last run of the pipeline came to."""
    from rich.console import Console

    from flows.newer import newer_runs
    from flows.results import print_result, read_result

    root = runtime_from(root=root).root
    for line in newer_runs(root) if run_id == "last" else ():
        typer.echo(f"r1vl: {line}", err=True)
    result = read_result(root, run_id)
    if as_json:
        typer.echo(json.dumps(result.as_plain(), indent=1))
    else:
        print_result(Console(), result, {"report": result.report} if result.report else {})


@app.command()
def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What to ask about the picture.")],
    image: Annotated[Path, typer.Option("--image", metavar="FILE", help="The picture (PNG, JPEG, WEBP).")],
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="FOLDER", help="A checkpoint's folder, or r1vl-tiny.  [default: the StepGRPO policy made last]"),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt", metavar="NAME", help=f"{' or '.join(prompt_names())}.  [default: the policy's own; reasoning with --model]"
        ),
    ] = None,
    root: RootOption = None,
) -> None:
    """Have a trained policy answer a question on a picture. The sections of its reasoning are shown apart."""
    runtime = runtime_from(root=root)
    from flows.asking import print_answer

    print_answer(runtime, question, image, model, prompt)


app.command(epilog=FIELDS)(tools.reward)
app.command()(tools.score)
app.command("eval")(tools.evaluate)
app.command()(tools.compare)
app.command("eval-page")(tools.eval_page)
app.command()(tools.audit_rewards)


@app.command()
def sql(
    query: Annotated[
        str | None, typer.Argument(metavar="QUERY", help="One SELECT.  [default: list the tables with their columns and rows]")
    ] = None,
    artifact: Annotated[
        str | None,
        typer.Option(
            "--artifact",
            metavar="STAGE",
            help="The stage whose artifact is asked; benchmarks: an evaluation of `r1vl eval`.  [default: the curated questions]",
        ),
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="ID",
            help="The flow run it belongs to; last is the last; of benchmarks a RUN of `r1vl compare`.  [default: made last]",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a row.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated, with a header.")] = False,
    root: RootOption = None,
) -> None:
    """Ask in SQL what a stage made. Questions, key steps and rejected records, or by --artifact rollouts, rewards, verdicts; read-only."""
    if as_json and as_csv:
        raise ValueError("--json and --csv: give one of them")
    from flows.querying import print_answer as answer

    answer(runtime_from(root=root).root, artifact, run_id, query, "json" if as_json else "csv" if as_csv else "table")


app.command()(tools.unpack)
app.command()(tools.world)
app.command()(tools.tiny_base)


@app.command()
def doctor(
    look: Annotated[bool, typer.Option("--look", help="Only say what is wrong, and exit with 1 if anything is; mend nothing.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte of every artifact (about a second a gigabyte).")] = False,
    root: RootOption = None,
) -> None:
    """Find and mend what a crash left. Runs nobody works on any more, broken artifacts, leftover builds, dead servers."""
    runtime = runtime_from(root=root)
    from flows.doctor import examine

    examined = examine(runtime.root, mend=not look, deep=deep)
    for line in (*(finding.text for finding in examined.found), *examined.unseen, examined.verdict()):
        typer.echo(line)
    if not all(finding.mended for finding in examined.found):
        raise typer.Exit(1)


def main() -> None:
    """Run the command; turn what went wrong into one line and an exit status."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun with & by a shell: what we start must not inherit that
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(exit_status(app))


if __name__ == "__main__":
    main()
