package foyer

import "slices"

// Hash is a keyed 128-bit hash of a source's row as it was last applied. The zero Hash matches no row (R17).
type Hash [16]byte

// Claim says that a source lists an entry: the sites it names, whether as enabled, and the row as last applied.
type Claim struct {
	Hash     Hash
	Disabled bool     // listed as disabled (R13)
	Sites    []SiteID // the sites that the source names, ascending
}

// Same tells whether two claims say the same, whatever row they were applied from.
func (c *Claim) Same(other *Claim) bool {
	if c == nil || other == nil {
		return c == other
	}
	return c.Disabled == other.Disabled && slices.Equal(c.Sites, other.Sites)
}
