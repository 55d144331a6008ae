"""`r1vl ask`: one question about one picture, answered by a trained policy."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from flows.policies import given, made_last
from r1vl_core.config import Runtime
from r1vl_core.prompts import prompt_names
from r1vl_core.reasoning import paths

_MAX_PIXELS = 50_000_000


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
    answering = given(model, runtime.root, "--model") if model else made_last(runtime.root)
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
