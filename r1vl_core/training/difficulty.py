"""How hard questions are for a policy: the share of M sampled paths that end in the right answer.

A group whose paths are all right, or all wrong, has no advantages for the outcome and teaches little (DAPO, arXiv 2503.14476, section 3.2,
leaves such groups out while training); what is measured once can be left out before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import polars

from r1vl_core.policy.model import Policy, Prompt
from r1vl_core.policy.room import Room, generate_in_room

WINDOW = 64
"""Questions sampled for together: what a killed measurement loses at most."""

IsRight = Callable[[int, str], bool]
"""Whether a response answers the question of that number."""


@dataclass(frozen=True, slots=True)
class PassRate:
    """What a policy made of one question: of `num_samples` paths so many were right, so many never ended.

    >>> PassRate("q1", num_samples=8, num_right=2, num_truncated=0, mean_num_tokens=61.5).share
    0.25
    """

    question_id: str
    num_samples: int
    num_right: int
    num_truncated: int
    mean_num_tokens: float

    @property
    def share(self) -> float:
        """Right paths over all, 0 to 1."""
        return self.num_right / self.num_samples


def measure(
    policy: Policy,
    get_prompt: Callable[[int], Prompt],
    is_right: IsRight,
    *,
    num_questions: int,
    num_samples: int,
    temperature: float,
    max_new_tokens: int,
    seed: int,
    room: Room,
    folder: Path,
) -> Iterator[list[PassRate]]:
    """Pass rates of all questions, a window of them at a time, each kept in `folder` before it is yielded: those kept there are not
    sampled again. What is drawn for a question depends on `seed` and its id alone."""
    policy.model.eval()
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, num_questions, WINDOW):
        part = folder / f"{start:08}.parquet"
        if part.exists():
            yield read_pass_rates(part)
            continue
        numbers = range(start, min(start + WINDOW, num_questions))
        prompts = [get_prompt(number) for number in numbers]
        rollouts = generate_in_room(
            room,
            policy,
            prompts,
            max_new_tokens=max_new_tokens,
            num_samples=num_samples,
            temperature=temperature,
            seeds=[(seed, _number_of(prompt.question_id)) for prompt in prompts],
        )
        rates = []
        for place, number in enumerate(numbers):
            paths = rollouts[place * num_samples : (place + 1) * num_samples]
            num_right = sum(is_right(number, policy.decode(path.token_ids)) for path in paths)
            lengths = [len(path.token_ids) for path in paths]
            num_truncated = sum(path.truncated for path in paths)
            rates.append(PassRate(prompts[place].question_id, num_samples, num_right, num_truncated, sum(lengths) / num_samples))
        write_pass_rates(part, rates)
        yield rates


def write_pass_rates(path: Path, rates: Sequence[PassRate]) -> None:
    """Write them to a Parquet file, whole or not at all."""
    unfinished = path.with_name(f".{path.name}")
    polars.DataFrame([asdict(rate) for rate in rates], schema=_SCHEMA).write_parquet(unfinished)
    unfinished.rename(path)


def read_pass_rates(path: Path) -> list[PassRate]:
    """What `write_pass_rates` wrote. Raises ValueError for a file of other columns."""
    table = polars.read_parquet(path)
    if table.columns != list(_SCHEMA):
        raise ValueError(f"pass rates {path}: columns {', '.join(table.columns)}; expected {', '.join(_SCHEMA)}")
    return [PassRate(**row) for row in table.iter_rows(named=True)]


_SCHEMA = dict(
    zip([field.name for field in fields(PassRate)], (polars.String, polars.Int32, polars.Int32, polars.Int32, polars.Float64), strict=True)
)


def _number_of(question_id: str) -> int:
    return int.from_bytes(hashlib.sha256(question_id.encode()).digest()[:8], "big")
