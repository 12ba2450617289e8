"""``python -m refcompress``."""

from __future__ import annotations

import sys

from refcompress.cli import main

if __name__ == "__main__":
    sys.exit(main())
