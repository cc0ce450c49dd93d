"""How the command is told to stop: SIGINT and SIGTERM end it, whatever whoever started it had switched off."""

from __future__ import annotations

import signal


def restore_signals() -> None:
    """Undo what was inherited. Call it first, in the main thread.

    A shell without job control starts what stands before an ``&`` with SIGINT ignored, and supervisors may block
    signals; both outlive an exec, and so would reach every process that we start.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
