-- The tables of curated.duckdb and key_steps.duckdb. `position` is the stored order, from 0.

-- name: tables
CREATE TABLE meta (
    schema_version INTEGER NOT NULL CHECK (schema_version > 0)
);

CREATE TABLE sources (
    position INTEGER NOT NULL CHECK (position >= 0),
    name     VARCHAR PRIMARY KEY,
    file     VARCHAR NOT NULL,      -- the file's name; its folder is this machine's business and no content
    licence  VARCHAR NOT NULL,
    weight   DOUBLE NOT NULL DEFAULT 1 CHECK (weight > 0)
);

CREATE TABLE questions (
    position     INTEGER NOT NULL CHECK (position >= 0),
    id           VARCHAR PRIMARY KEY CHECK (id <> ''),
    source       VARCHAR NOT NULL,
    image        VARCHAR NOT NULL,  -- relative to the source's image folder
    image_sha256 VARCHAR NOT NULL,  -- of the file
    text         VARCHAR NOT NULL,
    choices      STRUCT(letter VARCHAR, "text" VARCHAR)[] NOT NULL,
    answer       VARCHAR NOT NULL,
    source_id    VARCHAR            -- what the source calls it, null where that gives it no id
);

CREATE TABLE reasoning_paths (        -- none for a question of which only the answer and the key steps are known
    position    INTEGER NOT NULL CHECK (position >= 0),
    question_id VARCHAR PRIMARY KEY REFERENCES questions (id),
    text        VARCHAR NOT NULL CHECK (text <> '')
);

CREATE TABLE key_steps (
    position    INTEGER NOT NULL CHECK (position >= 0),   -- of the question
    question_id VARCHAR NOT NULL REFERENCES questions (id),
    number      INTEGER NOT NULL CHECK (number >= 0),     -- of the key step within its question, from 0
    forms       VARCHAR[] NOT NULL CHECK (len(forms) > 0), -- equivalent ways to write it
    PRIMARY KEY (question_id, number)
);

CREATE TABLE rejected (
    position INTEGER NOT NULL CHECK (position >= 0),
    source   VARCHAR NOT NULL,
    "row"    BIGINT NOT NULL CHECK ("row" >= 1), -- of the record in its source, from 1; of key steps: of the question among those drawn,
                                                 -- or the line of a file laid over them
    reason   VARCHAR NOT NULL CHECK (reason <> ''),
    detail   VARCHAR NOT NULL,
    raw      VARCHAR NOT NULL       -- the record as it was
);

-- name: views
CREATE VIEW counts_by_source AS
    SELECT source, sum(accepted)::BIGINT AS num_accepted, sum(rejected)::BIGINT AS num_rejected, count(*) AS num_read
    FROM (
        SELECT source, 1 AS accepted, 0 AS rejected FROM questions
        UNION ALL
        SELECT source, 0 AS accepted, 1 AS rejected FROM rejected
    )
    GROUP BY source
    ORDER BY source;

CREATE VIEW reject_reasons AS
    SELECT source, reason, count(*) AS num_rejected
    FROM rejected
    GROUP BY source, reason
    ORDER BY source, num_rejected DESC, reason;

CREATE VIEW key_steps_per_question AS
    SELECT q.position, q.id AS question_id, count(k.number) AS num_key_steps, coalesce(sum(len(k.forms)), 0)::BIGINT AS num_forms
    FROM questions q LEFT JOIN key_steps k ON k.question_id = q.id
    GROUP BY q.position, q.id
    ORDER BY q.position;
