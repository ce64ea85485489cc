"""Errors that are shown to a person as one line, without a traceback."""


class UserError(Exception):
    """Something the user can put right; the message says what is wrong and what is allowed."""


class Interrupted(Exception):
    """The user stopped the program; everything worth keeping has been written."""


class NoDataError(UserError):
    """There are no demonstrations where they were looked for."""


def raised_in(error: BaseException, *packages: str) -> bool:
    """Whether an error was raised by code of one of these packages."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] in packages
