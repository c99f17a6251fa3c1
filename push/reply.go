package push

import (
	"fmt"
	"strings"
)

// Reply is what the server says it did with a file, or would do (docs/api.md).
type Reply struct {
	Run         string  `json:"run"` // R-81; empty of a dry run
	Status      string  `json:"status"`
	Added       int     `json:"added"`
	Updated     int     `json:"updated"`
	Disabled    int     `json:"disabled"`
	Enabled     int     `json:"enabled"`
	Unchanged   int     `json:"unchanged"`
	Skipped     int     `json:"skipped"`
	Errors      int     `json:"errors"`
	Warnings    int     `json:"warnings"`
	Problems    []Issue `json:"problems"`
	WouldBeHeld bool    `json:"would_be_held"` // of a dry run
	Message     string  `json:"message"`
	See         string  `json:"see"` // the operator's command that shows the run
}

// Issue is what was wrong with a row.
type Issue struct {
	Line    int    `json:"line"`
	Column  string `json:"column"`
	Value   string `json:"value"`
	Message string `json:"message"`
}

// Outcome returns what the reply means for the run.
func (r *Reply) Outcome() Outcome {
	if r.Status == "held" || r.WouldBeHeld {
		return Held
	}
	return Applied
}

// shownIssues is how many problems of rows Text shows.
const shownIssues = 20

// Text returns the reply for a person: the sum first.
func (r *Reply) Text() string {
	var b strings.Builder
	counts := fmt.Sprintf("added=%d updated=%d disabled=%d enabled=%d unchanged=%d skipped=%d errors=%d warnings=%d",
		r.Added, r.Updated, r.Disabled, r.Enabled, r.Unchanged, r.Skipped, r.Errors, r.Warnings)
	switch {
	case r.WouldBeHeld:
		fmt.Fprintf(&b, "DRY RUN would be HELD: %s\nIt would have: %s\n", r.Message, counts)
	case r.Run == "":
		fmt.Fprintf(&b, "DRY RUN would have: %s\n", counts)
	case r.Outcome() == Held:
		fmt.Fprintf(&b, "HELD run=%s %s\nIt would have: %s\n", r.Run, r.Message, counts)
	default:
		fmt.Fprintf(&b, "OK run=%s %s\n", r.Run, counts)
	}
	if r.Message != "" && r.Outcome() != Held {
		fmt.Fprintln(&b, r.Message)
	}
	for i, p := range r.Problems {
		if i == shownIssues {
			fmt.Fprintf(&b, "and %d more\n", max(r.Errors+r.Warnings, len(r.Problems))-shownIssues)
			break
		}
		fmt.Fprintln(&b, p.text())
	}
	switch {
	case r.Run == "":
		b.WriteString("Nothing was changed.\n")
	case r.Outcome() == Held:
		fmt.Fprintf(&b, "A person has to decide; the server's operator sees whom it is about: %s\n", r.See)
	default:
		fmt.Fprintf(&b, "The server's operator sees more: %s\n", r.See)
	}
	return b.String()
}

// text returns the problem as one line: where, what was found, what is wrong with it.
func (p Issue) text() string {
	where := "the file"
	if p.Line > 0 {
		where = fmt.Sprintf("line %d", p.Line)
	}
	if p.Column != "" {
		where += ": " + p.Column
		if p.Value != "" {
			where += fmt.Sprintf(" %q", p.Value)
		}
	}
	return strings.ReplaceAll(where+": "+p.Message, "\n", " ")
}
