package script_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"foyer/script"
)

const (
	lead    = "CN=Rob Jones,OU=Staff,DC=acme,DC=test"
	ann     = "CN=Ann Lee,OU=Sales,OU=Staff,DC=acme,DC=test"
	zoe     = "CN=M\u00fcller\\, Zo\u00eb (ext),OU=Staff,DC=acme,DC=test"
	abroad  = "CN=Big Boss,OU=Board,DC=hq,DC=acme,DC=test"
	hosts   = "CN=Visitor hosts (all),OU=Groups,DC=acme,DC=test"
	nested  = "CN=Inner,OU=Groups,DC=acme,DC=test"
	noMail  = "CN=Meeting Room,OU=Staff,DC=acme,DC=test"
	outside = "CN=Contractor,OU=Partners,DC=acme,DC=test"
)

// acme is a directory with what directories have: people who left, who have no mail, of another domain, with several values, in groups of groups.
func acme() *directory {
	user := func(dn string, attributes map[string]any) *person { return &person{dn: dn, attributes: attributes} }
	left := user("CN=Gone,OU=Staff,DC=acme,DC=test", map[string]any{"mail": "gone@acme.test"})
	left.disabled = true
	return &directory{
		people: []*person{
			user(lead, map[string]any{"mail": "rob@acme.test", "givenName": " Rob ", "sn": "Jones", "displayName": `Rob "Bob" Jones`, "manager": abroad,
				"telephoneNumber": []any{"416 999-7777", "416 999-0000"}, "objectGUID": "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "homePhone": "private"}),
			user(ann, map[string]any{"mail": "ann@acme.test", "manager": lead, "assistant": zoe, "title": "Boss, Sales", "department": "Sales\nNorth"}),
			user(zoe, map[string]any{"mail": "zoe@acme.test", "givenName": "Zo\u00eb", "sn": "M\u00fcller", "manager": noMail, "mobile": []any{}}),
			user(noMail, map[string]any{"displayName": "Room"}),
			left,
			user(outside, map[string]any{"mail": "con@partner.test", "manager": "CN=Deleted,OU=Staff,DC=acme,DC=test"}),
			user(abroad, map[string]any{"mail": "boss@hq.acme.test"}),
		},
		groups: map[string]*group{"Visitor hosts": {hosts, []string{nested, outside}}, "Inner": {nested, []string{zoe, hosts}}, "Empty": {"CN=Empty,DC=acme,DC=test", nil}},
	}
}

// export runs a script on that directory, and returns the rows that it sends.
func export(t *testing.T, edition script.Edition, people string) (rows []map[string]string, file string) {
	t.Helper()
	r := startRecorder(t, token, answer{200, "", "OK run=R-1 errors=0 warnings=0\n"})
	w := computer(t, edition, r.roots)
	w.directory = acme()
	if exit := runScript(t, generated(t, settings(r.address), people), w, nil); exit != 0 {
		t.Fatalf("it exits with %d: %q", exit, w.screen)
	}
	w.leftNothing()
	file = string(w.sent[1].Body)
	rows, err := readCSV(file)
	if err != nil {
		t.Fatal(err)
	}
	return rows, file
}

// mails returns who is in a file, with the site of each.
func mails(rows []map[string]string) (list []string) {
	for _, row := range rows {
		list = append(list, strings.TrimSuffix(row["EMAIL"]+" "+row["SITE"], " "))
	}
	slices.Sort(list)
	return list
}

// TestScript_FileEqualsTheDirectory holds what is sent of whom: the same bytes in both editions.
func TestScript_FileEqualsTheDirectory(t *testing.T) {
	const header = `"EMAIL","FIRSTNAME","LASTNAME","DISPLAYNAME","TITLE","DIVISION","MOBILE","DESKPHONE","MANAGER","ASSISTANT","OBJECTGUID","OFFICE"`
	want := "\uFEFF" + header + "\r\n" +
		`"rob@acme.test","Rob","Jones","Rob ""Bob"" Jones","","","","416 999-7777","boss@hq.acme.test","","3f2504e0-4f89-11d3-9a0c-0305e82c3301",""` + "\r\n" +
		`"ann@acme.test","","","","Boss, Sales","Sales` + "\nNorth" + `","","","rob@acme.test","zoe@acme.test","",""` + "\r\n" +
		`"zoe@acme.test","Zoë","Müller","","","","","","","","",""` + "\r\n"
	for name, edition := range editions {
		if _, file := export(t, edition, staff); file != want {
			t.Errorf("%s writes\n%s\nwant\n%s", name, file, want)
		}
	}
}

// TestScript_WhomItSends holds what the lines of $People mean.
func TestScript_WhomItSends(t *testing.T) {
	for people, want := range map[string][]string{
		`@{ OU = 'OU=Sales,OU=Staff,DC=acme,DC=test' }`:                                              {"ann@acme.test"},
		`@{ Group = 'Visitor hosts' }`:                                                               {"con@partner.test", "zoe@acme.test"},
		`@{ Group = 'Visitor hosts'; OU = 'OU=Staff,DC=acme,DC=test' }`:                              {"zoe@acme.test"},
		`@{ OU = 'DC=hq,DC=acme,DC=test' }; @{ Group = 'Inner' }`:                                    {"boss@hq.acme.test", "con@partner.test", "zoe@acme.test"},
		`@{ OU = 'OU=Staff,DC=acme,DC=test' }; @{ Group = 'Visitor hosts' }`:                         {"ann@acme.test", "con@partner.test", "rob@acme.test", "zoe@acme.test"},
		`@{ OU = 'OU=Staff,DC=acme,DC=test'; Site = 'Toronto' }; @{ Group = 'Inner'; Site = 'MTL' }`: {"ann@acme.test Toronto", "con@partner.test MTL", "rob@acme.test Toronto", "zoe@acme.test MTL", "zoe@acme.test Toronto"},
	} {
		if rows, _ := export(t, script.Core, people); !slices.Equal(mails(rows), want) {
			t.Errorf("%s sends %q, want %q", people, mails(rows), want)
		}
	}
}

// TestScript_AnyErrorSendsNothing holds that a directory that fails at any call, the first to the last, has nothing sent at all.
func TestScript_AnyErrorSendsNothing(t *testing.T) {
	const people = `@{ OU = 'OU=Staff,DC=acme,DC=test' }; @{ Group = 'Visitor hosts' }`
	tree := generated(t, settings("https://127.0.0.1:1"), people)
	for k := 1; ; k++ {
		r := startRecorder(t, token, answer{200, "", "OK run=R-1 errors=0 warnings=0\n"})
		w := computer(t, script.Desktop, r.roots)
		w.directory = acme()
		w.directory.fails = k
		exit := runScript(t, at(tree, r.address), w, nil)
		w.leftNothing()
		if k > w.directory.calls {
			if k < 6 || exit != 0 {
				t.Errorf("without a failure there are %d calls, and it exits with %d", w.directory.calls, exit)
			}
			return
		}
		if exit != 1 || len(w.sent) > 0 {
			t.Errorf("call %d failed: it exits with %d, and sent %d requests", k, exit, len(w.sent))
		}
		if len(w.events) != 1 || w.events[0].id != 101 || w.events[0].kind != "Error" || !strings.Contains(w.events[0].text, "Nothing was sent. Unable to contact the server.") {
			t.Errorf("call %d failed: the event log has %v", k, w.events)
		}
	}
}

// TestScript_WrongSettings holds that a slip in the settings is told, and nothing sent.
func TestScript_WrongSettings(t *testing.T) {
	for people, says := range map[string]string{
		`@{ OU = 'OU=Staff,DC=example,DC=com' }`: "fill in your own",
		``:                                       "$People is empty",
		`@{ Groups = 'Visitor hosts' }`:          "there are OU, Group and Site",
		`@{ Site = 'Toronto' }`:                  "neither OU nor Group",
		`@{ OU = '' }`:                           "empty OU",
		`@{ OU = 'Staff' }`:                      "as a distinguished name",
		`@{ Group = 'Nobody' }`:                  "Cannot find an object with identity: 'Nobody'",
		`@{ Group = 'Empty' }`:                   "no enabled account with a mail address in 'Empty'",
		`@{ OU = 'OU=Staff,DC=acme,DC=test' }; @{ OU = 'DC=other,DC=test' }`: "no enabled account with a mail address in 'DC=other,DC=test'",
	} {
		w := computer(t, script.Core, nil)
		w.directory = acme()
		exit := runScript(t, generated(t, settings("https://127.0.0.1:1"), people), w, nil)
		if exit != 1 || len(w.sent) > 0 || !strings.Contains(w.screen[len(w.screen)-1], says) {
			t.Errorf("%s: it exits with %d and says %q, want %q", people, exit, w.screen, says)
		}
	}
	w := computer(t, script.Core, nil)
	delete(w.environment, "FOYER_CLIENT_SECRET")
	if exit := runScript(t, generated(t, settings("https://127.0.0.1:1"), staff), w, nil); exit != 1 || !strings.Contains(w.screen[0], "-SaveSecret") {
		t.Errorf("without a secret it exits with %d and says %q", exit, w.screen)
	}
}

// TestScript_EventLog holds what the event log gets: the kind, the number, and no line that may name people.
func TestScript_EventLog(t *testing.T) {
	for name, c := range map[string]struct {
		answers []answer
		exit    int
		want    event
	}{
		"applied": {[]answer{token, {200, "", "OK run=R-1 added=1 errors=0 warnings=0\nSee: foyer run show\n"}}, 0,
			event{"Foyer", "OK run=R-1 added=1 errors=0 warnings=0", "Information", 100}},
		"with errors": {[]answer{token, {200, "", "OK run=R-1 added=1 errors=2 warnings=0\nline 2: ann@acme.test\n"}}, 0,
			event{"Foyer", "OK run=R-1 added=1 errors=2 warnings=0. Some rows have errors: run the script with -DryRun to see them.", "Warning", 100}},
		"held": {[]answer{token, {202, "", "HELD run=R-1 would disable 9 of 9 (limit 20%). Nothing changed.\nDecide\n"}}, 3,
			event{"Foyer", "HELD run=R-1 would disable 9 of 9 (limit 20%). Nothing changed.", "Warning", 103}},
		"refused": {[]answer{token, {422, "", `{"detail":"an open quote","line":7,"request":"ab12"}`}}, 4,
			event{"Foyer", "SERVER answered 422: line 7: an open quote (request ab12)", "Error", 104}},
		"the secret is refused": {[]answer{{401, "", `{"error":"invalid_client","error_description":"wrong"}`}}, 4,
			event{"Foyer", "SERVER answered 401: wrong", "Error", 104}},
		"a proxy": {[]answer{token, {403, "", "<html>no"}}, 4, event{"Foyer", "SERVER answered 403: <html>no", "Error", 104}},
		"a page to log in": {[]answer{token, {200, "", "<html>Log in"}}, 5,
			event{"Foyer", "SERVER answered 200, but what answered is not Foyer: a proxy? Its answer begins: <html>Log in", "Error", 105}},
		"a page with the status of what is held": {[]answer{token, {202, "", "<html>Log in"}}, 5,
			event{"Foyer", "SERVER answered 202, but what answered is not Foyer: a proxy? Its answer begins: <html>Log in", "Error", 105}},
		"a page where nothing was to be done": {[]answer{token, {200, "", "DRY RUN would add=1\n"}}, 5,
			event{"Foyer", "SERVER answered 200, but what answered is not Foyer: a proxy? Its answer begins: DRY RUN would add=1", "Error", 105}},
		"a redirect": {[]answer{token, {302, "https://login.test/in?for=me", "<html>moved"}}, 5,
			event{"Foyer", "SERVER answered 302, but what answered is not Foyer: it refers to https://login.test/in, where nothing was sent. A proxy or firewall that wants somebody to log in? " +
				"Then except that address from it. Has Foyer moved? Then set $Server.", "Error", 105}},
		"a redirect for a token": {[]answer{{301, "/elsewhere#x", ""}}, 5,
			event{"Foyer", "SERVER answered 301, but what answered is not Foyer: it refers to /elsewhere, where nothing was sent. A proxy or firewall that wants somebody to log in? " +
				"Then except that address from it. Has Foyer moved? Then set $Server.", "Error", 105}},
		"a redirect to nowhere": {[]answer{token, {304, "", ""}}, 5,
			event{"Foyer", "SERVER answered 304, but what answered is not Foyer: a proxy? Its answer begins:", "Error", 105}},
		"busy": {[]answer{token, {503, "", `{"detail":"busy"}`}, {503, "", `{"detail":"busy"}`}}, 5,
			event{"Foyer", "SERVER answered 503: busy", "Error", 105}},
	} {
		for _, known := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, source known %v", name, known), func(t *testing.T) {
				r := startRecorder(t, c.answers...)
				w := computer(t, script.Desktop, r.roots)
				w.hasSource = known
				want := c.want
				want.text = strings.ReplaceAll(want.text, "SERVER", r.address)
				if !known {
					want.source, want.text = "Application", "Foyer: "+want.text
				}
				exit := runScript(t, generated(t, settings(r.address), staff), w, nil)
				if exit != c.exit || len(w.events) != 1 || w.events[0] != want {
					t.Errorf("it exits with %d, and writes %+v\nwant %d, %+v", exit, w.events, c.exit, want)
				}
			})
		}
	}
}

