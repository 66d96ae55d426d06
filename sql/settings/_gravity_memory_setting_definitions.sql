-- _gravity_memory_setting_definitions(): the settings that exist, each with its default.
--
-- This is the only place where a default stands. Defaults marked (spec) are the values written in the specification of the
-- database layer; the others follow from measurements or from PostgreSQL's own limits.
-- Returns one row per setting: kind (how a value is checked), default, bounds for numbers, allowed values for choices,
-- unit and meaning.
CREATE FUNCTION @extschema@._gravity_memory_setting_definitions()
RETURNS TABLE (name text, kind text, default_value text, minimum numeric, maximum numeric, choices text[], unit text, meaning text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $_gravity_memory_setting_definitions$
VALUES
    -- Tagging.
    ('high_gravity_threshold', 'number', '0.85', 0::numeric, 1::numeric, NULL::text[], 'gravity 0..1',
     'A memory with at least this gravity gets the tag high_gravity and becomes an identity anchor (spec).'),
    ('identity_entities', 'list', '{Blu,Matt,Atlas,Ivy}', NULL, NULL, NULL, 'list of entities',
     'A memory that names these entities gets the tag identity (spec). An empty list tags nothing.'),
    ('identity_match', 'choice', 'all', NULL, NULL, '{all,any}', '',
     'Whether all identity entities must be present (spec), or any one of them.'),
    ('temporal_past_pattern', 'pattern', '\m(yesterday|last\s+week|remember(s|ed|ing)?|before)\M', NULL, NULL, NULL,
     'regular expression', 'Content that matches, in any case, is past (spec, on whole words).'),
    ('temporal_future_pattern', 'pattern',
     '\m(tomorrow|next\s+week|will|won[''\u2019]t|plan(s|ned|ning)?|going\s+to)\M|[''\u2019]ll\M', NULL, NULL, NULL,
     'regular expression', 'Content that matches, in any case, and is not past is future (spec, on whole words).'),
    -- Arcs.
    ('arc_gravity_threshold', 'number', '0.8', 0, 1, NULL, 'gravity 0..1',
     'Memories with at least this gravity form arcs (spec). Below 0.8 the cluster index does not serve and arcs cost more.'),
    ('arc_window', 'interval', '24 hours', NULL, NULL, NULL, 'interval',
     'Memories form an arc when enough of them were created within less than this time of each other (spec).'),
    ('arc_min_memories', 'integer', '3', 2, 100, NULL, 'memories',
     'How many memories within the window form an arc (spec).'),
    ('arc_fusion_strength', 'number', '0.8', 0, 1, NULL, 'strength 0..1',
     'The fusion_strength of the links that the database makes (spec).'),
    ('arc_active_members', 'integer', '5', 1, 1000000, NULL, 'memories',
     'A forming arc becomes active at this many members.'),
    ('arc_mature_members', 'integer', '20', 1, 1000000, NULL, 'memories',
     'An active arc becomes mature, and takes no more members, at this many members.'),
    ('arc_mature_after', 'interval', '7 days', NULL, NULL, NULL, 'interval',
     'An active arc becomes mature at this age, whatever its size.'),
    ('arc_dormant_after', 'interval', '7 days', NULL, NULL, NULL, 'interval',
     'An arc becomes dormant when its newest member is this old.'),
    ('arc_evolution_schedule', 'schedule', '15 * * * *', NULL, NULL, NULL, 'cron schedule',
     'When the job evolve-arcs runs gravity_memory_evolve_arcs().'),
    -- Notifications.
    ('notify', 'choice', 'payload', NULL, NULL, '{payload,wakeup,off}', '',
     'payload: memory_created, memory_updated and arc_created are announced with their data (spec), and commits queue for it. wakeup: '
     'changes are recorded for memory_changes_since(), and an empty memory_changes says so. off: nothing is announced.'),
    ('feed', 'choice', 'off', NULL, NULL, '{on,off}', '',
     'on: changes are recorded for memory_changes_since() whatever notify is; unless that is off, memory_changes is announced, too.'),
    ('feed_retention', 'interval', '7 days', NULL, NULL, NULL, 'interval',
     'How long a cursor of the feed of changes is good for. Events are kept for twice as long.'),
    ('feed_cleanup_schedule', 'schedule', '30 * * * *', NULL, NULL, NULL, 'cron schedule',
     'When the job cleanup-events runs gravity_memory_cleanup_events().'),
    ('broadcast', 'choice', 'off', NULL, NULL, '{on,off}', '',
     'on: each new memory is sent with Supabase''s realtime.send() to the private topic broadcasts:<user_id>, event memory_created.'),
    ('notify_bulk_rows', 'integer', '1000', 0, 1000000, NULL, 'rows',
     'A statement that writes more rows than this announces, and broadcasts, one message per user, with a count.'),
    ('notify_queue_limit', 'number', '0.5', 0, 1, NULL, 'share 0..1',
     'Nothing is announced while more than this share of PostgreSQL''s notification queue is in use: a full queue would '
     'fail every commit.'),
    -- Cleanup.
    ('cache_retention', 'interval', '24 hours', NULL, NULL, NULL, 'interval',
     'cleanup_old_cache() deletes entries of consciousness_cache that are older (spec).'),
    ('cache_cleanup_schedule', 'schedule', '0 * * * *', NULL, NULL, NULL, 'cron schedule',
     'When the job cleanup-cache runs cleanup_old_cache() (spec).'),
    -- Recall.
    ('recall_oversampling', 'integer', '8', 1, 1000, NULL, 'memories per result',
     'How many memories a search compares by full vector at first, per result, for up to ten results. It goes on from there as '
     'recall_margin says.'),
    ('recall_margin', 'number', '2', 0, 20, NULL, 'standard deviations',
     'How far beyond its expected place in the order of signatures a memory is still looked for. More finds more and costs more: '
     'at 2, .996 of the ten nearest of 100,000.'),
    ('text_search_config', 'text search configuration', 'english', NULL, NULL, NULL, 'text search configuration',
     'Which words of content and query are the same and which are stop words. After a change, CALL '
     'gravity_memory_rebuild_recall() derives the terms of existing memories anew.'),
    ('derive_bulk_rows', 'integer', '0', 0, 1000000000, NULL, 'rows',
     'An INSERT of more rows than this leaves what recall reads to CALL gravity_memory_rebuild_recall(), and is cheaper; until then '
     'recall looks at every memory of its users. 0 derives at once, always.'),
    -- Indexes.
    ('embedding_index', 'choice', 'ivfflat', NULL, NULL, '{ivfflat,hnsw,none}', '',
     'The kind of the two indexes on embedding, for searches across users (spec: ivfflat). hnsw finds more and costs writers '
     'more; none builds none.'),
    ('embedding_index_min_rows', 'integer', '10000', 1, 1000000000, NULL, 'memories',
     'The indexes on embedding are built when this many memories have one: fewer are compared exactly in milliseconds, and '
     'an index trained on few rows stays bad.'),
    ('embedding_index_schedule', 'schedule', '*/10 * * * *', NULL, NULL, NULL, 'cron schedule',
     'When the job train-vector-indexes looks whether the indexes on embedding suit the number of rows.'),
    ('embedding_lists', 'integer', '0', 0, 32768, NULL, 'lists',
     'The number of lists of the ivfflat indexes on embedding; 0 chooses it by the number of rows, and again as they grow.'),
    ('embedding_probes', 'integer', '0', 0, 32768, NULL, 'lists',
     'How many lists gravity_memory_search_all() searches; 0 chooses it by the number of lists.'),
    ('setup_index_limit', 'integer', '100', 0, 1000000, NULL, 'MB',
     'gravity_memory_setup() builds missing indexes itself on tables up to this size; on larger ones it would block writers '
     'for long and points to gravity_memory_index_ddl() instead.')
$_gravity_memory_setting_definitions$;

COMMENT ON FUNCTION @extschema@._gravity_memory_setting_definitions() IS
    'The settings of gravity_memory with kind, default, bounds, unit and meaning.';
