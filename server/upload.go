package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"foyer"
	"foyer/csvfile"
	"foyer/reconcile"
	"foyer/store"
)

// upload answers POST /addressbook/uploadcsv: it authenticates, reads the file to its end, applies it, and replies.
func (s *Server) upload(w http.ResponseWriter, r *http.Request) error {
	r = r.WithContext(context.WithoutCancel(r.Context())) // a client that hangs up undoes nothing (R18)
	caller, err := s.admit(r)
	if err != nil {
		drain(r)
		return err
	}
	entry := logOf(r)
	entry.caller = caller.Name
	token, done, err := s.begin(r, caller)
	if err != nil {
		drain(r)
		return err
	}
	defer done()
	dry, err := isDryRun(r)
	if err != nil {
		drain(r)
		return err
	}
	d := reconcile.Delivery{Org: caller.Org, Source: caller.Source, DryRun: dry, Strict: isStrict(r)}
	file, err := s.receive(r)
	if err != nil {
		drain(r)
		return s.refuse(r, caller, d, err)
	}
	defer file.Close()
	d.Digest, d.Spill.Dir = file.digest.Sum(nil), s.SpoolDir
	d.Input = func(source *foyer.Source) reconcile.Input {
		return &csvInput{file: file, options: csvfile.Options{Windows1252: source.Windows1252, Headers: source.Headers, Limits: s.Limits.CSV}}
	}
	if token != "" && !d.DryRun {
		d.Request = store.Request{Token: token, Digest: requestDigest(r, d.Digest)}
	}
	run, err := reconcile.Run(r.Context(), s.Store, caller, d)
	if answered, ok := errors.AsType[*store.AnsweredError](err); ok {
		run, err = answered.Run, again(answered.Run)
		run.Status = foyer.Applied // what became of it since is not what was answered
		if run.Hold != nil {
			run.Status = foyer.Held
		}
	}
	if run != nil && run.ID != 0 && !d.DryRun {
		entry.run = run.ID.String()
	}
	if err != nil {
		return err
	}
	org, err := s.Store.OrgOf(r.Context(), caller)
	if err != nil {
		return err
	}
	s.reply(w, r, report{org: org.Slug, run: run, dry: d.DryRun})
	return nil
}

// admit tells who uploads: one who may, and does not do so too often.
func (s *Server) admit(r *http.Request) (foyer.Caller, error) {
	caller, err := s.authenticate(r)
	if err != nil {
		return caller, err
	}
	if err := caller.MaySync(caller.Org, caller.Source); err != nil {
		return caller, &scopeError{&failure{foyer.Errorf(foyer.Forbidden, "%v", err)}}
	}
	if wait := s.uploads.take(caller.Key, 1, s.Limits.Uploads, s.Store.Now()); wait > 0 {
		logOf(r).caller = caller.Name
		return caller, &foyer.Error{Kind: foyer.Limited, Message: fmt.Sprintf("this key has sent %d files within a minute; wait, a file a day is what is recommended", s.Limits.Uploads), RetryAfter: wait}
	}
	return caller, nil
}

// maxToken is how long an Idempotency-Key may be, in characters.
const maxToken = 255

// begin returns the Idempotency-Key of a request, "" where it has none, and what is to be called when the request is answered. A request whose twin is
// still running is a conflict: the twin's answer is the one to wait for.
func (s *Server) begin(r *http.Request, caller foyer.Caller) (token string, done func(), err error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", func() {}, nil
	}
	token = strings.TrimSpace(values[0])
	printable := strings.IndexFunc(token, func(c rune) bool { return c < ' ' || c > '~' }) < 0
	if len(values) > 1 || token == "" || len(token) > maxToken || !printable {
		return "", nil, foyer.Errorf(foyer.Malformed, "send one Idempotency-Key of 1 to %d printable ASCII characters, a new one for each delivery", maxToken)
	}
	id := string(caller.Key) + " " + token
	if _, running := s.running.LoadOrStore(id, true); running {
		return "", nil, foyer.Errorf(foyer.Conflict, "a request with this Idempotency-Key is still running; wait, and send it again to get its answer")
	}
	return token, func() { s.running.Delete(id) }, nil
}

// requestDigest tells requests apart that bear one Idempotency-Key: by file, query and Prefer.
func requestDigest(r *http.Request, file []byte) []byte {
	sum := sha256.New()
	fmt.Fprintf(sum, "%x %q %q", file, r.URL.Query().Encode(), r.Header.Values("Prefer"))
	return sum.Sum(nil)
}

// again returns the error of a run that was refused, so that its request gets the same answer again; nil of any other run.
func again(run *foyer.Run) error {
	if run.Refusal == nil {
		return nil
	}
	return &foyer.Error{Kind: run.Refusal.Kind, Message: run.Message, Line: run.Refusal.Line, Column: run.Refusal.Column}
}

// refuse records that what was sent is no file, unless it was only to be tried.
func (s *Server) refuse(r *http.Request, caller foyer.Caller, d reconcile.Delivery, reason error) error {
	if d.DryRun || foyer.KindOf(reason) == foyer.Internal {
		return reason
	}
	run, err := reconcile.Refuse(r.Context(), s.Store, caller, d, reconcile.NewRun(s.Store, caller, d), reason)
	if run != nil && run.ID != 0 {
		logOf(r).run = run.ID.String()
	}
	return err
}

// isDryRun tells whether a request only wants to try. A parameter or a value that is not known is refused: who misspells dry_run must not have the file applied.
func isDryRun(r *http.Request) (dry bool, err error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return false, foyer.Errorf(foyer.Malformed, "what stands behind the ? of the address cannot be read: %v", err)
	}
	for name, values := range query {
		if name != "dry_run" || len(values) > 1 {
			return false, foyer.Errorf(foyer.Malformed, "there is no parameter %q; the one that there is, once: ?dry_run=1", name)
		}
		switch strings.ToLower(values[0]) {
		case "", "1", "true", "yes", "on":
			dry = true
		case "0", "false", "no", "off":
		default:
			return false, foyer.Errorf(foyer.Malformed, "dry_run=%s is neither yes nor no; write ?dry_run=1, or leave it out", values[0])
		}
	}
	return dry, nil
}

// isStrict tells whether a request prefers to be refused rather than applied in part or held (RFC 7240 §4.4).
func isStrict(r *http.Request) bool {
	for _, preference := range strings.FieldsFunc(strings.Join(r.Header.Values("Prefer"), ","), func(c rune) bool { return c == ',' || c == ';' }) {
		if strings.EqualFold(strings.ReplaceAll(strings.ReplaceAll(preference, " ", ""), `"`, ""), "handling=strict") {
			return true
		}
	}
	return false
}

// authenticate returns who presents the bearer token of a request (RFC 6750 §2.1).
func (s *Server) authenticate(r *http.Request) (foyer.Caller, error) {
	token := bearer(r)
	if token == "" {
		return foyer.Caller{}, foyer.Errorf(foyer.Unauthenticated, "send Authorization: Bearer and a token from /auth/connect/token")
	}
	return s.Authority.Caller(r.Context(), token, s.clientAddress(r))
}

// bearer returns the bearer token of a request; "" where it has none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// csvInput is an uploaded file as rows.
type csvInput struct {
	file    *spool
	options csvfile.Options
}

// Rows implements reconcile.Input.
func (in *csvInput) Rows(yield func(*foyer.Row) error) ([]foyer.Problem, error) {
	return csvfile.Rows(in.file.reader(), &in.file.sniffer, in.options, yield)
}
