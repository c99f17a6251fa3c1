package certs

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// hosts is what a server is called.
type hosts struct {
	names     []string
	addresses []net.IP
}

// readHosts sorts names from addresses, and adds those of this machine.
func readHosts(given []string) (hosts, error) {
	h := hosts{names: []string{"localhost"}, addresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}}
	for _, host := range given {
		if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
			if ip := net.IP(addr.Unmap().AsSlice()); !slices.ContainsFunc(h.addresses, ip.Equal) {
				h.addresses = append(h.addresses, ip)
			}
			continue
		}
		name, err := readName(host)
		if err != nil {
			return hosts{}, err
		}
		if !slices.Contains(h.names, name) {
			h.names = append(h.names, name)
		}
	}
	return h, nil
}

// readName returns a host name in the form that certificates have: ASCII, lower-case, without the final dot. The first
// label may be "*".
func readName(host string) (string, error) {
	name, err := idna.Lookup.ToASCII(strings.TrimPrefix(strings.TrimSuffix(host, "."), "*."))
	if err != nil || name == "" || len(name) > 253 || strings.Contains(name, "..") {
		return "", fmt.Errorf("%q is neither a host name nor an IP address; give it without scheme, port and path, like foyer.example.com", host)
	}
	if strings.HasPrefix(host, "*.") {
		name = "*." + name
	}
	return name, nil
}

// coveredBy tells whether the certificate is for every host. It may be for more.
func (h hosts) coveredBy(cert *x509.Certificate) bool {
	for _, name := range h.names {
		if !slices.Contains(cert.DNSNames, name) {
			return false
		}
	}
	for _, ip := range h.addresses {
		if !slices.ContainsFunc(cert.IPAddresses, ip.Equal) {
			return false
		}
	}
	return true
}
