"""The process between others and their log, see telemetry/lines.py: from standard input to standard output."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Until the last writer has gone; signals are meant for those, not for this."""
    writer = os.getppid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    from clearfacts_assets import settings
    from clearfacts_assets.telemetry.lines import lines

    sys.stdin.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    for line in lines(sys.stdin, settings.load().secrets, writer):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
