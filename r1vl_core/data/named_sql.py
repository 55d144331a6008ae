"""SQL in files of its own: statements under "-- name:" lines, found by their names."""

from __future__ import annotations

import functools
import re
from importlib import resources


@functools.cache
def named_sql(package: str, *files: str) -> dict[str, str]:
    """Name to statement(s) of the .sql `files` that lie beside a package's modules.

    >>> sorted(named_sql("r1vl_core.data", "steps.sql"))[:2]
    ['accepted_by_source', 'digest_key_steps']
    """
    folder = resources.files(package)
    text = "\n".join((folder / name).read_text(encoding="utf-8") for name in files)
    _, *parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))
