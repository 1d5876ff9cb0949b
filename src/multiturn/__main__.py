"""Lets ``python -m multiturn`` do what the command ``multiturn`` does."""

from __future__ import annotations

import sys

from multiturn.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
