"""The settings in force, and how a wrong value is refused."""

from typing import LiteralString

import psycopg

from demo import store
from demo.claims import ClaimError
from demo.stage import Stage
from demo.terminal import Column

EXCERPT: LiteralString = (
    "SELECT name, value, meaning FROM gravity_memory_settings() "
    "WHERE name LIKE 'arc%' OR name IN ('high_gravity_threshold', 'notify', 'cache_retention')"
)

REFUSED: LiteralString = "SELECT gravity_memory_set('arc_window', 'soon')"


def show(stage: Stage) -> None:
    """Lists some settings and tries a value that makes no sense."""
    terminal, connection = stage.terminal, stage.connection
    terminal.heading("Settings")
    rows = connection.execute(EXCERPT).fetchall()
    total = store.value(connection, "SELECT count(*) FROM gravity_memory_settings()")
    try:
        connection.execute(REFUSED)
    except psycopg.Error as error:
        refusal = error.diag
    else:
        raise ClaimError(f"{REFUSED} was accepted")
    terminal.say(f"{len(rows)} of {total} settings, as the sections above found them:")
    terminal.sql(EXCERPT)
    terminal.table([Column("name"), Column("value"), Column("meaning", flexible=True)], rows)
    terminal.line()
    terminal.say("A value that makes no sense is refused:")
    terminal.sql(REFUSED)
    terminal.say(f"ERROR {refusal.sqlstate}: {refusal.message_primary}")
    if refusal.message_hint:
        terminal.say(f"HINT: {refusal.message_hint}")
