"""Rewards that are harder to fool: what `rewards.hardening = "strict"` asks of a path beyond the paper's definition.

The paper's rewards take any place where a key step stands for a step reached, and any five non-empty sections for reasoning. The rules
here do not look for known attacks; each states one thing that honest step-wise reasoning has:

- a key step is asserted: not denied, doubted, asked, copied from the question, or one of several values of the same quantity;
- it is reached in a step: of at least three words, at most `MAX_STEP_WORDS`, that does not list all key steps or one of them in many forms;
- key steps are reached in order: those count that stand in the reference's order, the most there are;
- a path has steps: two to `MAX_STEPS`, mostly of three words and more, not the same sentences over and over, the answer announced once;
- no section copies the question, description and rationale say something, and words are spelled in one alphabet.

A key step that fails is missed; a path that fails has StepRVR 0. A rule that the question's own reference path breaks is not held
against the responses to that question, so a reference path keeps its reward.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from r1vl_core.reasoning.clauses import Clause, Unsaid, cut, has_cue, holds_question, is_copy, judge, words_of
from r1vl_core.reasoning.key_steps import CompiledForm, CompiledKeySteps, KeyStepMatch, match
from r1vl_core.reasoning.look_alikes import has_look_alikes
from r1vl_core.reasoning.paths import ReasoningPath, Section, parse

MAX_STEPS = 30
"""Steps of a path, at most [ours]."""
MIN_STEP_WORDS = 3
"""Words, numbers and signs of a step, at least; also of description and rationale [ours]."""
MAX_STEP_WORDS = 300
"""Words, numbers and signs of a step, at most [ours]."""
MIN_WORDS_AROUND = 2
"""Words beyond the key step's own of a clause in a step that holds both of a question's two [ours]."""
MAX_TIMES_SAID = 2
"""How often one step may say the same key step, in whatever forms, without being a list [ours]."""
MAX_LONE_NUMBERS = 20
"""Numbers in a step that are mostly numbers [ours]."""


class Objection(StrEnum):
    """Why a complete and ordered path earns no StepRVR under "strict"."""

    ONE_STEP = "one_step"
    TOO_MANY_STEPS = "too_many_steps"
    HOLLOW_STEPS = "hollow_steps"
    HOLLOW_SECTION = "hollow_section"
    COPIED_SECTION = "copied_section"
    REPEATED_TEXT = "repeated_text"
    REPEATED_ANSWER = "repeated_answer"
    LOOK_ALIKES = "look_alikes"


@dataclass(frozen=True, slots=True)
class Guard:
    """What "strict" knows of a question: its words in normal form, with the choices and without, and what its own reference path is
    forgiven.

    >>> Guard(" how many cells = red ", " how many cells = red ").objections
    frozenset()
    """

    question: str
    bare: str
    objections: frozenset[Objection] = frozenset()
    key_steps: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Assessment:
    """Strict's findings on a path: a match or None for each key step, why one that stands there does not count, and the objections.

    >>> Assessment((None,), {0: Unsaid.DENIED}, ()).unsaid[0].value
    'denied'
    """

    matches: tuple[KeyStepMatch | None, ...]
    unsaid: dict[int, Unsaid] = field(default_factory=dict)
    objections: tuple[Objection, ...] = ()


def guard(question: str, bare: str, reference_path: str, compiled: CompiledKeySteps) -> Guard:
    """Prepare the strict rules for a question, given with its choices and `bare`, without; `reference_path` may be empty."""
    plain = Guard(f" {' '.join(words_of(question))} ", f" {' '.join(words_of(bare))} ")
    if not reference_path:
        return plain
    found = assess(parse(reference_path), compiled, plain)
    return replace(plain, objections=frozenset(found.objections), key_steps=frozenset(found.unsaid))


def assess(path: ReasoningPath, compiled: CompiledKeySteps, known: Guard) -> Assessment:
    """Hold a path to the strict rules. Never raises; linear in the path's length."""
    loose = match(path, compiled)
    steps = [_Step(section, cut(section)) for section in path.steps]
    taken_back = max((number for number, step in enumerate(steps) if judge(step.clauses, known.question)), default=0)
    for step in steps[:taken_back]:
        step.set_aside(Unsaid.DENIED)
    for step in steps:
        step.judge_size()
    by_step = [_matches(path, step, compiled) for step in steps]
    for step, found in zip(steps, by_step, strict=True):
        if _is_list(found, path, step, compiled):
            step.set_aside(Unsaid.LISTED)
            found[:] = [None] * len(found)
    strict = _in_order(by_step, len(compiled.groups))
    unsaid = {index: _why(found, steps) for index, found in enumerate(loose) if found and not strict[index]}
    kept = tuple(loose[index] if index in known.key_steps else found for index, found in enumerate(strict))
    return Assessment(
        matches=kept,
        unsaid={index: why for index, why in unsaid.items() if index not in known.key_steps},
        objections=tuple(objection for objection in _objections(path, steps, known) if objection not in known.objections),
    )


