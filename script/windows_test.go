package script_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"foyer/script"
)

// windows is the computer on which a script runs in the tests: what is not real here is what Windows and .NET would do. The requests are real.
type windows struct {
	t           *testing.T
	edition     script.Edition
	conn        *script.Conn
	directory   *directory
	home        string // the script's folder
	temp        string
	environment map[string]any
	admin       bool
	typed       string // what is typed when the secret is asked for
	hasSource   bool   // the event log knows the source Foyer
	noAccount   bool   // icacls finds no such account
	sealedHere  bool   // what is sealed can be opened: it was sealed on this computer

	assemblies []string
	asked      map[string]any // what the script set of its HttpClientHandler
	proxy      *object        // the one that Windows has set; nil: none
	protocol   any            // what ServicePointManager.SecurityProtocol was set to
	screen     []string
	events     []event
	slept      []time.Duration
	sent       []script.Request
	granted    []string // by icacls: file and grants
	created    string   // the file that was made anew
}

// event is a line of the event log.
type event struct {
	source, text, kind string
	id                 int
}

func (w *windows) check(ok bool, format string, args ...any) {
	w.t.Helper()
	if !ok {
		w.t.Fatalf("the script: "+format, args...)
	}
}

// automatic returns a variable that PowerShell sets.
func (w *windows) automatic(name string) (any, bool) {
	switch name {
	case "true", "false":
		return name == "true", true
	case "null":
		return nil, true
	case "psscriptroot":
		return w.home, true
	case "lastexitcode":
		return map[bool]int{false: 0, true: 1332}[w.noAccount], true
	case "psversiontable":
		major, _, _ := strings.Cut(w.edition.Version(), ".")
		number, err := strconv.Atoi(major)
		w.check(err == nil, "the version %s", w.edition.Version())
		return &table{[]string{"PSVersion"}, []any{&version{w.edition.Version(), number}}}, true
	}
	return nil, false
}

// version is a System.Version.
type version struct {
	text  string
	major int
}

func (v *version) String() string { return v.text }

func (v *version) get(name string) (any, bool) { return v.major, name == "major" }

// setStatic sets a static property.
func (w *windows) setStatic(kind, name string, v any) {
	w.check(kind+"::"+name == "system.net.servicepointmanager::SecurityProtocol", "%s::%s is set", kind, name)
	w.protocol = v
}

// static returns a static property, or what a static method or a constructor returns.
func (w *windows) static(s *shell, kind, name string, args []any) any {
	if strings.HasPrefix(kind, "system.net.http.") {
		w.check(strings.Contains(strings.Join(w.assemblies, " "), "System.Net.Http"), "%s before Add-Type", kind)
		return w.http(kind, name, args)
	}
	method, ok := statics[kind+"::"+name]
	w.check(ok, "%s::%s is not known", kind, name)
	return method(w, args)
}

// constant returns a member of an enumeration, by its own name.
func constant(name string) func(*windows, []any) any {
	return func(*windows, []any) any { return name }
}

// empty returns an object of which the script only passes on that it is there.
func empty(*windows, []any) any { return &object{properties: map[string]any{}} }

var statics = map[string]func(*windows, []any) any{
	"system.net.securityprotocoltype::tls12":             constant("Tls12"),
	"system.security.authentication.sslprotocols::tls12": constant("Tls12"),
	"system.timespan::fromminutes":                       func(_ *windows, a []any) any { return time.Duration(a[0].(int)) * time.Minute },
	"system.datetime::utcnow": func(*windows, []any) any {
		return &object{methods: map[string]func([]any) any{"tofiletimeutc": func([]any) any { return fileTime }}}
	},
	"system.guid::newguid":                           func(w *windows, _ []any) any { return w.guid() },
	"system.io.path::gettemppath":                    func(w *windows, _ []any) any { return w.temp },
	"system.math::min":                               func(_ *windows, a []any) any { return min(a[0].(int), a[1].(int)) },
	"system.environment::username":                   constant("svc-foyer$"),
	"system.net.credentialcache::defaultcredentials": constant("the account's own"),
	"system.net.webrequest::defaultwebproxy": func(w *windows, _ []any) any {
		if w.proxy == nil {
			return nil
		}
		return w.proxy
	},
	"system.net.webproxy::new":         empty,
	"system.text.utf8encoding::new":    func(_ *windows, a []any) any { return map[bool]string{false: "", true: "\uFEFF"}[a[0].(bool)] },
	"system.text.encoding::utf8":       func(*windows, []any) any { return utf8Encoding },
	"system.io.file::writealllines":    writeAllLines,
	"system.io.file::delete":           deleteFile,
	"system.io.filemode::createnew":    constant("CreateNew"),
	"system.io.filestream::new":        createNew,
	"system.io.file::writealltext":     func(w *windows, a []any) any { return w.write(text(a[0]), text(a[1])) },
	"system.io.file::readalltext":      func(w *windows, a []any) any { return w.read(text(a[0])) },
	"system.io.file::readallbytes":     func(w *windows, a []any) any { return []byte(w.read(text(a[0]))) },
	"system.convert::tobase64string":   func(_ *windows, a []any) any { return base64.StdEncoding.EncodeToString(a[0].([]byte)) },
	"system.convert::frombase64string": fromBase64,
	"system.security.principal.windowsidentity::getcurrent": func(*windows, []any) any {
		return &object{properties: map[string]any{"name": `ACME\admin`}}
	},
	"system.security.principal.windowsbuiltinrole::administrator": constant("Administrator"),
	"system.security.principal.windowsprincipal::new": func(w *windows, _ []any) any {
		return &object{methods: map[string]func([]any) any{"isinrole": func([]any) any { return w.admin }}}
	},
	"system.net.networkcredential::new": func(_ *windows, a []any) any {
		return &object{properties: map[string]any{"password": a[1]}}
	},
	"system.security.cryptography.protecteddata::protect":   protect,
	"system.security.cryptography.protecteddata::unprotect": protect,
	"system.diagnostics.eventlog::writeentry":               writeEntry,
}

