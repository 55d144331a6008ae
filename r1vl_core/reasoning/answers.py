"""Is an answer right? Choices, numbers with units, yes or no, lists, words; symbolic equality as the last resort.

`is_correct` is total: for any text it gives one of five verdicts and names the rule that decided. Fast paths decide nearly everything;
only two mathematical expressions that they cannot compare go to a worker process with a hard limit (`symbolic`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, Protocol

from r1vl_core.reasoning.choices import Claim, read_claim
from r1vl_core.reasoning.cleaning import without_lead_in, without_reason
from r1vl_core.reasoning.comparison import same_expression, same_items, to_latex
from r1vl_core.reasoning.expressions import Expression, read_expression
from r1vl_core.reasoning.gold_answers import SENTENCE_END, choice_within, settled
from r1vl_core.reasoning.magnitude import is_too_large
from r1vl_core.reasoning.normal_form import normalise
from r1vl_core.reasoning.paths import is_blank
from r1vl_core.reasoning.symbolic import Outcome, symbolically_equal

VerdictName = Literal["correct", "wrong", "absent", "timeout", "error"]

MAX_ANSWER_LENGTH = 1000
"""Characters; a longer answer (and longer than four times the gold one) is no answer but an essay, and wrong."""

_MAX_COMPARISONS = 40
_MAX_SENTENCES = 4
_BESIDE = re.compile(r"[,;]\s++|\b(?:or|and)\b", re.IGNORECASE)
_LETTER_ALONE = re.compile(r"(?:(?:option|choice|answer)\b)?[ \t:]*[(\[]?([A-Z])[)\]]?[.:]?", re.IGNORECASE)
_UNNAMED_LETTERS = frozenset("ABCDEFGH")
# A letter alone, or with a mark between it and its text: "C", "(C)", "option C", "C: 57". "A = 20", "F = ma" and "C major" are values.
_LETTER_GOLD = re.compile(
    r"(?:(?:[Oo]ption|[Cc]hoice|[Aa]nswer)\b)?[ \t:]*+(?:[(\[][A-H][)\]][.:]?|[A-H](?![^\W_])[ \t]*[.:)]?)(?:(?<=[.:)\]])\s*\S.*)?",
    re.DOTALL,
)


_OUTCOMES: dict[Outcome, VerdictName] = {"equal": "correct", "different": "wrong", "timeout": "timeout", "error": "error"}


class HasChoices(Protocol):
    """Anything with multiple-choice options: (letter, text) pairs in the order asked, empty for a free-form question."""

    @property
    def choices(self) -> tuple[tuple[str, str], ...]: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an answer, and the rule that decided.

    "timeout" and "error" mean that symbolic comparison did not end or failed; they earn what a wrong answer earns, and are counted.

    >>> Verdict("correct", "choice_letter").verdict
    'correct'
    """

    verdict: VerdictName
    rule: str


@dataclass(frozen=True, slots=True)
class Gold:
    """A gold answer read once: its expression and, for multiple choice, the letters it names and every choice's expression.

    `written` has the letter of each choice by its text as it stands, before anything is taken off: "only A" is no letter A.
    `open_letters` is True when the question brought no choices and only the gold answer itself shows that letters were asked for.
    """

    text: str
    expression: Expression
    letters: tuple[str, ...] = ()
    known: frozenset[str] = frozenset()
    choices: tuple[tuple[str, Expression], ...] = ()
    written: Mapping[str, str] = field(default_factory=dict)


def is_correct(response_answer: str | None, gold: str, question: HasChoices) -> Verdict:
    """Judge the text of an answer section against the gold answer. Never raises for any text.

    >>> from types import SimpleNamespace
    >>> is_correct("C: 123", "C", SimpleNamespace(choices=(("A", "57"), ("C", "123"))))
    Verdict(verdict='correct', rule='choice_letter')
    """
    return judge(response_answer, read_gold(gold, tuple(question.choices)))


@lru_cache(maxsize=8192)
def read_gold(gold: str, choices: tuple[tuple[str, str], ...]) -> Gold:
    """Read a gold answer against its question's choices. A bare value ("45") names the choice with that text."""
    expression = settled(gold)
    table = tuple((letter.strip().upper()[:1] or "?", read_expression(text)) for letter, text in choices)
    if not table:
        return _lettered_gold(gold, expression)
    known = frozenset(letter for letter, _ in table)
    written = {_as_written(text): letter for (letter, _), (_, text) in zip(table, choices, strict=True)}
    written = {text: letter for text, letter in written.items() if len(text) > 1} if len(written) == len(choices) else {}
    if _as_written(gold) in written:
        return Gold(gold, expression, (written[_as_written(gold)],), known, table, written)
    claim = read_claim(expression.text, known)
    by_text = _choices_with_text(expression, table)
    if by_text and (claim.rest == "" and len(expression.text) > 1):
        return Gold(gold, expression, by_text[:1], known, table, written)
    letters = claim.letters[:1] if claim.rest else claim.letters
    return Gold(gold, expression, letters or by_text[:1] or choice_within(expression.pieces, table), known, table, written)


