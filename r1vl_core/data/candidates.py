"""What the lines of a reference path say that may be a key step: equations, named quantities, short phrases, lone numbers.

Everything here reads lines in normal form, where pieces stand between blanks; a clause is a part of a line between punctuation marks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from r1vl_core.data.equations import FUNCTIONS, OPERATORS, equations
from r1vl_core.reasoning.equivalents import is_true, spellings, statement_forms, value_forms
from r1vl_core.reasoning.groups import is_grouped
from r1vl_core.reasoning.spellings import PIECES, SIGNS, word_set
from r1vl_core.reasoning.units import UNITS

_PARTS = OPERATORS | FUNCTIONS | frozenset("()[]?|\u03c0\u221a\u221e")
_BREAK = re.compile(r"[.,;:!?](?![^ ])")  # no other piece ends in one of these
_FILLER = word_set(
    "so then thus therefore hence now and the a an we have has that get gets got first next finally because since but also this which "
    "there are means find see it its of he she they i you gives giving substituting substitute simplifying simplify "
    "whereas while where given using or \u6240\u4ee5 \u56e0\u6b64 \u6545 \u5219 \u5373 \u53ef\u5f97"
)
# What a clause begins with that says what is to be done, and what a number behind which is only a name.
_INTENTS = word_set(
    "need find calculate compute determine convert multiply divide subtract add consider compare recall solve let use apply"
)
_LABELS = word_set("step steps equation figure fig option part case question")
_COMPARES = frozenset(("<", ">", "<=", ">=", "!=", "\u2248"))
_LINKS = word_set("and or are than of the in on at with by to")
_MAX_NAME = 5
_MAX_VALUE = 3
_MAX_PHRASE_WORDS = 4
_MAX_PHRASE = 40
_BRACKET_OR_SIGN = re.compile(r"[^a-z0-9 .,]")
_ENDS_OPEN = re.compile(r"\A(?:[+*/^=<>]|- [^0-9])|[-+*/^=<>]\Z")
_GROUP_MARK, _FRACTION_AT_END = re.compile(r"[(){}]"), re.compile(r"frac\s*+(?:\.|\Z)")
_SAYS_SOMETHING = re.compile(r"[=\d]")  # a clause without either has no candidate
# Pieces that normal form leaves as they are, wherever they stand together; words that it would read anew are looked up beside.
_SETTLED = re.compile(r"(?:[a-z]++|[0-9]++(?:\.[0-9]++)?+)(?:(?: ,)?+ (?:[a-z]++|[0-9]++(?:\.[0-9]++)?+))*+")
_READ_ANEW = frozenset(PIECES) | word_set("x divided multiplied root")

_WORDS_ALONE = re.compile(r"[A-Za-z ,'-]*+[.!?]?+")
_IS = re.compile(r"is(?<![a-z']is)(?:n't)?+(?![a-z'])")
# Behind it: nothing, or words that begin no side of an equation, perhaps more than a value has.
_WORDS_BEHIND = re.compile(
    r"(?=[,.!?]|\Z)| (?!(?:to|is|minus|plus|times|pi|sqrt|inf(?:inity)?)\b)[a-z]{2,}+(?!['-])"
    rf"(?P<long>(?: [a-z]++){{{_MAX_VALUE}}}(?!'))?+"
)
_POWER = re.compile(r"squared|cubed", re.IGNORECASE)
_LEANING = ("squared", "cubed", "divided", "multiplied")  # in normal form digits, or one piece with the next word


class Candidate(NamedTuple):
    """Something said in a line: `rank` 0 for an equation, 1 for a named quantity, 2 for a phrase, 3 for a name or a quantity with its
    unit, 4 for a bare number. `place` is where it begins in the line. `first` is its first form, `spell` gives all of them: few
    candidates are kept. `needle` is the first form in normal form between blanks where that is known to stand at `place`, else empty.

    >>> find("so 6 / 3 = 2")[0][0].first
    '6 / 3 = 2'
    """

    rank: int
    place: int
    first: str
    needle: str
    spell: Callable[[], tuple[str, ...]]


def has_group(text: str) -> bool:
    """Whether a LaTeX group may be open in a text: it reaches over the end of a sentence."""
    return is_grouped(text.lower() if text.isascii() else text.translate(SIGNS).lower())


def closes_groups(text: str) -> bool:
    """Whether every brace and bracket that opens in a text closes in it, and no sentence ends in a fraction without parts: then each of its
    sentences is read alike without those of nothing but words.

    >>> closes_groups("so \\\\frac{1}{2} (a half)"), closes_groups("so \\\\frac{1")
    (True, False)
    """
    plain = text.lower() if text.isascii() else text.translate(SIGNS).lower()
    opened: list[str] = []
    for mark in _GROUP_MARK.findall(plain):
        if mark in "({":
            opened.append(mark)
        elif not opened or opened.pop() + mark not in ("()", "{}"):
            return False
    return not opened and ("frac" not in plain or _FRACTION_AT_END.search(plain) is None)


def says_power(text: str) -> bool:
    """Whether a text is one sentence that may hold a number in nothing but words, "x squared": it counts where it is all that is said."""
    return ". " not in text and "\n" not in text and _POWER.search(text) is not None


def telling(line: str) -> str:
    """A line, in which no LaTeX group is open, without its sentences of nothing but words: they hold no candidate, and what stands in other
    sentences says the same without them. Most of a reference path are such, and most of the time goes into normal forms.

    >>> telling("Now we add them. 5 + 7 = 12. So it is clear that both sides agree.")
    '5 + 7 = 12.'
    """
    sentences = line.split(". ")
    kept = [sentence for sentence in sentences if not _is_prose(sentence)]
    if len(kept) == len(sentences):
        return line
    return ". ".join(kept) + ("." if kept and kept[-1] is not sentences[-1] else "")


def _is_prose(sentence: str) -> bool:
    """Words alone, and none of them names a thing that is something in a few words."""
    if not _WORDS_ALONE.fullmatch(sentence):
        return False
    lower = sentence.lower()
    if "equal" in lower or "aren't" in lower:
        return False
    verb = _IS.search(lower)
    if verb is None:
        return True
    while verb is not None:
        if _names(lower, verb):
            return False
        verb = _IS.search(lower, verb.end())
    return not any(map(lower.__contains__, _LEANING))


def _names(lower: str, verb: re.Match[str]) -> bool:
    """Whether a name and a value may stand around an "is"."""
    behind = _WORDS_BEHIND.match(lower, verb.end())
    if behind is None:
        return True
    if behind["long"] or not behind[0]:
        return False
    before = lower[: verb.start()].rpartition(",")[2]
    words = before.split()
    while words and words[0] in _FILLER:
        words.pop(0)
    return "-" in before or "'" in before or len(words) <= _MAX_NAME


def find(line: str) -> tuple[list[Candidate], list[tuple[int, str]]]:
    """The equations of a line in normal form, and its other clauses that say something, each behind its place."""
    found, others = [], []
    for start, end in _clauses(line):
        if _SAYS_SOMETHING.search(line, start, end):
            said = equations(line, start, end)
            if said:
                found += [Candidate(0, place, text, f" {text} ", partial(spellings, text, pieces)) for place, text, pieces in said]
            else:
                others.append((start, line[start:end]))
    return found, others


def _clauses(line: str) -> Iterator[tuple[int, int]]:
    """The parts of a line between punctuation marks; a comma between numbers ("3, 7 and 2") or in a bracket ("(3, -2)") and a colon behind
    a verb part nothing."""
    start, has_brackets = 0, "(" in line or "[" in line
    for mark in _BREAK.finditer(line):
        at = mark.start()
        sign = line[at]
        if sign == "," and line[at + 2 : at + 3].isdecimal() and _last(line, start, at)[:1].isdecimal():
            continue
        if sign == "," and has_brackets and _opens(line, start, at) > 0:
            continue
        if sign == ":" and _last(line, start, at) in ("are", "="):
            continue
        if start < at:
            yield start, at - 1
        start = at + 2
    if start < len(line):
        yield start, len(line)


def _opens(line: str, start: int, end: int) -> int:
    """Brackets that are open at the end of a stretch."""
    return line.count("(", start, end) + line.count("[", start, end) - line.count(")", start, end) - line.count("]", start, end)


def _is_whole(phrase: str) -> bool:
    """Whether a phrase is no part of an expression: its brackets close, and no sign stands at an end."""
    return _BRACKET_OR_SIGN.search(phrase) is None or (not _opens(phrase, 0, len(phrase)) and _ENDS_OPEN.search(phrase) is None)


def _last(line: str, start: int, at: int) -> str:
    """The piece before a mark at `at`, "" where that begins its clause."""
    return line[start : at - 1].rpartition(" ")[2] if at > start else ""


def statements(text: str, place: int) -> Iterator[Candidate]:
    """What a clause without an equation says: "NAME is VALUE", a short phrase with a number, or at least its quantities."""
    clause = text.split(" ")
    while clause and clause[0] in _FILLER:
        place += len(clause[0]) + 1
        clause = clause[1:]
    numbers = [index for index, piece in enumerate(clause) if piece[0].isdecimal() and not (index and clause[index - 1] in _LABELS)]
    if len(clause) == 2 and clause[0].isalpha() and numbers == [1]:
        return  # "row 2" names a place and says nothing
    num_equal = clause.count("=")
    if num_equal > 1 and "and" in clause and (parts := _parts(clause, place)):
        for at, part in parts:
            yield from statements(part, at)
        return
    if num_equal == 1 and clause[0] != "=" and clause[-1] != "=":
        at = clause.index("=")
        name, value = " ".join(clause[:at]), " ".join(clause[at + 1 :])
        if name == value or (not any(map(str.isalpha, clause)) and is_true(" ".join(clause)) is False):
            return
        if (
            at <= _MAX_NAME
            and len(clause) - at <= _MAX_VALUE + 1
            and "not" not in clause
            and clause[-1] not in _LINKS
            and _is_whole(name)
            and _is_whole(value)
        ):
            verb = "equal" if clause[at - 1].isdecimal() and clause[at + 1].isalpha() and value.endswith("s") else "is"  # 8 equal parts
            said, needle = f"{name} {verb} {value}", f" {name} = {value} " if _is_settled(name) and _is_settled(value) else ""
            is_quantity = value[0].isdecimal()
            spell = partial(statement_forms, name, value) if is_quantity else partial(tuple[str], (said,))
            yield Candidate(1 if is_quantity else 3, place, said, needle, spell)
            return
    if numbers and 1 < len(clause) <= _MAX_PHRASE and not num_equal and _is_phrase(clause) and _is_whole(phrase := " ".join(clause)):
        yield Candidate(2, place, phrase, f" {phrase} " if _is_settled(phrase) else "", partial(tuple[str], (phrase,)))
        return
    yield from _quantities(clause, numbers, place)


def _parts(clause: list[str], place: int) -> list[tuple[int, str]]:
    """What stands around each "and" of a clause, behind its place, where each says one thing: "slope = 2 and height = 3"."""
    found = []
    for part in " ".join(clause).split(" and "):
        if part.count("=") != 1:
            return []
        found.append((place, part))
        place += len(part) + len(" and ")
    return found


def _is_phrase(clause: list[str]) -> bool:
    """Whether a clause has few words that say something, but some where it holds a sign, and does not say what is to be done."""
    if clause[0] in _INTENTS or not (OPERATORS.isdisjoint(clause) or any(map(str.isalpha, clause)) or _COMPARES.intersection(clause)):
        return False
    left = _MAX_PHRASE_WORDS
    for piece in clause:
        if piece.isalpha() and piece not in _LINKS:
            if not left:
                return False
            left -= 1
    return True


def _quantities(clause: list[str], numbers: list[int], place: int) -> Iterator[Candidate]:
    """Every number of a clause, with its unit where it has one, that is no part of an expression."""
    for index in numbers:
        end = index + 1 + _num_unit_pieces(clause, index + 1)
        before, behind = clause[index - 1 : index], clause[end : end + 1]
        if not _PARTS.isdisjoint((*before, *behind)) or any(len(piece) == 1 and piece.isalpha() for piece in behind):
            continue
        value = " ".join(clause[index:end])
        here = place + sum(map(len, clause[:index])) + index
        needle = f" {value} " if _is_settled(value) else ""
        yield Candidate(3 if end > index + 1 else 4, here, value, needle, partial(value_forms, value))


def _num_unit_pieces(clause: list[str], at: int) -> int:
    """Pieces of the unit that stands at a place: 1 of "cm", 3 of "m / s", 0 of what may be no unit."""
    unit, slash, other = (*clause[at : at + 3], "", "", "")[:3]
    if slash == "/" and unit in UNITS and other in UNITS:
        return 3
    if unit == "\u00b0":
        return 2 if slash in ("c", "f") else 1
    if unit == "in" and slash[:1].isalpha():
        return 0  # "11 in order"
    return 1 if len(unit) > 1 and unit in UNITS else 0


def _is_settled(pieces: str) -> bool:
    """Whether normal form leaves these pieces of a normal form as they are."""
    return bool(_SETTLED.fullmatch(pieces)) and _READ_ANEW.isdisjoint(pieces.split(" "))
