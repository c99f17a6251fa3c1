package entra

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Kind says what is to be done about an Error.
type Kind uint8

// The kinds. None of them says that somebody left: whatever fails, nobody is disabled.
const (
	Invalid       Kind = iota // what we asked is wrong: a setting, an id, a limit. Trying again does not help
	Throttled                 // too many requests, also after waiting as told (429, or 503 with Retry-After): again after RetryAfter, if that is set
	Unavailable               // 5xx, no connection, half a page, no JSON: again later
	Resync                    // the link is of no use any more: read everything anew, with link ""
	Missing                   // the group or the person is not there (404)
	Withdrawn                 // the tenant does not let us read: application removed, blocked or permission withdrawn. An administrator there has to consent again
	BadCredential             // our own secret or certificate is wrong or has ended: the operator has to act, and all tenants are concerned
	Denied                    // who signed in, or their administrator, did not agree
	Forged                    // something is not what Microsoft made for us and for this sign-in: refuse, and audit it
)

var kinds = [...]string{"invalid", "throttled", "unavailable", "resync", "missing", "withdrawn", "bad credential", "denied", "forged"}

func (k Kind) String() string { return kinds[k] }

// Error is all that fails here, but for what the callbacks of reads return, which is passed on as it is.
type Error struct {
	Kind       Kind
	RetryAfter time.Duration // as Microsoft asks; 0: it does not say
	Code       string        // Microsoft's: AADSTS700016, Authorization_RequestDenied, syncStateNotFound; "": it gave none
	Status     int           // of HTTP; 0: there was no reply
	Message    string        // for a person: what happened, what to do
	Err        error         // for the log; may be nil
}

