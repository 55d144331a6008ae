-- Named steps of `database.py`. `batch` is the frame of rows at hand.

-- name: insert_meta
INSERT INTO meta VALUES (?);

-- name: insert_sources
INSERT INTO sources BY NAME SELECT * FROM batch;

-- name: insert_questions
INSERT INTO questions BY NAME SELECT * FROM batch;

-- name: insert_reasoning_paths
INSERT INTO reasoning_paths BY NAME SELECT * FROM batch;

-- name: insert_key_steps
INSERT INTO key_steps BY NAME SELECT * FROM batch;

-- name: insert_rejected
INSERT INTO rejected BY NAME SELECT * FROM batch;

-- name: schema_version
SELECT schema_version FROM meta;

-- name: read_questions
-- By range of positions, which are stored in order: a sort of all, with every text in it, would be held in memory beside its result.
SELECT q.id, q.source, q.image, q.image_sha256, q.text, q.choices, q.answer, q.source_id, coalesce(p.text, '') AS reference_path, k.key_steps
FROM (SELECT * FROM questions WHERE position >= $start AND position < $stop) q
LEFT JOIN (SELECT question_id, text FROM reasoning_paths WHERE position >= $start AND position < $stop) p ON p.question_id = q.id
LEFT JOIN (
    SELECT question_id, list(forms ORDER BY number) AS key_steps
    FROM key_steps
    WHERE position >= $start AND position < $stop
    GROUP BY question_id
) k ON k.question_id = q.id
ORDER BY q.position;

-- name: read_rejected
SELECT source, "row", reason, detail, raw
FROM rejected
ORDER BY position;

-- name: find_questions
-- Those with this id; where there is none, those whose sources call them so; where there are none, those whose ids begin so.
WITH found AS (
    SELECT position, CASE WHEN id = $wanted THEN 1 WHEN source_id = $wanted THEN 2 ELSE 3 END AS meant
    FROM questions
    WHERE starts_with(id, $wanted) OR source_id = $wanted
)
SELECT position, meant < 3 FROM found WHERE meant = (SELECT min(meant) FROM found) ORDER BY position;

-- name: totals
SELECT
    (SELECT count(*) FROM questions) AS num_accepted,
    (SELECT count(*) FROM rejected) AS num_rejected,
    (SELECT count(*) FROM key_steps) AS num_key_steps;

-- name: accepted_by_source
SELECT source, num_accepted FROM counts_by_source WHERE num_accepted > 0 ORDER BY source;

-- name: source_counts
SELECT s.name, s.file, s.licence, s.weight, coalesce(c.num_accepted, 0)::BIGINT, coalesce(c.num_rejected, 0)::BIGINT
FROM sources s LEFT JOIN counts_by_source c ON c.source = s.name
ORDER BY s.position;

-- name: rejected_by_reason
SELECT reason, sum(num_rejected)::BIGINT FROM reject_reasons GROUP BY reason ORDER BY reason;

-- The file's bytes differ between identical builds; its rows, spelled as JSON in the stored order, do not. Rows are hashed one by one
-- first, so that no table is ever one string in memory.

-- name: digest_meta
SELECT sha256(string_agg(sha256(to_json(t)::VARCHAR), '' ORDER BY schema_version)) FROM meta t;

-- A weight of 1 is not spelled: databases from before there were weights keep their digest.
-- name: digest_sources
SELECT sha256(string_agg(sha256(to_json(t)::VARCHAR || if(weight = 1, '', ' weight ' || weight)), '' ORDER BY position))
FROM (SELECT position, name, file, licence FROM sources) t JOIN (SELECT name, weight FROM sources) USING (name);

-- name: digest_questions
SELECT sha256(string_agg(sha256(to_json(t)::VARCHAR), '' ORDER BY position)) FROM questions t;

-- name: digest_reasoning_paths
SELECT sha256(string_agg(sha256(to_json(t)::VARCHAR), '' ORDER BY position)) FROM reasoning_paths t;

-- name: digest_key_steps
SELECT sha256(string_agg(sha256(to_json(t)::VARCHAR), '' ORDER BY position, number)) FROM key_steps t;

-- name: digest_rejected
SELECT sha256(string_agg(sha256(to_json(t)::VARCHAR), '' ORDER BY position)) FROM rejected t;