@dataclass(slots=True)
class _Step:
    """A step with its clauses; a clause with a reason in `unsaid` is not searched for key steps."""

    section: Section
    clauses: list[Clause]

    @property
    def words(self) -> list[str]:
        return [word for clause in self.clauses for word in clause.words]

    def set_aside(self, why: Unsaid) -> None:
        for clause in self.clauses:
            clause.unsaid = clause.unsaid or why

    def judge_size(self) -> None:
        words = self.words
        numbers = sum(word[0].isdecimal() for word in words)
        if len(words) < MIN_STEP_WORDS:
            self.set_aside(Unsaid.HOLLOW_STEP)
        elif len(words) > MAX_STEP_WORDS:
            self.set_aside(Unsaid.LONG_STEP)
        elif numbers > MAX_LONE_NUMBERS and 2 * numbers > len(words):
            self.set_aside(Unsaid.LISTED)

    def said(self, forgiven: Unsaid | None = None) -> list[Section]:
        """Runs of clauses that count, as sections of the path's text."""
        runs: list[tuple[int, int]] = []
        for clause in self.clauses:
            if clause.unsaid not in (None, forgiven):
                continue
            if runs and runs[-1][1] == clause.start:
                runs[-1] = (runs[-1][0], clause.end)
            else:
                runs.append((clause.start, clause.end))
        first = self.section.start
        return [Section(self.section.text[start - first : end - first], start, end, self.section.number) for start, end in runs]


def _matches(path: ReasoningPath, step: _Step, compiled: CompiledKeySteps) -> list[KeyStepMatch | None]:
    """The key steps that one step asserts. A form that itself negates ("no digit exceeds 5") may stand in a clause that does."""
    found = list(match(replace(path, steps=tuple(step.said())), compiled))
    if any(clause.unsaid == Unsaid.DENIED for clause in step.clauses):
        denying = CompiledKeySteps(tuple(tuple(form for form in group if has_cue(form.needle.split())) for group in compiled.groups))
        also = match(replace(path, steps=tuple(step.said(Unsaid.DENIED))), denying) if any(denying.groups) else ()
        found = [one or other for one, other in zip(found, also or found, strict=True)]
    return found


def _is_list(found: Sequence[KeyStepMatch | None], path: ReasoningPath, step: _Step, compiled: CompiledKeySteps) -> bool:
    """Does one step hold (nearly) all key steps, or say one of them again and again?"""
    num_found, num_all = sum(one is not None for one in found), len(found)
    if num_found > max(3, num_all / 2) or (num_found == num_all > 1 and (num_all > 2 or _is_bare(found, path, step))):
        return True
    here = replace(path, steps=tuple(step.said()))
    said = [f" {' '.join(clause.words)} " for clause in step.clauses]
    groups = [forms for one, forms in zip(found, compiled.groups, strict=True) if one]
    return any(_times_said(said, forms) > MAX_TIMES_SAID or _num_forms(here, forms) > MAX_TIMES_SAID for forms in groups)


def _is_bare(found: Sequence[KeyStepMatch | None], path: ReasoningPath, step: _Step) -> bool:
    """Do two key steps share a clause, or does one stand in its own without words that lead to it?

    Both key steps of a question may well be reached in one step ("Their sum is 3 + 7 = 10, and half of that is 10 / 2 = 5."), but not
    as items of a list.
    """
    num_left = sum(one is not None for one in found)
    for clause in step.clauses:
        here = [one for one in found if one and clause.start <= one.start and one.end <= clause.end]
        inside = {at for one in here for at in range(one.start, one.end)}
        around = "".join(" " if at in inside else path.text[at] for at in range(clause.start, clause.end))
        if len(here) > 1 or (here and sum(word.isalpha() for word in words_of(around)) < MIN_WORDS_AROUND):
            return True
        num_left -= len(here)
    return num_left > 0  # one that reaches over a clause's end


def _times_said(clauses: Sequence[str], forms: Sequence[CompiledForm]) -> int:
    """How many clauses of a step hold one of the forms."""
    if len(clauses) <= MAX_TIMES_SAID:
        return 0
    return sum(any(form.needle in clause for form in forms) for clause in clauses)


