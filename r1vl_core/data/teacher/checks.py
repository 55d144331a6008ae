"""What of a teacher's answer becomes key steps: a teacher may be wrong, and a reward is paid for what it says.

A core stands when it is at most three words or an equation or quantity, occurs in the reference path, and is said by no other key step.
A form stands when it is not known to say something else than its core. What falls is kept with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from r1vl_core.data.extract import generated_forms
from r1vl_core.data.teacher.sameness import same_statement
from r1vl_core.reasoning.equivalents import MAX_FORMS
from r1vl_core.reasoning.key_steps import CompiledForm, CompiledKeySteps, compile_form, match
from r1vl_core.reasoning.paths import ReasoningPath

MAX_WORDS = 3
"""Words of a key step that is no equation and holds no number (paper, section 3)."""
MAX_CHARACTERS = 120
"""Of a core or a form; nobody writes a longer one the same way twice."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A key step (`form` empty) or one form of it that did not stand, and why.

    >>> Dropped("12 / 2 = 6", "12 / 2 = 7", "form_differs").reason
    'form_differs'
    """

    core: str
    form: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Kept:
    start: int
    core: CompiledForm
    forms: tuple[str, ...]


def check_cores(cores: Sequence[str], path: ReasoningPath, max_key_steps: int) -> tuple[list[str], list[Dropped]]:
    """The cores that stand, in the order in which the path reaches them, and those that do not."""
    kept: list[_Kept] = []
    dropped: list[Dropped] = []
    # Those that say most first, so that of "12 / 2 = 6" and "6" the equation stays.
    for core, compiled in sorted(((core, compile_form(core)) for core in cores), key=lambda pair: -len(pair[1].needle if pair[1] else "")):
        reason = "says_nothing" if compiled is None else _fault(compiled, [one.core for one in kept])
        found = match(path, CompiledKeySteps(((compiled,),)))[0] if compiled is not None and not reason else None
        if compiled is None or reason or found is None:
            dropped.append(Dropped(core, "", reason or "not_in_path"))
        else:
            kept.append(_Kept(found.start, compiled, ()))
    ordered = [one.core.form for one in sorted(kept, key=lambda one: one.start)]
    dropped += [Dropped(core, "", "too_many") for core in ordered[max_key_steps:]]
    return ordered[:max_key_steps], dropped


def check_forms(cores: Sequence[str], forms: Sequence[Sequence[str]]) -> tuple[tuple[tuple[str, ...], ...], list[Dropped]]:
    """For each core its forms, itself first, the teacher's that stand, and those that rules generate; and the forms that fell."""
    dropped: list[Dropped] = []
    taken = {compiled.needle for core in cores if (compiled := compile_form(core)) is not None}
    key_steps = []
    for core, offered in zip(cores, forms, strict=True):
        source = compile_form(core)
        assert source is not None, f"{core!r} passed check_cores"
        kept = [core]
        own = {source.needle}
        for form in dict.fromkeys(offered):
            reason = _form_fault(form, source, own, taken)
            if reason:
                dropped.append(Dropped(core, form, reason))
            elif reason is not None:
                kept.append(form)
        taken |= own
        key_steps.append(tuple(dict.fromkeys((*kept, *generated_forms(core))))[:MAX_FORMS])
    return tuple(key_steps), dropped


def _fault(core: CompiledForm, others: Sequence[CompiledForm]) -> str:
    pieces = core.needle.split()
    counts = core.relation or any(piece[0].isdecimal() for piece in pieces)
    if not counts and sum(piece[0].isalpha() for piece in pieces) > MAX_WORDS:
        return "more_than_three_words"
    if len(core.form) > MAX_CHARACTERS:
        return "too_long"
    return "repeated" if any(core.needle in other.needle for other in others) else ""


def _form_fault(form: str, source: CompiledForm, own: set[str], taken: set[str]) -> str | None:
    """Why a form falls; "" when it stands, None when it only says again what another form of its own says. Adds to `own`."""
    compiled = compile_form(form)
    if compiled is None:
        return "form_says_nothing"
    if compiled.needle in own:
        return None
    if compiled.needle in taken:
        return "form_of_another"
    if len(form) > MAX_CHARACTERS:
        return "form_too_long"
    if same_statement(compiled, source) is False:
        return "form_differs"
    own.add(compiled.needle)
    return ""
