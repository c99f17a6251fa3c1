package push

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"foyer"
	"foyer/csvfile"
	"foyer/directory"
	"foyer/match"
)

// File is what is sent with a key: a CSV file, complete in memory.
type File struct {
	Key  Key
	CSV  []byte
	Rows int // people in it; 0 where they were not counted

	once string // the Idempotency-Key of all tries
}

// newFile returns a file that is to be applied once.
func newFile(key Key, csv []byte, rows int) *File {
	return &File{key, csv, rows, "foyer-push-" + rand.Text()}
}

// largest is how long a file may be, in bytes; the server takes no longer one.
const largest = 256 << 20

// FromCSV returns the file of that name, for the key of that name; with no file name that of the key's settings, and with neither a file for each key that
// has one in the settings. The file is read as the server will, as far as that is possible here: one that is cut or broken is an Error of the outcome NotRead.
func FromCSV(c *Config, name, keyName string) ([]*File, error) {
	if name == "" && keyName == "" {
		return allCSV(c)
	}
	key, err := c.key(keyName)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = key.CSV
	}
	if name == "" {
		return nil, failf(Misused, "the key %s has no csv in the settings; say which file: foyer-push csv FILE", key.Name)
	}
	f, err := readCSV(key, name)
	if err != nil {
		return nil, err
	}
	return []*File{f}, nil
}

// allCSV returns the files of all keys that have one in the settings.
func allCSV(c *Config) ([]*File, error) {
	var files []*File
	for _, key := range c.Keys {
		if key.CSV == "" {
			continue
		}
		f, err := readCSV(key, key.CSV)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil, failf(Misused, "no [[key]] of the settings has a csv; say which file: foyer-push csv FILE")
	}
	return files, nil
}

// readCSV reads a file to its end. One that grows or shrinks meanwhile is still being written, and refused.
func readCSV(key Key, name string) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, failf(NotRead, "read the file: %w", err)
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return nil, failf(NotRead, "read the file: %w", err)
	}
	if !before.Mode().IsRegular() {
		return nil, failf(NotRead, "%s is no file", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, largest+1))
	if err != nil {
		return nil, failf(NotRead, "read the file: %w", err)
	}
	if len(text) > largest {
		return nil, failf(NotRead, "%s is longer than %d MiB, which the server does not take", name, largest>>20)
	}
	after, err := os.Stat(name)
	if err != nil || after.Size() != int64(len(text)) || !after.ModTime().Equal(before.ModTime()) {
		return nil, failf(NotRead, "%s changed while it was read: let what writes it finish first, or write it under another name and rename it", name)
	}
	rows, err := checkCSV(text)
	if err != nil {
		return nil, failf(NotRead, "%s: %w", name, err)
	}
	return newFile(key, text, rows), nil
}

// checkCSV counts the rows of a file, and finds what would have it refused but the choice of headers, which the server's settings decide: it may map some of its own.
func checkCSV(text []byte) (rows int, err error) {
	var sniffer csvfile.Sniffer
	sniffer.Write(text)
	_, err = csvfile.Rows(strings.NewReader(string(text)), &sniffer, csvfile.Options{}, func(*foyer.Row) error {
		rows++
		return nil
	})
	if refusal, ok := errors.AsType[*foyer.Error](err); ok {
		if isAboutHeader(text) {
			return 0, nil
		}
		if refusal.Line > 0 {
			return 0, fmt.Errorf("line %d: %w", refusal.Line, err)
		}
	}
	if err == nil && rows == 0 {
		return 0, errors.New("the file has a header and no rows; an empty file is not sent")
	}
	return rows, err
}

// isAboutHeader tells whether a file is refused here for its header alone.
func isAboutHeader(text []byte) bool {
	var sniffer csvfile.Sniffer
	sniffer.Write(text)
	_, err := csvfile.NewReader(strings.NewReader(string(text)), &sniffer, csvfile.Options{})
	return foyer.KindOf(err) == foyer.Invalid
}

