-- _gravity_memory_ivfflat_lists(p_rows, p_dimensions): how many lists an ivfflat index over so many rows should have.
--
-- lists_wanted is the setting embedding_lists, unless that is 0: then a list per 1,000 rows, beyond a million rows their square root, at
-- least 10 (pgvector's own advice). pgvector refuses to build an index whose training takes more than maintenance_work_mem:
-- it needs 50 samples per list and no less than 10,000, and the distance of each to every list. lists_fitting is how many lists the
-- memory of this session allows of those wanted, NULL when too few: fewer than 10, or fewer than embedding_lists says.
-- megabytes is what maintenance_work_mem must be for lists_wanted.
CREATE FUNCTION @extschema@._gravity_memory_ivfflat_lists(
    p_rows bigint, p_dimensions integer, OUT lists_wanted integer, OUT lists_fitting integer, OUT megabytes integer)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_ivfflat_lists$
DECLARE
    v_setting CONSTANT integer := (@extschema@._gravity_memory_effective_settings() ->> 'embedding_lists')::integer;
    -- A part is left as a margin.
    v_memory CONSTANT double precision := 0.97 * pg_size_bytes(current_setting('maintenance_work_mem'));
    v_vector CONSTANT double precision := 4 * p_dimensions + 16;
    -- Training takes samples * (vector + 8 + 4 * lists) + lists * (2 * vector + 4 * dimensions + 12) + 4 * lists^2 bytes,
    -- which is v_few_base + v_few * lists up to 200 lists (a little less), and 204 * lists^2 + v_many * lists above.
    v_few_base CONSTANT double precision := 10000 * (v_vector + 8);
    v_few CONSTANT double precision := 40000 + 2 * v_vector + 4 * p_dimensions + 12 + 800;
    v_many CONSTANT double precision := 50 * (v_vector + 8) + 2 * v_vector + 4 * p_dimensions + 12;
BEGIN
    lists_wanted := CASE
        WHEN v_setting > 0 THEN v_setting
        ELSE LEAST(32768, GREATEST(10, CASE WHEN p_rows > 1000000 THEN sqrt(p_rows) ELSE p_rows / 1000 END))
    END;
    lists_fitting := LEAST(lists_wanted, CASE
        WHEN v_memory < v_few_base + v_few * 200 THEN floor((v_memory - v_few_base) / v_few)
        ELSE floor((sqrt(v_many * v_many + 4 * 204 * v_memory) - v_many) / (2 * 204))
    END);
    IF lists_fitting < LEAST(10, lists_wanted) OR (v_setting > 0 AND lists_fitting < v_setting) THEN
        lists_fitting := NULL;
    END IF;
    megabytes := ceil(CASE
        WHEN lists_wanted < 200 THEN v_few_base + v_few * lists_wanted
        ELSE (204 * lists_wanted::double precision + v_many) * lists_wanted
    END / 0.97 / 1048576);
END
$_gravity_memory_ivfflat_lists$;

COMMENT ON FUNCTION @extschema@._gravity_memory_ivfflat_lists(bigint, integer) IS
    'How many lists an ivfflat index should have, by rows and by the memory that building it may take.';
