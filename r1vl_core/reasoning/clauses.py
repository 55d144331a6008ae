"""What a text asserts: a step cut into clauses, and why a clause does not count as said.

A sentence that denies, doubts, asks, or copies the question asserts nothing, however many key steps stand in it. The words are looked
up in normal form (`normal_form`), where "isn't" reads "= not". Everything here is linear in the text's length.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from r1vl_core.reasoning.normal_form import normalise
from r1vl_core.reasoning.paths import Section
from r1vl_core.reasoning.spellings import word_set

MIN_COPIED = 6
"""Words and numbers in a row that a sentence must share with the question to be a copy of it."""
MAX_VALUES = 2
"""Different numbers that one step may give the same quantity ("x = 2 or x = -3" is honest, a guess at every number is not)."""

_NEGATIONS = word_set("not no never neither nor none nobody nothing cannot without hardly !=")
_DENIALS = word_set(
    "false wrong wrongly incorrect incorrectly untrue mistaken mistakenly mistake erroneous lie nonsense impossible invalid absurd "
    "deny denies denied reject rejects rejected refute refutes refuted contradicts disagree disagrees unlike contrary opposite falsely "
    "fails disprove disproves disproved exclude excludes excluded ruled refuse refuses doubt doubts doubtful silly foolish fool misread "
    "misreading anything \u00ac \u2717 \u2718 \u274c"
)
_CUES = _NEGATIONS | _DENIALS
_DOUBTS = word_set(
    "maybe perhaps might possibly allegedly supposedly hypothetically guess guessing pretend imagine unsure uncertain believe believes"
)
_CONDITIONS = word_set("if unless suppose supposing assuming were provided")
"""At the head of a clause: what follows is a case, not a fact."""
_POINTING = word_set(
    "this that it which these those they all none nothing everything above below previous following of in here the a an = are was were be "
    "been so but however and quite completely totally entirely actually true right correct statement statements claim claims step steps "
    "equation equations line lines rest case holds hold does do did is"
)
_LEADS = word_set("or and so then thus hence maybe perhaps the a an also else possibly now")
_MARKS = frozenset((".", ",", ";", ":", "!", "?", "(", ")", "[", "]"))
_BREAK = re.compile(
    r"[.!?](?=[\s\"')\]]|\Z)|[,;:](?=\s|\Z)|\n++|(?<=\s)\u2014(?=\s)"
    r"|(?<=\s)(?=(?:so|thus|therefore|hence|but|because|since|however|instead|while|whereas)\s)",
    re.IGNORECASE,
)


class Unsaid(StrEnum):
    """Why a clause, and with it a key step that stands nowhere else, does not count.

    `denied`: the clause negates or rejects it; `doubtful`: it is only guessed, or a condition; `asked`: it stands in a question;
    `copied`: the sentence is taken from the question; `hedged`: one quantity gets several values; `listed`: the step holds key steps and
    no reasoning; `hollow_step`: the step has fewer than three words; `long_step`: the step is too long to be one; `out_of_order`: it is
    reached after what follows from it.
    """

    DENIED = "denied"
    DOUBTFUL = "doubtful"
    ASKED = "asked"
    COPIED = "copied"
    HEDGED = "hedged"
    LISTED = "listed"
    HOLLOW_STEP = "hollow_step"
    LONG_STEP = "long_step"
    OUT_OF_ORDER = "out_of_order"


@dataclass(slots=True)
class Clause:
    """A stretch of a step, `path.text[start:end]`; `words` are its pieces in normal form without punctuation, `sentence` its number.

    >>> Clause(0, 9, ("1", "+", "1", "=", "2"), ".", 0).unsaid is None
    True
    """

    start: int
    end: int
    words: tuple[str, ...]
    mark: str
    sentence: int
    unsaid: Unsaid | None = None

    @property
    def has_cue(self) -> bool:
        """Whether it holds a word that negates or rejects."""
        return not _CUES.isdisjoint(self.words)


def has_cue(pieces: Iterable[str]) -> bool:
    """Whether these pieces hold a word that negates or rejects; a form that does ("no digit exceeds 5") may stand in such a clause."""
    return not _CUES.isdisjoint(pieces)


def words_of(text: str) -> tuple[str, ...]:
    """The pieces of a text in normal form, less punctuation and brackets.

    >>> words_of("So 12÷2 is 6.")
    ('so', '12', '/', '2', '=', '6')
    """
    return tuple(piece for piece in normalise(text).joined.split() if piece not in _MARKS)


def cut(section: Section) -> list[Clause]:
    """The clauses of a section, in order; together they cover it."""
    text, clauses, sentence = section.text, list[Clause](), 0
    position = looked_at = 0  # a stretch without words goes to the clause behind it, and is not looked at twice
    for found in [*_BREAK.finditer(text), None]:
        end = len(text) if found is None else found.end()
        mark = found[0].strip() if found else ""
        words = words_of(text[looked_at:end])
        looked_at = end
        if words:
            clauses.append(Clause(section.start + position, section.start + end, words, mark, sentence))
            position = end
        elif clauses and mark:
            clauses[-1].mark = mark  # a mark on its own belongs to the words before it
        if found is None or mark in (".", "!", "?") or "\n" in found[0]:
            sentence += 1
    return clauses


def judge(clauses: Sequence[Clause], question: str) -> bool:
    """Mark every clause of one step that asserts nothing; True when the step takes back what stands before it ("All this is wrong.").

    `question` is the question's words in normal form, joined by blanks with a blank at either end.
    """
    by_sentence: dict[int, list[Clause]] = defaultdict(list)
    for clause in clauses:
        by_sentence[clause.sentence].append(clause)
        if clause.has_cue:
            clause.unsaid = Unsaid.DENIED
        elif not _DOUBTS.isdisjoint(clause.words) or clause.words[0] in _CONDITIONS:
            clause.unsaid = Unsaid.DOUBTFUL
    for sentence in by_sentence.values():
        _judge_sentence(sentence, question)
    _mark_hedges(clauses)
    takes_back = [clause for clause in clauses if clause.has_cue and _POINTING.union(_CUES).issuperset(clause.words)]
    if takes_back:
        for clause in clauses:
            clause.unsaid = clause.unsaid or Unsaid.DENIED
    return bool(takes_back) and len(takes_back) == len(clauses)


def is_copy(words: Sequence[str], question: str) -> bool:
    """Whether these words stand in a row in the question, or hold it whole; short runs are anybody's words."""
    return (len(words) >= MIN_COPIED and f" {' '.join(words)} " in question) or holds_question(words, question)


