"""`r1vl key-steps estimate`: what a preset's teacher would cost, from a sample that is really asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.progress import duration
from r1vl_core.config import Preset, Runtime, Teacher
from r1vl_core.data import database
from r1vl_core.data.teacher.batch import Standing, teach_all
from r1vl_core.data.teacher.estimate import Estimate, draw_sample, estimate
from r1vl_core.data.teacher.lesson import Lesson
from tasks import curate
from tasks.key_steps import to_extract
from tasks.planning import ready
from tasks.store import Store
from tasks.teaching import open_cache, progress, service, teacher_of


def print_estimate(runtime: Runtime, preset: Preset, size: int) -> None:
    """Ask the teacher about `size` questions, on the account of the preset's own run, and print what all would take.

    "All" are those that the stage would ask about. Raises ValueError for a preset without a teacher, or with nothing to ask one, and for
    questions that are not curated yet. TeacherStopped where the teacher stops.
    """
    from tasks.registry import STAGES

    dials = teacher_of(preset)
    extracting = preset.model_copy(update={"key_steps": preset.key_steps.model_copy(update={"extractor": "teacher"})})
    recipe, inputs = ready("key_steps", STAGES, extracting, Store(runtime.root))
    console = Console(stderr=True, markup=False, highlight=False)  # a file's name may hold brackets
    questions = to_extract(preset, database.read_questions(inputs["curate"].path / curate.DATABASE), console.print)
    if not questions:
        raise ValueError(f"preset {preset.name}: every question that is drawn brings its key steps along; no teacher would be asked")
    sample = draw_sample(questions, size)
    lessons: dict[int, Lesson] = {}
    counted = True

    def tell(standing: Standing) -> None:
        nonlocal counted
        counted = standing.counted
        status.update(progress(standing))

    with open_cache(runtime.root, console.print) as cache, console.status("asking") as status:
        teach_all(sample, service(dials, recipe.key), cache, preset.key_steps.max_key_steps, lessons.__setitem__, tell)
    if not counted:
        console.print("the service counts no tokens: every call is estimated at the most that it can take")
    taught = [lessons[place] for place in sorted(lessons)]
    _print(estimate(taught, len(questions), dials), dials, [lesson for lesson in taught if lesson.reason])


def _print(found: Estimate, dials: Teacher, failed: Sequence[Lesson]) -> None:
    table = Table(
        title=f"{found.num_questions:,} questions with {dials.model}, from a sample of {found.num_sampled}",
        title_justify="left",
        show_header=False,
    )
    priced = bool(dials.price_in or dials.price_out)
    cost = f"{found.cost:.4g} ± {found.cost_half_width:.2g} (95 %)" if priced else "no prices given (key_steps.teacher.price_in, price_out)"
    limits = [f"{dials.max_tokens:,} tokens"] * bool(dials.max_tokens) + [f"a cost of {dials.max_cost:g}"] * bool(dials.max_cost)
    rows = {
        "tokens asked": f"{found.tokens.asked:,}",
        "tokens answered": f"{found.tokens.answered:,}",
        "cost": cost,
        "budget": " and ".join(limits) or "none (key_steps.teacher.max_tokens, max_cost)",
        "time": f"{duration(found.hours * 3600)}, {found.concurrency} at once",
        "teacher failed on": f"{found.failed} of {found.num_sampled}{_why(failed)}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    Console().print(table)


def _why(failed: Sequence[Lesson]) -> str:
    """What the teacher failed by, and the first failure in its own words."""
    reasons = Counter(lesson.reason for lesson in failed)
    told = ", ".join(f"{reason} {number}" for reason, number in reasons.most_common())
    return f": {escape(told)} (the first: {escape(failed[0].detail)})" if failed else ""
