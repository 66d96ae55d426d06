-- The application's tables as its live database has them: column names of its own, jsonb entities, a key called arc_id, columns
-- that nobody else knows; and around them what Supabase puts there. The roles anon, authenticated and service_role exist already.

CREATE SCHEMA auth;
CREATE TABLE auth.users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text);
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE
    AS $uid$ SELECT (NULLIF(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $uid$;
GRANT USAGE ON SCHEMA auth, public TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;

CREATE TABLE gravity_map (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id text NOT NULL,
    thread_id uuid,
    memory_trace_id text,
    content text,
    gravity_score double precision DEFAULT 0.5,
    emotion text DEFAULT 'neutral',
    entities jsonb DEFAULT '[]',
    embedding vector(8),
    metadata jsonb DEFAULT '{}',
    role text,
    token_count integer,
    created_at timestamptz DEFAULT now()
);
CREATE INDEX gravity_map_user_created_idx ON gravity_map (user_id, created_at DESC);
CREATE INDEX gravity_map_entities_idx ON gravity_map USING gin (entities);
CREATE TABLE memory_arcs (
    arc_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id text NOT NULL,
    arc_name text NOT NULL,
    gravity_center double precision,
    evolution_stage text DEFAULT 'forming',
    created_at timestamptz DEFAULT now()
);
CREATE TABLE memory_arc_associations (
    memory_id uuid NOT NULL REFERENCES gravity_map (id) ON DELETE CASCADE,
    arc_id uuid NOT NULL REFERENCES memory_arcs (arc_id) ON DELETE CASCADE,
    fusion_strength double precision,
    UNIQUE (memory_id, arc_id)
);
CREATE TABLE memory_feedback (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    memory_id uuid REFERENCES gravity_map (id),
    note text
);
CREATE FUNCTION touch_memory() RETURNS trigger LANGUAGE plpgsql
    AS $touch_memory$ BEGIN NEW.token_count := COALESCE(NEW.token_count, length(NEW.content) / 4); RETURN NEW; END $touch_memory$;
CREATE TRIGGER a_touch_memory BEFORE INSERT ON gravity_map FOR EACH ROW EXECUTE FUNCTION touch_memory();
ALTER TABLE gravity_map ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_memories ON gravity_map TO authenticated USING (user_id = (SELECT auth.uid())::text);
CREATE PUBLICATION supabase_realtime FOR TABLE gravity_map, memory_arcs;
