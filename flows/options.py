"""The options that several commands of r1vl share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.choosing import preset_names
from r1vl_core.config import STAGES, Hardening, StageName
from r1vl_core.evaluation.benchmarks.rulings import Profile

RootOption = Annotated[
    Path | None, typer.Option("--root", metavar="FOLDER", help="Folder all state lives in.  [default: R1VL_ROOT, else .r1vl]")
]

PresetArgument = Annotated[
    str, typer.Argument(metavar="PRESET", help=f"A bundled preset ({', '.join(preset_names())}) or the path of a .toml file.")
]

SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, e.g. stepgrpo.group_size=8; repeatable.")
]

SeedOption = Annotated[
    int | None,
    typer.Option("--seed", min=0, metavar="N", help="Seed of data order, sampling and initial state.  [default: the preset's]"),
]

UntilOption = Annotated[
    StageName | None,
    typer.Option(
        "--until", metavar="STAGE", help=f"The last stage, with all it stands on: {', '.join(STAGES)}.  [default: the whole pipeline]"
    ),
]

RunArgument = Annotated[
    str | None, typer.Argument(metavar="RUN", help="A run's id or name.  [default: the newest that still goes, else the newest]")
]

ForceOption = Annotated[bool, typer.Option("--force", help="Rebuild the stage named by --until; without it, every stage.")]

QuestionsOption = Annotated[
    Path,
    typer.Option(
        "--questions",
        metavar="FILE",
        help="JSON lines with id, question, answer, key_steps (and choices), R1-VL-10K, or a DuckDB file of ours; - is the standard input.",
    ),
]

ProfileOption = Annotated[
    Profile,
    typer.Option("--profile", metavar="NAME", help="VLMEvalKit's state of 2024 (paper) or 2026 (current), or our own reading (strict)."),
]

AlphaOption = Annotated[
    float, typer.Option("--alpha", min=0.0, max=1e6, metavar="WEIGHT", help="Weight of the matched key steps in StepRAR.")
]

JudgeOption = Annotated[
    str | None,
    typer.Option("--judge", metavar="URL", help="An OpenAI-compatible endpoint that is asked where no rule decides.  [default: none]"),
]

JudgeModelOption = Annotated[
    str | None, typer.Option("--judge-model", metavar="NAME", help="The judge's model; its key is R1VL_JUDGE_API_KEY in the environment.")
]

JudgeSetOption = Annotated[
    list[str] | None,
    typer.Option("--judge-set", metavar="KEY=VALUE", help="A setting of the judge, e.g. concurrency=16 or max_tokens=1000000; repeatable."),
]

HARDENINGS = "none: the paper's rewards; strict: those harder to fool"

HardeningOption = Annotated[Hardening, typer.Option("--hardening", metavar="NAME", help=f"{HARDENINGS}.")]