def _as_written(text: str) -> str:
    return normalise(text).joined.rstrip(" .,;:!?")


def check_gold(answer: str, choices: tuple[tuple[str, str], ...]) -> None:
    """Raises ValueError for a gold letter that is none of the choices: no response could be right.

    >>> check_gold("(b)", (("A", "12"), ("B", "15")))
    """
    letters = [letter.upper() for letter, _ in choices]
    alone = _LETTER_ALONE.fullmatch(answer.strip())
    if not alone or not letters or alone[1].upper() in letters:
        return
    if not read_gold(answer, choices).letters:  # a choice may have a letter for its text
        raise ValueError(f"answer {answer!r:.80} is none of the choices {', '.join(letters)}; correct the answer or add the choice")


def _lettered_gold(gold: str, expression: Expression) -> Gold:
    """A gold answer without choices that is itself a letter ("C") or a labelled choice ("C: 57")."""
    if not _LETTER_GOLD.fullmatch(expression.text):
        return Gold(gold, expression)
    claim = read_claim(expression.text, _UNNAMED_LETTERS)
    if not claim.letters or (len(claim.letters) > 1 and not claim.rest):
        return Gold(gold, expression)
    letter = claim.letters[0]
    table = ((letter, read_expression(claim.rest)),) if claim.rest else ()
    return Gold(gold, expression, (letter,), _UNNAMED_LETTERS, table)


def judge(response_answer: str | None, gold: Gold) -> Verdict:
    """`is_correct` for a gold answer already read."""
    if response_answer is None or is_blank(response_answer):
        return Verdict("absent", "empty")
    if response_answer.strip() == gold.text.strip():
        return Verdict("correct", "exact")
    if len(response_answer) > max(MAX_ANSWER_LENGTH, 4 * len(gold.text)):
        return Verdict("wrong", "too_long")
    verdict = _judge_text(response_answer, gold)
    if verdict.verdict != "wrong":
        return verdict
    short = without_reason(response_answer)
    if short != response_answer:
        verdict = _judge_text(short, gold)
    return verdict if verdict.verdict != "wrong" else _judge_sentences(short, gold) or verdict


def _judge_sentences(text: str, gold: Gold) -> Verdict | None:
    """An answer said again ("5. So there are 5."): right when every sentence is; None when one is not, or there is one only."""
    sentences = SENTENCE_END.split(text.strip(), maxsplit=_MAX_SENTENCES)
    if not 1 < len(sentences) <= _MAX_SENTENCES:
        return None
    verdict = None
    for sentence in sentences:
        verdict = _judge_text(sentence, gold)
        if verdict.verdict != "correct":
            return None
    return verdict


def _judge_text(text: str, gold: Gold) -> Verdict:
    answer = read_expression(text)
    if not answer.text or is_blank(answer.text):
        return Verdict("absent", "empty")
    letter = _letter_of_written(text, gold)
    if letter:
        return Verdict("correct" if (letter,) == gold.letters else "wrong", "choice_text")
    return _judge_choice(answer, gold) if gold.letters else _judge_value(answer, gold.expression)


def _letter_of_written(text: str, gold: Gold) -> str:
    """The choice whose text an answer is to the letter, behind "The answer is" too; "" for none."""
    if not gold.written:
        return ""
    letter = gold.written.get(_as_written(text), "")
    behind = text if letter else without_lead_in(text)
    return letter if behind is text else gold.written.get(_as_written(behind), "")


