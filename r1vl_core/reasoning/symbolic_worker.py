"""The worker's side of `symbolic`: reads pairs of expressions from stdin, answers on stdout, one JSON line each.

Started as a script of its own, so that nothing of the calling program (its main module, threads, CUDA state) comes along. It ends when
stdin ends, when its parent is gone, or by the alarms that it sets itself before every comparison: no parent is needed to stop it.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import select
import signal
import sys
from functools import lru_cache
from typing import IO, Any

MAX_CHARACTERS = 500
"""A longer text, or content of boxes, is not read for printing."""

MEMORY_LIMIT = 4 * 2**30  # bytes of address space; a tower of powers asks for more than any machine has


def main() -> None:
    """Serve comparisons until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever a library prints must not land among the answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when we end
    for alarm in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(alarm, signal.SIG_DFL)  # the default action ends the process, even inside one long C call
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable(logging.CRITICAL)
    equal("$1$", "$\\frac{2}{2}$")  # imports and builds everything once, before the first real pair
    print(json.dumps({"ready": True}), file=answers, flush=True)
    serve(sys.stdin, answers)


def serve(requests: IO[str], answers: IO[str]) -> None:
    """Answer every request line `{"task": "equal" or "print", "answer": …, "gold": …, "limit_s": …, "patience_s": …}`.

    The replies: `{"equal": bool}`, and `{"answer": text or null, "gold": text or null, "close": bool}`.
    """
    parent = os.getppid()
    while True:
        while not select.select([requests], [], [], 5.0)[0]:
            if os.getppid() != parent:
                return
        line = requests.readline()
        if not line:
            return
        request = json.loads(line)
        # CPU time decides, so that a busy machine does not change a verdict; the wall clock only catches what uses no CPU.
        signal.setitimer(signal.ITIMER_PROF, request["limit_s"])
        signal.setitimer(signal.ITIMER_REAL, request["patience_s"])
        pair = request["answer"], request["gold"]
        # what raises here ends us; the parent sees it and counts an error
        reply = {"equal": equal(*pair)} if request["task"] == "equal" else print_both(*pair)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps(reply), file=answers, flush=True)


def equal(answer: str, gold: str) -> bool:
    """Are two LaTeX expressions equal? Our caller keeps the time; math-verify's own limit is off (it needs the main thread's signal)."""
    from latex2sympy2_extended.math_normalization import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse, verify

    # Units are off before an expression comes here; what math-verify takes for one may be a variable ("3 + 2 d") and a bracket ("b )").
    config = [LatexExtractionConfig(normalization_config=NormalizationConfig(units=False, boxed="all", equations=False))]
    wanted = parse(gold, extraction_config=config, fallback_mode="no_fallback", parsing_timeout=None)
    given = parse(answer, extraction_config=config, fallback_mode="no_fallback", parsing_timeout=None)
    return bool(wanted and given and verify(wanted, given, timeout_seconds=None))


def print_both(answer: str, gold: str) -> dict[str, Any]:
    """Both expressions as sympy prints them, None where it cannot read one, and whether they are less than a millionth apart."""
    wanted = read(gold)
    # A gold answer with names or functions has no value, whatever the answer is: the costly half need not be read then.
    given = read(answer) if wanted is not None else None
    if wanted is None or given is None:
        return {"answer": None, "gold": None, "close": False}
    return {"answer": str(given), "gold": str(wanted), "close": are_close(given, wanted)}


@lru_cache(maxsize=1024)
def read(latex: str) -> Any:
    """The sympy expression of a LaTeX text, or of what its boxes hold; None when there is none.

    None for a percent sign, too: releases of the parser's runtime differ over it.
    """
    from latex2sympy2_extended import latex2sympy
    from latex2sympy2_extended.math_normalization import extract_boxed_content

    read_part = extract_boxed_content(latex, "all")  # as latex2sympy does
    if "%" in read_part or len(read_part) > MAX_CHARACTERS:
        return None
    try:
        return latex2sympy(latex)
    except Exception:  # noqa: BLE001 - the parser raises Exception itself, and any of sympy's own
        return None


def are_close(one: Any, other: Any) -> bool:
    """Are two sympy objects numbers less than a millionth apart?"""
    try:
        return not one.free_symbols and not other.free_symbols and bool(abs(one - other) < 1e-6)
    except Exception:  # noqa: BLE001 - sets, lists and relations have no difference, and say so in many ways
        return False


if __name__ == "__main__":
    main()
