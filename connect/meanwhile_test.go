package connect_test

import (
	"testing"

	"foyer"
	"foyer/entra/entratest"
)

// TestReading_BackWithinOneReadingIsAskedFor holds that of somebody whom a reading calls gone, or a guest, and then there again, more is known than what that says of them.
func TestReading_BackWithinOneReadingIsAskedFor(t *testing.T) {
	for name, before := range map[string]string{"removed": `"@removed":{"reason":"changed"}`, "a guest": `"userType":"Guest"`} {
		for _, full := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				f := newFixture(t)
				ann := f.people("ann@acme.com")[0]
				f.connected()
				if full {
					f.tenant.Reset(entratest.Gone)
				}
				f.tenant.Update(ann.ID, func(u *entratest.User) { u.JobTitle = "Chief" })
				page := `{"value":[{"id":"` + f.admin.ID + `","mail":"root@acme.com"},{"id":"` + ann.ID + `",` + before + `},{"id":"` + ann.ID + `","jobTitle":"Chief","userType":"Member"}],
					"@odata.deltaLink":"` + f.fake.Graph + `/v1.0/users/delta?$deltatoken=x"}`
				f.fake.FailAt("/users/delta", map[bool]int{false: 1, true: 2}[full], entratest.Failure{Status: 200, Body: page})
				f.later()
				if e := f.book()["ann@acme.com"]; !e.Enabled || e.Values[foyer.Title] != "Chief" || e.Values[foyer.LastName] != "S" {
					t.Errorf("full %v: ann is %v: %q", full, e.StatusNow(), e.Values)
				}
			})
		}
	}
}
