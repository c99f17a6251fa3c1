package match_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"foyer/match"
)

func TestR14_Fold(t *testing.T) {
	tests := []struct{ name, want string }{
		{"", ""},
		{"toronto", "toronto"},
		{"  Toronto\tHQ ", "torontohq"},
		{"Saint-Jérôme", "saint-jerome"},
		{"SAINT - JE\u0301RO\u0302ME", "saint-jerome"},
		{"New\u00a0York", "newyork"},
		{"Łódź", "lodz"},
		{"Tromsø", "tromso"},
		{"Straße", "strasse"},
		{"STRAẞE", "strasse"},
		{"Ærø", "aero"},
		{"Œuvre", "oeuvre"},
		{"Đà Nẵng", "danang"},
		{"Þingvellir", "thingvellir"},
		{"Ｔｏｋｙｏ", "tokyo"},
		{"İzmir", "izmir"},
		{"ΑΘΗΝΑΣ", "αθηνασ"},
		{"Αθήνας", "αθηνασ"},
		{"Йошкар", "иошкар"},
		{"a\u200bb", "ab"},
	}
	for _, test := range tests {
		if got := match.Fold(test.name); got != test.want {
			t.Errorf("Fold(%q) = %q, want %q", test.name, got, test.want)
		}
	}
}

func TestR14_FoldKeepsLettersOfOtherScripts(t *testing.T) {
	if match.Fold("がす") == match.Fold("かす") {
		t.Error("a voiced kana is another letter, not an accented one")
	}
}

func TestR14_Nearest(t *testing.T) {
	sites := []string{"Toronto", "Montréal", "New York", "Lyon", "NY"}
	tests := []struct{ name, want string }{
		{"Tornoto", "Toronto"},
		{"toront", "Toronto"},
		{"Montreal", "Montréal"},
		{"Montral", "Montréal"},
		{"NewYork", "New York"},
		{"Lyons", "Lyon"},
		{"NJ", ""},
		{"Vancouver", ""},
		{"", ""},
		{strings.Repeat("Toronto", 500), ""},
	}
	for _, test := range tests {
		if got := match.Nearest(test.name, sites); got != test.want {
			t.Errorf("Nearest(%.40q) = %q, want %q", test.name, got, test.want)
		}
	}
	if got := match.Nearest("Toronto", nil); got != "" {
		t.Errorf("the nearest of none is %q", got)
	}
	if got := match.Nearest("Site 3", []string{"Site 1", "Site 2"}); got != "Site 1" {
		t.Errorf("of equals %q, want the first", got)
	}
}

func FuzzFold(f *testing.F) {
	f.Add("Saint - Jérôme", "Lyon")
	f.Fuzz(func(t *testing.T, name, other string) {
		if folded := match.Fold(" " + name + "\t"); folded != match.Fold(name) {
			t.Fatalf("spacing matters: %q, %q", folded, match.Fold(name))
		}
		if near := match.Nearest(name, []string{other, name}); near == "" && name != "" && utf8.RuneCountInString(match.Fold(name)) <= 200 {
			t.Fatalf("%q is not near itself", name)
		}
	})
}

func BenchmarkFold(b *testing.B) {
	for name, given := range map[string]string{"folded": "toronto", "ascii": "New York", "accents": "Saint-Jérôme"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				match.Fold(given)
			}
		})
	}
}
