package match

import "strings"

// Words around a name, lower-case and without dots.
var (
	honorifics = words("mr mrs ms mx miss dr prof herr frau mme mlle")
	suffixes   = words("jr sr ii iii iv phd md mba cpa esq peng")
	particles  = words("von van vom zu zum zur de del della di da dal do dos das du des der den het ter ten 't " +
		"la le las los al el bin ibn bint ben abu af av st san santa")
)

func words(list string) map[string]bool {
	set := map[string]bool{}
	for _, word := range strings.Fields(list) {
		set[word] = true
	}
	return set
}

func isOneOf(set map[string]bool, word string) bool {
	return set[strings.ToLower(strings.ReplaceAll(word, ".", ""))]
}

// SplitName guesses first and last name from a display name (R9): the last word, with the particles before it, is the
// last name ("Ludwig van Beethoven"), or all before the comma ("Jones, Rob"). Honorifics in front, and what stands in brackets,
// are dropped. A single word is a first name; so are names written without a space, as in East Asia. An address is no name.
// It is a guess: in "García López" one name is lost to the first names.
func SplitName(display string) (first, last string) {
	name := withoutBrackets(display)
	if strings.Contains(name, "@") {
		return "", ""
	}
	parts := strings.Split(name, ",")
	if len(parts) > 1 && !areSuffixes(parts[1]) {
		return join(dropHonorifics(strings.Fields(parts[1]))), join(strings.Fields(parts[0]))
	}
	all := strings.Fields(parts[0])
	rest := dropHonorifics(all)
	if len(rest) < 2 && len(rest) == len(all) {
		return join(rest), ""
	}
	at := lastNameAt(rest, len(rest) == len(all))
	return join(rest[:at]), join(rest[at:])
}

func join(list []string) string { return strings.Join(list, " ") }

// lastNameAt returns where the last name begins. Of a name that stood after no honorific, the first word is never part of it.
func lastNameAt(list []string, bare bool) int {
	at := len(list) - 1
	for at > 1 && isOneOf(suffixes, list[at]) {
		at--
	}
	for at > 0 && isOneOf(particles, list[at-1]) && (at > 1 || !bare) {
		at--
	}
	return at
}

// areSuffixes tells whether all words are such as "PhD" or "Jr.", which follow a comma without a first name.
func areSuffixes(s string) bool {
	list := strings.Fields(s)
	for _, word := range list {
		if !isOneOf(suffixes, word) {
			return false
		}
	}
	return len(list) > 0
}

// dropHonorifics removes the leading ones, but never the last word.
func dropHonorifics(list []string) []string {
	for len(list) > 1 && isOneOf(honorifics, list[0]) {
		list = list[1:]
	}
	return list
}

// withoutBrackets removes what stands in brackets; of a text that is all in brackets, the brackets only.
func withoutBrackets(s string) string {
	var kept strings.Builder
	depth := 0
	for _, r := range s {
		switch r {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth = max(depth-1, 0)
			kept.WriteByte(' ')
		default:
			if depth == 0 {
				kept.WriteRune(r)
			}
		}
	}
	if strings.Trim(kept.String(), " ,") == "" {
		return strings.Map(dropBracket, s)
	}
	return kept.String()
}

func dropBracket(r rune) rune {
	if strings.ContainsRune("()[]{}", r) {
		return -1
	}
	return r
}
