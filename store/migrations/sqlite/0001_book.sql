-- +goose Up

-- Global tables: one row per organization, and one per fact about this database.
CREATE TABLE meta (
  name  TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
);
CREATE TABLE org (
  id         TEXT   NOT NULL PRIMARY KEY,
  slug       TEXT   NOT NULL UNIQUE,
  name       TEXT   NOT NULL,
  country    TEXT   NOT NULL,
  created_at BIGINT NOT NULL -- here and below: milliseconds since 1970, UTC; 0: never
);

-- Everything below belongs to an organization, and its key begins with it.

-- book: the versions and the counts of one organization. Writing to its row is what serializes an organization's runs (R19).
CREATE TABLE book (
  org         TEXT   NOT NULL PRIMARY KEY,
  version     BIGINT NOT NULL, -- grows with every change of what a sync reads
  settings    BIGINT NOT NULL, -- grows with every setting that decides what a row does (R17)
  next_entry  BIGINT NOT NULL,
  next_site   BIGINT NOT NULL,
  next_source BIGINT NOT NULL
);
CREATE TABLE site (
  org     TEXT   NOT NULL,
  id      BIGINT NOT NULL,
  name    TEXT   NOT NULL,
  aliases TEXT   NOT NULL, -- JSON array of text
  PRIMARY KEY (org, id)
) WITHOUT ROWID;
CREATE TABLE source (
  org             TEXT     NOT NULL,
  id              BIGINT   NOT NULL,
  name            TEXT     NOT NULL,
  kind            TEXT     NOT NULL,
  site            BIGINT   NOT NULL, -- 0: the whole organization
  priority        BIGINT   NOT NULL,
  created_at      BIGINT   NOT NULL,
  leave_hand_made SMALLINT NOT NULL,
  windows_1252    SMALLINT NOT NULL,
  headers         TEXT     NOT NULL, -- JSON object: header -> field
  PRIMARY KEY (org, id),
  UNIQUE (org, name)
) WITHOUT ROWID;
CREATE TABLE client_key (
  org        TEXT     NOT NULL,
  id         TEXT     NOT NULL,
  source     BIGINT   NOT NULL,
  name       TEXT     NOT NULL,
  secret_mac BLOB     NOT NULL, -- HMAC of the secret under the pepper
  scopes     SMALLINT NOT NULL,
  created_at BIGINT   NOT NULL,
  expires_at BIGINT   NOT NULL,
  revoked_at BIGINT   NOT NULL,
  last_used  BIGINT   NOT NULL,
  PRIMARY KEY (org, id)
) WITHOUT ROWID;
CREATE TABLE revoked_token (
  org        TEXT   NOT NULL,
  mac        BLOB   NOT NULL,
  expires_at BIGINT NOT NULL, -- after it the row can go: the token has ended by itself
  PRIMARY KEY (org, mac)
) WITHOUT ROWID;

-- entry: one person. Lists of ids are decimal numbers separated by a space.
CREATE TABLE entry (
  org             TEXT     NOT NULL,
  id              BIGINT   NOT NULL,
  email           TEXT     NOT NULL,
  first_name      TEXT     NOT NULL,
  last_name       TEXT     NOT NULL,
  display_name    TEXT     NOT NULL,
  title           TEXT     NOT NULL,
  division        TEXT     NOT NULL,
  mobile          TEXT     NOT NULL,
  desk_phone      TEXT     NOT NULL,
  manager         TEXT     NOT NULL,
  assistant       TEXT     NOT NULL,
  mobile_e164     TEXT     NOT NULL,
  desk_phone_e164 TEXT     NOT NULL,
  sites           TEXT     NOT NULL,
  claimed_by      TEXT     NOT NULL,
  last_run        BIGINT   NOT NULL,
  origins         TEXT     NOT NULL, -- who says so, of each field: see origins.go
  hand_sites      TEXT     NOT NULL DEFAULT '',
  enabled         SMALLINT NOT NULL DEFAULT 1,
  reason          TEXT     NOT NULL DEFAULT '',
  permanent       SMALLINT NOT NULL DEFAULT 0,
  pinned          SMALLINT NOT NULL DEFAULT 0,
  notes           TEXT     NOT NULL DEFAULT '',
  PRIMARY KEY (org, id)
) WITHOUT ROWID;
-- R11 asks for the enabled hand-made entries at every snapshot.
CREATE INDEX entry_hand_made ON entry (org, id) WHERE claimed_by = '' AND enabled = 1;

-- address: which entry an email means, as its current one or as an alias. The email is a key (R1).
CREATE TABLE address (
  org   TEXT     NOT NULL,
  email TEXT     NOT NULL,
  entry BIGINT   NOT NULL,
  alias SMALLINT NOT NULL,
  PRIMARY KEY (org, email)
) WITHOUT ROWID;
CREATE INDEX address_alias ON address (org, entry) WHERE alias = 1;

-- claim_chunk: up to 80 claims of one source, by ascending entry: see claims.go. first is the entry of the first of them.
-- A sync reads all claims of its source; in chunks that is a hundredth of the rows.
CREATE TABLE claim_chunk (
  org    TEXT   NOT NULL,
  source BIGINT NOT NULL,
  first  BIGINT NOT NULL,
  claims BLOB   NOT NULL,
  PRIMARY KEY (org, source, first)
);

-- run: a sync, or another act that wrote to the book.
CREATE TABLE run (
  org         TEXT   NOT NULL,
  id          BIGINT NOT NULL,
  kind        TEXT   NOT NULL,
  source      BIGINT NOT NULL,
  actor       TEXT   NOT NULL,
  address     TEXT   NOT NULL,
  status      TEXT   NOT NULL,
  started_at  BIGINT NOT NULL,
  finished_at BIGINT NOT NULL,
  counts      TEXT   NOT NULL, -- JSON object
  problems    TEXT   NOT NULL, -- JSON array
  message     TEXT   NOT NULL,
  digest      BLOB   NOT NULL,
  book        BIGINT NOT NULL, -- the book's version right after it
  PRIMARY KEY (org, id)
);
CREATE INDEX run_source ON run (org, source, id);
CREATE INDEX run_sync ON run (org, id) WHERE kind <> 'edit';

-- change_chunk: what one run did to up to 64 entries, by ascending entry, a line of JSON each: see changes.go.
CREATE TABLE change_chunk (
  org     TEXT   NOT NULL,
  run     BIGINT NOT NULL,
  first   BIGINT NOT NULL,
  changes TEXT   NOT NULL,
  PRIMARY KEY (org, run, first)
);
