package csvfile

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"

	"foyer"
)

// target is what a column fills: a field of an entry, or one of what follows them.
type target uint8

// The targets beyond the fields of an entry.
const (
	toExternalID = target(foyer.NumFields) + iota
	toSite
	toOffice
	toEnabled
	numTargets
	unknown // a header that means nothing to us
	ignored // a header that the source's settings say to ignore
)

// aliases are the headers of each target as fold makes them, in the order that decides between several columns (docs/api.md, "CSV").
var aliases = [numTargets][]string{
	foyer.Email:       {"email", "mail", "emailaddress", "userprincipalname"}, // E-mail folds to email
	foyer.FirstName:   {"firstname", "givenname"},
	foyer.LastName:    {"lastname", "sn", "surname"},
	foyer.DisplayName: {"displayname", "fullname", "name", "cn"},
	foyer.Title:       {"title", "jobtitle"},
	foyer.Division:    {"division", "department"},
	foyer.Mobile:      {"mobile", "mobilephone", "cell", "homephone"},
	foyer.DeskPhone:   {"deskphone", "telephonenumber", "phone", "businessphone"},
	foyer.Manager:     {"manager", "manageremail"},
	foyer.Assistant:   {"assistant"},
	toExternalID:      {"employeeid", "employeenumber", "objectguid", "externalid"},
	toSite:            {"site"},
	toOffice:          {"office", "physicaldeliveryofficename", "location"},
	toEnabled:         {"enabled", "accountenabled", "active"},
}

// acceptedEmail names the headers of the email column as docs/api.md writes them.
const acceptedEmail = "EMAIL, mail, Email Address, E-mail or userPrincipalName"

// otherTargets are the names of the targets that are no foyer.Field, in Options.Headers and in Reader.Has.
var otherTargets = map[string]target{"external_id": toExternalID, "site": toSite, "office": toOffice, "enabled": toEnabled, "ignore": ignored}

// parseTarget returns the target of that name.
func parseTarget(name string) (target, bool) {
	if f, ok := foyer.ParseField(name); ok {
		return target(f), true
	}
	t, ok := otherTargets[strings.ToLower(strings.ReplaceAll(name, "-", "_"))]
	return t, ok
}

// CheckHeaders tells whether a source's further headers can be used: each header must hold a letter or digit, and no two may fold to the same;
// each must name a field (as foyer.ParseField reads it), or external_id, site (strict, R14), office, enabled, or ignore. The error is foyer.Invalid.
func CheckHeaders(headers map[string]string) error {
	_, err := foldHeaders(headers)
	return err
}

// foldHeaders returns the targets of a source's further headers, by folded header.
func foldHeaders(headers map[string]string) (map[string]target, error) {
	folded := make(map[string]target, len(headers))
	for _, header := range slices.Sorted(maps.Keys(headers)) {
		t, ok := parseTarget(headers[header])
		if !ok {
			return nil, foyer.Errorf(foyer.Invalid, "the header %q is mapped to %q, which is no field; use email, first_name, last_name, display_name, title, "+
				"division, mobile, desk_phone, manager, assistant, external_id, site, office, enabled or ignore", header, headers[header])
		}
		key := fold(header)
		if _, twice := folded[key]; key == "" || twice {
			return nil, foyer.Errorf(foyer.Invalid, "the header %q cannot be mapped: it is empty, or mapped twice, once case, spaces, _ and - are ignored", header)
		}
		folded[key] = t
	}
	return folded, nil
}

// fold returns a header without what does not count in it: case, spaces, "_", "-", quotes and what cannot be seen.
func fold(header string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == '"' || r == '\'' || isBlank(r) || unicode.IsControl(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, header)
}

// column is what one column of the file fills, and its rank among those that fill the same: the lower one wins where both hold something.
type column struct {
	target target
	rank   int
}

// lookup returns what a column with that header, folded, fills.
func lookup(folded string, further map[string]target) column {
	if t, ok := further[folded]; ok {
		return column{t, -1}
	}
	for t, names := range aliases {
		if rank := slices.Index(names, folded); rank >= 0 && folded != "" {
			return column{target(t), rank}
		}
	}
	return column{target: unknown}
}

// preamble skips what may stand before the header: blank lines, PowerShell's #TYPE line, Excel's sep= line, whose delimiter it returns.
// The scanner then stands at the header, whatever its delimiter.
func (s *scanner) preamble() (sep byte, err error) {
	for {
		err := s.record()
		if err == io.EOF {
			return 0, s.refuse(foyer.Invalid, s.line, -1, "the file ends without a header: its first line must name the columns")
		}
		if err != nil && foyer.KindOf(err) == foyer.Internal {
			return 0, err
		}
		if err != nil {
			return sep, nil // the comma tried here may not be the delimiter: detect judges
		}
		line := strings.ToLower(strings.Trim(strings.TrimFunc(string(s.buf[s.pos:s.after]), isBlank), `"`))
		switch {
		case strings.Trim(line, " \t,;|\"") == "", strings.HasPrefix(line, "#type"):
		case strings.HasPrefix(line, "sep=") && len(line) <= len("sep=;"):
			sep = '\t' // trimmed away
			if len(line) == len("sep=;") {
				sep = line[len("sep=")]
			}
			if !strings.ContainsRune(delimiters, rune(sep)) {
				return 0, s.refuse(foyer.Invalid, s.line, -1, "the delimiter %q is not read: use a comma, a semicolon, a tab or |", sep)
			}
		default:
			return sep, nil
		}
	}
}

