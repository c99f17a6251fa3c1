-- +goose Up
SET LOCAL lock_timeout = '5s';

-- Through the tables of the schema "…_load" (public_load, where these tables are in public) new rows of entry, address and change_chunk come in by COPY, which PostgreSQL refuses for a table with
-- row-level security. Each has the one of its name as its only partition, so it holds no rows. Nobody may do anything with it but insert, and nobody may say of which organization a row is:
-- it is of the one that the transaction is about, by default; where it is about none or all, there is no row.
--
-- A column of these three is added there, and the right to insert it given: the table here gets it from there. A schema of their own keeps them from what is granted, or looked for, in all tables of this one.
-- +goose StatementBegin
DO $$
DECLARE
  doors NAME := current_schema() || '_load';
  door TEXT;
  rows REGCLASS;
  role TEXT;
BEGIN
  IF to_regnamespace(quote_ident(doors)) IS NULL THEN
    EXECUTE format('CREATE SCHEMA %I', doors);
  END IF;
  EXECUTE format('COMMENT ON SCHEMA %I IS %L', doors, 'Foyer: the way in for COPY. Dropping a table of it drops the one with the rows: detach that first.');
  FOREACH rows IN ARRAY ARRAY['entry', 'address', 'change_chunk']::regclass[] LOOP
    SELECT format('%I.%I', doors, relname) INTO door FROM pg_class WHERE oid = rows;
    EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS) PARTITION BY LIST (org)', door, rows);
    EXECUTE format('ALTER TABLE %s ALTER org SET DEFAULT NULLIF(NULLIF(current_setting(''foyer.org'', true), ''*''), '''')', door);
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s DEFAULT', door, rows);
    EXECUTE format('REVOKE ALL ON %s FROM CURRENT_USER', door); -- so that all rights are listed
    FOR role IN SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = door::regclass LOOP
      EXECUTE format('REVOKE ALL ON %s FROM %s', door, role); -- by default it had them
    END LOOP;
    FOR role IN SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
      FROM pg_class c, aclexplode(COALESCE(c.relacl, acldefault('r', c.relowner))) a WHERE c.oid = rows AND a.privilege_type = 'INSERT' LOOP
      EXECUTE format('GRANT USAGE ON SCHEMA %I TO %s', doors, role);
      EXECUTE format('GRANT INSERT (%s) ON %s TO %s',
        (SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute WHERE attrelid = rows AND attnum > 0 AND NOT attisdropped AND attname <> 'org'), door, role);
    END LOOP;
  END LOOP;
END $$;
-- +goose StatementEnd
