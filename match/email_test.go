package match_test

import (
	"strings"
	"testing"
	"unicode"

	"foyer/match"

	"pgregory.net/rapid"
)

func TestR1_Email(t *testing.T) {
	long := strings.Repeat("d", 60)
	tests := []struct{ given, want string }{
		{"rob@example.com", "rob@example.com"},
		{" \tRob.Jones@Example.COM\r\n", "rob.jones@example.com"},
		{"\u00a0rob@example.com\u3000", "rob@example.com"},
		{"o'neil+visits@example.com", "o'neil+visits@example.com"},
		{"rob@corp", "rob@corp"},
		{"rob@my_corp.local", "rob@my_corp.local"},
		{"rob@R3---sn.example.com", "rob@r3---sn.example.com"},
		{"a..b.@docomo.example", "a..b.@docomo.example"},
		{"Zoé@example.com", "zoé@example.com"},
		{"zoe\u0301@example.com", "zoé@example.com"},
		{"ZOÉ@example.com", "zoÉ@example.com"}, // ASCII letters only
		{"straße@example.com", "straße@example.com"},
		{"rob@bücher.example", "rob@xn--bcher-kva.example"},
		{"rob@BÜCHER.example", "rob@xn--bcher-kva.example"},
		{"rob@bu\u0308cher.example", "rob@xn--bcher-kva.example"},
		{"rob@XN--BCHER-KVA.example", "rob@xn--bcher-kva.example"},
		{"rob@straße.example", "rob@xn--strae-oqa.example"},
		{"rob@straẞe.example", "rob@xn--strae-oqa.example"},
		{"王@例え.テスト", "王@xn--r8jz45g.xn--zckzah"},
		{strings.Repeat("l", 64) + "@example.com", strings.Repeat("l", 64) + "@example.com"},
		{"rob@" + long + "." + long + "." + long + "." + long + ".com", "rob@" + long + "." + long + "." + long + "." + long + ".com"},
	}
	for _, test := range tests {
		got, err := match.Email(test.given)
		if err != nil || string(got) != test.want {
			t.Errorf("Email(%q) = %q, %v; want %q", test.given, got, err, test.want)
		}
		if again, err := match.Email(string(got)); err != nil || again != got {
			t.Errorf("Email(%q) = %q, %v; a key is its own key", got, again, err)
		}
	}
}

func TestR1_UnreadableEmail(t *testing.T) {
	tests := []struct{ given, problem string }{
		{"", "is empty"},
		{"  ", "is empty"},
		{"rob", "has no @"},
		{"rob jones", "has white space in it"},
		{"rob@", "has nothing after the @"},
		{"@example.com", "has nothing before the @"},
		{"@", "has nothing before the @"},
		{"rob@x@example.com", "has more than one @"},
		{"Rob <rob@example.com>", "has white space in it"},
		{"<rob@example.com>", "has '<' in it"},
		{"mailto:rob@example.com", "has ':' in it"},
		{`"rob"@example.com`, `has '"' in it`},
		{"rob@example.com;ann@example.com", "has ';' in it"},
		{"rob,ann@example.com", "has ',' in it"},
		{"rob@[10.0.0.1]", "has '[' in it"},
		{"rob@x!y.com", "has '!' in its domain"},
		{"rob\x00@example.com", "has the control character U+0000 in it"},
		{"rob\x7f@example.com", "has the control character U+007F in it"},
		{"rob\u0085x@example.com", "has white space in it"},
		{"rob\u200b@example.com", "has the invisible character U+200B in it"},
		{"rob@exam\ufe0fple.com", "has the invisible character U+FE0F in it"},
		{"rob@exam\u00adple.com", "has the invisible character U+00AD in it"},
		{"rob\xff@example.com", "bytes that are not UTF-8"},
		{"rob@.example.com", "nothing before, after or between its dots"},
		{"rob@example..com", "nothing before, after or between its dots"},
		{"rob@example.com.", "nothing before, after or between its dots"},
		{"rob@-example.com", "hyphen"},
		{"rob@example-.com", "hyphen"},
		{"rob@例え。テスト", "unusual dot"},
		{"rob@xn--a.com", "domain that cannot be"},
		{"rob@xn--zz-.com", "domain that cannot be"},
		{strings.Repeat("l", 65) + "@example.com", "more than 64 bytes before the @"},
		{"rob@" + strings.Repeat("d", 64) + ".com", "longer than 63 bytes"},
		{"rob@" + strings.Repeat("d.", 126) + "d", "longer than 254 bytes"},
		{strings.Repeat("x", 1<<20) + "@example.com", "longer than 254 bytes"},
	}
	for _, test := range tests {
		key, err := match.Email(test.given)
		if err == nil || !strings.Contains(err.Error(), test.problem) {
			t.Errorf("Email(%.80q) = %q, %v; want an error with %q", test.given, key, err, test.problem)
			continue
		}
		if len(err.Error()) > 400 {
			t.Errorf("Email(%.80q): an error of %d bytes", test.given, len(err.Error()))
		}
	}
}