def _num_forms(path: ReasoningPath, forms: Sequence[CompiledForm]) -> int:
    """How many different forms of one key step stand side by side; forms within one another count once."""
    if len(forms) <= MAX_TIMES_SAID:
        return 0
    found = match(path, CompiledKeySteps(tuple((form,) for form in forms)))
    num, reached = 0, -1
    for start, end in sorted(((one.start, one.end) for one in found if one), key=lambda span: span[1]):
        if start >= reached:
            num, reached = num + 1, end
    return num


def _in_order(by_step: Sequence[Sequence[KeyStepMatch | None]], num_key_steps: int) -> tuple[KeyStepMatch | None, ...]:
    """The most key steps that are reached in order, each with its match; several in one step are in order."""
    # chains[s]: the longest list of (key step, step) whose last one stands in step s or before.
    chains: list[tuple[tuple[int, int], ...]] = [()] * len(by_step)
    for index in range(num_key_steps):
        best: tuple[tuple[int, int], ...] = ()
        longer = list(chains)
        for number, found in enumerate(by_step):
            if found[index]:
                longer[number] = (*chains[number], (index, number))
            best = max(best, longer[number], key=len)
            longer[number] = best
        chains = longer
    reached = dict(chains[-1]) if chains else {}
    return tuple(by_step[reached[index]][index] if index in reached else None for index in range(num_key_steps))


def _why(found: KeyStepMatch, steps: Sequence[_Step]) -> Unsaid:
    """What speaks against the place where a key step stands first."""
    for step in steps:
        for clause in step.clauses:
            if clause.start < found.end and found.start < clause.end and clause.unsaid:
                return clause.unsaid
    return Unsaid.OUT_OF_ORDER


def _objections(path: ReasoningPath, steps: Sequence[_Step], known: Guard) -> tuple[Objection, ...]:
    sections = [words_of(section.text) for section in (path.description, path.rationale) if section]
    num_hollow = sum(len(step.words) < MIN_STEP_WORDS for step in steps)
    found = {
        Objection.ONE_STEP: len(steps) == 1,
        Objection.TOO_MANY_STEPS: len(steps) > MAX_STEPS,
        Objection.HOLLOW_STEPS: 2 * num_hollow > len(steps),
        Objection.HOLLOW_SECTION: any(len(words) < MIN_STEP_WORDS for words in sections),
        Objection.COPIED_SECTION: _copies(sections, steps, known),
        Objection.REPEATED_TEXT: _repeats_itself(steps),
        Objection.REPEATED_ANSWER: _announces_often(path, steps),
        Objection.LOOK_ALIKES: has_look_alikes(path.text),
    }
    return tuple(objection for objection, holds in found.items() if holds)


def _copies(sections: Sequence[tuple[str, ...]], steps: Sequence[_Step], known: Guard) -> bool:
    """Does a section hold the whole question, is description or rationale cut out of it, or do these two say the same?"""
    if len(set(sections)) < len(sections) or any(is_copy(words, known.question) for words in sections):
        return True
    return any(holds_question(words, known.bare) for words in [*sections, *(step.words for step in steps)])


def _repeats_itself(steps: Sequence[_Step]) -> bool:
    """One sentence in every step or in three of them, or half of all sentences said before."""
    in_steps: Counter[tuple[str, ...]] = Counter()
    total = 0
    for step in steps:
        sentences: dict[int, list[str]] = {}
        for clause in step.clauses:
            sentences.setdefault(clause.sentence, []).extend(clause.words)
        long_ones = [tuple(words) for words in sentences.values() if len(words) >= MIN_STEP_WORDS]
        total += len(long_ones)
        in_steps.update(set(long_ones))
    most = max(in_steps.values(), default=0)
    return most >= 3 or (most == len(steps) > 1) or (total > 1 and 2 * (total - len(in_steps)) >= total)


def _announces_often(path: ReasoningPath, steps: Sequence[_Step]) -> bool:
    """Is the answer announced as such in half of the steps, and in two of them at least?"""
    answer = f" {' '.join(words_of(path.answer.text))} " if path.answer else "  "
    if not answer.strip() or len(answer) > 200:
        return False
    announced = 0
    for step in steps:
        words = step.words
        places = [i for i, word in enumerate(words) if word in ("answer", "result", "solution")]
        announced += any(answer in f" {' '.join(words[place + 1 : place + 9])} " for place in places[:20])
    return announced > 1 and 2 * announced >= len(steps)
