-- The long-lived cache of a root: every answer a teacher was paid for. One writer at a time; kept over schema versions, never rebuilt.

-- name: cache_tables
CREATE TABLE IF NOT EXISTS meta (
    schema_version INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS answers (
    prompt_digest VARCHAR NOT NULL,     -- of the template
    model         VARCHAR NOT NULL,
    input_digest  VARCHAR NOT NULL,     -- of the whole request: messages and settings
    prompt        VARCHAR NOT NULL,     -- the template's name
    scope         VARCHAR NOT NULL,     -- key of the recipe that paid
    answer        VARCHAR NOT NULL,
    finish        VARCHAR NOT NULL,     -- why it ended: stop, length, refusal, nothing
    tokens_in     BIGINT NOT NULL CHECK (tokens_in >= 0),
    tokens_out    BIGINT NOT NULL CHECK (tokens_out >= 0),
    seconds       DOUBLE NOT NULL,      -- of the attempt that was answered
    attempts      INTEGER NOT NULL CHECK (attempts >= 1),
    created       TIMESTAMP NOT NULL,   -- UTC
    PRIMARY KEY (prompt_digest, model, input_digest)
);

-- name: cache_version
SELECT schema_version FROM meta;

-- name: cache_insert_version
INSERT INTO meta VALUES (?);

-- name: cache_find
SELECT answer, finish, tokens_in, tokens_out, seconds, attempts
FROM answers
WHERE prompt_digest = ? AND model = ? AND input_digest = ?;

-- name: cache_keep
INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: cache_spent
SELECT coalesce(sum(tokens_in), 0)::BIGINT, coalesce(sum(tokens_out), 0)::BIGINT FROM answers WHERE scope = ?;
