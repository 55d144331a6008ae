from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.data.samples import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A user's folder, empty."""
    return Folder(tmp_path)
