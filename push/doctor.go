package push

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"foyer/csvfile"
	"foyer/directory"
	"foyer/trust"
)

// Check is one step that Doctor looked at.
type Check struct {
	Name   string
	Said   string // what was found; lines after the first say more
	Err    error  // what is wrong and what to do; nil where the step is well
	Needed string // the step without which this one could not be looked at; "" where it was
}

// DoctorConfig says what to look at.
type DoctorConfig struct {
	File   string // the settings
	Getenv func(string) string
	CSV    string // a file to try, with the key named Key; "": the directories, and the files of the settings
	Key    string
	Log    *slog.Logger
	Report func(Check)
}

// doctor looks at one step after the other.
type doctor struct {
	DoctorConfig
	config  *Config
	client  *Client
	worst   Outcome // of the first step that is not well
	secrets map[string]string
}

// Doctor looks at each step from the settings to what the server would do, reports each, and returns the outcome of the first that is not well, Applied where all
// are. It changes nothing anywhere.
func Doctor(ctx context.Context, c DoctorConfig) Outcome {
	d := &doctor{DoctorConfig: c}
	var err error
	if d.config, err = Load(c.File, c.Getenv); !d.step("settings", d.summary(), err) {
		return d.worst
	}
	d.readSecrets()
	reached := d.server(ctx)
	var keys []Key
	for _, key := range d.config.Keys {
		if d.key(ctx, key, reached) {
			keys = append(keys, key)
		}
	}
	files := d.files(ctx)
	for _, f := range files {
		name := "dry run " + label(f.Key)
		if !slices.ContainsFunc(keys, func(k Key) bool { return k.ID == f.Key.ID }) {
			d.skip(name, "key "+label(f.Key))
			continue
		}
		d.dryRun(ctx, name, f)
	}
	return d.worst
}

// label returns the name of a key in a few characters.
func label(k Key) string {
	if k.Name == k.ID && len(k.ID) > 12 {
		return k.ID[:12] + "…"
	}
	return k.Name
}

// step reports a step and returns whether it is well.
func (d *doctor) step(name, said string, err error) bool {
	if err != nil && d.worst == Applied {
		d.worst = OutcomeOf(err)
	}
	d.Report(Check{Name: name, Said: said, Err: err})
	return err == nil
}

// skip reports a step that cannot be looked at without another.
func (d *doctor) skip(name, needed string) { d.Report(Check{Name: name, Needed: needed}) }

func (d *doctor) summary() string {
	if d.config == nil {
		return ""
	}
	return fmt.Sprintf("%s: %s, keys: %d, directories: %d", d.File, d.config.Server.URL, len(d.config.Keys), len(d.config.Directories))
}

// readSecrets reads all secrets; those that cannot be used are reported.
func (d *doctor) readSecrets() {
	secrets, n, err := d.config.secrets(true)
	d.secrets = secrets
	if err != nil {
		d.step("secrets", "", &Error{Outcome: Misused, Message: err.Error()})
		return
	}
	d.step("secrets", fmt.Sprintf("%d read, none of them open to others", n), nil)
}

// server looks at the way to the server: its name, TLS, the clock. It returns whether it was reached.
func (d *doctor) server(ctx context.Context) bool {
	var err error
	if d.client, err = NewClient(d.config, d.Log, nil); !d.step("proxy", d.proxy(), err) {
		return false
	}
	d.client.attempts = 1
	u, err := url.Parse(d.config.Server.URL)
	if err != nil {
		return d.step("name", "", err)
	}
	if d.proxy() == noProxy {
		within, cancel := context.WithTimeout(ctx, 20*time.Second)
		addresses, err := net.DefaultResolver.LookupHost(within, u.Hostname())
		cancel()
		if err != nil {
			err = failf(Unreachable, "the name %s is not known: %w; is url right, and does this machine resolve names of the outside?", u.Hostname(), err)
		}
		if !d.step("name", u.Hostname()+" is "+strings.Join(addresses, ", "), err) {
			return false
		}
	}
	req, err := http.NewRequest(http.MethodGet, d.config.Server.URL+"/.well-known/oauth-authorization-server", nil)
	if err != nil {
		return d.step("TLS", "", err)
	}
	req.Header.Set("User-Agent", agent)
	got, err := d.client.once(ctx, req, d.client.timeout)
	if err != nil {
		return d.step("TLS", "", explainNetwork("look at the server", d.config.Server.URL, err))
	}
	d.step("TLS", trust.Describe(got.tls), nil)
	if got.status != http.StatusOK {
		return d.step("server", "", failf(Unreachable, "%s answered %d: %s", d.config.Server.URL, got.status, got.foreign()))
	}
	d.clock("clock", "the server", got.header.Get("Date"), http.ParseTime)
	return true
}

