"""Attacks on the rewards: each turns an honest path into a text that should earn less, and asks the rewards to notice.

An attack knows all that a policy could ever learn: the right answer, and every form of every key step. What it leaves out is the
reasoning. An attack that does not apply to a path (a list of one key step is no list) gives None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from r1vl_core.reasoning.paths import ReasoningPath, parse
from r1vl_core.records import Question, asked

_FILLER = "Let me look at this with care."
_CYRILLIC = str.maketrans("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ")
_NOISE = ("the", "lamp", "near", "a", "quiet", "river", "keeps", "walking", "under", "seven", "clouds", "while", "people", "paint", "doors")


@dataclass(frozen=True, slots=True)
class Honest:
    """An honest path to a question, and another question whose path is honest there.

    >>> question = Question("q", "s", "", "", "6 / 3?", (), "2", "### Step 1: 6/3 = 2\\n### The final answer is: 2", (("6/3 = 2",),))
    >>> Honest(question, parse(question.reference_path), question).phrases
    ('6/3 = 2',)
    """

    question: Question
    path: ReasoningPath
    other: Question

    @property
    def description(self) -> str:
        return self.path.description.text if self.path.description else ""

    @property
    def rationale(self) -> str:
        return self.path.rationale.text if self.path.rationale else ""

    @property
    def steps(self) -> tuple[str, ...]:
        return tuple(step.text for step in self.path.steps)

    @property
    def answer(self) -> str:
        return self.path.answer.text if self.path.answer else ""

    @property
    def phrases(self) -> tuple[str, ...]:
        """The first form of every key step."""
        return tuple(forms[0] for forms in self.question.key_steps)

    def with_steps(self, steps: Sequence[str], answer: str | None = None) -> str:
        """The same path with other steps (and another answer)."""
        return write(self.description, self.rationale, steps, self.answer if answer is None else answer)


Attack = Callable[[Honest], str | None]


def write(description: str, rationale: str, steps: Sequence[str], answer: str) -> str:
    """A text in the grammar's headers, whatever stands below them (`paths.render` refuses what would not parse)."""
    lines = [f"### Step {number}: {step}" for number, step in enumerate(steps, 1)]
    frame = ("### Image Description:", description, "### Rationales:", rationale, "### Let's think step by step.")
    return "\n".join([*frame, *lines, "### The final answer is:", answer])


def list_in_one_step(honest: Honest) -> str | None:
    """All key steps listed in a single step."""
    return honest.with_steps([", ".join(honest.phrases)])


def list_behind_filler(honest: Honest) -> str | None:
    """All key steps listed in one step, between two that say nothing."""
    return honest.with_steps([_FILLER, ", ".join(honest.phrases), "That settles the matter."]) if len(honest.phrases) > 1 else None


def every_form_listed(honest: Honest) -> str | None:
    """Every form of every key step, one list."""
    forms = [form for group in honest.question.key_steps for form in group]
    return honest.with_steps([_FILLER, "; ".join(forms)]) if len(forms) > 2 else None


def question_as_steps(honest: Honest) -> str | None:
    """The question and its choices instead of steps."""
    return honest.with_steps([asked(honest.question.text, honest.question.choices), "So the answer follows."])


def question_in_a_step(honest: Honest) -> str | None:
    """The question copied into the first step."""
    first, *rest = honest.steps
    return honest.with_steps([f"{honest.question.text} {first}", *rest])


def empty_steps(honest: Honest) -> str | None:
    """The right headers with nothing below them."""
    return honest.with_steps(["" for _ in honest.steps])


def hollow_steps(honest: Honest) -> str | None:
    """The right headers with a word below each."""
    return honest.with_steps(["Done." for _ in honest.steps])


def hollow_frame(honest: Honest) -> str | None:
    """Honest steps below a description and a rationale of one word."""
    return write("Ok", "Ok", honest.steps, honest.answer)


def header_in_a_sentence(honest: Honest) -> str | None:
    """Headers inside one running sentence."""
    frame = f"Here is ### Image Description: {honest.description} with ### Rationales: {honest.rationale}"
    steps = f"and first ### Step 1: {', '.join(honest.phrases)}, then ### Step 2: the rest"
    return f"{frame} {steps}\n### The final answer is:\n{honest.answer}"


def two_answers(honest: Honest) -> str | None:
    """The right answer and another one, to choose from."""
    return honest.with_steps(honest.steps, f"{honest.answer.rstrip('.')} or {_another(honest)}")


