"""What this engine and TRL's trainer are both given: the same policies, pictures, sampled paths and rewards, nothing left to chance.

`trl_oracle.py` has TRL say what comes of it; `test_trl_oracle.py` holds the engine to that.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from r1vl_core.config import StepGRPO
from r1vl_core.policy.model import Policy
from tests.core.tiny_policies import picture, tiny_policy

FOUND = Path(__file__).with_name("trl_oracle.json")
"""What TRL made of every case."""

NUM_QUESTIONS, GROUP_SIZE, MAX_TOKENS, TEMPERATURE, LEARNING_RATE = 3, 4, 12, 1.2, 1e-3
_WORDS = ("How many?", "What is the sum of all digits?", "Red or blue?", "7+5?", "Which row has the largest digit of all?", "Why?")


@dataclass(frozen=True, slots=True)
class Case:
    """A variant of GRPO in both projects' words; two optimiser steps are taken.

    >>> CASES["paper"].ours["beta"]
    0.04
    """

    ours: dict[str, Any]
    trl: dict[str, Any]


_GRPO: dict[str, Any] = {"beta": 0.04, "loss_type": "grpo", "scale_rewards": "group"}
_AS_IN_THE_PAPER = _GRPO | {"use_bias_correction_kl": False}

CASES = {
    "paper": Case({"beta": 0.04}, _AS_IN_THE_PAPER),
    "clipped updates": Case({"beta": 0.04, "num_updates": 2}, _AS_IN_THE_PAPER | {"num_iterations": 2}),
    "TRL's own KL": Case({"beta": 0.04, "kl": "weighted_k3"}, _GRPO),
    "TRL's own KL, clipped updates": Case({"beta": 0.04, "kl": "weighted_k3", "num_updates": 2}, _GRPO | {"num_iterations": 2}),
    "token mean, no reference": Case({"beta": 0.0, "loss_mean": "token"}, {"beta": 0.0, "loss_type": "dapo", "epsilon_high": 0.2}),
    "Dr. GRPO": Case(
        {"beta": 0.0, "advantage": "dr_grpo", "loss_mean": "constant"}, {"beta": 0.0, "loss_type": "dr_grpo", "scale_rewards": "none"}
    ),
}


def settings(case: Case) -> StepGRPO:
    """A case as this engine's settings."""
    return StepGRPO(
        num_steps=2,
        questions_per_step=NUM_QUESTIONS,
        group_size=GROUP_SIZE,
        temperature=TEMPERATURE,
        max_new_tokens=MAX_TOKENS,
        learning_rate=LEARNING_RATE,
        schedule="linear",
        **case.ours,
    )


def policy_and_reference() -> tuple[Policy, Policy]:
    """A random policy, and one that parted from it. Neither forbids a token: TRL has no such thing."""
    policy, reference = (dataclasses.replace(tiny_policy(), forbidden_token_ids=()) for _ in range(2))
    noise = torch.Generator().manual_seed(7)
    for parameter in reference.model.parameters():
        parameter.data.mul_(1 + 0.2 * torch.randn(parameter.shape, generator=noise))
    return policy, reference


def questions() -> list[tuple[str, Image.Image]]:
    """The questions of two steps: texts of different length, pictures of different size."""
    return [(words, picture(28 * (1 + at % 3), 28 * (2 + at % 2), seed=at)) for at, words in enumerate(_WORDS)]


def paths(policy: Policy) -> list[list[tuple[int, ...]]]:
    """Token ids of a group of paths for every question: some are cut off, one is an end token alone, none holds a placeholder."""
    rng = np.random.default_rng(11)
    usual = [token for token in range(len(policy.tokenizer)) if token not in policy.tokenizer.all_special_ids and token > 8]
    groups = []
    for question in range(len(_WORDS)):
        group = []
        for member in range(GROUP_SIZE):
            length = int(rng.integers(1, MAX_TOKENS)) if question + member else 0
            is_cut_off = member == 2
            words = [int(token) for token in rng.choice(usual, MAX_TOKENS if is_cut_off else length)]
            group.append(tuple(words) if is_cut_off else (*words, policy.end_token_ids[0]))
        groups.append(group)
    return groups


def rewards() -> list[list[float]]:
    """A reward for every path; those of the second question are equal."""
    drawn = np.random.default_rng(13).uniform(0, 2, (len(_WORDS), GROUP_SIZE))
    drawn[1] = 0.9
    return [[float(reward) for reward in row] for row in drawn]


def fingerprints(model: torch.nn.Module, *, of_gradient: bool) -> dict[str, list[float]]:
    """Of every parameter, or its gradient: its norm, then its products with three fixed random directions of length 1."""
    found = {}
    for at, (name, parameter) in enumerate(sorted(model.named_parameters())):
        tensor = parameter.grad if of_gradient else parameter
        flat = (torch.zeros_like(parameter) if tensor is None else tensor).detach().double().flatten().numpy()
        directions = np.random.default_rng(at).normal(size=(3, flat.size))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        found[name] = [float(np.linalg.norm(flat)), *map(float, directions @ flat)]
    return found
