-- +goose Up
SET LOCAL lock_timeout = '5s';

-- entry_load, address_load, change_chunk_load: through them new rows of entry, address and change_chunk come in by COPY, which PostgreSQL refuses for a table with row-level security. Those three
-- are their only partitions, so they hold no rows. Nobody may do anything with them but insert, and nobody may say of which organization a row is: it is of the one that the transaction is
-- about, by default; where it is about none or all, there is no row.
--
-- A column is added to these, and the right to insert it given: the table itself gets it from there.
CREATE TABLE entry_load (LIKE entry INCLUDING DEFAULTS) PARTITION BY LIST (org);
CREATE TABLE address_load (LIKE address INCLUDING DEFAULTS) PARTITION BY LIST (org);
CREATE TABLE change_chunk_load (LIKE change_chunk INCLUDING DEFAULTS) PARTITION BY LIST (org);
ALTER TABLE entry_load ALTER org SET DEFAULT NULLIF(NULLIF(current_setting('foyer.org', true), '*'), '');
ALTER TABLE address_load ALTER org SET DEFAULT NULLIF(NULLIF(current_setting('foyer.org', true), '*'), '');
ALTER TABLE change_chunk_load ALTER org SET DEFAULT NULLIF(NULLIF(current_setting('foyer.org', true), '*'), '');
ALTER TABLE entry_load ATTACH PARTITION entry DEFAULT;
ALTER TABLE address_load ATTACH PARTITION address DEFAULT;
ALTER TABLE change_chunk_load ATTACH PARTITION change_chunk DEFAULT;

-- Roles have more rights on every new table than they may have here: the owner, and the role that migrate --app-role was told of.
-- +goose StatementBegin
DO $$
DECLARE
  load REGCLASS;
  role TEXT;
BEGIN
  FOREACH load IN ARRAY ARRAY['entry_load', 'address_load', 'change_chunk_load']::regclass[] LOOP
    EXECUTE format('GRANT INSERT ON %s TO CURRENT_USER', load); -- so that the owner's rights are listed too
    FOR role IN SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = load LOOP
      EXECUTE format('REVOKE ALL ON %s FROM %s', load, role);
      EXECUTE format('GRANT INSERT (%s) ON %s TO %s',
        (SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute WHERE attrelid = load AND attnum > 0 AND attname <> 'org'), load, role);
    END LOOP;
  END LOOP;
END $$;
-- +goose StatementEnd
