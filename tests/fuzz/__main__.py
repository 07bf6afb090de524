"""`python -m tests.fuzz`."""

import sys

from tests.fuzz.run import main

if __name__ == "__main__":  # workers import this module too
    sys.exit(main())
