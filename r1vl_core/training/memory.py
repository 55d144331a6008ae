"""How much memory training takes, from a model's configuration alone: what `r1vl plan --memory` prints.

An estimate for the largest micro-batch a preset allows, by what the code keeps and for how long: fp32 weights, gradients and
AdamW states, the reference, bf16 copies under autocast on a GPU, what each layer saves for its backward pass, tiles of logits, and
keys and values while sampling; and what adapters, gradient checkpointing and shards leave of it. A test holds it to measured peaks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from r1vl_core.config import Lora, Preset
from r1vl_core.policy.logprobs import TILE_ELEMENTS
from r1vl_core.training.shapes import Shapes

CACHE_TOKENS = 2**18
"""Tokens held in the cache at once, at most (`policy.rollout.generate`)."""
TEXT_TOKENS = 256
"""Tokens of a question beside its picture, an assumption."""

_FP32 = 4
_BF16 = 2
_TILES = 4
"""Tiles of logits alive at once: scaled, masked, their exponentials, and the gradient."""
_GATHERED_LAYERS = 2
"""Layers of a sharded model held whole at once: the one that is computed and the one fetched ahead."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A micro-batch: `num_prompts` of `prompt` tokens each, `image` of them its picture's; `num_paths` of `path` tokens in all.

    `shared` says that a prompt stands once for its paths, else once for each.

    >>> Batch(num_prompts=2, prompt=100, image=64, num_paths=8, path=50, shared=True).num_tokens
    600
    """

    num_prompts: int
    prompt: int
    image: int
    num_paths: int
    path: int
    shared: bool

    @property
    def num_tokens(self) -> int:
        """Tokens of all rows."""
        return self.prompt * (self.num_prompts if self.shared else self.num_paths) + self.path * self.num_paths


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes by part while a policy is updated and while paths are sampled (empty in warm-up), and the host's beside a GPU.

    >>> Estimate({"weights": 4, "gradients": 4}, {"weights": 4, "keys and values": 2}, 0).peak
    8
    """

    update: Mapping[str, int]
    rollout: Mapping[str, int]
    host: int

    @property
    def peak(self) -> int:
        """The larger of the two."""
        return max(sum(self.update.values()), sum(self.rollout.values()))


@dataclass(frozen=True, slots=True)
class Machine:
    """What a process trains on: "cpu" or "cuda", tokens in a micro-batch, and what the runtime says about memory.

    >>> Machine("cuda", 16384, num_processes=4, sharded=True).num_shards
    4
    """

    device: str
    token_budget: int
    recompute: bool = False
    num_processes: int = 1
    sharded: bool = False

    @property
    def num_shards(self) -> int:
        """Parts in which weights, gradients and optimiser states are held."""
        return self.num_processes if self.sharded else 1

    @property
    def compute(self) -> int:
        """Bytes of a number that is computed with."""
        return _FP32 if self.device == "cpu" else _BF16


@dataclass(frozen=True, slots=True)
class Trained:
    """Which weights a stage trains, and whether a reference stands beside the policy (with adapters it is the policy without them).

    >>> Trained(lora=Lora(rank=16)).reference
    False
    """

    frozen_vision: bool = False
    reference: bool = False
    lora: Lora | None = None

    def num_weights(self, shapes: Shapes) -> int:
        """How many are trained."""
        if self.lora:
            return adapter_weights(shapes, self.lora)
        return shapes.num_weights - (shapes.num_vision_weights if self.frozen_vision else 0)


def token_budget(device: str) -> int:
    """Tokens in one micro-batch, unless the runtime says otherwise: on a CPU its caches decide."""
    return 2048 if device == "cpu" else 16384