// What Unicode takes for an ASCII character would make two addresses one.
func TestR1_LookAlikesAreRefused(t *testing.T) {
	for _, alike := range []string{"\u212a", "ı", "İ", "ſ", "ｋ", "Ｋ", "ﬁ", "𝐤", "ℌ", "Ⓚ", "ª", "①", "＠", "．", "\u037e", "\u1fef"} {
		for _, given := range []string{"r" + alike + "b@example.com", "rob@ex" + alike + "mple.com"} {
			if key, err := match.Email(given); err == nil || !strings.Contains(err.Error(), "looks like") {
				t.Errorf("Email(%q) = %q, %v; want it refused as a look-alike", given, key, err)
			}
		}
	}
}

// No non-ASCII character may make an address equal to one that is written without it, or with an ASCII one for it.
func TestR1_NoCharacterMergesIntoASCII(t *testing.T) {
	for r := rune(0x80); r <= 0x1FFFF; r++ { // beyond are ideographs, variation selectors and private use
		if !unicode.IsGraphic(r) {
			continue
		}
		if key, err := match.Email("a" + string(r) + "b@example.com"); err == nil && isASCII(string(key)) {
			t.Errorf("%U in the local part was merged: %q", r, key)
		}
		if key, err := match.Email("ab@x" + string(r) + "y.com"); err == nil && !strings.HasPrefix(string(key), "ab@xn--") {
			t.Errorf("%U in the domain was merged: %q", r, key)
		}
	}
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

func TestR1_PlainAddressCostsNothing(t *testing.T) {
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := match.Email("rob.jones@example.com"); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for a plain address, want 0", allocs)
	}
}

// TestR1_TheShortWayIsTheLongOne holds that an address has one key whether or not it is of the kind that is read at once: one with a space before it is not.
func TestR1_TheShortWayIsTheLongOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		given := rapid.OneOf(
			rapid.StringMatching(`[a-zA-Z0-9.@_'é-]{0,12}@?[a-zA-Z0-9.@_é-]{0,12}`),
			rapid.StringMatching(`[A-Za-z]{1,66}@([A-Za-z]{1,64}\.){0,4}(XN--|xn--)?[a-zA-Z]{1,3}`),
		).Draw(t, "given")
		key, err := match.Email(given)
		long, longErr := match.Email(" " + given)
		if key != long || (err == nil) != (longErr == nil) {
			t.Fatalf("Email(%q) = %q, %v; with a space before it %q, %v", given, key, err, long, longErr)
		}
	})
}

func FuzzEmail(f *testing.F) {
	for _, seed := range []string{"rob@example.com", "Zoé@BÜCHER.example", "rob@xn--bcher-kva.example", "a\u0301@b\u0301.c", "ſ@x", "rob@א.ab"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, given string) {
		key, err := match.Email(given)
		if err != nil {
			return
		}
		again, err := match.Email(string(key))
		if err != nil || again != key {
			t.Fatalf("Email(%q) = %q, and of that %q, %v", given, key, again, err)
		}
		if strings.Count(string(key), "@") != 1 || len(key) > 254 || strings.ContainsAny(string(key), " \t\r\n,;<>\"()ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			t.Fatalf("Email(%q) = %q", given, key)
		}
	})
}

func BenchmarkEmail(b *testing.B) {
	for name, given := range map[string]string{"plain": "rob.jones@example.com", "upper": "Rob.Jones@Example.com", "idn": "zoé@bücher.example"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := match.Email(given); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