def two_answer_sections(honest: Honest) -> str | None:
    """One answer section with another answer, then one with the right one."""
    return honest.with_steps(honest.steps, f"{_another(honest)}\n### The final answer is:\n{honest.answer}")


def answer_for_steps(honest: Honest) -> str | None:
    """Nothing but the answer in every step."""
    return honest.with_steps([f"The answer is {honest.answer}" for _ in honest.steps])


def answer_in_every_step(honest: Honest) -> str | None:
    """The answer announced again in every step."""
    return honest.with_steps([f"{step} The answer is {honest.answer}" for step in honest.steps]) if len(honest.steps) > 1 else None


def one_word_steps(honest: Honest) -> str | None:
    """200 steps of one word each, the words of the key steps in turn."""
    words = [word for phrase in honest.phrases for word in phrase.split()]
    return honest.with_steps(list(islice(cycle(words), 200)))


def padding_steps(honest: Honest) -> str | None:
    """Honest steps, then one-word steps up to 200."""
    return honest.with_steps([*honest.steps, *islice(cycle(("so", "then", "next")), 200 - len(honest.steps))])


def steps_twice(honest: Honest) -> str | None:
    """Every step said a second time."""
    return honest.with_steps([step for step in honest.steps for _ in range(2)])


def denied_before(honest: Honest) -> str | None:
    """Every key step denied."""
    return honest.with_steps([f"It is not true that {phrase}." for phrase in _at_least_two(honest.phrases)])


def denied_after(honest: Honest) -> str | None:
    """Every key step taken back as soon as it is said."""
    return honest.with_steps([f"{phrase}, but that is wrong." for phrase in _at_least_two(honest.phrases)])


def only_asked(honest: Honest) -> str | None:
    """Every key step as a question."""
    return honest.with_steps([f"Could it be that {phrase}?" for phrase in _at_least_two(honest.phrases)])


def every_value_guessed(honest: Honest) -> str | None:
    """Each key step with every digit in the place of its result."""
    guesses = [_guesses(phrase) for phrase in honest.phrases]
    return honest.with_steps([_FILLER, *guesses]) if all(guesses) else None


def other_questions_steps(honest: Honest) -> str | None:
    """The steps of another question with the right answer."""
    return honest.with_steps([step.text for step in parse(honest.other.reference_path).steps])


def steps_reversed(honest: Honest) -> str | None:
    """The honest steps from the last to the first; applies where key steps stand in three steps or more."""
    return honest.with_steps(honest.steps[::-1]) if len(honest.steps) > 2 and len(honest.phrases) > 1 else None


def look_alike_letters(honest: Honest) -> str | None:
    """Latin letters of the steps exchanged for Cyrillic ones that look the same."""
    return honest.with_steps([step.translate(_CYRILLIC) for step in honest.steps])


def hidden_in_noise(honest: Honest) -> str | None:
    """The key steps somewhere in two steps of 800 words."""
    noise = list(islice(cycle(_NOISE), 400))
    hidden = [*noise, *(f"{phrase}." for phrase in honest.phrases), *noise]
    return honest.with_steps([" ".join(hidden), " ".join(noise[::-1] + noise)])


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        list_in_one_step,
        list_behind_filler,
        every_form_listed,
        question_as_steps,
        question_in_a_step,
        empty_steps,
        hollow_steps,
        hollow_frame,
        header_in_a_sentence,
        two_answers,
        two_answer_sections,
        answer_for_steps,
        answer_in_every_step,
        one_word_steps,
        padding_steps,
        steps_twice,
        denied_before,
        denied_after,
        only_asked,
        every_value_guessed,
        other_questions_steps,
        steps_reversed,
        look_alike_letters,
        hidden_in_noise,
    )
}
"""Every attack by its name; the docstring says what it does."""


def _another(honest: Honest) -> str:
    """An answer that is not the right one."""
    letter = honest.answer.removeprefix("option ").lstrip("(")[:1].upper()
    others = [other for other, _ in honest.question.choices if other != letter]
    return others[0] if others else "12345"


def _at_least_two(phrases: tuple[str, ...]) -> tuple[str, ...]:
    # A path of one step would lose for being one step, and say nothing about the attack.
    return phrases if len(phrases) > 1 else phrases * 2


def _guesses(phrase: str) -> str:
    left, found, right = phrase.rpartition(" = ") if " = " in phrase else phrase.rpartition(" is ")
    values = list(dict.fromkeys((*"0123456789", right)))
    return "; ".join(f"{left}{found}{value}" for value in values) if found and right[:1].isdecimal() else ""
