package server_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"foyer"
	"foyer/foyertest"
)

// wire is a connection on which a test says byte for byte what a customer's script says.
type wire struct {
	t    *testing.T
	conn *tls.Conn
	in   *textproto.Reader
	host string
}

// dial connects as .NET does once the script has pinned its version: TLS 1.2 and nothing else, HTTP/1.1 and no ALPN.
func dial(t *testing.T, f *foyertest.Foyer) *wire {
	t.Helper()
	return dialWith(t, f, &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12})
}

func dialWith(t *testing.T, f *foyertest.Foyer, c *tls.Config) *wire {
	t.Helper()
	pem, err := os.ReadFile(f.CAFile)
	must(t, err)
	c.RootCAs = x509.NewCertPool()
	c.RootCAs.AppendCertsFromPEM(pem)
	host := strings.TrimPrefix(f.Script.URL, "https://")
	conn, err := tls.Dial("tcp", host, c)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(60*time.Second)))
	return &wire{t, conn, textproto.NewReader(bufio.NewReader(conn)), host}
}

func (w *wire) send(text string) {
	w.t.Helper()
	_, err := io.WriteString(w.conn, text)
	must(w.t, err)
}

// wireReply is a reply as it stands on the wire.
type wireReply struct {
	status string // the status line
	header textproto.MIMEHeader
	body   string
}

func (r *wireReply) line() string {
	line, _, _ := strings.Cut(r.body, "\n")
	return line
}

func (w *wire) receive() *wireReply {
	w.t.Helper()
	status, err := w.in.ReadLine()
	must(w.t, err)
	header, err := w.in.ReadMIMEHeader()
	must(w.t, err)
	size, err := strconv.Atoi(header.Get("Content-Length"))
	if err != nil {
		w.t.Fatalf("the reply %s %v has no Content-Length", status, header)
	}
	body := make([]byte, size)
	_, err = io.ReadFull(w.in.R, body)
	must(w.t, err)
	wantASCII(w.t, string(body))
	return &wireReply{status, header, string(body)}
}

// token gets a token with what Invoke-WebRequest sends: nothing in the form is escaped.
func (w *wire) token(f *foyertest.Foyer) string {
	w.t.Helper()
	form := "grant_type=client_credentials&client_id=" + f.Script.ClientID + "&client_secret=" + f.Script.ClientSecret
	w.send("POST /auth/connect/token HTTP/1.1\r\n" +
		"User-Agent: Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.17763.1\r\n" +
		"Content-Type: application/x-www-form-urlencoded\r\n" +
		"Host: " + w.host + "\r\n" +
		"Content-Length: " + strconv.Itoa(len(form)) + "\r\n\r\n" + form)
	reply := w.receive()
	var got struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(reply.body), &got); err != nil || reply.status != "HTTP/1.1 200 OK" || got.AccessToken == "" {
		w.t.Fatalf("the token: %s %s", reply.status, reply.body)
	}
	return got.AccessToken
}

// uploadHead and uploadBody are what WebClient.UploadFile sends.
func (w *wire) uploadHead(token, expect string, length int) string {
	return "POST /addressbook/uploadcsv HTTP/1.1\r\n" +
		"Authorization: Bearer " + token + "\r\n" +
		"Content-Type: multipart/form-data; boundary=---------------------8df492f9c1cea88\r\n" +
		"Host: " + w.host + "\r\n" +
		"Content-Length: " + strconv.Itoa(length) + "\r\n" +
		expect + "\r\n"
}

func uploadBody(fileName, file string) string {
	return "-----------------------8df492f9c1cea88\r\n" +
		"Content-Disposition: form-data; name=\"file\"; filename=\"" + fileName + "\"\r\n" +
		"Content-Type: application/x-www-form-urlencoded\r\n\r\n" +
		file + "\r\n-----------------------8df492f9c1cea88--\r\n"
}

// upload sends a file without Expect, as .NET 5 and later do.
func (w *wire) upload(token, fileName, file string) *wireReply {
	w.t.Helper()
	body := uploadBody(fileName, file)
	w.send(w.uploadHead(token, "", len(body)) + body)
	return w.receive()
}

func (w *wire) wantOK(got *wireReply, line string) {
	w.t.Helper()
	if got.status != "HTTP/1.1 200 OK" || got.line() != line {
		w.t.Errorf("got %s, %s\nwant 200, %s", got.status, got.body, line)
	}
}

