-- _gravity_memory_trigger_catalogue(): every trigger, in the words in which pg_get_triggerdef() prints it.
--
-- Setup compares the two texts, so a trigger that someone changed is put right and one that is right is not touched.
-- Only tagging changes the row, so only it runs BEFORE and per row; all else runs once per statement, because counting per
-- row made the cost of a bulk insert quadratic. Triggers with transition tables take one event each.
CREATE FUNCTION @extschema@._gravity_memory_trigger_catalogue()
RETURNS TABLE (trigger_name text, table_name text, definition text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_trigger_catalogue$
VALUES
    ('trigger_auto_tag_high_gravity', 'gravity_map',
     'CREATE TRIGGER trigger_auto_tag_high_gravity BEFORE INSERT OR UPDATE OF gravity_score, entities ON @extschema@.gravity_map '
     'FOR EACH ROW EXECUTE FUNCTION @extschema@.auto_tag_high_gravity()'),
    ('trigger_arc_building', 'gravity_map',
     'CREATE TRIGGER trigger_arc_building AFTER INSERT ON @extschema@.gravity_map REFERENCING NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.trigger_arc_building()'),
    ('trigger_arc_building_on_update', 'gravity_map',
     'CREATE TRIGGER trigger_arc_building_on_update AFTER UPDATE ON @extschema@.gravity_map '
     'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.trigger_arc_building()'),
    ('trigger_arc_building_on_delete', 'gravity_map',
     'CREATE TRIGGER trigger_arc_building_on_delete AFTER DELETE ON @extschema@.gravity_map REFERENCING OLD TABLE AS old_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.trigger_arc_building()'),
    ('trigger_notify_memory_created', 'gravity_map',
     'CREATE TRIGGER trigger_notify_memory_created AFTER INSERT ON @extschema@.gravity_map REFERENCING NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.notify_memory_created()'),
    ('trigger_notify_memory_updated', 'gravity_map',
     'CREATE TRIGGER trigger_notify_memory_updated AFTER UPDATE ON @extschema@.gravity_map REFERENCING NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.notify_memory_created()'),
    ('trigger_keep_derived', 'gravity_map',
     'CREATE TRIGGER trigger_keep_derived AFTER INSERT ON @extschema@.gravity_map REFERENCING NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_keep_derived()'),
    ('trigger_keep_derived_on_update', 'gravity_map',
     'CREATE TRIGGER trigger_keep_derived_on_update AFTER UPDATE ON @extschema@.gravity_map '
     'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_keep_derived()'),
    ('trigger_keep_derived_on_delete', 'gravity_map',
     'CREATE TRIGGER trigger_keep_derived_on_delete AFTER DELETE ON @extschema@.gravity_map REFERENCING OLD TABLE AS old_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_keep_derived()'),
    ('trigger_keep_derived_on_truncate', 'gravity_map',
     'CREATE TRIGGER trigger_keep_derived_on_truncate AFTER TRUNCATE ON @extschema@.gravity_map '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_keep_derived()'),
    ('trigger_publish_memories', 'gravity_map',
     'CREATE TRIGGER trigger_publish_memories AFTER INSERT ON @extschema@.gravity_map REFERENCING NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_publish_memories()'),
    ('trigger_publish_memories_on_update', 'gravity_map',
     'CREATE TRIGGER trigger_publish_memories_on_update AFTER UPDATE ON @extschema@.gravity_map '
     'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_publish_memories()'),
    ('trigger_publish_memories_on_delete', 'gravity_map',
     'CREATE TRIGGER trigger_publish_memories_on_delete AFTER DELETE ON @extschema@.gravity_map REFERENCING OLD TABLE AS old_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_publish_memories()'),
    ('trigger_break_feed_on_truncate', 'gravity_map',
     'CREATE TRIGGER trigger_break_feed_on_truncate AFTER TRUNCATE ON @extschema@.gravity_map '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_break_feed_on_truncate()'),
    ('trigger_publish_arcs', 'memory_arcs',
     'CREATE TRIGGER trigger_publish_arcs AFTER INSERT ON @extschema@.memory_arcs REFERENCING NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_publish_arcs()'),
    ('trigger_publish_arcs_on_update', 'memory_arcs',
     'CREATE TRIGGER trigger_publish_arcs_on_update AFTER UPDATE ON @extschema@.memory_arcs REFERENCING NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_publish_arcs()'),
    ('trigger_publish_arcs_on_delete', 'memory_arcs',
     'CREATE TRIGGER trigger_publish_arcs_on_delete AFTER DELETE ON @extschema@.memory_arcs REFERENCING OLD TABLE AS old_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_publish_arcs()'),
    ('trigger_break_feed_on_arcs_truncate', 'memory_arcs',
     'CREATE TRIGGER trigger_break_feed_on_arcs_truncate AFTER TRUNCATE ON @extschema@.memory_arcs '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_break_feed_on_truncate()'),
    ('trigger_break_feed_on_events_truncate', 'memory_events',
     'CREATE TRIGGER trigger_break_feed_on_events_truncate AFTER TRUNCATE ON @extschema@.memory_events '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_break_feed_on_truncate()'),
    ('trigger_wake_listeners', 'memory_events',
     'CREATE CONSTRAINT TRIGGER trigger_wake_listeners AFTER INSERT ON @extschema@.memory_events '
     'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.wakes) '
     'EXECUTE FUNCTION @extschema@._gravity_memory_wake_listeners()'),
    ('trigger_notify_arc_created', 'memory_arcs',
     'CREATE TRIGGER trigger_notify_arc_created AFTER INSERT ON @extschema@.memory_arcs REFERENCING NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.notify_arc_created()'),
    ('trigger_arc_totals_on_insert', 'memory_arc_associations',
     'CREATE TRIGGER trigger_arc_totals_on_insert AFTER INSERT ON @extschema@.memory_arc_associations '
     'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_keep_arc_totals()'),
    ('trigger_arc_totals_on_update', 'memory_arc_associations',
     'CREATE TRIGGER trigger_arc_totals_on_update AFTER UPDATE ON @extschema@.memory_arc_associations '
     'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_keep_arc_totals()'),
    ('trigger_arc_totals_on_delete', 'memory_arc_associations',
     'CREATE TRIGGER trigger_arc_totals_on_delete AFTER DELETE ON @extschema@.memory_arc_associations '
     'REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_keep_arc_totals()'),
    ('trigger_arc_totals_on_truncate', 'memory_arc_associations',
     'CREATE TRIGGER trigger_arc_totals_on_truncate AFTER TRUNCATE ON @extschema@.memory_arc_associations '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_keep_arc_totals()'),
    ('trigger_arc_totals_at_commit', 'memory_arc_locks',
     'CREATE CONSTRAINT TRIGGER trigger_arc_totals_at_commit AFTER INSERT ON @extschema@.memory_arc_locks '
     'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.emotion_type = ''''::text)) '
     'EXECUTE FUNCTION @extschema@._gravity_memory_settle_at_commit()')
$_gravity_memory_trigger_catalogue$;

COMMENT ON FUNCTION @extschema@._gravity_memory_trigger_catalogue() IS
    'The triggers of gravity_memory, as pg_get_triggerdef() prints them.';
