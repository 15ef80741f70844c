"""Figures as a drawing: bars with their spread, and lines over the logins, in SVG.

No library of plots is asked for some forty rectangles; what is drawn here is only what the documentation shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from bench.pairs import Compared
from bench.report import Report
from bench.spread import Spread

_OURS, _OTHER, _INK, _FAINT = "#2b6cb0", "#b7791f", "#2d3748", "#cbd5e0"
# Of a panel, in pixels: all of it, and where in it the bars or the curves are.
_WIDTH, _LEFT, _RIGHT = 470, 150, 320
_TOP, _ROW, _BAR = 44, 24, 14
_CURVES = 96  # the height of curves
_TEXT = 12


@dataclass(frozen=True, slots=True)
class Bar:
    """From zero to the median, and a line from the lowest to the highest."""

    name: str
    value: Spread
    colour: str


@dataclass(frozen=True, slots=True)
class Bars:
    """`mark`: where a line is drawn across all of them."""

    title: str
    bars: Sequence[Bar]
    mark: float | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    name: str
    points: Sequence[tuple[float, float]]
    colour: str


@dataclass(frozen=True, slots=True)
class Curves:
    """`along`: what is counted from left to right; both axes begin at zero."""

    title: str
    along: str
    curves: Sequence[Curve]


Panel = Bars | Curves


def of_report(report: Report) -> str:
    """Ours beside FreeRADIUS."""
    sides = ((report.ours, _OURS), (report.freeradius, _OTHER))

    def bars(title: str, **names: str) -> Bars:
        return Bars(
            title,
            [
                Bar(f"{side.name}{said}", side.figures[name], colour)
                for name, said in names.items()
                for side, colour in sides
            ],
        )

    return drawing(
        [
            bars("CPU, µs a login", cpu=""),
            bars("logins a second", per_second=""),
            bars("latency p99, ms", round_one_p99=", 1st", round_two_p99=", 2nd"),
            Curves("memory, MB", "logins", [Curve(side.name, side.memory, colour) for side, colour in sides]),
        ]
    )


def of_pairs(pairs: Sequence[Compared]) -> str:
    """How many times the CPU a login takes with more of something."""
    bars = [Bar(f"{each.what}, {each.of[1]}", each.cpu_ratio, _OURS) for each in pairs]
    return drawing([Bars("CPU a login, times that with little", bars, mark=1.0)])


def drawing(panels: Sequence[Panel]) -> str:
    """SVG: two panels beside each other, and so on downwards."""
    rows = [panels[at : at + 2] for at in range(0, len(panels), 2)]
    tall = [max(map(_height, row)) for row in rows]
    parts = []
    for number, row in enumerate(rows):
        for column, panel in enumerate(row):
            parts.append(f'<g transform="translate({column * _WIDTH} {sum(tall[:number])})">')
            parts += _bars(panel) if isinstance(panel, Bars) else _curves(panel)
            parts.append("</g>")
    wide = _WIDTH * max(map(len, rows))
    high = sum(tall)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}"'
    style = f'font-family="sans-serif" font-size="{_TEXT}" fill="{_INK}"'
    return "\n".join([f"{head} {style}>", '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>", ""])


def _height(panel: Panel) -> int:
    return _TOP + (_ROW * len(panel.bars) if isinstance(panel, Bars) else _CURVES + 2 * _TEXT) + _TEXT


def _bars(panel: Bars) -> Iterator[str]:
    yield _text(8, 24, panel.title, 'font-weight="bold"')
    most = max([panel.mark or 0.0, *(bar.value.highest for bar in panel.bars)]) or 1.0

    def across(value: float) -> float:
        return _LEFT + value / most * (_RIGHT - _LEFT)

    for number, bar in enumerate(panel.bars):
        top, middle = _TOP + number * _ROW, _TOP + number * _ROW + _BAR / 2
        wide = across(bar.value.median) - _LEFT
        yield _text(_LEFT - 6, middle + 4, bar.name, 'text-anchor="end"')
        yield f'<rect x="{_LEFT}" y="{top}" width="{wide:.1f}" height="{_BAR}" fill="{bar.colour}"/>'
        yield _line((across(bar.value.lowest), middle), (across(bar.value.highest), middle), _INK)
        for end in (bar.value.lowest, bar.value.highest):
            yield _line((across(end), middle - 4), (across(end), middle + 4), _INK)
        yield _text(_RIGHT + 8, middle + 4, str(bar.value))
    if panel.mark is not None:
        at = across(panel.mark)
        yield _line((at, _TOP - 4), (at, _TOP + _ROW * len(panel.bars) - 6), _INK, 'stroke-dasharray="3 3"')


def _curves(panel: Curves) -> Iterator[str]:
    yield _text(8, 24, panel.title, 'font-weight="bold"')
    points = [point for curve in panel.curves for point in curve.points]
    furthest, most = (max(each) or 1.0 for each in zip(*points, strict=True))
    bottom = _TOP + _CURVES
    for share in (0.0, 0.5, 1.0):
        level = bottom - share * _CURVES
        yield _line((_LEFT, level), (_RIGHT, level), _FAINT)
        yield _text(_LEFT - 6, level + 4, f"{share * most:.0f}", 'text-anchor="end"')
    yield _text(_LEFT, bottom + 16, "0")
    yield _text(_RIGHT, bottom + 16, f"{furthest:,.0f} {panel.along}", 'text-anchor="end"')
    for curve in panel.curves:
        there = [
            (_LEFT + along / furthest * (_RIGHT - _LEFT), bottom - value / most * _CURVES)
            for along, value in curve.points
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in there)
        yield f'<polyline points="{path}" fill="none" stroke="{curve.colour}" stroke-width="2"/>'
        yield _text(
            _RIGHT + 8, there[-1][1] + 4, f"{curve.name} {curve.points[-1][1]:.0f}", f'fill="{curve.colour}"'
        )


def _line(start: tuple[float, float], end: tuple[float, float], colour: str, more: str = "") -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" {more}/>'


def _text(x: float, y: float, said: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(said)}</text>'
