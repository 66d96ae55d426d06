-- Cleanup: cleanup_old_cache() deletes what is older than cache_retention.
BEGIN;
\ir support/session.psql
SELECT plan(13);

-- What this database holds is out of the way until the ROLLBACK, so that the counts below are of our own rows.
DELETE FROM consciousness_cache;
SELECT is(cleanup_old_cache(), 0::bigint, 'with nothing to delete it returns 0');

INSERT INTO consciousness_cache (user_id, query_hash, created_at) VALUES
    ('pgtap cleanup', 'new', now()),
    ('pgtap cleanup', 'future', now() + interval '1 day'),
    ('pgtap cleanup', 'almost', now() - interval '23 hours 59 minutes 59.999999 seconds'),
    ('pgtap cleanup', 'exactly', now() - interval '24 hours'),
    ('pgtap cleanup', 'over', now() - interval '24 hours 0.000001 seconds'),
    ('pgtap cleanup', 'old', now() - interval '30 days'),
    (NULL, 'nobody''s', '-infinity');
SELECT is(cleanup_old_cache(), 3::bigint, 'it returns how many entries it deleted');
SELECT set_eq($$SELECT c.query_hash FROM consciousness_cache AS c WHERE c.user_id = 'pgtap cleanup'$$, ARRAY['new', 'future', 'almost', 'exactly'],
              'entries older than 24 hours go; one that is exactly 24 hours old stays');
SELECT is(cleanup_old_cache(), 0::bigint, 'a second run finds nothing');

-- Its access time does not keep an entry: the age counts, as in the specification.
INSERT INTO consciousness_cache (user_id, query_hash, accessed_count, last_accessed, created_at)
VALUES ('pgtap cleanup', 'popular', 1000, now(), now() - interval '25 hours');
SELECT is(cleanup_old_cache(), 1::bigint, 'an old entry goes even when it was read a moment ago');

SELECT gravity_memory_set('cache_retention', '1 hour') IS NULL AS ignored \gset
SELECT is(cleanup_old_cache(), 2::bigint, 'the setting cache_retention says how old entries become');
SELECT set_eq($$SELECT c.query_hash FROM consciousness_cache AS c WHERE c.user_id = 'pgtap cleanup'$$, ARRAY['new', 'future'],
              'the younger ones stay');
SELECT gravity_memory_set('cache_retention', '1 month') IS NULL AS ignored \gset
INSERT INTO consciousness_cache (user_id, query_hash, created_at) VALUES ('pgtap cleanup', 'week', now() - interval '7 days');
SELECT is(cleanup_old_cache(), 0::bigint, 'and may be longer than a day');
SELECT gravity_memory_reset('cache_retention') IS NULL AS ignored \gset
SELECT is(cleanup_old_cache(), 1::bigint, 'after a reset it is a day again');

INSERT INTO consciousness_cache (user_id, created_at) SELECT 'pgtap cleanup', now() - interval '2 days' FROM generate_series(1, 5000);
SELECT is(cleanup_old_cache(), 5000::bigint, 'thousands of entries go in one call');

INSERT INTO gravity_map (user_id, created_at) VALUES ('pgtap cleanup', now() - interval '1 year');
SELECT cleanup_old_cache() AS ignored \gset
SELECT is((SELECT count(*) FROM gravity_map AS m WHERE m.user_id = 'pgtap cleanup'), 1::bigint, 'no memory is ever cleaned up');

SELECT pg_temp.new_role('gravity_memory_pgtap_cleanup') AS ignored \gset
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_cleanup', 'SELECT cleanup_old_cache()')).state, '42501', 'a role without privileges cannot clean up');
GRANT EXECUTE ON FUNCTION cleanup_old_cache() TO gravity_memory_pgtap_cleanup;
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_cleanup', 'SELECT cleanup_old_cache()')).state, '42501',
          'not even with EXECUTE alone: it works with the caller''s rights on the table');

SELECT * FROM finish();
ROLLBACK;
