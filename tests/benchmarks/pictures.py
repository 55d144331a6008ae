"""Pictures: how fast they are checked beside Pillow's own decoding of the same files, and how far apart the hashes of their looks are.

    python tests/benchmarks/pictures.py speed --num 1000
    python tests/benchmarks/pictures.py looks

`speed` makes JPEGs of 640x480 and runs each row of its table in a process of its own, rounds in turn; the least of
the rounds, for other work on the cores only ever adds.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

sys.path.insert(0, str(Path(__file__).parents[2]))

from r1vl_core.data.image_checker import ImageChecker, read_contents
from r1vl_core.data.images import CheckedImage, ImageLimits
from r1vl_core.data.perceptual import differing_bits, perceptual_hash
from r1vl_core.data.shards import Processes, cut
from tasks.image_memory import StoredImageMemory
from tests.core.data.looks import board, chart, drawing, photo

LIMITS = ImageLimits(min_side=28, max_pixels=50_000_000)
ROUNDS = 5
KINDS = {"boards": (board, 1500), "photographs": (photo, 150), "charts": (chart, 300), "drawings": (drawing, 300)}
CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG 75": lambda image: _encoded(image, "JPEG", 75),
    "JPEG 40": lambda image: _encoded(image, "JPEG", 40),
    "WebP 60": lambda image: _encoded(image, "WEBP", 60),
    "half": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC),
    "double": lambda image: image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC),
    "15 % darker": lambda image: ImageEnhance.Brightness(image).enhance(0.85),
    "10 % lighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
}


def decode_alone(files: Sequence[Path]) -> int:
    """What Pillow takes to decode the files: read, decode, make it RGB."""
    for file in files:
        with Image.open(io.BytesIO(file.read_bytes())) as image:
            image.convert("RGB")
    return len(files)


def measure(files: Sequence[Path]) -> int:
    """The same files decoded and measured by us, as a worker of curation does it."""
    return sum(not content.reason for content in read_contents(files, LIMITS.max_pixels))


def in_processes(function: Callable[[Sequence[Path]], int], files: Sequence[Path], num_workers: int) -> int:
    """Either of them over all files."""
    with Processes(num_workers) as processes:
        return sum(processes.map(function, cut(files, ImageChecker.SHARD)))


def check(files: Sequence[Path], num_workers: int) -> int:
    """What curation does: find, recall, decode, remember, hold against the limits."""
    memory = StoredImageMemory(files[0].parent.parent / "digests.sqlite")
    with ImageChecker(LIMITS, num_workers, memory=memory) as checker:
        found = checker.check([(file.parent, file.name) for file in files])
    return sum(isinstance(one, CheckedImage) for one in found)


ROWS: dict[str, Callable[[Sequence[Path]], int]] = {
    "Pillow's decoding, 1 process": lambda files: in_processes(decode_alone, files, 1),
    "decoded and measured, 1 process": lambda files: in_processes(measure, files, 1),
    "Pillow's decoding, 2 processes": lambda files: in_processes(decode_alone, files, 2),
    "decoded and measured, 2 processes": lambda files: in_processes(measure, files, 2),
    "curation's check, 2 processes, first time": lambda files: check(files, 2),
    "curation's check, 2 processes, again": lambda files: check(files, 2),
}


def speed(num_pictures: int) -> None:
    """Print the table of speeds."""
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        images.mkdir()
        photos = [np.asarray(photo(seed)) for seed in range(50)]
        for number in range(num_pictures):  # no two alike, without the time that so many photographs would take to make
            turned = np.roll(photos[number % len(photos)], number, axis=1)
            Image.fromarray(turned).save(images / f"{number:06}.jpg", quality=85)
        size = statistics.mean(file.stat().st_size for file in images.iterdir())
        print(f"{num_pictures} JPEGs of 640x480, {size / 1000:.0f} kB on average, the least of {ROUNDS} rounds\n")
        taken: dict[str, list[dict[str, float]]] = {name: [] for name in ROWS}
        for _ in range(ROUNDS):
            (Path(folder) / "digests.sqlite").unlink(missing_ok=True)
            for name in ROWS:
                command = [sys.executable, __file__, "row", "--name", name, "--images", str(images)]
                taken[name].append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    print("| | wall s | CPU s | pictures a second | pictures a CPU second | peak MB of a process |\n|---|---|---|---|---|---|")
    for name, rounds in taken.items():
        wall, cpu, peak = (min(one[key] for one in rounds) for key in ("wall", "cpu", "peak"))
        print(f"| {name} | {wall:.2f} | {cpu:.2f} | {num_pictures / wall:.0f} | {num_pictures / cpu:.0f} | {peak:.0f} |")


def row(name: str, images: Path) -> None:
    """One row, in this process; prints what it took."""
    files = sorted(images.iterdir())
    wall, cpu = time.perf_counter(), _cpu()
    assert ROWS[name](files) == len(files)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1000
    print(json.dumps({"wall": time.perf_counter() - wall, "cpu": _cpu() - cpu, "peak": peak}))


def looks() -> None:
    """Print how many bits differ between other pictures of a kind, and between a picture and itself changed."""
    print("| other pictures of a kind | pairs | least | 0.1 % of pairs below | median | pairs within 4 bits |\n|---|---|---|---|---|---|")
    distances = {kind: _distances([perceptual_hash(make(seed)) for seed in range(number)]) for kind, (make, number) in KINDS.items()}
    apart = [differing_bits(perceptual_hash(one), perceptual_hash(other)) for one, other in map(one_digit_apart, range(1000))]
    for kind, bits in {**distances, "one board, one other digit": np.array(apart)}.items():
        low, middle = np.quantile(bits, 0.001), np.median(bits)
        print(f"| {kind} | {len(bits)} | {bits.min()} | {low:.0f} | {middle:.0f} | {(bits <= 4).mean():.3%} |")
    print(f"\n| the same picture, changed: mean and most bits | {' | '.join(CHANGES)} |\n|---|{'---|' * len(CHANGES)}")
    for kind, (make, _) in KINDS.items():
        cells = []
        for change in CHANGES.values():
            pairs = [(image, change(image)) for image in map(make, range(100))]
            bits = [differing_bits(perceptual_hash(one), perceptual_hash(other)) for one, other in pairs]
            cells.append(f"{statistics.mean(bits):.1f}, {max(bits)}")
        print(f"| {kind} | {' | '.join(cells)} |")


def one_digit_apart(seed: int) -> tuple[Image.Image, Image.Image]:
    """A board, and the same with another digit in one cell."""
    from r1vl_core.handwriting.boards import draw_board, render_board  # brings scikit-learn, which `speed` need not load

    rng = np.random.default_rng(seed)
    one, donor = draw_board(rng, 2 + seed % 2, "train"), draw_board(rng, 2, "train")
    cell = int(rng.integers(len(one.glyphs)))
    glyphs = (*one.glyphs[:cell], donor.glyphs[0], *one.glyphs[cell + 1 :])
    return render_board(one, np.random.default_rng(0)), render_board(replace(one, glyphs=glyphs), np.random.default_rng(0))


def _distances(hashes: list[int]) -> np.ndarray:
    return np.array([differing_bits(one, other) for place, one in enumerate(hashes) for other in hashes[:place]])


def _encoded(image: Image.Image, kind: str, quality: int) -> Image.Image:
    out = io.BytesIO()
    image.save(out, kind, quality=quality)
    return Image.open(out).convert("RGB")


def _cpu() -> float:
    """Seconds of processor time, workers that have ended included."""
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def main() -> None:
    """Print the table that was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("table", choices=("speed", "looks", "row"))
    parser.add_argument("--num", type=int, default=1000, help="pictures")
    parser.add_argument("--name", help="of the row, with `row`")
    parser.add_argument("--images", type=Path, help="folder of the pictures, with `row`")
    options = parser.parse_args()
    if options.table == "speed":
        speed(options.num)
    elif options.table == "looks":
        looks()
    else:
        row(options.name, options.images)


if __name__ == "__main__":
    main()
