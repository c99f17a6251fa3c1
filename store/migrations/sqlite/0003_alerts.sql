-- +goose Up

ALTER TABLE source ADD COLUMN expect BIGINT NOT NULL DEFAULT 0; -- milliseconds; 0: the default, -1: never missed (R27)
ALTER TABLE book ADD COLUMN next_alert BIGINT NOT NULL DEFAULT 1;

-- alert: something that a person should know of, for as long as it lasts (R27). At most one is open of each cause.
CREATE TABLE alert (
  org       TEXT     NOT NULL,
  id        BIGINT   NOT NULL,
  cause     TEXT     NOT NULL,
  kind      TEXT     NOT NULL,
  source    BIGINT   NOT NULL, -- 0: of no source
  run       BIGINT   NOT NULL, -- 0: of no run
  key_id    TEXT     NOT NULL, -- '': of no key
  opened_at BIGINT   NOT NULL,
  seen_at   BIGINT   NOT NULL, -- when the cause showed last
  closed_at BIGINT   NOT NULL, -- 0: it is open
  mailed_at BIGINT   NOT NULL,
  title     TEXT     NOT NULL,
  message   TEXT     NOT NULL,
  cure      TEXT     NOT NULL,
  ending    TEXT     NOT NULL,
  news      SMALLINT NOT NULL, -- what nobody was told of yet: 1 that it opened, 2 that it is over, 3 both
  PRIMARY KEY (org, id)
);
CREATE UNIQUE INDEX alert_open ON alert (org, cause) WHERE closed_at = 0;
CREATE INDEX alert_news ON alert (org, id) WHERE news > 0;

-- contact: whom the alerts of an organization are mailed to.
CREATE TABLE contact (
  org        TEXT   NOT NULL,
  mailbox    TEXT   NOT NULL, -- the email's key (R1)
  email      TEXT   NOT NULL,
  name       TEXT   NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (org, mailbox)
) WITHOUT ROWID;

-- alert_mail: a message about an alert that is still to be sent to a contact. It goes once it is sent, or given up.
CREATE TABLE alert_mail (
  org      TEXT     NOT NULL,
  alert    BIGINT   NOT NULL,
  over     SMALLINT NOT NULL, -- 0: that it opened, 1: that it is over
  mailbox  TEXT     NOT NULL,
  made_at  BIGINT   NOT NULL,
  attempts BIGINT   NOT NULL,
  next_try BIGINT   NOT NULL, -- before it the message belongs to whoever tries to send it
  PRIMARY KEY (org, alert, over, mailbox)
) WITHOUT ROWID;
