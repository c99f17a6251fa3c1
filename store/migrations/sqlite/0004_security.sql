-- +goose Up

-- client_secret: the secrets of a key. While a key is rotated two of them live.
CREATE TABLE client_secret (
  org          TEXT   NOT NULL,
  key          TEXT   NOT NULL,
  number       BIGINT NOT NULL,
  mac          BLOB   NOT NULL, -- HMAC of the secret under the pepper
  created_at   BIGINT NOT NULL,
  expires_at   BIGINT NOT NULL, -- 0: with the key
  last_used    BIGINT NOT NULL,
  last_address TEXT   NOT NULL,
  last_agent   TEXT   NOT NULL,
  PRIMARY KEY (org, key, number)
) WITHOUT ROWID;
INSERT INTO client_secret (org, key, number, mac, created_at, expires_at, last_used, last_address, last_agent)
  SELECT org, id, 1, secret_mac, created_at, 0, last_used, '', '' FROM client_key;
ALTER TABLE client_key DROP COLUMN secret_mac;
ALTER TABLE client_key DROP COLUMN last_used;

-- From where keys may be used: JSON arrays of CIDR prefixes; empty: from anywhere.
ALTER TABLE client_key ADD COLUMN allow          TEXT     NOT NULL DEFAULT '[]';
ALTER TABLE client_key ADD COLUMN allow_log_only SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE org        ADD COLUMN allow          TEXT     NOT NULL DEFAULT '[]';
ALTER TABLE org        ADD COLUMN allow_log_only SMALLINT NOT NULL DEFAULT 0;

-- retired_key: ids of keys that were deleted. None is ever issued again.
CREATE TABLE retired_key (
  org TEXT NOT NULL,
  id  TEXT NOT NULL,
  PRIMARY KEY (org, id)
) WITHOUT ROWID;

-- token_count: how many tokens were issued and refused, by key, address and minute. It is what the audit has of them: a row each would let anybody fill the disk.
CREATE TABLE token_count (
  org       TEXT   NOT NULL,
  key       TEXT   NOT NULL,
  minute    BIGINT NOT NULL, -- since 1970
  address   TEXT   NOT NULL, -- 'others' where there were too many
  issued    BIGINT NOT NULL,
  refused   BIGINT NOT NULL,
  PRIMARY KEY (org, key, minute, address)
) WITHOUT ROWID;

-- audit: whatever changed something, or showed a secret. Each row's mac covers the row and the mac before it, so that none can be altered, left out or put in
-- between unnoticed; audit_head says which is the last, so that the end cannot be cut off. Nothing ever changes or deletes a row.
CREATE TABLE audit (
  org     TEXT   NOT NULL,
  seq     BIGINT NOT NULL,
  at      BIGINT NOT NULL,
  actor   TEXT   NOT NULL,
  address TEXT   NOT NULL,
  act     TEXT   NOT NULL,
  target  TEXT   NOT NULL,
  detail  TEXT   NOT NULL,
  mac     BLOB   NOT NULL,
  PRIMARY KEY (org, seq)
);
CREATE TABLE audit_head (
  org  TEXT   NOT NULL PRIMARY KEY,
  seq  BIGINT NOT NULL,
  mac  BLOB   NOT NULL, -- of the last row
  seal BLOB   NOT NULL  -- HMAC of organization, seq and mac
);
-- +goose StatementBegin
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is not changed'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is not deleted from'); END;
-- +goose StatementEnd