// Error returns the message, what Microsoft called it, and the cause.
func (e *Error) Error() string {
	text := e.Message
	if e.Code != "" {
		text += " (" + e.Code + ")"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause; context.Canceled and context.DeadlineExceeded are found in it.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first Error in err's chain; ok is false where there is none.
func KindOf(err error) (k Kind, ok bool) {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind, true
	}
	return Invalid, false
}

// verdict is what a code of Microsoft's means here.
type verdict struct {
	kind    Kind
	message string
}

const (
	again    = "try again later"
	anew     = "the Graph does not know any more what was read before: everything has to be read anew"
	askAdmin = "an administrator of the tenant has to connect again"
)

// verdicts are those of the identity platform that are told apart (reference-error-codes), by the number after AADSTS.
var verdicts = map[string]verdict{
	"700016":  {Withdrawn, "the tenant does not know our application, or has removed it: " + askAdmin},
	"7000229": {Withdrawn, "the tenant does not know our application, or has removed it: " + askAdmin},
	"7000112": {Withdrawn, "the tenant has disabled our application: an administrator there has to enable it under Enterprise applications"},
	"65001":   {Withdrawn, "the tenant has not agreed to the permissions, or has withdrawn them: " + askAdmin},
	"90002":   {Withdrawn, "Microsoft knows no such tenant (any more)"},
	"53003":   {Withdrawn, "a Conditional Access policy of the tenant blocks our application: an administrator there has to exempt it"},
	"7000215": {BadCredential, "Microsoft does not take our application's secret: set the value (not the id) of one that the app registration lists"},
	"7000222": {BadCredential, "our application's secret has ended: make a new one in the app registration and set it here"},
	"7000218": {BadCredential, "Microsoft got no credential of our application: set a certificate or a secret"},
	"700027":  {BadCredential, "Microsoft does not take our application's certificate: upload it to the app registration, or renew it if it has ended"},
	"700021":  {BadCredential, "Microsoft does not take what our application's certificate signed: the client id must be that of its registration"},
	"700023":  {BadCredential, "Microsoft does not take what our application's certificate signed: the authority must be that of its cloud"},
	"700024":  {BadCredential, "Microsoft does not take what our application's certificate signed, by its time: set the clock of this machine right"},
	"50027":   {BadCredential, "Microsoft does not take what our application's certificate signed"},
	"65004":   {Denied, "the permissions were not agreed to: start again from the link, and accept"},
	"90094":   {Denied, "the tenant lets only administrators agree to permissions: ask one of them to open the link"},
	"50105":   {Denied, "the tenant lets only people assigned to the application sign in to it"},
	"50020":   {Denied, "the account is of another tenant: start again from the link, with an account of the tenant that is to be connected"},
	"501481":  {Forged, "the sign-in was begun in another browser: start again from the link"},
	"700005":  {Forged, "the sign-in is of another tenant: start again from the link"},
	"54005":   {Invalid, "the sign-in was finished before: start again from the link"},
	"70008":   {Invalid, "the sign-in took too long: start again from the link"},
	"500011":  {Invalid, "the tenant does not know the Graph by this address: it must be that of the tenant's cloud"},
	"50011":   {Invalid, "the address to come back to is not in the app registration: add it there as a redirect URI of the type Web"},
	"90033":   {Unavailable, "Microsoft's sign-in does not work at the moment: " + again},
	"90055":   {Throttled, "Microsoft asks us to wait"},
}

// oauthVerdicts are those of OAuth (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6), where no number says more.
var oauthVerdicts = map[string]verdict{
	"access_denied":           {Denied, "the sign-in or the permissions were not agreed to: start again from the link, and accept"},
	"consent_required":        {Denied, "the permissions were not agreed to: start again from the link, and accept"},
	"interaction_required":    {Denied, "the sign-in was not completed: start again from the link"},
	"login_required":          {Denied, "the sign-in was not completed: start again from the link"},
	"temporarily_unavailable": {Unavailable, "Microsoft's sign-in does not work at the moment: " + again},
	"server_error":            {Unavailable, "Microsoft's sign-in does not work at the moment: " + again},
	"invalid_grant":           {Invalid, "Microsoft does not take this sign-in: start again from the link"},
}

var (
	aadsts   = regexp.MustCompile(`\bAADSTS(\d{4,9})\b`)
	safeCode = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.]{0,79}$`)
	traceID  = regexp.MustCompile(`Trace ID: ([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b`)
)

// judge returns what an error of the identity platform means. Of the description only the number is taken: in a callback anybody may have written it, and
// it names people.
func judge(code, description string) *Error {
	e := &Error{Kind: Invalid, Message: "Microsoft refused the request"}
	if safeCode.MatchString(code) {
		e.Code = code
	}
	v, known := oauthVerdicts[code]
	if m := aadsts.FindStringSubmatch(description); m != nil {
		e.Code = "AADSTS" + m[1]
		if special, ok := verdicts[m[1]]; ok {
			v, known = special, true
		}
	}
	if known {
		e.Kind, e.Message = v.kind, v.message
	}
	return e
}

// brought is the Error that a browser brought back. It may be anybody's invention: so it blames neither the tenant nor our credential, which the caller
// might act on.
func brought(v url.Values) *Error {
	e := judge(v.Get("error"), v.Get("error_description"))
	switch e.Kind {
	case Denied, Unavailable, Invalid:
	case Withdrawn:
		e.Kind = Denied
	default:
		e.Kind = Invalid
	}
	return e
}

// tokenFailure is the Error of a token that was not given. What the reply says beside its codes is left out: it may name people.
func (a *App) tokenFailure(err error) *Error {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		if _, sent := errors.AsType[*url.Error](err); sent {
			return unreachable(err, "Microsoft's sign-in")
		}
		return misread("Microsoft's sign-in") // err may quote the reply
	}
	e := judge(refused.ErrorCode, refused.ErrorDescription)
	if refused.Response != nil {
		e.Status = refused.Response.StatusCode
		a.byStatus(e, refused.Response.Header, "Microsoft's sign-in")
	}
	if m := traceID.FindStringSubmatch(refused.ErrorDescription); m != nil {
		e.Err = fmt.Errorf("the identity platform answered %d, trace id %s", e.Status, m[1])
	}
	return e
}

// graphFailure is the Error of a reply of the Graph that is not 200. Its message is left out: it may name people.
func (a *App) graphFailure(resp *http.Response, body []byte) *Error {
	var reply struct{ Error struct{ Code string } }
	json.Unmarshal(body, &reply)
	e := &Error{Kind: Invalid, Status: resp.StatusCode, Message: fmt.Sprintf("the Graph refused the request with the status %d", resp.StatusCode)}
	if safeCode.MatchString(reply.Error.Code) {
		e.Code = reply.Error.Code
	}
	if id := strings.ToLower(resp.Header.Get("request-id")); isGUID(id) {
		e.Err = fmt.Errorf("the Graph answered %d, request-id %s", e.Status, id)
	}
	switch {
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		e.Kind, e.Message = Withdrawn, "the tenant does not let us read this, or not any more: "+askAdmin
	case e.Status == http.StatusGone || strings.EqualFold(e.Code, "syncStateNotFound") || strings.EqualFold(e.Code, "resyncRequired"):
		e.Kind, e.Message = Resync, anew
	case e.Status == http.StatusNotFound:
		e.Kind, e.Message = Missing, "what was asked for is not in the tenant (any more)"
	default:
		a.byStatus(e, resp.Header, "the Graph")
	}
	return e
}

// byStatus notes how long to wait, and sets what some statuses say whatever came with them.
func (a *App) byStatus(e *Error, header http.Header, who string) {
	e.RetryAfter = retryAfter(header.Get("Retry-After"), a.clock())
	switch {
	case e.Status == http.StatusTooManyRequests, e.Status == 509, e.Status == http.StatusServiceUnavailable && e.RetryAfter > 0:
		e.Kind, e.Message = Throttled, who+" asks us to wait"
	case e.Status >= 500 || e.Status == http.StatusRequestTimeout:
		e.Kind, e.Message = Unavailable, who+" does not work at the moment: "+again
	case e.Status >= 300 && e.Status < 400:
		e.Kind, e.Message = Unavailable, who+" sent us elsewhere, where we do not go: is there a proxy in between that wants a sign-in?"
	}
}

// retryAfter reads seconds or a date (RFC 9110 §10.2.3), rounded up to seconds; 0 is none.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	at, err := http.ParseTime(s)
	if err != nil {
		return 0
	}
	return max(0, at.Sub(now)+time.Second-1).Truncate(time.Second)
}

// unreachable is the Error of a request without a whole reply. The address is left out: it may hold a token of the Graph's.
func unreachable(err error, who string) *Error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	e := &Error{Kind: Unavailable, Message: who + " cannot be reached: " + again + ", and see whether this machine gets there", Err: err}
	_, badCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case errors.Is(err, context.Canceled):
		e.Message = "the request to " + who + " was called off"
	case tooLarge:
		e.Kind, e.Message = Invalid, fmt.Sprintf("a reply of %s has more than %d MiB", who, maxReply>>20)
	case badCertificate:
		e.Message = "the certificate of " + who + " is not trusted here: is there a proxy in between that reads along?"
	}
	return e
}

// misread is the Error of a reply that came, and is not what it should be.
func misread(who string) *Error {
	return &Error{Kind: Unavailable, Message: "the reply of " + who + " is not what was expected: " + again}
}
