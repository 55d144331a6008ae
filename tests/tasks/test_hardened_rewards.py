"""rewards.hardening reaches the stages that reward, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1vl_core.config import Preset, parse_preset
from r1vl_core.evaluation.benchmarks.tsv import read_tsv
from r1vl_core.handwriting.world import make_world
from r1vl_core.reasoning.paths import render
from r1vl_core.reasoning.rewards import prepare, reward
from tasks import evaluate, stepgrpo
from tasks.inputs import DigestCache, Inputs
from tasks.registry import STAGES
from tests.core.reasoning.honest_paths import QUESTIONS


def preset(hardening: str | None = None) -> Preset:
    table = {"name": "small", "world": {"num_questions": 24}, "stepgrpo": {"alpha": 0.5}}
    return parse_preset({**table, "rewards": {"hardening": hardening}} if hardening else table, "test")


def test_the_default_is_the_papers_definition() -> None:
    assert preset().rewards.hardening == "none"
    assert preset() == preset("none")
    with pytest.raises(ValueError, match=r"rewards\.hardening"):
        preset("very")


@pytest.mark.parametrize("name", ["world", "curate", "key_steps", "warmup", "stepgrpo", "evaluate"])
def test_only_the_stages_that_reward_read_it(name: str, tmp_path: Path) -> None:
    inputs = Inputs(dict.fromkeys(STAGES[name].inputs, "ab" * 32), DigestCache(tmp_path / "digests.sqlite"))
    paper, strict = (STAGES[name].recipe(preset(hardening), inputs) for hardening in ("none", "strict"))
    rewarding = name in ("stepgrpo", "evaluate")
    assert [line.partition(":")[0] for line in paper.differences(strict)] == (["settings.hardening"] if rewarding else [])


def test_training_rewards_by_it() -> None:
    """A list of all key steps earns everything by the paper's definition, and no key step under the strict one."""
    question = QUESTIONS[0]
    listed = ", ".join(forms[0] for forms in question.key_steps)
    path = render("Two parallel lines.", "Use corresponding angles.", [listed, "So it is settled."], question.answer)
    paper, strict = (stepgrpo.judge_of(preset(hardening), QUESTIONS)(0, path) for hardening in ("none", "strict"))
    assert (paper.total, strict.total) == (2.5, 2.0)


def test_held_out_rewards_are_counted_by_it(tmp_path: Path) -> None:
    make_world(tmp_path / "world", 2, 6, seed=3)
    heldout = tmp_path / "world" / "heldout.tsv"
    rows = list(read_tsv(heldout))
    paper, strict = (evaluate.prepare_rows(preset(hardening), heldout, rows) for hardening in ("none", "strict"))
    assert paper.keys() == strict.keys() == {row.index for row in rows}
    assert all(one.guard is None and one.key_steps.groups for one in paper.values())
    assert all(one.guard is not None and one.guard.question.strip() for one in strict.values())
    assert reward("", paper[rows[0].index]).total == reward("", prepare(QUESTIONS[0], "strict")).total == 0.0
