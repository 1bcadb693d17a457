"""The same recorder on simulated, emulated and real hardware."""
