"""What can go wrong, in words, with the server's SQLSTATE and hint where there are any."""

from __future__ import annotations

import psycopg

FEED_EXPIRED = "72000"
NOT_RECORDED = "55000"


class GravityMemoryError(Exception):
    """Any error of this package. What caused it, if another exception did, is its `__cause__`.

    Attributes:
        message: what is wrong.
        sqlstate: the server's five-letter code, or None.
        hint: what to do about it, or None.
    """

    def __init__(self, message: str, *, sqlstate: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nHINT: {self.hint}" if self.hint else self.message


class ConnectionLost(GravityMemoryError):  # noqa: N818 - names say what happened
    """The server could not be reached, or stopped answering. Whether the last write took effect may be unknown."""


class ListenUnavailable(GravityMemoryError):  # noqa: N818
    """Notifications cannot arrive over this connection: a pooler gives every transaction another one."""


class EventsLost(GravityMemoryError):  # noqa: N818
    """A subscription missed events: read the memories and arcs themselves.

    Attributes:
        count: how many, when that is known.
    """

    count: int | None = None


class FeedExpired(EventsLost):
    """The feed cannot be read on from a cursor: it is too old, of another server, or the feed has a break after it."""


class NotRecorded(GravityMemoryError):  # noqa: N818
    """The settings of the database do not announce, or do not record, what was asked for."""


class SubscriptionEvicted(GravityMemoryError):  # noqa: N818
    """A RealtimeChannelPool was full, and this was its oldest subscription; or its key was given to another one."""


class InvalidInput(GravityMemoryError, ValueError):  # noqa: N818
    """An argument means nothing, or breaks a constraint of the tables."""


class NotInstalled(GravityMemoryError):  # noqa: N818
    """A function or table of the extension is missing.

    The extension is not in this database, not in the schema that was named, or older than this client. What is missing
    inside of functions and triggers of the database is a ServerError.
    """


class NotPermitted(GravityMemoryError):  # noqa: N818
    """The role may not do this."""


class ServerError(GravityMemoryError):
    """Any other error of the server."""


def is_connection_error(error: BaseException) -> bool:
    """Whether the connection is what failed: it could not be made, broke, or the server is going down or coming up."""
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    state = error.sqlstate
    return state is None or state.startswith(("08", "57P")) or state == "53300"


def translated(error: psycopg.Error | UnicodeError) -> GravityMemoryError:
    """The error of this package that says the same. Raise it `from` the original."""
    if isinstance(error, UnicodeDecodeError):
        return ServerError(
            f"the database has a text that is not in its encoding: {error.reason}",
            hint="A database with encoding SQL_ASCII takes any bytes: mend what is not UTF-8 there.",
        )
    if isinstance(error, UnicodeEncodeError):
        return InvalidInput(f"a text cannot be written as UTF-8: {error.reason}")
    if isinstance(error, UnicodeError):
        return ServerError(str(error))
    state = error.sqlstate
    message = error.diag.message_primary or str(error) or type(error).__name__
    return _kind(error, state)(message, sqlstate=state, hint=error.diag.message_hint)


def _kind(error: psycopg.Error, state: str | None) -> type[GravityMemoryError]:
    if is_connection_error(error):
        return ConnectionLost
    if state is None:
        # psycopg itself refuses it, for example a NUL character.
        return InvalidInput if isinstance(error, psycopg.DataError | psycopg.ProgrammingError) else ServerError
    exact: dict[str, type[GravityMemoryError]] = {
        FEED_EXPIRED: FeedExpired,
        NOT_RECORDED: NotRecorded,
        "42501": NotPermitted,
    }
    if state in exact:
        return exact[state]
    if state in {"42883", "42P01", "3F000"}:
        # With a context it is something inside of a function or trigger that is missing.
        return ServerError if error.diag.context else NotInstalled
    return InvalidInput if state[:2] in {"22", "23"} else ServerError
