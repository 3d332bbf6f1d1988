"""A client that waits to be used: does nothing until SIGTERM or SIGINT."""

from __future__ import annotations

import signal


def main() -> None:
    """Wait for a signal."""
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    # Blocked first, or a signal between start and sigwait would end the process with a traceback.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
