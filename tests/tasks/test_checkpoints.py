"""Start checkpoints: found, refused, and never downloaded by somebody who only asks what would be done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from r1vl_core.config import Preset, World
from r1vl_core.policy.bundled import bundled_checkpoint
from r1vl_core.policy.checkpoint_files import check_checkpoint
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
    shutil.copytree(bundled_checkpoint("r1vl-tiny"), tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="no safetensors file in it"):
        find_checkpoint(preset_of(str(tmp_path)))


@pytest.mark.parametrize("model", ["./nowhere", "nowhere", "/no/where", "a/b/c"])
def test_what_is_neither_a_folder_nor_a_hub_name_is_named(model: str) -> None:
    with pytest.raises(ValueError, match="no such folder, and not a hub name"):
        find_checkpoint(preset_of(model))


def cut(name: str, num_bytes: int) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:num_bytes])


def without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def written(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


INDEX = json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut("model.safetensors", 100_000), r"model.safetensors \(100000 bytes\) is cut off or damaged .* copy or download it anew"),
        (cut("model.safetensors", 0), r"model.safetensors \(0 bytes\) is cut off or damaged"),
        (
            written("model.safetensors", "version https://git-lfs.github.com/spec/v1\n"),
            r"model.safetensors \(43 bytes\) is cut off or damaged",
        ),
        (
            written("model.safetensors.index.json", INDEX),
            "model-00001-of-00002.safetensors is missing, which .* names; copy the file there",
        ),
        (without("config.json"), "no config.json in it"),
        (cut("config.json", 40), "config.json is damaged"),
        (written("config.json", '{"model_type": "gpt2"}'), "a gpt2 is not a vision-language model"),
        (without("tokenizer.json"), "no tokenizer in it"),
        (written("tokenizer.json", "{}"), "tokenizer.json holds no tokenizer"),
        (without("preprocessor_config.json"), "no image processor in it"),
        (without("chat_template.jinja"), "no chat template in it"),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_told_from_its_files(tmp_path: Path, spoil: Callable[[Path], object], message: str) -> None:
    folder = Path(shutil.copytree(bundled_checkpoint("r1vl-tiny"), tmp_path / "model"))
    check_checkpoint(folder)
    spoil(folder)
    with pytest.raises(ValueError, match=f"checkpoint {folder}: {message}"):
        find_checkpoint(preset_of(str(folder)))
