package match

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// SameASCII tells whether submitted is stored, or stored as an export in ASCII writes it: each non-ASCII character
// turned into "?", one for each UTF-16 code unit, of the text as it is, in NFC, or in NFD (R9). It is not symmetric.
func SameASCII(stored, submitted string) bool {
	if stored == submitted {
		return true
	}
	if strings.IndexByte(submitted, '?') < 0 || isASCII(stored) {
		return false
	}
	return isExportOf(submitted, stored) ||
		isExportOf(submitted, norm.NFC.String(stored)) ||
		isExportOf(submitted, norm.NFD.String(stored))
}

// isExportOf tells whether turning every non-ASCII character of s into question marks gives export.
func isExportOf(export, s string) bool {
	at := 0
	for _, r := range s {
		want, units := byte(r), 1
		if r >= utf8.RuneSelf {
			want = '?'
		}
		if r > 0xFFFF { // a surrogate pair
			units = 2
		}
		for range units {
			if at == len(export) || export[at] != want {
				return false
			}
			at++
		}
	}
	return at == len(export)
}

// Mangled tells whether s has a "?" that looks like a lost letter (R9): one that touches a letter, or a text of nothing but
// several of them. It is for a warning, and a guess: the one that ends a question ("Who?", "Is this Rob?") does not count.
func Mangled(s string) bool {
	if strings.IndexByte(s, '?') < 0 {
		return false
	}
	if s = strings.TrimSpace(s); strings.Trim(s, "? ") == "" {
		return strings.Count(s, "?") > 1
	}
	for at := 0; ; {
		next := strings.IndexByte(s[at:], '?')
		if next < 0 {
			return false
		}
		start := at + next
		at = start
		for at < len(s) && s[at] == '?' {
			at++
		}
		if isLost(s, start, at) {
			return true
		}
	}
}

// isLost judges the question marks s[start:end].
func isLost(s string, start, end int) bool {
	before, _ := utf8.DecodeLastRuneInString(s[:start])
	after, _ := utf8.DecodeRuneInString(s[end:])
	if unicode.IsLetter(after) {
		return true
	}
	return unicode.IsLetter(before) && !(end == len(s) && isQuestion(s[:start]))
}

// isQuestion tells whether s reads as a question without its mark, and not as a name whose last letter was lost ("Andr").
func isQuestion(s string) bool {
	words := strings.Fields(strings.ToLower(s))
	switch words[0] {
	case "who", "what", "where", "when", "why", "how", "which", "whose":
		return true
	}
	return len(words) > 2
}
