package reconcile

import (
	"fmt"
	"strings"

	"foyer"
)

// touched says of each aspect of an entry which run changed it since.
type touched map[string]foyer.RunID

func aspectOf(f foyer.Field) string {
	if f == foyer.Email {
		return "email"
	}
	return "field:" + f.Label()
}

// claims tells whether a claim was changed.
func (t touched) claims() bool {
	for aspect := range t {
		if strings.HasPrefix(aspect, "claim:") {
			return true
		}
	}
	return false
}

// aspectName is what an aspect is called to a person.
func aspectName(aspect string) string {
	what, of, _ := strings.Cut(aspect, ":")
	switch what {
	case "field":
		return of
	case "claim":
		return "listed by " + of
	case "keep":
		return "kept " + of
	case "id":
		return "id of " + of
	}
	return aspect
}

// aspects calls yield with the name of each aspect that a change is about. sources names sources.
func (u *undo) aspects(c *foyer.Change, yield func(string)) {
	for _, f := range c.Fields {
		yield(aspectOf(f.Field))
	}
	if len(c.Emails) > 0 {
		yield("email")
	}
	if c.Status != nil {
		yield("status")
	}
	if c.HandSites != nil {
		yield("sites given by hand")
	}
	for _, f := range c.Flags {
		yield(f.Name)
	}
	for _, k := range c.Keeps {
		yield("keep:" + k.Field.Label())
	}
	for _, id := range c.IDs {
		yield(fmt.Sprintf("id:%v", id.Source))
	}
	for _, claim := range c.Claims {
		if source := u.b.Source(claim.Source); source != nil {
			yield("claim:" + source.Name)
		}
	}
}

// touchedSince returns what was changed of an entry after the target, besides what undos put back again.
func (u *undo) touchedSince(e *foyer.Entry) (touched, error) {
	since := touched{}
	undone := map[foyer.RunID]touched{} // of later runs, which aspects a still later undo put back
	err := u.since(e, func(id foyer.RunID, c *foyer.Change) error {
		run, err := u.runOf(id)
		if err != nil {
			return err
		}
		u.aspects(c, func(aspect string) {
			if _, ok := undone[id][aspect]; ok {
				return
			}
			if run.Kind != foyer.Undo || run.Of <= u.target.ID {
				if _, later := since[aspect]; !later {
					since[aspect] = id
				}
				return
			}
			if undone[run.Of] == nil {
				undone[run.Of] = touched{}
			}
			undone[run.Of][aspect] = id
		})
		return nil
	})
	return since, err
}

func (u *undo) runOf(id foyer.RunID) (*foyer.Run, error) {
	if u.runs[id] == nil {
		run, err := u.b.Run(id)
		if err != nil {
			return nil, err
		}
		u.runs[id] = run
	}
	return u.runs[id], nil
}
