package reconcile_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"foyer"
	"foyer/reconcile"
)

// The universe. What stands twice is drawn twice as often.
var (
	universe   = []string{"ann@x.ca", "bob@x.ca", "cat@x.ca", "dan@x.ca", "eve@x.ca"}
	anyEmail   = rapid.SampledFrom(append([]string{"Ann@X.ca", "ann.x.ca", "\u212Aat@x.ca", "", "BOB@x.ca"}, universe...))
	goodEmail  = rapid.SampledFrom(append([]string{"Ann@x.ca"}, universe...))
	firstNames = rapid.SampledFrom([]string{"", "", "", "René", "Ren?", "Rob"})
	lastNames  = rapid.SampledFrom([]string{"", "", "", "Jones", "Smith"})
	displays   = rapid.SampledFrom([]string{"", "", "", "René Jones", "Ren? Jones", "Jones, Rob", "Rob", "Rob Jones"})
	titles     = rapid.SampledFrom([]string{"", "", "Boss", "Clerk"})
	phones     = rapid.SampledFrom([]string{"", "", "416-555-0100", "(416) 555-0100", "12"})
	cells      = rapid.SampledFrom([]string{"", "", "", "Toronto", "TORONTO", "Montréal", "montreal", "MTL", "Toronto;Montréal", "Ottawa", "YOW; Toronto", "Nowhere"})
	offices    = rapid.SampledFrom([]string{"", "", "", "", "Toronto", "MTL", "Ottawa"})
	enableds   = rapid.SampledFrom([]foyer.Tristate{foyer.Unsaid, foyer.Unsaid, foyer.Unsaid, foyer.Unsaid, foyer.Yes, foyer.No})
	ids        = rapid.SampledFrom([]string{"", "", "1", "2", "3", "4", "5"})
	keepable   = rapid.SampledFrom([]foyer.Field{foyer.Email, foyer.FirstName, foyer.LastName, foyer.DisplayName, foyer.Title, foyer.Title, foyer.Mobile})
)

func (d *driver) drawRow(email string) foyer.Row {
	var row foyer.Row
	row.Values[foyer.Email] = email
	row.Values[foyer.FirstName] = firstNames.Draw(d.T, "first")
	row.Values[foyer.LastName] = lastNames.Draw(d.T, "last")
	row.Values[foyer.DisplayName] = displays.Draw(d.T, "display")
	row.Values[foyer.Title] = titles.Draw(d.T, "title")
	row.Values[foyer.Mobile] = phones.Draw(d.T, "mobile")
	row.Site = cells.Draw(d.T, "site")
	row.Office = offices.Draw(d.T, "office")
	row.Enabled = enableds.Draw(d.T, "enabled")
	return row
}

// drawFile makes a file of rows like those of the source's last one, of new ones, and of odd ones.
func (d *driver) drawFile(src modelSource) (file rows) {
	if d.last[src.id] == nil {
		d.last[src.id] = map[string]foyer.Row{}
	}
	if made := d.files[src.id]; len(made) > 0 && rapid.IntRange(0, 5).Draw(d.T, "an old file") == 0 {
		return rapid.SampledFrom(made).Draw(d.T, "which")
	}
	withIDs := rapid.IntRange(0, 3).Draw(d.T, "with ids") > 0
	gone := rapid.SampledFrom([]int{1, 1, 2, 2, 5}).Draw(d.T, "how many are gone")
	for i, email := range universe {
		fate := rapid.IntRange(0, 9).Draw(d.T, "fate of "+email)
		row, known := d.last[src.id][email]
		switch {
		case fate < gone:
			continue
		case !known || fate < gone+2:
			row = d.drawRow(email)
			row.ExternalID = fmt.Sprint(i + 1)
			if rapid.IntRange(0, 4).Draw(d.T, "another id") == 0 {
				row.ExternalID = ids.Draw(d.T, "id")
			}
			if src.site != 0 && rapid.IntRange(0, 3).Draw(d.T, "own site") > 0 {
				row.Site = map[siteSet]string{siteOf(1): "Toronto", siteOf(2): "MTL"}[src.site]
			}
			d.last[src.id][email] = row
		}
		if !withIDs {
			row.ExternalID = ""
		}
		file = append(file, row)
	}
	d.drawRename(file)
	for range max(0, rapid.IntRange(-3, 2).Draw(d.T, "odd rows")) {
		file = append(file, d.drawOdd())
	}
	if rapid.IntRange(0, 3).Draw(d.T, "turned round") == 0 {
		slices.Reverse(file)
	}
	for i := range file {
		file[i].Line = i + 2
	}
	d.files[src.id] = append(d.files[src.id], file)
	return file
}

// drawRename gives some rows an email that the file does not have: people who are renamed.
func (d *driver) drawRename(file rows) {
	free := slices.DeleteFunc(slices.Clone(universe), func(email string) bool {
		return slices.ContainsFunc(file, func(row foyer.Row) bool { return row.Values[foyer.Email] == email })
	})
	for i := range file {
		if len(free) > 0 && rapid.IntRange(0, 9).Draw(d.T, "renamed") == 0 {
			file[i].Values[foyer.Email], free = free[0], free[1:]
		}
	}
}

