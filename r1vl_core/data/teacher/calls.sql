-- The tables of teacher.duckdb in an artifact of key_steps: what the teacher was asked for these key steps, what it cost, what became
-- of it. Costs are in the currency of the preset's prices; an answer remembered from an earlier run is listed with what it cost then.

-- name: calls_tables
CREATE TABLE teacher_meta (
    schema_version INTEGER NOT NULL
);
CREATE TABLE teacher_calls (
    position      INTEGER NOT NULL,     -- of the question
    number        INTEGER NOT NULL,     -- of the call within its question, from 0
    question_id   VARCHAR NOT NULL,
    source        VARCHAR NOT NULL,
    prompt        VARCHAR NOT NULL,     -- extract, refine, augment or repair
    prompt_digest VARCHAR NOT NULL,
    model         VARCHAR NOT NULL,
    input_digest  VARCHAR NOT NULL,
    answer        VARCHAR NOT NULL,
    status        VARCHAR NOT NULL,     -- why the answer ended: stop, length, refusal, nothing
    tokens_in     BIGINT NOT NULL,
    tokens_out    BIGINT NOT NULL,
    cost          DOUBLE NOT NULL,
    seconds       DOUBLE NOT NULL,
    attempts      INTEGER NOT NULL,
    remembered    BOOLEAN NOT NULL,     -- paid for by an earlier run, or by another question that asked the same
    PRIMARY KEY (question_id, number)
);
CREATE TABLE teacher_drops (
    position    INTEGER NOT NULL,       -- of the question
    number      INTEGER NOT NULL,       -- of the drop within its question, from 0
    question_id VARCHAR NOT NULL,
    core        VARCHAR NOT NULL,
    form        VARCHAR NOT NULL,       -- empty where the whole key step fell
    reason      VARCHAR NOT NULL,
    PRIMARY KEY (question_id, number)
);
CREATE TABLE teacher_outcomes (
    position    INTEGER NOT NULL,
    question_id VARCHAR PRIMARY KEY,
    source      VARCHAR NOT NULL,
    reason      VARCHAR NOT NULL,       -- why the teacher failed; empty where it did not
    detail      VARCHAR NOT NULL
);

-- name: calls_views
CREATE VIEW paid_calls AS           -- each answer once, with the first question that used it
    SELECT * FROM teacher_calls
    QUALIFY row_number() OVER (PARTITION BY prompt_digest, model, input_digest ORDER BY position, number) = 1;
CREATE VIEW cost_by_source AS
    SELECT source, count(DISTINCT question_id) AS num_questions, count(*) AS num_calls, sum(tokens_in)::BIGINT AS tokens_in,
           sum(tokens_out)::BIGINT AS tokens_out, sum(cost) AS cost
    FROM paid_calls
    GROUP BY source
    ORDER BY source;
CREATE VIEW cost_by_prompt AS
    SELECT prompt, count(*) AS num_calls, sum(tokens_in)::BIGINT AS tokens_in, sum(tokens_out)::BIGINT AS tokens_out, sum(cost) AS cost,
           median(seconds) AS median_seconds
    FROM paid_calls
    GROUP BY prompt
    ORDER BY prompt;
CREATE VIEW teacher_failures AS
    SELECT source, reason, count(*) AS num_questions
    FROM teacher_outcomes
    WHERE reason <> ''
    GROUP BY source, reason
    ORDER BY source, num_questions DESC, reason;
CREATE VIEW drops_by_reason AS
    SELECT reason, count(*) AS num_dropped, count(DISTINCT question_id) AS num_questions
    FROM teacher_drops
    GROUP BY reason
    ORDER BY num_dropped DESC, reason;

-- name: calls_insert_version
INSERT INTO teacher_meta VALUES (?);

-- name: insert_teacher_calls
INSERT INTO teacher_calls BY NAME SELECT * FROM batch;

-- name: insert_teacher_drops
INSERT INTO teacher_drops BY NAME SELECT * FROM batch;

-- name: insert_teacher_outcomes
INSERT INTO teacher_outcomes BY NAME SELECT * FROM batch;

-- What an artifact is, is what was asked, answered and dropped: neither when, how fast nor at what price.

-- name: calls_digest
SELECT sha256(concat_ws(' ',
    (SELECT sha256(string_agg(sha256(concat_ws(' ', question_id, number, prompt_digest, input_digest, sha256(answer), status)), ''
                              ORDER BY position, number)) FROM teacher_calls),
    (SELECT sha256(string_agg(sha256(to_json(d)::VARCHAR), '' ORDER BY position, number)) FROM teacher_drops d),
    (SELECT sha256(string_agg(sha256(to_json(o)::VARCHAR), '' ORDER BY position)) FROM teacher_outcomes o)));
