package store

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"foyer"
)

// runAlert returns the alert that a refused, held or failed run raises.
func runAlert(kind foyer.AlertKind, o foyer.Org, source foyer.Source, r *foyer.Run) foyer.Alert {
	a := sourceAlert(kind, source, r.ID, r.Finished)
	reason := strings.TrimSuffix(withoutRows(r.Message), "; nothing was changed")
	if kind == foyer.AlertRefused {
		if r.Refusal != nil && r.Refusal.Column != "" {
			reason = strings.Replace(reason, ", column "+r.Refusal.Column+":", ":", 1)
		}
		reason = withoutValues(reason)
	}
	show := fmt.Sprintf("foyer run show --org %s %v", o.Slug, r.ID)
	switch kind {
	case foyer.AlertHeld:
		a.Title = fmt.Sprintf("sync of %q held: %s", source.Name, brief(reason))
		a.Message = fmt.Sprintf("The %s %v of the source %q waits for a decision, and has changed nothing: it %s.%s", r.Kind, r.ID, source.Name, reason, sharedText(r.Hold))
		a.Cure = fmt.Sprintf("See whom it concerns: %s\nThen approve or reject it: foyer run approve --org %s %v, or foyer run reject --org %s %v. A newer sync of the source replaces it, and after 7 days it lapses.",
			show, o.Slug, r.ID, o.Slug, r.ID)
	case foyer.AlertFailed:
		a.Title = fmt.Sprintf("sync of %q failed: %s", source.Name, brief(reason))
		a.Message = fmt.Sprintf("The sync %v of the source %q failed; nothing was changed: %s", r.ID, source.Name, reason)
		a.Cure = "See what it says: " + show
	default:
		a.Title = fmt.Sprintf("sync of %q refused: %s", source.Name, brief(reason))
		a.Message = fmt.Sprintf("What the source %q sent in %v was refused; nothing was changed: %s", source.Name, r.ID, reason)
		a.Cure = "Correct the export and send the file again; this shows what is wrong: " + show
		if r.Refusal != nil && r.Refusal.Kind == foyer.Forbidden {
			a.Cure = "The file is not at fault: the key or its source may not deliver it. See: " + show
		}
	}
	return a
}

// replayAlert returns the alert that a run applied an old file.
func replayAlert(o foyer.Org, source foyer.Source, r *foyer.Run, earlier foyer.RunID, at time.Time) foyer.Alert {
	a := sourceAlert(foyer.AlertReplayed, source, r.ID, at)
	a.Title = fmt.Sprintf("an old file of %q was applied again", source.Name)
	a.Message = fmt.Sprintf("%v applied the very file of %q that %v had applied, though newer ones were applied in between: the book may have gone back to an older state.", r.ID, source.Name, earlier)
	a.Cure = fmt.Sprintf("See what changed, and have the newest file sent again where this one was sent by mistake: foyer run show --org %s %v", o.Slug, r.ID)
	return a
}

// redoneAlert returns the alert that a run did again what an undo had put back.
func redoneAlert(o foyer.Org, source foyer.Source, r *foyer.Run) foyer.Alert {
	a := sourceAlert(foyer.AlertRedone, source, r.ID, r.Finished)
	a.Title = fmt.Sprintf("%q did again what %v had undone", source.Name, r.Redoes)
	a.Message = fmt.Sprintf("%v of the source %q did again what %v had put back. An earlier run that would have done so was held, and nobody decided on it.", r.ID, source.Name, r.Redoes)
	a.Cure = fmt.Sprintf("If it was right to undo it, undo this run too, and correct the export: foyer run undo --org %s %v", o.Slug, r.ID)
	return a
}

// silentAlert returns the alert that a source was expected to sync and did not. run is its last sync, 0 where it never did.
func silentAlert(o foyer.Org, source foyer.Source, run foyer.RunID, synced, now time.Time) foyer.Alert {
	a := sourceAlert(foyer.AlertSilent, source, run, now)
	a.Title = fmt.Sprintf("no sync of %q for more than %s", source.Name, interval(source.Interval()))
	since := fmt.Sprintf("never synced since it was made on %s", stamp(source.CreatedAt))
	if run != 0 {
		since = fmt.Sprintf("synced last on %s (%v)", stamp(synced), run)
	}
	a.Message = fmt.Sprintf("The source %q is expected to sync every %s, and %s.", source.Name, interval(source.Interval()), since)
	a.Cure = fmt.Sprintf("See whether the script still runs where it should and what it prints; this shows what arrived: foyer run list --org %s", o.Slug)
	return a
}