def adapter_weights(shapes: Shapes, lora: Lora) -> int:
    """Weights of the adapters of all layers: rank times what goes into and comes out of each layer they stand on.

    Raises ValueError for a layer whose shape is not known.
    """
    hidden, inner = shapes.hidden, shapes.intermediate
    sides = {
        "q_proj": hidden + shapes.query,
        "k_proj": hidden + shapes.keys,
        "v_proj": hidden + shapes.keys,
        "o_proj": shapes.query + hidden,
        "gate_proj": hidden + inner,
        "up_proj": hidden + inner,
        "down_proj": inner + hidden,
    }
    if unknown := [name for name in lora.target_modules if name not in sides]:
        raise ValueError(f"lora.target_modules: no linear layer {', '.join(unknown)}; there are {', '.join(sides)}")
    return shapes.num_layers * lora.rank * sum(sides[name] for name in lora.target_modules)


def estimate_warmup(shapes: Shapes, preset: Preset, machine: Machine) -> Estimate:
    """The largest micro-batch of warm-up: rows of a prompt with the longest path."""
    image, prompt = _prompt(shapes, preset)
    path, settings = preset.curate.max_path_tokens, preset.warmup
    rows = max(1, min(math.ceil(settings.batch_size / machine.num_processes), machine.token_budget // (prompt + path)))
    trained = Trained(frozen_vision=settings.freeze_vision, lora=settings.lora)
    return Estimate(
        update_parts(shapes, Batch(rows, prompt, image, rows, path, shared=False), trained, machine), {}, _host(shapes, machine)
    )


def estimate_stepgrpo(shapes: Shapes, preset: Preset, machine: Machine) -> Estimate:
    """The largest micro-batch of StepGRPO, every path as long as it may be, and the rollouts of a step."""
    image, prompt = _prompt(shapes, preset)
    settings = preset.stepgrpo
    path, size = settings.max_new_tokens, settings.group_size
    questions = math.ceil(settings.questions_per_step / machine.num_processes)
    group = prompt + size * path
    whole = min(questions, machine.token_budget // group)
    left = (machine.token_budget - whole * group - prompt) // path
    more = max(0, min(size, max(left, int(whole == 0)))) if whole < questions else 0  # a part of one more group; a single path is never cut
    trained = Trained(settings.freeze_vision, settings.beta > 0 and settings.lora is None, settings.lora)
    batch = Batch(whole + (more > 0), prompt, image, whole * size + more, path, shared=True)
    sampled = Batch(questions, prompt, image, questions * size, path, shared=True)
    update, rollout = update_parts(shapes, batch, trained, machine), rollout_parts(shapes, sampled, trained, machine)
    return Estimate(update, rollout, _host(shapes, machine))


def update_parts(shapes: Shapes, batch: Batch, trained: Trained, machine: Machine) -> dict[str, int]:
    """Bytes by part at the peak of an update."""
    gathered = shapes.num_outer_weights + _GATHERED_LAYERS * shapes.num_layer_weights if machine.sharded else 0
    return {
        **_standing(shapes, trained, machine),
        "gathered from shards": gathered * (machine.compute + _FP32),  # weights to compute with, gradients to sum
        "gradients": _FP32 * trained.num_weights(shapes) // machine.num_shards,
        **activation_parts(shapes, batch, trained, machine),
    }


def rollout_parts(shapes: Shapes, batch: Batch, trained: Trained, machine: Machine) -> dict[str, int]:
    """Bytes by part while paths are sampled."""
    cached = min(CACHE_TOKENS, batch.num_tokens)
    return {
        **_standing(shapes, trained, machine),
        "gathered from shards": machine.compute * shapes.num_weights if machine.sharded else 0,
        "keys and values": cached * shapes.num_layers * 2 * shapes.keys * machine.compute,
        "reading prompts": batch.num_prompts * batch.prompt * (2 * shapes.intermediate + 6 * shapes.hidden) * _FP32,
        "logits": 5 * _FP32 * min(batch.num_paths, max(1, CACHE_TOKENS // batch.path)) * shapes.vocabulary,
    }


def activation_parts(shapes: Shapes, batch: Batch, trained: Trained, machine: Machine) -> dict[str, int]:
    """What the forward of a micro-batch keeps for its backward pass, and what the logits take beside it.

    Recomputed, a layer keeps its input alone, and what it computes with is there for one layer at a time, when the logits are gone.
    """
    logits = _TILES * _FP32 * min(TILE_ELEMENTS, batch.num_paths * batch.path * shapes.vocabulary)
    num_patches = batch.image * shapes.merge * (batch.num_prompts if batch.shared else batch.num_paths)
    depth = 0 if trained.frozen_vision or trained.lora else shapes.vision_depth
    layer, block = _layer_bytes(shapes, batch, trained, machine), num_patches * shapes.vision_width * (2 * _FP32 + 19 * machine.compute)
    at_once = batch.num_tokens * 3 * shapes.intermediate * machine.compute
    if not machine.recompute:
        return {"activations": shapes.num_layers * layer + at_once + depth * block, "logits": logits}
    inputs = _FP32 * (shapes.num_layers * batch.num_tokens * shapes.hidden + depth * num_patches * shapes.vision_width)
    block_at_once = num_patches * 3 * 4 * shapes.vision_width * machine.compute
    one_layer = max(layer + at_once, block + block_at_once if depth else block)  # a frozen tower is read all the same
    return {"activations": inputs, "one layer": one_layer if one_layer >= logits else 0, "logits": logits if logits > one_layer else 0}


def _layer_bytes(shapes: Shapes, batch: Batch, trained: Trained, machine: Machine) -> int:
    """What one layer of the language model keeps.

    For each token: in fp32 the input of both norms and what they made of it (4 hidden); the inputs of its projections (2 hidden),
    queries, keys, values, attention's output twice, and four of the MLP's width. A packed completion also keeps the keys and values it
    saw, one for each query head. A norm that is not trained keeps its input alone, a projection nothing, unless an adapter on it needs
    its input.
    """
    hidden, query, keys, inner, compute = shapes.hidden, shapes.query, shapes.keys, shapes.intermediate, machine.compute
    per_token = 4 * hidden * _FP32 + (2 * hidden + 3 * query + 2 * keys + 4 * inner) * compute
    if trained.lora:
        adapted = set(trained.lora.target_modules)
        inputs = [({"q_proj", "k_proj", "v_proj"}, hidden), ({"o_proj"}, query), ({"gate_proj", "up_proj"}, hidden), ({"down_proj"}, inner)]
        per_token -= sum(size for names, size in inputs if not names & adapted) * compute + 2 * hidden * _FP32
        per_token += trained.lora.rank * len(adapted) * compute
    seen = batch.num_paths * (batch.prompt + batch.path) * 2 * query * compute if batch.shared else 0
    return batch.num_tokens * per_token + seen


def _standing(shapes: Shapes, trained: Trained, machine: Machine) -> dict[str, int]:
    """What is there in every phase. Shards travel in bf16 already, so that autocast copies nothing."""
    num_trained = trained.num_weights(shapes)
    return {
        "weights": _FP32 * shapes.num_weights // machine.num_shards,
        "adapters": _FP32 * num_trained // machine.num_shards if trained.lora else 0,
        "AdamW": 2 * _FP32 * num_trained // machine.num_shards,
        "reference": _FP32 * shapes.num_weights // machine.num_shards if trained.reference else 0,
        "bf16 copies": 0 if machine.device == "cpu" or machine.sharded else _BF16 * shapes.num_weights,
    }


def _prompt(shapes: Shapes, preset: Preset) -> tuple[int, int]:
    """Tokens of the largest picture, and of a prompt with it."""
    image = preset.max_pixels // (14 * 14) // shapes.merge
    return image, min(preset.curate.max_prompt_tokens, image + TEXT_TOKENS)


def _host(shapes: Shapes, machine: Machine) -> int:
    """Beside GPUs: a checkpoint read back passes through the host whole, weights and optimiser; a model to be sharded, once a process."""
    return 0 if machine.device == "cpu" else max(3, machine.num_shards) * _FP32 * shapes.num_weights
