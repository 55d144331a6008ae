"""Commands of r1vl that stand beside the pipeline: they need no run of it, and bring none up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.options import (
    HARDENINGS,
    AlphaOption,
    HardeningOption,
    JudgeModelOption,
    JudgeOption,
    JudgeSetOption,
    ProfileOption,
    QuestionsOption,
    RootOption,
)
from flows.runtime import runtime_from
from r1vl_core.config import Hardening, World
from r1vl_core.evaluation.benchmarks.rulings import BENCHMARKS, Profile
from r1vl_core.prompts import prompt_names


def reward(
    questions: QuestionsOption,
    responses: Annotated[
        Path, typer.Option("--responses", metavar="FILE", help='JSON lines {"id": …, "response": …}; - is the standard input.')
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a response.")] = False,
    alpha: AlphaOption = 0.1,
    hardening: HardeningOption = "none",
) -> None:
    """Score responses offline, one line a response. StepRAR, StepRVR and everything that explains them."""
    from flows.scoring import print_rewards

    print_rewards(questions, responses, as_json=as_json, alpha=alpha, hardening=hardening)


def score(
    benchmark: Annotated[str, typer.Argument(metavar="BENCHMARK", help=f"One of {', '.join(BENCHMARKS)}.")],
    data: Annotated[Path, typer.Option("--data", metavar="FILE", help="The benchmark's TSV.")],
    responses: Annotated[
        Path, typer.Option("--responses", metavar="FILE", help='JSON lines {"index": …, "response": …}, the responses raw.')
    ],
    profile: ProfileOption = "paper",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    rows: Annotated[Path | None, typer.Option("--rows", metavar="FILE", help="Write each row's verdict there, as JSON lines.")] = None,
    judge: JudgeOption = None,
    judge_model: JudgeModelOption = None,
    judge_settings: JudgeSetOption = None,
    root: RootOption = None,
) -> None:
    """Score responses to a benchmark. No model: the published number, and every table behind it; no judge unless you name one."""
    from flows.benchmark_scores import print_score
    from flows.judging import asking, judge_dials

    dials = judge_dials(judge, judge_model, judge_settings or [], profile)
    ask = asking(dials, runtime_from(root=root).root) if dials else None
    print_score(benchmark, data, responses, profile, as_json=as_json, rows=rows, judge=ask)


def compare(
    first: Annotated[str | None, typer.Argument(metavar="RUN", help="As described above.  [default: the last run of the pipeline]")] = None,
    second: Annotated[
        str | None, typer.Argument(metavar="RUN", help="The one that may be better.  [default: the pipeline run's other policy]")
    ] = None,
    profile: Annotated[
        Profile | None,
        typer.Option(
            "--profile",
            metavar="NAME",
            help="paper, current or strict.  [default: paper for evaluations of `r1vl eval`; others have one of their own]",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with the rows gained and lost.")] = False,
    root: RootOption = None,
) -> None:
    """Say whether one policy is better than another. Paired on common rows: difference, 95 % interval and p-value by benchmark.

    A RUN is an evaluation's key or digest (its first letters will do), the name of a preset or model (its newest evaluation), a pipeline
    run's id, its name or last (RUN:warmup for its warm-up policy), a folder or DuckDB file, or what `r1vl score --rows` wrote.
    """
    from flows.comparing import print_comparison

    print_comparison(runtime_from(root=root).root, first or "last", second, profile, as_json=as_json)


def evaluate(
    policy: Annotated[
        str | None,
        typer.Argument(metavar="PRESET|CHECKPOINT", help="A preset, for the StepGRPO policy its runs made last, or a checkpoint's folder."),
    ] = None,
    benchmarks: Annotated[
        str, typer.Option("--benchmarks", metavar="NAMES", help=f"Separated by commas: {', '.join(BENCHMARKS)}.")
    ] = ",".join(BENCHMARKS[:-1]),
    data_dir: Annotated[
        Path, typer.Option("--data-dir", metavar="FOLDER", help="Holds the files as VLMEvalKit names them: MathVista_MINI.tsv, …")
    ] = Path(),
    profile: ProfileOption = "paper",
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Only the first N rows of each, after --where.")] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="EXPRESSION", help="Only rows for which it is true, e.g. \"category = 'math'\".")
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, max=1024, metavar="K", help="Responses a row: pass@k and majority.")] = 1,
    temperature: Annotated[
        float | None, typer.Option("--temperature", min=0.01, max=10.0, metavar="T", help="Draw responses.  [default: greedy]")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Decides what is drawn.")] = 0,
    max_new_tokens: Annotated[
        int | None, typer.Option("--max-new-tokens", min=1, metavar="N", help="Longest response.  [default: as trained; 2048 when served]")
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option("--prompt", metavar="NAME", help=f"{' or '.join(prompt_names())}.  [default: as trained; plain when served]"),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", metavar="URL", help="Ask a served model: https://host/v1; its key: R1VL_ENDPOINT_API_KEY.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="The model's name at the endpoint.")] = None,
    endpoint_settings: Annotated[
        list[str] | None,
        typer.Option(
            "--endpoint-set",
            metavar="KEY=VALUE",
            help="concurrency=64, timeout_s, max_attempts, token_limit=max_completion_tokens, or request={…}: fields sent, null for none.",
        ),
    ] = None,
    judge: JudgeOption = None,
    judge_model: JudgeModelOption = None,
    judge_settings: JudgeSetOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    root: RootOption = None,
) -> None:
    """Have a policy answer benchmarks, and score the answers. Resumes where it was stopped; the table stands under the paper's own rows."""
    runtime = runtime_from(root=root)
    from flows.evaluating import Asked
    from flows.evaluating import evaluate as answer_and_print
    from flows.judging import judge_dials

    asked = Asked(
        *(policy, benchmarks, data_dir, where, limit, prompt, max_new_tokens, samples, temperature, seed, endpoint, model),
        endpoint_settings=tuple(endpoint_settings or ()),
    )
    answer_and_print(runtime, asked, profile, judge_dials(judge, judge_model, judge_settings or [], profile), as_json=as_json)