// expiryAlert returns the alert that a key ends within so many days.
func expiryAlert(o foyer.Org, source string, k foyer.Key, days int, now time.Time) foyer.Alert {
	unit := "days"
	if days == 1 {
		unit = "day"
	}
	return foyer.Alert{
		Cause: expiryCause(k.ID, days), Kind: foyer.AlertKeyExpires, Source: k.Source, Key: k.ID, Opened: now,
		Title:   fmt.Sprintf("the key %s ends within %d %s", keyName(k), days, unit),
		Message: fmt.Sprintf("The key %s of the source %q ends on %s. From then on what uses it is refused.", keyName(k), source, stamp(k.ExpiresAt)),
		Cure: fmt.Sprintf("Make another key, put it into the script, and revoke this one once the script uses the new one: foyer key create --org %s --source %q",
			o.Slug, source),
	}
}

// endedAlert returns the alert that a key was used after its end.
func endedAlert(o foyer.Org, source string, k foyer.Key, secret int, now time.Time) foyer.Alert {
	end := "expired on " + stamp(k.ExpiresAt)
	switch {
	case !k.RevokedAt.IsZero():
		end = "was revoked on " + stamp(k.RevokedAt)
	case k.Live(now):
		end = fmt.Sprintf("was rotated: its secret %d has ended", secret)
	}
	return foyer.Alert{
		Cause: string(foyer.AlertKeyEnded) + ":" + string(k.ID), Kind: foyer.AlertKeyEnded, Source: k.Source, Key: k.ID, Opened: now,
		Title:   fmt.Sprintf("the key %s was used after its end", keyName(k)),
		Message: fmt.Sprintf("Somebody who knows its secret used the key %s of the source %q, which %s, and was refused: a script still has it, or somebody has who should not.", keyName(k), source, end),
		Cure:    fmt.Sprintf("If it is a script of yours, give it a new key: foyer key create --org %s --source %q", o.Slug, source),
	}
}

// leakedAlert returns the alert that a key's secret was sent in a URL.
func leakedAlert(o foyer.Org, k foyer.Key, now time.Time) foyer.Alert {
	return foyer.Alert{
		Cause: leakCause(k.ID), Kind: foyer.AlertKeyLeaked, Source: k.Source, Key: k.ID, Opened: now,
		Title:   fmt.Sprintf("the secret of the key %s was sent in a URL", keyName(k)),
		Message: fmt.Sprintf("Somebody sent the right secret of the key %s in the address of a request, and was refused: addresses are kept by logs and proxies, so the secret is to be taken for known.", keyName(k)),
		Cure:    fmt.Sprintf("Correct the script so that it sends id and secret in the body, and give the key another secret: foyer key rotate --org %s %s", o.Slug, k.ID),
	}
}

func leakCause(key foyer.KeyID) string { return string(foyer.AlertKeyLeaked) + ":" + string(key) }

func expiryCause(key foyer.KeyID, days int) string {
	return fmt.Sprintf("%s:%s:%d", foyer.AlertKeyExpires, key, days)
}

func sourceAlert(kind foyer.AlertKind, source foyer.Source, run foyer.RunID, at time.Time) foyer.Alert {
	return foyer.Alert{Cause: foyer.AlertCause(kind, source.ID), Kind: kind, Source: source.ID, Run: run, Opened: at}
}

func keyName(k foyer.Key) string {
	if k.Name == "" {
		return string(k.ID)
	}
	return fmt.Sprintf("%q (%s)", k.Name, k.ID)
}

// withoutRows leaves out of a run's message the row that it gives as an example: rows hold personal data, and an alert is mailed.
func withoutRows(message string) string {
	if at := strings.Index(strings.ToLower(message), "the first:"); at >= 0 {
		message = message[:at]
	}
	return strings.TrimRight(message, " ;.")
}

// quotedValue is what a message quotes of a file: a header, which is a person where the header line is missing, or a cell.
var quotedValue = regexp.MustCompile(`"(\\.|[^"\\])*"`)

// withoutValues leaves out of a refusal what it quotes of the file, for the same reason.
func withoutValues(message string) string { return quotedValue.ReplaceAllString(message, `"…"`) }

// sharedText says what most of those have in common whom a held run would take away.
func sharedText(hold *foyer.Hold) (text string) {
	if hold == nil {
		return ""
	}
	for _, group := range hold.Shared {
		if group.Count*2 > hold.Lost {
			text += fmt.Sprintf(" %d of %d: %s %s.", group.Count, hold.Lost, group.By, group.Value)
		}
	}
	return text
}

// briefLength is how long what a title says of the reason is at most, in bytes.
const briefLength = 100

// brief returns the beginning of a reason, for a title.
func brief(reason string) string {
	for _, end := range []string{" (", "; ", ". "} {
		reason, _, _ = strings.Cut(reason, end)
	}
	if len(reason) <= briefLength {
		return reason
	}
	cut := briefLength
	for !utf8.RuneStart(reason[cut]) {
		cut--
	}
	return reason[:cut] + "…"
}

// interval writes an interval as the commands take it: 26h, 2d, 90m.
func interval(d time.Duration) string {
	switch {
	case d > 48*time.Hour && d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
