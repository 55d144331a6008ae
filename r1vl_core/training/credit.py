"""Who is to thank: from the rewards of a group to an advantage for every token.

`path_credit` is the paper's: every token of a path gets the path's advantage.

`step_credit` is ours. The key steps in StepRAR are earned by single steps, so it pays them there. For path i of a group and its step s, in
the order written, with alpha the weight of key steps:

    e[i, s]   alpha * (key steps found first in step s) / (key steps of the question); 0 in a path without an answer (StepRAR is 0 there)
    G[i, s]   e[i, s] + e[i, s+1] + ...: what step s and those after it earned; 0 behind the path's last step
    o[i]      the path's reward less all of e[i]: the right answer, and StepRVR where it is paid
    A(x)[i]   the advantage that the preset names (`advantages`) of x[i] among the x of the group
    A_s[i]    A(G[:, s])[i] among the paths that had not found every key step before step s; 0 for those that had: nothing is left to earn

    a token behind step s-1, up to the end of step s     A(o)[i] + A_s[i]

Whatever stands behind the last of n steps counts as step n+1: to stop where others went on to earn is a choice like any other, and what a
token is compared with must not depend on what it chose. Description and rationale lead up to step 1 and share its part; a step's header
is its own. A key step stands where the reward found it. What was earned before a token does not reach it: that is the point. Under an
advantage without a standard deviation (dr_grpo, rloo) a path's first tokens get what `path_credit` gives them; under grpo both parts have
the same unit spread, so key steps weigh as much as the answer, whatever alpha is.

Example: two paths, two key steps, alpha 0.1, rloo, reward "both". Path 1 finds key step 1 in step 1 and key step 2 in step 2, and is
right and valid; path 2 finds key step 1 in step 2 and is wrong but valid.

    e = (0.05, 0.05), (0, 0.05)     G = (0.1, 0.05, 0), (0.05, 0.05, 0)     o = 2, 1     A(o) = 1, -1
    A_1 = 0.05, -0.05               A_2 = 0, 0                              A_3 = 0, 0
    path 1: 1.05 to the end of step 1, then 1.     path 2: -1.05 to the end of step 1, then -1.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from r1vl_core.config import StepGRPO
from r1vl_core.policy.model import Policy
from r1vl_core.policy.offsets import token_starts
from r1vl_core.policy.rollout import Rollout
from r1vl_core.reasoning.paths import parse
from r1vl_core.reasoning.rewards import Reward
from r1vl_core.training.advantages import ADVANTAGES, Advantage
from r1vl_core.training.pay import paid, paid_beside_key_steps, worth_of_a_key_step


@dataclass(frozen=True, slots=True)
class Credit:
    """The advantages of a group's M paths: `paths` (M,), `steps` those of each path's steps with what is behind them (none
    under `path_credit`), and `tokens` those of each path's tokens: what is trained.

    >>> Credit(paths=(1.0, -1.0), steps=((), ()), tokens=((1.0, 1.0), (-1.0,))).teaches
    True
    """

    paths: tuple[float, ...]
    steps: tuple[tuple[float, ...], ...]
    tokens: tuple[tuple[float, ...], ...]

    @property
    def teaches(self) -> bool:
        """Whether the advantage of any token is not zero."""
        return any(map(any, self.tokens))


def path_credit(policy: Policy, rollouts: Sequence[Rollout], texts: Sequence[str], rewards: Sequence[Reward], settings: StepGRPO) -> Credit:
    """Every token gets its path's advantage (paper, equation 4)."""
    advantages = ADVANTAGES[settings.advantage]([paid(reward, settings) for reward in rewards])
    tokens = tuple((advantage,) * len(rollout.token_ids) for advantage, rollout in zip(advantages, rollouts, strict=True))
    return Credit(tuple(advantages), ((),) * len(advantages), tokens)


def step_credit(policy: Policy, rollouts: Sequence[Rollout], texts: Sequence[str], rewards: Sequence[Reward], settings: StepGRPO) -> Credit:
    """Every token gets its path's advantage without key steps, and that of the key steps still to be earned from its step on."""
    advantage = ADVANTAGES[settings.advantage]
    paths = advantage([paid_beside_key_steps(reward, settings) for reward in rewards])
    ends = [[step.end for step in parse(text).steps] for text in texts]
    steps = step_advantages(
        [matches_by_step(reward, at) for reward, at in zip(rewards, ends, strict=True)],
        len(rewards[0].matched) + len(rewards[0].missed),
        [worth_of_a_key_step(reward, settings.alpha) for reward in rewards],
        advantage,
    )
    tokens = []
    for rollout, of_path, of_steps, at in zip(rollouts, paths, steps, ends, strict=True):
        starts = token_starts(policy, rollout.token_ids)
        tokens.append(tuple(of_path + of_steps[bisect_right(at, start)] for start in starts))
    return Credit(tuple(paths), tuple(map(tuple, steps)), tuple(tokens))


def step_advantages(
    matches: Sequence[Sequence[int]], num_key_steps: int, worths: Sequence[float], advantage: Advantage
) -> list[list[float]]:
    """A_s[i] for every step s of every path i, and for what stands behind the last.

    `matches[i][s]` counts the key steps found in step s of path i, `worths[i]` is what one of them earned.

    >>> from r1vl_core.training.advantages import rloo
    >>> step_advantages([[1, 1], [0, 1]], 2, [0.05, 0.05], rloo)
    [[0.05, 0.0, 0.0], [-0.05, 0.0, 0.0]]
    """
    found = [[0.0] * (len(counts) + 1) for counts in matches]
    for step in range(max(map(len, found))):
        earning = [path for path, counts in enumerate(matches) if sum(counts[:step]) < num_key_steps]
        # Counts times a worth, not sums of worths: what is equal must be so to the bit, or it would teach.
        to_go = [sum(matches[path][step:]) * worths[path] for path in earning]
        for path, value in zip(earning, advantage(to_go) if to_go else (), strict=True):
            if step < len(found[path]):
                found[path][step] = value
    return found


def matches_by_step(reward: Reward, ends: Sequence[int]) -> list[int]:
    """How many key steps each of a path's steps reached; `ends` are the places in the text where they end."""
    counts = [0] * len(ends)
    for found in reward.matched:
        step = bisect_right(ends, found.start)
        if step < len(ends):
            counts[step] += 1
    return counts


CREDITS = {"path": path_credit, "step": step_credit}
"""By the setting `stepgrpo.credit`."""
