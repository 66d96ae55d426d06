-- _gravity_memory_leaves_deriving(p_rows): whether an INSERT of so many rows leaves what recall reads to a rebuild.
--
-- Single rows never do, and the setting is not read for them: it would cost them a twentieth more.
CREATE FUNCTION @extschema@._gravity_memory_leaves_deriving(p_rows bigint)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_leaves_deriving$
DECLARE
    v_limit bigint;
BEGIN
    IF p_rows <= 1 THEN
        RETURN false;
    END IF;
    v_limit := (@extschema@._gravity_memory_effective_settings() ->> 'derive_bulk_rows')::bigint;
    RETURN v_limit > 0 AND p_rows > v_limit;
END
$_gravity_memory_leaves_deriving$;

COMMENT ON FUNCTION @extschema@._gravity_memory_leaves_deriving(bigint) IS
    'Whether an INSERT of so many rows leaves what recall reads to gravity_memory_rebuild_recall().';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_leaves_deriving(bigint) FROM PUBLIC;
