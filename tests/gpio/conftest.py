from tests.gpio.chip import chip, paper_library

__all__ = ["chip", "paper_library"]
