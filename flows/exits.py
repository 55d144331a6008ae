"""How the r1vl command ends: what went wrong in one line, and an exit status."""

from __future__ import annotations

import errno
import sys

import typer

from flows.prefect_api import Unreachable
from flows.processes import DidNotStart
from r1vl_core.config.mistakes import in_words
from r1vl_core.data.teacher.budget import TeacherStopped

INTERRUPTED = 130

_CURES = {
    errno.EACCES: "give yourself permission, or name another place",
    errno.EDQUOT: "your quota is used up: free some space, or name another place",
    errno.ENOSPC: "free some space on this disk, or name another place",
    errno.EPERM: "give yourself permission, or name another place",
    errno.EROFS: "this file system is read-only: name another place",
}


def exit_status(app: typer.Typer) -> int:
    """Run the command that was given. 0: done; 1: failed; 2: the user's mistake; 130: interrupted; all but 0 said in one line."""
    try:
        # not standalone: else typer would tell a mistake in three lines, in its own words
        status = int(app(prog_name="r1vl", standalone_mode=False) or 0)
    except typer.TyperException as error:
        return _said(_usage(error), error.exit_code)
    except ValueError as error:
        return _said(error, 2)
    except OSError as error:
        return _said(_of_the_system(error), 1)
    except (DidNotStart, TeacherStopped, Unreachable, FloatingPointError) as error:
        return _said(error, 1)
    except KeyboardInterrupt:
        return _said("interrupted", INTERRUPTED)
    return _said("interrupted", status) if status == INTERRUPTED else status  # typer makes a status of Ctrl-C


def _of_the_system(error: OSError) -> str:
    """What the operating system refused, where, and the cure where there is one."""
    if not (error.filename and error.strerror):
        return str(error)
    cure = _CURES.get(error.errno or 0)
    return f"{error.filename}: {error.strerror}{f'; {cure}' if cure else ''}"


def _usage(error: typer.TyperException) -> str:
    """What is wrong with the arguments, and where their right use is told."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "r1vl"
    problem = in_words(error.format_message()).rstrip(".")
    return f"{problem}{'' if problem.endswith('?') else ';'} see `{command} --help`"


def _said(problem: object, status: int) -> int:
    for line in getattr(problem, "lines", (problem,)):  # several mistakes at once: see tasks/planning.py
        print(f"r1vl: {' '.join(str(line).split())}", file=sys.stderr)
    return status