// proxy says by which proxy the server is reached, without the name and password for it.
func (d *doctor) proxy() string {
	find, err := d.config.proxyFunc()
	if err != nil || find == nil {
		return noProxy
	}
	req, err := http.NewRequest(http.MethodGet, d.config.Server.URL, nil)
	if err != nil {
		return noProxy
	}
	proxy, err := find(req)
	if err != nil || proxy == nil {
		return noProxy
	}
	said := proxy.Scheme + "://" + proxy.Host
	if d.config.Server.Proxy == "" {
		said += ", of the environment"
	}
	return said
}

// noProxy says that there is none between.
const noProxy = "none, directly"

// tolerance is how far two clocks may be apart.
const tolerance = 5 * time.Minute

// clock compares this machine's clock with another's.
func (d *doctor) clock(name, whose, text string, parse func(string) (time.Time, error)) {
	theirs, err := parse(text)
	if err != nil || theirs.IsZero() {
		return
	}
	off := time.Since(theirs).Round(time.Second)
	if off.Abs() > tolerance {
		d.step(name, "", failf(Failed, "this machine's clock and that of %s are %v apart: set it right, or certificates and reports will not be", whose, off.Abs()))
		return
	}
	d.step(name, fmt.Sprintf("within %v of %s's", tolerance, whose), nil)
}

// key looks whether a key gets a token from here.
func (d *doctor) key(ctx context.Context, k Key, reached bool) bool {
	name := "key " + label(k)
	switch {
	case !reached:
		d.skip(name, "server")
		return false
	case d.secrets[k.ID] == "":
		d.skip(name, "secrets")
		return false
	}
	_, _, err := d.client.token(ctx, k.ID, d.secrets[k.ID])
	return d.step(name, "accepted, and so is the address from which this machine comes", err)
}

// files looks at what would be sent, and returns it.
func (d *doctor) files(ctx context.Context) []*File {
	var files []*File
	if d.CSV == "" && len(d.config.Directories) > 0 {
		files = d.directories(ctx)
	}
	hasCSV := slices.ContainsFunc(d.config.Keys, func(k Key) bool { return k.CSV != "" })
	if d.CSV != "" || hasCSV {
		more, err := FromCSV(d.config, d.CSV, d.Key)
		if err != nil {
			d.step("file", "", err)
		}
		for _, f := range more {
			said, err := headers(f)
			d.step("file of "+label(f.Key), said, err)
		}
		files = append(files, more...)
	}
	if len(files) == 0 && d.worst == Applied {
		d.step("people", "", failf(Misused, "the settings have neither a [[directory]] nor a csv of a key, so there is nothing to try; try a file: foyer-push doctor FILE"))
	}
	return files
}

// headers says what the headers of a CSV are read as.
func headers(f *File) (string, error) {
	var sniffer csvfile.Sniffer
	sniffer.Write(f.CSV)
	r, err := csvfile.NewReader(strings.NewReader(string(f.CSV)), &sniffer, csvfile.Options{})
	if err != nil {
		return "", failf(Refused, "%w (unless the server's operator mapped headers of yours)", err)
	}
	said := fmt.Sprintf("%d rows, %d columns: %s", f.Rows, len(r.Header()), strings.Join(r.Header(), ", "))
	for _, w := range r.Warnings() {
		said += "\n" + strings.TrimPrefix(w.Column+": ", ": ") + w.Message
	}
	return said, nil
}

