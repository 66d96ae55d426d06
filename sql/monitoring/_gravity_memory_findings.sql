-- _gravity_memory_findings(p_family): the findings of one family, or that they could not be looked at.
--
-- Whatever goes wrong there, such as a missing privilege, becomes a notice, not_checked, so that the other families are looked at.
CREATE FUNCTION @extschema@._gravity_memory_findings(p_family text)
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $_gravity_memory_findings$
BEGIN
    CASE p_family
        WHEN 'table' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_table_findings() AS f;
        WHEN 'owner' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_owner_findings() AS f;
        WHEN 'trigger' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_trigger_findings() AS f;
        WHEN 'index' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_index_findings() AS f;
        WHEN 'vector_index' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_vector_index_findings() AS f;
        WHEN 'job' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_job_findings() AS f;
        WHEN 'derived' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_derived_findings() AS f;
        WHEN 'statistics' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_statistics_findings() AS f;
        WHEN 'setting' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_setting_findings() AS f;
        WHEN 'server' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_server_findings() AS f;
    END CASE;
EXCEPTION WHEN OTHERS THEN
    RETURN QUERY SELECT 'notice', 'not_checked', p_family || ' findings', 'They could not be looked at: ' || SQLERRM || '.',
        NULL::text;
END
$_gravity_memory_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_findings(text) IS
    'One family of the findings of gravity_memory_check().';