// columns are those of the files that are made of directories. What no one has is left out.
var columns = []struct {
	header string
	value  func(*directory.Person) string
}{
	{"EMAIL", field(foyer.Email)}, {"FIRSTNAME", field(foyer.FirstName)}, {"LASTNAME", field(foyer.LastName)}, {"displayName", field(foyer.DisplayName)},
	{"TITLE", field(foyer.Title)}, {"DIVISION", field(foyer.Division)}, {"MOBILE", field(foyer.Mobile)}, {"DESKPHONE", field(foyer.DeskPhone)},
	{"SITE", func(p *directory.Person) string { return strings.Join(p.Sites, ";") }},
	{"office", func(p *directory.Person) string { return p.Office }},
	{"externalId", func(p *directory.Person) string { return p.ExternalID }},
	{"manager", field(foyer.Manager)}, {"assistant", field(foyer.Assistant)},
	{"ENABLED", func(p *directory.Person) string {
		return map[foyer.Tristate]string{foyer.Yes: "true", foyer.No: "false"}[p.Enabled]
	}},
}

// field returns the value of a field of a person.
func field(f foyer.Field) func(*directory.Person) string {
	return func(p *directory.Person) string { return p.Values[f] }
}

// fromPeople returns the files for all keys: a key of one site gets who is there. A key that would get nobody is an error, since an empty file says that everybody left; and so
// is a person whom no key would get.
func fromPeople(c *Config, people []directory.Person) ([]*File, error) {
	if err := checkPlaces(c.Keys, people); err != nil {
		return nil, err
	}
	var files []*File
	for _, key := range c.Keys {
		theirs := people
		if key.Site != "" {
			theirs = at(people, key.Site)
		}
		if len(theirs) == 0 {
			return nil, failf(NotRead, "nobody is at the site %q of the key %s: do the site rules of the directories name it so?", key.Site, key.Name)
		}
		csv := toCSV(theirs)
		if len(csv) > largest {
			return nil, failf(NotRead, "the file would be longer than %d MiB, which the server does not take", largest>>20)
		}
		files = append(files, newFile(key, csv, len(theirs)))
	}
	return files, nil
}

// named is how many people at most a message names.
const named = 3

// checkPlaces returns an error where somebody would be in the file of no key: all keys are of a site each, and theirs is another or none.
func checkPlaces(keys []Key, people []directory.Person) error {
	var sites []string
	for _, key := range keys {
		if key.Site == "" {
			return nil
		}
		sites = append(sites, key.Site)
	}
	var lost []string
	for i := range people {
		if !slices.ContainsFunc(sites, func(site string) bool { return isAt(&people[i], site) }) {
			lost = append(lost, fmt.Sprintf("%s (at %s)", people[i].Values[foyer.Email], cmp.Or(strings.Join(placesOf(&people[i]), ", "), "no site")))
		}
	}
	if len(lost) == 0 {
		return nil
	}
	more := ""
	if len(lost) > named {
		more = " …"
	}
	return failf(NotRead, "each key is for one site (%s), and %d people would be in no file: %s%s; write a [[key]] or a [[directory.site]] for where they are, or leave them out by "+
		`exclude, filter, or without_site = "leave-out"`, strings.Join(sites, ", "), len(lost), strings.Join(lost[:min(named, len(lost))], ", "), more)
}

// placesOf returns where a person is: at the sites of the settings, or else where their office is, as the server does where a row has no SITE.
func placesOf(p *directory.Person) []string {
	if len(p.Sites) == 0 && p.Office != "" {
		return []string{p.Office}
	}
	return p.Sites
}

// isAt tells whether a person is at a site, by the names as the server compares them (R14).
func isAt(p *directory.Person, site string) bool {
	return slices.ContainsFunc(placesOf(p), func(name string) bool { return match.Fold(name) == match.Fold(site) })
}

// at returns who is at a site, as being there only.
func at(people []directory.Person, site string) []directory.Person {
	var there []directory.Person
	for _, p := range people {
		if isAt(&p, site) {
			p.Sites = []string{site}
			there = append(there, p)
		}
	}
	return there
}

// toCSV writes people as a CSV.
func toCSV(people []directory.Person) []byte {
	used := columns[:0:0]
	for _, c := range columns {
		for i := range people {
			if c.value(&people[i]) != "" {
				used = append(used, c)
				break
			}
		}
	}
	cells := make([]string, len(used))
	for i, c := range used {
		cells[i] = c.header
	}
	csv := csvfile.AppendRow(nil, cells...)
	for i := range people {
		for j, c := range used {
			cells[j] = c.value(&people[i])
		}
		csv = csvfile.AppendRow(csv, cells...)
	}
	return csv
}
