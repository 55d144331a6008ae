"""How long `r1vl eval` takes with a file of a gigabyte, and how much memory all its processes take together.

`python tests/benchmarks/evaluation_memory.py [LIMIT…]` writes an MMStar file of 500 rows, each with a picture of 1.5 MB, has r1vl-tiny
answer the first LIMIT rows (20, then all) in eight tokens, and prints seconds and the peak of their proportional memory.
"""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import psutil
from PIL import Image

from r1vl_core.evaluation.published import FILES
from tests.core.evaluation.benchmarks.files import ROWS

NUM_ROWS = 500
SIDE = 725
"""Pixels; noise of that size is a PNG of 1.5 MB, and 2 MB of base64."""


def write_file(path: Path) -> None:
    """Rows as MMStar's; a picture differs from the others in what follows its end."""
    drawn = io.BytesIO()
    noise = [Image.effect_noise((SIDE, SIDE), sigma) for sigma in (60, 80, 100)]
    Image.merge("RGB", noise).save(drawn, "png")
    cells = ROWS["mmstar"]
    with path.open("w", encoding="utf-8") as file:
        file.write("\t".join(f'"{name}"' for name in ("index", "image", *cells)) + "\n")
        for number in range(NUM_ROWS):
            picture = base64.b64encode(drawn.getvalue() + str(number).encode()).decode()
            file.write("\t".join(f'"{cell}"' for cell in (str(number), picture, *cells.values())) + "\n")


def watch(process: subprocess.Popen[bytes], peaks: list[int]) -> None:
    """Note the proportional memory of the process and all below it, five times a second."""
    above = psutil.Process(process.pid)
    while process.poll() is None:
        together = 0
        with suppress(psutil.NoSuchProcess):
            for each in (above, *above.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    together += each.memory_full_info().pss
        peaks.append(together)
        time.sleep(0.2)


def measure(folder: Path, root: Path, limit: int) -> tuple[float, int]:
    """Seconds, and peak MB of all processes together."""
    command = [sys.executable, "-m", "flows", "eval", "r1vl-tiny", "--benchmarks", "mmstar", "--data-dir", str(folder), "--root", str(root)]
    command += ["--limit", str(limit), "--max-new-tokens", "8", "--json"]
    peaks: list[int] = []
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "R1VL_DEVICE": "cpu", "HF_HUB_OFFLINE": "1"}) as process:
        watcher = threading.Thread(target=watch, args=(process, peaks))
        watcher.start()
        process.wait()
        watcher.join()
    assert process.returncode == 0, command
    return time.perf_counter() - started, max(peaks) // 2**20


def main(limits: list[int]) -> None:
    """Print a line for each limit."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        write_file(data / FILES["mmstar"])
        print(f"{(data / FILES['mmstar']).stat().st_size / 1e9:.2f} GB\n{'rows':>6} {'seconds':>8} {'MB':>6}")
        for limit in limits:
            seconds, peak = measure(data, data / f"root-{limit}", limit)
            print(f"{limit:>6} {seconds:>8.1f} {peak:>6}", flush=True)


if __name__ == "__main__":
    main([int(limit) for limit in sys.argv[1:]] or [20, NUM_ROWS])
