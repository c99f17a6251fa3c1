package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"foyer"
	"foyer/connect"
	"foyer/pages"
)

// Where the pages are with which an administrator connects a directory. connect.SignedInPath and connect.AgreedPath are two of them.
const (
	landingPath    = "/connect/entra"
	beginPath      = "/connect/entra/begin"
	connectionPath = "/connect/entra/connection"
	settingsPath   = "/connect/entra/settings"
	groupsPath     = "/connect/entra/groups"
	endedPath      = "/connect/entra/ended"
)

// The cookies. Their names bind them to this host and to TLS: no neighbouring host can set them (RFC 6265bis §4.1.3.2). The browser's alone proves nothing, but a state and a
// session are good in that browser only, in which they were given.
const (
	browserCookie = "__Host-foyer-browser"
	sessionCookie = "__Host-foyer-connect"
	cookieLife    = 12 * time.Hour
)

// pageTime is how long a page may take: it may ask Microsoft, which may let wait.
const pageTime = 30 * time.Second

// What a page costs, of the Limits.Pages that one address may spend in a minute: cheap is a look-up here, dear writes something or asks Microsoft.
const (
	free  = 0
	cheap = 1
	dear  = 6
)

// pageRoutes are the routes of pages for people.
func (s *Server) pageRoutes() map[string]route {
	page := func(method string, cost int, handle func(*visit) error) route {
		return route{method, s.visiting(cost, handle), failPage}
	}
	return map[string]route{
		landingPath:          page(http.MethodGet, cheap, (*visit).landing),
		beginPath:            page(http.MethodPost, dear, (*visit).begin),
		connect.SignedInPath: page(http.MethodGet, dear, (*visit).signedIn),
		connect.AgreedPath:   page(http.MethodGet, dear, (*visit).agreed),
		connectionPath:       page(http.MethodGet, cheap, (*visit).connection),
		settingsPath:         page(http.MethodGet, dear, (*visit).settings),
		groupsPath:           page(http.MethodGet, dear, (*visit).groups),
		"/connect/entra/set": page(http.MethodPost, dear, (*visit).set),
		"/connect/entra/act": page(http.MethodPost, dear, (*visit).act),
		endedPath:            page(http.MethodGet, cheap, (*visit).ended),
		pages.StylePath:      page(http.MethodGet, free, func(v *visit) error { pages.WriteStyle(v.w); return nil }),
		pages.IconPath:       page(http.MethodGet, free, func(v *visit) error { pages.WriteIcon(v.w); return nil }),
	}
}

// visit is a request for a page.
type visit struct {
	*Server
	w       http.ResponseWriter
	r       *http.Request
	ctx     context.Context // what was begun is ended, also if the browser goes away: a link that is used up must lead to a session
	browser string          // what the browser is told apart by; "": it brings nothing that it was given here
	session string
	from    netip.Addr
}

// visiting makes a handler of a page: within what one address may ask for, and not sent by another site's page.
func (s *Server) visiting(cost int, handle func(*visit) error) func(http.ResponseWriter, *http.Request) error {
	foreign := http.NewCrossOriginProtection()
	return func(w http.ResponseWriter, r *http.Request) error {
		v := &visit{Server: s, w: w, r: r, browser: cookie(r, browserCookie), session: cookie(r, sessionCookie), from: s.clientAddress(r)}
		if wait := s.visits.take(foyer.ClientNetwork(v.from), cost, s.Limits.Pages, s.Store.Now()); wait > 0 {
			limited := foyer.Errorf(foyer.Limited, "this address asks for more pages than one person reads")
			limited.RetryAfter = wait
			return limited
		}
		if err := foreign.Check(r); err != nil {
			drain(r)
			return foyer.Errorf(foyer.Forbidden, "this was sent from the page of another site: nothing was changed").Because(err)
		}
		var stop context.CancelFunc
		v.ctx, stop = context.WithTimeout(context.WithoutCancel(r.Context()), pageTime)
		defer stop()
		return handle(v)
	}
}

// cookie returns the value of a cookie; "" where it is not there, or there twice.
func cookie(r *http.Request, name string) string {
	all := r.CookiesNamed(name)
	if len(all) != 1 {
		return ""
	}
	return all[0].Value
}

func (v *visit) setCookie(name, value string, life time.Duration) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(life.Seconds())}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(v.w, c)
}

// landing answers GET /connect/entra?link=…: it looks the link up, and does nothing: mail programs follow links too.
func (v *visit) landing() error {
	query, err := v.query("link")
	if err != nil {
		return err
	}
	landing, err := v.Connect.Landing(v.ctx, query.Get("link"))
	if err != nil {
		return err
	}
	return pages.Write(v.w, http.StatusOK, pages.Landing{Landing: landing, Token: query.Get("link"), Host: hostOf(v.PublicURL), Now: v.Store.Now()})
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Host
}

// begin answers POST /connect/entra/begin: from here on the browser is known, and Microsoft is where it goes.
func (v *visit) begin() error {
	form, err := v.form("link")
	if err != nil {
		return err
	}
	browser := v.browser
	if random, err := base64.RawURLEncoding.DecodeString(browser); err != nil || len(random) != 32 {
		random = make([]byte, 32)
		rand.Read(random)
		browser = base64.RawURLEncoding.EncodeToString(random)
	}
	address, err := v.Connect.Begin(v.ctx, form.Get("link"), browser)
	if err != nil {
		return err
	}
	v.setCookie(browserCookie, browser, cookieLife)
	pages.Redirect(v.w, address)
	return nil
}

// signedIn answers GET /connect/entra/signed-in, where Microsoft's sign-in leads back to.
func (v *visit) signedIn() error {
	if v.r.Method == http.MethodHead { // nobody who signs in sends one, and a state is good once
		return nil
	}
	session, agree, err := v.Connect.SignedIn(v.ctx, v.callback(), v.browser, v.from)
	if session != "" {
		v.setCookie(sessionCookie, session, cookieLife)
	}
	if err != nil {
		return err
	}
	if agree == "" {
		agree = connectionPath
	}
	pages.Redirect(v.w, agree)
	return nil
}

// agreed answers GET /connect/entra/agreed, where Microsoft's page for agreeing leads back to.
func (v *visit) agreed() error {
	if v.r.Method == http.MethodHead {
		return nil
	}
	if err := v.Connect.Agreed(v.ctx, v.callback(), v.browser, v.from); err != nil {
		return err
	}
	pages.Redirect(v.w, connectionPath)
	return nil
}

// callback is what Microsoft sent the browser back with. It may add to it what it likes, but there is one state, or none.
func (v *visit) callback() url.Values {
	query, err := url.ParseQuery(v.r.URL.RawQuery)
	if err != nil || len(query["state"]) != 1 {
		return url.Values{}
	}
	return query
}

// ended answers GET /connect/entra/ended, which is shown once nothing is left of a connection.
func (v *visit) ended() error { return pages.Write(v.w, http.StatusOK, pages.Ended{}) }
