"""`python -m tests.benchmarks`."""

from tests.benchmarks.suite import main

main()
