package certs_test

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"
)

// hello is a TLS ClientHello as old clients send it (RFC 5246 §7.4.1.2), which Go's own client could not be made to say.
type hello struct {
	version uint16
	suites  []uint16
	groups  []uint16 // RFC 8422 §5.1.1
	offers  []uint16 // versions of RFC 8446 §4.2.1; none: the extension is left out
}

func vector8(b []byte) []byte { return append([]byte{byte(len(b))}, b...) }
func vector16(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func numbers(list []uint16) (b []byte) {
	for _, n := range list {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	return b
}

func extension(kind uint16, data []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, kind), vector16(data)...)
}

// record returns the hello as it stands on the wire.
func (h hello) record() []byte {
	groups := h.groups
	if groups == nil {
		groups = []uint16{23, 24} // secp256r1, secp384r1
	}
	extensions := extension(10, vector16(numbers(groups)))
	extensions = append(extensions, extension(11, vector8([]byte{0}))...)
	signatures := []uint16{0x0401, 0x0501, 0x0201, 0x0403, 0x0503, 0x0203} // RSA PKCS #1 and ECDSA, as Schannel of 2016 offers them
	extensions = append(extensions, extension(13, vector16(numbers(signatures)))...)
	if len(h.offers) > 0 {
		extensions = append(extensions, extension(43, vector8(numbers(h.offers)))...)
	}
	body := binary.BigEndian.AppendUint16(nil, h.version)
	body = append(body, make([]byte, 32)...) // random
	body = append(body, 0)                   // no session
	body = append(body, vector16(numbers(h.suites))...)
	body = append(body, 1, 0) // no compression
	body = append(body, vector16(extensions)...)
	message := append([]byte{1, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	return append([]byte{22, byte(h.version >> 8), byte(min(h.version&0xFF, 1))}, vector16(message)...)
}

// answer sends a hello and returns what comes back: "version suite" of a ServerHello, or "alert".
func (h hello) answer(t *testing.T, address string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write(h.record()); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 5)
	if _, err := io.ReadFull(conn, head); err != nil {
		return "closed"
	}
	body := make([]byte, binary.BigEndian.Uint16(head[3:]))
	if _, err := io.ReadFull(conn, body); err != nil {
		t.Fatal(err)
	}
	if head[0] == 21 {
		return "alert"
	}
	session := int(body[38])
	return fmt.Sprintf("%04x %s", binary.BigEndian.Uint16(body[4:]), tls.CipherSuiteName(binary.BigEndian.Uint16(body[39+session:])))
}

// windows2016 is what Schannel of Windows Server 2016 offers, in its order.
var windows2016 = []uint16{
	0xC02C, 0xC02B, 0xC030, 0xC02F, 0x009F, 0x009E, 0xC024, 0xC023, 0xC028, 0xC027, 0xC00A, 0xC009, 0xC014, 0xC013, 0x0039, 0x0033,
	0x009D, 0x009C, 0x003D, 0x003C, 0x0035, 0x002F, 0x000A, 0x0005, 0x0004, 0x003B, 0x0002, 0x0001,
}

// both returns the address of a server with a certificate made here, which is ECDSA, and of one with an RSA certificate given.
func both(t *testing.T) map[string]string {
	t.Helper()
	made, given := newFixture(t), newFixture(t)
	given.give(t, rsaKey(t), given.now.Add(1000*time.Hour))
	return map[string]string{"ECDSA": serve(t, made.load(t).TLSConfig()), "RSA": serve(t, given.load(t).TLSConfig())}
}

func TestHello_OldVersionsAreRefused(t *testing.T) {
	everything := slices.Clone(windows2016)
	for kind, address := range both(t) {
		for name, h := range map[string]hello{
			"SSL 3.0": {version: 0x0300}, "TLS 1.0": {version: 0x0301}, "TLS 1.1": {version: 0x0302}, "less than SSL 3.0": {version: 0x0200},
			"TLS 1.1 in the extension of 1.3": {version: 0x0303, offers: []uint16{0x0302, 0x0301}},
		} {
			h.suites = everything
			if got := h.answer(t, address); got != "alert" {
				t.Errorf("%s to a certificate with %s: %s", name, kind, got)
			}
		}
	}
}

// TestHello_UnsafeSuitesAreRefused holds that TLS 1.2 with each suite that Windows offers is refused, but for those with forward secrecy and authenticated encryption.
func TestHello_UnsafeSuitesAreRefused(t *testing.T) {
	safe := map[string][]uint16{"ECDSA": {0xC02B, 0xC02C}, "RSA": {0xC02F, 0xC030}}
	for kind, address := range both(t) {
		for _, suite := range windows2016 {
			got := hello{version: 0x0303, suites: []uint16{suite}}.answer(t, address)
			want := "alert"
			if slices.Contains(safe[kind], suite) {
				want = "0303 " + tls.CipherSuiteName(suite)
			}
			if got != want {
				t.Errorf("%s to a certificate with %s: %s, want %s", tls.CipherSuiteName(suite), kind, got, want)
			}
		}
	}
}

// TestHello_WindowsServer2016IsServed holds that what Windows Server 2016 offers comes to TLS 1.2 with a suite of AES-GCM, whichever certificate the server has.
func TestHello_WindowsServer2016IsServed(t *testing.T) {
	want := map[string][]string{
		"ECDSA": {"0303 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "0303 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
		"RSA":   {"0303 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "0303 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
	}
	for kind, address := range both(t) {
		for name, groups := range map[string][]uint16{"its curves": {29, 23, 24}, "P-256 only": {23}, "P-384 only": {24}} {
			if got := (hello{version: 0x0303, suites: windows2016, groups: groups}).answer(t, address); !slices.Contains(want[kind], got) {
				t.Errorf("with %s to a certificate with %s: %s", name, kind, got)
			}
		}
	}
}

// TestHello_NoDowngrade holds that a client of TLS 1.3 is not taken down to 1.2 by a list that begins with older ones.
func TestHello_NoDowngrade(t *testing.T) {
	f := newFixture(t)
	state, err := dial(t, serve(t, f.load(t).TLSConfig()), &tls.Config{MinVersion: tls.VersionTLS10, InsecureSkipVerify: true})
	if err != nil || state.Version != tls.VersionTLS13 {
		t.Errorf("version %x, %v", state.Version, err)
	}
}
