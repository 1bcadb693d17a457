"""The proofs: tests, benches and faults."""