// fileTime is the time on the computer, as Windows counts: in steps of 100 ns since 1601. It is 03:00 on 21 October 2026.
const fileTime = 134_370_252_000_000_000

var utf8Encoding = &object{methods: map[string]func([]any) any{
	"getbytes":  func(a []any) any { return []byte(text(a[0])) },
	"getstring": func(a []any) any { return string(a[0].([]byte)) },
}}

// guids counts what NewGuid gave: each is another.
func (w *windows) guid() any {
	made := fmt.Sprintf("00000000-0000-4000-8000-%012d", len(w.sent)+len(w.slept)+len(w.screen))
	return &object{methods: map[string]func([]any) any{"tostring": func([]any) any { return made }}}
}

func (o *object) String() string {
	if m, ok := o.methods["tostring"]; ok {
		return text(m(nil))
	}
	return "System.Object"
}

func (w *windows) write(path, text string) any {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		panic(&thrown{err.Error(), 0})
	}
	return nothing
}

func (w *windows) read(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		panic(&thrown{err.Error(), 0})
	}
	return string(content)
}

// deleteFile is File.Delete, to which it is all the same whether the file is there.
func deleteFile(_ *windows, a []any) any {
	if err := os.Remove(text(a[0])); err != nil && !errors.Is(err, fs.ErrNotExist) {
		panic(&thrown{err.Error(), 0})
	}
	return nothing
}

// createNew is a FileStream that is opened so that the file must not be there yet.
func createNew(w *windows, a []any) any {
	w.check(a[1] == "CreateNew", "a file is opened with %v", a[1])
	file, err := os.OpenFile(text(a[0]), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		panic(&thrown{err.Error(), 0})
	}
	w.created = text(a[0])
	return &object{methods: map[string]func([]any) any{"dispose": func([]any) any {
		if err := file.Close(); err != nil {
			w.t.Error(err)
		}
		return nothing
	}}}
}

// writeAllLines writes lines as Windows ends them.
func writeAllLines(w *windows, a []any) any {
	var b strings.Builder
	b.WriteString(text(a[2])) // the mark
	for _, line := range a[1].([]any) {
		b.WriteString(text(line) + "\r\n")
	}
	return w.write(text(a[0]), b.String())
}

func fromBase64(_ *windows, a []any) any {
	bytes, err := base64.StdEncoding.DecodeString(text(a[0]))
	if err != nil {
		panic(&thrown{err.Error(), 0})
	}
	return bytes
}

// protect seals and opens alike.
func protect(w *windows, a []any) any {
	w.check(strings.Contains(strings.Join(w.assemblies, " "), "System.Security"), "DPAPI before Add-Type")
	w.check(a[1] == nil && a[2] == "LocalMachine", "DPAPI with %v, %v", a[1], a[2])
	if !w.sealedHere {
		panic(&thrown{"Key not valid for use in specified state.", 0})
	}
	out := []byte{}
	for _, b := range a[0].([]byte) {
		out = append(out, b^0x5A)
	}
	return out
}

func writeEntry(w *windows, a []any) any {
	e := event{text(a[0]), text(a[1]), text(a[2]), a[3].(int)}
	if e.source == "Foyer" && !w.hasSource && !w.admin {
		panic(&thrown{"Requested registry access is not allowed.", 0})
	}
	w.hasSource = w.hasSource || e.source == "Foyer"
	w.events = append(w.events, e)
	return nothing
}

func (w *windows) icacls(c call) any {
	var all []string
	for _, a := range c.args {
		all = append(all, text(a))
	}
	content := w.read(all[0])
	w.check(w.created == all[0], "the rights of %s are set, which was not made anew", all[0])
	w.check(content == "", "the file has something in it before its rights are set: %q", content)
	w.granted = all
	return nothing
}