// TestScript_UntrustedCertificate holds that the certificate is verified, and that the message says what to do.
func TestScript_UntrustedCertificate(t *testing.T) {
	r := startRecorder(t)
	w := computer(t, script.Core, nil)
	exit := runScript(t, generated(t, settings(r.address), staff), w, nil)
	if exit != 5 || len(w.events) != 1 || w.events[0].id != 105 || !strings.Contains(w.events[0].text, "trust the certificate (TO SET IT UP, 2") {
		t.Errorf("it exits with %d, and says %+v", exit, w.events)
	}
}

// TestScript_DryRunLeavesNoTrace holds that a trial writes nothing to the event log, and that -KeepCsv leaves the file.
func TestScript_DryRunLeavesNoTrace(t *testing.T) {
	r := startRecorder(t, token, answer{200, "", "DRY RUN would add=1\n"})
	w := computer(t, script.Desktop, r.roots)
	exit := runScript(t, generated(t, settings(r.address), staff), w, map[string]any{"dryrun": true, "keepcsv": true})
	path, ok := strings.CutPrefix(w.screen[len(w.screen)-1], "The file is ")
	if exit != 0 || len(w.events) > 0 || !ok || !strings.HasSuffix(w.sent[1].Address, "?dry_run=1") || w.read(path) != string(w.sent[1].Body) {
		t.Errorf("it exits with %d, %v, %q", exit, w.events, w.screen)
	}
}

