"""What the answers of `r1vl eval` come to: rulings under every profile, tables over the samples, one DuckDB file and a summary."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from r1vl_core.config import Judge as JudgeDials
from r1vl_core.data import responses as stored
from r1vl_core.data.responses import AskedRow, Evaluation, ResponseRow, ScoreRow, VerdictRow
from r1vl_core.evaluation.benchmarks.intervals import COLUMN, intervals, intervals_of_means
from r1vl_core.evaluation.benchmarks.registry import benchmark, choices_of, group_key
from r1vl_core.evaluation.benchmarks.rulings import PROFILES, Judged, Profile, Ruling, Totals
from r1vl_core.evaluation.benchmarks.scoring import BenchmarkFile, Judge, Scored, score
from r1vl_core.evaluation.bootstrap import mean_interval
from r1vl_core.evaluation.samples import ks, majority, pass_at
from r1vl_core.evaluation.statistics import Interval
from tasks.answer_files import Key
from tasks.stages import Build, flat

if TYPE_CHECKING:
    from tasks.benchmarks import Request

SUMMARY = "summary.json"
PUBLISHED = "published"
MAJORITY = "majority"

Answers = Mapping[str, Sequence[ResponseRow]]
"""The responses to a benchmark's rows, sample after sample, by index."""


def keep(
    job: Build, request: Request, found: Mapping[Key, Sequence[ResponseRow]], judge: Judge | None = None, dials: JudgeDials | None = None
) -> Mapping[str, Any]:
    """Rule on every response, write the artifact's files, and return its notes; `judge` has `dials` and is asked where no rule decides."""
    questions, responses = list[AskedRow](), list[ResponseRow]()
    verdicts, scores, summary = list[VerdictRow](), list[ScoreRow](), dict[str, Any]()
    for file in request.files:
        answers = {index: found[file.name, index] for index in request.chosen[file.name]}
        questions += [_asked(file, index) for index in answers]
        responses += [response for row in answers.values() for response in row]
        summary[file.name] = {"num_rows": len(answers), "num_all": len(file.rows), "num_samples": request.decoding.num_samples}
        votes = _votes(file, answers)
        for profile in PROFILES:
            job.log(f"scoring {file.name}, {profile}")
            samples = _scored(file, answers, profile, judge)
            verdicts += _verdicts(samples, answers, profile)
            voted = [(file.rows[index], samples[place].rulings[index].correct) for index, place in votes.items()]
            numbers = _numbers(file, samples, voted)
            within = _intervals(file, samples, voted)
            scores += _scores(file.name, profile, numbers, within)
            summary[file.name][profile] = _summary(samples, numbers, within)
    evaluation = _evaluation(request, dials)
    stored.write(job.out / stored.FILE, evaluation, questions, responses, verdicts, scores)
    (job.out / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    metrics = {f"{name}/{profile}": table[profile][PUBLISHED] for name, table in summary.items() for profile in PROFILES}
    digest = stored.content_digest(job.out / stored.FILE)
    return {"content": {stored.FILE: digest}, "metrics": metrics, "files": [SUMMARY]}


def read_summary(artifact: Path) -> dict[str, Any]:
    """By benchmark: num_rows, num_all, num_samples, and by profile the published number, its interval, and the shares of rows that no rule
    decides (unresolved) and that a judge decided."""
    table: dict[str, Any] = json.loads((artifact / SUMMARY).read_text(encoding="utf-8"))
    return table


def _evaluation(request: Request, dials: JudgeDials | None) -> Evaluation:
    who, now = request.who, datetime.now(UTC).replace(tzinfo=None)
    settings = request.settings if dials is None else {**request.settings, "judge": dials.identity()}
    return Evaluation(who.name, who.digest, who.prompt, settings, now, request.is_partial, request.where, request.limit)


def _asked(file: BenchmarkFile, index: str) -> AskedRow:
    row = file.rows[index]
    return AskedRow(file.name, index, row.get("category", ""), row["question"], row["answer"], group_key(file.name, row))


def _scored(file: BenchmarkFile, answers: Answers, profile: Profile, judge: Judge | None) -> list[Scored]:
    num_samples = len(next(iter(answers.values())))
    drawn = [{index: row[sample].response for index, row in answers.items()} for sample in range(num_samples)]
    return [score(file, responses, profile, judge) for responses in drawn]


def _verdicts(samples: Sequence[Scored], answers: Answers, profile: Profile) -> Iterator[VerdictRow]:
    for index in answers:
        for sample, scored in enumerate(samples):
            ruling = scored.rulings[index]
            yield VerdictRow(
                scored.benchmark, index, sample, profile, ruling.extracted, ruling.correct, _word(ruling), ruling.rule, ruling.decided_by
            )


def _word(ruling: Ruling) -> str:
    return "correct" if ruling.correct else "unresolved" if ruling.decided_by == "unresolved" else "wrong"


def _numbers(file: BenchmarkFile, samples: Sequence[Scored], voted: Judged) -> dict[str, float]:
    """The published number and every table's cell, means over the samples; of several samples pass@k and what their vote comes to."""
    tables = [flat({PUBLISHED: scored.column, **scored.tables}) for scored in samples]
    numbers = {name: fmean(table[name] for table in tables) for name in tables[0]}
    if len(samples) > 1:
        numbers |= {name: 100 * fmean(shares) for name, shares in _passed(samples).items()}
        numbers[MAJORITY] = benchmark(file.name).sum_up(voted).column
    return numbers


def _intervals(file: BenchmarkFile, samples: Sequence[Scored], voted: Judged) -> dict[str, Interval | None]:
    """Of the published number and every table's cell, which are means over the samples; of several, also of pass@k and their vote."""
    if len(samples) == 1:
        return samples[0].intervals
    judged = [[(file.rows[index], ruling.correct) for index, ruling in scored.rulings.items()] for scored in samples]
    found = intervals_of_means(file.name, judged, [Totals(scored.column, scored.tables) for scored in samples])
    clusters = [group_key(file.name, file.rows[index]) or (index,) for index in samples[0].rulings]
    for name, shares in _passed(samples).items():
        within = mean_interval(shares, clusters)
        found[name] = within and Interval(100 * within.low, 100 * within.high)
    return {**found, MAJORITY: intervals(file.name, voted, benchmark(file.name).sum_up(voted))[COLUMN]}


def _passed(samples: Sequence[Scored]) -> dict[str, list[float]]:
    """For each k worth telling each row's pass@k, a fraction."""
    rights = [sum(scored.rulings[index].correct for scored in samples) for index in samples[0].rulings]
    return {f"pass@{k}": [pass_at(k, len(samples), right) for right in rights] for k in ks(len(samples))}


def _scores(name: str, profile: Profile, numbers: Mapping[str, float], within: Mapping[str, Interval | None]) -> Iterator[ScoreRow]:
    for cell, value in numbers.items():
        yield ScoreRow(name, profile, cell, value, *(within.get(COLUMN if cell == PUBLISHED else cell) or ()))


def _votes(file: BenchmarkFile, answers: Answers) -> dict[str, int]:
    """By index the sample that most of a row's samples agree with, whatever they are held to be; empty where there is one."""
    rows = ((index, [response.response for response in row]) for index, row in answers.items() if len(row) > 1)
    return {index: majority(said, choices_of(file.name, file.rows[index])) for index, said in rows}


def _summary(samples: Sequence[Scored], numbers: Mapping[str, float], within: Mapping[str, Interval | None]) -> dict[str, Any]:
    num_rows = len(samples[0].rulings)
    unresolved = fmean(scored.num_unresolved / num_rows for scored in samples)
    judged = fmean(scored.num_judged / num_rows for scored in samples)
    table = {"interval": within[COLUMN], "intervals": within, "share_unresolved": unresolved, "share_judged": judged}
    extra = {column: value for column, value in numbers.items() if column.startswith("pass@") or column == MAJORITY}
    return {PUBLISHED: numbers[PUBLISHED], **table, **extra}