def _judge_choice(answer: Expression, gold: Gold) -> Verdict:
    claim = read_claim(answer.text, gold.known)
    alone = len(claim.letters) == 1 and len(answer.text.strip("()[]{}<>.:,;!\"'`~ ")) == 1
    word_for_word = any(text.pieces == answer.pieces for _, text in gold.choices)
    labelled = bool(claim.letters and claim.rest) and not word_for_word
    by_text = () if alone or labelled else _choices_with_text(answer, gold.choices)
    if by_text:
        if len(by_text) > 1 and not word_for_word:
            return Verdict("wrong", "several_choices")
        return Verdict("correct" if gold.letters[0] in by_text else "wrong", "choice_text")
    beside = not claim.rest or claim.rest.lower().startswith(("or ", "and "))
    if claim.letters and beside and _names_another(answer.text, claim.letters[0], gold):
        return Verdict("wrong", "several_choices")
    if claim.letters:
        return _judge_claim(claim, gold)
    text = next((text for letter, text in gold.choices if letter == gold.letters[0]), None)
    if text is not None and text.text:
        return _judge_value(answer, text)
    if not gold.choices and answer.joined == gold.expression.joined:
        return Verdict("correct", "exact")
    return Verdict("wrong", "no_choice")


def _names_another(text: str, letter: str, gold: Gold) -> bool:
    """Does an answer name a letter and, beside it, the text of another choice: "C or 25 cm"?"""
    beside = [
        _choices_with_text(read_expression(part), gold.choices) for part in _BESIDE.split(text, maxsplit=_MAX_SENTENCES)[:_MAX_SENTENCES]
    ]
    return len(beside) > 1 and any(letters and letter not in letters for letters in beside)


def _choices_with_text(answer: Expression, choices: tuple[tuple[str, Expression], ...]) -> tuple[str, ...]:
    """Letters of the choices whose text the answer is; where several fit, those it is word for word (of "Hh" and "HH" the one written so),
    else those with its own unit."""
    fitting = [(letter, text) for letter, text in choices if text.text and same_expression(answer, text)]
    exact = [letter for letter, text in fitting if text.pieces == answer.pieces]
    if len(exact) > 1:
        exact = [letter for letter, text in fitting if text.text == answer.text] or exact
    unit = answer.quantity.unit if answer.quantity else ""
    same_unit = [letter for letter, text in fitting if text.quantity and text.quantity.unit == unit]
    return tuple(exact or same_unit or [letter for letter, _ in fitting])


def _judge_claim(claim: Claim, gold: Gold) -> Verdict:
    """An answer that names letters; a label with its own text may hold other letters in that text."""
    letters = claim.letters
    rest = read_expression(without_reason(claim.rest)) if claim.rest else None
    if rest is not None and rest.text:
        by_text = _choices_with_text(rest, gold.choices)
        if letters and letters[0] in by_text:
            letters = letters[:1]
        elif by_text:
            return Verdict("wrong", "choice_conflict")
    if claim.denied:
        return Verdict("wrong", "denied")
    if len(letters) > 1 or len(gold.letters) > 1:
        return Verdict("correct" if set(letters) == set(gold.letters) else "wrong", "several_choices")
    return Verdict("correct" if letters == gold.letters else "wrong", "choice_letter")


def _judge_value(answer: Expression, gold: Expression) -> Verdict:
    if answer.joined == gold.joined:
        return Verdict("correct", "exact")
    if {answer.kind, gold.kind} == {"number", "list"} and "," in (answer if answer.kind == "number" else gold).text:
        # "2,5": a decimal or a list
        answer, gold = (read_expression(one.text, decimal_comma=False) for one in (answer, gold))
    same = same_expression(answer, gold)
    if same is not None:
        return Verdict("correct" if same else "wrong", gold.kind if answer.kind == gold.kind else "kind")
    if is_too_large(answer.pieces) or is_too_large(gold.pieces):
        return Verdict("wrong", "too_large")  # written alike it would be right by now
    outcome = _compare_items(answer, gold) if gold.kind == answer.kind == "list" else _compare_symbolically(answer, gold)
    return Verdict(_OUTCOMES[outcome], "symbolic")


def _compare_symbolically(answer: Expression, gold: Expression) -> Outcome:
    return symbolically_equal(to_latex(answer, gold), to_latex(gold, answer))


def _compare_items(answer: Expression, gold: Expression) -> Outcome:
    """Two lists some items of which only mathematics can compare. The first comparison that fails ends it: each has its own time limit."""
    outcomes: list[Outcome] = []

    def same(one: Expression, other: Expression) -> bool:
        known = same_expression(one, other)
        if known is None and len(outcomes) < _MAX_COMPARISONS and not {"timeout", "error"}.intersection(outcomes):
            outcomes.append(_compare_symbolically(one, other))
            return outcomes[-1] == "equal"
        return known is True

    if same_items(answer, gold, same):
        return "equal"
    return next((outcome for outcome in outcomes if outcome in ("timeout", "error")), "different")
