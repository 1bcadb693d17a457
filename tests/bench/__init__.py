"""Measurements against peers: each command prints its figures and whether they meet its limits."""
