"""Axis ranges, round tick values and number formats, for the charts of the page."""

import math
from collections.abc import Sequence


def span(values: Sequence[float]) -> tuple[float, float]:
    """Lowest and highest finite value, widened a little; 0 to 1 if there is none."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    lowest = 0.0 if low >= 0 and low - margin < 0.25 * high else low - margin
    return lowest, high + margin


def ticks(low: float, high: float, about: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between ``low`` and ``high``."""
    rough = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def layer_ticks(positions: Sequence[float], about: int = 12) -> list[float]:
    """Whole positions only, first and evenly spaced ones after it."""
    stride = max(1, math.ceil(len(positions) / about))
    return list(positions[::stride])


def number(value: float) -> str:
    """Three or four significant digits, thousands separated, never in programmer's notation."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1000:
        return f"{value:,.0f}".replace("-", "−")
    if size < 1e-3:
        exponent = math.floor(math.log10(size))
        superscript = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"{value / 10.0**exponent:.1f}·10{superscript}".replace("-", "−")
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:.{digits}f}".replace("-", "−")


def tick_label(value: float, step: float) -> str:
    """The shortest text that tells neighbouring ticks apart."""
    if step < 1e-4:
        return number(value)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{digits}f}".replace("-", "−")
