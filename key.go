package foyer

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// KeyID is a client id (RFC 6749 §2.2): fk_, the organization, random characters and a checksum.
type KeyID string

// Key is a client id with its secrets, issued to one source of one organization, for good. What the secrets are is not in it.
type Key struct {
	ID        KeyID
	Source    SourceID
	Name      string
	Scopes    Scopes
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	RevokedAt time.Time // zero: not revoked
	Allow     Allowed   // from where it may be used, within what the organization allows
	Secrets   []Secret  // the oldest first; one, or two while it is rotated, and those that ended
}

// Secret is one of a key's secrets, as far as it may be known.
type Secret struct {
	Number      int // counted within the key, from 1
	CreatedAt   time.Time
	ExpiresAt   time.Time // zero: with the key
	LastUsed    time.Time // to the minute; zero: never
	LastAddress string    // from where
	LastAgent   string    // the program, by its User-Agent
}

// Live tells whether the key may be used at that time. What has ended never lives again.
func (k *Key) Live(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// Live tells whether the secret may be used at that time, if its key may.
func (s *Secret) Live(now time.Time) bool { return s.ExpiresAt.IsZero() || now.Before(s.ExpiresAt) }

// LiveSecret tells whether the key and its secret of that number may be used at that time.
func (k *Key) LiveSecret(number int, now time.Time) bool {
	at := slices.IndexFunc(k.Secrets, func(s Secret) bool { return s.Number == number })
	return at >= 0 && k.Live(now) && k.Secrets[at].Live(now)
}

// LastUse returns the secret that was used last; the zero Secret where none ever was.
func (k *Key) LastUse() (last Secret) {
	for _, s := range k.Secrets {
		if s.LastUsed.After(last.LastUsed) {
			last = s
		}
	}
	return last
}

// State returns "live", "expired" or "revoked".
func (k *Key) State(now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero():
		return "revoked"
	case !k.Live(now):
		return "expired"
	}
	return "live"
}

// Allowed says from which addresses something may be done. The zero Allowed is from anywhere.
type Allowed struct {
	Prefixes []netip.Prefix
	LogOnly  bool // what is not allowed is only noted
}

// ParseAllowed reads addresses and CIDR prefixes, IPv4 and IPv6. An IPv4 address in IPv6 form is taken as IPv4.
func ParseAllowed(texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		prefix, err := parsePrefix(strings.TrimSpace(text))
		if err != nil {
			return nil, Errorf(Invalid, "%q is neither an address nor a range of addresses; write 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32", text)
		}
		if prefix.Bits() == 0 {
			return nil, Errorf(Invalid, "%q allows every address; leave the list empty for that", text)
		}
		all = append(all, prefix)
	}
	return all, nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return netip.Prefix{}, err
		}
		address = address.Unmap().WithZone("")
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err == nil && prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), err
}

// Permits tells whether the list allows an address, leaving LogOnly aside. This machine's command line, which has none, is always allowed.
func (a *Allowed) Permits(address netip.Addr) bool {
	if len(a.Prefixes) == 0 || !address.IsValid() {
		return true
	}
	address = address.Unmap().WithZone("")
	return slices.ContainsFunc(a.Prefixes, func(p netip.Prefix) bool { return p.Contains(address) })
}

// ClientNetwork is the network that one client has: an address, of IPv6 the 64 bits that its provider gave it.
func ClientNetwork(address netip.Addr) netip.Prefix {
	address = address.Unmap().WithZone("")
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	network, err := address.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}

// Texts returns the prefixes as they are written.
func (a *Allowed) Texts() []string {
	texts := []string{}
	for _, p := range a.Prefixes {
		texts = append(texts, p.String())
	}
	return texts
}
