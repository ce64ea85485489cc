"""Errors that are shown to a person as one line, without a traceback."""


class UserError(Exception):
    """Something the user can put right; the message says what is wrong and what is allowed."""


class Interrupted(Exception):
    """The user stopped the program; everything worth keeping has been written."""


class NoDataError(UserError):
    """There are no demonstrations where they were looked for."""
