-- The tables that the specification presumes, as somebody made them before applying its SQL by hand. No column more than its
-- statements and the application's queries name; :dimensions of the embeddings are 8.

CREATE TABLE gravity_map (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id text NOT NULL,
    thread_id text,
    session_id text,
    memory_trace_id text,
    content text,
    gravity_score double precision DEFAULT 0.5,
    emotion_type text,
    entities text[],
    meta_tags text[] DEFAULT '{}',
    identity_anchor boolean NOT NULL DEFAULT false,
    temporal_type text,
    embedding vector(8),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE memory_arcs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id text NOT NULL,
    arc_name text NOT NULL,
    gravity_center double precision,
    evolution_stage text DEFAULT 'forming',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE memory_arc_associations (
    memory_id uuid NOT NULL REFERENCES gravity_map (id) ON DELETE CASCADE,
    arc_id uuid NOT NULL REFERENCES memory_arcs (id) ON DELETE CASCADE,
    fusion_strength double precision,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (memory_id, arc_id)
);
CREATE TABLE consciousness_cache (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id text,
    query_hash text,
    response text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE active_sessions (
    session_id text PRIMARY KEY,
    user_id text,
    session_status text DEFAULT 'active',
    last_message_at timestamptz DEFAULT now()
);
CREATE TABLE pattern_matrix (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id text,
    pattern_type text,
    intensity double precision
);
