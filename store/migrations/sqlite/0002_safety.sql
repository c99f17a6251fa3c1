-- +goose Up

-- What a person keeps, by which id each source knows the entry, how visitors are announced: see origins.go.
ALTER TABLE entry ADD COLUMN keeps        TEXT     NOT NULL DEFAULT '';
ALTER TABLE entry ADD COLUMN keep_end     BIGINT   NOT NULL DEFAULT 0; -- when the first keep ends; 0: none does
ALTER TABLE entry ADD COLUMN external_ids TEXT     NOT NULL DEFAULT '';
ALTER TABLE entry ADD COLUMN notify       SMALLINT NOT NULL DEFAULT 0;
-- R17 asks at every sync whose keep has come to its end.
CREATE INDEX entry_keep_end ON entry (org, keep_end) WHERE keep_end > 0;
-- R21 counts whom a source lists and who is enabled: those who are not are few.
CREATE INDEX entry_listed_disabled ON entry (org, id) WHERE claimed_by <> '' AND enabled = 0;

-- external_id: the entry that a source knows by an id (R2).
CREATE TABLE external_id (
  org         TEXT   NOT NULL,
  source      BIGINT NOT NULL,
  external_id TEXT   NOT NULL,
  entry       BIGINT NOT NULL,
  PRIMARY KEY (org, source, external_id)
) WITHOUT ROWID;

ALTER TABLE source ADD COLUMN guard    TEXT   NOT NULL DEFAULT ''; -- JSON object, see foyer.Guard; empty: the default
ALTER TABLE source ADD COLUMN ended_at BIGINT NOT NULL DEFAULT 0;

ALTER TABLE run ADD COLUMN of_run  BIGINT NOT NULL DEFAULT 0;  -- the run that this one undoes or approves
ALTER TABLE run ADD COLUMN replays BIGINT NOT NULL DEFAULT 0;  -- the earlier run that applied the same file
ALTER TABLE run ADD COLUMN same_as BIGINT NOT NULL DEFAULT 0;  -- an earlier run that has its problems; 0: none
ALTER TABLE run ADD COLUMN hold    TEXT   NOT NULL DEFAULT ''; -- JSON object, see foyer.Hold
ALTER TABLE run ADD COLUMN refusal TEXT   NOT NULL DEFAULT ''; -- JSON object, see foyer.Refusal
CREATE INDEX run_of ON run (org, of_run) WHERE of_run > 0;
CREATE INDEX run_held ON run (org, source) WHERE status = 'held';
CREATE INDEX run_digest ON run (org, source, digest) WHERE status = 'applied';

-- held_chunk: what a held run was delivered (kind 'rows') and whom it would take away (kind 'lost'), in parts, encrypted.
CREATE TABLE held_chunk (
  org  TEXT   NOT NULL,
  run  BIGINT NOT NULL,
  kind TEXT   NOT NULL,
  part BIGINT NOT NULL,
  data BLOB   NOT NULL,
  PRIMARY KEY (org, run, kind, part)
);

-- redo_watch: an undo of a run of a source. The next run of that source which would do again what was undone is held once (R25); then the watch is spent, unless
-- a person rejects that run.
CREATE TABLE redo_watch (
  org    TEXT   NOT NULL,
  source BIGINT NOT NULL,
  undo   BIGINT NOT NULL,
  spent  SMALLINT NOT NULL,
  PRIMARY KEY (org, source, undo)
) WITHOUT ROWID;

-- idempotency: which run answered a request with an Idempotency-Key.
CREATE TABLE idempotency (
  org        TEXT   NOT NULL,
  key        TEXT   NOT NULL, -- the client id
  token      TEXT   NOT NULL, -- the value of the header
  digest     BLOB   NOT NULL, -- SHA-256 of what was asked for
  run        BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (org, key, token)
) WITHOUT ROWID;

-- erased: keyed hashes of the emails and ids of those who were erased (R28).
CREATE TABLE erased (
  org       TEXT   NOT NULL,
  hash      BLOB   NOT NULL,
  run       BIGINT NOT NULL, -- the erasure: the hashes of one person share it
  erased_at BIGINT NOT NULL,
  PRIMARY KEY (org, hash)
) WITHOUT ROWID;
