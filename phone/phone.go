// Package phone reads phone numbers written differently as the same ones (R9). It stands beside package match, not in it, because it brings the numbering plans of
// all countries along, which the customer's program does not need.
package phone

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
)

// maxPhone is the longest text that is read as a phone number, in bytes: the library's cost grows with it.
const maxPhone = 64

// Numbers normalises phone numbers of a country (R9). It may be used by several goroutines at once.
type Numbers struct {
	country string // upper case; "" where it is not known
	nanp    bool   // the country is in the North American Numbering Plan
}

// New returns what reads the numbers of a country: an ISO 3166-1 alpha-2 code in either case, or "" where it is not known.
// A code that is not a country's, or of one without phones (Bouvet Island), is an error.
func New(country string) (*Numbers, error) {
	code := strings.ToUpper(country)
	switch {
	case code == "":
		return &Numbers{}, nil
	case code == "UK":
		return nil, fmt.Errorf("%q is not a country code; the United Kingdom's is GB", country)
	case len(code) != 2 || !phonenumbers.GetSupportedRegions()[code]:
		return nil, fmt.Errorf("%.60q is not a country code of two letters (ISO 3166-1), like CA, GB or DE", country)
	}
	return &Numbers{country: code, nanp: phonenumbers.IsNANPACountry(code)}, nil
}

// E164 returns the number in E.164 (ITU-T): "+", the country code, and digits, 15 at most, without its extension. A number counts
// if it has a possible length for its country; whether it is assigned is not asked, since numbering plans change faster than
// this is updated. ok is false for what is no such number, a local one without area code among them. An empty text, and
// without a country what is not in international form (+… or 00…), is neither good nor bad: "" and true.
func (p *Numbers) E164(given string) (e164 string, ok bool) {
	if e164, ok = p.northAmerican(withoutExtension(given)); ok {
		return e164, true
	}
	given = strings.TrimSpace(given)
	switch {
	case given == "":
		return "", true
	case len(given) > maxPhone:
		return "", false
	case p.country == "":
		return abroad(given)
	}
	if e164, ok = parse(given, p.country); ok {
		return e164, true
	}
	// 00 is how most of the world dials abroad; where another prefix is used, it still begins no number of the country.
	if plus, is := withPlus(given); is {
		return parse(plus, p.country)
	}
	return "", false
}

// abroad reads a number where the country is not known.
func abroad(given string) (e164 string, ok bool) {
	if plus, is := withPlus(given); is {
		e164, _ = parse(plus, "")
		return e164, true // 0011… is Australia's way to dial abroad: what 00 begins is never surely bad
	}
	start := strings.IndexFunc(given, startsNumber)
	if start < 0 {
		return "", false
	}
	if r, _ := utf8.DecodeRuneInString(given[start:]); unicode.IsDigit(r) {
		return "", true
	}
	return parse(given[start:], "")
}

func startsNumber(r rune) bool { return r == '+' || r == '＋' || unicode.IsDigit(r) }

// withPlus turns 00… into +….
func withPlus(given string) (string, bool) {
	rest, is := strings.CutPrefix(strings.TrimLeft(given, "( "), "00")
	return "+" + rest, is
}

// parse asks the library, which follows Google's libphonenumber.
func parse(given, country string) (e164 string, ok bool) {
	number, err := phonenumbers.Parse(given, country)
	if err != nil || phonenumbers.IsPossibleNumberWithReason(number) != phonenumbers.IS_POSSIBLE {
		return "", false
	}
	// The library dials letters (1-800-FLOWERS). Outside North America that is not done: "030 1234567 mobil" is a remark.
	if number.GetCountryCode() != 1 && hasWords(given) {
		return "", false
	}
	e164 = phonenumbers.Format(number, phonenumbers.E164)
	return e164, len(e164) <= len("+")+15
}

// hasWords tells whether letters in given would be dialled: three or more, those of an extension aside.
func hasWords(given string) bool {
	letters := 0
	for i := range len(given) {
		if c := given[i] | 0x20; 'a' <= c && c <= 'z' {
			letters++
		}
	}
	if letters < 3 { // the library's question costs as much as reading the number
		return false
	}
	start := strings.IndexFunc(given, startsNumber)
	return start >= 0 && phonenumbers.IsAlphaNumber(given[start:])
}

// withoutExtension cuts off an extension in its commonest forms, "x123" and "ext. 123", for the fast path.
func withoutExtension(given string) string {
	main := strings.TrimRight(given, "0123456789")
	if digits := len(given) - len(main); digits == 0 || digits > 7 {
		return given
	}
	main = strings.TrimSuffix(strings.TrimRight(main, " "), ".")
	if n := len(main); n == 0 || main[n-1]|0x20 != 'x' && main[n-1]|0x20 != 't' {
		return given
	}
	for _, label := range [...]string{"ext", "Ext", "EXT", "x", "X"} {
		if rest, found := strings.CutSuffix(main, label); found {
			return rest
		}
	}
	return given
}

// northAmerican is the fast path: ten digits as the numbering plan writes them (NXX NXX XXXX, N from 2 to 9), after 1, +1
// or nothing, with the usual punctuation. It says what parse would say, at a hundredth of its cost; ok is false for
// whatever else there is.
func (p *Numbers) northAmerican(given string) (e164 string, ok bool) {
	number := [12]byte{'+', '1'}
	digits := number[2:2]
	plus, one := false, false
	for i := range len(given) {
		c := given[i]
		switch {
		case '0' <= c && c <= '9':
			if c == '1' && len(digits) == 0 && !one {
				one = true
				continue
			}
			if len(digits) == 10 {
				return "", false
			}
			digits = append(digits, c)
		case c == '+' && !plus && !one && len(digits) == 0:
			plus = true
		case c != ' ' && c != '-' && c != '.' && c != '(' && c != ')':
			return "", false
		}
	}
	if len(digits) != 10 || digits[0] < '2' || digits[3] < '2' {
		return "", false
	}
	international := plus && one
	return string(number[:]), international || p.nanp && !plus
}
