-- By hand, before the objects of 0.3.0: what their CREATE OR REPLACE leaves undone.

-- Sessions that are open keep the plans of these two, into which PostgreSQL has computed the defaults of 0.2.1 as constants, until the
-- functions themselves are written anew: without this, a pool of connections would know no new setting.
ALTER FUNCTION @extschema@._gravity_memory_effective_settings() STABLE;
ALTER FUNCTION @extschema@.gravity_memory_reset(text) VOLATILE;

-- It returns another column.
DROP FUNCTION @extschema@._gravity_memory_table_catalogue();
