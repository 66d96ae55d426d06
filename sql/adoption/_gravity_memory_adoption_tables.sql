-- _gravity_memory_adoption_tables(p_schema): what gravity_memory_adoption_report() says of tables and columns.
--
-- The tables that are there with their size, the columns that setup would add, the tables it would create, what it cannot adopt,
-- who owns them, and what hangs on them: partitions, row security, publications, foreign keys, default privileges.
CREATE FUNCTION @extschema@._gravity_memory_adoption_tables(p_schema text)
RETURNS TABLE (severity text, finding text, object text, present text, plan text, lock text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_adoption_tables$
DECLARE
    v_present regclass[] := ARRAY(SELECT c.oid::regclass
                                  FROM @extschema@._gravity_memory_table_catalogue() AS t
                                  JOIN pg_class AS c ON c.oid = to_regclass(format('%I.%I', p_schema, t.table_name))
                                  WHERE c.relkind IN ('r', 'p'));
    v_owner CONSTANT name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class AS c
                              WHERE c.oid = to_regclass(format('%I.%I', p_schema, 'gravity_map')) AND c.relkind IN ('r', 'p'));
BEGIN
    RETURN QUERY
    SELECT 'blocks', 'table_mismatch', m.object, m.problem || '.', 'Setup stops: ' || m.advice || '.', m.lock, m.remedy
    FROM @extschema@._gravity_memory_mismatches_in(p_schema) AS m;

    IF NOT has_schema_privilege(p_schema, 'CREATE') THEN
        RETURN QUERY SELECT 'blocks', 'no_create', p_schema, format('%I may not create anything in the schema %I.', current_user,
            p_schema),
            'Setup stops at the first table that it creates.', 'none',
            format('GRANT CREATE, USAGE ON SCHEMA %I TO %I', p_schema, current_user);
    END IF;

    RETURN QUERY
    SELECT 'blocks', 'other_owner', c.relname::text, format('It belongs to %I, of whom %I is no member.',
        pg_get_userbyid(c.relowner), current_user),
           'Setup stops: only the owner of a table adds columns and triggers to it.', 'none',
           format('GRANT %I TO %I', pg_get_userbyid(c.relowner), current_user)
    FROM pg_class AS c
    WHERE c.oid = ANY (v_present) AND NOT pg_has_role(c.relowner, 'USAGE');

    RETURN QUERY
    SELECT 'note', 'table', c.relname::text,
           format('%s%s, %s with indexes, owner %I, %s.',
                  CASE c.relkind WHEN 'p' THEN 'A partitioned table, its rows are in its partitions' ELSE 'A table' END,
                  CASE WHEN c.relkind = 'p' THEN '' WHEN c.reltuples < 0 THEN ', never analyzed' ELSE format(', about %s rows',
                      c.reltuples::bigint) END,
                  pg_size_pretty(COALESCE((SELECT sum(pg_total_relation_size(p.relid)) FROM pg_partition_tree(c.oid) AS p
                      WHERE p.isleaf),
                                          pg_total_relation_size(c.oid))),
                  pg_get_userbyid(c.relowner),
                  COALESCE((SELECT 'with columns of its own: ' || string_agg(a.attname, ', ' ORDER BY a.attnum)
                            FROM pg_attribute AS a
                            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                              AND NOT EXISTS (SELECT FROM @extschema@._gravity_memory_column_catalogue() AS w
                                              WHERE w.table_name = c.relname AND w.column_name = a.attname)),
                           'without other columns')),
           'Adopt it: no row is touched, no constraint added, columns of its own stay.', 'none', NULL::text
    FROM pg_class AS c
    WHERE c.oid = ANY (v_present);

    RETURN QUERY
    SELECT 'note', 'embedding_dimensions', 'gravity_map.embedding', format('The embeddings have %s dimensions.', a.atttypmod),
           'Keep them so; gravity_memory.embedding_dimensions has no say in an existing column.', 'none', NULL::text
    FROM pg_attribute AS a
    JOIN pg_type AS t ON t.oid = a.atttypid AND t.typname = 'vector'
    WHERE a.attrelid = ANY (v_present) AND a.attrelid = to_regclass(format('%I.%I', p_schema, 'gravity_map'))
      AND a.attname = 'embedding' AND NOT a.attisdropped AND a.atttypmod > 0;

    RETURN QUERY
    SELECT 'change', 'missing_columns', t.table_name, format('Missing: %s.', string_agg(w.column_name, ', ' ORDER BY w.ordinal)),
           'add column ' || string_agg(format('%I %s', w.column_name, btrim(w.data_type || ' ' || w.modifiers)), ', '
               ORDER BY w.ordinal),
           'ACCESS EXCLUSIVE until the transaction is over; no row is rewritten', NULL::text
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    JOIN @extschema@._gravity_memory_column_catalogue() AS w ON w.table_name = t.table_name
    WHERE to_regclass(format('%I.%I', p_schema, t.table_name)) = ANY (v_present)
      AND w.modifiers <> 'NOT NULL' AND w.modifiers NOT LIKE '%gen_random_uuid()%'
      AND NOT EXISTS (SELECT FROM pg_attribute AS a
                      WHERE a.attrelid = to_regclass(format('%I.%I', p_schema, t.table_name)) AND a.attname = w.column_name
                        AND NOT a.attisdropped)
    GROUP BY t.table_name;

    -- Columns of ours that the insert of an automatic arc leaves to their defaults.
    RETURN QUERY
    SELECT 'note', 'no_default', 'memory_arcs.' || a.attname, 'It is NOT NULL and has no default.',
           'Keep it so. Automatic arcs cannot be written then, and a WARNING says so each time.', 'ACCESS EXCLUSIVE, for a moment',
           format('ALTER TABLE %I.memory_arcs ALTER COLUMN %I %s', p_schema, a.attname,
                  CASE a.attname WHEN 'id' THEN 'SET DEFAULT gen_random_uuid()' ELSE 'DROP NOT NULL' END)
    FROM pg_attribute AS a
    WHERE a.attrelid = ANY (v_present) AND a.attrelid = to_regclass(format('%I.%I', p_schema, 'memory_arcs'))
      AND a.attname IN ('id', 'peak_gravity', 'growth_vector', 'first_memory_at', 'last_memory_at')
      AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND NOT a.attisdropped;

    -- The live application's own name.
    RETURN QUERY
    SELECT 'note', 'other_name', format('%s.%s', o.table_name, o.actual), format('There is no column %I, and one %I.', o.wanted,
        o.actual),
           format('Setup adds an empty %I; renamed before, this one is used, and the application has to call it so.', o.wanted),
           'ACCESS EXCLUSIVE, for a moment',
           format('ALTER TABLE %I.%I RENAME COLUMN %I TO %I', p_schema, o.table_name, o.actual, o.wanted)
    FROM (VALUES ('gravity_map', 'emotion', 'emotion_type')) AS o (table_name, actual, wanted)
    JOIN pg_attribute AS a
      ON a.attrelid = to_regclass(format('%I.%I', p_schema, o.table_name)) AND a.attrelid = ANY (v_present)
     AND a.attname = o.actual AND NOT a.attisdropped AND a.atttypid IN ('text'::regtype, 'varchar'::regtype)
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS w
                      WHERE w.attrelid = a.attrelid AND w.attname = o.wanted AND NOT w.attisdropped);

    RETURN QUERY
    SELECT 'change', 'missing_table', t.table_name, 'There is none.',
           'create table, with its indexes and triggers' || CASE WHEN v_owner <> current_user THEN format('; it is given to %I',
               v_owner) ELSE '' END,
           CASE WHEN t.table_name = 'memory_arc_associations' AND v_present <> '{}'
                THEN 'SHARE ROW EXCLUSIVE on the tables it refers to, until the transaction is over: writers wait' ELSE 'none' END,
           NULL::text
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    WHERE to_regclass(format('%I.%I', p_schema, t.table_name)) IS NULL;

    RETURN QUERY
    SELECT 'note', 'partitioned', c.relname::text,
           format('%s partitions.', (SELECT count(*) FROM pg_partition_tree(c.oid) AS p WHERE p.isleaf)),
           'Its indexes are built without CONCURRENTLY, which PostgreSQL does not offer there.',
               'SHARE while each index is built: writers wait',
           NULL::text
    FROM pg_class AS c
    WHERE c.oid = ANY (v_present) AND c.relkind = 'p';

    RETURN QUERY
    SELECT 'note', 'row_security', c.relname::text,
           format('Row security is on%s; %s.', CASE WHEN c.relforcerowsecurity THEN ', for the owner too' ELSE '' END,
                  COALESCE('policies: ' || (SELECT string_agg(format('%I (%s, %s)', p.polname,
                                                  CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                                                                WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                                                  (SELECT string_agg(CASE WHEN r.oid = 0 THEN 'PUBLIC'
                                                      ELSE pg_get_userbyid(r.oid)::text END, ', ')
                                                   FROM unnest(p.polroles) AS r (oid))), '; ' ORDER BY p.polname)
                                            FROM pg_policy AS p WHERE p.polrelid = c.oid),
                           'without any policy, so that only the owner and BYPASSRLS roles see rows')),
           CASE WHEN c.relname = 'gravity_map' AND c.relforcerowsecurity AND NOT EXISTS (
                         SELECT FROM pg_roles AS r WHERE r.oid = c.relowner AND (r.rolsuper OR r.rolbypassrls))
                THEN 'Keep it. Arcs and what recall reads cannot be kept while the owner, whose functions do that, sees no rows.'
                ELSE 'Keep it. Who recalls gets what these policies allow.' END,
           'none',
           CASE WHEN c.relname = 'gravity_map' AND c.relforcerowsecurity AND NOT EXISTS (
                         SELECT FROM pg_roles AS r WHERE r.oid = c.relowner AND (r.rolsuper OR r.rolbypassrls))
                THEN format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', c.oid::regclass) END
    FROM pg_class AS c
    JOIN @extschema@._gravity_memory_table_catalogue() AS t ON t.table_name = c.relname
    WHERE c.oid = ANY (v_present) AND c.relrowsecurity
      -- Those that setup makes so: row security without a policy.
      AND NOT (t.is_closed AND NOT c.relforcerowsecurity AND NOT EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid));

    RETURN QUERY
    SELECT 'note', 'publication', p.pubname::text,
           CASE WHEN p.puballtables THEN 'Publishes all tables.'
                ELSE 'Publishes ' || concat_ws(', ', CASE WHEN s.is_schema THEN format('all tables of the schema %I', p_schema) END,
                    r.tables) || '.' END,
           CASE WHEN p.puballtables OR s.is_schema
                THEN 'Keep it. It will publish the tables that setup creates, too, and its subscribers need them then.'
                ELSE 'Keep it, as it is; gravity_memory_enable_realtime() adds tables to supabase_realtime.' END,
           'none', NULL::text
    FROM pg_publication AS p
    CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM pg_publication_namespace AS n
                                       WHERE n.pnpubid = p.oid AND n.pnnspid = (SELECT x.oid FROM pg_namespace AS x
                                           WHERE x.nspname = p_schema))
                        AS is_schema) AS s
    CROSS JOIN LATERAL (SELECT string_agg(c.relname, ', ' ORDER BY c.relname) AS tables
                        FROM pg_publication_rel AS r JOIN pg_class AS c ON c.oid = r.prrelid
                        WHERE r.prpubid = p.oid AND r.prrelid = ANY (v_present)) AS r
    WHERE p.puballtables OR s.is_schema OR r.tables IS NOT NULL;

    RETURN QUERY
    SELECT 'note', 'foreign_key', format('%I on %s', k.conname, k.conrelid::regclass), pg_get_constraintdef(k.oid) || '.',
           CASE WHEN k.confrelid = ANY (v_present) AND NOT k.conrelid = ANY (v_present) AND k.confdeltype IN ('a', 'r')
                THEN 'Keep it. It refuses the deletion of rows that it refers to.' ELSE 'Keep it.' END, 'none', NULL::text
    FROM pg_constraint AS k
    WHERE k.contype = 'f' AND (k.conrelid = ANY (v_present) OR k.confrelid = ANY (v_present)) AND k.conparentid = 0
      -- Those among our own tables are as they should be, or a mismatch.
      AND NOT (k.conrelid = ANY (v_present) AND k.confrelid = ANY (v_present));

    RETURN QUERY
    SELECT 'note', 'no_foreign_key', 'memory_arc_associations', format('No foreign key refers to %I.', r.name),
           'Keep it so. Links to rows that are deleted stay, and nothing reads them.', 'none',
           format('ALTER TABLE %I.memory_arc_associations ADD FOREIGN KEY (%I) REFERENCES %I.%I (id) ON DELETE CASCADE NOT VALID',
                  p_schema, r.column_name, p_schema, r.name)
    FROM (VALUES ('gravity_map', 'memory_id'), ('memory_arcs', 'arc_id')) AS r (name, column_name)
    JOIN pg_class AS c ON c.oid = ANY (v_present) AND c.relname = 'memory_arc_associations' AND c.relkind = 'r'
    WHERE to_regclass(format('%I.%I', p_schema, r.name)) = ANY (v_present)
      AND NOT EXISTS (SELECT FROM pg_constraint AS k
                      WHERE k.contype = 'f' AND k.conrelid = c.oid AND k.confrelid = to_regclass(format('%I.%I', p_schema,
                          r.name)));

    -- Supabase gives what is created in public to anon, so that a REVOKE from PUBLIC does not reach it.
    RETURN QUERY
    SELECT 'note', 'default_privileges', format('%I in %I', pg_get_userbyid(d.defaclrole), p_schema),
           format('What this role creates there is given to others: %s.', string_agg(DISTINCT format('%s on %s to %s',
                      x.privilege_type, CASE d.defaclobjtype WHEN 'r' THEN 'tables' ELSE 'functions' END,
                      CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee)::text END), '; ')),
           'New tables and functions get these privileges, too. Look at who may write the new tables when it is done.', 'none',
           format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE ALL ON %s FROM %s', pg_get_userbyid(d.defaclrole),
                  CASE WHEN d.defaclnamespace = 0 THEN '' ELSE format(' IN SCHEMA %I', p_schema) END,
                  CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' ELSE 'FUNCTIONS' END,
                  string_agg(DISTINCT CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, ', '))
    FROM pg_default_acl AS d
    CROSS JOIN LATERAL aclexplode(d.defaclacl) AS x
    WHERE d.defaclobjtype IN ('r', 'f') AND x.grantee <> d.defaclrole AND pg_get_userbyid(d.defaclrole) = current_user
      AND d.defaclnamespace IN (0, (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = p_schema))
      AND NOT (d.defaclobjtype = 'f' AND x.grantee = 0)
    GROUP BY d.oid, d.defaclrole, d.defaclnamespace, d.defaclobjtype;
END
$_gravity_memory_adoption_tables$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_tables(text) IS
    'What gravity_memory_adoption_report() says of tables and columns.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_adoption_tables(text) FROM PUBLIC;
