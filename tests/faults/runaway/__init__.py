"""Heads and relays that nobody commands any more must stand still and be safe, whatever failed.

`nvr run` steers four simulated heads and two relays that live in a process of their own (`far`) and
keep their state when it dies. Each scenario follows from its seed (`scene`): a head is in motion,
something fails, and the far process says when the head stood.
"""
