"""Tools for developing gravity_memory: PostgreSQL servers, the version matrix, the test runner.

Run ``python3 -m devtools --help``. Only the standard library is needed to start: the first run makes a virtual
environment with the pinned packages and continues inside it (see `devtools.venv`).
"""

import os
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
"""The checkout these tools belong to."""

MODULES = os.pathsep.join((str(REPO), str(REPO / "python" / "src")))
"""Where our Python modules are found, for PYTHONPATH: the tools and tests, and the client."""
