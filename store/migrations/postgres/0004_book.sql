-- +goose Up

-- All tables as they are at version 4 on SQLite; from here on each migration exists for both. Texts are compared byte by byte, as there.

-- Global tables: one row per organization, and one per fact about this database.
CREATE TABLE meta (
  name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  value TEXT COLLATE "C" NOT NULL
);
CREATE TABLE org (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  slug TEXT COLLATE "C" NOT NULL UNIQUE,
  name TEXT COLLATE "C" NOT NULL,
  country TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL, -- here and below: milliseconds since 1970, UTC; 0: never
  allow TEXT COLLATE "C" NOT NULL DEFAULT '[]',
  allow_log_only SMALLINT NOT NULL DEFAULT 0
);
-- book: the versions and the counts of one organization. Writing to its row is what serializes an organization's runs (R19).
CREATE TABLE book (
  org TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  version BIGINT NOT NULL, -- grows with every change of what a sync reads
  settings BIGINT NOT NULL, -- grows with every setting that decides what a row does (R17)
  next_entry BIGINT NOT NULL,
  next_site BIGINT NOT NULL,
  next_source BIGINT NOT NULL,
  next_alert BIGINT NOT NULL DEFAULT 1
);
CREATE TABLE site (
  org TEXT COLLATE "C" NOT NULL,
  id BIGINT NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  aliases TEXT COLLATE "C" NOT NULL, -- JSON array of text
  PRIMARY KEY (org, id)
);
CREATE TABLE source (
  org TEXT COLLATE "C" NOT NULL,
  id BIGINT NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  site BIGINT NOT NULL, -- 0: the whole organization
  priority BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  leave_hand_made SMALLINT NOT NULL,
  windows_1252 SMALLINT NOT NULL,
  headers TEXT COLLATE "C" NOT NULL, -- JSON object: header -> field
  guard TEXT COLLATE "C" NOT NULL DEFAULT '', -- JSON object, see foyer.Guard; empty: the default
  ended_at BIGINT NOT NULL DEFAULT 0,
  expect BIGINT NOT NULL DEFAULT 0, -- milliseconds; 0: the default, -1: never missed (R27)
  PRIMARY KEY (org, id),
  UNIQUE (org, name)
);
CREATE TABLE client_key (
  org TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  source BIGINT NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  scopes SMALLINT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT NOT NULL,
  allow TEXT COLLATE "C" NOT NULL DEFAULT '[]',
  allow_log_only SMALLINT NOT NULL DEFAULT 0,
  PRIMARY KEY (org, id)
);
CREATE TABLE revoked_token (
  org TEXT COLLATE "C" NOT NULL,
  mac BYTEA NOT NULL,
  expires_at BIGINT NOT NULL, -- after it the row can go: the token has ended by itself
  PRIMARY KEY (org, mac)
);
-- entry: one person. Lists of ids are decimal numbers separated by a space.
CREATE TABLE entry (
  org TEXT COLLATE "C" NOT NULL,
  id BIGINT NOT NULL,
  email TEXT COLLATE "C" NOT NULL,
  first_name TEXT COLLATE "C" NOT NULL,
  last_name TEXT COLLATE "C" NOT NULL,
  display_name TEXT COLLATE "C" NOT NULL,
  title TEXT COLLATE "C" NOT NULL,
  division TEXT COLLATE "C" NOT NULL,
  mobile TEXT COLLATE "C" NOT NULL,
  desk_phone TEXT COLLATE "C" NOT NULL,
  manager TEXT COLLATE "C" NOT NULL,
  assistant TEXT COLLATE "C" NOT NULL,
  mobile_e164 TEXT COLLATE "C" NOT NULL,
  desk_phone_e164 TEXT COLLATE "C" NOT NULL,
  sites TEXT COLLATE "C" NOT NULL,
  claimed_by TEXT COLLATE "C" NOT NULL,
  last_run BIGINT NOT NULL,
  origins TEXT COLLATE "C" NOT NULL, -- who says so, of each field: see origins.go
  hand_sites TEXT COLLATE "C" NOT NULL DEFAULT '',
  enabled SMALLINT NOT NULL DEFAULT 1,
  reason TEXT COLLATE "C" NOT NULL DEFAULT '',
  permanent SMALLINT NOT NULL DEFAULT 0,
  pinned SMALLINT NOT NULL DEFAULT 0,
  notes TEXT COLLATE "C" NOT NULL DEFAULT '',
  keeps TEXT COLLATE "C" NOT NULL DEFAULT '',
  keep_end BIGINT NOT NULL DEFAULT 0, -- when the first keep ends; 0: none does
  external_ids TEXT COLLATE "C" NOT NULL DEFAULT '',
  notify SMALLINT NOT NULL DEFAULT 0,
  PRIMARY KEY (org, id)
);
-- address: which entry an email means, as its current one or as an alias. The email is a key (R1).
CREATE TABLE address (
  org TEXT COLLATE "C" NOT NULL,
  email TEXT COLLATE "C" NOT NULL,
  entry BIGINT NOT NULL,
  alias SMALLINT NOT NULL,
  PRIMARY KEY (org, email)
);
-- claim_chunk: up to 80 claims of one source, by ascending entry: see claims.go. first is the entry of the first of them.
-- A sync reads all claims of its source; in chunks that is a hundredth of the rows.
CREATE TABLE claim_chunk (
  org TEXT COLLATE "C" NOT NULL,
  source BIGINT NOT NULL,
  first BIGINT NOT NULL,
  claims BYTEA NOT NULL,
  PRIMARY KEY (org, source, first)
);
-- run: a sync, or another act that wrote to the book.
CREATE TABLE run (
  org TEXT COLLATE "C" NOT NULL,
  id BIGINT NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  source BIGINT NOT NULL,
  actor TEXT COLLATE "C" NOT NULL,
  address TEXT COLLATE "C" NOT NULL,
  status TEXT COLLATE "C" NOT NULL,
  started_at BIGINT NOT NULL,
  finished_at BIGINT NOT NULL,
  counts TEXT COLLATE "C" NOT NULL, -- JSON object
  problems TEXT COLLATE "C" NOT NULL, -- JSON array
  message TEXT COLLATE "C" NOT NULL,
  digest BYTEA NOT NULL,
  book BIGINT NOT NULL, -- the book's version right after it
  of_run BIGINT NOT NULL DEFAULT 0, -- the run that this one undoes or approves
  replays BIGINT NOT NULL DEFAULT 0, -- the earlier run that applied the same file
  same_as BIGINT NOT NULL DEFAULT 0, -- an earlier run that has its problems; 0: none
  hold TEXT COLLATE "C" NOT NULL DEFAULT '', -- JSON object, see foyer.Hold
  refusal TEXT COLLATE "C" NOT NULL DEFAULT '', -- JSON object, see foyer.Refusal
  PRIMARY KEY (org, id)
);
-- change_chunk: what one run did to up to 64 entries, by ascending entry, a line of JSON each: see changes.go.
CREATE TABLE change_chunk (
  org TEXT COLLATE "C" NOT NULL,
  run BIGINT NOT NULL,
  first BIGINT NOT NULL,
  changes TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (org, run, first)
);
-- +goose StatementBegin
DO $$ BEGIN
  ALTER TABLE change_chunk ALTER COLUMN changes SET COMPRESSION lz4; -- twice as fast as what it has otherwise
