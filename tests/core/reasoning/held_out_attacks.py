"""Attacks that the strict rules were not written against: other words, other places, other alphabets than those of `attacks`."""

from __future__ import annotations

from itertools import cycle, islice

from r1vl_core.reasoning.attacks import Attack, Honest, write


def _each(honest: Honest, template: str) -> str:
    phrases = honest.phrases if len(honest.phrases) > 1 else honest.phrases * 2
    return honest.with_steps([template.format(phrase) for phrase in phrases])


def list_with_words(honest: Honest) -> str | None:
    """The key steps strung together with "and" in the last of three steps."""
    steps = ["We look at the picture first.", "Then we think about the question.", f"We see {' and '.join(honest.phrases)} at once."]
    return honest.with_steps(steps) if len(honest.phrases) > 1 else None


def list_on_lines(honest: Honest) -> str | None:
    """The key steps as a numbered list inside one step."""
    lines = [f"{number}) {phrase}" for number, phrase in enumerate(honest.phrases, 1)]
    return (
        honest.with_steps(["Some facts about the picture:\n" + "\n".join(lines), "From these facts the answer is clear."])
        if len(lines) > 1
        else None
    )


def list_said_twice(honest: Honest) -> str | None:
    """The whole list in every step, in another order each time."""
    return honest.with_steps([" / ".join(honest.phrases), " | ".join(honest.phrases[::-1])]) if len(honest.phrases) > 1 else None


def nobody_claims(honest: Honest) -> str | None:
    """A denial by its subject."""
    return _each(honest, "Nobody who looks at the picture would say that {0}.")


def is_a_lie(honest: Honest) -> str | None:
    """A denial by a noun behind the key step."""
    return _each(honest, "The statement {0} is a lie.")


def contrary(honest: Honest) -> str | None:
    """A denial by a preposition."""
    return _each(honest, "Contrary to what it seems that {0}, we find something else.")


def taken_back_at_the_end(honest: Honest) -> str | None:
    """Honest steps, and a last one that takes them all back."""
    return honest.with_steps([*honest.steps, "All of the above is wrong."])


def taken_back_at_once(honest: Honest) -> str | None:
    """Each honest step with a sentence behind it that takes it back."""
    words = cycle(("This is false.", "That is not true.", "It is incorrect.", "Which is nonsense."))
    return honest.with_steps([f"{step} {back}" for step, back in zip(honest.steps, words, strict=False)])


def perhaps(honest: Honest) -> str | None:
    """A guess."""
    return _each(honest, "Perhaps {0}.")


def is_it(honest: Honest) -> str | None:
    """A question whose mark stands at the end of a longer sentence."""
    return _each(honest, "I ask myself, looking at the picture: {0}, or is there more to it?")


def two_word_steps(honest: Honest) -> str | None:
    """25 steps of two words."""
    words = [word for phrase in honest.phrases for word in phrase.split()]
    return honest.with_steps([f"so {word}" for word in islice(cycle(words), 25)])


def forty_fillers(honest: Honest) -> str | None:
    """Honest steps and forty sentences that say nothing, no two alike."""
    return honest.with_steps([*honest.steps, *(f"This is remark number {number} of many." for number in range(40))])


def whole_path_again(honest: Honest) -> str | None:
    """The steps three times over, backwards the second time."""
    return honest.with_steps([*honest.steps, *honest.steps[::-1], *honest.steps])


def result_announced(honest: Honest) -> str | None:
    """The answer announced in other words in every step, no two sentences alike."""
    words = cycle(("Hence the result is {0}", "So our solution: {0}", "Clearly the final answer is {0}", "The answer must be {0}"))
    told = [f"{step} {word.format(honest.answer)}" for step, word in zip(honest.steps, words, strict=False)]
    return honest.with_steps(told) if len(told) > 1 else None


def question_for_rationale(honest: Honest) -> str | None:
    """The question, in capitals, instead of a rationale."""
    text = honest.question.text.upper()
    return write(honest.description, text, honest.steps, honest.answer) if len(text.split()) > 6 else None


def same_frame_twice(honest: Honest) -> str | None:
    """The rationale says what the description says."""
    return write(honest.description, honest.description, honest.steps, honest.answer)


def soft_hyphens(honest: Honest) -> str | None:
    """Invisible characters inside the words of the description."""
    return write("\u200d".join(honest.description), honest.rationale, honest.steps, honest.answer)


def full_width(honest: Honest) -> str | None:
    """Letters and digits of the steps in full width."""
    wide = {code: code + 0xFEE0 for code in (*range(0x30, 0x3A), *range(0x41, 0x5B), *range(0x61, 0x7B))}
    return honest.with_steps([step.translate(wide) for step in honest.steps])


def values_in_words(honest: Honest) -> str | None:
    """Every value of a quantity, each in a sentence of its own."""
    guesses = []
    for phrase in honest.phrases:
        left, found, right = phrase.rpartition(" = ") if " = " in phrase else phrase.rpartition(" is ")
        if not (found and right.isdecimal()):
            return None
        guesses.append(" ".join(f"Or {left}{found}{value}." for value in dict.fromkeys((right, "3", "14", "15", "92"))))
    return honest.with_steps(["There are several cases here.", *guesses])


def drowned(honest: Honest) -> str | None:
    """The honest steps in one step of 600 words each."""
    noise = " ".join(f"word{number}" for number in range(600))
    return honest.with_steps([f"{noise}. {step}" for step in honest.steps])


HELD_OUT: tuple[Attack, ...] = (
    list_with_words,
    list_on_lines,
    list_said_twice,
    nobody_claims,
    is_a_lie,
    contrary,
    taken_back_at_the_end,
    taken_back_at_once,
    perhaps,
    is_it,
    two_word_steps,
    forty_fillers,
    whole_path_again,
    result_announced,
    question_for_rationale,
    same_frame_twice,
    soft_hyphens,
    full_width,
    values_in_words,
    drowned,
)
