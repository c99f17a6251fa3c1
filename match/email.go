package match

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Key is the form of an email address by which entries are matched (R1). Two addresses are the same
// where their keys are equal bytes. It is an address that can be written to.
type Key string

// Limits in bytes (RFC 5321 §4.5.3.1, RFC 1035 §2.3.4, erratum 1690 of RFC 3696), and of what is looked at at all.
const (
	maxAddress = 254
	maxLocal   = 64
	maxLabel   = 63
	maxGiven   = 1024
)

// What an ASCII character may be in an address, beside "@".
const (
	inLocal  = 1 << iota // RFC 5322 §3.2.3 atext, and the dot
	inDomain             // letters, digits, hyphen, dot; and the underscore, which domains of Active Directory have
	isUpper              // to be lowered first
)

var classes = func() (t [128]uint8) {
	for c := '!'; c <= '~'; c++ {
		if !strings.ContainsRune(`()<>[]:;@\,"`, c) {
			t[c] = inLocal
		}
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
			t[c] |= inDomain
		case 'A' <= c && c <= 'Z':
			t[c] |= inDomain | isUpper
		}
	}
	return t
}()

// domains turns a domain into its ASCII form (UTS 46, nontransitional: ß stays ß). It is idna.Lookup, but that
// underscores and hyphens are left to checkDomain, which is as strict with domains that never come here.
var domains = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false),
	idna.StrictDomainName(false), idna.CheckHyphens(false))

// Email returns the key of an address (R1): surrounding white space removed, NFC, ASCII letters lower-case, the domain in
// its ASCII form. Email(string(key)) is key. A domain of one label ("user@corp") is accepted: intranets have them, and
// the address says who a person is, whether or not it can be reached from here. Nothing is guessed: "Rob <rob@x.com>"
// and "mailto:rob@x.com" are unreadable. A character that Unicode takes for an ASCII one is refused, for merging it
// would hand one person's entry to whoever registers the look-alike.
//
// The error says what is wrong with the address, which it quotes, shortened.
func Email(s string) (Key, error) {
	if key, ok := plain(s); ok {
		return Key(key), nil
	}
	key, err := readEmail(strings.TrimSpace(s))
	if err != nil {
		return "", fmt.Errorf("the address %q %w", shortened(s), err)
	}
	return Key(key), nil
}

// plain returns the key of an address in ASCII without a domain in Punycode, as nearly all are; false for any other.
func plain(s string) (key string, ok bool) {
	if len(s) > maxAddress {
		return "", false
	}
	at, upper := -1, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf:
			return "", false
		case c == '@' && at < 0:
			at = i
		case classes[c]&inLocal == 0:
			return "", false
		}
		upper = upper || classes[c]&isUpper != 0
	}
	if upper {
		s = lowerASCII(s)
	}
	return s, at > 0 && at <= maxLocal && !isEncoded(s[at+1:]) && checkDomain(s[at+1:]) == nil
}

// readEmail is Email off the fast path. Its errors continue the sentence "the address …".
func readEmail(s string) (string, error) {
	if s == "" {
		return "", errors.New("is empty")
	}
	if len(s) > maxGiven {
		return "", fmt.Errorf("is longer than %d bytes", maxAddress)
	}
	if err := checkCharacters(s); err != nil {
		return "", err
	}
	local, domain, err := splitAddress(norm.NFC.String(s))
	if err != nil {
		return "", err
	}
	if domain, err = asciiDomain(domain); err != nil {
		return "", err
	}
	key := lowerASCII(local) + "@" + domain
	if len(key) > maxAddress {
		return "", fmt.Errorf("is longer than %d bytes", maxAddress)
	}
	return key, nil
}

// checkCharacters refuses what no part of an address may hold. It comes before NFC, which already turns K (U+212A) into K.
func checkCharacters(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("has bytes that are not UTF-8")
	}
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			return errors.New("has white space in it")
		case unicode.IsControl(r):
			return fmt.Errorf("has the control character %U in it", r)
		case r < utf8.RuneSelf:
			if r != '@' && classes[r] == 0 {
				return fmt.Errorf("has %q in it; give the bare address, like rob@example.com", r)
			}
		case isInvisible(r):
			return fmt.Errorf("has the invisible character %U in it; type it anew", r)
		case foldsToASCII(r):
			return fmt.Errorf("has %q (%U), which looks like an ordinary character but is another; type it anew", r, r)
		}
	}
	return nil
}

