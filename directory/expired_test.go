package directory_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/directory"
)

// ticks returns a time as Windows counts.
func ticks(t time.Time) string {
	return strconv.FormatInt(t.Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Nanoseconds()/100+125_911_584_000_000_000, 10)
}

// TestAD_AccountsThatHaveExpiredAreDisabled holds that an account is as one that is disabled from the moment on at which it expires, whatever the filter for disabled ones says.
func TestAD_AccountsThatHaveExpiredAreDisabled(t *testing.T) {
	d := newDomain(t)
	now := time.Date(2026, 10, 21, 3, 0, 0, 0, time.UTC)
	for name, until := range map[string]string{"never": "0", "ever": "9223372036854775807", "soon": ticks(now.Add(time.Second)), "now": ticks(now), "gone": ticks(now.AddDate(-5, 0, 0))} {
		d.account(t, name, map[string][]string{"accountExpires": {until}})
	}
	d.account(t, "dora", map[string][]string{"accountExpires": {ticks(now.AddDate(-1, 0, 0))}, "userAccountControl": {"546"}})
	options := directory.Options{Password: d.password, Clock: func() time.Time { return now }}
	for _, filter := range []string{"", "(|(userAccountControl:1.2.840.113556.1.4.803:=2)(mail=nobody))"} {
		d.config.DisabledFilter = filter
		for _, disabled := range []string{directory.LeaveOut, directory.Send} {
			d.config.Disabled = disabled
			r, err := directory.Read(t.Context(), d.config, options)
			if err != nil {
				t.Fatal(err)
			}
			var enabled []string
			for _, p := range r.People {
				if p.Enabled != foyer.No {
					enabled = append(enabled, strings.TrimSuffix(p.Values[foyer.Email], "@test.com"))
				}
			}
			if !slices.Equal(enabled, []string{"ever", "never", "soon"}) || r.Expired != 2 || r.LeftOut+r.Disabled != 3 || (disabled == directory.Send) != (len(r.People) == 6) {
				t.Errorf("%q, %s: enabled are %q, of %d; %d have expired, %d are left out", filter, disabled, enabled, len(r.People), r.Expired, r.LeftOut)
			}
		}
	}
}

// TestAD_WhoShowsNoEndCountsAsEnabled holds that where the end of accounts is not to be seen, as in a global catalog, nobody goes missing and it is told; and that what is no time is an error.
func TestAD_WhoShowsNoEndCountsAsEnabled(t *testing.T) {
	d := newDomain(t)
	if d.fake == nil {
		t.Skip("a real domain has the attribute of everybody, and takes nothing but times")
	}
	d.account(t, "ann", nil)
	d.add(t, "CN=printer,"+d.ou, map[string][]string{"objectClass": {"contact"}, "mail": {"printer@test.com"}})
	d.config.Filter = "(objectCategory=person)"
	d.fake.hides = "accountexpires"
	if people, r := d.read(t); len(people) != 2 || len(r.Warnings) != 1 || !strings.HasPrefix(r.Warnings[0], "1 accounts do not show accountExpires") {
		t.Errorf("there are %d people, and the warnings are %q", len(people), r.Warnings)
	}
	d.fake.hides = ""
	d.account(t, "rob", map[string][]string{"accountExpires": {"tomorrow"}})
	if _, err := directory.Read(t.Context(), d.config, directory.Options{Password: d.password}); err == nil || !strings.Contains(err.Error(), `is "tomorrow", which is no time`) {
		t.Errorf("what is no time: %v", err)
	}
}
