package csvfile

import (
	"fmt"

	"foyer"
)

// maxID is the most bytes that an external id may have.
const maxID = 500

// read fills row from the record that was scanned.
func (r *Reader) read(row *foyer.Row) {
	cells := r.scan.cells
	enabled := ""
	for i := range r.steps {
		st := &r.steps[i]
		if st.col >= len(cells) {
			continue
		}
		var slot *string
		switch st.target {
		default:
			slot = &row.Values[st.target]
		case toExternalID:
			slot = &row.ExternalID
		case toSite:
			slot = &row.Site
		case toOffice:
			slot = &row.Office
		case toEnabled:
			slot = &enabled
		}
		if *slot != "" {
			continue
		}
		*slot = r.value(row, st.col)
		if st.target == toExternalID && len(*slot) > maxID {
			r.problem(row, st.col, *slot, false, "is longer than %d bytes, and is not used: no directory has such ids", maxID)
			*slot = ""
		}
		if st.target == toEnabled && enabled != "" {
			r.readEnabled(row, st.col, enabled)
		}
	}
	if len(r.unnamed) > 0 {
		r.checkUnnamed(row.Line)
	}
	r.checkCells(row)
	r.checkEmail(row)
	if row.Bad || row.Values[foyer.Email] != "" && !looksLikeEmail(row.Values[foyer.Email]) {
		r.mention(row)
	}
}

// value returns what the cell says, and notes in row what had to be done to it.
func (r *Reader) value(row *foyer.Row, col int) string {
	c := &r.scan.cells[col]
	v := r.scan.text(c)
	if c.marks&removed != 0 {
		r.problem(row, col, v, false, "control characters in the value were removed")
	}
	if v == "" {
		return ""
	}
	switch v[0] {
	case 'M', 'S':
		if isTypeName(v) {
			r.problem(row, col, v, false, "this is the name of a type, not a value, and was read as empty: the attribute has several values; join them in the export script")
			return ""
		}
	case '\'':
		return unguard(v)
	}
	return v
}

// readEnabled sets row.Enabled by what stands in the column. What is neither yes nor no must not pass for either.
func (r *Reader) readEnabled(row *foyer.Row, col int, v string) {
	enabled, ok := parseEnabled(v)
	row.Enabled = enabled
	if !ok {
		row.Bad = true
		r.problem(row, col, v, true, "%q is neither yes nor no: write true or false, yes or no, 1 or 0, or leave it empty", shorten(v))
	}
}

// checkUnnamed warns, once for each, of columns without a header that hold something. A delimiter at the end of every line makes such a column,
// and one that stays empty is no news.
func (r *Reader) checkUnnamed(line int) {
	kept := r.unnamed[:0]
	for _, col := range r.unnamed {
		if col < len(r.scan.cells) && r.scan.text(&r.scan.cells[col]) != "" {
			r.warn("", fmt.Sprintf("column %d has no header, but holds values (the first in line %d), which were not read", col+1, line))
			continue
		}
		kept = append(kept, col)
	}
	r.unnamed = kept
}

// checkCells finds a row with more cells than the header: some value of it stands under the wrong header. Empty ones at the end are harmless.
func (r *Reader) checkCells(row *foyer.Row) {
	have, want := len(r.scan.cells), len(r.scan.names)
	if have <= want || r.emptyFrom(want) {
		return
	}
	row.Bad = true
	last := have - 1
	for r.scan.text(&r.scan.cells[last]) == "" {
		last--
	}
	r.problem(row, last, r.scan.text(&r.scan.cells[last]), true, "line %d has %d cells, the header has %d: put quotes around a value that holds %s",
		row.Line, have, want, delimiterName(r.scan.delim))
}

// checkEmail finds a row without an email that has one in a column which holds none by right: it is no row to skip (R15), but
// one whose cells are shifted, by a line end or a delimiter in a value without quotes.
func (r *Reader) checkEmail(row *foyer.Row) {
	if row.Values[foyer.Email] != "" || row.Bad {
		return
	}
	for _, st := range r.steps {
		switch st.target {
		case target(foyer.Title), target(foyer.Division), target(foyer.Mobile), target(foyer.DeskPhone), toSite, toOffice:
		default:
			continue
		}
		if st.col >= len(r.scan.cells) {
			continue
		}
		if v := r.scan.text(&r.scan.cells[st.col]); looksLikeEmail(v) {
			row.Bad = true
			r.problem(row, st.col, v, true, "an email stands here and the email column is empty: the row is shifted; put quotes around a value that holds %s or a line end",
				delimiterName(r.scan.delim))
			return
		}
	}
}

// mention notes the email addresses in the row, wherever they stand, so that whom a row names counts as present though it cannot be read (R15).
func (r *Reader) mention(row *foyer.Row) {
	for i := range r.scan.cells {
		if v := r.scan.text(&r.scan.cells[i]); looksLikeEmail(v) && v != row.Values[foyer.Email] {
			row.Mentions = append(row.Mentions, v)
		}
	}
}

// problem notes what is wrong with the cell in that column of the row.
func (r *Reader) problem(row *foyer.Row, col int, value string, isError bool, format string, args ...any) {
	p := foyer.Problem{Line: row.Line, Value: shorten(value), Message: fmt.Sprintf(format, args...), Error: isError}
	if col < len(r.scan.names) {
		p.Column = shorten(r.scan.names[col])
	}
	row.Problems = append(row.Problems, p)
}

// warn notes what is odd about the file as a whole.
func (r *Reader) warn(column, message string) {
	r.warnings = append(r.warnings, foyer.Problem{Column: shorten(column), Message: message})
}
