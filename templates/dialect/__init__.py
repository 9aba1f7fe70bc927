"""Liquid as LiquidJS 10 speaks it, on the skeleton of python-liquid; see docs/adr/0002-liquid-dialect.md."""
