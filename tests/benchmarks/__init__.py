"""Benchmarks: `python -m tests.benchmarks` prints one table, ratios side by side, measured in one run."""
