package match_test

import (
	"strings"
	"testing"

	"foyer/match"
)

func TestR9_SplitName(t *testing.T) {
	tests := []struct{ display, first, last string }{
		{"", "", ""},
		{"  ", "", ""},
		{"Rob", "Rob", ""},
		{"Rob Jones", "Rob", "Jones"},
		{" Rob\u00a0 Jones ", "Rob", "Jones"},
		{"Jones, Rob", "Rob", "Jones"},
		{"Jones,Rob", "Rob", "Jones"},
		{"van der Berg, Ann Marie", "Ann Marie", "van der Berg"},
		{"Jones, Rob (Contractor)", "Rob", "Jones"},
		{"Jones, Rob [EXT]", "Rob", "Jones"},
		{"Rob (Bobby) Jones", "Rob", "Jones"},
		{"(Rob Jones)", "Rob", "Jones"},
		{"Jones,", "", "Jones"},
		{", Rob", "Rob", ""},
		{"Jones, Rob, PhD", "Rob", "Jones"},
		{"Rob Jones, PhD", "Rob", "Jones"},
		{"Rob Jones, Jr.", "Rob", "Jones"},
		{"Rob Jones Jr.", "Rob", "Jones Jr."},
		{"Ludwig van Beethoven", "Ludwig", "van Beethoven"},
		{"Juan de la Cruz", "Juan", "de la Cruz"},
		{"Dick Van Dyke", "Dick", "Van Dyke"},
		{"Van Morrison", "Van", "Morrison"},
		{"Al Gore", "Al", "Gore"},
		{"Omar bin Said al Masri", "Omar bin Said", "al Masri"},
		{"Maria del Carmen García López", "Maria del Carmen García", "López"},
		{"Mary Ann Smith", "Mary Ann", "Smith"},
		{"Jean-Luc O'Neil", "Jean-Luc", "O'Neil"},
		{"Prof. Dr. Ann Berg", "Ann", "Berg"},
		{"Dr. Berg", "", "Berg"},
		{"Dr. von Berg", "", "von Berg"},
		{"Berg, Dr. Ann", "Ann", "Berg"},
		{"Dr.", "Dr.", ""},
		{"王伟", "王伟", ""},
		{"rob@example.com", "", ""},
		{",", "", ""},
		{"()", "", ""},
	}
	for _, test := range tests {
		first, last := match.SplitName(test.display)
		if first != test.first || last != test.last {
			t.Errorf("SplitName(%q) = %q, %q; want %q, %q", test.display, first, last, test.first, test.last)
		}
	}
}

func FuzzSplitName(f *testing.F) {
	f.Add("Prof. Jones, Rob (Contractor), Jr.")
	f.Fuzz(func(t *testing.T, display string) {
		first, last := match.SplitName(display)
		if first != strings.TrimSpace(first) || last != strings.TrimSpace(last) || len(first)+len(last) > 3*len(display) {
			t.Fatalf("SplitName(%q) = %q, %q", display, first, last)
		}
	})
}

func BenchmarkSplitName(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		match.SplitName("Jones, Rob (Contractor)")
	}
}
