"""Start checkpoints: found, refused, and never downloaded by somebody who only asks what would be done."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1vl_core.config import Preset, World
from tasks.checkpoints import digest_checkpoint, find_checkpoint
from tasks.inputs import DigestCache, Inputs


def preset_of(model: str) -> Preset:
    return Preset(name="p", model=model, world=World())


def test_a_plan_downloads_nothing_and_says_so(tmp_path: Path) -> None:
    cache = DigestCache(tmp_path / "digests.sqlite")
    preset = preset_of("r1vl-tests/never-downloaded")
    assert digest_checkpoint(preset, Inputs({}, cache, planning=True)) == "not downloaded yet"
    with pytest.raises(ValueError, match="r1vl-tests/never-downloaded: neither a folder nor to be had from the hub"):
        digest_checkpoint(preset, Inputs({}, cache))


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match="no safetensors file in it"):
        find_checkpoint(preset_of(str(tmp_path)))


@pytest.mark.parametrize("model", ["./nowhere", "nowhere", "/no/where", "a/b/c"])
def test_what_is_neither_a_folder_nor_a_hub_name_is_named(model: str) -> None:
    with pytest.raises(ValueError, match="no such folder, and not a hub name"):
        find_checkpoint(preset_of(model))