// extract is what the seed's script exports: the fields that it names, in quotes.
const extract = "\"mail\",\"DisplayName\",\"telephoneNumber\",\"HomePhone\"\r\n" +
	"\"rob.jones@test.com\",\"Rob Jones\",\"4169997777\",\"4169998888\"\r\n"

func okLine(run, added, unchanged, warnings int) string {
	return fmt.Sprintf("OK run=R-%d added=%d updated=0 disabled=0 enabled=0 unchanged=%d skipped=0 errors=0 warnings=%d", run, added, unchanged, warnings)
}

// TestWire_FrameworkUpload holds that .NET Framework and Mono are asked for the body before they send it, and that the file is applied.
func TestWire_FrameworkUpload(t *testing.T) {
	f := foyertest.Start(t)
	w := dial(t, f)
	token := w.token(f)
	body := uploadBody("adextract.csv", extract)
	w.send(w.uploadHead(token, "Expect: 100-continue\r\n", len(body)))
	for _, want := range []string{"HTTP/1.1 100 Continue", ""} {
		if got, err := w.in.ReadLine(); err != nil || got != want {
			t.Fatalf("before the body was sent the server said %q, %v; want %q", got, err, want)
		}
	}
	w.send(body)
	w.wantOK(w.receive(), okLine(1, 1, 0, 0))
	wantValue(t, f, "rob.jones@test.com", foyer.DisplayName, "Rob Jones")
	wantValue(t, f, "rob.jones@test.com", foyer.DeskPhone, "4169997777")
	wantValue(t, f, "rob.jones@test.com", foyer.Mobile, "4169998888")
}

// TestWire_CoreUpload holds that .NET 5 and later, which send all at once, get the reply and nothing before it.
func TestWire_CoreUpload(t *testing.T) {
	f := foyertest.Start(t)
	w := dial(t, f)
	w.wantOK(w.upload(w.token(f), "adextract.csv", extract), okLine(1, 1, 0, 0))
	wantBook(t, f, "rob.jones@test.com")
}

// TestWire_SameConnection holds that a connection serves one upload after the other.
func TestWire_SameConnection(t *testing.T) {
	f := foyertest.Start(t)
	w := dial(t, f)
	token := w.token(f)
	w.wantOK(w.upload(token, "adextract.csv", extract), okLine(1, 1, 0, 0))
	w.wantOK(w.upload(token, "adextract.csv", extract), okLine(2, 0, 1, 0))
}

// TestWire_OldWindows holds that a Windows of before 2016 gets through: TLS 1.2, no ECDHE with RSA and GCM, curve P-256.
func TestWire_OldWindows(t *testing.T) {
	f := foyertest.Start(t)
	w := dialWith(t, f, &tls.Config{
		MaxVersion: tls.VersionTLS12, CurvePreferences: []tls.CurveID{tls.CurveP256},
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	})
	if got := w.conn.ConnectionState().Version; got != tls.VersionTLS12 {
		t.Errorf("the version is %s", tls.VersionName(got))
	}
	w.wantOK(w.upload(w.token(f), "adextract.csv", extract), okLine(1, 1, 0, 0))
}

// TestWire_FileNames holds that the name of the file means nothing: it comes raw, with quotes and in UTF-8.
func TestWire_FileNames(t *testing.T) {
	f := foyertest.Start(t)
	for name, fileName := range map[string]string{
		"quotes": `ad"ext"ract.csv`, "raw UTF-8": "annuaire-Montréal-名簿.csv", "quote and UTF-8": `"é".csv`, "backslash": `C:\temp\x.csv`,
		"semicolon": "a;b=c.csv", "no name": "", "another type": "staff.xlsx",
	} {
		t.Run(name, func(t *testing.T) {
			f := tenant(t, f)
			w := dial(t, f)
			w.wantOK(w.upload(w.token(f), fileName, extract), okLine(1, 1, 0, 0))
			wantBook(t, f, "rob.jones@test.com")
		})
	}
}

// utf16le returns text as Windows calls "Unicode": UTF-16, the low byte first, with a byte order mark.
func utf16le(text string) string {
	b := []byte{0xFF, 0xFE}
	for _, unit := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return string(b)
}

