package jobs_test

import (
	"bytes"
	"io"
	"log/slog"
	"mime"
	"strings"
	"sync"
	"testing"
	"time"

	"foyer"
	"foyer/foyertest"
	"foyer/jobs"
	"foyer/notify"
	"foyer/store"
)

const (
	good   = "EMAIL,TITLE\nann@test.com,Boss\n"
	header = "EMAIL,TITLE\n"
	day    = 24 * time.Hour
)

// installation is a server with a mail server, a runner of the jobs, and a contact of its organization.
type installation struct {
	*foyertest.Foyer
	mail   *foyertest.MailServer
	log    *bytes.Buffer
	runner *jobs.Runner
	seen   int // messages that the test has looked at
}

func install(t *testing.T) *installation {
	t.Helper()
	i := &installation{Foyer: foyertest.Start(t), mail: foyertest.StartMail(t, foyertest.MailConfig{TLS: true}), log: &bytes.Buffer{}}
	_, err := i.Store.AddContact(t.Context(), i.Operator, i.Org.ID, foyer.Contact{Email: "it@acme.example", Name: "IT"})
	must(t, err)
	i.runner = jobs.New(jobs.Config{Store: i.Store, Mailer: mailer(t, i.mail), Log: slog.New(slog.NewTextHandler(i.log, nil))})
	return i
}

