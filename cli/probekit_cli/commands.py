"""One command run by another, as a person would type it: what it records is that command, too."""

import sys
from collections.abc import Sequence

INTERRUPTED = 130


def execute(words: Sequence[str]) -> int:
    """The exit code of `probekit WORDS…`, run in this process.

    Raises:
        ProbekitError: as the command.
        KeyboardInterrupt: it was interrupted.
    """
    from probekit_cli.app import app

    typed, sys.argv = sys.argv, ["probekit", *words]
    try:
        code = app(list(words), standalone_mode=False)
    finally:
        sys.argv = typed
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0
