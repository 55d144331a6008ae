"""Groups of written paths, with what each step earned worked out by hand.

A path is given as its parts: all that stands up to the end of step 1, from there to the end of step 2, and so on, and what is behind the
last step. The tiny tokenizer has one token a byte, so that the part of every token is plain.
"""

from __future__ import annotations

from dataclasses import dataclass

from r1vl_core.config import StepGRPO
from r1vl_core.policy.model import Policy
from r1vl_core.policy.rollout import Rollout
from r1vl_core.reasoning import rewards
from r1vl_core.records import Question
from r1vl_core.training.groups import Group, judged_groups
from tests.core.tiny_policies import some_prompts

ALPHA = 0.1
KEY_STEPS = (("3 + 4 = 7", "seven altogether"), ("7 + 5 = 12",))


@dataclass(frozen=True)
class Written:
    """A path: its parts, key steps found first in each of its steps, and what it earns: the right answer, StepRVR, any StepRAR at all."""

    parts: tuple[str, ...]
    found: tuple[int, ...]
    correct: float
    valid: float
    answered: bool = True
    ends: bool = True

    @property
    def text(self) -> str:
        return "".join(self.parts)


GROUPS = (
    (
        Written(
            (
                "### Image Description: é 🙂\n### Rationales: sum\n### Step 1: 3 + 4 = 7",
                "\n### Step 2: 7 + 5 = 12",
                "\n### The final answer is: 12",
            ),
            found=(1, 1),
            correct=1,
            valid=1,
        ),
        Written(("### Step 1: 数学", "\n### Step 2: 3 + 4 = 7", "\n### Step 3: no", "\n### The final answer is: 13"), (0, 1, 0), 0, 0),
        Written(("### Step 1: 7 + 5 = 12, 3 + 4 = 7", "\n### Step 2: 7 + 5 = 12", "\n### The final answer is:\n12"), (2, 0), 1, 0),
        Written(("### Step 1: 3 + 4 = 7", "\n"), (1,), 0, 0, answered=False, ends=False),
    ),
    (
        Written(("### The final answer is: 12",), (), 1, 0),
        Written(("👩‍👩‍👧",), (), 0, 0, answered=False),
        Written(("### Step 1: 7 + 5 = 12", "\n### The final answer is: 5"), (1,), 0, 0, ends=False),
        Written(("### Step 1: Seven altogether", "\n### The final answer is: 5"), (1,), 0, 0),
    ),
    tuple(Written(("no" * length,), (), 0, 0, answered=False) for length in (1, 2, 3, 4)),
)
"""Three groups of four: the third teaches nothing."""


def groups_of(policy: Policy, settings: StepGRPO) -> list[Group]:
    """The written groups, judged by the rewards themselves."""
    prompts = some_prompts(policy, len(GROUPS))
    rollouts = [rollout(policy, prompt.question_id, path) for prompt, paths in zip(prompts, GROUPS, strict=True) for path in paths]
    prepared = rewards.prepare(Question("q", "s", "i.png", "", "How many?", (), "12", "", KEY_STEPS))
    return judged_groups(policy, range(len(GROUPS)), prompts, rollouts, lambda _, text: rewards.reward(text, prepared, ALPHA), settings)


def rollout(policy: Policy, question_id: str, path: Written) -> Rollout:
    """The path as if it had been sampled."""
    token_ids = policy.encode_path(path.text).tolist()
    token_ids = token_ids if path.ends else token_ids[:-1]
    return Rollout(question_id, tuple(token_ids), (-1.0,) * len(token_ids), truncated=not path.ends)


def part_of_each_token(path: Written) -> list[int]:
    """For every token of the path, its end token included, the part it stands in."""
    parts = [place for place, part in enumerate(path.parts) for _ in part.encode()]
    return parts + [len(path.parts) - 1] * path.ends
