package match

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// plainLetters are the letters that Unicode does not take apart into an ASCII letter and an accent.
var plainLetters = map[rune]string{
	'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'ħ': "h", 'ı': "i", 'ŧ': "t",
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'þ': "th", 'ς': "σ",
}

// Fold returns s ignoring case, accents and spacing: for names of sites (R14). Two names are the same where their folded
// forms are equal: "Saint-Jérôme", "SAINT - JEROME". An accent is a combining diacritical mark; the vowel signs
// of other scripts are letters in all but name, and stay.
func Fold(s string) string {
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf {
			return foldUnicode(s)
		} else if c <= ' ' || 'A' <= c && c <= 'Z' {
			return foldASCII(s)
		}
	}
	return s
}

func foldASCII(s string) string {
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf:
			return foldUnicode(s)
		case c == ' ' || '\t' <= c && c <= '\r':
			continue
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return string(b)
}

func foldUnicode(s string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ToValidUTF8(s, "�")) {
		if unicode.IsSpace(r) || isInvisible(r) || isAccent(r) {
			continue
		}
		r = unicode.ToLower(r)
		if plain, ok := plainLetters[r]; ok {
			b.WriteString(plain)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// isAccent tells whether r is in a block of combining diacritical marks.
func isAccent(r rune) bool {
	return 0x0300 <= r && r <= 0x036F || 0x1AB0 <= r && r <= 0x1AFF || 0x1DC0 <= r && r <= 0x1DFF ||
		0x20D0 <= r && r <= 0x20FF || 0xFE20 <= r && r <= 0xFE2F
}

// maxCompared is the longest name, in characters, for which Nearest looks: its cost grows with the square.
const maxCompared = 200

// Nearest returns the candidate that name was probably meant to be: the one whose folded form differs in the fewest
// letters, at most a third of them; of equals the first. It returns "" where none is that near, and for
// a name of more than 200 characters.
func Nearest(name string, candidates []string) string {
	wanted := []rune(Fold(name))
	nearest, least := "", len(wanted)+1
	if len(wanted) > maxCompared {
		return ""
	}
	for _, candidate := range candidates {
		folded := []rune(Fold(candidate))
		limit := min(max(len(wanted), len(folded))/3, least-1)
		if d := distance(wanted, folded, limit); d <= limit {
			nearest, least = candidate, d
		}
	}
	return nearest
}

// distance returns how many letters must be added, removed or replaced to make a of b (Levenshtein); any number
// above limit where it is above limit.
func distance(a, b []rune, limit int) int {
	if max(len(a), len(b))-min(len(a), len(b)) > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range a {
		diagonal, least := row[0], i+1
		row[0] = i + 1
		for j, y := range b {
			replaced := diagonal
			if x != y {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, diagonal+1, row[j]+1)
			least = min(least, row[j+1])
		}
		if least > limit {
			return least
		}
	}
	return row[len(b)]
}