func mailer(t *testing.T, s *foyertest.MailServer) *notify.Mailer {
	t.Helper()
	m, err := notify.New(notify.Config{URL: "smtps://" + foyertest.MailHost, From: "alerts@foyer.example", RootCAs: s.Roots, Dial: s.Dial})
	must(t, err)
	return m
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// told lets a tick pass and checks the subjects of the messages that were sent since the last time, without "[Foyer] Acme: ".
func (i *installation) told(t *testing.T, want ...string) {
	t.Helper()
	i.Authority.Close() // what is noted behind requests' backs is noted
	i.runner.Tick(t.Context())
	got := []string{}
	messages := i.mail.Messages()
	for _, message := range messages[i.seen:] {
		subject, err := new(mime.WordDecoder).DecodeHeader(message.Parse(t).Header.Get("Subject"))
		must(t, err)
		got = append(got, strings.TrimPrefix(subject, "[Foyer] Acme: "))
	}
	i.seen = len(messages)
	for n := range max(len(got), len(want)) {
		if n >= len(got) || n >= len(want) || !strings.HasPrefix(got[n], want[n]) {
			t.Fatalf("the messages are %q\nwant        %q\nthe log: %s", got, want, i.log)
		}
	}
}

// alerts returns the organization's alerts, the newest first.
func (i *installation) alerts(t *testing.T, all bool) []foyer.Alert {
	t.Helper()
	alerts, err := i.Store.Alerts(t.Context(), i.Operator, i.Org.ID, all)
	must(t, err)
	return alerts
}

func (i *installation) upload(t *testing.T, file string, status int) {
	t.Helper()
	if reply := i.Upload(t, file); reply.Status != status {
		t.Fatalf("the upload was answered %d: %s", reply.Status, reply.Body)
	}
}

func TestR27_RefusedUploadOpensAndTheNextGoodOneCloses(t *testing.T) {
	i := install(t)
	i.upload(t, header, 422)
	i.told(t, `sync of "csv" refused: the file has a header and no rows`)
	open := i.alerts(t, false)
	if len(open) != 1 || open[0].Source != 1 || open[0].Run != 1 || open[0].Kind != foyer.AlertRefused || open[0].Mailed.IsZero() ||
		!strings.Contains(open[0].Message, "the file has a header and no rows") || !strings.Contains(open[0].Cure, "foyer run show --org acme R-1") {
		t.Errorf("the alerts are %+v", open)
	}
	i.Clock.Move(day)
	i.upload(t, header, 422)
	i.told(t) // one message per cause
	if open := i.alerts(t, false); len(open) != 1 || open[0].Run != 2 {
		t.Errorf("the alerts are %+v, want one about R-2", open)
	}
	i.upload(t, good, 200)
	i.told(t, `over: sync of "csv" refused`)
	i.told(t)
	all := i.alerts(t, true)
	if len(i.alerts(t, false)) != 0 || len(all) != 1 || all[0].Ending != "R-3 was applied" || all[0].Closed.IsZero() {
		t.Errorf("the alerts are %+v", all)
	}
}

// TestR27_OpenedAndOverBetweenTicks holds that both messages are sent, in order, where all happens within a minute.
func TestR27_OpenedAndOverBetweenTicks(t *testing.T) {
	i := install(t)
	i.upload(t, header, 422)
	i.upload(t, good, 200)
	i.told(t, `sync of "csv" refused`, `over: sync of "csv" refused`)
}

func TestR27_DryRunRaisesNothing(t *testing.T) {
	i := install(t)
	if _, err := i.Script.Upload([]byte(header), map[string][]string{"dry_run": {"1"}}); err != nil {
		t.Fatal(err)
	}
	i.told(t)
}

// TestR27_AlertsHoldNoPersonalData holds that the row which a refusal gives as an example goes neither into the alert nor into mail and log.
func TestR27_AlertsHoldNoPersonalData(t *testing.T) {
	i := install(t)
	i.upload(t, "EMAIL,FIRSTNAME\nann at test,Ann\n", 422)
	i.told(t, `sync of "csv" refused: not one of the 1 rows can be used`)
	for what, text := range map[string]string{"alert": i.alerts(t, false)[0].Message, "mail": i.mail.Messages()[0].Raw, "log": i.log.String()} {
		if strings.Contains(text, "ann at test") {
			t.Errorf("the %s holds the row: %s", what, text)
		}
	}
}

func TestR27_SilenceAfter26Hours(t *testing.T) {
	i := install(t)
	i.Clock.Move(30 * day)
	i.told(t) // it never synced
	i.upload(t, good, 200)
	i.Clock.Move(26*time.Hour - time.Minute)
	i.told(t)
	i.Clock.Move(2 * time.Minute)
	i.told(t, `no sync of "csv" for more than 26h`)
	i.Clock.Move(3 * day)
	i.told(t)
	i.upload(t, header, 422) // that is no sync
	i.told(t, `sync of "csv" refused`)
	i.upload(t, good, 200)
	i.told(t, `over: no sync of "csv"`, `over: sync of "csv" refused`)
	i.Clock.Move(27 * time.Hour)
	i.told(t, `no sync of "csv" for more than 26h`)
}

func TestR27_SourcesHaveIntervalsOfTheirOwn(t *testing.T) {
	i := install(t)
	for name, expect := range map[string]time.Duration{"weekly": 8 * day, "never": foyer.Never} {
		_, err := i.Store.CreateSource(t.Context(), i.Operator, i.Org.ID, foyer.Source{Name: name, Kind: foyer.CSV, Expect: expect})
		must(t, err)
	}
	i.upload(t, good, 200)
	i.Clock.Move(26*time.Hour + time.Minute)
	i.told(t, `no sync of "csv" for more than 26h`)
	i.Clock.Move(7 * day)
	i.told(t, `no sync of "weekly" for more than 8d`) // it counts from when it was made
	i.Clock.Move(300 * day)
	i.told(t)
	sources, err := i.Store.Sources(t.Context(), i.Operator, i.Org.ID)
	must(t, err)
	for _, s := range sources {
		if s.Name == "never" && s.Expect != foyer.Never || s.Name == "weekly" && s.Expect != 8*day || s.Name == "csv" && s.Expect != 0 {
			t.Errorf("%s is expected every %v", s.Name, s.Expect)
		}
	}
}

func TestR27_KeyExpiresIn30And7And1Days(t *testing.T) {
	i := install(t)
	s := i.NewKey(t, i.Org, store.NewKey{Name: "nightly", ExpiresAt: i.Clock.Now().Add(40 * day)})
	name := `the key "nightly" (` + s.ClientID + `) `
	for _, step := range []struct {
		move time.Duration
		want []string
	}{
		{9 * day, nil}, {day, []string{name + "ends within 30 days"}}, {day, nil}, {21 * day, nil},
		{day, []string{name + "ends within 7 days"}}, {5 * day, nil}, {day, []string{name + "ends within 1 day"}}, {23 * time.Hour, nil},
		{time.Hour, []string{"over: " + name + "ends within 1 day"}}, {day, nil},
	} {
		i.Clock.Move(step.move)
		i.told(t, step.want...)
	}
	if all := i.alerts(t, true); len(all) != 3 || !strings.HasPrefix(all[0].Ending, "the key has ended") || len(i.alerts(t, false)) != 0 {
		t.Errorf("the alerts are %+v", all)
	}
}

func TestR27_RevokedKeyIsNotAboutToEnd(t *testing.T) {
	i := install(t)
	s := i.NewKey(t, i.Org, store.NewKey{ExpiresAt: i.Clock.Now().Add(5 * day)})
	i.told(t, "the key "+s.ClientID+" ends within 7 days")
	must(t, i.Store.RevokeKey(t.Context(), i.Operator, i.Org.ID, foyer.KeyID(s.ClientID)))
	i.told(t, "over: the key "+s.ClientID)
	if all := i.alerts(t, true); all[0].Ending != "the key was revoked" {
		t.Errorf("the alert is %+v", all[0])
	}
}

func TestR27_EndedKeyIsUsed(t *testing.T) {
	i := install(t)
	name := "the key " + i.Script.ClientID
	token, err := i.Script.Token()
	must(t, err)
	must(t, i.Store.RevokeKey(t.Context(), i.Operator, i.Org.ID, foyer.KeyID(i.Script.ClientID)))
	i.told(t)
	refused := func(secret string) {
		t.Helper()
		s := *i.Script
		s.ClientSecret = secret
		if _, err := s.Token(); err == nil || !strings.Contains(err.Error(), "401") {
			t.Fatalf("the error is %v", err)
		}
	}
	refused("fs_wrong")
	i.told(t) // who knows the id only is nobody
	refused(i.Script.ClientSecret)
	i.told(t, name+" was used after its end")
	i.Clock.Move(6 * day)
	refused(i.Script.ClientSecret)
	i.told(t)
	i.Clock.Move(6 * day)
	i.told(t)
	i.Clock.Move(day)
	i.told(t, "over: "+name)
	req, err := i.Script.UploadRequest(token, []byte(good))
	must(t, err)
	reply, err := i.Script.Do(req)
	must(t, err)
	if reply.Status != 401 {
		t.Fatalf("the token was answered %d", reply.Status)
	}
	i.told(t, name+" was used after its end")
}

// TestR27_TokenOfAnExpiredKeyIsNoted holds that a token which ended with its key counts as a use, and one that ended before its key does not.
func TestR27_TokenOfAnExpiredKeyIsNoted(t *testing.T) {
	i := install(t)
	s := i.NewKey(t, i.Org, store.NewKey{ExpiresAt: i.Clock.Now().Add(90 * time.Minute)})
	i.told(t, "the key "+s.ClientID+" ends within 1 day")
	token, err := s.Token()
	must(t, err)
	for _, step := range []struct {
		move time.Duration
		want []string
	}{
		{70 * time.Minute, nil}, // the token has ended, the key has not
		{30 * time.Minute, []string{"over: the key " + s.ClientID + " ends within 1 day", "the key " + s.ClientID + " was used after its end"}},
	} {
		i.Clock.Move(step.move)
		req, err := s.UploadRequest(token, []byte(good))
		must(t, err)
		if reply, err := s.Do(req); err != nil || reply.Status != 401 {
			t.Fatalf("the token was answered %v, %v", reply, err)
		}
		i.told(t, step.want...)
	}
}

// TestR27_UseOfAnEndedKeyIsNotedOnceAMinute holds that who asks again and again makes nothing be written each time.
func TestR27_UseOfAnEndedKeyIsNotedOnceAMinute(t *testing.T) {
	i := install(t)
	must(t, i.Store.RevokeKey(t.Context(), i.Operator, i.Org.ID, foyer.KeyID(i.Script.ClientID)))
	for n, want := range []time.Duration{0, 0, time.Minute} {
		if n > 0 {
			i.Clock.Move(30 * time.Second)
		}
		if _, err := i.Script.Token(); err == nil {
			t.Fatal("an ended key got a token")
		}
		i.Authority.Close()
		open := i.alerts(t, false)
		if len(open) != 1 || open[0].Seen.Sub(open[0].Opened) != want {
			t.Errorf("use %d: the alerts are %+v", n, open)
		}
	}
}

// TestR27_TwoServersMailOnce holds that of several processes on one database one sends each message.
func TestR27_TwoServersMailOnce(t *testing.T) {
	i := install(t)
	_, err := i.Store.AddContact(t.Context(), i.Operator, i.Org.ID, foyer.Contact{Email: "boss@acme.example"})
	must(t, err)
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	runners := []*jobs.Runner{}
	for range 4 {
		s, _ := foyertest.OpenStore(t, i.Dir, i.Clock.Now)
		runners = append(runners, jobs.New(jobs.Config{Store: s, Mailer: mailer(t, i.mail), Log: quiet}))
	}
	for n := range 5 {
		for _, file := range []string{header, good} {
			i.upload(t, file, map[string]int{header: 422, good: 200}[file])
			var all sync.WaitGroup
			for _, r := range runners {
				all.Go(func() { r.Tick(t.Context()) })
			}
			all.Wait()
		}
		if got := len(i.mail.Messages()); got != 4*(n+1) {
			t.Fatalf("after %d failures the two contacts got %d messages, want %d", n+1, got, 4*(n+1))
		}
	}
}

func TestR27_MailIsTriedAgain(t *testing.T) {
	i := install(t)
	i.mail.Refuse("451 4.3.0 come back later", "550 5.7.1 no relaying", "421 4.3.2 going down")
	i.upload(t, header, 422)
	i.told(t)
	for _, wait := range []time.Duration{time.Minute, 2 * time.Minute} {
		i.Clock.Move(wait - time.Second)
		i.told(t) // not yet
		i.Clock.Move(time.Second)
		i.told(t)
	}
	i.upload(t, good, 200)
	i.told(t) // that it is over is not sent before that it opened
	i.Clock.Move(4 * time.Minute)
	i.told(t, `sync of "csv" refused`, `over: sync of "csv" refused`)
	i.Clock.Move(10 * time.Minute)
	i.told(t)
	if !strings.Contains(i.log.String(), "come back later") || strings.Contains(i.log.String(), "it@acme") {
		t.Errorf("the log says %s", i.log)
	}
}

func TestR27_MailIsGivenUpAfterThreeDays(t *testing.T) {
	i := install(t)
	i.upload(t, header, 422)
	for range 3*24*6 + 2 {
		i.mail.Refuse("451 4.3.0 come back later")
		i.runner.Tick(t.Context())
		i.Clock.Move(10 * time.Minute)
	}
	tries := strings.Count(i.log.String(), "come back later")
	if tries < 72 || tries > 80 {
		t.Errorf("it was tried %d times, want once an hour at the end", tries)
	}
	if !strings.Contains(i.log.String(), "is given up") {
		t.Errorf("the log says nothing of it: %s", i.log)
	}
	if n := len(i.mail.Messages()); n != 0 {
		t.Errorf("%d messages were sent", n)
	}
}

// TestR27_CrashWhileSending holds that what a process took and did not send is sent by another one once its time is up.
func TestR27_CrashWhileSending(t *testing.T) {
	i := install(t)
	i.upload(t, header, 422)
	_, err := i.Store.TakeNews(t.Context(), i.Operator)
	must(t, err)
	taken, err := i.Store.TakeMail(t.Context(), i.Operator, 10)
	must(t, err)
	if len(taken) != 1 {
		t.Fatalf("%d messages were taken", len(taken))
	}
	i.told(t)
	i.Clock.Move(store.MailLease)
	i.told(t, `sync of "csv" refused`)
}

func TestR27_WithoutMailAlertsAreLogged(t *testing.T) {
	i := install(t)
	i.runner = jobs.New(jobs.Config{Store: i.Store, Log: slog.New(slog.NewTextHandler(i.log, nil))})
	i.upload(t, header, 422)
	i.told(t)
	i.upload(t, good, 200)
	i.told(t)
	for _, want := range []string{"level=WARN msg=alert org=acme alert=A-1 kind=refused source=S-1 run=R-1\n", `level=INFO msg="alert over" org=acme alert=A-1 kind=refused source=S-1 run=R-1` + "\n"} {
		if strings.Count(i.log.String(), want) != 1 {
			t.Errorf("the log is %s, want once in it %s", i.log, want)
		}
	}
	i.Clock.Move(4 * day)
	i.told(t)
	if strings.Contains(i.log.String(), "given up") {
		t.Errorf("it says that what nobody was to send is given up: %s", i.log)
	}
}

func TestR27_ContactsAreTheOrganizationsOwn(t *testing.T) {
	i := install(t)
	other := i.NewOrg(t, "Other")
	for _, c := range []foyer.Contact{{Email: "it@other.example"}, {Email: "it@acme.example"}} {
		_, err := i.Store.AddContact(t.Context(), i.Operator, other.ID, c)
		must(t, err)
	}
	i.upload(t, header, 422)
	i.told(t, `sync of "csv" refused`)
	if to := i.mail.Messages()[0].To; to != "it@acme.example" {
		t.Errorf("it was sent to %s", to)
	}
	// Who comes later is not told that something is over which they never heard of; who has gone is told nothing.
	must(t, i.Store.RemoveContact(t.Context(), i.Operator, i.Org.ID, "IT@Acme.example"))
	i.Clock.Move(time.Minute)
	_, err := i.Store.AddContact(t.Context(), i.Operator, i.Org.ID, foyer.Contact{Email: "new@acme.example"})
	must(t, err)
	i.upload(t, good, 200)
	i.told(t)
}

// TestR27_AlertsQuoteNobody holds that a file without a header brings nobody's data into an alert or a mail.
func TestR27_AlertsQuoteNobody(t *testing.T) {
	for name, file := range map[string]string{"no header": "ann.lee@x.ca,Ann Lee\nbob@x.ca,Bob\n", "a cell twice": "Ann Lee,Ann Lee,ann.lee@x.ca\n"} {
		t.Run(name, func(t *testing.T) {
			i := install(t)
			i.Upload(t, file)
			i.runner.Tick(t.Context())
			said := ""
			for _, a := range i.alerts(t, false) {
				said += a.Title + a.Message + a.Cure
			}
			for _, m := range i.mail.Messages() {
				said += m.Raw
			}
			if said == "" || strings.Contains(strings.ToLower(said), "ann") {
				t.Errorf("it says %s", said)
			}
		})
	}
}

// TestR28_AlertsForgetTheErased holds that nothing that an alert says names who was erased.
func TestR28_AlertsForgetTheErased(t *testing.T) {
	i := install(t)
	i.Upload(t, "EMAIL,FIRSTNAME\nann.lee@x.ca,Ann\n")
	sources, err := i.Store.Sources(t.Context(), i.Operator, i.Org.ID)
	must(t, err)
	source := sources[0].ID
	must(t, i.Store.RecordRun(t.Context(), i.Operator, store.Act{Org: i.Org.ID, Right: foyer.SyncBook, Source: source},
		&foyer.Run{Kind: foyer.Sync, Source: source, Status: foyer.Refused, Message: "cannot be read: ann.lee@x.ca"}))
	_, err = i.Store.Erase(t.Context(), i.Operator, i.Org.ID, 0, "ann.lee@x.ca")
	must(t, err)
	alerts := i.alerts(t, true)
	for _, a := range alerts {
		if said := a.Title + a.Message + a.Cure + a.Ending; strings.Contains(said, "ann.lee") || !strings.Contains(said, "was erased") {
			t.Errorf("it says %s", said)
		}
	}
	if len(alerts) != 1 {
		t.Errorf("there are %d alerts", len(alerts))
	}
}
