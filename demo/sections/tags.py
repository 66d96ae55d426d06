"""The tags and times that the database sets."""

from demo import store
from demo.claims import claim
from demo.stage import Stage
from demo.terminal import Column


def show(stage: Stage) -> None:
    """Counts tags and times, checks every memory against the settings in force, and shows one example of each."""
    terminal, connection = stage.terminal, stage.connection
    terminal.heading("Tags: set as the memory is written")
    rules = store.settings(connection)
    wrong = store.value(
        connection,
        "SELECT count(*) FROM gravity_map WHERE temporal_type IS NULL "
        "OR ('high_gravity' = ANY (meta_tags)) IS DISTINCT FROM (COALESCE(gravity_score, 0) >= %(threshold)s) "
        "OR identity_anchor IS DISTINCT FROM (COALESCE(gravity_score, 0) >= %(threshold)s) "
        "OR ('identity' = ANY (meta_tags)) IS DISTINCT FROM (COALESCE(entities, '{}') @> %(identity)s::text[])",
        {"threshold": float(rules["high_gravity_threshold"]), "identity": rules["identity_entities"]},
    )
    claim(wrong == 0, f"{wrong} memories are tagged otherwise than the settings say")
    tagged = connection.execute(
        "SELECT tag, count(*) FROM gravity_map, unnest(meta_tags) AS tag "
        "WHERE tag IN ('high_gravity', 'identity') GROUP BY tag ORDER BY tag"
    ).fetchall()
    claim(len(tagged) == 2, "high_gravity or identity was given to no memory at all")
    because = {
        "high_gravity": f"gravity_score >= {rules['high_gravity_threshold']}",
        "identity": f"entities: {rules['identity_entities'].strip('{}')}",
    }
    times = connection.execute(
        "SELECT temporal_type, count(*), "
        "COALESCE('found: ' || string_agg(DISTINCT lower(word), ', ' ORDER BY lower(word)), 'none of these words') "
        "FROM gravity_map, regexp_substr(content, CASE temporal_type WHEN 'past' THEN %s WHEN 'future' THEN %s END, "
        "1, 1, 'i') AS word GROUP BY temporal_type ORDER BY array_position('{past,future,present}', temporal_type)",
        (rules["temporal_past_pattern"], rules["temporal_future_pattern"]),
    ).fetchall()
    terminal.say(
        "Before a row is stored, a trigger adds the tags that its gravity and entities call for, marks identity "
        "anchors, and reads past, present or future off its words. All memories agree with the settings."
    )
    terminal.table(
        [Column("tag or time"), Column("memories", right=True), Column("because", flexible=True)],
        [*((tag, count, because[tag]) for tag, count in tagged), *times],
    )
    examples = connection.execute(
        "SELECT m.tags, m.identity_anchor, m.temporal_type, m.content "
        "FROM unnest('{high_gravity,identity,past,future,present}'::text[]) WITH ORDINALITY AS k (kind, place) "
        "CROSS JOIN LATERAL (SELECT *, array_to_string(meta_tags, ', ') AS tags FROM gravity_map "
        "WHERE kind = ANY (meta_tags || temporal_type) AND content <> '' ORDER BY length(content) LIMIT 1) AS m "
        "ORDER BY k.place"
    ).fetchall()
    terminal.line()
    terminal.say("The shortest memory of each kind:")
    terminal.sql("SELECT meta_tags, identity_anchor, temporal_type, content FROM gravity_map")
    terminal.table(
        [Column("tags"), Column("anchor"), Column("time"), Column("for example", flexible=True)],
        [(tags or None, "yes" if anchor else "no", when, content) for tags, anchor, when, content in examples],
    )