// TestScript_DryRunTakesNoPageForAnAnswer holds what a trial exits with: what would be held is an answer like others, a proxy's page is none.
func TestScript_DryRunTakesNoPageForAnAnswer(t *testing.T) {
	tree := generated(t, settings("https://127.0.0.1:1"), staff)
	for body, want := range map[string]int{
		"DRY RUN would add=1\n": 0, "DRY RUN would be HELD: would disable 9 of 9.\n": 0, "<html>Log in": 5, "": 5, "OK run=R-1 added=1\n": 5,
	} {
		r := startRecorder(t, token, answer{200, "", body})
		w := computer(t, script.Desktop, r.roots)
		exit := runScript(t, at(tree, r.address), w, map[string]any{"dryrun": true})
		if exit != want || exit == 5 && !strings.Contains(strings.Join(w.screen, "\n"), "what answered is not Foyer: a proxy?") {
			t.Errorf("after %q it exits with %d, and says %q; want %d", body, exit, w.screen, want)
		}
	}
}

// TestScript_WhoIsDisabledIsLookedAt holds that nobody is sent as enabled only since the filter could not tell: who is disabled is left out, and where that may
// not be read, nothing is sent. The event log names nobody.
func TestScript_WhoIsDisabledIsLookedAt(t *testing.T) {
	tree := generated(t, settings("https://127.0.0.1:1"), staff)
	r := startRecorder(t, token, answer{200, "", "OK run=R-1 errors=0 warnings=0\n"})
	w := computer(t, script.Desktop, r.roots)
	w.directory = acme()
	left := w.directory.people[4]
	left.slips = true
	if exit := runScript(t, at(tree, r.address), w, nil); exit != 0 || len(w.sent) != 2 || !strings.Contains(string(w.sent[1].Body), "ann@") || strings.Contains(string(w.sent[1].Body), "gone@") {
		t.Errorf("the filter let somebody pass: it exits with %d, and sent %+v", exit, w.sent)
	}
	left.hidden = true
	w.sent, w.events = nil, nil
	exit := runScript(t, tree, w, nil)
	const says = "Nothing was sent. The account that runs this script may not read userAccountControl of everybody in 'OU=Staff,DC=acme,DC=test'"
	if exit != 1 || len(w.sent) > 0 || len(w.events) != 1 || !strings.HasPrefix(w.events[0].text, says) || strings.Contains(w.events[0].text, "Gone") {
		t.Errorf("it may not be read: it exits with %d, sent %d requests, and says %+v", exit, len(w.sent), w.events)
	}
}

// TestScript_ExpiredCountsAsDisabled holds when an account has expired, and that 0, the greatest number and no value mean never.
func TestScript_ExpiredCountsAsDisabled(t *testing.T) {
	tree := generated(t, settings("https://127.0.0.1:1"), staff)
	for _, c := range []struct {
		expires any
		sent    bool
	}{{nil, true}, {0, true}, {math.MaxInt64, true}, {fileTime + 1, true}, {fileTime, false}, {fileTime - 864_000_000_000, false}, {1, false}} {
		r := startRecorder(t, token, answer{200, "", "OK run=R-1 errors=0 warnings=0\n"})
		w := computer(t, script.Desktop, r.roots)
		w.directory = acme()
		w.directory.people[0].attributes["accountExpires"] = c.expires
		exit := runScript(t, at(tree, r.address), w, nil)
		rows, err := readCSV(string(w.sent[1].Body))
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(mails(rows), "rob@acme.test"); exit != 0 || len(rows) < 2 || got != c.sent {
			t.Errorf("accountExpires is %v: it exits with %d, and sends %q; want him sent: %v", c.expires, exit, mails(rows), c.sent)
		}
	}
}
