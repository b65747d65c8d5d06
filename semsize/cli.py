"""Shared by all programs: errors for people are one line."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def one_line_errors(*kinds: type[Exception]) -> Iterator[None]:
    """End the program with one line and exit code 1 on errors meant for people; others keep their traceback.

    An error with an `exit_code` of its own is a stop that was asked for: a signal's is 128 + its number.
    """
    try:
        yield
    except kinds as error:
        if not hasattr(error, "exit_code"):
            sys.exit(f"error: {error}")
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
