package push

import (
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// utf8Of returns a text file's content as UTF-8 without a byte order mark. What Windows PowerShell writes by "program > file" is UTF-16, and some editors put
// a mark in front of UTF-8.
func utf8Of(text []byte) ([]byte, error) {
	plain, _, err := transform.Bytes(unicode.BOMOverride(encoding.Nop.NewDecoder()), text)
	return plain, err
}
