package server

import (
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"foyer"
)

// maxPageForm is how long the body of a page's form may be, in bytes: one of a hundred groups has some ten thousand.
const maxPageForm = 64 << 10

// form is what somebody filled in: each field once, and none that was not asked for.
type form struct{ url.Values }

func (f form) yes(name string) bool { return f.Get(name) == "yes" }

// form reads the body of a POST. Of names that end with ".*" there may be any number.
func (v *visit) form(names ...string) (f form, err error) {
	defer drain(v.r)
	kind, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" || v.r.URL.RawQuery != "" {
		return f, foyer.Errorf(foyer.Malformed, "this was not sent by the form of a page")
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, v.r.Body, maxPageForm))
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return f, foyer.Errorf(foyer.TooLarge, "what was filled in is too long")
	}
	if err != nil {
		return f, foyer.Errorf(foyer.Malformed, "what was filled in did not come whole: nothing was changed").Because(err)
	}
	f.Values, err = strictly(string(body), names)
	return f, err
}

// query reads the query of a GET.
func (v *visit) query(names ...string) (url.Values, error) {
	return strictly(v.r.URL.RawQuery, names)
}

// strictly reads fields of which each is asked for and there once. What they are called is quoted nowhere: it may be anything.
func strictly(text string, names []string) (url.Values, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, foyer.Errorf(foyer.Malformed, "this address, or this form, is not whole")
	}
	for name, all := range values {
		asked := slices.ContainsFunc(names, func(known string) bool {
			prefix, many := strings.CutSuffix(known, "*")
			return name == known || many && strings.HasPrefix(name, prefix)
		})
		if !asked || len(all) != 1 {
			return nil, foyer.Errorf(foyer.Malformed, "this address, or this form, has something in it that does not belong there")
		}
	}
	return values, nil
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
