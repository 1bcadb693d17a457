"""Fuzzing: what reads bytes of strangers must answer as it says it does, whatever they are.

`make fuzz` runs it for long; the suite runs a bounded piece with fixed seeds. `corpus/NAME` holds
what once found a fault, and what leads deep; both are where every run begins.
"""
