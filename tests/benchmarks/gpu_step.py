"""An optimiser step at the shapes of Qwen2-VL-2B and -7B, phase by phase, beside the least it could take.

`python tests/benchmarks/gpu_step.py`: one command on a machine with a GPU, without any network. Weights are random, made on the device from
a configuration that is kept in the code; end tokens are masked, so that every path has 512 tokens; 16 x 4 and 32 x 8 paths, bf16, SDPA,
prompts of about 700 tokens. Each side of each case is a process of its own; a step of warm-up in each is left out, medians are printed.
Nothing here passes or fails.

Printed are seconds of the phases (encode: pictures and text on the host; prefill: vision tower and prompts, once a question; decode;
reward; reference; update) and of the whole step, sampled tokens a second, peak memory on the device, and below each the floor, whose
formula is in `step_floor.py`. A GPU that is not known there needs `--peak TERAFLOPS TERABYTES`, bf16 operations and bytes a second.
Ours decodes once kernel by kernel and once in CUDA graphs (`R1VL_DECODE`; on a CPU the same steps of fixed shape, not recorded).
`--peer` measures TRL's GRPOTrainer with its Hugging Face generation on the same work as well, in the same environment; TRL's phases are not
told apart. `--shape tiny` goes the same way on a CPU in seconds.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.step_cases import SHAPES, Case
from tests.benchmarks.step_time import run

PHASES = ("encode", "prefill", "decode", "reward", "reference", "update")
NAMES = {"ours": "ours", "graphs": "ours in graphs", "trl": "TRL"}


def main() -> None:
    """Measure the cases of the shapes asked for, print a Markdown table, and write all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", action="append", choices=SHAPES, help="may be given again  [default: 2b 7b]")
    parser.add_argument("--peer", action="store_true", help="measure TRL as well")
    parser.add_argument("--peak", nargs=2, type=float, metavar=("TERAFLOPS", "TERABYTES"), help="of this device, a second")
    parser.add_argument("--out", type=Path, help="folder for gpu_step.json")
    options = parser.parse_args()
    if options.peer and importlib.util.find_spec("trl") is None:
        parser.error("--peer needs trl in this environment; pip install trl (it takes datasets with it)")
    if options.peak:
        os.environ["PEAK"] = " ".join(map(str, options.peak))
    cases = [case for shape in options.shape or ("2b", "7b") for case in SHAPES[shape]]
    sides = ("ours", "graphs", *(("trl",) if options.peer else ()))
    rows = []
    for case in cases:
        rows.append({"case": asdict(case), **{side: run(Path(sys.executable), side, case) for side in sides}})
        print("\n".join(table(rows) if len(rows) == 1 else table(rows[-1:])[2:]), flush=True)
    first = rows[0]["ours"]
    print(f"\n{first['device']}, torch {first['torch']}")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "gpu_step.json").write_text(json.dumps(rows, indent=1))


def table(rows: list[dict[str, Any]]) -> list[str]:
    """A Markdown table: each side's seconds, and the floor's."""
    lines = [f"| case | prompt | {' | '.join(PHASES)} | step | tokens/s | peak GB |", "|---" * (len(PHASES) + 5) + "|"]
    for row in rows:
        case = Case(**row["case"])
        for side in [name for name in row if name != "case"]:
            lines.append(line(f"{case.name}, {NAMES[side]}", row[side], step_of(case, row[side])))
        if row["ours"]["floor"]:
            lines.append(line("its floor", None, row["ours"]["floor"]))
    return lines


def step_of(case: Case, facts: dict[str, Any]) -> dict[str, float]:
    """Medians over steps: seconds by phase, where the side tells them, and of all; sampled tokens a second; peak memory."""
    phases = {name: median(step[name] for step in facts["phases"]) for name in PHASES} if "phases" in facts else {}
    step = median(facts["wall"])
    tokens = case.num_questions * case.group_size * facts["mean_tokens"]
    return {**phases, "step": step, "tokens_per_second": tokens / step, "peak_gb": facts["peak_mb"] / 1024}


def line(name: str, facts: dict[str, Any] | None, found: dict[str, float]) -> str:
    """A row of the table; what is not known is a dash."""
    cells = [name, str(facts["prompt_tokens"]) if facts else ""]
    cells += [f"{found[column]:.3f}" if column in found else "–" for column in (*PHASES, "step")]
    cells += [f"{found[column]:,.1f}" if column in found else "" for column in ("tokens_per_second", "peak_gb")]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
