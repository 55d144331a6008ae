"""A vision-language model with its tokenizer and image processor: load, save, and turn a question into tokens.

Works with any Qwen2-VL, Qwen2.5-VL or Qwen3-VL checkpoint through the Auto classes, and with others that take patches, a grid and
three-fold positions as these do (Qwen3-VL-MoE, Qwen3.5, GLM-4.1V), whose prompts are not shared. The processor class of transformers needs
torchvision for its video half, which we never use; tokenizer and image processor are therefore loaded one by one, and the image
processor by its PIL backend, so that tokens and pixels are the same with and without torchvision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer, GenerationConfig

from r1vl_core.config import Decode, Precision
from r1vl_core.policy.bundled import bundled_checkpoint
from r1vl_core.policy.checkpoint_files import check_checkpoint
from r1vl_core.policy.patches import multiply_patches
from r1vl_core.policy.precision import check_precision
from r1vl_core.prompts import render_prompt

IGNORED_LABEL = -100

_FAMILY = "a Qwen2-VL, Qwen2.5-VL or Qwen3-VL one"

_PARTS = {
    AutoConfig: "its configuration (config.json)",
    AutoModelForImageTextToText: "its model (config.json and safetensors files)",
    AutoTokenizer: "its tokenizer",
    AutoImageProcessor: "its image processor",
}
"""Parts of a checkpoint, as a message names them."""


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """The I pictures of a question as the model takes them, N patches in all; questions on the same pictures share one such value.

    `pixel_values` (N, D) is float32; `image_grid_thw` (I, 3) counts the patches of each.
    """

    pixel_values: Tensor
    image_grid_thw: Tensor


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question, encoded: T prompt tokens, I images, N patches. Prompts on the same pictures may hold the very same tensors.

    `input_ids` (T,) and `mm_token_type_ids` (T,) are int64, the latter 1 on image tokens and 0 elsewhere; `pixel_values` (N, D)
    is float32; `image_grid_thw` (I, 3) counts the patches of each image.
    """

    question_id: str
    input_ids: Tensor
    mm_token_type_ids: Tensor
    pixel_values: Tensor
    image_grid_thw: Tensor

    def __len__(self) -> int:
        return int(self.input_ids.shape[0])


