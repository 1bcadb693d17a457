"""Video recorder and controller for ARM boxes in the field."""

__version__ = "0.1.0"
__date__ = "2026-11-30"
"""The day of this version: no right clock says an earlier one."""