def holds_question(words: Sequence[str], question: str) -> bool:
    """Whether a question of some length stands whole in these words."""
    return question.count(" ") > MIN_COPIED and question in f" {' '.join(words)} "


def _judge_sentence(sentence: list[Clause], question: str) -> None:
    whole = [word for clause in sentence for word in clause.words]
    unsaid = Unsaid.ASKED if sentence[-1].mark == "?" else Unsaid.COPIED if is_copy(whole, question) else None
    for clause in sentence if unsaid else ():
        clause.unsaid = clause.unsaid or unsaid


def _mark_hedges(clauses: Sequence[Clause]) -> None:
    """A quantity that gets more than `MAX_VALUES` different numbers in one step has none."""
    values: dict[tuple[str, ...], dict[str, list[Clause]]] = defaultdict(lambda: defaultdict(list))
    for clause in clauses:
        words = clause.words
        at = next((i for i, word in enumerate(words) if word not in _LEADS), 0)
        if len(words) - at >= 3 and words[-2] == "=" and words[-1][0].isdecimal():
            values[words[at:-2]][words[-1]].append(clause)
    for guesses in values.values():
        for clause in [clause for same in guesses.values() for clause in same] if len(guesses) > MAX_VALUES else ():
            clause.unsaid = clause.unsaid or Unsaid.HEDGED
