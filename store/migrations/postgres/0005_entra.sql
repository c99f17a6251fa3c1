-- +goose Up

-- entra_connection: how each source that reads a Microsoft Entra tenant stands.
CREATE TABLE entra_connection (
  org TEXT COLLATE "C" NOT NULL,
  source BIGINT NOT NULL,
  tenant TEXT COLLATE "C" NOT NULL,
  tenant_name TEXT COLLATE "C" NOT NULL,
  domains TEXT COLLATE "C" NOT NULL, -- JSON
  state TEXT COLLATE "C" NOT NULL,
  settings TEXT COLLATE "C" NOT NULL, -- JSON
  delta TEXT COLLATE "C" NOT NULL, -- where the next reading begins; '' with everybody
  people BIGINT NOT NULL,
  problem TEXT COLLATE "C" NOT NULL,
  failures BIGINT NOT NULL,
  connected_at BIGINT NOT NULL,
  checked_at BIGINT NOT NULL,
  next_at BIGINT NOT NULL,
  version BIGINT NOT NULL,
  lease TEXT COLLATE "C" NOT NULL, -- of the process that reads it now
  leased_until BIGINT NOT NULL,
  reading BIGINT NOT NULL, -- the number of the newest reading that is whole: rows of people of a later one are not seen
  unswept SMALLINT NOT NULL, -- 1: there may be rows of people that nobody sees any more, or yet
  PRIMARY KEY (org, source)
);

-- entra_person: whom the directory named, as it is known from the last full reading and the changes since. Only who may be listed is kept.
-- Of several rows of a person that of the newest reading counts which is whole.
CREATE TABLE entra_person (
  org TEXT COLLATE "C" NOT NULL,
  source BIGINT NOT NULL,
  id TEXT COLLATE "C" NOT NULL, -- the object id
  mail TEXT COLLATE "C" NOT NULL, -- the key of the email (R1); '' for none
  manager TEXT COLLATE "C" NOT NULL, -- an object id; '' for none
  attributes TEXT COLLATE "C" NOT NULL, -- JSON
  reading BIGINT NOT NULL, -- the number of the reading that wrote it
  gone SMALLINT NOT NULL, -- 1: since that reading the person is not there
  PRIMARY KEY (org, source, id, reading)
);
CREATE INDEX entra_person_mail ON entra_person (org, mail);

-- entra_link: invitations to connect a tenant.
CREATE TABLE entra_link (
  org TEXT COLLATE "C" NOT NULL,
  id BIGINT NOT NULL,
  mac BYTEA NOT NULL, -- HMAC of the token under the pepper
  made_for TEXT COLLATE "C" NOT NULL,
  any_tenant SMALLINT NOT NULL,
  shared SMALLINT NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  site BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT NOT NULL,
  source BIGINT NOT NULL,
  PRIMARY KEY (org, id)
);

-- entra_visit: who is on the way through the pages of a link. step is 'sign-in' or 'consent', with the state that Microsoft must give back, once; or 'session'.
CREATE TABLE entra_visit (
  org TEXT COLLATE "C" NOT NULL,
  mac BYTEA NOT NULL, -- HMAC of the state, or of the session's cookie
  step TEXT COLLATE "C" NOT NULL,
  link BIGINT NOT NULL,
  source BIGINT NOT NULL, -- 0: nothing is bound yet
  browser BYTEA NOT NULL, -- HMAC of the browser's cookie
  visitor TEXT COLLATE "C" NOT NULL, -- who signed in
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (org, mac)
);

-- entra_tenant: which organization a tenant belongs to. slot is '' but where the operator shares a tenant.
CREATE TABLE entra_tenant (
  tenant TEXT COLLATE "C" NOT NULL,
  slot TEXT COLLATE "C" NOT NULL,
  org TEXT COLLATE "C" NOT NULL,
  source BIGINT NOT NULL,
  PRIMARY KEY (tenant, slot)
);

ALTER TABLE book ADD COLUMN next_link BIGINT NOT NULL DEFAULT 1;

ALTER TABLE entra_connection ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON entra_connection FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON entra_connection USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE entra_person ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON entra_person FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON entra_person USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE entra_link ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON entra_link FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON entra_link USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE entra_visit ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON entra_visit FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON entra_visit USING (org = current_setting('foyer.org', true) AND org <> '*');
ALTER TABLE entra_tenant ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY listed ON entra_tenant FOR SELECT USING (current_setting('foyer.org', true) = '*');
CREATE POLICY own ON entra_tenant USING (org = current_setting('foyer.org', true) AND org <> '*');
