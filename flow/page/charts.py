"""Charts as SVG text: points with their front, and heat maps. Every mark carries its figures as a tooltip; colours are in STYLE."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup, escape
from matplotlib.ticker import MaxNLocator

from flow.atomic import write_text
from flow.explore.algorithm import pareto_front

HEIGHT = 310
PLOT = 338
LEFT, RIGHT, TOP, BOTTOM = 56, 110, 14, 44
"""Of the margins around a plot of PLOT."""
CELL = 14
TONES = 8
FONT = 6.2
"""Width of a letter of the labels."""
STYLE = """svg { font: 11px system-ui, sans-serif; max-width: 100%; height: auto; color: #1f2933; background: #fff }
svg text { fill: currentColor }
.grid { stroke: currentColor; stroke-opacity: .15; fill: none }
.mark { stroke: #fff; stroke-width: 1; fill: var(--tone) }
.front { stroke: var(--tone); stroke-width: 1.5; stroke-opacity: .6; stroke-dasharray: 4 3; fill: none }
.series0 { --tone: #1f6feb } .series1 { --tone: #d1570a } .series2 { --tone: #1a7f37 } .series3 { --tone: #8250df }
.series4 { --tone: #b3261e } .series5 { --tone: #0f766e } .series6 { --tone: #9a6700 } .series7 { --tone: #57606a }
.cell { fill: #1f6feb; stroke: currentColor; stroke-opacity: .12 }
"""


@dataclass(frozen=True)
class Point:
    """A setting of a network: its cost, its accuracy 0…1, its name, and the series (0, 1, …) that gives it its colour and shape."""

    cost: float
    accuracy: float
    name: str
    series: int = 0


def scatter(points: Sequence[Point], label: str, series: Sequence[str] = ()) -> Markup:
    """Accuracy in per cent against a cost from 0 on, with a line through the points of each series that no other one of it beats.

    Args:
        points: at least one.
        label: of the cost.
        series: names of the series; shown where there are several.
    """
    xs, ys = [point.cost for point in points], [100 * point.accuracy for point in points]
    x_ticks = _ticks(0, max(xs) or 1)
    y_ticks = _ticks(min(ys), max(ys)) if max(ys) > min(ys) else _ticks(min(ys) - 1, max(ys) + 1)
    x_of = _scale(x_ticks[0], max(x_ticks[-1], max(xs)), LEFT, LEFT + PLOT)
    y_of = _scale(min(y_ticks[0], min(ys)), max(y_ticks[-1], max(ys)), HEIGHT - BOTTOM, TOP)
    parts = []
    for tick in x_ticks:
        parts.append(f'<path class="grid" d="M{x_of(tick):.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(
            f'<text x="{x_of(tick):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{_short(tick, x_ticks[-1])}</text>'
        )
    for tick in y_ticks:
        parts.append(f'<path class="grid" d="M{LEFT} {y_of(tick):.1f}H{LEFT + PLOT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y_of(tick) + 4:.1f}" text-anchor="end">{tick:,.12g}</text>')
    parts.append(f'<text x="{LEFT + PLOT / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(label)}</text>')
    parts.append(
        f'<text transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">accuracy, %</text>'
    )
    for number in sorted({point.series for point in points}):
        line = pareto_front([point for point in points if point.series == number], lambda point: point.cost)
        places = " ".join(f"{x_of(point.cost):.1f},{y_of(100 * point.accuracy):.1f}" for point in line)
        parts.append(f'<polyline class="front series{number % TONES}" points="{places}"/>')
    taken: list[tuple[float, float, float]] = []
    for point in points:
        x, y = x_of(point.cost), y_of(100 * point.accuracy)
        title = f"<title>{escape(point.name)}: {point.cost:,.6g}, {100 * point.accuracy:.2f} %</title>"
        parts.append(_mark(x, y, point.series, title))
        at = _free(taken, x + 8, y + 4, FONT * len(point.name))
        if at is not None:
            parts.append(f'<text x="{x + 8:.1f}" y="{at:.1f}">{escape(point.name)}</text>')
    for number, name in enumerate(series if len(series) > 1 else ()):
        parts.append(_mark(LEFT + PLOT + 70, TOP + 10 + 20 * number, number, ""))
        parts.append(f'<text x="{LEFT + PLOT + 82}" y="{TOP + 14 + 20 * number}">{escape(name)}</text>')
    legend = 90 + FONT * max(map(len, series)) if len(series) > 1 else 0
    return _svg(LEFT + PLOT + max(RIGHT, legend), HEIGHT, parts, f"accuracy against {label}")


def heat(rows: Sequence[tuple[str, Sequence[float]]], what: str, column: str) -> Markup:
    """A map of shares: one row of cells for each (name, values 0…1).

    Args:
        what: that the values are shares of; column: what a cell of a row is called, its number follows.
    """
    left = FONT * max(len(name) for name, _ in rows) + 12
    right = left + CELL * max(len(values) for _, values in rows)
    parts = []
    for row, (name, values) in enumerate(rows):
        y = CELL * row
        parts.append(f'<text x="{left - 6:.1f}" y="{y + 11}" text-anchor="end">{escape(name)}</text>')
        for at, value in enumerate(values):
            title = f"<title>{escape(name)}, {escape(column)} {at}: {value:.1%} {escape(what)}</title>"
            parts.append(
                f'<rect class="cell" x="{left + CELL * at:.1f}" y="{y}" width="{CELL - 1}" height="{CELL - 1}" '
                f'style="fill-opacity:{value:.3f}">{title}</rect>'
            )
    return _svg(right, CELL * len(rows), parts, what)


def _svg(width, height, parts, label):
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    )
    return Markup(f'{opening} role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>')


def _mark(x, y, series, title):
    if series % 2:
        return f'<rect class="mark series{series % TONES}" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8">{title}</rect>'
    return f'<circle class="mark series{series % TONES}" cx="{x:.1f}" cy="{y:.1f}" r="4.5">{title}</circle>'


def _ticks(low, high):
    return [float(tick) for tick in MaxNLocator(6).tick_values(low, high)]


def _short(tick, last):
    """A tick's label; in millions where the last one is that large, so that labels do not run into one another."""
    return f"{tick / 1e6:,.12g} M" if last >= 1e6 else f"{tick:,.12g}"


def _scale(low, high, begin, end):
    return lambda value: begin + (value - low) / (high - low) * (end - begin)


def _free(taken, x, y, width):
    """Where near y a label of a width has room, or None: it is in the tooltip."""
    for at in (y, y - 12, y + 12):
        if all(abs(at - other) >= 11 or x + width < begin or x > end for begin, end, other in taken):
            taken.append((x, x + width, at))
            return at
    return None


def write_file(path: Path, chart: Markup) -> None:
    """A chart as a file of its own."""
    end = chart.index(">") + 1
    write_text(path, f"{chart[:end]}<style>{STYLE}</style>{chart[end:]}\n")
