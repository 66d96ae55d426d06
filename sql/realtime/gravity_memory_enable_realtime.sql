-- gravity_memory_enable_realtime(p_publication): publishes changes of memories and arcs, for Supabase's postgres_changes or any subscriber.
--
-- Adds gravity_map and memory_arcs to the publication, and makes it where it does not exist, as on plain PostgreSQL. Calling it again changes
-- nothing. Returns what it did (status done) and what it found: ok, or missing with the statement that mends it, for wal_level, the
-- primary key, the replica identity, and, where there is the role authenticated (Supabase), its SELECT privilege and policies. A remedy
-- is not executed: who may read is for the application to decide.
-- Errors: 22023 for an impossible name; 42501 for a role that may not change the publication or does not own the tables; 55000 before setup.
-- No table is added then.
CREATE FUNCTION @extschema@.gravity_memory_enable_realtime(p_publication text DEFAULT 'supabase_realtime')
RETURNS TABLE (subject text, requirement text, status text, remedy text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_enable_realtime$
DECLARE
    v_publishes_changes boolean;
    v_table record;
    v_subscriber CONSTANT name := (SELECT r.rolname FROM pg_roles AS r WHERE r.rolname = 'authenticated');
BEGIN
    IF COALESCE(p_publication, '') = '' OR octet_length(p_publication) > 63 THEN
        RAISE EXCEPTION 'gravity_memory_enable_realtime(): % is no name for a publication', COALESCE(quote_literal(p_publication), 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Supabase''s is supabase_realtime; a name has 1 to 63 bytes.';
    END IF;
    IF EXISTS (SELECT FROM @extschema@._gravity_memory_realtime_tables() AS t
               WHERE to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name)) IS NULL) THEN
        RAISE EXCEPTION 'the tables of gravity_memory are not there'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run SELECT * FROM gravity_memory_setup() first.';
    END IF;

    SELECT p.pubinsert AND p.pubupdate INTO v_publishes_changes FROM pg_publication AS p WHERE p.pubname = p_publication;
    IF NOT FOUND THEN
        BEGIN
            EXECUTE format('CREATE PUBLICATION %I', p_publication);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION 'the publication % does not exist and % may not create it', p_publication, current_user
                USING ERRCODE = 'insufficient_privilege', HINT = format('GRANT CREATE ON DATABASE %I TO %I, or run it as another role.',
                                                                        current_database(), current_user);
        END;
        v_publishes_changes := true;
        subject := p_publication;
        requirement := 'publication';
        status := 'done';
        remedy := NULL;
        RETURN NEXT;
    END IF;

    FOR v_table IN
        SELECT t.table_name, @extschema@._gravity_memory_qualified_name(t.table_name) AS qualified_name, c.oid, c.relreplident, c.relrowsecurity,
               EXISTS (SELECT FROM pg_publication_tables AS k
                       WHERE k.pubname = p_publication AND k.schemaname = n.nspname AND k.tablename = c.relname) AS is_published,
               EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary) AS has_key,
               EXISTS (SELECT FROM pg_policy AS y WHERE y.polrelid = c.oid AND y.polcmd IN ('r', '*')) AS has_policy
        FROM @extschema@._gravity_memory_realtime_tables() AS t
        JOIN pg_class AS c ON c.oid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name))
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LOOP
        subject := v_table.table_name;
        requirement := 'in the publication';
        status := 'ok';
        remedy := NULL;
        IF NOT v_table.is_published THEN
            BEGIN
                EXECUTE format('ALTER PUBLICATION %I ADD TABLE %s', p_publication, v_table.qualified_name);
            EXCEPTION WHEN insufficient_privilege THEN
                RAISE EXCEPTION '% may not add % to the publication %', current_user, v_table.table_name, p_publication
                    USING ERRCODE = 'insufficient_privilege',
                          DETAIL = SQLERRM, HINT = 'Run it as a role that owns both the table and the publication, or as a superuser.';
            END;
            status := 'done';
        END IF;
        RETURN NEXT;

        requirement := 'primary key';
        status := CASE WHEN v_table.has_key THEN 'ok' ELSE 'missing' END;
        remedy := CASE WHEN NOT v_table.has_key THEN format('ALTER TABLE %s ADD PRIMARY KEY (id)', v_table.qualified_name) END;
        RETURN NEXT;

        -- Without one, UPDATE and DELETE on a published table fail.
        requirement := 'replica identity';
        status := CASE WHEN v_table.relreplident IN ('f', 'i') OR (v_table.relreplident = 'd' AND v_table.has_key) THEN 'ok' ELSE 'missing' END;
        remedy := CASE WHEN status = 'missing' THEN
            format('ALTER TABLE %s REPLICA IDENTITY %s', v_table.qualified_name, CASE WHEN v_table.has_key THEN 'DEFAULT' ELSE 'FULL' END) END;
        RETURN NEXT;

        IF v_subscriber IS NOT NULL THEN
            requirement := format('SELECT for %I', v_subscriber);
            status := CASE WHEN has_table_privilege(v_subscriber, v_table.oid, 'SELECT') THEN 'ok' ELSE 'missing' END;
            remedy := CASE WHEN status = 'missing' THEN format('GRANT SELECT ON %s TO %I', v_table.qualified_name, v_subscriber) END;
            RETURN NEXT;

            requirement := format('row security that shows %I its own rows', v_subscriber);
            status := CASE WHEN v_table.relrowsecurity AND v_table.has_policy THEN 'ok' ELSE 'missing' END;
            remedy := CASE WHEN status = 'missing' THEN 'SELECT * FROM @extschema@.gravity_memory_enable_rls()' END;
            RETURN NEXT;
        END IF;
    END LOOP;

    subject := p_publication;
    requirement := 'publishes insert and update';
    status := CASE WHEN v_publishes_changes THEN 'ok' ELSE 'missing' END;
    remedy := CASE WHEN status = 'missing' THEN format('ALTER PUBLICATION %I SET (publish = ''insert, update, delete'')', p_publication) END;
    RETURN NEXT;
    subject := 'server';
    requirement := 'wal_level = logical';
    status := CASE WHEN current_setting('wal_level') = 'logical' THEN 'ok' ELSE 'missing' END;
    remedy := CASE WHEN status = 'missing' THEN 'ALTER SYSTEM SET wal_level = logical; then restart the server' END;
    RETURN NEXT;
END
$gravity_memory_enable_realtime$;

COMMENT ON FUNCTION @extschema@.gravity_memory_enable_realtime(text) IS
    'Adds memories and arcs to a publication for realtime subscribers and says what they still need.

Makes the publication where it does not exist. Returns, per table and requirement, status done, ok, or missing
with the statement that mends it, which is not executed: wal_level, primary key, replica identity and, where
there is the role authenticated, its privilege and policies. Calling it again changes nothing.
Errors: 22023 for an impossible name; 42501 for a role that may not change the publication or does not own the
tables; 55000 before setup.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_enable_realtime(text) FROM PUBLIC;