EXCEPTION WHEN feature_not_supported THEN NULL; -- this PostgreSQL was built without it
END $$;
-- +goose StatementEnd
-- external_id: the entry that a source knows by an id (R2).
CREATE TABLE external_id (
  org TEXT COLLATE "C" NOT NULL,
  source BIGINT NOT NULL,
  external_id TEXT COLLATE "C" NOT NULL,
  entry BIGINT NOT NULL,
  PRIMARY KEY (org, source, external_id)
);
-- held_chunk: what a held run was delivered (kind 'rows') and whom it would take away (kind 'lost'), in parts, encrypted.
CREATE TABLE held_chunk (
  org TEXT COLLATE "C" NOT NULL,
  run BIGINT NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  part BIGINT NOT NULL,
  data BYTEA NOT NULL,
  PRIMARY KEY (org, run, kind, part)
);
-- redo_watch: an undo of a run of a source. The next run of that source which would do again what was undone is held once (R25); then the watch is spent, unless
-- a person rejects that run.
CREATE TABLE redo_watch (
  org TEXT COLLATE "C" NOT NULL,
  source BIGINT NOT NULL,
  undo BIGINT NOT NULL,
  spent SMALLINT NOT NULL,
  PRIMARY KEY (org, source, undo)
);
-- idempotency: which run answered a request with an Idempotency-Key.
CREATE TABLE idempotency (
  org TEXT COLLATE "C" NOT NULL,
  key TEXT COLLATE "C" NOT NULL, -- the client id
  token TEXT COLLATE "C" NOT NULL, -- the value of the header
  digest BYTEA NOT NULL, -- SHA-256 of what was asked for
  run BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (org, key, token)
);
-- erased: keyed hashes of the emails and ids of those who were erased (R28).
CREATE TABLE erased (
  org TEXT COLLATE "C" NOT NULL,
  hash BYTEA NOT NULL,
  run BIGINT NOT NULL, -- the erasure: the hashes of one person share it
  erased_at BIGINT NOT NULL,
  PRIMARY KEY (org, hash)
);
-- alert: something that a person should know of, for as long as it lasts (R27). At most one is open of each cause.
CREATE TABLE alert (
  org TEXT COLLATE "C" NOT NULL,
  id BIGINT NOT NULL,
  cause TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  source BIGINT NOT NULL, -- 0: of no source
  run BIGINT NOT NULL, -- 0: of no run
  key_id TEXT COLLATE "C" NOT NULL, -- '': of no key
  opened_at BIGINT NOT NULL,
  seen_at BIGINT NOT NULL, -- when the cause showed last
  closed_at BIGINT NOT NULL, -- 0: it is open
  mailed_at BIGINT NOT NULL,
  title TEXT COLLATE "C" NOT NULL,
  message TEXT COLLATE "C" NOT NULL,
  cure TEXT COLLATE "C" NOT NULL,
  ending TEXT COLLATE "C" NOT NULL,
  news SMALLINT NOT NULL, -- what nobody was told of yet: 1 that it opened, 2 that it is over, 3 both
  PRIMARY KEY (org, id)
);
-- contact: whom the alerts of an organization are mailed to.
CREATE TABLE contact (
  org TEXT COLLATE "C" NOT NULL,
  mailbox TEXT COLLATE "C" NOT NULL, -- the email's key (R1)
  email TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (org, mailbox)
);
-- alert_mail: a message about an alert that is still to be sent to a contact. It goes once it is sent, or given up.
CREATE TABLE alert_mail (
  org TEXT COLLATE "C" NOT NULL,
  alert BIGINT NOT NULL,
  over SMALLINT NOT NULL, -- 0: that it opened, 1: that it is over
  mailbox TEXT COLLATE "C" NOT NULL,
  made_at BIGINT NOT NULL,
  attempts BIGINT NOT NULL,
  next_try BIGINT NOT NULL, -- before it the message belongs to whoever tries to send it
  PRIMARY KEY (org, alert, over, mailbox)
);
-- client_secret: the secrets of a key. While a key is rotated two of them live.
CREATE TABLE client_secret (
  org TEXT COLLATE "C" NOT NULL,
  key TEXT COLLATE "C" NOT NULL,
  number BIGINT NOT NULL,
  mac BYTEA NOT NULL, -- HMAC of the secret under the pepper
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL, -- 0: with the key
  last_used BIGINT NOT NULL,
  last_address TEXT COLLATE "C" NOT NULL,
  last_agent TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (org, key, number)
);
-- retired_key: ids of keys that were deleted. None is ever issued again.
CREATE TABLE retired_key (
  org TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (org, id)
);
-- token_count: how many tokens were issued and refused, by key, address and minute. It is what the audit has of them: a row each would let anybody fill the disk.
CREATE TABLE token_count (
  org TEXT COLLATE "C" NOT NULL,
  key TEXT COLLATE "C" NOT NULL,
  minute BIGINT NOT NULL, -- since 1970
  address TEXT COLLATE "C" NOT NULL, -- 'others' where there were too many
  issued BIGINT NOT NULL,
  refused BIGINT NOT NULL,
  PRIMARY KEY (org, key, minute, address)
);
-- audit: whatever changed something, or showed a secret. Each row's mac covers the row and the mac before it, so that none can be altered, left out or put in
-- between unnoticed; audit_head says which is the last, so that the end cannot be cut off. Nothing ever changes or deletes a row.
CREATE TABLE audit (
  org TEXT COLLATE "C" NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  actor TEXT COLLATE "C" NOT NULL,
  address TEXT COLLATE "C" NOT NULL,
  act TEXT COLLATE "C" NOT NULL,
  target TEXT COLLATE "C" NOT NULL,
  detail TEXT COLLATE "C" NOT NULL,
  mac BYTEA NOT NULL,
  PRIMARY KEY (org, seq)
);
CREATE TABLE audit_head (
  org TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  seq BIGINT NOT NULL,
  mac BYTEA NOT NULL, -- of the last row
  seal BYTEA NOT NULL -- HMAC of organization, seq and mac
);

