"""Curation at the size people have: records read, checked, deduplicated and stored a second; with CPU time and peak memory.

    python tests/benchmarks/curation.py size --records 26000 260000
    python tests/benchmarks/curation.py datasets --records 26000

`size` measures the whole of curation but for pictures, of which there are 64; `datasets` measures the part that Hugging Face `datasets`
can do as well (load the JSON, map with the same parser, filter, write Parquet) beside it, in an environment that the first call makes.
Every measurement is a process of its own; memory is that of the process and of all it started, sampled twice a second.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

    from r1vl_core.data.slices import Slice

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

PEER = ROOT / ".r1vl-peer-datasets"
PEER_PACKAGES = ("datasets>=4,<5", "psutil")
COLUMNS = ("text", "answer", "path", "image")


def curate_whole(folder: Path, num_workers: int) -> dict[str, Any]:
    """All of curation into a database."""
    from r1vl_core.config import Curate, Source
    from r1vl_core.data import curate, database
    from r1vl_core.policy.model import load_policy
    from r1vl_core.records import asked
    from tasks.image_memory import StoredImageMemory

    policy = load_policy("r1vl-tiny", prompt="reasoning", max_pixels=400_000, weights=False)
    source = Source(name="mulberry", path=folder / "mulberry_sft.json", images=folder / "images")
    checks = curate.Checks(
        Curate(language="en", max_prompt_tokens=4096, max_path_tokens=1800),
        {"mulberry": source.images},
        lambda question, width, height: policy.count_prompt_tokens(asked(question.text, question.choices), width, height),
        policy.count_path_tokens,
        (),
        policy.tokenizer_json,
    )
    with tempfile.TemporaryDirectory(dir=folder) as out:
        path, memory = Path(out) / "curated.duckdb", StoredImageMemory(Path(out) / "digests.sqlite")
        started = time.perf_counter()
        database.write_curated(path, curate.curate([source], checks, num_workers=num_workers, memory=memory), [source])
        seconds = time.perf_counter() - started
        counts = database.counts(path)
        return {"seconds": seconds, "read": counts.num_read, "digest": database.content_digest(path), "reasons": counts.rejected_by_reason}


def text_to_parquet(folder: Path, num_workers: int) -> dict[str, Any]:
    """The text part alone: read, parse, filter, write Parquet. Slices and checks are curation's own; what would be a question comes back
    from the workers with the four columns that are written, not with all that later checks want."""
    import pyarrow
    import pyarrow.parquet

    from r1vl_core.config import Source
    from r1vl_core.data.shards import Processes
    from r1vl_core.data.sources import cut

    source = Source(name="mulberry", path=folder / "mulberry_sft.json", images=folder / "images")
    schema = pyarrow.schema([(name, pyarrow.string()) for name in COLUMNS])
    kept = 0
    started = time.perf_counter()
    with Processes(num_workers) as processes, pyarrow.parquet.ParquetWriter(folder / "ours.parquet", schema) as writer:
        for columns in processes.map(kept_columns, cut(source)):
            writer.write_batch(pyarrow.record_batch(columns, schema=schema))
            kept += len(columns[0])
    return {"seconds": time.perf_counter() - started, "kept": kept}


def kept_columns(part: Slice) -> list[list[str]]:
    """In a worker: `COLUMNS` of a slice's records whose texts pass."""
    from r1vl_core.data.text_checks import Candidate, TextChecks, judge_slice

    judged = judge_slice(part, TextChecks(sketches=False))
    assert judged is not None, "the generated file is a plain array"
    kept = [one for one in judged if isinstance(one, Candidate)]
    return [[one.text for one in kept], [one.answer for one in kept], [one.reference_path for one in kept], [one.image for one in kept]]


