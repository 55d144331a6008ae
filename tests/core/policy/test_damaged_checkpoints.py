"""A checkpoint whose files are whole but say nonsense: one ValueError that names the folder and the part, whatever transformers raises."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from r1vl_core.policy.bundled import bundled_checkpoint
from r1vl_core.policy.model import load_policy


@pytest.mark.parametrize(
    ("file", "nonsense", "part"),
    [
        ("config.json", {"dtype": "x"}, "its configuration"),
        ("config.json", {"text_config": []}, "its configuration"),
        ("config.json", {"text_config": {"hidden_size": "x"}}, "its configuration"),
        ("config.json", {"text_config": {"hidden_size": 64}}, "its configuration"),
        ("config.json", {"text_config": {"num_attention_heads": 0}}, "its configuration"),
        ("preprocessor_config.json", {"size": []}, "its image processor"),
        ("preprocessor_config.json", {"image_processor_type": 0}, "its image processor"),
        ("tokenizer_config.json", {"eos_token": 0}, "its tokenizer"),
    ],
)
def test_nonsense_in_a_checkpoint_s_files_is_told_with_its_place(tmp_path: Path, file: str, nonsense: dict[str, Any], part: str) -> None:
    folder = Path(shutil.copytree(bundled_checkpoint("r1vl-tiny"), tmp_path / "model"))
    table = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(laid_over(table, nonsense)))
    with pytest.raises(ValueError, match=f"checkpoint {folder}: {part} .*cannot be loaded: "):
        load_policy(folder, prompt="plain", max_pixels=140 * 140, weights=False)


def laid_over(table: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The table with the changes in it, group by group."""
    inner = {key: laid_over(table[key], value) if isinstance(value, dict) else value for key, value in changes.items()}
    return {**table, **inner}
