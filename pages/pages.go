// Package pages is what people see of Foyer in a browser: templates, one style sheet, one picture.
//
// A page is a struct with what it shows; Write puts it into the frame that all pages share, with the headers that keep it what it is. Nothing is loaded from elsewhere
// and nothing is a script, so the browser is told to run none and to load none (Content-Security-Policy), to be in nobody's frame, to keep no copy, and to tell nobody
// from which page it comes: the address of a link's page is as good as the link.
//
// What is shown was written by others, a tenant's name and a group's among them: html/template escapes all of it where it stands.
package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
)

//go:embed html/*.html
var templates embed.FS

var (
	//go:embed foyer.css
	style []byte
	//go:embed foyer.svg
	icon []byte
)

// Addresses of what pages load. Behind them stands what the files hash to, so that a browser keeps each for good.
const (
	StylePath = "/connect/entra/foyer.css"
	IconPath  = "/connect/entra/foyer.svg"
)

// Page is what a page shows.
type Page interface {
	template() string // the file in html, without its end
	head() Head
}

// Head is what the frame shows around a page.
type Head struct {
	Title   string
	Org     string // whose address book it is about; "": nobody's
	Again   string // after how many seconds the browser asks what; "": it does not ask again
	LeadsTo string // the other host to which a form of the page may lead, https://HOST; "": none
	Style   string
	Icon    string
}

// shown are the templates by page: each has a frame of its own around its main part.
var shown = func() map[string]*template.Template {
	all := map[string]*template.Template{}
	for _, name := range []string{"landing", "connection", "settings", "groups", "ended", "failure"} {
		all[name] = template.Must(template.New(name).Funcs(functions).ParseFS(templates, "html/layout.html", "html/"+name+".html"))
	}
	return all
}()

// Write replies with a page. It is made whole before anything of it goes, so that a fault while it is made can still be told.
func Write(w http.ResponseWriter, status int, p Page) error {
	head := p.head()
	head.Style, head.Icon = StylePath+"?v="+version(style), IconPath+"?v="+version(icon)
	var page bytes.Buffer
	if err := shown[p.template()].ExecuteTemplate(&page, "layout", map[string]any{"Head": head, "Page": p}); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Security-Policy", policy(head.LeadsTo))
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(page.Len()))
	guard(h)
	w.WriteHeader(status)
	w.Write(page.Bytes()) // who does not take it does not want it
	return nil
}

// Redirect sends a browser on by GET, to an address of ours or of Microsoft's.
func Redirect(w http.ResponseWriter, address string) {
	guard(w.Header())
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
}

// guard sets what holds for all replies to people: no copy is kept, no other site's frame holds it, and where it leads to is not told where it came from.
func guard(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
}

// policy is what a browser may do with a page. Chromium holds form-action also against the redirects that answer a form, so where these lead must be in it.
func policy(leadsTo string) string {
	forms := "'self'"
	if u, err := url.Parse(leadsTo); err == nil && u.Scheme == "https" && u.Host != "" {
		forms += " https://" + u.Host
	}
	return "default-src 'none'; style-src 'self'; img-src 'self'; form-action " + forms + "; frame-ancestors 'none'; base-uri 'none'"
}

// WriteStyle replies with the style sheet.
func WriteStyle(w http.ResponseWriter) { writeFile(w, "text/css; charset=utf-8", style) }

// WriteIcon replies with the picture.
func WriteIcon(w http.ResponseWriter) { writeFile(w, "image/svg+xml", icon) }

func writeFile(w http.ResponseWriter, contentType string, content []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox") // the picture, opened by itself
	w.Write(content)
}

func version(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:6])
}
