"""Pass rates: each question's own, whatever the company; and a measurement that was killed goes on where it was."""

from __future__ import annotations

import itertools
from pathlib import Path

from r1vl_core.policy.model import Prompt
from r1vl_core.policy.rollout import generate
from r1vl_core.policy.room import make_room
from r1vl_core.training import difficulty
from r1vl_core.training.difficulty import WINDOW, PassRate, measure, read_pass_rates, write_pass_rates
from tests.core.tiny_policies import some_prompts
from tests.core.training.tiny_runs import ending_policy

POLICY = ending_policy(by=6.0)
PROMPTS = some_prompts(POLICY, WINDOW + 3)


def is_right(number: int, text: str) -> bool:
    return len(text) % 2 == number % 2


def measured(folder: Path, prompts: list[Prompt] = PROMPTS, num_windows: int | None = None, seed: int = 1) -> list[PassRate]:
    windows = measure(
        POLICY,
        prompts.__getitem__,
        is_right,
        num_questions=len(prompts),
        num_samples=3,
        temperature=1.0,
        max_new_tokens=4,
        seed=seed,
        room=make_room(4096, longest="max_new_tokens"),
        folder=folder,
    )
    return list(itertools.chain.from_iterable(itertools.islice(windows, num_windows)))


def test_a_pass_rate_is_the_share_of_sampled_paths_that_are_right(tmp_path: Path) -> None:
    found = measured(tmp_path)
    assert [one.question_id for one in found] == [prompt.question_id for prompt in PROMPTS]
    seeds = [(1, difficulty._number_of(PROMPTS[2].question_id))]
    paths = generate(POLICY, [PROMPTS[2]], max_new_tokens=4, num_samples=3, temperature=1.0, seeds=seeds)
    assert found[2].num_right == sum(is_right(2, POLICY.decode(path.token_ids)) for path in paths)
    assert found[2].num_truncated == sum(path.truncated for path in paths)
    assert found[2].mean_num_tokens == sum(len(path.token_ids) for path in paths) / 3
    assert len({one.share for one in found}) > 2


def test_the_company_changes_nothing_the_seed_does(tmp_path: Path) -> None:
    found = measured(tmp_path / "all")
    assert measured(tmp_path / "few", PROMPTS[:4]) == found[:4]
    assert measured(tmp_path / "other seed", seed=2) != found


def test_what_was_finished_before_a_kill_is_not_sampled_again(tmp_path: Path) -> None:
    undisturbed = measured(tmp_path / "undisturbed")
    killed = tmp_path / "killed"
    first = measured(killed, num_windows=1)
    assert first == undisturbed[:WINDOW]
    (part,) = killed.iterdir()
    write_pass_rates(part, [PassRate(one.question_id, 3, 3, 0, 1.0) for one in first])  # so that it shows where they come from
    (killed / ".00000064.parquet").write_bytes(b"half a file")
    after = measured(killed)
    assert [one.num_right for one in after[:WINDOW]] == [3] * WINDOW
    assert after[WINDOW:] == undisturbed[WINDOW:]


def test_written_and_read_again(tmp_path: Path) -> None:
    rates = [PassRate("a", 8, 2, 1, 61.5), PassRate("b", 8, 0, 8, 100.0)]
    write_pass_rates(tmp_path / "a.parquet", rates)
    assert read_pass_rates(tmp_path / "a.parquet") == rates
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]