// delimiters are those that are tried, the likelier first.
const delimiters = ",;\t|"

// delimiterName returns the delimiter's name in a sentence.
func delimiterName(d byte) string {
	return map[byte]string{',': "a comma", ';': "a semicolon", '\t': "a tab", '|': "a |"}[d]
}

// detect settles the delimiter by the header at which the scanner stands: the one that yields the most known headers, else the most cells.
// It leaves the header scanned. sep, where not 0, is the only one tried.
func (s *scanner) detect(sep byte, further map[string]target) error {
	try := delimiters
	if sep != 0 {
		try = string(sep)
	}
	var best byte
	mostKnown, mostCells := -1, -1
	for i := range len(try) {
		s.delim = try[i]
		// Not even an error rules a delimiter out: what is wrong with the header is said in terms of the best.
		if err := s.rescan(); err != nil && foyer.KindOf(err) == foyer.Internal {
			return err
		}
		known := 0
		for _, c := range s.cells {
			if lookup(fold(string(s.buf[c.start:c.end])), further).target != unknown {
				known++
			}
		}
		if known > mostKnown || known == mostKnown && len(s.cells) > mostCells {
			best, mostKnown, mostCells = try[i], known, len(s.cells)
		}
	}
	s.delim = best
	return s.rescan()
}

// step says that a column fills a target, where nothing before it did.
type step struct {
	column
	col int
}

// header makes of the scanned header what the columns are for.
func (r *Reader) header(further map[string]target) error {
	s := r.scan
	if err := r.decoded(); err != nil {
		return err
	}
	names := make([]string, len(s.cells))
	for i := range s.cells {
		names[i] = strings.Clone(s.text(&s.cells[i]))
	}
	s.names = names
	r.quotes = s.cells[len(s.cells)-1].marks&quoted != 0
	seen := make(map[string]int, len(names))
	for i, name := range names {
		folded := fold(name)
		if folded == "" {
			r.unnamed = append(r.unnamed, i)
			continue
		}
		if first, twice := seen[folded]; twice {
			return r.sameHeader(first, i, further)
		}
		seen[folded] = i
		switch c := lookup(folded, further); c.target {
		case ignored:
		case unknown:
			r.warn(name, "this column is unknown and was not read; rename it, or map it in the settings of the source")
		default:
			r.has[c.target] = true
			r.steps = append(r.steps, step{c, i})
		}
	}
	slices.SortStableFunc(r.steps, func(a, b step) int { return cmp.Or(cmp.Compare(a.target, b.target), cmp.Compare(a.rank, b.rank)) })
	if !r.has[foyer.Email] {
		return r.noEmailColumn(further)
	}
	return nil
}

// sameHeader refuses a file whose header names two columns alike. What may be a person's data, in a file without a header, is not quoted: a refusal is mailed.
func (r *Reader) sameHeader(first, second int, further map[string]target) error {
	s := r.scan
	isEmail := func(name string) bool { return lookup(fold(name), further).target == target(foyer.Email) }
	if lookup(fold(s.names[second]), further).target == unknown && !slices.ContainsFunc(s.names, isEmail) {
		return s.refuse(foyer.Invalid, s.line, -1, "the same header twice: in column %d and in column %d (case, spaces, _ and - do not count); remove or rename one. "+
			"It is none that is known, so the header line may be missing.", first+1, second+1)
	}
	return s.refuse(foyer.Invalid, s.line, second, "the same header twice: %q is column %d and %q is column %d (case, spaces, _ and - do not count); "+
		"remove or rename one", shorten(s.names[first]), first+1, shorten(s.names[second]), second+1)
}

// noEmailColumn refuses a file without an email column: without one nobody in it can be told. It names the headers that are known, and only counts the others: without
// a header they are a person's data, and a refusal is mailed.
func (r *Reader) noEmailColumn(further map[string]target) error {
	known, others, hint := []string{}, 0, ""
	for _, name := range r.scan.names {
		if lookup(fold(name), further).target == unknown {
			others++
		} else {
			known = append(known, fmt.Sprintf("%q", shorten(name)))
		}
		if looksLikeEmail(name) {
			hint = " The line holds an email address, so the header line may be missing."
		}
	}
	headers := "the headers are " + strings.Join(known, ", ")
	switch {
	case len(known) == 0:
		headers = "no header of the line is known"
	case others > 0:
		headers += fmt.Sprintf(", and %d that are not known", others)
	}
	return r.scan.refuse(foyer.Invalid, r.scan.line, -1, "there is no email column: %s. Name it %s, or map it in the settings of the source.%s", headers, acceptedEmail, hint)
}
