"""Memories inserted one by one, while another session listens."""

import time
from collections.abc import Sequence

from demo import store
from demo.claims import ClaimError, claim
from demo.listener import Arrival, Listener
from demo.stage import SPECIFIED_MILLISECONDS, Stage
from demo.store import Connection
from demo.terminal import Column, Terminal

CHANNELS = ("memory_created", "arc_created")

#: The keys that the specification gives the payload of memory_created.
MEMORY_CREATED_KEYS = {"id", "user_id", "thread_id", "session_id", "gravity_score", "emotion_type", "created_at"}

#: A notification that takes longer than this, in seconds, counts as lost.
LOST_AFTER_SECONDS = 10.0

#: The table of notifications is printed as they come, so its widths are chosen beforehand.
COLUMNS = (Column("delay", right=True), Column("channel"), Column("user"), Column("message"))
WIDTHS = (9, 14, 6, 36)


def show(stage: Stage) -> None:
    """Inserts the live memories; prints what the listening session is told, and what the database made of them."""
    terminal, connection = stage.terminal, stage.connection
    terminal.heading("Live: another session is told")
    terminal.say(
        "A second session listens. This one inserts memories, one by one; each line is a notification as it arrived "
        "there. The delay runs from just before the INSERT is sent until the other session has the message."
    )
    terminal.sql("; ".join(f"LISTEN {channel}" for channel in CHANNELS))
    terminal.sql("INSERT INTO gravity_map ...")
    terminal.line()
    terminal.row(COLUMNS, WIDTHS, [column.header for column in COLUMNS])
    terminal.row(COLUMNS, WIDTHS, ["-" * width for width in WIDTHS])

    inserted: list[str] = []
    delays: list[float] = []
    known = {arc.id for arc in store.arcs(connection)}
    formed = 0
    with Listener(stage.connect(), CHANNELS) as listener:
        for memory in stage.data.live:
            now = store.value(connection, "SELECT now()")
            sent = time.perf_counter()
            [memory_id] = store.insert_memories(connection, [memory], now)
            new_arcs = {arc.id for arc in store.arcs(connection)} - known
            known |= new_arcs
            formed += len(new_arcs)
            inserted.append(memory_id)
            awaited = {("memory_created", memory_id)} | {("arc_created", arc_id) for arc_id in new_arcs}
            delays += _await(terminal, listener, awaited, sent)
    claim(formed > 0, "the live memories formed no arc")

    in_time = sum(delay <= SPECIFIED_MILLISECONDS for delay in delays)
    terminal.line()
    terminal.say(
        f"{in_time} of {len(delays)} notifications came within the specified {SPECIFIED_MILLISECONDS:.0f} ms, the "
        f"slowest after {max(delays):.1f} ms. What the database made of the new memories:"
    )
    _show_inserted(terminal, connection, inserted)


def _await(terminal: Terminal, listener: Listener, awaited: set[tuple[str, str]], sent: float) -> list[float]:
    """Prints notifications until all awaited ones, (channel, id), have come; returns their delays since ``sent`` in ms.

    Raises:
        ClaimError: one did not come, one came that was not awaited, or a payload has other keys than specified.
    """
    delays = []
    while awaited:
        arrival = listener.next(LOST_AFTER_SECONDS)
        if arrival is None:
            raise ClaimError(f"no notification of {sorted(awaited)} came within {LOST_AFTER_SECONDS:.0f} s")
        event = (arrival.channel, str(arrival.payload.get("id")))
        claim(event in awaited, f"unexpected notification on {arrival.channel}: {arrival.payload}")
        if arrival.channel == "memory_created":
            keys = arrival.payload.keys()
            claim(keys == MEMORY_CREATED_KEYS, f"memory_created carries {sorted(keys)}")
        awaited = awaited - {event}
        delays.append((arrival.at - sent) * 1000)
        terminal.row(
            COLUMNS, WIDTHS, [f"{delays[-1]:.1f} ms", arrival.channel, arrival.payload["user_id"], _message(arrival)]
        )
    return delays


def _message(arrival: Arrival) -> str:
    """The part of a notification's payload that fits on a line."""
    payload = arrival.payload
    if arrival.channel == "arc_created":
        return f"{payload['arc_name']}, {payload['evolution_stage']}"
    return f"{payload['emotion_type'] or 'no emotion'}, gravity {payload['gravity_score']:.2f}"


def _show_inserted(terminal: Terminal, connection: Connection, ids: Sequence[str]) -> None:
    rows = connection.execute(
        "SELECT m.user_id, m.temporal_type, NULLIF(array_to_string(ARRAY("
        "SELECT t FROM unnest(m.meta_tags) AS t WHERE t IN ('high_gravity', 'identity')), ', '), ''), "
        "a.emotion_type || ' (' || a.memory_count || ')', m.content "
        "FROM gravity_map AS m LEFT JOIN memory_arc_associations AS s ON s.memory_id = m.id "
        "LEFT JOIN memory_arcs AS a ON a.id = s.arc_id WHERE m.id = ANY (%s::uuid[]) ORDER BY m.created_at",
        (ids,),
    ).fetchall()
    claim(len(rows) == len(ids), f"{len(ids)} live memories were inserted, {len(rows)} are found")
    claim(any(row[3] for row in rows), "no live memory belongs to an arc")
    terminal.sql(
        "SELECT m.*, a.arc_name FROM gravity_map AS m LEFT JOIN memory_arc_associations AS s ON s.memory_id = m.id "
        "LEFT JOIN memory_arcs AS a ON a.id = s.arc_id"
    )
    terminal.table(
        [
            Column("user"),
            Column("time"),
            Column("tags set"),
            Column("arc (size)"),
            Column("memory", flexible=True),
        ],
        rows,
    )
