-- By hand, before the objects of 0.4.0: what their CREATE OR REPLACE leaves undone.
-- It returns one column more: each column's purpose.
DROP FUNCTION @extschema@._gravity_memory_column_catalogue();
