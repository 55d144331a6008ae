"""How the commands of r1vl are set out in their help."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand


class _Command(TyperCommand):
    """A command whose usage line writes a required argument as manual pages do: FILE, not {FILE}."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The parts of the usage line."""
        return [piece.removeprefix("{").removesuffix("}") for piece in super().collect_usage_pieces(ctx)]


class Commands(typer.Typer):
    """A group of such commands."""

    def command(self, *arguments: Any, **settings: Any) -> Any:
        """As typer's."""
        return super().command(*arguments, cls=_Command, **settings)