-- R11 asks for the enabled hand-made entries at every snapshot.
CREATE INDEX entry_hand_made ON entry (org, id) WHERE claimed_by = '' AND enabled = 1;
CREATE INDEX address_alias ON address (org, entry) WHERE alias = 1;
CREATE INDEX run_source ON run (org, source, id);
CREATE INDEX run_sync ON run (org, id) WHERE kind <> 'edit';
-- R17 asks at every sync whose keep has come to its end.
CREATE INDEX entry_keep_end ON entry (org, keep_end) WHERE keep_end > 0;
-- R21 counts whom a source lists and who is enabled: those who are not are few.
CREATE INDEX entry_listed_disabled ON entry (org, id) WHERE claimed_by <> '' AND enabled = 0;
CREATE INDEX run_of ON run (org, of_run) WHERE of_run > 0;
CREATE INDEX run_held ON run (org, source) WHERE status = 'held';
CREATE INDEX run_digest ON run (org, source, digest) WHERE status = 'applied';
CREATE UNIQUE INDEX alert_open ON alert (org, cause) WHERE closed_at = 0;
CREATE INDEX alert_news ON alert (org, id) WHERE news > 0;

-- The second wall: whoever forgets to filter by organization sees nothing of another. The wall holds the owner of the tables too, but no superuser: such a role is
-- refused. A transaction says by foyer.org whose rows it is about; "*" lets it read those of all, for the operator's lists, and write none.
ALTER TABLE org ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON org FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON org USING (id = current_setting('foyer.org', true) AND id <> '*');
ALTER TABLE book ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON book FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON book USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE site ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON site FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON site USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE source ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON source FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON source USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE client_key ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON client_key FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON client_key USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE revoked_token ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON revoked_token FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON revoked_token USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE entry ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON entry FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON entry USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE address ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON address FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON address USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE claim_chunk ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON claim_chunk FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON claim_chunk USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE run ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON run FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON run USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE change_chunk ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON change_chunk FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON change_chunk USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE external_id ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON external_id FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON external_id USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE held_chunk ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON held_chunk FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON held_chunk USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE redo_watch ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON redo_watch FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON redo_watch USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE idempotency ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON idempotency FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON idempotency USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE erased ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON erased FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON erased USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE alert ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON alert FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON alert USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE contact ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON contact FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON contact USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE alert_mail ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON alert_mail FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON alert_mail USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE client_secret ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON client_secret FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON client_secret USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE retired_key ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON retired_key FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON retired_key USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE token_count ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON token_count FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON token_count USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE audit ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON audit FOR SELECT USING (current_setting('foyer.org', true) = '*');
-- Nothing ever changes or deletes a row of the audit: no policy lets it.
CREATE POLICY own ON audit FOR SELECT USING (org = current_setting('foyer.org', true) AND org <> '*');
CREATE POLICY noted ON audit FOR INSERT WITH CHECK (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE audit_head ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON audit_head FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON audit_head USING (org = current_setting('foyer.org', true) AND org <> '*');
