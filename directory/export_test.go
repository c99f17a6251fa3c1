package directory

// Trees returns below which names a server at that address, which holds those trees, is asked for the groups in a group.
func Trees(c Config, address string, held []string, group string) ([]string, error) {
	return (&session{Config: c, url: address, holds: held}).trees(group)
}

// IsBelowAny tells whether an entry is one of those or below one.
func IsBelowAny(dn string, ancestors []string) bool { return isBelowAny(dn, ancestors) }
