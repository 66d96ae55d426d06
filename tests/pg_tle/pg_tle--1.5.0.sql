\echo Use "CREATE EXTENSION pg_tle" to load this file. \quit

-- A stand-in, for the tests: the functions of https://github.com/aws/pg_tle/blob/main/docs/03_managing_extensions.md that our script
-- calls, with the names, parameters, results, privileges and refusals documented there. Like pg_tle, it keeps what it is given as
-- functions that return it, the control file as "NAME.control"() and a script as "NAME--VERSION.sql"().
--
-- pg_tle itself answers CREATE EXTENSION and ALTER EXTENSION from those functions, by a hook in C. Here tests/python/pg_tle.py
-- writes what they return into the server's extension folder instead, so that PostgreSQL runs it.

DO $role$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pgtle_admin') THEN
        CREATE ROLE pgtle_admin NOLOGIN;
    END IF;
END
$role$;
GRANT USAGE ON SCHEMA pgtle TO PUBLIC;
GRANT CREATE ON SCHEMA pgtle TO pgtle_admin;

-- Keeps a text as a function; refuses what would end the quotes around it, and a name that is taken.
CREATE FUNCTION pgtle._keep(p_name text, p_text text, p_replace boolean)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_keep$
BEGIN
    IF p_text LIKE '%$\_pgtle\_o\_$%' OR p_text LIKE '%$\_pgtle\_i\_$%' THEN
        RAISE EXCEPTION 'invalid character in extension definition' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = split_part(split_part(p_name, '--', 1), '.', 1)) THEN
        RAISE EXCEPTION 'control file already exists for the % extension', split_part(p_name, '--', 1)
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format('CREATE %s FUNCTION pgtle.%I() RETURNS text LANGUAGE sql AS $_pgtle_o_$SELECT $_pgtle_i_$%s$_pgtle_i_$$_pgtle_o_$',
                   CASE WHEN p_replace THEN 'OR REPLACE' END, p_name, p_text);
EXCEPTION
    WHEN duplicate_function THEN
        RAISE EXCEPTION '% is already installed', p_name USING ERRCODE = 'duplicate_object';
END
$_keep$;

CREATE FUNCTION pgtle.install_extension(name text, version text, description text, ext text, requires text[] DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pgtle
AS $install_extension$
BEGIN
    PERFORM _keep(format('%s--%s.sql', name, version), ext, false);
    PERFORM _keep(format('%s.control', name), concat(
        format(E'default_version = %L\ncomment = %L\n', version, description),
        E'relocatable = false\nsuperuser = false\ntrusted = false\n',
        format(E'requires = %L\n', array_to_string(coalesce(requires, '{}') || 'pg_tle'::text, ','))), true);
    RETURN true;
END
$install_extension$;

CREATE FUNCTION pgtle.install_extension_version_sql(name text, version text, ext text)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pgtle
AS $install_extension_version_sql$
BEGIN
    IF to_regproc(format('pgtle.%I', name || '.control')) IS NULL THEN
        RAISE EXCEPTION 'could not find control function for extension %', name USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM _keep(format('%s--%s.sql', name, version), ext, false);
    RETURN true;
END
$install_extension_version_sql$;

CREATE FUNCTION pgtle.install_update_path(name text, fromvers text, tovers text, ext text)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pgtle
AS $install_update_path$
BEGIN
    PERFORM _keep(format('%s--%s--%s.sql', name, fromvers, tovers), ext, false);
    RETURN true;
END
$install_update_path$;

-- Also the update paths: they go with the extension.
CREATE FUNCTION pgtle.uninstall_extension(extname text)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pgtle
AS $uninstall_extension$
DECLARE
    v_name text;
BEGIN
    FOR v_name IN SELECT proname FROM pg_catalog.pg_proc
                  WHERE pronamespace = 'pgtle'::regnamespace
                    AND (proname = extname || '.control' OR proname ^@ (extname || '--') AND proname LIKE '%.sql') LOOP
        EXECUTE format('DROP FUNCTION %I()', v_name);
    END LOOP;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'extension % does not exist', extname USING ERRCODE = 'undefined_object';
    END IF;
    RETURN true;
END
$uninstall_extension$;

-- The versions with a script of their own.
CREATE FUNCTION pgtle.available_extension_versions(
    OUT name name, OUT version text, OUT superuser boolean, OUT trusted boolean, OUT relocatable boolean, OUT schema name,
    OUT requires name[], OUT comment text)
RETURNS SETOF record
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $available_extension_versions$
    SELECT found[1]::name, found[2], false, false, false, NULL::name, NULL::name[], NULL
    FROM pg_proc, regexp_match(proname, '^(.+?)--([^-]+)\.sql$') AS found
    WHERE pronamespace = 'pgtle'::regnamespace AND found IS NOT NULL
$available_extension_versions$;

-- One row for each pair of versions; path is the shortest, or NULL where there is none.
CREATE FUNCTION pgtle.extension_update_paths(name name, OUT source text, OUT target text, OUT path text)
RETURNS SETOF record
LANGUAGE sql
STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $extension_update_paths$
    WITH RECURSIVE
    steps AS (
        SELECT found[1] AS source, found[2] AS target
        FROM pg_proc, regexp_match(substr(proname, length($1) + 3), '^([^-]+)--([^-]+)\.sql$') AS found
        WHERE pronamespace = 'pgtle'::regnamespace AND proname ^@ ($1 || '--') AND found IS NOT NULL),
    paths AS (
        SELECT s.source, s.target, ARRAY[s.source, s.target] AS way FROM steps AS s
        UNION ALL
        SELECT p.source, s.target, p.way || s.target FROM paths AS p JOIN steps AS s ON s.source = p.target
        WHERE s.target <> ALL (p.way)),
    versions AS (
        SELECT v.version FROM pgtle.available_extension_versions() AS v WHERE v.name = $1
        UNION SELECT s.source FROM steps AS s UNION SELECT s.target FROM steps AS s)
    SELECT a.version, b.version,
           (SELECT array_to_string(p.way, '--') FROM paths AS p
            WHERE p.source = a.version AND p.target = b.version ORDER BY cardinality(p.way) LIMIT 1)
    FROM versions AS a CROSS JOIN versions AS b WHERE a.version <> b.version
$extension_update_paths$;

-- EXECUTE for members of pgtle_admin alone, of everything that installs and removes.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA pgtle FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pgtle TO pgtle_admin;
GRANT EXECUTE ON FUNCTION pgtle.available_extension_versions(), pgtle.extension_update_paths(name) TO PUBLIC;
