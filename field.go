package foyer

import "strings"

// Field is one of the values that an entry holds and a source can send.
type Field uint8

// The fields of an entry. Email is what identifies a person (R1); the others follow it.
const (
	Email Field = iota
	FirstName
	LastName
	DisplayName
	Title
	Division
	Mobile
	DeskPhone
	Manager
	Assistant
	NumFields // how many there are
)

var fieldNames = [NumFields]string{
	"email", "first_name", "last_name", "display_name", "title", "division", "mobile", "desk_phone", "manager", "assistant",
}

// String returns the name of the field in JSON, in the change log and on the command line: desk_phone.
func (f Field) String() string { return fieldNames[f] }

// Label returns the name of the field for a person: desk phone.
func (f Field) Label() string { return strings.ReplaceAll(fieldNames[f], "_", " ") }

// IsPhone tells whether the field holds a phone number, which is normalised beside what was given (R9).
func (f Field) IsPhone() bool { return f == Mobile || f == DeskPhone }

// ParseField returns the field of that name; case, hyphens, underscores and spaces do not matter.
func ParseField(name string) (Field, bool) {
	plain := strings.NewReplacer("-", "", "_", "", " ", "")
	name = strings.ToLower(plain.Replace(name))
	for f := Email; f < NumFields; f++ {
		if plain.Replace(fieldNames[f]) == name {
			return f, true
		}
	}
	return 0, false
}
