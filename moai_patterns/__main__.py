"""`python -m moai_patterns` is the command `moai-patterns`."""

import sys

from moai_patterns.cli import main

if __name__ == "__main__":
    sys.exit(main())