def eval_page(
    first: Annotated[
        str,
        typer.Argument(metavar="RUN", help="An evaluation, named as for `r1vl compare`, or what `r1vl score --rows` wrote (.jsonl)."),
    ],
    second: Annotated[
        str | None, typer.Argument(metavar="RUN", help="Another one beside it: filters for what changed.  [default: none]")
    ] = None,
    data_dir: Annotated[Path, typer.Option("--data-dir", metavar="FOLDER", help="The benchmarks' files, as for `r1vl eval`.")] = Path(),
    out: Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Where the page goes.  [default: pages/ in the root]")] = None,
    root: RootOption = None,
) -> None:
    """Make a page of every answer. Picture, prompt, response, answer found and rule; by benchmark, category, outcome and what changed."""
    from flows.browsing import make_page

    make_page(runtime_from(root=root).root, first, second, data_dir, out)


def audit_rewards(
    questions: Annotated[
        Path | None,
        typer.Option("--questions", metavar="FILE", help="As for `r1vl reward`, with reference paths.  [default: the last run's]"),
    ] = None,
    responses: Annotated[
        Path | None, typer.Option("--responses", metavar="FILE", help="A policy's responses.  [default: the last run's samples]")
    ] = None,
    hardening: Annotated[
        Hardening | None, typer.Option("--hardening", metavar="NAME", help=f"Audit one definition: {HARDENINGS}.  [default: both]")
    ] = None,
    alpha: AlphaOption = 0.1,
    limit: Annotated[int, typer.Option("--limit", min=0, metavar="N", help="Questions attacked, evenly spread; 0 means all.")] = 500,
    page: Annotated[Path | None, typer.Option("--page", metavar="FILE", help="The HTML page.  [default: audit.html in the root]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the audit as JSON.")] = False,
    root: RootOption = None,
) -> None:
    """Measure what the rewards can be fooled by. Also whether they tell right paths from wrong ones; ends in a table and a page."""
    runtime = runtime_from(root=root)
    from flows.auditing import audit_rewards as audit_and_print

    chosen: list[Hardening] = [hardening] if hardening else ["none", "strict"]
    audit_and_print(runtime.root, questions, responses, chosen, alpha=alpha, limit=limit, page=page, as_json=as_json)


def unpack(
    file: Annotated[Path, typer.Argument(help="Parquet of Hugging Face's datasets, or JSON with data: URIs.")],
    folder: Annotated[Path, typer.Argument(help="A new folder, for records.jsonl and images.")],
) -> None:
    """Write pictures that lie inside records to files. Prints the lines of a preset that read them."""
    from r1vl_core.data.unpack import PICTURES, RECORDS
    from r1vl_core.data.unpack import unpack as write

    found = write(file, folder)
    typer.echo(f"{found.num_records} records, {found.num_pictures} pictures taken out of them; in your preset:")
    typer.echo(f'[[sources]]\nname = "{file.stem}"\npath = "{folder / RECORDS}"\nimages = "{folder / PICTURES}"')


def world(
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="A new or empty folder.")],
    questions: Annotated[
        int, typer.Option("--questions", min=1, metavar="N", help="Clean training questions; planted defects come on top.")
    ] = World().num_questions,
    heldout: Annotated[int, typer.Option("--heldout", min=1, metavar="N", help="Held-out questions.")] = World().num_heldout,
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Decides boards, questions and defects.")] = World().seed,
) -> None:
    """Make a handwriting world. A Mulberry-SFT file with its images, and a VLMEvalKit TSV of held-out questions."""
    from r1vl_core.handwriting.world import make_world

    make_world(out, questions, heldout, seed)
    typer.echo(f"{out}: {questions} clean training questions, planted defects on top (planted.json), {heldout} held-out; seed {seed}")


def tiny_base(
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", file_okay=False, help="Folder for the checkpoint.")],
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Decides the initial weights and the data.")] = 0,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, metavar="N", help="Optimiser steps.  [default: what the bundled one took]")
    ] = None,
    work_dir: Annotated[
        Path | None, typer.Option("--work-dir", metavar="FOLDER", file_okay=False, help="Folder for checkpoints to resume from.")
    ] = None,
) -> None:
    """Train the tiny base model that the tiny preset starts from."""
    from flows.progress import Progress
    from r1vl_core.handwriting.tiny_base import NUM_STEPS, train_tiny_base

    show = Progress(lambda _percent, line: typer.echo(line), interval_s=5.0)
    for report in train_tiny_base(out, seed, steps or NUM_STEPS, work_dir):
        show(report.step, report.num_steps, report.metrics)
    typer.echo(f"saved to {out}")
