"""Prompts about the same pictures: the vision tower sees each picture once, and every prompt gets what it made of it.

Two prompts share their pictures when they hold the very same tensors (`Policy.encode_about` with one value of `Policy.look`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from r1vl_core.policy.batch import Rows
from r1vl_core.policy.model import Policy, Prompt


def distinct_pictures(prompts: Sequence[Prompt]) -> list[Prompt]:
    """The first prompt of each that share their pictures, in order."""
    found: dict[int, Prompt] = {}
    for prompt in prompts:
        found.setdefault(id(prompt.pixel_values), prompt)
    return list(found.values())


def picture_inputs(policy: Policy, prompts: Sequence[Prompt], rows: Rows) -> dict[str, Any]:
    """What a forward over the prompts needs of their pictures; `rows` holds the distinct ones.

    Where none is shared these are the pictures themselves, and the forward is what it is anywhere else.
    """
    distinct = distinct_pictures(prompts)
    if len(distinct) == len(prompts):
        return {"pixel_values": rows.pixel_values, "image_grid_thw": rows.image_grid_thw}
    encoded = policy.model.model.get_image_features(rows.pixel_values, rows.image_grid_thw, return_dict=True)
    order = _places(prompts, distinct)
    encoded.pooler_output = _spread(encoded.pooler_output, order)
    if getattr(encoded, "deepstack_features", None) is not None:
        encoded.deepstack_features = [_spread(layer, order) for layer in encoded.deepstack_features]
    return {"mm_encoder_outputs": {"image": encoded}}


def _places(prompts: Sequence[Prompt], distinct: Sequence[Prompt]) -> list[int]:
    """For each picture of each prompt, its place among the distinct ones."""
    first: dict[int, int] = {}
    num_pictures = 0
    for prompt in distinct:
        first[id(prompt.pixel_values)] = num_pictures
        num_pictures += len(prompt.image_grid_thw)
    return [first[id(prompt.pixel_values)] + place for prompt in prompts for place in range(len(prompt.image_grid_thw))]


def _spread(features: Sequence[Tensor], order: Sequence[int]) -> tuple[Tensor, ...]:
    return tuple(features[place] for place in order)
