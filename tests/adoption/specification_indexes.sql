-- The specification's indexes, as somebody applied them by hand: its Task 5.2, word for word.

-- Core lookup indexes
CREATE INDEX IF NOT EXISTS idx_gravity_map_user_id
  ON gravity_map(user_id);

CREATE INDEX IF NOT EXISTS idx_gravity_map_thread_id
  ON gravity_map(thread_id)
  WHERE thread_id IS NOT NULL;

CREATE INDEX IF NOT EXISTS idx_gravity_map_session_id
  ON gravity_map(session_id)
  WHERE session_id IS NOT NULL;

CREATE INDEX IF NOT EXISTS idx_gravity_map_memory_trace_id
  ON gravity_map(memory_trace_id);

-- Temporal queries
CREATE INDEX IF NOT EXISTS idx_gravity_map_created_at
  ON gravity_map(created_at DESC);

CREATE INDEX IF NOT EXISTS idx_gravity_map_user_created
  ON gravity_map(user_id, created_at DESC);

-- Gravity-based queries
CREATE INDEX IF NOT EXISTS idx_gravity_map_high_gravity
  ON gravity_map(user_id, gravity_score DESC)
  WHERE gravity_score >= 0.7;

-- Identity anchors
CREATE INDEX IF NOT EXISTS idx_gravity_map_identity_anchors
  ON gravity_map(user_id, identity_anchor)
  WHERE identity_anchor = true;

-- Entity search
CREATE INDEX IF NOT EXISTS idx_gravity_map_entities
  ON gravity_map USING GIN(entities);

-- Emotion filtering
CREATE INDEX IF NOT EXISTS idx_gravity_map_emotion
  ON gravity_map(user_id, emotion_type)
  WHERE emotion_type IS NOT NULL;

-- Temporal type filtering
CREATE INDEX IF NOT EXISTS idx_gravity_map_temporal
  ON gravity_map(temporal_type)
  WHERE temporal_type IS NOT NULL;

-- Meta tags search
CREATE INDEX IF NOT EXISTS idx_gravity_map_tags
  ON gravity_map USING GIN(meta_tags);

-- Cosine similarity search (most common)
CREATE INDEX IF NOT EXISTS idx_gravity_map_embedding_cosine
  ON gravity_map
  USING ivfflat (embedding vector_cosine_ops)
  WITH (lists = 100);

-- L2 distance search (alternative)
CREATE INDEX IF NOT EXISTS idx_gravity_map_embedding_l2
  ON gravity_map
  USING ivfflat (embedding vector_l2_ops)
  WITH (lists = 100);

CREATE INDEX IF NOT EXISTS idx_memory_arcs_user
  ON memory_arcs(user_id, evolution_stage);

CREATE INDEX IF NOT EXISTS idx_memory_arcs_gravity
  ON memory_arcs(gravity_center DESC);

CREATE INDEX IF NOT EXISTS idx_arc_associations_memory
  ON memory_arc_associations(memory_id);

CREATE INDEX IF NOT EXISTS idx_arc_associations_arc
  ON memory_arc_associations(arc_id, fusion_strength DESC);

CREATE INDEX IF NOT EXISTS idx_active_sessions_user
  ON active_sessions(user_id, session_status);

CREATE INDEX IF NOT EXISTS idx_active_sessions_updated
  ON active_sessions(last_message_at DESC);

CREATE INDEX IF NOT EXISTS idx_pattern_matrix_user
  ON pattern_matrix(user_id, intensity DESC);

CREATE INDEX IF NOT EXISTS idx_pattern_matrix_type
  ON pattern_matrix(pattern_type);

ANALYZE gravity_map;
ANALYZE memory_arcs;
ANALYZE memory_arc_associations;
ANALYZE active_sessions;
ANALYZE pattern_matrix;
