package server

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"foyer"
)

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
		writeJSON(w, "application/json", p.status(), p.json())
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=us-ascii")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.status())
	io.WriteString(w, ascii(p.text()))
}

// held tells whether the run waits for a person, or would.
func (p report) held() bool { return p.run.Hold != nil }

// status returns 202 where what was sent is kept for a person to decide, else 200.
func (p report) status() int {
	if p.held() && !p.dry {
		return http.StatusAccepted
	}
	return http.StatusOK
}

// text returns the reply for a person, the sum first.
func (p report) text() string {
	c := p.run.Counts
	var b strings.Builder
	b.WriteString(p.firstLine())
	if p.held() {
		p.writeHold(&b)
	} else if p.run.Message != "" {
		fmt.Fprintf(&b, "%s\n", p.run.Message)
	}
	for i, problem := range p.run.Problems {
		if i == shownProblems {
			fmt.Fprintf(&b, "and %d more\n", c.Errors+c.Warnings-shownProblems)
			break
		}
		fmt.Fprintln(&b, strings.ReplaceAll(problem.String(), "\n", " "))
	}
	switch {
	case p.dry:
		b.WriteString("Nothing was changed.\n")
	case p.held():
		fmt.Fprintf(&b, "Decide: %s, then foyer run approve or reject; it waits until %s.\n", p.see(), p.run.Hold.Expires.UTC().Format(time.DateOnly))
	default:
		fmt.Fprintf(&b, "See: %s\n", p.see())
	}
	return b.String()
}

func (p report) firstLine() string {
	switch {
	case p.held() && p.dry:
		return "DRY RUN would be HELD: " + strings.Join(p.run.Hold.Reasons, "; ") + ".\n"
	case p.held():
		return "HELD run=" + p.run.ID.String() + " " + strings.Join(p.run.Hold.Reasons, "; ") + ". Nothing changed.\n"
	case p.dry:
		return p.sum("DRY RUN would add=%d update=%d disable=%d enable=%d unchanged=%d skipped=%d errors=%d warnings=%d\n")
	}
	return p.sum("OK run=" + p.run.ID.String() + " added=%d updated=%d disabled=%d enabled=%d unchanged=%d skipped=%d errors=%d warnings=%d\n")
}

func (p report) sum(format string) string {
	c := p.run.Counts
	return fmt.Sprintf(format, c.Added, c.Updated, c.Disabled, c.Enabled, c.Unchanged, c.Skipped, c.Errors, c.Warnings)
}

// writeHold says what a held run would do, and what those have in common whom it would take away.
func (p report) writeHold(b *strings.Builder) {
	b.WriteString(p.sum("It would add %d, update %d, disable %d, enable %d; unchanged=%d skipped=%d errors=%d warnings=%d\n"))
	hold := p.run.Hold
	for i, group := range hold.Shared {
		if i == 3 || group.Count*2 <= hold.Lost {
			break // the reply shows what most of them share
		}
		fmt.Fprintf(b, "%d of %d are of the %s %s.\n", group.Count, hold.Lost, group.By, group.Value)
	}
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
	Held      bool          `json:"would_be_held,omitempty"` // of a dry run
	Message   string        `json:"message,omitempty"`
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
		Skipped: c.Skipped, Errors: c.Errors, Warnings: c.Warnings, Problems: []problemJSON{}, Message: p.run.Message, See: p.see(),
	}
	if p.dry {
		out.Status, out.Held = "dry_run", p.held()
	} else {
		out.Run = p.run.ID.String()
	}
	for _, problem := range p.run.Problems {
		out.Problems = append(out.Problems, problemJSON{problem.Line, problem.Column, problem.Value, problem.Message})
	}
	return out
}
