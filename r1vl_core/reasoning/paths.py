"""The reasoning path: one grammar, spelled once, that renders and parses.

    ### Image Description:
    ### Rationales:
    ### Let's think step by step.          (optional; may end in ".", ":" or nothing)
    ### Step 1:                            (... ### Step 2: ... numbered 1..n)
    ### The final answer is:

A header stands at the start of a line; its section's text starts on the same line or on the next one. Parsing is tolerant where
real data varies (markers of bold, italic or code around a header, a full-width colon, CRLF, letter case, blanks) and strict where the
reward depends on it. `parse` is total: it never raises, for any text, and takes time linear in its length.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

_GAP = r"[ \t\u00a0\u3000]*+"
_COLON = r"[:\uff1a\u2236]"
_MARK = r"(?:\*{1,3}+|_{1,3}+|`)"  # bold, italic or code
_NAMES = (
    rf"(?P<description>Image{_GAP}Description)|(?P<rationale>Rationales?+)|Step{_GAP}(?P<step>[0-9]++)"
    rf"|(?P<answer>The{_GAP}Final{_GAP}Answer{_GAP}is)"
)
_LEAD_IN = rf"Let(?:['\u2019\u02bc\u00b4`]?s|{_GAP}us){_GAP}think{_GAP}step[ \t-]*+by[ \t-]*+step"
# A closing marker behind the colon belongs to the header only when the header opened one before.
_HEADER = re.compile(
    rf"###(?!\#){_GAP}(?P<mark>{_MARK})?+{_GAP}"
    rf"(?:(?:{_NAMES}){_GAP}(?:{_MARK}{_GAP})?+{_COLON}|(?P<lead_in>{_LEAD_IN})"
    rf"{_MARK}?+[.:!\uff1a\u3002\u2026]*+)(?(mark){_MARK}?+)",
    re.IGNORECASE | re.ASCII,
)
_OPENING_MARK = re.compile(r"(?:\*{1,3}|_{1,3}|`)\Z")
_CLOSING_MARK = re.compile(_MARK)
_MAX_MARK = 3
# Markup that holds nothing by itself, and the characters of which a text may consist without saying anything.
_EMPTY_MARKUP = re.compile(
    r"\\(?:boxed|fbox|mbox|text[a-z]*+|math[a-z]*+|left|right|displaystyle|q?quad|newline|phantom|begin|end)(?![a-z])"
    r"|</?(?:b|i|u|p|em|br|strong|span|div|code|answer|think) ?/?>|&nbsp;",
    re.IGNORECASE,
)
_SMALL = bytes(range(256)).lower()
_ASCII_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())
# What both sentences have: "think I have", "rethink it", anything but these letters between. Each pattern begins with one letter, which
# is found many times faster than either of two.
_THINK_I, _THINK_I_LARGE = (re.compile(rf"{k}[^a-zA-Z]*+[iI][^a-zA-Z]*+[hHtT]") for k in "kK")
_PUNCTUATION = " \t\r\n*_#.,:!?-=|~^`$()[]{}\"'"
_SILENT = frozenset("=|~^`$<>\u00a8\u00b4\u00b8\u115f\u1160\u2800\u3164\ufffc\ufffd\uffa0")


_ORDER = {"description": 0, "rationale": 1, "lead_in": 2, "step": 3, "answer": 4}


class Defect(StrEnum):
    """Why a path is not valid: each kind at most once, all of them and not only the first."""

    MISSING_DESCRIPTION = "missing_description"
    MISSING_RATIONALE = "missing_rationale"
    MISSING_STEPS = "missing_steps"
    MISSING_ANSWER = "missing_answer"
    EMPTY_DESCRIPTION = "empty_description"
    EMPTY_RATIONALE = "empty_rationale"
    EMPTY_STEP = "empty_step"
    EMPTY_ANSWER = "empty_answer"
    REPEATED_DESCRIPTION = "repeated_description"
    REPEATED_RATIONALE = "repeated_rationale"
    REPEATED_LEAD_IN = "repeated_lead_in"
    REPEATED_STEP = "repeated_step"
    REPEATED_ANSWER = "repeated_answer"
    RATIONALE_BEFORE_DESCRIPTION = "rationale_before_description"
    STEP_BEFORE_DESCRIPTION = "step_before_description"
    STEP_BEFORE_RATIONALE = "step_before_rationale"
    STEP_OUT_OF_ORDER = "step_out_of_order"
    STEP_NUMBER_MISSING = "step_number_missing"
    LEAD_IN_OUT_OF_PLACE = "lead_in_out_of_place"
    ANSWER_NOT_LAST = "answer_not_last"


class Section(NamedTuple):
    """The text of one section, stripped, and where it stands: `path.text[start:end] == text`.

    `number` is a step's own number, 0 for every other section.

    >>> Section(text="3 + 7 = 10", start=13, end=23, number=1).number
    1
    """

    text: str
    start: int
    end: int
    number: int = 0


@dataclass(frozen=True, slots=True)
class ReasoningPath:
    """A response parsed. `steps` are in the order written; of a repeated description or rationale the first counts, of a repeated
    final answer the last (a rethought path ends with what it means). A section that is absent is None.

    >>> path = parse("### Image Description: a board\\n### Rationales: add\\n### Step 1: 1 + 1 = 2\\n### The final answer is:\\n2")
    >>> path.is_valid, path.answer.text, path.steps[0].text
    (True, '2', '1 + 1 = 2')
    """

    text: str
    description: Section | None
    rationale: Section | None
    steps: tuple[Section, ...]
    answer: Section | None
    defects: tuple[Defect, ...]

    @property
    def is_valid(self) -> bool:
        """Complete and ordered: what StepRVR rewards (paper, equation 3)."""
        return not self.defects


def render(description: str, rationale: str, steps: Sequence[str], answer: str) -> str:
    """Write a path in the grammar; `parse` gives the (stripped) parts back.

    Raises ValueError for parts that would not come back: an empty one, no step, or a header line inside a part.
    """
    lines = ["### Image Description:", description.strip(), "### Rationales:", rationale.strip(), "### Let's think step by step."]
    lines += [f"### Step {number}: {step.strip()}" for number, step in enumerate(steps, 1)]
    text = "\n".join([*lines, "### The final answer is:", answer.strip()])
    path = parse(text)
    wanted = (description, rationale, *steps, answer)
    found = tuple(section.text for section in (path.description, path.rationale, *path.steps, path.answer) if section)
    if path.defects or found != tuple(part.strip() for part in wanted):
        why = ", ".join(path.defects) or "a part holds a header line"
        raise ValueError(f"these parts do not make a reasoning path ({why}): give each part text of its own, free of '###' headers")
    return text


def parse(text: str) -> ReasoningPath:
    """Find the sections of a response and name every defect. Never raises."""
    kinds: list[str] = []
    by_kind: dict[str, list[Section]] = {"description": [], "rationale": [], "lead_in": [], "step": [], "answer": []}
    for kind, section in _sections(text):
        kinds.append(kind)
        by_kind[kind].append(section)
    return ReasoningPath(
        text=text,
        description=by_kind["description"][0] if by_kind["description"] else None,
        rationale=by_kind["rationale"][0] if by_kind["rationale"] else None,
        steps=tuple(by_kind["step"]),
        answer=by_kind["answer"][-1] if by_kind["answer"] else None,
        defects=_defects(kinds, by_kind),
    )


def is_blank(text: str) -> bool:
    """True when a section says nothing: blanks, punctuation, dashes, invisible or control characters, empty markup (`\\boxed{}`)."""
    if text[:1].isascii() and text[:1].isalnum():
        return False  # by far the most frequent case
    text = text.strip(_PUNCTUATION)
    return not any(map(_says_something, _EMPTY_MARKUP.sub("", text)))


def _says_something(character: str) -> bool:
    """A letter, a digit or a sign with a meaning of its own, such as "∞", "%" or a pictograph."""
    if character in _SILENT:
        return False
    return character.isalnum() or unicodedata.category(character) in ("Sm", "So", "Sc") or character == "%"


def reflection_marks(path: ReasoningPath) -> tuple[str, ...]:
    """Which of the three marks of a reflective record a path carries (method.md section 7); empty for a clean one.

    "rethink_sentence": it says that it made a mistake and rethinks; "repeated_header": a header occurs twice;
    "step_numbers": the step numbers, in the order written, are not 1..n.
    """
    repeated = any(defect.startswith("repeated_") for defect in path.defects)
    marks = {
        "rethink_sentence": says_rethought(path.text),
        "repeated_header": repeated,
        "step_numbers": [step.number for step in path.steps] != list(range(1, len(path.steps) + 1)),
    }
    return tuple(name for name, present in marks.items() if present)


def says_rethought(text: str) -> bool:
    """Whether a text says that it made a mistake, or rethinks; case, spacing and marks are no difference."""
    folded = text if text.isascii() else text.casefold()
    if not (_THINK_I.search(folded) or ("K" in folded and _THINK_I_LARGE.search(folded))):
        return False  # nearly every text, told some ten times faster
    if folded.isascii():
        ascii_letters = folded.encode("ascii").translate(_SMALL, _ASCII_NO_LETTERS)
        return b"ithinkihavemadeamistake" in ascii_letters or b"letmerethinkit" in ascii_letters
    letters = "".join(filter(str.isalpha, folded))
    return "ithinkihavemadeamistake" in letters or "letmerethinkit" in letters


def _sections(text: str) -> Iterator[tuple[str, Section]]:
    """Every section as (kind, section), in the order written; text before the first header belongs to none."""
    headers = list(_headers(text))
    headers.append(("", 0, len(text), 0))
    for (kind, number, _, start), (_, _, end, _) in pairwise(headers):
        body = text[start:end]
        start += len(body) - len(body.lstrip())
        body = body.strip()
        yield kind, Section(body, start, start + len(body), number)


def _headers(text: str) -> Iterator[tuple[str, int, int, int]]:
    """(kind, step number, start of the header's line, end of the header) of every header."""
    position = text.find("###")
    while position >= 0:
        line = position if position and text[position - 1] == "\n" else _line_start(text, position)
        header = None if line is None else _HEADER.match(text, position)
        if line is not None and header:
            kind = str(header.lastgroup)  # the names' groups come after "mark", so the last one matched is the name
            # More than nine digits cannot be a step's number; any number that large is simply out of order.
            number = int(header["step"][:9]) if kind == "step" else 0
            end = header.end()
            if line < position and not header["mark"]:
                closing = _CLOSING_MARK.match(text, end)
                end = closing.end() if closing else end
            yield kind, number, line, end
        position = text.find("###", header.end() if header else position + 1)


def _line_start(text: str, position: int) -> int | None:
    """Where the line begins whose first characters, but for a marker, stand at `position`; None for a place inside a line."""
    marked = position and text[position - 1] in "*_`"
    opening = _OPENING_MARK.search(text, max(position - _MAX_MARK, 0), position) if marked else None
    line = opening.start() if opening else position
    first = line == 0 or text[line - 1] in "\r\n" or (line == 1 and text[0] == "\ufeff")  # a byte-order mark is not on the line
    return line if first else None


def _defects(kinds: list[str], by_kind: dict[str, list[Section]]) -> tuple[Defect, ...]:
    """All defects, in the order the enumeration names them."""
    names = {"description": "description", "rationale": "rationale", "lead_in": "lead_in", "step": "steps", "answer": "answer"}
    found: set[str] = set()
    for kind, sections in by_kind.items():
        if not sections and kind != "lead_in":
            found.add(f"missing_{names[kind]}")
        if kind != "lead_in" and any(map(is_blank, [section.text for section in sections])):
            found.add(f"empty_{kind}")
        if kind != "step" and len(sections) > 1:
            found.add(f"repeated_{kind}")
    found |= _step_number_defects([step.number for step in by_kind["step"]])
    if kinds != sorted(kinds, key=_ORDER.__getitem__):
        found |= _order_defects(kinds)
    return tuple(defect for defect in Defect if defect.value in found) if found else ()


def _step_number_defects(numbers: list[int]) -> set[str]:
    if numbers == list(range(1, len(numbers) + 1)):
        return set()
    distinct = set(numbers)
    defects = set()
    if len(distinct) < len(numbers):
        defects.add("repeated_step")
    if any(later < earlier for earlier, later in pairwise(numbers)):
        defects.add("step_out_of_order")
    if distinct and (min(distinct) != 1 or max(distinct) != len(distinct)):
        defects.add("step_number_missing")
    return defects


def _order_defects(kinds: list[str]) -> set[str]:
    """Defects of the order in which the kinds of section first (and, for the answer, at all) stand."""
    first = {kind: kinds.index(kind) for kind in set(kinds)}
    far = len(kinds)
    description, rationale, step = (first.get(kind, far) for kind in ("description", "rationale", "step"))
    lead_in, answer = first.get("lead_in", far), first.get("answer", far)
    defects = set()
    if rationale < description < far:
        defects.add("rationale_before_description")
    if step < description < far:
        defects.add("step_before_description")
    if step < rationale < far:
        defects.add("step_before_rationale")
    if any(kind != "answer" for kind in kinds[answer:]):
        defects.add("answer_not_last")
    if lead_in < far and (lead_in > min(step, answer) or any(lead_in < place < far for place in (description, rationale))):
        defects.add("lead_in_out_of_place")
    return defects
