package phone_test

import (
	"regexp"
	"strings"
	"testing"

	"foyer/phone"

	"github.com/nyaruka/phonenumbers"
	"pgregory.net/rapid"
)

func phones(t testing.TB, country string) *phone.Numbers {
	t.Helper()
	p, err := phone.New(country)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestR9_PhoneNumbers(t *testing.T) {
	tests := []struct {
		country, given, want string
		ok                   bool
	}{
		{"CA", "", "", true},
		{"CA", "   ", "", true},
		{"CA", "416-555-1234", "+14165551234", true},
		{"CA", "(416) 555-1234", "+14165551234", true},
		{"CA", "416.555.1234", "+14165551234", true},
		{"ca", "1 416 555 1234", "+14165551234", true},
		{"CA", "+1 (416) 555-1234", "+14165551234", true},
		{"CA", "416-555-1234 x123", "+14165551234", true},
		{"CA", "416-555-1234 ext. 5", "+14165551234", true},
		{"CA", "Tel: 416-555-1234", "+14165551234", true},
		{"CA", "416-555-1234, Ext 5", "+14165551234", true},
		{"CA", "tel:+1-416-555-1234", "+14165551234", true},
		{"CA", "1-800-FLOWERS", "+18003569377", true},
		{"CA", "011 49 30 12345678", "+493012345678", true},
		{"CA", "0049 30 12345678", "+493012345678", true},
		{"CA", "555-1234", "", false},
		{"CA", "4711", "", false},
		{"CA", "n/a", "", false},
		{"CA", "416-555-12345", "", false},
		{"CA", "416-555-1234 / 416-555-9999", "", false},
		{"CA", "+4165551234", "", false}, // +41 is Switzerland
		{"CA", "see reception", "", false},
		{"CA", strings.Repeat("4", 1<<20), "", false},
		{"DE", "030 12345678", "+493012345678", true},
		{"DE", "+49 (0)30 12345678", "+493012345678", true},
		{"DE", "0049 30 12345678", "+493012345678", true},
		{"DE", "+1 416 555 1234", "+14165551234", true},
		{"DE", "030 1234567 mobil", "", false},
		{"IT", "06 1234 5678", "+390612345678", true},
		{"GB", "020 7946 0000", "+442079460000", true},
		{"GB", "+44 (0)20 7946 0000 x12", "+442079460000", true},
		{"", "416-555-1234", "", true},
		{"", "1 416 555 1234", "", true},
		{"", "011 49 30 12345678", "", true},
		{"", "+1 416 555 1234", "+14165551234", true},
		{"", "(+49) 30 12345678", "+493012345678", true},
		{"", "0049 30 12345678", "+493012345678", true},
		{"", "0011 49 30 12345678", "", true}, // Australia's prefix
		{"", "+999 1234567", "", false},
		{"", "+49", "", false},
		{"", "n/a", "", false},
		{"", "", "", true},
	}
	for _, test := range tests {
		got, ok := phones(t, test.country).E164(test.given)
		if got != test.want || ok != test.ok {
			t.Errorf("%q: E164(%.40q) = %q, %v; want %q, %v", test.country, test.given, got, ok, test.want, test.ok)
		}
	}
}

func TestR9_UnknownCountry(t *testing.T) {
	for _, country := range []string{"UK", "ZZ", "CAN", "C", "001", " CA", "Canada", strings.Repeat("x", 5000)} {
		if _, err := phone.New(country); err == nil || len(err.Error()) > 500 {
			t.Errorf("New(%.10q): %v", country, err)
		}
	}
}

// The fast path says what the library says, in every country.
func TestR9_FastPathIsTheLibrary(t *testing.T) {
	countries := []string{"CA", "US", "AG", "AI", "BB", "BM", "BS", "DO", "JM", "KY", "PR", "TT", "VI", "DE", "GB", "CH", "AU", "CN", "IT", "BR"}
	all := map[string]*phone.Numbers{}
	for _, country := range countries {
		all[country] = phones(t, country)
	}
	alphabets := []*rapid.Generator[string]{
		rapid.StringMatching(`[+]?1?[0-9]{9,11}`),
		rapid.StringMatching(`(\+?1)?[ .-]?\(?[1-9][0-9]{2}\)?[ .-]{0,2}[0-9]{3}[ .-]?[0-9]{4}[ ).-]?`),
		rapid.StringMatching(`[-+ .()0-9]{8,18}`),
		rapid.StringMatching(`\(?[2-9][0-9]{2}\)? [2-9][0-9]{2}-[0-9]{4}[ ,.-]{0,2}(x|X|ext|Ext|EXT|xt|eext)[.]{0,2} {0,2}[0-9]{0,8}`),
		rapid.StringMatching(`[-+ .()0-9]{8,18}[xX]?[0-9 ]{0,6}`),
	}
	rapid.Check(t, func(t *rapid.T) {
		country := rapid.SampledFrom(countries).Draw(t, "country")
		given := rapid.OneOf(alphabets...).Draw(t, "given")
		got, ok := all[country].E164(given)
		want, wantOK := byLibrary(given, country)
		if got != want || ok != wantOK {
			t.Fatalf("%s: E164(%q) = %q, %v; the library says %q, %v", country, given, got, ok, want, wantOK)
		}
	})
}

// byLibrary is E164 with nothing but the library.
func byLibrary(given, country string) (string, bool) {
	if given = strings.TrimSpace(given); given == "" {
		return "", true
	}
	if e164, ok := ask(given, country); ok {
		return e164, true
	}
	if rest, ok := strings.CutPrefix(strings.TrimLeft(given, "( "), "00"); ok {
		return ask("+"+rest, country)
	}
	return "", false
}

func ask(given, country string) (string, bool) {
	number, err := phonenumbers.Parse(given, country)
	if err != nil || phonenumbers.IsPossibleNumberWithReason(number) != phonenumbers.IS_POSSIBLE {
		return "", false
	}
	if number.GetCountryCode() != 1 && phonenumbers.IsAlphaNumber(given[strings.IndexAny(given, "+0123456789"):]) {
		return "", false // a remark
	}
	e164 := phonenumbers.Format(number, phonenumbers.E164)
	return e164, len(e164) <= 16
}

var e164Form = regexp.MustCompile(`^\+[1-9][0-9]{4,14}$`)

func FuzzPhones(f *testing.F) {
	for _, seed := range []string{"(416) 555-1234 x5", "+49 (0)30 123", "tel:123;phone-context=+1", ";phone-context=", "00", "＋１"} {
		f.Add(seed)
	}
	canada, germany, none := phones(f, "CA"), phones(f, "DE"), phones(f, "")
	f.Fuzz(func(t *testing.T, given string) {
		for _, p := range []*phone.Numbers{canada, germany, none} {
			e164, ok := p.E164(given)
			if e164 != "" && (!ok || !e164Form.MatchString(e164)) {
				t.Fatalf("E164(%q) = %q, %v", given, e164, ok)
			}
		}
	})
}

func BenchmarkPhones(b *testing.B) {
	for name, given := range map[string]string{
		"nanp": "(416) 555-1234", "nanp+ext": "(416) 555-1234 x12", "abroad": "+49 30 12345678", "bad": "4711", "empty": "",
	} {
		b.Run(name, func(b *testing.B) {
			p := phones(b, "CA")
			b.ReportAllocs()
			for b.Loop() {
				p.E164(given)
			}
		})
	}
}
