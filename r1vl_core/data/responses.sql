-- What a policy answered to benchmark questions and what became of it: written by `r1vl eval`, one file an evaluation.

-- name: tables
CREATE TABLE evaluation (                   -- one row
    policy        VARCHAR NOT NULL,         -- a preset, a checkpoint's folder, or a served model's name
    policy_digest VARCHAR NOT NULL,         -- of its weights; of address and name for a served model
    prompt        VARCHAR NOT NULL,         -- the template it is asked with
    settings      JSON NOT NULL,            -- how responses are decoded
    started       TIMESTAMP NOT NULL,       -- UTC
    partial       BOOLEAN NOT NULL,         -- rows of a benchmark file were left out
    where_clause  VARCHAR,
    row_limit     INTEGER
);
CREATE TABLE questions (                    -- in file order
    benchmark VARCHAR NOT NULL,
    row_index VARCHAR NOT NULL,             -- as the file spells it
    category  VARCHAR NOT NULL,             -- empty where the benchmark has none
    question  VARCHAR NOT NULL,
    answer    VARCHAR NOT NULL,
    group_key VARCHAR,                      -- what rows hang together by: a seed question, a set of figures, a picture
    PRIMARY KEY (benchmark, row_index)
);
CREATE TABLE responses (
    benchmark  VARCHAR NOT NULL,
    row_index  VARCHAR NOT NULL,
    sample     INTEGER NOT NULL CHECK (sample >= 0),
    response   VARCHAR NOT NULL,
    num_tokens INTEGER,                     -- its end token included; NULL where a service does not say
    truncated  BOOLEAN NOT NULL,            -- it never ended
    PRIMARY KEY (benchmark, row_index, sample),
    FOREIGN KEY (benchmark, row_index) REFERENCES questions (benchmark, row_index)
);
CREATE TABLE verdicts (
    benchmark  VARCHAR NOT NULL,
    row_index  VARCHAR NOT NULL,
    sample     INTEGER NOT NULL,
    profile    VARCHAR NOT NULL,            -- paper, current, strict
    extracted  VARCHAR NOT NULL,
    correct    BOOLEAN NOT NULL,
    verdict    VARCHAR NOT NULL,            -- correct, wrong, unresolved
    rule       VARCHAR NOT NULL,
    decided_by VARCHAR NOT NULL CHECK (decided_by IN ('rule', 'judge', 'unresolved')),
    PRIMARY KEY (benchmark, row_index, sample, profile),
    FOREIGN KEY (benchmark, row_index, sample) REFERENCES responses (benchmark, row_index, sample)
);
CREATE TABLE scores (                       -- means over the samples
    benchmark   VARCHAR NOT NULL,
    profile     VARCHAR NOT NULL,
    column_name VARCHAR NOT NULL,           -- published, or a table's cell such as category.math; pass@k and majority of several samples
    value       DOUBLE NOT NULL,
    low         DOUBLE,                     -- its 95 % interval; NULL where rows are too few clusters to say
    high        DOUBLE,
    PRIMARY KEY (benchmark, profile, column_name)
);

-- name: questions
SELECT * FROM questions ORDER BY rowid;

-- name: responses
SELECT * FROM responses ORDER BY rowid;

-- name: verdicts
SELECT * FROM verdicts WHERE profile = $profile ORDER BY rowid;

-- name: scores
SELECT * FROM scores ORDER BY rowid;

-- name: evaluation
SELECT * REPLACE (settings::VARCHAR AS settings) FROM evaluation;