// directories looks at each directory, and returns the files for all keys, if all was read.
func (d *doctor) directories(ctx context.Context) []*File {
	var people []directory.Person
	var results []*directory.Result
	for _, c := range d.config.Directories {
		r := d.directory(ctx, c)
		if r != nil {
			results = append(results, r)
		}
	}
	if len(results) < len(d.config.Directories) {
		d.skip("dry run", "directory")
		return nil
	}
	read := 0
	for _, r := range results {
		read += len(r.People)
	}
	directory.Join(results...)
	for _, r := range results {
		people = append(people, r.People...)
	}
	if gone := read - len(people); gone > 0 {
		d.step("people", fmt.Sprintf("%d to send: %d disabled accounts have the email of an enabled one in another directory and are left out", len(people), gone), nil)
	}
	files, err := fromPeople(d.config, people)
	if err != nil {
		d.step("sites", "", err)
	}
	return files
}

// directory looks at one directory: TLS and bind, what it is, what the filter finds, what fills the columns.
func (d *doctor) directory(ctx context.Context, c directory.Config) *directory.Result {
	name := "directory " + c.Name
	password, err := d.config.password(c)
	if err != nil {
		d.skip(name, "secrets")
		return nil
	}
	options := directory.Options{Password: password}
	probe, err := directory.Look(ctx, c, options)
	if err != nil {
		d.step(name, "", failf(NotRead, "%w", err))
		return nil
	}
	if probe.Kind != c.Kind && probe.Kind == directory.ActiveDirectory {
		d.step(name, "", failf(Misused, `it is an Active Directory, and kind is %q: write kind = "ad"`, c.Kind))
		return nil
	}
	said := fmt.Sprintf("%s at %s, bound as %s\n%s", probe.Vendor, probe.URL, c.BindDN, probe.TLS)
	if !probe.Paging {
		said += "\nit offers no pages: if it has a limit, reading fails beyond it"
	}
	d.step(name, said, nil)
	d.clock("clock "+c.Name, "the directory", "", func(string) (time.Time, error) { return probe.Clock, nil })
	r, err := directory.Read(ctx, c, options)
	if err != nil {
		d.step("people "+c.Name, "", failf(NotRead, "%w", err))
		return nil
	}
	d.step("people "+c.Name, found(c, r), nil)
	d.step("columns "+c.Name, filled(c, r), nil)
	return r
}

// found says whom a directory was found to list, in numbers.
func found(c directory.Config, r *directory.Result) string {
	said := fmt.Sprintf("%d to send, %d of them disabled; left out: %d without email, %d disabled; %d have expired, which is disabled too", len(r.People), r.Disabled, r.WithoutEmail, r.LeftOut, r.Expired)
	if c.WithoutSite == directory.LeaveOut {
		said += fmt.Sprintf(", %d at no site", r.WithoutSite)
	}
	if r.Ignored > 0 {
		said += fmt.Sprintf("\n%d references to other directories ignored", r.Ignored)
	}
	bySite := map[string]int{}
	for _, p := range r.People {
		for _, site := range p.Sites {
			bySite[site]++
		}
		if len(p.Sites) == 0 {
			bySite[""]++
		}
	}
	for _, site := range slices.Sorted(maps.Keys(bySite)) {
		if site == "" {
			said += fmt.Sprintf("\nat no site by map and rules: %d; they are where their office is if that is a site's name, and else for every site, which takes a key that is not of one site", bySite[site])
		} else {
			said += fmt.Sprintf("\nat %s: %d", site, bySite[site])
		}
	}
	for _, w := range r.Warnings {
		said += "\n" + w
	}
	return said
}

// filled says which attributes fill which column, and of how many people.
func filled(c directory.Config, r *directory.Result) string {
	var lines []string
	for _, column := range slices.Sorted(maps.Keys(c.Map)) {
		if len(c.Map[column]) > 0 {
			lines = append(lines, fmt.Sprintf("%s: %d, from %s", column, r.Filled[column], strings.Join(c.Map[column], ", else ")))
		}
	}
	return "of those found, so many have something in it\n" + strings.Join(lines, "\n")
}

// dryRun asks the server what it would do with a file.
func (d *doctor) dryRun(ctx context.Context, name string, f *File) {
	reply, err := d.client.Upload(ctx, f, d.secrets[f.Key.ID], true)
	if err == nil && reply.Outcome() == Held {
		err = failf(Held, "%s", strings.TrimSpace(reply.Text()))
	}
	said := ""
	if err == nil {
		said = strings.TrimSpace(reply.Text())
	}
	d.step(name, said, err)
}
