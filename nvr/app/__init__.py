"""Composition root: builds every part, passes it in, and holds the start and stop order."""
