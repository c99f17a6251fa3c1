package store

import (
	"regexp"
	"testing"
)

var filters = regexp.MustCompile(`\b(\w+\.)?org = (\$\d+|\?)|FROM org WHERE id = (\$\d+)`)

// Unfiltered takes the filter by organization out of every statement to PostgreSQL until the test ends.
func Unfiltered(t *testing.T) {
	edited = func(query string) string {
		return filters.ReplaceAllStringFunc(query, func(filter string) string {
			parts := filters.FindStringSubmatch(filter)
			if parts[3] != "" {
				return "FROM org WHERE " + parts[3] + "::text IS NOT NULL"
			}
			return parts[2] + "::text IS NOT NULL"
		})
	}
	t.Cleanup(func() { edited = nil })
}

// Distribution returns the statements by which the tables of a database are spread.
func Distribution(t *testing.T, s *Store) []string {
	statements, err := distribution(t.Context(), s.write)
	if err != nil {
		t.Fatal(err)
	}
	return statements
}
