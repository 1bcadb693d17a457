"""Video recorder and controller for ARM boxes in the field."""

__version__ = "0.1.0"
