"""Seconds and memory of an optimiser step, beside TRL's on the same work: `python tests/benchmarks/step_time.py [SET …]`.

The first call builds an environment for both sides (TRL needs torchvision, hence a torch of its own, some gigabytes) in `--venv`.
Each case runs in fresh processes in turn, ours, TRL's, ours, TRL's; a step of warm-up in each is left out, medians are printed.
Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import venv
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.step_cases import GROUPS, HEADLINE, LENGTHS, MEMORY, Case

PACKAGES = (
    *("torch==2.14.1", "torchvision==0.29.1", "trl==1.16.0", "transformers==5.23.0", "accelerate", "datasets", "pillow"),
    *("scikit-learn", "duckdb", "polars", "pydantic", "math-verify", "matplotlib"),
)
SETS = {"headline": HEADLINE, "memory": MEMORY, "groups": GROUPS, "lengths": LENGTHS}
SIDES = ("ours", "trl")


def main() -> None:
    """Measure the sets of cases asked for, print a Markdown table of each, and write all figures and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "sets", nargs="*", default=["headline", "memory"], help=f"which cases: {', '.join(SETS)}  [default: headline memory]"
    )
    parser.add_argument("--venv", type=Path, default=Path(".r1vl-peer"), help="the environment of both sides, built if absent")
    parser.add_argument("--rounds", type=int, default=2, help="processes a side and case")
    parser.add_argument("--out", type=Path, help="folder for figures.json and the plots")
    options = parser.parse_args()
    if unknown := [name for name in options.sets if name not in SETS]:
        parser.error(f"no set of cases named {unknown[0]}; there are {', '.join(SETS)}")
    python = environment(options.venv)
    print(f"{cpu_name()}, {len(os.sched_getaffinity(0))} threads; {', '.join(PACKAGES[:4])}")
    figures: dict[str, Any] = {}
    for name in options.sets:
        figures[name] = [measure(python, case, options.rounds) for case in SETS[name]]
        print("\n".join(table(figures[name])), flush=True)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "figures.json").write_text(json.dumps(figures, indent=1))
        if {"groups", "lengths"} & figures.keys():
            plots = Path(__file__).with_name("step_plots.py")
            subprocess.run([python, plots, options.out], check=True)


def environment(folder: Path) -> Path:
    """The interpreter both sides run in."""
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
        (folder / "complete").touch()
    return python.absolute()


def measure(python: Path, case: Case, rounds: int) -> dict[str, Any]:
    """Medians of both sides over all steps of all rounds."""
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side in SIDES:
            runs[side].append(run(python, side, case))
    first = [runs[side][0]["prompt_tokens"] for side in SIDES]
    assert first[0] == first[1], f"{case.name}: the sides see prompts of different length: {first}"
    return {"case": asdict(case), "prompt_tokens": first[0], **{side: summary(runs[side]) for side in SIDES}}


def run(python: Path, side: str, case: Case) -> dict[str, Any]:
    """One process of one side."""
    command = [python, Path(__file__).with_name("step_sides.py"), side, json.dumps(asdict(case))]
    # A short spin on both sides: threads that wait by spinning make either side many times slower as soon as a core is shared.
    environ = {"GOMP_SPINCOUNT": "5000", **os.environ}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side}, {case.name}: exit status {done.returncode}\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def summary(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Medians over steps; memory is the largest of the runs, in MB."""
    return {
        "wall": median(second for run in runs for second in run["wall"]),
        "cpu": median(second for run in runs for second in run["cpu"]),
        "peak_mb": max(run["peak_mb"] for run in runs),
        "above_mb": max(run["above_mb"] for run in runs),
        "mean_tokens": median(run["mean_tokens"] for run in runs),
    }


def table(rows: list[dict[str, Any]]) -> list[str]:
    """A Markdown table of ours against TRL's."""
    lines = [
        "",
        "| case | P x M | prompt | wall s, ours | wall s, TRL | ratio | CPU s, ours | CPU s, TRL | ratio | MB above start | TRL |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        us, them, case = row["ours"], row["trl"], row["case"]
        cells = [case["name"], f"{case['num_questions']} x {case['group_size']}", str(row["prompt_tokens"])]
        for clock in ("wall", "cpu"):
            cells += [f"{us[clock]:.2f}", f"{them[clock]:.2f}", f"**{them[clock] / us[clock]:.2f}**"]
        cells += [f"{us['above_mb']:,.0f}", f"{them['above_mb']:,.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def cpu_name() -> str:
    """The processor's name where Linux tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor() or "CPU")


if __name__ == "__main__":
    main()
