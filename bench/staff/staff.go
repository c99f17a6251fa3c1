// Package staff makes files of staff for benchmarks: the same for the same numbers, and as real staff is: names in several
// scripts, 2 % of them with accents, sites, divisions, phones that repeat little.
package staff

import (
	"bufio"
	"fmt"
	"io"
)

// File says which file to make.
type File struct {
	Rows    int
	Changed int // so many rows, spread over the file, have another title than in the file without
}

var (
	first    = []string{"Rob", "Ann", "Joe", "Maria", "Wei", "Fatima", "John", "Peter", "Olga", "Ibrahim", "Priya", "Chen", "Sofia", "Lars", "Aiko", "Daniel"}
	last     = []string{"Jones", "Smith", "Tremblay", "Nguyen", "Garcia", "Lee", "Brown", "Kowalski", "Haddad", "Singh", "Tanaka", "Rossi", "Okafor", "Novak"}
	accented = []string{"Zoé", "Björn", "José", "Łukasz", "Andrés", "Søren", "Ольга", "王伟", "محمد", "Ελένη"}
	titles   = []string{"Manager", "Senior Manager", "Engineer", "Analyst", "Director", "Technician", "Assistant", "Specialist"}
	sites    = []string{"Toronto", "Montréal", "Vancouver"}
)

// Sites are the names of the sites that the files use.
func Sites() []string { return sites }

// WriteTo writes the file in the sample's format.
func (f File) WriteTo(w io.Writer) (int64, error) {
	b := bufio.NewWriterSize(w, 1<<20)
	n := int64(0)
	put := func(format string, args ...any) {
		written, _ := fmt.Fprintf(b, format, args...)
		n += int64(written)
	}
	put("FIRSTNAME,LASTNAME,TITLE,DIVISION,EMAIL,MOBILE,DESKPHONE,SITE\r\n")
	every := 0
	if f.Changed > 0 {
		every = f.Rows / f.Changed
	}
	for i := range f.Rows {
		h := mix(uint64(i))
		name := first[h%uint64(len(first))]
		if h>>8%50 == 0 {
			name = accented[h>>16%uint64(len(accented))]
		}
		title := titles[h>>20%uint64(len(titles))]
		if every > 0 && i%every == 0 && i/every < f.Changed {
			title = "Acting " + title
		}
		put("%s,%s,%s,Division %d,%s%d@example.com,416%07d,647%07d,%s\r\n", name, last[h>>24%uint64(len(last))], title, h>>28%40,
			last[h>>24%uint64(len(last))], mix(uint64(i)*2+1)%1_000_000_000*1000+uint64(i)%1000, 2000000+h>>32%7999999, 2000000+i%7999999, sites[h>>40%uint64(len(sites))])
	}
	return n, b.Flush()
}

// mix spreads the bits of a number (SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
