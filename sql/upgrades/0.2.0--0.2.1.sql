-- By hand, before the objects of 0.2.1: what their CREATE OR REPLACE leaves undone.

-- They take or return something else.
DROP FUNCTION @extschema@._gravity_memory_derive(text, uuid[]);
DROP FUNCTION @extschema@._gravity_memory_forget_derived(text, uuid[]);
DROP FUNCTION @extschema@._gravity_memory_note_recall_gaps(text[]);
DROP FUNCTION @extschema@._gravity_memory_document_terms(regconfig, text, text, timestamptz);

-- Sessions that are open keep the plans of these two, into which PostgreSQL has computed the defaults of 0.2.0 as constants, until the
-- functions themselves are written anew: without this, a pool of connections would know no new setting.
ALTER FUNCTION @extschema@._gravity_memory_effective_settings() STABLE;
ALTER FUNCTION @extschema@.gravity_memory_reset(text) VOLATILE;
