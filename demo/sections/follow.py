"""The Python client follows a user's memories while another session writes them, and while its connection is cut."""

import queue
import time

from gravity_memory import Config, GravityMemory, Memory
from gravity_memory.config import RealtimeConfig
from psycopg.conninfo import make_conninfo

from demo import store
from demo.claims import ClaimError, claim
from demo.stage import SPECIFIED_MILLISECONDS, Stage
from demo.store import Connection
from demo.terminal import Column

USER = "nora"
SPOKEN = (
    "The ferry leaves at seven.",
    "We saw two seals off the pier.",
    "Tomorrow we climb the lighthouse.",
    "The lamp is older than the house.",
)
#: From this one on, the client's connection is cut before the memory is written.
CUT_BEFORE = 2
#: An event that takes longer than this, in seconds, counts as lost.
LOST_AFTER_SECONDS = 30.0

COLUMNS = (Column("delay", right=True), Column("connection"), Column("memory"))
WIDTHS = (10, 12, 50)


def show(stage: Stage) -> None:
    """Subscribes, writes from another session, cuts the subscriber's connection, and prints what arrived."""
    terminal, connection = stage.terminal, stage.connection
    terminal.heading("Follow: the Python client misses nothing")
    terminal.say(
        "Channels reach who listens at that moment. The feed of changes keeps them: each change is a row, written with "
        "the memory, and a reader goes on from its cursor."
    )
    terminal.sql("SELECT gravity_memory_set('notify', 'wakeup')")
    connection.execute("SELECT gravity_memory_set('notify', 'wakeup')")
    terminal.say(
        f"A client follows {USER}'s memories. Another session writes them, one by one; before the third one the "
        "server closes the client's connection. Each line is a call of the client's function."
    )
    terminal.line()
    terminal.row(COLUMNS, WIDTHS, [column.header for column in COLUMNS])
    terminal.row(COLUMNS, WIDTHS, ["-" * width for width in WIDTHS])

    arrived: queue.Queue[tuple[Memory, float]] = queue.Queue()
    delays = []
    # By default a subscriber gets ten deliveries a second, and what comes faster waits for the next one.
    config = Config(realtime=RealtimeConfig(events_per_second=None))
    with GravityMemory(_conninfo(connection), config=config) as client:
        unsubscribe = client.subscribe_to_memories(USER, lambda memory: arrived.put((memory, time.perf_counter())))
        for number, content in enumerate(SPOKEN):
            if number == CUT_BEFORE:
                claim(_cut(connection) == 1, "the client listens on no connection, or on several")
            sent = time.perf_counter()
            connection.execute(
                "INSERT INTO gravity_map (user_id, content) VALUES (%s, %s)", (USER, content), prepare=False
            )
            try:
                memory, at = arrived.get(timeout=LOST_AFTER_SECONDS)
            except queue.Empty:
                raise ClaimError(f"{content!r} did not reach the client") from None
            claim(memory.content == content, f"{memory.content!r} came where {content!r} was due")
            delays.append((at - sent) * 1000)
            state = "made anew" if number == CUT_BEFORE else "as it was"
            terminal.row(COLUMNS, WIDTHS, [f"{delays[-1]:.1f} ms", state, content])
        unsubscribe()
        claim(arrived.empty(), "an event came twice")
    connection.execute("SELECT gravity_memory_reset('notify')")

    steady = [delay for number, delay in enumerate(delays) if number != CUT_BEFORE]
    in_time = sum(delay <= SPECIFIED_MILLISECONDS for delay in steady)
    terminal.line()
    terminal.say(
        f"All {len(SPOKEN)} came, each once and in order; {in_time} of the {len(steady)} that met a connection within "
        f"the specified {SPECIFIED_MILLISECONDS:.0f} ms. What the client read:"
    )
    terminal.sql("SELECT event, payload, next_cursor FROM memory_changes_since('nora', :cursor)")


def _conninfo(connection: Connection) -> str:
    info = connection.info
    return make_conninfo(
        host=info.host, port=info.port, user=info.user, password=info.password or None, dbname=info.dbname
    )


def _cut(connection: Connection) -> int:
    """Has the server close the connection that listens; how many it closed."""
    closed = store.value(
        connection,
        "SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity AS a WHERE a.datname = current_database()"
        " AND a.pid <> pg_backend_pid() AND (a.query ILIKE '%LISTEN%' OR a.query ILIKE '%gravity_memory_changes%')",
    )
    return int(closed)
