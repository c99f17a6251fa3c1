package foyertest

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"foyer/certs"
)

// The names in a Slapd: what it holds is below SlapdBase.
const (
	SlapdBase    = "dc=test,dc=com"
	SlapdAdmin   = "cn=admin,dc=test,dc=com"               // may do anything, without limits
	SlapdReader  = "cn=foyer,ou=services,dc=test,dc=com"   // may read: 500 entries at a time, in pages all
	SlapdLimited = "cn=limited,ou=services,dc=test,dc=com" // may read 500 entries, in pages too
	SlapdSecret  = "reader-password-7f3a"                  // of all of them
)

// Slapd is an OpenLDAP server of the test's own, that speaks TLS only and gives at most 500 entries without pages.
type Slapd struct {
	URL      string // ldaps://127.0.0.1:…
	StartTLS string // ldap://127.0.0.1:…
	CAFile   string

	dir string
	cmd *exec.Cmd
}

// slapdConf is slapd.conf(5): %[1]s is its folder.
const slapdConf = `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload ppolicy
pidfile %[1]s/pid
TLSCACertificateFile %[1]s/tls/ca.pem
TLSCertificateFile %[1]s/tls/server.pem
TLSCertificateKeyFile %[1]s/tls/server-key.pem
security tls=1
sizelimit 500
database mdb
dbnosync
maxsize 268435456
directory %[1]s/db
suffix "` + SlapdBase + `"
rootdn "` + SlapdAdmin + `"
rootpw ` + SlapdSecret + `
limits dn.exact="` + SlapdReader + `" size.soft=500 size.hard=500 size.pr=500 size.prtotal=unlimited
overlay memberof
memberof-refint true
overlay ppolicy
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=sealed,ou=people,` + SlapdBase + `" attrs=pwdAccountLockedTime by * none
access to dn.subtree="ou=hidden,` + SlapdBase + `" by * none
access to * by dn.exact="` + SlapdReader + `" read by dn.exact="` + SlapdLimited + `" read by anonymous auth by * none
`

// slapdLDIF is what each Slapd holds.
const slapdLDIF = `dn: ` + SlapdBase + `
objectClass: organization
objectClass: dcObject
dc: test
o: Test

dn: ou=services,` + SlapdBase + `
objectClass: organizationalUnit
ou: services

dn: ` + SlapdReader + `
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: foyer
userPassword: ` + SlapdSecret + `

dn: ` + SlapdLimited + `
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: limited
userPassword: ` + SlapdSecret + `

dn: ou=people,` + SlapdBase + `
objectClass: organizationalUnit
ou: people

dn: ou=groups,` + SlapdBase + `
objectClass: organizationalUnit
ou: groups

`

// StartSlapd starts an OpenLDAP server that holds what the LDIF (RFC 2849) says besides. It ends with the test.
func StartSlapd(t testing.TB, ldif string) *Slapd {
	t.Helper()
	s := &Slapd{dir: t.TempDir()}
	// A copy, since where AppArmor confines slapd, it does so by its path.
	program, err := os.ReadFile("/usr/sbin/slapd")
	if err != nil {
		t.Fatalf("the tests of directories need a real one: %v; install it first: apt-get install slapd", err)
	}
	must(t, os.WriteFile(s.dir+"/slapd", program, 0o700))
	_, err = certs.Load(certs.Config{Dir: s.dir + "/tls", Hosts: []string{"localhost"}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	must(t, err)
	s.CAFile = s.dir + "/tls/ca.pem"
	must(t, os.Mkdir(s.dir+"/db", 0o700))
	must(t, os.WriteFile(s.dir+"/slapd.conf", fmt.Appendf(nil, slapdConf, s.dir), 0o600))
	must(t, os.WriteFile(s.dir+"/data.ldif", []byte(slapdLDIF+ldif), 0o600))
	out, err := exec.Command(s.dir+"/slapd", "-Tadd", "-q", "-f", s.dir+"/slapd.conf", "-l", s.dir+"/data.ldif").CombinedOutput()
	if err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	s.URL, s.StartTLS = "ldaps://"+freeAddress(t), "ldap://"+freeAddress(t)
	s.Start(t)
	t.Cleanup(s.Kill)
	return s
}

// freeAddress returns an address of this machine at which nobody listens. Its port is below those that systems give to connections of their own (32768 and up): one of these could be given away while
// the server is down, and a connection to it from the same port would even be taken for the server.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_000)))
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().String()
	}
	t.Fatal("there is no free port")
	return ""
}

// Start starts the server, with what it held, and waits until it listens.
func (s *Slapd) Start(t testing.TB) {
	t.Helper()
	s.cmd = exec.Command(s.dir+"/slapd", "-d", "0", "-f", s.dir+"/slapd.conf", "-h", s.URL+" "+s.StartTLS)
	var log bytes.Buffer
	s.cmd.Stderr = &log
	must(t, s.cmd.Start())
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if listens(s.StartTLS) && listens(s.URL) {
			return
		}
	}
	s.Kill()
	t.Fatalf("slapd does not listen: %s", log.String())
}

// listens tells whether somebody does at the address of a URL.
func listens(address string) bool {
	_, host, _ := strings.Cut(address, "://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// Kill ends the server at once, as a cut of the power does.
func (s *Slapd) Kill() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		s.cmd = nil
	}
}
