package entratest

import (
	"context"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// Walk is what somebody does at the pages of the identity platform.
type Walk struct {
	Account User // whom he picks
	Decline bool // he cancels where permissions are asked for
}

// EndOfWalk is an error: a page that leads nowhere.
type EndOfWalk struct {
	Status int
	Page   string // HTML
}

func (e *EndOfWalk) Error() string {
	_, code, _ := strings.Cut(e.Page, "AADSTS")
	code, _, _ = strings.Cut(code, "\n")
	return fmt.Sprintf("the identity platform answered %d: AADSTS%s", e.Status, code)
}

// Walk goes from an address of the identity platform (authorize, adminconsent), through its pages, to where it leads back to the application, and returns the
// request that the browser would send there; it is not sent. A page that does not lead back is an *EndOfWalk.
func (f *Fake) Walk(ctx context.Context, address string, w Walk) (*http.Request, error) {
	client := f.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	defer client.CloseIdleConnections()
	var body url.Values
	for range 8 {
		r, err := formRequest(ctx, address, body)
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(r)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return nil, err
		}
		if location := resp.Header.Get("Location"); location != "" {
			return formRequest(ctx, location, nil)
		}
		page := string(text)
		switch {
		case strings.Contains(page, "<h1>Pick an account</h1>") && body == nil:
			body = hiddenFields(page)
			body.Set("account", w.Account.UserPrincipalName)
		case strings.Contains(page, ` value="accept"`), strings.Contains(page, "<h1>Need admin approval</h1>") && w.Decline:
			body = hiddenFields(page)
			body.Set("account", w.Account.UserPrincipalName)
			body.Set("do", map[bool]string{true: "cancel", false: "accept"}[w.Decline])
		case postTarget.MatchString(page):
			return formRequest(ctx, html.UnescapeString(postTarget.FindStringSubmatch(page)[1]), hiddenFields(page))
		default:
			return nil, &EndOfWalk{resp.StatusCode, html.UnescapeString(page)}
		}
		address, _, _ = strings.Cut(address, "?")
	}
	return nil, fmt.Errorf("the pages of %s go round in a circle", address)
}

var (
	hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	postTarget  = regexp.MustCompile(`<form method="post" action="([^"]*)">`)
)

// hiddenFields returns those of a page. All its forms have the same.
func hiddenFields(page string) url.Values {
	fields := url.Values{}
	for _, m := range hiddenField.FindAllStringSubmatch(page, -1) {
		fields.Set(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
	}
	return fields
}

// formRequest is a GET, or a POST of a form.
func formRequest(ctx context.Context, address string, form url.Values) (*http.Request, error) {
	if form == nil {
		return http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err == nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r, err
}
