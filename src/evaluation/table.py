"""Markdown tables with aligned columns, as the scripts print them."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Headings, a rule and one line per row."""
    cells = [list(headings), *rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(headings))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    lines.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in lines)


def number(value: float | None, digits: int) -> str:
    """The value with so many digits, a dash where it is None."""
    return "-" if value is None else f"{value:.{digits}f}"
