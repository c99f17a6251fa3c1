package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"foyer"
)

// shape is how a kind of error is shown.
type shape struct {
	status int
	slug   string // the end of the problem type's URN
	title  string
	oauth  string // RFC 6749 §5.2
}

var shapes = map[foyer.Kind]shape{
	foyer.Malformed:       {http.StatusBadRequest, "malformed", "The request is not well formed", "invalid_request"},
	foyer.Invalid:         {http.StatusUnprocessableEntity, "unusable-file", "The file cannot be used", "invalid_request"},
	foyer.Unauthenticated: {http.StatusUnauthorized, "unauthenticated", "No valid token", "invalid_client"},
	foyer.Forbidden:       {http.StatusForbidden, "forbidden", "Not allowed", "invalid_scope"},
	foyer.NotFound:        {http.StatusNotFound, "not-found", "Not found", "invalid_request"},
	foyer.Conflict:        {http.StatusConflict, "conflict", "Contradicts what is stored", "invalid_request"},
	foyer.TooLarge:        {http.StatusRequestEntityTooLarge, "too-large", "Too large", "invalid_request"},
	foyer.Unsupported:     {http.StatusUnsupportedMediaType, "unsupported-format", "A format that is not read", "invalid_request"},
	foyer.Limited:         {http.StatusTooManyRequests, "too-many-requests", "Too many requests", "temporarily_unavailable"},
	foyer.Busy:            {http.StatusServiceUnavailable, "busy", "Not now", "temporarily_unavailable"},
}

var internal = shape{http.StatusInternalServerError, "internal", "Internal error", "server_error"}

// shapeOf returns how an error is shown, and its message for the user. What nobody classified shows nothing but the request's id.
func shapeOf(r *http.Request, err error) (shape, *foyer.Error) {
	known, ok := errors.AsType[*foyer.Error](err)
	if !ok || known.Kind == foyer.Internal {
		return internal, foyer.Errorf(foyer.Internal, "something went wrong on this side; nothing was changed. The log has it under request %s", logOf(r).id)
	}
	sh := shapes[known.Kind]
	if _, wrong := errors.AsType[*methodError](err); wrong {
		sh.status = http.StatusMethodNotAllowed
	}
	return sh, known
}

// problem is RFC 9457's body.
type problem struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Detail  string `json:"detail"`
	Line    int    `json:"line,omitempty"`
	Column  string `json:"column,omitempty"`
	Run     string `json:"run,omitempty"`
	Request string `json:"request"`
}

// failProblem replies with application/problem+json (RFC 9457), in ASCII.
func failProblem(w http.ResponseWriter, r *http.Request, err error) {
	sh, known := shapeOf(r, err)
	challenge(w, r, err, known)
	retryAfter(w, known)
	body := problem{
		Type: "urn:foyer:problem:" + sh.slug, Title: sh.title, Status: sh.status, Detail: known.Message,
		Line: known.Line, Column: known.Column, Run: logOf(r).run, Request: logOf(r).id,
	}
	writeJSON(w, "application/problem+json", sh.status, body)
}

// challenge sets WWW-Authenticate for a bearer token (RFC 6750 §3).
func challenge(w http.ResponseWriter, r *http.Request, err error, known *foyer.Error) {
	value := `Bearer realm="foyer"`
	if _, scope := errors.AsType[*scopeError](err); scope {
		value += `, error="insufficient_scope", scope="sync"`
	} else if known.Kind != foyer.Unauthenticated {
		return
	} else if bearer(r) != "" {
		value += `, error="invalid_token", error_description="` + strings.ReplaceAll(ascii(known.Message), `"`, `'`) + `"`
	}
	w.Header().Set("WWW-Authenticate", value)
}

// scopeError is an error about a token whose scopes do not hold what was asked (RFC 6750 §3.1).
type scopeError struct{ *failure }

func retryAfter(w http.ResponseWriter, err *foyer.Error) {
	if err.Kind == foyer.Busy || err.Kind == foyer.Limited {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(err.RetryAfter.Seconds()))))
	}
}

// failOAuth replies as RFC 6749 §5.2 wants.
func failOAuth(w http.ResponseWriter, r *http.Request, err error) {
	sh, known := shapeOf(r, err)
	code := sh.oauth
	if coded, ok := errors.AsType[*oauthError](err); ok {
		code = coded.code
	}
	if sh.status == http.StatusForbidden {
		sh.status = http.StatusBadRequest
	}
	if sh.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="foyer"`)
	}
	retryAfter(w, known)
	writeJSON(w, "application/json", sh.status, map[string]string{"error": code, "error_description": known.Message})
}

// oauthError is an error with a code of RFC 6749 that its kind does not tell.
type oauthError struct {
	failure
	code string
}

// failure is an error that says in its type more than its kind does.
type failure struct{ err *foyer.Error }

// Error returns the message.
func (f *failure) Error() string { return f.err.Error() }

// Unwrap returns the error that says what is wrong.
func (f *failure) Unwrap() error { return f.err }

// writeJSON replies with JSON in ASCII, since the seed's script reads replies as ASCII.
func writeJSON(w http.ResponseWriter, contentType string, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own structs
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(escapeASCII(body), '\n'))
}

// escapeASCII turns each character of a JSON text that is not ASCII into \u escapes.
func escapeASCII(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		out = appendEscaped(out, r)
		text = text[size:]
	}
	return out
}

func appendEscaped(out []byte, r rune) []byte {
	if r < utf8.RuneSelf {
		return append(out, byte(r))
	}
	for _, unit := range utf16.AppendRune(nil, r) {
		out = append(out, '\\', 'u')
		const digits = "0123456789abcdef"
		out = append(out, digits[unit>>12], digits[unit>>8&15], digits[unit>>4&15], digits[unit&15])
	}
	return out
}

// ascii returns s for a reader of ASCII: é as e, what has no such form as a \u escape.
func ascii(s string) string {
	var out []byte
	for _, r := range norm.NFC.String(s) {
		if r < utf8.RuneSelf {
			out = append(out, byte(r))
			continue
		}
		if letter := norm.NFD.String(string(r)); letter[0] < utf8.RuneSelf {
			out = append(out, letter[0])
		} else {
			out = appendEscaped(out, r)
		}
	}
	return string(out)
}
