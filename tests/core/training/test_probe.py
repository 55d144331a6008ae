"""A policy that does not see its pictures is found out, and looking costs training nothing."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from r1vl_core.handwriting.world import make_item, written_path, written_question
from r1vl_core.policy.logprobs import score_dense, score_shared
from r1vl_core.policy.model import Policy, load_policy
from r1vl_core.policy.rollout import Rollout
from r1vl_core.policy.room import make_room
from r1vl_core.training.credit import Credit
from r1vl_core.training.groups import Group
from r1vl_core.training.probe import exchange, image_gain, warn_if_blind
from tests.core.tiny_policies import some_prompts, tiny_policy, with_images
from tests.core.training.tiny_runs import ending_policy, run, some_groups, untimed, weights


def blinded(policy: Policy) -> Policy:
    """Its vision tower says the same about every picture."""

    def nothing(_: object, __: object, out: object) -> object:
        out.pooler_output = torch.zeros_like(out.pooler_output)  # type: ignore[attr-defined]
        return out

    policy.model.model.visual.register_forward_hook(nothing)
    return policy


def reference_groups(policy: Policy, num_questions: int) -> list[Group]:
    """Questions of the bundled world, each with its reference path."""
    rng = np.random.default_rng(4)
    groups = []
    for number in range(num_questions):
        item = make_item(rng, "train")
        prompt = policy.encode(f"q{number}", written_question(item), Image.open(io.BytesIO(item.png)).convert("RGB"))
        path = policy.encode_path(written_path(item, item.draft.answer)).tolist()
        rollout = Rollout(prompt.question_id, tuple(path), (0.0,) * len(path), truncated=False)
        groups.append(Group(prompt, (rollout,), ("",), (), (), Credit((), (), ()), (True,)))
    return groups


def gain_of(policy: Policy, groups: list[Group], score: object = score_shared) -> float:
    others = [group.prompt for group in groups]
    found = image_gain(make_room(2048, longest=""), score, policy, groups, others, temperature=1.0, accelerator=None)  # type: ignore[arg-type]
    return found["image_gain"]


def test_the_bundled_model_sees_and_without_image_features_it_does_not(caplog: pytest.LogCaptureFixture) -> None:
    policy = load_policy("r1vl-tiny", prompt="plain", max_pixels=200704)
    groups = reference_groups(policy, 4)
    gain = gain_of(policy, groups)
    assert gain > 0.05
    assert gain_of(policy, groups, score_dense) == pytest.approx(gain, abs=1e-5)
    warn_if_blind({"image_gain": gain}, 1, None)
    assert not caplog.records
    blind = gain_of(blinded(policy), groups)
    assert abs(blind) < 1e-6
    warn_if_blind({"image_gain": blind}, 7, None)
    (record,) = caplog.records
    assert "step 7: image_gain is" in record.getMessage()
    assert "\n" not in record.getMessage()


@pytest.mark.parametrize("architecture", ["qwen2_vl", "qwen2_5_vl"])
def test_a_blind_policy_gains_nothing_whatever_the_sizes_of_the_pictures(architecture: str) -> None:
    policy = tiny_policy(architecture)
    groups = some_groups(policy, 3)
    assert len({tuple(group.prompt.image_grid_thw.flatten().tolist()) for group in groups}) > 1
    assert gain_of(policy, groups) != 0
    assert gain_of(blinded(policy), groups) == 0


def test_another_picture_takes_the_place_of_the_own_one_and_nothing_else_changes() -> None:
    policy = tiny_policy()
    small, other = some_prompts(policy, 2)
    twin = some_prompts(policy, 4)[3]
    assert not torch.equal(twin.image_grid_thw, small.image_grid_thw)
    several = with_images(policy, small, 3)
    for prompt, source in ((small, other), (other, small), (small, twin), (several, other), (other, several)):
        changed = exchange(prompt, source, 2)
        assert changed.pixel_values.shape == prompt.pixel_values.shape
        assert torch.equal(changed.input_ids, prompt.input_ids)
        assert torch.equal(changed.image_grid_thw, prompt.image_grid_thw)
        patches = {patch.numpy().tobytes() for patch in source.pixel_values}
        assert all(patch.numpy().tobytes() in patches for patch in changed.pixel_values)
    assert torch.equal(exchange(other, other, 2).pixel_values, other.pixel_values)


def test_a_fitted_picture_keeps_its_order() -> None:
    """Blocks of a 4 x 2 picture, numbered in reading order, in the place of a 2 x 2 and of an 8 x 4 one."""
    policy = tiny_policy()
    sizes = ((28 * 2, 28 * 2), (28 * 2, 28 * 4), (28 * 4, 28 * 5))
    small, tall, large = (policy.encode("q", "?", Image.new("RGB", size)) for size in sizes)
    numbered = torch.arange(8).repeat_interleave(4)[:, None].expand_as(tall.pixel_values).float()
    tall = type(tall)(tall.question_id, tall.input_ids, tall.mm_token_type_ids, numbered, tall.image_grid_thw)
    assert exchange(small, tall, 2).pixel_values[::4, 0].tolist() == [0, 1, 4, 5]
    rows = exchange(large, tall, 2).pixel_values[::4, 0].view(5, 4).tolist()
    assert rows == [[2 * row, 2 * row, 2 * row + 1, 2 * row + 1] for row in (0, 0, 1, 2, 3)]


def test_another_picture_is_borrowed_or_nothing_is_said() -> None:
    policy = ending_policy()
    group = some_groups(policy, 1)[0]
    options = {"temperature": 1.0, "accelerator": None}
    assert image_gain(make_room(2048, longest=""), score_shared, policy, [group, group], [group.prompt], **options) == {}  # type: ignore[arg-type]
    other = some_prompts(policy, 2)[1]
    found = image_gain(make_room(2048, longest=""), score_shared, policy, [group], [group.prompt, other], **options)  # type: ignore[arg-type]
    assert found["image_gain"] != 0


def test_probing_changes_no_bit_of_training_and_draws_no_random_number() -> None:
    torch.manual_seed(3)
    without, reports = run(None, probe_every=0)
    state = torch.get_rng_state()
    torch.manual_seed(3)
    probed, others = run(None, probe_every=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert weights(probed) == weights(without)
    for one, other in zip(reports, others, strict=True):
        assert "image_gain" not in one.metrics
        step, metrics, samples = untimed(other)
        assert metrics.pop("image_gain") != 0
        assert untimed(one) == (step, metrics, samples)
    _, sparse = run(None, probe_every=3)
    assert [report.step for report in sparse if "image_gain" in report.metrics] == [1, 4]