// isInvisible tells whether r leaves no trace when it is displayed. IDNA would silently drop some of these.
func isInvisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

// foldsToASCII tells whether a non-ASCII r becomes ASCII under compatibility normalization or some mapping of
// case: K (U+212A), ſ, ı, İ, full-width letters, ligatures. An accented letter does not, and neither does ß.
func foldsToASCII(r rune) bool {
	if min(unicode.ToLower(r), unicode.ToUpper(r)) < utf8.RuneSelf {
		return true
	}
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		if other < utf8.RuneSelf {
			return true
		}
	}
	return strings.ContainsFunc(norm.NFKC.String(string(r)), func(c rune) bool { return c < utf8.RuneSelf })
}

func splitAddress(s string) (local, domain string, err error) {
	local, domain, found := strings.Cut(s, "@")
	switch {
	case !found:
		return "", "", errors.New("has no @")
	case strings.Contains(domain, "@"):
		return "", "", errors.New("has more than one @")
	case local == "":
		return "", "", errors.New("has nothing before the @")
	case domain == "":
		return "", "", errors.New("has nothing after the @")
	case len(local) > maxLocal:
		return "", "", fmt.Errorf("has more than %d bytes before the @", maxLocal)
	}
	return local, domain, checkNFC(s)
}

// checkNFC refuses what became special by normalization (U+037E is a semicolon), so that a key is always an address.
func checkNFC(s string) error {
	for i := range len(s) {
		if c := s[i]; c < utf8.RuneSelf && c != '@' && classes[c]&inLocal == 0 {
			return fmt.Errorf("has %q in it", rune(c))
		}
	}
	return nil
}

// asciiDomain returns the domain as DNS has it.
func asciiDomain(domain string) (string, error) {
	if !isASCII(domain) || isEncoded(lowerASCII(domain)) {
		return encodedDomain(domain)
	}
	domain = lowerASCII(domain)
	return domain, checkDomain(domain)
}

// encodedDomain is asciiDomain for an internationalized domain. It compares label by label, since IDNA must never make
// a plain label of one that was not: that would merge two domains.
func encodedDomain(domain string) (string, error) {
	// ẞ must come out as ß: the tables of IDNA before Unicode 15.1 make it "ss", another domain.
	domain = strings.ToLower(domain)
	ascii, err := domains.ToASCII(domain)
	if err != nil {
		return "", errors.New("has a domain that cannot be: " + strings.TrimPrefix(err.Error(), "idna: "))
	}
	given, made := strings.Split(domain, "."), strings.Split(ascii, ".")
	if len(given) != len(made) {
		return "", errors.New("has an unusual dot in its domain; type it anew")
	}
	for i := range given {
		if !isASCII(given[i]) && !isEncoded(made[i]) {
			return "", fmt.Errorf("has a domain with characters that stand for others: it would become %q", shortened(ascii))
		}
	}
	return ascii, checkDomain(ascii)
}

// checkDomain checks a domain in ASCII, which may be upper-case nowhere.
func checkDomain(domain string) error {
	start := 0
	for i := 0; i <= len(domain); i++ {
		if i < len(domain) && domain[i] != '.' {
			if c := domain[i]; c >= utf8.RuneSelf || classes[c]&(inDomain|isUpper) != inDomain {
				return fmt.Errorf("has %q in its domain", rune(c))
			}
			continue
		}
		switch label := domain[start:i]; {
		case label == "":
			return errors.New("has a domain with nothing before, after or between its dots")
		case len(label) > maxLabel:
			return fmt.Errorf("has a part of its domain that is longer than %d bytes", maxLabel)
		case label[0] == '-' || label[len(label)-1] == '-':
			return errors.New("has a domain with a hyphen at the edge of a part")
		}
		start = i + 1
	}
	return nil
}

// isEncoded tells whether a label of the lower-case domain may be in Punycode.
func isEncoded(domain string) bool { return strings.Contains(domain, "xn--") }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// lowerASCII lowers A to Z and nothing else.
func lowerASCII(s string) string {
	var room [maxAddress]byte
	lower := append(room[:0], s...)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	return string(lower)
}

// shortened returns the first 60 characters of s, with an ellipsis where there are more.
func shortened(s string) string {
	n := 0
	for i := range s {
		if n++; n > 60 {
			return s[:i] + "…"
		}
	}
	return s
}
