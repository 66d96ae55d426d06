"""`python -m gravity_memory`."""

import sys

from gravity_memory.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