def datasets_to_parquet(folder: Path, num_workers: int) -> dict[str, Any]:
    """The same by Hugging Face `datasets`, as its documentation does it."""
    from datasets import load_dataset

    from r1vl_core.data.wording import split_wording
    from r1vl_core.reasoning import paths

    def parse(record: dict[str, Any]) -> dict[str, Any]:
        user, assistant = (message["content"] for message in record["messages"])
        wording, path = split_wording(user), paths.parse(assistant)
        fine = not path.defects and not paths.reflection_marks(path)
        answer = path.answer.text if path.answer else ""
        return {"text": wording.text, "answer": answer, "path": assistant.strip(), "image": record["images"], "fine": fine}

    num_proc = num_workers if num_workers > 1 else None
    started = time.perf_counter()
    rows = load_dataset("json", data_files=str(folder / "mulberry_sft.json"), split="train", cache_dir=str(folder / "cache"))
    rows = rows.map(parse, remove_columns=rows.column_names, num_proc=num_proc).filter(lambda row: row["fine"], num_proc=num_proc)
    rows.remove_columns("fine").to_parquet(str(folder / "theirs.parquet"))
    return {"seconds": time.perf_counter() - started, "kept": len(rows)}


SIDES = {"whole": curate_whole, "text": text_to_parquet, "datasets": datasets_to_parquet}


def measure(python: Path, side: str, folder: Path, num_workers: int) -> dict[str, Any]:
    """One side in a process of its own: what it says, CPU seconds and peak memory of it and its children."""
    import psutil

    command = [str(python), __file__, "child", "--side", side, "--folder", str(folder), "--workers", str(num_workers)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peak, watched = 0, psutil.Process(process.pid)
    while process.poll() is None:
        peak = max(peak, _memory(watched))
        time.sleep(0.5)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert process.stdout is not None
    told = json.loads(process.stdout.read().splitlines()[-1])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**told, "cpu": cpu, "peak_mb": peak / 2**20}


def _memory(process: psutil.Process) -> int:
    import psutil

    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            try:
                total += one.memory_full_info().pss
            except psutil.Error:
                continue
    except psutil.Error:
        pass
    return total


def size(counts: list[int], num_workers: int, folder: Path) -> None:
    """The whole of curation for several numbers of records."""
    print("| records | MB | wall s | CPU s | records a second | peak MB | rejected |\n|---|---|---|---|---|---|---|")
    for count in counts:
        data = _data(folder, count)
        found = measure(Path(sys.executable), "whole", data, num_workers)
        assert found["read"] == count, found
        megabytes = (data / "mulberry_sft.json").stat().st_size / 1e6
        rejected = ", ".join(f"{reason} {number}" for reason, number in found["reasons"].items())
        figures = f"{found['seconds']:.1f} | {found['cpu']:.1f} | {count / found['seconds']:,.0f} | {found['peak_mb']:.0f}"
        print(f"| {count:,} | {megabytes:.0f} | {figures} | {rejected} |")
        print(f"digest {found['digest']}")


def beside_datasets(counts: list[int], num_workers: int, folder: Path) -> None:
    """The text part beside `datasets`, in turn."""
    python = _peer()
    print("| records | side | wall s | CPU s | peak MB | kept |\n|---|---|---|---|---|---|")
    for count in counts:
        data = _data(folder, count)
        for side, executable in (("text", Path(sys.executable)), ("datasets", python)) * 2:
            subprocess.run(["rm", "-rf", str(data / "cache")], check=True)  # `datasets` would find its own result again
            found = measure(executable, side, data, num_workers)
            print(f"| {count:,} | {side} | {found['seconds']:.1f} | {found['cpu']:.1f} | {found['peak_mb']:.0f} | {found['kept']:,} |")


def _data(folder: Path, count: int) -> Path:
    from tests.benchmarks import mulberry

    data = folder / str(count)
    if not (data / "mulberry_sft.json").exists():
        mulberry.write(data, count)
    return data


def _peer() -> Path:
    python = PEER / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", str(PEER)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PEER_PACKAGES], check=True)
    return python


def main() -> None:
    """Measure, or be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("size", "datasets", "child"))
    parser.add_argument("--records", type=int, nargs="+", default=[26_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "r1vl-curation")
    parser.add_argument("--side", choices=tuple(SIDES), default="whole")
    given = parser.parse_args()
    if given.what == "child":
        print(json.dumps(SIDES[given.side](given.folder, given.workers)))
    elif given.what == "size":
        size(given.records, given.workers, given.folder)
    else:
        beside_datasets(given.records, given.workers, given.folder)


if __name__ == "__main__":
    main()
