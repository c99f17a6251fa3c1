package csvfile

import (
	"testing"
	"unicode/utf8"
)

// TestSniffer_ChunksDoNotMatter splits texts at every two places and compares with the text seen at once.
func TestSniffer_ChunksDoNotMatter(t *testing.T) {
	for _, text := range []string{
		"plain", "é", "Café Ångström €5 😀.", "\xE9", "Caf\xE9 na\xEFve", "\xF0\x9F\x98", "\xF0\x9F\x98x\x80", "\xE2\xE2\x82\xAC\xC3", "\xC0\x80\xED\xA0\x80\xF5\x80", "€\x80",
	} {
		var whole Sniffer
		whole.Write([]byte(text))
		if valid := whole.invalid == 0 && whole.tails == 0; valid != utf8.ValidString(text) {
			t.Errorf("%q: valid is %v", text, valid)
		}
		for i := range len(text) + 1 {
			for j := i; j <= len(text); j++ {
				var s Sniffer
				s.Write([]byte(text[:i]))
				s.Write([]byte(text[i:j]))
				s.Write([]byte(text[j:]))
				if s.size != whole.size || s.head != whole.head || s.valid != whole.valid || s.invalid != whole.invalid || s.tails != whole.tails {
					t.Errorf("%q split at %d and %d: %+v, want %+v", text, i, j, s, whole)
				}
			}
		}
	}
}

func TestSniffer_Encoding(t *testing.T) {
	for _, test := range []struct {
		text string
		set  bool
		want Encoding
	}{
		{"plain", false, UTF8},
		{"Café", false, UTF8},
		{"Café", true, Windows1252},
		{"Caf\xE9", false, Windows1252},
		{"Caf\xE9", true, Windows1252},
		{"ends with \xE9", false, Windows1252},
		{"\xC3\xA9 by chance, \xE9 and \xE9", false, Windows1252},
		{"Café, cut in é: \xC3", false, UTF8},
		{byteOrderMark + "Café", true, UTF8},
		{byteOrderMark + "Caf\xE9\xE9\xE9", false, UTF8},
		{"\xFF\xFEa\x00", true, UTF16LE},
		{"\xFE\xFF\x00a", false, UTF16BE},
	} {
		var s Sniffer
		s.Write([]byte(test.text))
		if got := s.Encoding(test.set); got != test.want {
			t.Errorf("%q, set %v: got %s, want %s", test.text, test.set, got, test.want)
		}
	}
}

func TestWindows1252_UndefinedBytes(t *testing.T) {
	convert := windows1252()
	for c := range 256 {
		out, _ := convert(nil, []byte{byte(c)}, true)
		undefined := c == 0x81 || c == 0x8D || c == 0x8F || c == 0x90 || c == 0x9D
		if r, n := utf8.DecodeRune(out); n != len(out) || (r == utf8.RuneError) != undefined {
			t.Errorf("0x%02X became %q", c, out)
		}
	}
}
