"""The one exception for whatever a user can mend."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend; the message is one sentence that says what, which value, and what to do."""

    status = 1  # the exit status
