"""`r1vl ask`: one question about one picture, answered by a trained policy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from r1vl_core.config import BUNDLED_MODEL, Preset, Runtime, StepGRPO
from r1vl_core.policy.bundled import bundled_checkpoint
from r1vl_core.prompts import prompt_names
from r1vl_core.reasoning import paths
from tasks.store import Artifact, Store

_MAX_PIXELS = 50_000_000


@dataclass(frozen=True)
class _Answering:
    """A policy's checkpoint, and what it is asked with: prompt template, largest picture in pixels, longest answer in tokens."""

    checkpoint: Path
    prompt: str
    max_pixels: int
    max_new_tokens: int


def print_answer(runtime: Runtime, question: str, image: Path, model: Path | None, prompt: str | None = None) -> None:
    """Answer and print, section by section; how far it is stands on the error output, where that is a terminal.

    Raises ValueError for a picture, a question, a prompt or a checkpoint that will not do, before anything is loaded.
    """
    from r1vl_core.data.images import PictureError, load_image

    if not question.strip():
        raise ValueError("the question is empty")
    if prompt is not None and prompt not in prompt_names():
        raise ValueError(f"--prompt {prompt}: no prompt template has this name; there are {', '.join(prompt_names())}")
    if image.exists() and not (image.is_file() or image.is_dir()):
        raise ValueError(f"picture {image}: a device or a pipe, which may have no end; save the picture as a file")
    if image.is_dir():
        raise ValueError(f"picture {image}: a folder; name one picture in it")
    try:
        picture = load_image(image, _MAX_PIXELS)
    except PictureError as error:
        raise ValueError(f"picture {image}: {error.detail}") from None
    answering = _given(model, runtime.root) if model else _made_last(runtime.root)
    with Console(stderr=True).status("loading the policy") as status:
        from transformers.utils.logging import disable_progress_bar

        from r1vl_core.policy.model import choose_device, load_policy
        from r1vl_core.policy.rollout import generate

        disable_progress_bar()  # the status line says it already, and only where somebody reads it
        policy = load_policy(
            answering.checkpoint, prompt=prompt or answering.prompt, max_pixels=answering.max_pixels, device=choose_device(runtime.device)
        )
        (rollout,) = generate(
            policy,
            [policy.encode("question", question, picture)],
            max_new_tokens=answering.max_new_tokens,
            progress=lambda num_tokens: status.update(f"answering: {num_tokens} tokens, at most {answering.max_new_tokens}"),
        )
    print_path(Console(), paths.parse(policy.decode(rollout.token_ids)), answering.checkpoint)
    if rollout.truncated:
        print(f"cut off after {answering.max_new_tokens} tokens: the policy did not come to an end")


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


def _given(model: Path, root: Path) -> _Answering:
    """The checkpoint in a folder of the user's, or in the store, asked as it was trained then.

    A name of the hub's is refused: what is there has not been trained here.
    """
    folder = Path(bundled_checkpoint(model))
    if not folder.is_dir():
        raise ValueError(f"--model {model}: no such folder; give the folder of a checkpoint, or leave --model out for the policy made last")
    if not (folder / "config.json").is_file():
        raise ValueError(f"--model {model}: no checkpoint, for it holds no config.json; give the folder that does")
    for artifact in Store(root).artifacts():
        if artifact.path.resolve() == folder.resolve().parent:
            return _trained_here(artifact, folder)
    preset, stepgrpo = Preset.model_fields, StepGRPO.model_fields
    prompt = "plain" if str(model) == BUNDLED_MODEL else preset["prompt"].default  # what it was trained with
    return _Answering(folder, prompt, preset["max_pixels"].default, stepgrpo["max_new_tokens"].default)


def _made_last(root: Path) -> _Answering:
    """The StepGRPO policy made last, asked as it was trained."""
    artifact = Store(root).latest("stepgrpo")
    if artifact is None:
        raise ValueError(f"no trained policy under {root}; run the pipeline first (`r1vl run tiny`) or name a checkpoint with --model")
    return _trained_here(artifact, artifact.path / str(artifact.notes["checkpoint"]))


def _trained_here(artifact: Artifact, checkpoint: Path) -> _Answering:
    """A policy of the store's, asked as it was trained."""
    (prompt,) = artifact.recipe.prompts
    settings = artifact.recipe.settings
    longest = settings.get("max_new_tokens", StepGRPO.model_fields["max_new_tokens"].default)  # warm-up samples nothing
    return _Answering(checkpoint, prompt, int(settings["max_pixels"]), int(longest))
