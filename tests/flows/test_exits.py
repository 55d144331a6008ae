"""How the command says what the operating system refused."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest
import typer

from flows.exits import exit_status
from tasks.files import write_atomically


def test_a_refusal_of_the_operating_system_is_told_with_its_place_and_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = typer.Typer()

    @app.command()
    def fill() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/disk/page.html")

    monkeypatch.setattr(sys, "argv", ["r1vl"])
    assert exit_status(app) == 1
    told = "r1vl: /disk/page.html: No space left on device; free some space on this disk, or name another place\n"
    assert capsys.readouterr() == ("", told)


def test_a_file_that_cannot_be_written_is_named_not_our_temporary_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as problem:
        write_atomically(tmp_path / "none" / "page.html", "text")
    assert problem.value.filename == str(tmp_path / "none" / "page.html")
