"""Line charts of training metrics: geometry computed here, drawn by the template as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from r1vl_core.report import Report

WIDTH, HEIGHT = 380, 190
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 12, 26
"""Margins around the plot, in the units of the drawing (pixels at natural size)."""

_LEAST_SHARE = 0.05
"""An axis covers at least this share of its largest value."""

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One metric over the steps under a name for people: `points` are (step, value), finite only.

    >>> Line("loss", ((1.0, 0.5),)).name
    'loss'
    """

    name: str
    points: Points


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick at `position` in the drawing with its label.

    >>> Tick(46.0, "0.5").label
    '0.5'
    """

    position: float
    label: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A line chart ready to be drawn: polylines as SVG `points` texts, ticks, and for the pointer each point with its position.

    `raw` joins the values of every step; `smooth` their centred moving mean over `window` steps (empty when there are few steps).

    >>> draw("Loss", "per token", (Line("loss", ((1.0, 2.0), (2.0, 1.0))),)).window
    1
    """

    title: str
    note: str
    names: tuple[str, ...]
    raw: tuple[str, ...]
    smooth: tuple[str, ...]
    window: int
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    hover: tuple[dict[str, object], ...]
    first: str
    last: str


def lines_of(reports: Sequence[Report], metrics: Mapping[str, str]) -> tuple[Line, ...]:
    """The metrics of the reports that have them, as lines under the names given; a value that is not finite leaves a gap in the count,
    not in the page."""
    lines = []
    for metric, name in metrics.items():
        found = [(float(report.step), float(report.metrics[metric])) for report in reports if metric in report.metrics]
        lines.append(Line(name, tuple(point for point in found if math.isfinite(point[1]))))
    return tuple(line for line in lines if line.points)


def draw(title: str, note: str, lines: Sequence[Line], least: float = 0.0) -> Drawing:
    """Lay out the lines, as `lines_of` gives them, in one chart; values that differ by less than `least` do not fill its height."""
    assert lines, "a chart needs a line"
    steps = [step for line in lines for step, _ in line.points]
    values = [value for line in lines for _, value in line.points]
    y_ticks = nice_ticks(*value_range(values, least), 4)
    x_low, x_high = min(steps), max(steps)
    y_low, y_high = min(y_ticks[0], *values), max(y_ticks[-1], *values)
    window = max(1, len(lines[0].points) // 10)

    def place(points: Points) -> list[tuple[float, float]]:
        return [(_along(step, x_low, x_high), _up(value, y_low, y_high)) for step, value in points]

    return Drawing(
        title=title,
        note=note,
        names=tuple(line.name for line in lines),
        raw=tuple(_polyline(place(line.points)) for line in lines),
        smooth=tuple(_polyline(place(moving_mean(line.points, window))) for line in lines) if window > 1 else (),
        window=window,
        x_ticks=tuple(Tick(_along(step, x_low, x_high), f"{step:g}") for step in _step_ticks(x_low, x_high)),
        y_ticks=tuple(Tick(_up(value, y_low, y_high), short_number(value)) for value in y_ticks),
        hover=tuple(_hover_points(line, place(line.points)) for line in lines),
        first=short_number(lines[0].points[0][1]),
        last=short_number(lines[0].points[-1][1]),
    )


def moving_mean(points: Points, window: int) -> Points:
    """Centred moving mean over `window` points, over fewer at both ends."""
    before, after = (window - 1) // 2, window // 2
    smooth = []
    for i, (step, _) in enumerate(points):
        near = points[max(0, i - before) : i + after + 1]
        smooth.append((step, math.fsum(value for _, value in near) / len(near)))
    return tuple(smooth)


def value_range(values: Sequence[float], least: float) -> tuple[float, float]:
    """Lowest and highest value of an axis: the values' own, or further apart, so that rounding noise is not drawn as a mountain range.

    They are at least `least` apart, and a twentieth of the largest value; values that are never negative have no negative axis, and
    shares none above 1.

    >>> value_range([0.5, 0.5], 0.1), value_range([0.0, 0.001], 0.1), value_range([1.0, 1.0], 0.5)
    ((0.45, 0.55), (0.0, 0.1), (0.5, 1.0))
    """
    low, high = min(values), max(values)
    span = max(least, _LEAST_SHARE * max(abs(low), abs(high))) or 1.0
    if high - low >= span:
        return low, high
    start = (low + high - span) / 2
    if low >= 0 and high <= 1:
        start = min(start, 1 - span)
    if low >= 0:
        start = max(0.0, start)
    return start, start + span


def nice_ticks(low: float, high: float, num_steps: int) -> list[float]:
    """Round tick values (steps of 1, 2 or 5 times a power of ten) from at most `low` to at least `high`.

    >>> nice_ticks(0.13, 0.87, 4)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    rough = (high - low) / num_steps
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, 1 - math.floor(math.log10(step)))
    return [round(i * step, digits) for i in range(first, last + 1)]


def short_number(value: float) -> str:
    """A number as a reader wants it in a chart: three significant digits, no trailing zeros.

    >>> short_number(0.12345), short_number(1234.5), short_number(0.00001)
    ('0.123', '1234', '1e-05')
    """
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def _step_ticks(low: float, high: float) -> list[float]:
    if high <= low:
        return [low]
    # The ends themselves, and round steps between them that leave the ends room for their labels.
    room = (high - low) * 0.09
    inner = [tick for tick in nice_ticks(low, high, 5) if low + room < tick < high - room and tick == int(tick)]
    return [low, *inner, high]


def _along(step: float, low: float, high: float) -> float:
    share = (step - low) / (high - low) if high > low else 0.5
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 2)


def _up(value: float, low: float, high: float) -> float:
    return round(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM), 2)


def _polyline(points: Sequence[tuple[float, float]]) -> str:
    # A line of one point is drawn twice over, which round line ends make a dot.
    return " ".join(f"{x:g},{y:g}" for x, y in (points if len(points) > 1 else [*points, *points]))


def _hover_points(line: Line, placed: Sequence[tuple[float, float]]) -> dict[str, object]:
    shown = [short_number(value) for _, value in line.points]
    return {
        "name": line.name,
        "points": [[x, y, step, text] for (x, y), (step, _), text in zip(placed, line.points, shown, strict=True)],
    }
