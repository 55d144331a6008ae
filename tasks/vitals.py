"""How much of the machine a stage uses: processor time, memory and GPU memory of this process and everything below it."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import psutil

EVERY_S = 10.0


@contextmanager
def watched(log: Callable[[Mapping[str, float]], None], every_s: float = EVERY_S) -> Iterator[None]:
    """Hand the vitals to `log` every `every_s` seconds while the block runs, and once at its end.

    system/cpu_cores_used (seconds of processor time a second), system/memory_mb (resident, shared pages counted in each process),
    system/num_processes, and system/gpu_memory_mb where nvidia-smi is there.
    """
    over = threading.Event()
    sampler = _Sampler()

    def watch() -> None:
        while not over.wait(every_s):
            log(sampler.sample())

    thread = threading.Thread(target=watch, name="vitals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        log(sampler.sample())


class _Sampler:
    """Processes seen so far: psutil measures processor use between two looks at the same process object."""

    def __init__(self) -> None:
        self._seen: dict[int, psutil.Process] = {}
        self.sample()

    def sample(self) -> dict[str, float]:
        cores = memory = count = 0.0
        here = psutil.Process()
        alive = [here, *here.children(recursive=True)]
        self._seen = {process.pid: self._seen.get(process.pid, process) for process in alive}
        for process in self._seen.values():
            with suppress(psutil.Error):
                cores += process.cpu_percent() / 100
                memory += process.memory_info().rss / 2**20
                count += 1
        vitals = {"system/cpu_cores_used": cores, "system/memory_mb": memory, "system/num_processes": count}
        gpu = _gpu_memory_mb(set(self._seen))
        return vitals if gpu is None else {**vitals, "system/gpu_memory_mb": gpu}


def _gpu_memory_mb(pids: set[int]) -> float | None:
    command = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    rows = [line.split(",") for line in answer.splitlines() if line.count(",") == 1]
    return sum(float(memory) for pid, memory in rows if pid.strip().isdigit() and int(pid) in pids and memory.strip().isdigit())
