-- The specification's triggers, as somebody applied them by hand: its Task 5.1, word for word.

-- Function: Auto-tag high-gravity memories
CREATE OR REPLACE FUNCTION auto_tag_high_gravity()
RETURNS TRIGGER AS $$
BEGIN
  -- Tag memories with gravity >= 0.85 as high_gravity
  IF NEW.gravity_score >= 0.85 THEN
    NEW.meta_tags = array_append(COALESCE(NEW.meta_tags, ARRAY[]::text[]), 'high_gravity');
    NEW.identity_anchor = true;
  END IF;

  -- Tag identity anchors
  IF NEW.entities @> ARRAY['Blu', 'Matt', 'Atlas', 'Ivy'] THEN
    NEW.meta_tags = array_append(COALESCE(NEW.meta_tags, ARRAY[]::text[]), 'identity');
  END IF;

  -- Auto-set temporal_type if not provided
  IF NEW.temporal_type IS NULL THEN
    IF NEW.content ~* '(yesterday|last week|remember|before)' THEN
      NEW.temporal_type = 'past';
    ELSIF NEW.content ~* '(tomorrow|next week|will|plan|going to)' THEN
      NEW.temporal_type = 'future';
    ELSE
      NEW.temporal_type = 'present';
    END IF;
  END IF;

  RETURN NEW;
END;
$$ LANGUAGE plpgsql;

CREATE TRIGGER trigger_auto_tag_high_gravity
  BEFORE INSERT ON gravity_map
  FOR EACH ROW
  EXECUTE FUNCTION auto_tag_high_gravity();

-- Function: Notify frontend of new memories
CREATE OR REPLACE FUNCTION notify_memory_created()
RETURNS TRIGGER AS $$
BEGIN
  PERFORM pg_notify(
    'memory_created',
    json_build_object(
      'id', NEW.id,
      'user_id', NEW.user_id,
      'thread_id', NEW.thread_id,
      'session_id', NEW.session_id,
      'gravity_score', NEW.gravity_score,
      'emotion_type', NEW.emotion_type,
      'created_at', NEW.created_at
    )::text
  );

  RETURN NEW;
END;
$$ LANGUAGE plpgsql;

CREATE TRIGGER trigger_notify_memory_created
  AFTER INSERT ON gravity_map
  FOR EACH ROW
  EXECUTE FUNCTION notify_memory_created();

CREATE OR REPLACE FUNCTION trigger_arc_building()
RETURNS TRIGGER AS $$
DECLARE
  similar_memories INT;
  arc_id UUID;
BEGIN
  -- Only process high-gravity memories
  IF NEW.gravity_score < 0.8 THEN
    RETURN NEW;
  END IF;

  -- Count similar recent memories with same emotion and high gravity
  SELECT COUNT(*)
  INTO similar_memories
  FROM gravity_map
  WHERE
    user_id = NEW.user_id
    AND emotion_type = NEW.emotion_type
    AND gravity_score >= 0.8
    AND created_at > NOW() - INTERVAL '24 hours'
    AND id != NEW.id;

  -- If 3+ similar memories, create/update arc
  IF similar_memories >= 2 THEN
    -- Check if arc already exists for this emotion
    SELECT id INTO arc_id
    FROM memory_arcs
    WHERE
      user_id = NEW.user_id
      AND arc_name ILIKE '%' || NEW.emotion_type || '%'
      AND evolution_stage IN ('forming', 'active')
    ORDER BY created_at DESC
    LIMIT 1;

    IF arc_id IS NULL THEN
      -- Create new arc
      INSERT INTO memory_arcs (
        user_id,
        arc_name,
        gravity_center,
        evolution_stage,
        created_at
      ) VALUES (
        NEW.user_id,
        NEW.emotion_type || ' arc (auto-created)',
        NEW.gravity_score,
        'forming',
        NOW()
      )
      RETURNING id INTO arc_id;
    END IF;

    -- Associate memory with arc
    INSERT INTO memory_arc_associations (
      memory_id,
      arc_id,
      fusion_strength,
      created_at
    ) VALUES (
      NEW.id,
      arc_id,
      0.8,
      NOW()
    )
    ON CONFLICT DO NOTHING;
  END IF;

  RETURN NEW;
END;
$$ LANGUAGE plpgsql;

CREATE TRIGGER trigger_arc_building
  AFTER INSERT ON gravity_map
  FOR EACH ROW
  EXECUTE FUNCTION trigger_arc_building();

-- Function: Clean old consciousness cache entries
CREATE OR REPLACE FUNCTION cleanup_old_cache()
RETURNS void AS $$
BEGIN
  DELETE FROM consciousness_cache
  WHERE created_at < NOW() - INTERVAL '24 hours';
END;
$$ LANGUAGE plpgsql;

-- Schedule cleanup (requires pg_cron extension)
-- SELECT cron.schedule('cleanup-cache', '0 * * * *', 'SELECT cleanup_old_cache()');
