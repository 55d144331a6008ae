"""`r1vl key-steps`: a question's key steps looked at, all of them counted, taken out and brought in, and what a teacher would cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.choosing import choose, parse_settings
from flows.commands import Commands
from flows.options import PresetArgument, RootOption, SeedOption, SetOption
from flows.runtime import runtime_from

app = Commands(name="key-steps", help="Look at key steps, carry them out and in. What a teacher would cost, too.")

RunOption = Annotated[
    str | None, typer.Option("--run", metavar="ID", help="The flow run they belong to; last is the last.  [default: made last]")
]


@app.command()
def show(
    question: Annotated[str, typer.Argument(metavar="ID", help="The question's id or its beginning, or the id it has in its source.")],
    run: RunOption = None,
    root: RootOption = None,
) -> None:
    """Print one question's key steps. With their forms, the picture's path and the reference path."""
    from flows.key_steps_shown import print_question

    print_question(runtime_from(root=root).root, run, question)


@app.command()
def stats(
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
    run: RunOption = None,
    root: RootOption = None,
) -> None:
    """Count them. Per source, steps a question, forms a step, what was set aside and why, and what a teacher cost."""
    from flows.key_steps_shown import count_key_steps, print_counts

    counts = count_key_steps(runtime_from(root=root).root, run)
    if as_json:
        typer.echo(json.dumps(counts, indent=1))
    else:
        print_counts(counts)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file: JSON lines in the format of R1-VL-10K, with ids.")],
    run: RunOption = None,
    root: RootOption = None,
) -> None:
    """Write all as JSON lines. With their questions; `r1vl key-steps import` takes them back."""
    from flows.key_steps_shown import export_questions

    typer.echo(f"{file}: {export_questions(runtime_from(root=root).root, run, file)} questions")


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines in the format of R1-VL-10K, or with id and key_steps.")],
    preset: PresetArgument = "tiny",
    settings: SetOption = None,
    root: RootOption = None,
) -> None:
    """Build the stage with a file's key steps. They are laid over a preset's curated questions, by id or by picture and wording.

    An id may be ours or the source's own. The same as `r1vl run PRESET --until key_steps --set key_steps.laid_over=FILE`, which later runs
    need too. Every key step is held against the question's reference path; questions that the file leaves out keep what they had or are
    extracted. What is left out of the file is counted by its reason, and kept among the rejected rows.
    """
    runtime = runtime_from(root=root)
    overrides = {**parse_settings(settings or []), "key_steps.laid_over": str(file.expanduser().absolute())}
    choose(preset, overrides, None)  # a mistake is told before anything starts
    from r1vl_core.data.given import read_given

    read_given(file)
    from flows.here import run_here

    run_here(runtime.root, {"preset": preset, "overrides": overrides, "until": "key_steps"})


@app.command()
def estimate(
    preset: PresetArgument,
    sample: Annotated[int, typer.Option("--sample", min=1, metavar="N", help="Questions that are really asked, and paid for once.")] = 20,
    settings: SetOption = None,
    seed: SeedOption = None,
    root: RootOption = None,
) -> None:
    """Say what a teacher would cost. By asking the preset's a sample of the questions; its answers are kept for the run itself."""
    runtime = runtime_from(root=root)
    chosen = choose(preset, parse_settings(settings or []), seed)
    from flows.estimating import print_estimate

    print_estimate(runtime, chosen, sample)
