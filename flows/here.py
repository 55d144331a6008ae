"""`r1vl run`: the same flow in this process, on the local servers where they run, else on servers for the time of the run."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from flows import servers
from flows.prefect_api import Unreachable
from flows.results import WRONG_INPUT, print_result, read_result
from flows.runtime import ready_root


def run_here(root: Path, parameters: Mapping[str, Any]) -> None:
    """Run the flow with these parameters and print its result.

    Raises ValueError for the user's mistake, KeyboardInterrupt when it was interrupted, Unreachable when Prefect's server ended under
    it; exits with 1 for a failure.
    """
    ready_root(root)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that servers begun for this run end with it
    with _servers_for_a_run(root) as environment:
        _import_the_flow(environment)
        from prefect.logging.handlers import APILogHandler

        from flows.pipeline import r1vl
        from flows.telling import TERMINATED, is_last_word

        for handler in logging.getLogger().handlers:
            handler.addFilter(lambda record: not is_last_word(record))
        try:
            state = r1vl(**parameters, return_state=True)
        except httpx.HTTPError as error:
            lost = f"the Prefect server at {environment['PREFECT_API_URL']} does not answer any more ({error})"
            raise Unreachable(f"{lost}; what was finished is kept, so run the same again") from None
        finally:
            APILogHandler().flush()  # what is still on its way to the server must arrive before the server ends
        if state.is_cancelled():
            raise SystemExit(128 + signal.SIGTERM) if state.message == TERMINATED else KeyboardInterrupt
        if not state.is_completed():
            _complain(state)
        result = read_result(root, str(state.state_details.flow_run_id))
    print_result(Console(), result, {"report": result.report} if result.report else {})


def _import_the_flow(environment: Mapping[str, str]) -> None:
    """Seconds of imports, which the start of the servers hides."""
    os.environ.update(environment)  # before prefect is imported: it reads its settings once
    import flows.pipeline  # noqa: F401
    from tasks.tracking import import_client

    import_client()


def _complain(state: Any) -> None:
    message = state.message or state.name
    if state.name == WRONG_INPUT:
        raise ValueError(message)
    print(f"r1vl: {state.name}: {message}", file=sys.stderr)
    sys.exit(1)


@contextmanager
def _servers_for_a_run(root: Path) -> Iterator[dict[str, str]]:
    """The environment to run the flow in. Servers begun for runs end with the last of them, unless `r1vl up` took them over."""
    users = os.open(root / "run-users.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            services = servers.up_for_runs(root, meanwhile=lambda begun: _import_the_flow(servers.environment(root, begun)))
            yield servers.environment(root, services)
        finally:  # also when we are ended while they start
            if _is_last(users):
                servers.down(root, unless_worker=True)
    finally:
        os.close(users)


def _is_last(users: int) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