@dataclass(frozen=True, slots=True)
class Policy:
    """A model that answers, with all it takes to talk to it. `prompt` names the template in `r1vl_core.prompts`.

    `end_token_ids` are all tokens that end a response; `forbidden_token_ids` are placeholders a response must never hold (a
    sampled image placeholder would crash the next forward). `precision` is that of every forward (`r1vl_core/policy/precision.py`),
    `decoding` how responses are sampled: step by step, or in CUDA graphs (`r1vl_core/policy/fixed_decode.py`).
    """

    model: Any
    tokenizer: Any
    image_processor: Any
    prompt: str
    max_pixels: int
    end_token_ids: tuple[int, ...]
    forbidden_token_ids: tuple[int, ...]
    pad_token_id: int
    precision: Precision = "auto"
    decoding: Decode = "eager"

    @property
    def device(self) -> torch.device:
        """Device of the model's parameters."""
        return next(self.model.parameters()).device

    @property
    def tokenizer_json(self) -> str:
        """The tokenizer as its JSON, for those that need no model."""
        return str(self.tokenizer.backend_tokenizer.to_str())

    def encode(self, question_id: str, text: str, image: Image.Image) -> Prompt:
        """Encode a question about one RGB picture; the prompt ends where the response begins and is never cut."""
        return self.encode_about(question_id, text, self.look([image]))

    def look(self, images: Sequence[Image.Image]) -> Pictures:
        """RGB pictures as the model takes them, for any number of questions about them."""
        size = {"shortest_edge": self._min_pixels(), "longest_edge": self.max_pixels}
        pixels = self.image_processor(images=list(images), return_tensors="pt", size=size)
        return Pictures(pixels["pixel_values"].float(), pixels["image_grid_thw"])

    def encode_about(self, question_id: str, text: str, pictures: Pictures) -> Prompt:
        """Encode a question about pictures, which stand before its text. The prompt holds their tensors, not copies."""
        nums = (pictures.image_grid_thw.prod(-1) // self.image_processor.merge_size**2).tolist()
        input_ids = torch.tensor(self._prompt_token_ids(text, nums), dtype=torch.int64)
        is_image = (input_ids == self.model.config.image_token_id).to(torch.int64)
        return Prompt(question_id, input_ids, is_image, pictures.pixel_values, pictures.image_grid_thw)

    def encode_path(self, path: str) -> Tensor:
        """Tokens of a reasoning path with the end token the chat template closes a turn with, (C,) int64."""
        return torch.tensor([*self._plain_token_ids(path), self.end_token_ids[0]], dtype=torch.int64)

    def decode(self, token_ids: Iterable[int]) -> str:
        """Text of a response: everything before the first end token."""
        kept: list[int] = []
        for token_id in token_ids:
            if int(token_id) in self.end_token_ids:
                break
            kept.append(int(token_id))
        return str(self.tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def count_prompt_tokens(self, text: str, width: int, height: int) -> int:
        """Length T of the prompt that `encode` would make for a picture of this size in pixels, without decoding it."""
        kwargs = {"min_pixels": self._min_pixels(), "max_pixels": self.max_pixels}
        num_patches = self.image_processor.get_number_of_image_patches(height, width, kwargs)
        return len(self._prompt_token_ids(text, [num_patches // self.image_processor.merge_size**2]))

    def count_path_tokens(self, path: str) -> int:
        """Number of tokens of a path, its end token included."""
        return len(self._plain_token_ids(path)) + 1

    def save(self, folder: Path, weights: dict[str, Tensor] | None = None) -> None:
        """Write weights (safetensors), tokenizer and image processor; `load_policy` and any Auto class read them back.

        `weights` are written in place of the model's own, by their names in it.
        """
        self.model.save_pretrained(folder, safe_serialization=True, state_dict=weights)
        self.tokenizer.save_pretrained(folder)
        self.image_processor.save_pretrained(folder)

    def _min_pixels(self) -> int:
        return min(int(self.image_processor.size["shortest_edge"]), self.max_pixels)

    def _prompt_token_ids(self, text: str, nums_image_tokens: Sequence[int]) -> list[int]:
        question = {"type": "text", "text": self._harmless(render_prompt(self.prompt, question=text))}
        content = [*[{"type": "image"}] * len(nums_image_tokens), question]
        chat = self.tokenizer.apply_chat_template([{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True)
        image_token_id, nums = self.model.config.image_token_id, iter(nums_image_tokens)
        token_ids: list[int] = []
        for token_id in self.tokenizer(chat, add_special_tokens=False, verbose=False)["input_ids"]:
            token_ids += [token_id] * (next(nums) if token_id == image_token_id else 1)
        return token_ids

    def _plain_token_ids(self, text: str) -> list[int]:
        return list(self.tokenizer(self._harmless(text), add_special_tokens=False, verbose=False)["input_ids"])

    def _harmless(self, text: str) -> str:
        # A data file must not be able to open a turn or add an image: special tokens spelled out in text lose their bar.
        for token in self.tokenizer.all_special_tokens:
            if token in text:
                text = text.replace(token, token.replace("|", " "))
        return text


def choose_device(wanted: str) -> str:
    """ "cpu" or "cuda": what was asked for, or for "auto" the best there is. Raises ValueError for a GPU that is not there."""
    there_is_one = torch.cuda.is_available()
    if wanted == "cuda" and not there_is_one:
        raise ValueError("device cuda was asked for, but torch sees no GPU here; use device auto or cpu, or a worker with a GPU")
    return wanted if wanted != "auto" else "cuda" if there_is_one else "cpu"


def load_policy(
    checkpoint: str | Path,
    *,
    prompt: str,
    max_pixels: int,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    precision: Precision = "auto",
    decoding: Decode = "eager",
    weights: bool = True,
) -> Policy:
    """Load a checkpoint folder or hub name. Raises ValueError for a folder that lacks something (`check_checkpoint`), and when it is
    no vision-language model or its files do not load; also for a precision or a way to decode that the device does not have.

    Without `weights` the model is an empty shell: enough to encode and to count tokens, at no cost in memory.
    """
    check_precision(precision, device)
    if decoding == "graphs" and torch.device(device).type != "cuda":
        raise ValueError(f'decode "graphs" records CUDA graphs, and the device is {device}; use decode "eager", or a worker with a GPU')
    name = str(bundled_checkpoint(checkpoint))
    if Path(name).is_dir():
        check_checkpoint(Path(name))
    config = _load_part(AutoConfig, name)
    if not hasattr(config, "vision_config") or not hasattr(config, "image_token_id"):
        raise ValueError(f"checkpoint {name}: a {config.model_type} is not a vision-language model; use {_FAMILY}")
    if weights:
        model, loading = _load_part(
            AutoModelForImageTextToText, name, dtype=dtype, use_safetensors=True, attn_implementation="sdpa", output_loading_info=True
        )
        _check_loading(name, loading)
        model = model.to(device).eval()
    else:
        with torch.device("meta"), _naming(name, AutoConfig):
            model = AutoModelForImageTextToText.from_config(config)
    if not hasattr(model.model, "get_rope_index"):
        raise ValueError(f"checkpoint {name}: a {config.model_type} takes its pictures in another way; use {_FAMILY}")
    tokenizer = _load_part(AutoTokenizer, name)
    image_processor = _load_part(AutoImageProcessor, name, backend="pil")
    policy = make_policy(model, tokenizer, image_processor, prompt=prompt, max_pixels=max_pixels)
    return replace(policy, precision=precision, decoding=decoding)


def make_policy(model: Any, tokenizer: Any, image_processor: Any, *, prompt: str, max_pixels: int) -> Policy:
    """Join the parts of a policy; the end tokens are all of the generation configuration's and the tokenizer's.

    The model's patch projection becomes a matrix product (`multiply_patches`).
    """
    multiply_patches(model)
    ends = _as_ids(tokenizer.eos_token_id) + _as_ids(_generation_config(model).eos_token_id)
    end_token_ids = tuple(dict.fromkeys(ends))
    if not end_token_ids:
        raise ValueError("the checkpoint names no end token; set eos_token_id in its generation_config.json")
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end_token_ids[-1]
    return Policy(model, tokenizer, image_processor, prompt, max_pixels, end_token_ids, _forbidden(model, end_token_ids), int(pad))


_LOAD_ERRORS = (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, SafetensorError, StrictDataclassError)
"""What transformers raises over the files of a damaged checkpoint, found by damaging them."""


def _load_part(auto_class: Any, name: str, **kwargs: Any) -> Any:
    with _naming(name, auto_class):
        return auto_class.from_pretrained(name, trust_remote_code=False, **kwargs)


@contextmanager
def _naming(name: str, auto_class: Any) -> Iterator[None]:
    """Say of what goes wrong which checkpoint it is, and which part of it."""
    try:
        yield
    except _LOAD_ERRORS as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"checkpoint {name}: {_PARTS[auto_class]} cannot be loaded: {reason}; copy or download it anew") from error


def _check_loading(name: str, loading: dict[str, Any]) -> None:
    # transformers fills what a checkpoint lacks with random weights and goes on; training would start from noise
    wrong = [*map(str, loading.get("missing_keys", ())), *map(str, loading.get("mismatched_keys", ()))]
    if wrong:
        raise ValueError(
            f"checkpoint {name}: its files lack {len(wrong)} of the model's tensors, or hold them in another shape: {wrong[0]}, …"
        )


def _generation_config(model: Any) -> GenerationConfig:
    return model.generation_config or GenerationConfig()


def _as_ids(value: int | list[int] | None) -> list[int]:
    return [] if value is None else [value] if isinstance(value, int) else list(value)


def _forbidden(model: Any, end_token_ids: tuple[int, ...]) -> tuple[int, ...]:
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    found = [getattr(model.config, name, None) for name in names]
    return tuple(sorted({int(token_id) for token_id in found if token_id is not None} - set(end_token_ids)))
