"""The arcs that the history formed."""

from demo import store
from demo.claims import claim
from demo.stage import Stage
from demo.terminal import Column


def show(stage: Stage) -> None:
    """Lists the arcs, checks their totals against their members, and lists the members of the largest."""
    terminal, connection = stage.terminal, stage.connection
    terminal.heading("Arcs: memories that belong together")
    rules = store.settings(connection)
    rows = connection.execute(
        "SELECT user_id, arc_name, evolution_stage, memory_count, round(gravity_center::numeric, 3), "
        "round(peak_gravity::numeric, 2), to_char(first_memory_at, 'Mon DD'), to_char(last_memory_at, 'Mon DD') "
        "FROM memory_arcs ORDER BY first_memory_at"
    ).fetchall()
    claim(bool(rows), "there is no arc")
    wrong = store.value(
        connection,
        "SELECT count(*) FROM memory_arcs AS a CROSS JOIN LATERAL (SELECT count(*) AS members, "
        "avg(m.gravity_score) AS mean, max(m.gravity_score) AS peak, min(m.created_at) AS first, "
        "max(m.created_at) AS last FROM memory_arc_associations AS s JOIN gravity_map AS m ON m.id = s.memory_id "
        "WHERE s.arc_id = a.id) AS t WHERE (a.memory_count, a.peak_gravity, a.first_memory_at, a.last_memory_at) "
        "IS DISTINCT FROM (t.members, t.peak, t.first, t.last) OR abs(a.gravity_center - t.mean) > 1e-9",
    )
    claim(wrong == 0, f"the totals of {wrong} arcs differ from their members")
    terminal.say(
        f"{rules['arc_min_memories']} memories of one person and emotion, each with gravity "
        f"{rules['arc_gravity_threshold']} or more, within {rules['arc_window']}, form an arc; further ones join it "
        "while it is open. All totals agree with the members."
    )
    terminal.sql("SELECT * FROM memory_arcs ORDER BY first_memory_at")
    terminal.table(
        [
            Column("user"),
            Column("arc", flexible=True),
            Column("stage"),
            Column("members", right=True),
            Column("mean", right=True),
            Column("peak", right=True),
            Column("first"),
            Column("last"),
        ],
        rows,
    )

    arc_id, name, user = connection.execute(
        "SELECT id, arc_name, user_id FROM memory_arcs ORDER BY memory_count DESC, id LIMIT 1"
    ).fetchall()[0]
    members = connection.execute(
        "SELECT to_char(m.created_at, 'Mon DD HH24:MI'), round(m.gravity_score::numeric, 2), s.fusion_strength, "
        "m.content FROM memory_arc_associations AS s JOIN gravity_map AS m ON m.id = s.memory_id "
        "WHERE s.arc_id = %s ORDER BY m.created_at",
        (arc_id,),
    ).fetchall()
    terminal.line()
    terminal.say(f"The members of {user}'s {name}, the largest:")
    terminal.sql(
        "SELECT m.* FROM memory_arc_associations AS s JOIN gravity_map AS m ON m.id = s.memory_id WHERE s.arc_id = :arc"
    )
    terminal.table(
        [Column("when"), Column("gravity", right=True), Column("fusion", right=True), Column("memory", flexible=True)],
        members,
    )
