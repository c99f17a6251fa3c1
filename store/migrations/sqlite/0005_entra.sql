-- +goose Up

-- entra_connection: how each source that reads a Microsoft Entra tenant stands.
CREATE TABLE entra_connection (
  org          TEXT   NOT NULL,
  source       BIGINT NOT NULL,
  tenant       TEXT   NOT NULL,
  tenant_name  TEXT   NOT NULL,
  domains      TEXT   NOT NULL, -- JSON
  state        TEXT   NOT NULL,
  settings     TEXT   NOT NULL, -- JSON
  delta        TEXT   NOT NULL, -- where the next reading begins; '' with everybody
  people       BIGINT NOT NULL,
  problem      TEXT   NOT NULL,
  failures     BIGINT NOT NULL,
  connected_at BIGINT NOT NULL,
  checked_at   BIGINT NOT NULL,
  next_at      BIGINT NOT NULL,
  version      BIGINT NOT NULL,
  lease        TEXT   NOT NULL, -- of the process that reads it now
  leased_until BIGINT NOT NULL,
  reading      BIGINT NOT NULL, -- the number of the newest reading that is whole: rows of people of a later one are not seen
  unswept      SMALLINT NOT NULL, -- 1: there may be rows of people that nobody sees any more, or yet
  PRIMARY KEY (org, source)
) WITHOUT ROWID;

-- entra_person: whom the directory named, as it is known from the last full reading and the changes since. Only who may be listed is kept.
-- Of several rows of a person that of the newest reading counts which is whole.
CREATE TABLE entra_person (
  org        TEXT   NOT NULL,
  source     BIGINT NOT NULL,
  id         TEXT   NOT NULL, -- the object id
  mail       TEXT   NOT NULL, -- the key of the email (R1); '' for none
  manager    TEXT   NOT NULL, -- an object id; '' for none
  attributes TEXT   NOT NULL, -- JSON
  reading    BIGINT NOT NULL, -- the number of the reading that wrote it
  gone       SMALLINT NOT NULL, -- 1: since that reading the person is not there
  PRIMARY KEY (org, source, id, reading)
) WITHOUT ROWID;
CREATE INDEX entra_person_mail ON entra_person (org, mail);

-- entra_link: invitations to connect a tenant.
CREATE TABLE entra_link (
  org        TEXT     NOT NULL,
  id         BIGINT   NOT NULL,
  mac        BLOB     NOT NULL, -- HMAC of the token under the pepper
  made_for   TEXT     NOT NULL,
  any_tenant SMALLINT NOT NULL,
  shared     SMALLINT NOT NULL,
  name       TEXT     NOT NULL,
  site       BIGINT   NOT NULL,
  created_at BIGINT   NOT NULL,
  expires_at BIGINT   NOT NULL,
  used_at    BIGINT   NOT NULL,
  source     BIGINT   NOT NULL,
  PRIMARY KEY (org, id)
) WITHOUT ROWID;

-- entra_visit: who is on the way through the pages of a link. step is 'sign-in' or 'consent', with the state that Microsoft must give back, once; or 'session'.
CREATE TABLE entra_visit (
  org        TEXT   NOT NULL,
  mac        BLOB   NOT NULL, -- HMAC of the state, or of the session's cookie
  step       TEXT   NOT NULL,
  link       BIGINT NOT NULL,
  source     BIGINT NOT NULL, -- 0: nothing is bound yet
  browser    BLOB   NOT NULL, -- HMAC of the browser's cookie
  visitor    TEXT   NOT NULL, -- who signed in
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (org, mac)
) WITHOUT ROWID;

-- entra_tenant: which organization a tenant belongs to. slot is '' but where the operator shares a tenant.
CREATE TABLE entra_tenant (
  tenant TEXT   NOT NULL,
  slot   TEXT   NOT NULL,
  org    TEXT   NOT NULL,
  source BIGINT NOT NULL,
  PRIMARY KEY (tenant, slot)
) WITHOUT ROWID;

ALTER TABLE book ADD COLUMN next_link BIGINT NOT NULL DEFAULT 1;
