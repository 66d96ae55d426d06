-- gravity_memory_current_user_id(): whose memories this session stands for, as the policies of row security see it.
--
-- The member sub of request.jwt.claims, which PostgREST and Supabase set for each request; where there are no claims, the setting
-- gravity_memory.user_id, which an application sets for a connection or a transaction. NULL when neither names a user: the policies show no
-- row then. Claims without sub, as of Supabase's anonymous key, are nobody's, whatever the setting says.
-- Neither is a proof: whoever may send any SQL may set them. They bind requests, not people who write SQL.
-- Errors: 22P02 for claims that are no JSON; nothing is shown then, either.
CREATE FUNCTION @extschema@.gravity_memory_current_user_id()
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_current_user_id$
    -- The same words as in _gravity_memory_policy_catalogue(): a policy that called this function would go with the extension.
    SELECT CASE WHEN current_setting('request.jwt.claims', true) <> ''
                THEN NULLIF(current_setting('request.jwt.claims', true)::jsonb ->> 'sub', '')
                ELSE NULLIF(current_setting('gravity_memory.user_id', true), '') END
$gravity_memory_current_user_id$;

COMMENT ON FUNCTION @extschema@.gravity_memory_current_user_id() IS
    'Whose rows row security shows: sub of request.jwt.claims, or else the setting gravity_memory.user_id; NULL for nobody.

Claims without sub, such as those of Supabase''s anonymous key, are nobody''s, whatever the setting says. Neither
is a proof: whoever may send any SQL may set both.
Errors: 22P02 for claims that are no JSON.';
