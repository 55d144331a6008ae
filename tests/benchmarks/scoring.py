"""How long scoring the eight benchmarks at full size takes, and how much memory a file of a gigabyte.

`python tests/benchmarks/scoring.py [paper|current|strict]` writes files with the sizes of the real ones and responses of a plausible mix
(half of them right), scores each by the r1vl command, and prints seconds and peak memory.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from r1vl_core.evaluation.benchmarks.mme import PERCEPTION, REASONING
from tests.core.evaluation.benchmarks.files import ROWS, write

SIZES = {
    "mathvista": 1000,
    "mmstar": 1500,
    "mathvision": 3040,
    "chartqa": 2500,
    "dynamath": 5010,
    "hallusionbench": 951,
    "mathverse": 3940,
    "mme": 2374,
}
STEPS = (
    "### Image Description:\nA figure.\n### Rationales:\nWe compute.\n### Let's think step by step.\n"
    + "### Step 1: 3 + 4 = 7, so it goes on.\n" * 12
)
WRONG = [
    "\\frac{#}{3}",
    "12\\sqrt{#}",
    "#",
    "x = #",
    "# cm",
    "(#, 3)",
    "\\boxed{#}",
    "No",
    "I cannot see that",
    "C",
    "#\\pi",
    "0.#",
    "#^\\circ",
]
GIGABYTE = 1_000_000_000
NUM_LARGE = 500


def row(name: str, number: int) -> dict[str, str]:
    """A row like the benchmark's, its gold answers as varied."""
    cells = dict(ROWS[name])
    if name == "mathvision":
        cells |= {"answer": str(number)} if number % 2 else {"answer": "B", "choices": "['12', '16', '18', '20', '24']"}
    elif name == "mathvista":
        cells |= {"answer": str(number + 1)}
    elif name == "dynamath":
        cells |= {"qid": str(number // 10 * 10), "varid": str(number % 10 + 1), "answer": f"{number}.5"}
    elif name == "hallusionbench":
        cells |= {"index": f"VD_figure_1_{number // 12}_{number // 3 % 4}_{number % 3}_{number}"}
    elif name == "mme":
        cells |= {"category": (PERCEPTION + REASONING)[number // 2 % 14], "image_path": f"{number // 2}.png"}
    return cells


def responses(path: Path, rows: list[dict[str, str]]) -> Path:
    """One response a row: half right, half wrong, one in twenty without the marker."""
    chance = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for number, cells in enumerate(rows):
            answer = cells["answer"] if chance.random() < 0.5 else chance.choice(WRONG).replace("#", str(chance.randrange(10**6)))
            text = STEPS + ("so it is " if chance.random() < 0.05 else "### The final answer is: ") + answer
            print(json.dumps({"index": cells.get("index", str(number)), "response": text}), file=file)
    return path


def measure(name: str, data: Path, given: Path, profile: str) -> tuple[float, int]:
    """Seconds and peak resident memory in MB of one `r1vl score`, its helpers not counted in the latter."""
    command = [sys.executable, "-m", "flows", "score", name, "--data", str(data), "--responses", str(given), "--profile", profile, "--json"]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, name
    return time.perf_counter() - started, usage.ru_maxrss // 1024


def main(profile: str) -> None:
    total = 0.0
    print(f"{profile}\n{'benchmark':<16} {'rows':>6} {'seconds':>8} {'MB':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for name, size in SIZES.items():
            rows = [row(name, number) for number in range(size)]
            data, given = write(Path(folder, f"{name}.tsv"), rows), responses(Path(folder, f"{name}.jsonl"), rows)
            seconds, peak = measure(name, data, given, profile)
            total += seconds
            print(f"{name:<16} {size:>6} {seconds:>8.1f} {peak:>6}", flush=True)
        print(f"{'all':<16} {sum(SIZES.values()):>6} {total:>8.1f}")
        picture = "A" * (GIGABYTE // NUM_LARGE)  # one object: what this process holds would count as the child's
        rows = [{**row("chartqa", number), "image": picture} for number in range(NUM_LARGE)]
        data, given = write(Path(folder, "large.tsv"), rows), responses(Path(folder, "large.jsonl"), rows)
        seconds, peak = measure("chartqa", data, given, profile)
        print(f"{'chartqa, 1 GB':<16} {NUM_LARGE:>6} {seconds:>8.1f} {peak:>6}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "paper")
