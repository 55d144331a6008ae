"""The rewards for other people's trainers: functions with the signature that TRL's GRPOTrainer calls.

    from r1vl_core.rewards import step_rar_reward, step_rvr_reward
    GRPOTrainer(..., reward_funcs=[step_rar_reward, step_rvr_reward])

The data set brings the columns `answer` and `key_steps`, and for multiple choice `choices`; `question` is read by the strict rewards
alone, which take the prompt's last user message where it is missing. Needs neither torch nor TRL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from r1vl_core.config import Hardening
from r1vl_core.data.scoring import read_choices, read_key_steps
from r1vl_core.reasoning.rewards import ALPHA, PreparedQuestion, prepare, reward
from r1vl_core.records import Question

Part = Literal["step_rar", "step_rvr", "total"]
RewardFunction = Callable[..., list[float | None]]
"""Called as `f(prompts=…, completions=…, completion_ids=…, **columns)`, every argument a list with one item a completion."""


def reward_function(
    part: Part = "total", *, alpha: float = ALPHA, hardening: Hardening = "none", name: str | None = None
) -> RewardFunction:
    """A reward function for TRL; its `__name__`, by which TRL logs it, is `name` or the part's.

    It gives one reward a completion: a number, or None (TRL leaves the completion out) where the column `answer` holds none. A completion
    is a text or a list of messages, of which the assistant's last one counts. Raises ValueError for an unknown part or hardening, and in
    the call, naming the row, for a column that is missing, of another length, or malformed.

    >>> score = reward_function("step_rar", alpha=0.5)
    >>> path = "### Step 1: 6/3 = 2\\n### The final answer is: 2"
    >>> score(prompts=["6 / 3?"], completions=[path], answer=["2"], key_steps=[[["6/3 = 2"], ["2 + 0 = 2"]]])
    [1.25]
    """
    if part not in ("step_rar", "step_rvr", "total"):
        raise ValueError(f'part is {part!r}; it is "step_rar", "step_rvr" or "total"')
    if hardening not in ("none", "strict"):
        raise ValueError(f'hardening is {hardening!r}; it is "none" or "strict"')

    def score(prompts: Sequence[Any], completions: Sequence[Any], completion_ids: Any = None, **columns: Any) -> list[float | None]:
        rows = _rows(prompts, completions, columns)
        return [_score(number, *row, part, alpha, hardening) for number, row in enumerate(rows)]

    score.__name__ = score.__qualname__ = name or (f"{part}_reward" if part != "total" else "stepgrpo_reward")
    score.__doc__ = f"{part} of each completion, alpha {alpha}, hardening {hardening}; see `reward_function`."
    return score


def _score(
    number: int, prompt: Any, completion: Any, columns: Mapping[str, Any], part: Part, alpha: float, hardening: Hardening
) -> float | None:
    if columns["answer"] is None:
        return None
    try:
        question = str(columns.get("question") or _last_text(prompt, "user")) if hardening == "strict" else ""
        prepared = _prepared(
            _text(columns["answer"], "answer"),
            _choices(columns.get("choices")),
            read_key_steps(columns["key_steps"] if columns["key_steps"] is not None else []),
            question,
            hardening,
        )
        return float(getattr(reward(_last_text(completion, "assistant"), prepared, alpha), part))
    except ValueError as error:
        raise ValueError(f"row {number} of the batch: {error}") from None


@lru_cache(maxsize=4096)
def _prepared(
    answer: str, choices: tuple[tuple[str, str], ...], key_steps: tuple[tuple[str, ...], ...], question: str, hardening: Hardening
) -> PreparedQuestion:
    # The completions of a group share their question.
    return prepare(Question("of this row", "", "", "", question, choices, answer, "", key_steps), hardening)


def _rows(prompts: Sequence[Any], completions: Sequence[Any], columns: Mapping[str, Any]) -> list[tuple[Any, Any, dict[str, Any]]]:
    """Prompt, completion and columns of every row. Raises ValueError for a column that is missing or of another length."""
    ours: dict[str, Any] = {}
    for name in ("answer", "key_steps", "choices", "question"):
        column = columns.get(name)
        if column is None and name in ("answer", "key_steps"):
            raise ValueError(f"no column {name!r}; the data set needs answer and key_steps, and choices for multiple choice")
        if column is not None and len(column) != len(completions):
            raise ValueError(f"column {name!r} has {len(column)} rows for {len(completions)} completions; give one a completion")
        ours[name] = column
    return [
        (prompt, completion, {name: column[i] for name, column in ours.items() if column is not None})
        for i, (prompt, completion) in enumerate(zip(prompts, completions, strict=True))
    ]


def _choices(value: Any) -> tuple[tuple[str, str], ...]:
    # A data set's struct column has every row's letters; those that a question has not are None there.
    return read_choices({letter: text for letter, text in value.items() if text is not None} if isinstance(value, Mapping) else value)


def _last_text(turns: Any, role: str) -> str:
    """A plain text, or the text of the last message of that role; content may be a list of blocks, of which the text ones count."""
    if isinstance(turns, str):
        return turns
    if not isinstance(turns, Sequence):
        raise ValueError(f"expected a text or a list of messages, found {type(turns).__name__}")
    content: Any = next((turn.get("content") for turn in reversed(turns) if turn.get("role", role) == role), "")
    if isinstance(content, str) or content is None:
        return content or ""
    return "".join(_text(block.get("text"), "a text block") for block in content if block.get("type") == "text")


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r:.80}; a text is expected")
    return value


step_rar_reward = reward_function("step_rar")
"""StepRAR (paper, equation 2): 1 + alpha k, alpha k, or 0."""
step_rvr_reward = reward_function("step_rvr")
"""StepRVR (paper, equation 3): 1 for a complete and ordered path, else 0."""
stepgrpo_reward = reward_function("total")
"""The paper's reward: StepRAR + StepRVR."""
