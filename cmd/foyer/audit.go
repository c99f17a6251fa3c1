package main

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	"foyer"
	"foyer/store"
)

type auditCmd struct {
	List   auditListCmd   `cmd:"" help:"List the acts, the oldest first."`
	Export auditExportCmd `cmd:"" help:"Print the acts as JSON, one on each line, with what chains them."`
	Verify auditVerifyCmd `cmd:"" help:"Check that no act was altered, left out, put in, or cut off."`
}

type auditJSON struct {
	Seq     int64   `json:"seq"`
	At      *string `json:"at"`
	Actor   string  `json:"actor"`
	Address string  `json:"address"`
	Act     string  `json:"act"`
	Target  string  `json:"target"`
	Detail  string  `json:"detail"`
	MAC     string  `json:"mac"`
}

func toAuditJSON(a *foyer.Audit) auditJSON {
	return auditJSON{a.Seq, stamp(a.At), a.Actor, a.Address, a.Act, a.Target, a.Detail, hex.EncodeToString(a.MAC)}
}

type auditListCmd struct{ orgFlag }

// Run lists the acts.
func (c *auditListCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		out, rows := []auditJSON{}, [][]string{}
		err := o.Audit(a.ctx, o.operator, org.ID, func(x *foyer.Audit) error {
			out = append(out, toAuditJSON(x))
			rows = append(rows, []string{strconv.FormatInt(x.Seq, 10), when(x.At), x.Actor, dash(x.Address), x.Act, dash(x.Target), dash(x.Detail)})
			return nil
		})
		if err != nil {
			return err
		}
		if a.cli.JSON {
			return a.json(out)
		}
		return a.table("NO,AT,WHO,FROM,ACT,ON,DETAIL", rows)
	})
}

type auditExportCmd struct{ orgFlag }

// Run exports the acts.
func (c *auditExportCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		line := json.NewEncoder(a.out)
		return o.Audit(a.ctx, o.operator, org.ID, func(x *foyer.Audit) error { return line.Encode(toAuditJSON(x)) })
	})
}

type auditVerifyCmd struct {
	Org  string   `help:"Name or slug of the organization; otherwise all." placeholder:"ORG" env:"FOYER_ORG"`
	Head []string `help:"What the log of the server has of its head, as SEQ:MAC; may be given more than once. Needs --org." placeholder:"SEQ:MAC"`
}

// Run checks the audit.
func (c *auditVerifyCmd) Run(a *app) error {
	heads, err := parseHeads(c.Head)
	if err == nil && len(heads) > 0 && c.Org == "" {
		err = foyer.Errorf(foyer.Invalid, "--head needs --org")
	}
	if err != nil {
		return err
	}
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	var orgs []foyer.Org
	if c.Org == "" {
		orgs, err = o.Orgs(a.ctx, o.operator)
	} else {
		orgs = make([]foyer.Org, 1)
		orgs[0], err = o.FindOrg(a.ctx, o.operator, c.Org)
	}
	if err != nil {
		return err
	}
	out := []map[string]any{}
	for _, org := range orgs {
		rows, err := o.VerifyAudit(a.ctx, o.operator, org.ID, heads...)
		if err != nil {
			return foyer.Errorf(foyer.KindOf(err), "%s: %v", org.Slug, err)
		}
		out = append(out, map[string]any{"org": org.Slug, "rows": rows})
		a.printf("%s: %d acts, all as they were noted.", org.Slug, rows)
	}
	if a.cli.JSON {
		return a.json(out)
	}
	return nil
}

func parseHeads(texts []string) (heads []store.AuditHead, err error) {
	for _, text := range texts {
		number, mac, ok := strings.Cut(text, ":")
		seq, err := strconv.ParseInt(number, 10, 64)
		if !ok || err != nil || seq < 1 {
			return nil, foyer.Errorf(foyer.Invalid, "%q is no head; write what the log has as seq and mac: 17:ab12…", text)
		}
		heads = append(heads, store.AuditHead{Seq: seq, MAC: strings.ToLower(mac)})
	}
	return heads, nil
}
