package pages

import (
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"foyer"
)

// functions are what the templates say things with.
var functions = template.FuncMap{
	"at": at, "button": newButton, "counts": counts, "interval": interval, "number": number, "plural": plural, "sentence": sentence, "steps": steps,
	"siteID": func(id foyer.SiteID) int64 { return int64(id) },
	"until":  func(end, now time.Time) string { return relative(end.Sub(now)) },
}

// number writes a number with a separator at each third digit.
func number(n int) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// sentence writes a message as one: messages begin in lower case and end without a stop.
func sentence(message string) string {
	message = strings.TrimSpace(message)
	first, size := utf8.DecodeRuneInString(message)
	if message == "" {
		return ""
	}
	message = string(unicode.ToUpper(first)) + message[size:]
	if strings.ContainsAny(message[len(message)-1:], ".!?") {
		return message
	}
	return message + "."
}

// moment is a time, and how far it is.
type moment struct {
	UTC   time.Time
	Words string
}

func at(t, now time.Time) moment { return moment{t.UTC(), relative(t.Sub(now))} }

// relative says how far a moment is: "in 22 minutes", "3 hours ago".
func relative(d time.Duration) string {
	if d.Abs() < 45*time.Second {
		if d <= 0 {
			return "just now"
		}
		return "in a moment"
	}
	words := span(d.Abs())
	if d < 0 {
		return words + " ago"
	}
	return "in " + words
}

// span says a duration in its largest unit that is at least two, or one.
func span(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}} {
		if n := int((d + unit.length/2) / unit.length); n >= 2 {
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	n := max(1, int((d+30*time.Second)/time.Minute))
	return fmt.Sprintf("%d %s", n, plural(n, "minute", "minutes"))
}

// interval says how often: "30 minutes", "hour", "6 hours".
func interval(d time.Duration) string {
	switch {
	case d == time.Hour:
		return "hour"
	case d == 24*time.Hour:
		return "day"
	case d%time.Hour == 0:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return d.String()
}

// counts says what a run did, without what it did not.
func counts(c foyer.Counts) string {
	var parts []string
	for _, one := range []struct {
		n    int
		name string
	}{{c.Added, "added"}, {c.Updated, "changed"}, {c.Enabled, "enabled again"}, {c.Disabled, "disabled"}, {c.Removed, "taken back"}} {
		if one.n > 0 {
			parts = append(parts, number(one.n)+" "+one.name)
		}
	}
	if len(parts) == 0 {
		return "nothing to change"
	}
	return strings.Join(parts, ", ")
}

// step is one of the steps on the way to a connection.
type step struct{ Name, State string }

// steps are all of them, of which the nth is the one to take now.
func steps(n int) []step {
	all := []step{{Name: "Invitation"}, {Name: "Permission"}, {Name: "Reading"}, {Name: "Review"}, {Name: "In step"}}
	for i := range all {
		switch {
		case i < n:
			all[i].State = "done"
		case i == n:
			all[i].State = "now"
		default:
			all[i].State = "next"
		}
	}
	return all
}

// button is a button that sends an act. Version is of what was seen before it was pressed; 0: it does not matter.
type button struct {
	Act, Name, Class string
	Version          int64
}

func newButton(act, name, class string, version any) button {
	b := button{Act: act, Name: name, Class: class}
	if v, ok := version.(int64); ok {
		b.Version = v
	}
	return b
}
