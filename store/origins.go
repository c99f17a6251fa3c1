package store

import (
	"fmt"
	"iter"
	"strconv"
	"strings"

	"foyer"
)

// The origins of an entry's fields are stored as one text: groups "owner,run,fields" separated by semicolons, where each field is a letter
// (a for foyer.Email, b for the next). A guess has a "?" behind the fields. A field that replaced a value stands alone, the value
// as a fourth part, with "%", "," and ";" escaped as in a URL: "1,81,abc;1,90,e,Manager".
const firstField = 'a'

var (
	escapeBefore   = strings.NewReplacer("%", "%25", ",", "%2C", ";", "%3B")
	unescapeBefore = strings.NewReplacer("%25", "%", "%2C", ",", "%3B", ";")
)

func appendOrigins(b []byte, origins *[foyer.NumFields]foyer.Origin) []byte {
	var done [foyer.NumFields]bool
	for f, o := range origins {
		if done[f] || o.Run == 0 {
			continue
		}
		if len(b) > 0 {
			b = append(b, ';')
		}
		b = strconv.AppendInt(b, int64(o.Owner), 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, int64(o.Run), 10)
		b = append(b, ',')
		for g := f; g < len(origins); g++ {
			if origins[g] == o && (g == f || o.Before == "") {
				b = append(b, firstField+byte(g))
				done[g] = true
			}
		}
		if o.Guess {
			b = append(b, '?')
		}
		if o.Before != "" {
			b = append(b, ',')
			b = append(b, escapeBefore.Replace(o.Before)...)
		}
	}
	return b
}

func parseOrigins(text string, origins *[foyer.NumFields]foyer.Origin) error {
	for group := range splitGroups(text) {
		owner, rest, _ := strings.Cut(group, ",")
		run, rest, _ := strings.Cut(rest, ",")
		fields, before, _ := strings.Cut(rest, ",")
		fields, guess := strings.CutSuffix(fields, "?")
		source, err1 := strconv.ParseInt(owner, 10, 64)
		act, err2 := strconv.ParseInt(run, 10, 64)
		if err1 != nil || err2 != nil {
			return fmt.Errorf("the origins %q are damaged", group)
		}
		if strings.Contains(before, "%") {
			before = unescapeBefore.Replace(before)
		}
		for _, c := range []byte(fields) {
			if c < firstField || c >= firstField+byte(foyer.NumFields) {
				return fmt.Errorf("the origins %q are damaged", group)
			}
			origins[c-firstField] = foyer.Origin{Owner: foyer.SourceID(source), Run: foyer.RunID(act), Guess: guess, Before: before}
		}
	}
	return nil
}

// What a person keeps of an entry is stored as groups "run,until,fields", as the origins are; until is in milliseconds since 1970, 0 is without end.
func appendKeeps(b []byte, keeps *[foyer.NumFields]foyer.Keep) []byte {
	var done [foyer.NumFields]bool
	for f, k := range keeps {
		if done[f] || k.Run == 0 {
			continue
		}
		if len(b) > 0 {
			b = append(b, ';')
		}
		b = strconv.AppendInt(b, int64(k.Run), 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, millis(k.Until), 10)
		b = append(b, ',')
		for g := f; g < len(keeps); g++ {
			if keeps[g].Run == k.Run && keeps[g].Until.Equal(k.Until) {
				b = append(b, firstField+byte(g))
				done[g] = true
			}
		}
	}
	return b
}

func parseKeeps(text string, keeps *[foyer.NumFields]foyer.Keep) error {
	for group := range splitGroups(text) {
		run, rest, _ := strings.Cut(group, ",")
		until, fields, _ := strings.Cut(rest, ",")
		act, err1 := strconv.ParseInt(run, 10, 64)
		end, err2 := strconv.ParseInt(until, 10, 64)
		if err1 != nil || err2 != nil {
			return fmt.Errorf("what is kept, %q, is damaged", group)
		}
		for _, c := range []byte(fields) {
			if c < firstField || c >= firstField+byte(foyer.NumFields) {
				return fmt.Errorf("what is kept, %q, is damaged", group)
			}
			keeps[c-firstField] = foyer.Keep{Run: foyer.RunID(act), Until: fromMillis(end)}
		}
	}
	return nil
}

// The ids by which sources know an entry are stored as groups "source,id", escaped as the origins are.
func appendExternalIDs(b []byte, ids []foyer.ExternalID) []byte {
	for i, id := range ids {
		if i > 0 {
			b = append(b, ';')
		}
		b = strconv.AppendInt(b, int64(id.Source), 10)
		b = append(b, ',')
		b = append(b, escapeBefore.Replace(id.ID)...)
	}
	return b
}

func parseExternalIDs(text string) (ids []foyer.ExternalID, err error) {
	for group := range splitGroups(text) {
		source, id, _ := strings.Cut(group, ",")
		n, err := strconv.ParseInt(source, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the external id %q is damaged", group)
		}
		ids = append(ids, foyer.ExternalID{Source: foyer.SourceID(n), ID: unescapeBefore.Replace(id)})
	}
	return ids, nil
}

// splitGroups yields the groups of a text; of an empty text there are none.
func splitGroups(text string) iter.Seq[string] {
	if text == "" {
		return func(func(string) bool) {}
	}
	return strings.SplitSeq(text, ";")
}

// appendIDs writes ids separated by a space, as the entry table stores lists of them.
func appendIDs[ID ~int64](b []byte, ids []ID) []byte {
	for i, id := range ids {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendInt(b, int64(id), 10)
	}
	return b
}

func parseIDs[ID ~int64](text string) ([]ID, error) {
	var ids []ID
	for text != "" {
		var one string
		one, text, _ = strings.Cut(text, " ")
		n, err := strconv.ParseInt(one, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the list of ids %q is damaged", one)
		}
		ids = append(ids, ID(n))
	}
	return ids, nil
}
