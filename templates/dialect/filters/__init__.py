"""All filters of LiquidJS. Importing this package fills `filter_registry.FILTERS`."""

from templates.dialect.filter_registry import FILTERS, FilterSpec
from templates.dialect.filters import arrays, dates, encoding, html, math, selection, strings, structure, urls

__all__ = [
    "FILTERS",
    "FilterSpec",
    "arrays",
    "dates",
    "encoding",
    "html",
    "math",
    "selection",
    "strings",
    "structure",
    "urls",
]
