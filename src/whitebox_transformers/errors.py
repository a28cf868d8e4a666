"""The one exception that means: the input is wrong, and here is how to mend it."""


class UserError(ValueError):
    """Wrong input from the person at the keyboard.

    The message is one line that names the thing, the value found, what was expected and the mend.
    The command line prints it without a traceback and exits with status 2.
    """


class Terminated(UserError):
    """The process was told to end and did so in order; nothing is wrong with the input.

    The command line exits with the status of a process that SIGTERM ended.
    """
