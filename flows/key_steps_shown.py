"""What `r1vl key-steps show`, `stats` and `export` print of a key_steps artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.querying import find_artifact
from r1vl_core.data import database
from r1vl_core.data.given import export_key_steps
from r1vl_core.data.laid_over import examples, places
from r1vl_core.data.sql import querying
from r1vl_core.reasoning.key_steps import compile_key_steps, match
from r1vl_core.reasoning.paths import ReasoningPath, parse
from r1vl_core.records import Question, asked
from tasks import key_steps
from tasks.store import Artifact, Store

_LOOKED_AT = 1000
"""Questions among which examples are looked for."""

_STATS = {
    "sources": (
        "SELECT s.source, count(q.id) AS questions, coalesce(sum(k.num_key_steps), 0)::BIGINT AS key_steps,"
        " coalesce(sum(k.num_forms), 0)::BIGINT AS forms, any_value(s.num_rejected) AS set_aside"
        " FROM counts_by_source s LEFT JOIN questions q USING (source) LEFT JOIN key_steps_per_question k ON k.question_id = q.id"
        " GROUP BY s.source ORDER BY s.source"
    ),
    "steps_a_question": "SELECT num_key_steps AS steps, count(*) AS questions FROM key_steps_per_question GROUP BY 1 ORDER BY 1",
    "forms_a_step": "SELECT len(forms) AS forms, count(*) AS key_steps FROM key_steps GROUP BY 1 ORDER BY 1",
    "set_aside": "SELECT source, reason, num_rejected AS questions FROM reject_reasons",
}
_TEACHER_STATS = {
    "cost": "FROM cost_by_source",
    "calls": "FROM cost_by_prompt",
    "teacher_failed": "FROM teacher_failures",
    "dropped": "FROM drops_by_reason",
}


def print_question(root: Path, run: str | None, wanted: str) -> None:
    """Print a question whose id begins with `wanted`, or is that in its source. Raises ValueError where none does, or several do."""
    artifact = find_artifact(root, "key_steps", run)
    question = _one(artifact.path / key_steps.DATABASE, wanted)
    own = "" if question.source_id is None else f", there {question.source_id}"
    print(f"question   {question.id}, source {question.source}{own}")
    print(f"picture    {_picture(root, artifact, question)}")
    print(f"asked      {asked(question.text, question.choices)}")
    print(f"answer     {question.answer}")
    print(f"\n{question.reference_path}\n")
    path = parse(question.reference_path)
    found = match(path, compile_key_steps(question.key_steps)) if question.key_steps else ()
    for number, (forms, one) in enumerate(zip(question.key_steps, found, strict=True), 1):
        where = "not in the path" if one is None else f"step {_step_at(path, one.start)}: {path.text[one.start : one.end]!r}"
        print(f"key step {number}  {forms[0]}  ({where})")
        for form in forms[1:]:
            print(f"            {form}")


def count_key_steps(root: Path, run: str | None) -> dict[str, list[dict[str, Any]]]:
    """Every table of the counts, as rows by column. Raises ValueError where nothing is built, or by a program of another schema."""
    artifact = find_artifact(root, "key_steps", run)
    database.counts(artifact.path / key_steps.DATABASE)  # checks the schema, which `querying` takes as it comes
    statements = {**_STATS, **(_TEACHER_STATS if (artifact.path / key_steps.TEACHER).exists() else {})}
    counts = {}
    for name, sql in statements.items():
        with querying(artifact.path, sql) as answer:
            counts[name] = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    return counts


def print_counts(counts: dict[str, list[dict[str, Any]]]) -> None:
    """Print the tables that have rows."""
    console = Console(markup=False, highlight=False)
    for name, rows in counts.items():
        if not rows:
            continue
        table = Table(title=name.replace("_", " "), title_justify="left")
        for column, value in rows[0].items():
            table.add_column(column.replace("_", " "), justify="left" if isinstance(value, str) else "right")
        for row in rows:
            table.add_row(*(f"{value:.6g}" if isinstance(value, float) else str(value) for value in row.values()))
        console.print(table)


def export_questions(root: Path, run: str | None, file: Path) -> int:
    """Write the questions of a key_steps artifact as JSON lines; how many. Raises ValueError."""
    rows = database.iterate(find_artifact(root, "key_steps", run).path / key_steps.DATABASE)
    return export_key_steps(file, (row for row in rows if isinstance(row, Question)))


def _one(path: Path, wanted: str) -> Question:
    found = database.find_questions(path, wanted)
    num = len(found.positions)
    if not num:
        counts = database.counts(path)
        some = examples(database.read_some_questions(path, 0, _LOOKED_AT))
        among = f"among {counts.num_accepted} with key steps ({counts.num_rejected} were set aside); {some}"
        raise ValueError(f"no question whose id begins with {wanted!r}, or is that in its source, {among}")
    if num > 1 and found.is_whole:
        raise ValueError(f"{num} questions have the id {wanted!r} in their sources: {places(found.first)}; give one of these")
    if num > 1:
        some = ", ".join(question.id for question in found.first[:3])
        raise ValueError(f"{num} questions have ids that begin with {wanted!r}: {some} …; give more of it")
    return found.first[0]


def _picture(root: Path, artifact: Artifact, question: Question) -> str:
    """Where the picture is: whole for the bundled world, whose folder the store knows; else relative to its source's image folder."""
    store = Store(root)
    digest = artifact.recipe.inputs["curate"]
    curated = next((one for one in store.artifacts("curate") if one.digest == digest), None)
    if curated is not None and "world" in curated.recipe.inputs:
        return str(store.object_path("world", curated.recipe.inputs["world"]) / "images" / question.image)
    return f"{question.image} (in the image folder of source {question.source})"


def _step_at(path: ReasoningPath, start: int) -> int:
    return sum(step.start <= start for step in path.steps)