// drawOdd makes a row that may be a second one of an email, or have no email, a bad one, or another error.
func (d *driver) drawOdd() foyer.Row {
	row := d.drawRow(anyEmail.Draw(d.T, "email"))
	row.ExternalID = ids.Draw(d.T, "id")
	email := row.Values[foyer.Email]
	row.Bad = rapid.IntRange(0, 3).Draw(d.T, "bad") == 0
	if row.Bad {
		row.Problems = []foyer.Problem{{Column: "ENABLED", Message: "is neither yes nor no", Error: true}}
	}
	if (row.Bad || email != "" && modelKey(email) == "") && rapid.Bool().Draw(d.T, "mentions") {
		row.Mentions = []string{goodEmail.Draw(d.T, "mentioned")}
	}
	return row
}

func describe(row *foyer.Row) string {
	text := ""
	for f, value := range row.Values {
		if value != "" {
			text += fmt.Sprintf("%s=%q ", foyer.Field(f), value)
		}
	}
	for name, value := range map[string]string{"id": row.ExternalID, "site": row.Site, "office": row.Office} {
		if value != "" {
			text += fmt.Sprintf("%s=%q ", name, value)
		}
	}
	text += []string{"", "enabled=yes ", "enabled=no "}[row.Enabled]
	if row.Bad {
		text += "BAD "
	}
	if len(row.Mentions) > 0 {
		text += fmt.Sprintf("mentions=%q", row.Mentions)
	}
	return text
}

// drawEdit draws a change by hand.
func (d *driver) drawEdit() modelEdit {
	e := modelEdit{values: map[foyer.Field]string{}}
	switch rapid.IntRange(0, 14).Draw(d.T, "edit") {
	case 0:
		e.values[foyer.Title] = titles.Draw(d.T, "title")
	case 1:
		e.values[foyer.FirstName] = firstNames.Draw(d.T, "first")
	case 2:
		e.values[foyer.DisplayName] = displays.Draw(d.T, "display")
		e.values[foyer.Mobile] = phones.Draw(d.T, "mobile")
	case 3, 9:
		e.values[foyer.Email] = goodEmail.Draw(d.T, "email")
	case 4:
		e.add = rapid.SampledFrom([]foyer.SiteID{1, 2}).Draw(d.T, "add site")
	case 5:
		e.remove = rapid.SampledFrom([]foyer.SiteID{1, 2}).Draw(d.T, "remove site")
	case 6:
		e.permanent = new(rapid.Bool().Draw(d.T, "permanent"))
	case 7:
		e.enabled = new(false)
	case 8:
		e.enabled = new(true)
	case 10, 11:
		e.keep = []foyer.Field{keepable.Draw(d.T, "keep")}
		if days := rapid.IntRange(0, 4).Draw(d.T, "keep for days"); days > 0 {
			e.until = d.model.now.Add(time.Duration(days)*24*time.Hour + 30*time.Second).Truncate(time.Second)
		}
		if rapid.Bool().Draw(d.T, "with a value") {
			e.values[foyer.Title], e.keep = "Chief", []foyer.Field{foyer.Title}
		}
	case 12:
		e.release = []foyer.Field{keepable.Draw(d.T, "release")}
	case 13:
		e.pinned = new(rapid.Bool().Draw(d.T, "pinned"))
	case 14:
		e.notes = new(rapid.SampledFrom([]string{"", "late", "early"}).Draw(d.T, "notes"))
	}
	return e
}

func (e modelEdit) String() string {
	text := ""
	for f, value := range e.values {
		text += fmt.Sprintf("%s=%q ", f, value)
	}
	for name, flag := range map[string]*bool{"enabled": e.enabled, "permanent": e.permanent, "pinned": e.pinned} {
		if flag != nil {
			text += fmt.Sprintf("%s=%t ", name, *flag)
		}
	}
	if e.notes != nil {
		text += fmt.Sprintf("notes=%q ", *e.notes)
	}
	if len(e.keep) > 0 {
		text += fmt.Sprintf("keep %v until %v ", e.keep, e.until)
	}
	if len(e.release) > 0 {
		text += fmt.Sprintf("release %v ", e.release)
	}
	return text + fmt.Sprintf("sites +%d -%d", e.add, e.remove)
}

func (e modelEdit) real() reconcile.Edit {
	edit := reconcile.Edit{Values: maps.Clone(e.values), Enabled: e.enabled, Permanent: e.permanent, Pinned: e.pinned, Notes: e.notes,
		Keep: e.keep, KeepUntil: e.until, Release: e.release}
	if e.add != 0 {
		edit.AddSites = []foyer.SiteID{e.add}
	}
	if e.remove != 0 {
		edit.RemoveSites = []foyer.SiteID{e.remove}
	}
	return edit
}
