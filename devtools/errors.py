"""The error that the tools show to the person at the terminal without a traceback."""


class SetupError(Exception):
    """Something the machine lacks or refuses. The message says what is wrong and what to do about it."""