// TestWire_Exports holds that a CSV is read as the programs of Windows write it. Each names Zoë at Montréal.
func TestWire_Exports(t *testing.T) {
	const quoted = "\"mail\",\"givenName\",\"sn\",\"SITE\"\r\n\"zoe@test.com\",\"Zoë\",\"Müller\",\"Montréal\"\r\n"
	f := foyertest.Start(t)
	for name, file := range map[string]string{
		"all quoted, CRLF":         quoted,
		"TYPE line":                "#TYPE Selected.Microsoft.ActiveDirectory.Management.ADUser\r\n" + quoted,
		"UTF-16LE with BOM":        utf16le(quoted),
		"UTF-16LE, TYPE line":      utf16le("#TYPE Selected.System.String\r\n" + quoted),
		"UTF-8 BOM, quoted header": "\uFEFF" + quoted,
		"BOM and TYPE line":        "\uFEFF#TYPE System.Object\r\n" + quoted,
		"PowerShell 7, nulls":      "\"mail\",\"givenName\",\"sn\",\"SITE\",\"title\"\n\"zoe@test.com\",\"Zoë\",\"Müller\",\"Montréal\",\n",
		"Excel, semicolons":        "\uFEFFmail;givenName;sn;SITE\r\nzoe@test.com;Zoë;Müller;Montréal\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := tenant(t, f)
			w := dial(t, f)
			w.wantOK(w.upload(w.token(f), "adextract.csv", file), okLine(1, 1, 0, 0))
			wantValue(t, f, "zoe@test.com", foyer.FirstName, "Zoë")
			wantValue(t, f, "zoe@test.com", foyer.LastName, "Müller")
			if sites := f.Book(t)["zoe@test.com"].Sites; len(sites) != 1 || sites[0] != 2 {
				t.Errorf("the sites are %v, want L-2 (Montréal)", sites)
			}
		})
	}
}

// TestWire_R9_ASCIIExportEqualsAccents holds that Export-Csv of PowerShell 5.1, which writes é as "?", does not overwrite the accents that are there.
func TestWire_R9_ASCIIExportEqualsAccents(t *testing.T) {
	f := foyertest.Start(t)
	w := dial(t, f)
	token := w.token(f)
	w.wantOK(w.upload(token, "a.csv", "\"mail\",\"givenName\",\"sn\"\r\n\"zoe@test.com\",\"Zoë\",\"Müller\"\r\n"), okLine(1, 1, 0, 0))
	w.wantOK(w.upload(token, "a.csv", "\"mail\",\"givenName\",\"sn\"\r\n\"zoe@test.com\",\"Zo?\",\"M?ller\"\r\n"), okLine(2, 0, 1, 0))
	wantValue(t, f, "zoe@test.com", foyer.FirstName, "Zoë")
	wantValue(t, f, "zoe@test.com", foyer.LastName, "Müller")
}

// TestWire_R9_NewNameWithQuestionMark holds that a "?" which stands for no stored accent is stored, with a warning that names the line.
func TestWire_R9_NewNameWithQuestionMark(t *testing.T) {
	f := foyertest.Start(t)
	w := dial(t, f)
	reply := w.upload(w.token(f), "a.csv", "\"mail\",\"givenName\"\r\n\"zoe@test.com\",\"Zo?\"\r\n")
	w.wantOK(reply, okLine(1, 1, 0, 1))
	if !strings.Contains(reply.body, "\nline 2: ") {
		t.Errorf("no line tells of the warning: %s", reply.body)
	}
	wantValue(t, f, "zoe@test.com", foyer.FirstName, "Zo?")
}

// TestWire_Windows1252 holds that a file of Excel's in Windows-1252 is read as such, with a warning.
func TestWire_Windows1252(t *testing.T) {
	f := foyertest.Start(t)
	w := dial(t, f)
	w.wantOK(w.upload(w.token(f), "a.csv", "mail;givenName\r\nzoe@test.com;Zo\xEB\r\n"), okLine(1, 1, 0, 1))
	wantValue(t, f, "zoe@test.com", foyer.FirstName, "Zoë")
}

// TestWire_UnknownAccentsComeBackAsASCII holds that the script, which decodes the reply as ASCII, can print what was wrong.
func TestWire_UnknownAccentsComeBackAsASCII(t *testing.T) {
	f := foyertest.Start(t)
	w := dial(t, f)
	reply := w.upload(w.token(f), "a.csv", "mail,SITE\r\nzoe@test.com,Québec 日\r\nann@test.com,Toronto\r\n")
	if !strings.Contains(reply.body, "\nline 2: ") || !strings.Contains(reply.body, `Quebec \u65e5`) {
		t.Errorf("the reply does not name the site in ASCII: %s", reply.body)
	}
	wantBook(t, f, "ann@test.com")
}
