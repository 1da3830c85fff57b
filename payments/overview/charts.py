"""Charts as Chart.js draws them; the one place where yuan are floats, for a drawing is no sum."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

# Told apart by those who see fewer colours too.
COLOURS = (
    "#2563eb", "#f59e0b", "#059669", "#db2777", "#7c3aed", "#0ea5e9", "#84cc16", "#b91c1c",
    "#0f766e", "#c2410c", "#64748b", "#a16207",
)  # fmt: skip
BLUE, AMBER, GREEN, VIOLET, SKY, RED = (COLOURS[n] for n in (0, 1, 2, 4, 5, 7))
GREY = "#9ca3af"
SHORT = {"notation": "compact", "maximumFractionDigits": 1}  # 12万 instead of 120,000
Named = tuple[str, str, Sequence[int]]  # a title, a colour, and fen a day


def colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _options(**more: Any) -> str:
    axis = {"border": {"display": False}, "ticks": {"color": GREY}, **more}
    ticks = {"color": GREY, "maxRotation": 0, "autoSkipPadding": 16}
    return json.dumps(
        {
            "animation": False,
            "responsive": True,
            "maintainAspectRatio": False,
            "locale": "zh-CN",
            "interaction": {"mode": "index", "intersect": False},
            "plugins": {
                "legend": {
                    "position": "bottom",
                    "labels": {"boxWidth": 8, "boxHeight": 8, "color": GREY, "padding": 14},
                }
            },
            "scales": {
                "x": {**axis, "grid": {"display": False}, "ticks": ticks},
                "y": {**axis, "beginAtZero": True, "ticks": {"color": GREY, "format": SHORT}},
            },
        }
    )


LINES = _options()
BARS = _options(stacked=True)


def lines(days: Sequence[date], given: Sequence[Named]) -> str:
    shape = {"borderWidth": 2, "pointRadius": 0, "pointHitRadius": 8, "tension": 0}
    return _drawn(days, given, shape)


def bars(days: Sequence[date], given: Sequence[Named]) -> str:
    return _drawn(days, given, {"maxBarThickness": 18, "borderWidth": 0})


def _drawn(days: Sequence[date], given: Sequence[Named], shape: dict[str, Any]) -> str:
    sets = [
        {
            "label": title,
            "data": [one / 100 for one in fen],
            "borderColor": shade,
            "backgroundColor": shade,
            **shape,
        }
        for title, shade, fen in given
    ]
    labels = [f"{day:%m-%d}" for day in days]
    return json.dumps({"labels": labels, "datasets": sets}, ensure_ascii=False)
