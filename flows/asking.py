"""`r1vl ask`: one question about one picture, answered by a trained policy."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from r1vl_core.config import Preset, Runtime
from r1vl_core.reasoning import paths
from tasks.store import Store

_MAX_PIXELS = 50_000_000
_MAX_NEW_TOKENS = 1024
_DEFAULTS: tuple[str, int] = (Preset.model_fields["prompt"].default, Preset.model_fields["max_pixels"].default)


def print_answer(runtime: Runtime, question: str, image: Path, model: Path | None, prompt: str | None = None) -> None:
    """Answer and print, section by section. Raises ValueError for a picture, a question or a checkpoint that will not do."""
    from r1vl_core.data.images import PictureError, load_image

    if not question.strip():
        raise ValueError("the question is empty")
    try:
        picture = load_image(image, _MAX_PIXELS)
    except PictureError as error:
        raise ValueError(f"picture {image}: {error.detail}") from None
    checkpoint, prompt_name, max_pixels = (model, *_DEFAULTS) if model else _latest_policy(runtime.root)
    prompt_name = prompt or prompt_name
    from r1vl_core.policy.model import load_policy
    from r1vl_core.policy.rollout import generate

    policy = load_policy(checkpoint, prompt=prompt_name, max_pixels=max_pixels, device=_device(runtime))
    (rollout,) = generate(policy, [policy.encode("question", question, picture)], max_new_tokens=_MAX_NEW_TOKENS)
    print_path(Console(), paths.parse(policy.decode(rollout.token_ids)), checkpoint)


def print_path(console: Console, path: paths.ReasoningPath, checkpoint: Path) -> None:
    """A path's sections under their names; a response that has none is printed as it is."""
    named = [("Image description", path.description), ("Rationale", path.rationale)]
    named += [(f"Step {step.number}", step) for step in path.steps]
    named += [("The final answer", path.answer)]
    for name, section in named:
        if section is not None:
            console.print(Text(name, style="bold"))
            console.print(Text(section.text))
    if all(section is None for _, section in named):
        console.print(Text(path.text))
    if path.defects:
        console.print(Text(f"not a valid path: {', '.join(path.defects)}", style="yellow"))
    console.print(Text(f"policy: {checkpoint}", style="dim"), soft_wrap=True)


def _latest_policy(root: Path) -> tuple[Path, str, int]:
    """Checkpoint, prompt and largest picture of the StepGRPO policy made last."""
    artifact = Store(root).latest("stepgrpo")
    if artifact is None:
        raise ValueError(f"no trained policy under {root}; run the pipeline first (`r1vl run tiny`) or name a checkpoint with --model")
    (prompt,) = artifact.recipe.prompts
    return artifact.path / str(artifact.notes["checkpoint"]), prompt, int(artifact.recipe.settings["max_pixels"])


def _device(runtime: Runtime) -> str:
    from r1vl_core.policy.model import choose_device

    return choose_device(runtime.device)
