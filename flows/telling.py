"""One line for what went wrong: Prefect would say it again for the task, for the flow run, and with a traceback."""

from __future__ import annotations

import logging
import traceback

from prefect import get_run_logger
from prefect.runtime import flow_run

LAST_WORD = "is_last_word"
"""Attribute of the log record that tells a problem; a command that ends with the same words need not show it."""

INTERRUPTED = "interrupted: what was finished is kept, and a rerun goes on from there"
TERMINATED = f"{INTERRUPTED} (SIGTERM)"


def tell_once(problem: Exception) -> None:
    """Log the problem's message in the run under way, unless that was done; from then on drop what repeats it."""
    get_run_logger().error("%s", problem, extra={LAST_WORD: True})
    _let_go(problem)
    _drop_repetitions(_Repetition(str(problem), problem))


def tell_interruption(message: str) -> None:
    """Log that the run under way was interrupted, and what comes of it; from then on drop what repeats it."""
    get_run_logger().warning(message)
    _drop_repetitions(_Repetition(message, None))


def _let_go(problem: BaseException | None) -> None:
    """Free what the functions held that it came through: it is kept to the end, and DuckDB tells of every connection open by then."""
    while problem is not None:
        traceback.clear_frames(problem.__traceback__)
        problem = problem.__cause__ or problem.__context__


def is_last_word(record: logging.LogRecord) -> bool:
    """Whether the record tells what the command will end with."""
    return hasattr(record, LAST_WORD)


def _drop_repetitions(repetition: _Repetition) -> None:
    for name in ("prefect.flow_runs", "prefect.task_runs", "prefect.engine"):
        logging.getLogger(name).addFilter(repetition)


class _Repetition(logging.Filter):
    """Stops the records of one flow run that say a text again, as it is or quoted, or that carry the exception."""

    def __init__(self, text: str, problem: Exception | None) -> None:
        super().__init__()
        self._forms = (text, repr(text)[1:-1])
        self._problem = problem
        self._run_id = str(flow_run.id)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is news."""
        if str(getattr(record, "flow_run_id", self._run_id)) != self._run_id:
            return True
        is_problem = self._problem is not None and record.exc_info is not None and record.exc_info[1] is self._problem
        return not is_problem and not any(form in record.getMessage() for form in self._forms)
