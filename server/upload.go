package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"foyer"
	"foyer/csvfile"
	"foyer/reconcile"
)

// upload answers POST /addressbook/uploadcsv: it authenticates, reads the file to its end, applies it, and replies.
func (s *Server) upload(w http.ResponseWriter, r *http.Request) error {
	r = r.WithContext(context.WithoutCancel(r.Context())) // a client that hangs up undoes nothing (R18)
	caller, err := s.authenticate(r)
	if err == nil {
		if err = caller.MaySync(caller.Org, caller.Source); err != nil {
			err = &scopeError{&failure{foyer.Errorf(foyer.Forbidden, "%v", err)}}
		}
	}
	if err != nil {
		drain(r)
		return err
	}
	entry := logOf(r)
	entry.caller = caller.Name
	d := reconcile.Delivery{Org: caller.Org, Source: caller.Source, DryRun: isDryRun(r), Strict: strings.Contains(r.Header.Get("Prefer"), "handling=strict")}
	file, err := s.receive(r)
	if err != nil {
		drain(r)
		return s.refuse(r, caller, d, err)
	}
	defer file.Close()
	d.Digest, d.Spill.Dir = file.digest.Sum(nil), s.SpoolDir
	d.Input = func(source *foyer.Source) reconcile.Input {
		return &csvInput{file: file, options: csvfile.Options{Windows1252: source.Windows1252, Headers: source.Headers, Limits: s.Limits.CSV}}
	}
	run, err := reconcile.Run(r.Context(), s.Store, caller, d)
	if err != nil {
		if run != nil && run.ID != 0 {
			entry.run = run.ID.String()
		}
		return err
	}
	if !d.DryRun {
		entry.run = run.ID.String()
	}
	org, err := s.Store.OrgOf(r.Context(), caller)
	if err != nil {
		return err
	}
	s.reply(w, r, report{org: org.Slug, run: run, dry: d.DryRun})
	return nil
}

// refuse records that what was sent is no file, unless it was only to be tried.
func (s *Server) refuse(r *http.Request, caller foyer.Caller, d reconcile.Delivery, reason error) error {
	if d.DryRun || foyer.KindOf(reason) == foyer.Busy || foyer.KindOf(reason) == foyer.Internal {
		return reason
	}
	run := &foyer.Run{Kind: foyer.Sync, Source: d.Source, Actor: caller.Name, Address: caller.Address.String(), Started: s.Store.Now()}
	run, err := reconcile.Refuse(r.Context(), s.Store, caller, d.Org, run, reason)
	if run != nil && run.ID != 0 {
		logOf(r).run = run.ID.String()
	}
	return err
}

func isDryRun(r *http.Request) bool {
	switch strings.ToLower(r.URL.Query().Get("dry_run")) {
	case "1", "true", "yes":
		return true
	}
	return false
}

// authenticate returns who presents the bearer token of a request (RFC 6750 §2.1).
func (s *Server) authenticate(r *http.Request) (foyer.Caller, error) {
	token := bearer(r)
	if token == "" {
		return foyer.Caller{}, foyer.Errorf(foyer.Unauthenticated, "send Authorization: Bearer and a token from /auth/connect/token")
	}
	return s.Authority.Caller(r.Context(), token, s.clientAddress(r))
}

// bearer returns the bearer token of a request; "" where it has none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// csvInput is an uploaded file as rows.
type csvInput struct {
	file    *spool
	options csvfile.Options
}

// Rows implements reconcile.Input.
func (in *csvInput) Rows(yield func(*foyer.Row) error) ([]foyer.Problem, error) {
	return csvfile.Rows(in.file.reader(), &in.file.sniffer, in.options, yield)
}

// report is a run as its sender is told of it.
type report struct {
	org string // slug
	run *foyer.Run
	dry bool
}

// shownProblems is how many problems a reply in plain text shows.
const shownProblems = 20

func (s *Server) reply(w http.ResponseWriter, r *http.Request, p report) {
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		writeJSON(w, "application/json", http.StatusOK, p.json())
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=us-ascii")
	w.Header().Set("Cache-Control", "no-store")
	io.WriteString(w, ascii(p.text()))
}

// text returns the reply for a person, the sum first.
func (p report) text() string {
	c := p.run.Counts
	var b strings.Builder
	format := "OK run=" + p.run.ID.String() + " added=%d updated=%d disabled=%d enabled=%d unchanged=%d skipped=%d errors=%d warnings=%d\n"
	if p.dry {
		format = "DRY RUN would add=%d update=%d disable=%d enable=%d unchanged=%d skipped=%d errors=%d warnings=%d\n"
	}
	fmt.Fprintf(&b, format, c.Added, c.Updated, c.Disabled, c.Enabled, c.Unchanged, c.Skipped, c.Errors, c.Warnings)
	for i, problem := range p.run.Problems {
		if i == shownProblems {
			fmt.Fprintf(&b, "and %d more\n", c.Errors+c.Warnings-shownProblems)
			break
		}
		fmt.Fprintln(&b, strings.ReplaceAll(problem.String(), "\n", " "))
	}
	if p.dry {
		b.WriteString("Nothing was changed.\n")
	} else {
		fmt.Fprintf(&b, "See: %s\n", p.see())
	}
	return b.String()
}

// see says where the run can be looked at.
func (p report) see() string {
	if p.dry {
		return ""
	}
	return fmt.Sprintf("foyer run show --org %s %v", p.org, p.run.ID)
}

// reportJSON is the reply for a program.
type reportJSON struct {
	Run       string        `json:"run,omitempty"`
	Status    string        `json:"status"`
	Added     int           `json:"added"`
	Updated   int           `json:"updated"`
	Disabled  int           `json:"disabled"`
	Enabled   int           `json:"enabled"`
	Unchanged int           `json:"unchanged"`
	Skipped   int           `json:"skipped"`
	Errors    int           `json:"errors"`
	Warnings  int           `json:"warnings"`
	Problems  []problemJSON `json:"problems"`
	See       string        `json:"see,omitempty"`
}

type problemJSON struct {
	Line    int    `json:"line"`
	Column  string `json:"column"`
	Value   string `json:"value"`
	Message string `json:"message"`
}

func (p report) json() reportJSON {
	c := p.run.Counts
	out := reportJSON{
		Status: string(p.run.Status), Added: c.Added, Updated: c.Updated, Disabled: c.Disabled, Enabled: c.Enabled, Unchanged: c.Unchanged,
		Skipped: c.Skipped, Errors: c.Errors, Warnings: c.Warnings, Problems: []problemJSON{}, See: p.see(),
	}
	if p.dry {
		out.Status = "dry_run"
	} else {
		out.Run = p.run.ID.String()
	}
	for _, problem := range p.run.Problems {
		out.Problems = append(out.Problems, problemJSON{problem.Line, problem.Column, problem.Value, problem.Message})
	}
	return out
}
