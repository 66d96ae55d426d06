"""Some weeks of memories, loaded in the order of time, while the arcs evolve."""

import time
from datetime import timedelta

from demo import store
from demo.claims import claim
from demo.stage import Stage
from demo.terminal import Column

#: The stages that an arc goes through, in order.
ARC_STAGES = ("forming", "active", "mature", "dormant")

#: The history is loaded in steps of half a day, in seconds: fine enough to see an arc form before it becomes active.
STEP_SECONDS = 43_200

SECONDS_PER_DAY = 86_400


def show(stage: Stage) -> None:
    """Loads the history step by step, lets the arcs evolve after each, and lists every change of stage."""
    terminal, connection, memories = stage.terminal, stage.connection, stage.data.memories
    terminal.heading("Load some weeks of memories")
    now = store.value(connection, "SELECT now()")
    known: dict[str, str] = {}
    changes: list[tuple[str, str, str, str, int]] = []
    started = time.perf_counter()
    for step in range(memories[0].seconds_ago // STEP_SECONDS, -1, -1):
        batch = [memory for memory in memories if memory.seconds_ago // STEP_SECONDS == step]
        if batch:
            store.insert_memories(connection, batch, now)
        judged_at = now - timedelta(seconds=step * STEP_SECONDS)
        connection.execute("SELECT gravity_memory_evolve_arcs(p_now => %s)", (judged_at,))
        for arc in store.arcs(connection):
            before = known.get(arc.id)
            if before != arc.stage:
                change = f"new: {arc.stage}" if before is None else f"{before} -> {arc.stage}"
                changes.append((f"{judged_at:%b %d %H:%M}", arc.user_id, arc.name, change, arc.members))
                known[arc.id] = arc.stage
    seconds = time.perf_counter() - started
    # What autovacuum does on a running server within a minute: the planner learns what is in the tables.
    connection.execute("ANALYZE")

    users, stored, embedded = connection.execute(
        "SELECT count(DISTINCT user_id), count(*), count(embedding) FROM gravity_map"
    ).fetchall()[0]
    with_text = sum(memory.embedding is not None for memory in memories)
    claim(stored == len(memories), f"{len(memories)} memories were loaded, {stored} are stored")
    claim(embedded == with_text, f"{with_text} memories have an embedding, {embedded} are stored")
    claim(bool(changes), "no arc was formed from the history")
    unseen = [name for name in ARC_STAGES if not any(name in change for *_, change, _ in changes)]
    claim(not unseen, f"no arc was ever {' or '.join(unseen)}")
    terminal.say(
        f"{stored} memories of {users} people over {memories[0].seconds_ago // SECONDS_PER_DAY} days, {embedded} of "
        f"them with an embedding by {stage.data.model}, loaded in {seconds:.1f} s: an INSERT per half-day, then the "
        "arcs evolve, as the scheduled job lets them. Their stages over time:"
    )
    terminal.sql("INSERT INTO gravity_map ...; SELECT gravity_memory_evolve_arcs(p_now => :end_of_half_day)")
    terminal.table(
        [Column("until"), Column("user"), Column("arc", flexible=True), Column("stage"), Column("members", right=True)],
        changes,
    )
