package match_test

import (
	"strings"
	"testing"
	"unicode/utf16"

	"foyer/match"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

func TestR9_SameASCII(t *testing.T) {
	tests := []struct {
		stored, submitted string
		want              bool
	}{
		{"Zoé", "Zoé", true},
		{"Zoé", "Zo?", true},
		{"Zoé", "Zoe?", true},       // exported from NFD
		{"Zoe\u0301", "Zo?", true},  // stored in NFD
		{"Zoe\u0301", "Zoe?", true}, // stored in NFD, exported as it was
		{"王伟", "??", true},
		{"Rob 👍", "Rob ??", true}, // a surrogate pair
		{"Rob 👍", "Rob ?", false},
		{"Zoé", "Zoe", false},
		{"Zoé", "Zo??", false},
		{"Zoé", "Zo", false},
		{"Zoé", "Z??", false},
		{"Zoe", "Zo?", false}, // an ASCII letter is never lost
		{"Zo?", "Zoé", false}, // not symmetric
		{"", "?", false},
		{"é", "", false},
		{"Who?", "Who?", true},
		{"Zoé?", "Zo??", true},
	}
	for _, test := range tests {
		if got := match.SameASCII(test.stored, test.submitted); got != test.want {
			t.Errorf("SameASCII(%q, %q) = %v", test.stored, test.submitted, got)
		}
	}
}

// export is what Export-Csv of Windows PowerShell does, by way of UTF-16.
func export(s string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(s)) {
		if unit > 0x7F {
			unit = '?'
		}
		b.WriteByte(byte(unit))
	}
	return b.String()
}

func TestR9_AnExportIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stored := rapid.StringOf(rapid.RuneFrom([]rune("aeé?\u0301 ß王👍ô"))).Draw(t, "stored")
		for _, form := range []string{stored, norm.NFC.String(stored), norm.NFD.String(stored)} {
			if !match.SameASCII(stored, export(form)) {
				t.Fatalf("SameASCII(%q, %q) = false", stored, export(form))
			}
		}
	})
}

func TestR9_Mangled(t *testing.T) {
	for _, s := range []string{"Zo?", "Ren? Dupont", "Fran?ois", "?ric", "M?ller", "??", "??? ??", "Rob Andr?", "Who? Zo?l", "Responsable s?curit?"} {
		if !match.Mangled(s) {
			t.Errorf("Mangled(%q) = false", s)
		}
	}
	for _, s := range []string{"", "?", "Zoé", "Who?", "who ?", "Is this Rob?", "Rob ? Jones", "Level 3 ?", "R&D ? (East)"} {
		if match.Mangled(s) {
			t.Errorf("Mangled(%q) = true", s)
		}
	}
}

func FuzzMangled(f *testing.F) {
	f.Add("Zo?")
	f.Add(" ? ?a")
	f.Fuzz(func(t *testing.T, s string) {
		if match.Mangled(s) && !strings.Contains(s, "?") {
			t.Fatal("nothing was lost")
		}
		match.SameASCII(s, export(s))
	})
}

func BenchmarkSameASCII(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		match.SameASCII("Zoé Müller", "Zo? M?ller")
	}
}
