package reconcile_test

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"foyer"
	"foyer/reconcile"
)

// modelUpload is a file that was applied.
type modelUpload struct {
	source foyer.SourceID
	digest [32]byte
}

// step does one thing. What stands twice is done twice as often.
func (d *driver) step() {
	d.model.now = d.clock.Now()
	steps := []func(){d.upload, d.upload, d.upload, d.upload, d.upload, d.upload, d.upload, d.upload, d.editSomeone, d.editSomeone, d.editSomeone, d.addSomeone,
		d.sleep, d.sleep, d.newSite, d.refuse, d.approve, d.approve, d.approve, d.reject, d.undo, d.undo, d.undo, d.undo, d.undo, d.join, d.join, d.erase, d.forget, d.end}
	steps[rapid.IntRange(0, len(steps)-1).Draw(d.T, "step")]()
}

// newSite makes a site that files named before it was there.
func (d *driver) newSite() {
	if d.ottawa {
		return
	}
	d.ottawa = true
	d.say("new site Ottawa, alias YOW")
	d.model.sites["Ottawa"], d.model.sites["YOW"] = 3, 3
	for _, org := range d.orgs {
		_, err := org.store.CreateSite(d.t.Context(), operator, org.id, foyer.Site{Name: "Ottawa", Aliases: []string{"YOW"}})
		d.must(err)
	}
}

// sleep moves the clock; the minute keeps ends from falling together.
func (d *driver) sleep() {
	days := rapid.IntRange(1, 5).Draw(d.T, "days")
	d.say("%d days and a minute pass", days)
	d.clock.Move(time.Duration(days)*24*time.Hour + time.Minute)
	d.model.now = d.clock.Now()
	for _, org := range d.orgs {
		d.must(org.store.LapseHeld(d.t.Context(), operator))
	}
	for _, act := range d.model.acts {
		if act.status == foyer.Held && d.model.now.Sub(act.at) >= foyer.HoldLife {
			act.status = foyer.Lapsed
		}
	}
}

func (d *driver) upload() {
	src := rapid.SampledFrom(d.active).Draw(d.T, "source")
	file := d.drawFile(src)
	d.say("upload to S-%d:", src.id)
	for _, row := range file {
		d.say("  %s", describe(&row))
	}
	up := modelUpload{src.id, sha256.Sum256(fmt.Append(nil, file))}
	if d.model.book.ended[src.id] {
		for _, org := range d.orgs {
			if _, err := d.deliver(org, src, up, file, false); err == nil {
				d.fail("a source that ended delivers")
			}
		}
		return
	}
	s := d.model.plan(src, file)
	if s.refused != 0 {
		for i, org := range d.orgs {
			if _, err := d.deliver(org, src, up, file, false); err == nil || foyer.KindOf(err) != s.refused {
				d.fail("organization %d: error %v, want one of kind %d", i, err, s.refused)
			}
		}
		return
	}
	act := d.model.settle(s, foyer.Sync, nil)
	tried := rapid.IntRange(0, 1).Draw(d.T, "tried in")
	for i, org := range d.orgs {
		var try *foyer.Run
		if i == tried {
			var err error
			try, err = d.deliver(org, src, up, file, true)
			d.must(err)
		}
		run, err := d.deliver(org, src, up, file, false)
		d.must(err)
		act.runs[i] = run.ID
		d.say("  %v is %s", run.ID, run.Status)
		d.checkSync(i, s, try, run, up)
	}
	act.upload = up
	if !s.hold {
		d.loaded = append(d.loaded, up)
	}
}

func (d *driver) deliver(org place, src modelSource, up modelUpload, file reconcile.Input, dry bool) (*foyer.Run, error) {
	return reconcile.Run(d.t.Context(), org.store, operator, reconcile.Delivery{Org: org.id, Source: src.id, Digest: up.digest[:], NoSkip: d.twin == nil && org == d.orgs[1], DryRun: dry,
		Spill: reconcile.Spill{Memory: slices.Index(d.orgs[:], org)}, Input: func(*foyer.Source) reconcile.Input { return file }})
}

// checkSync holds a run against what the model planned, and against what trying it said (R24).
func (d *driver) checkSync(i int, s *modelSync, try, run *foyer.Run, up modelUpload) {
	if try != nil && (try.Counts != run.Counts || !slices.Equal(try.Problems, run.Problems) || (try.Hold != nil) != (run.Hold != nil) || try.ID != 0) {
		d.fail("R24: organization %d: tried:   %+v\n%v\n%+v\napplied: %+v\n%v\n%+v", i, try.Counts, try.Problems, try.Hold, run.Counts, run.Problems, run.Hold)
	}
	want, got := s.counts, run.Counts
	for _, p := range run.Problems {
		if p.Column == "office" {
			got.Warnings-- // the model has no such thing
		}
	}
	if last := d.lastUpload(up.source); last != nil && *last == up {
		got.Warnings = want.Warnings // where the same bytes are not looked at again, those of the last time are repeated
	}
	if (run.Hold != nil) != s.hold || (run.Status == foyer.Held) != s.hold {
		kept, _ := d.orgs[i].store.HeldDetail(d.t.Context(), operator, d.orgs[i].id, run.ID)
		lost := kept.Lost
		d.fail("organization %d: %s, lost %v, held %+v\nwant held %t, D %v of N %v, lost %v, %d renames, %d names of %d\n%v", i, run.Status, lost, run.Hold, s.hold, s.d, s.n, s.lost,
			s.renames, s.names, s.matched, run.Problems)
	}
	if got != want {
		d.fail("organization %d: %v\ncounts %+v\nwant   %+v, lost %v\nproblems %v", i, run.ID, got, want, s.lost, run.Problems)
	}
	if s.hold {
		d.checkHold(i, s, run)
	}
}

// checkHold holds whom a held run names against the model.
func (d *driver) checkHold(i int, s *modelSync, run *foyer.Run) {
	kept, err := d.orgs[i].store.HeldDetail(d.t.Context(), operator, d.orgs[i].id, run.ID)
	d.must(err)
	lost := kept.Lost
	want := []foyer.EntryID{}
	for _, who := range slices.Sorted(maps.Keys(s.lost)) {
		want = append(want, foyer.EntryID(who))
	}
	if !slices.Equal(lost, want) {
		d.fail("R22: organization %d: %v names %v, want %v", i, run.ID, lost, want)
	}
}

func (d *driver) lastUpload(src foyer.SourceID) *modelUpload {
	for i := len(d.loaded) - 1; i >= 0; i-- {
		if d.loaded[i].source == src {
			return &d.loaded[i]
		}
	}
	return nil
}

// refuse delivers a file that is cut, or one without a row that can be used: nothing happens (R20, R23).
func (d *driver) refuse() {
	src := rapid.SampledFrom(d.active).Draw(d.T, "source")
	file := d.drawFile(src)
	d.say("a cut file of %d rows to S-%d", len(file), src.id)
	cut := rowsOf(func(yield func(*foyer.Row) error) ([]foyer.Problem, error) {
		if _, err := file.Rows(yield); err != nil {
			return nil, err
		}
		return nil, foyer.Errorf(foyer.Invalid, "the file is cut")
	})
	for i, org := range d.orgs {
		if _, err := d.deliver(org, src, modelUpload{src.id, [32]byte{1}}, cut, false); err == nil {
			d.fail("organization %d: a cut file is applied", i)
		}
	}
}

// somebody draws an email that means somebody, an alias or not.
func (d *driver) somebody(label string) (email string, who int) {
	email = rapid.SampledFrom(slices.Sorted(maps.Keys(d.model.book.emails))).Draw(d.T, label)
	return email, d.model.book.emails[email].who
}

func (d *driver) editSomeone() {
	if len(d.model.book.emails) == 0 {
		return
	}
	email, who := d.somebody("whom")
	edit := d.drawEdit()
	d.say("edit %s: %v", email, edit)
	act, ok := d.model.edit(who, edit)
	for i, org := range d.orgs {
		_, run, err := reconcile.Change(d.t.Context(), org.store, operator, org.id, reconcile.ParseName(email), edit.real())
		d.conflict(ok, err)
		if ok {
			act.runs[i] = run
			if (run != 0) != (len(act.changes) > 0) {
				d.fail("organization %d: the act is %v, changes %v", i, run, act.changes)
			}
		}
	}
}

func (d *driver) addSomeone() {
	email := goodEmail.Draw(d.T, "email")
	for _, key := range slices.Sorted(maps.Keys(d.model.book.emails)) {
		if d.model.book.emails[key].alias && rapid.Bool().Draw(d.T, "an earlier email") {
			email = key
		}
	}
	edit := modelEdit{values: map[foyer.Field]string{foyer.Email: email, foyer.Title: titles.Draw(d.T, "title"),
		foyer.FirstName: firstNames.Draw(d.T, "first")}}
	edit.add = rapid.SampledFrom([]foyer.SiteID{0, 1, 2}).Draw(d.T, "site")
	if rapid.IntRange(0, 3).Draw(d.T, "permanent") == 0 {
		edit.permanent = new(true)
	}
	d.say("add %v", edit)
	act, ok := d.model.addByHand(edit)
	for i, org := range d.orgs {
		e, err := reconcile.Add(d.t.Context(), org.store, operator, org.id, edit.real())
		d.conflict(ok, err)
		if ok {
			act.runs[i] = e.LastRun
		}
	}
}

func (d *driver) conflict(ok bool, err error) {
	if ok {
		d.must(err)
	} else if foyer.KindOf(err) != foyer.Conflict {
		d.fail("error %v, want a conflict", err)
	}
}

func (d *driver) approve() {
	held := d.drawHeld()
	if held == nil {
		return
	}
	d.say("approve %v", held.runs)
	waits := slices.Contains(d.model.waiting(), held)
	var s *modelSync
	var act *modelAct
	if waits = waits && !d.model.book.ended[held.source]; waits {
		s, act = d.model.approve(held)
		waits = s.refused == 0
	}
	for i, org := range d.orgs {
		run, err := reconcile.Approve(d.t.Context(), org.store, operator, org.id, held.runs[i])
		if !waits {
			if err == nil {
				d.fail("organization %d: approved a run that is %s", i, held.status)
			}
			continue
		}
		d.must(err)
		act.runs[i] = run.ID
		d.checkSync(i, s, nil, run, modelUpload{source: s.src.id})
	}
	if waits {
		act.upload = held.upload
		if !s.hold && act.kind == foyer.Sync {
			d.loaded = append(d.loaded, act.upload)
		}
	}
}

// drawHeld draws a run that was held once; nil: there is none.
func (d *driver) drawHeld() *modelAct {
	var held []*modelAct
	for _, act := range d.model.acts {
		if act.held != nil {
			held = append(held, act)
		}
	}
	if len(held) == 0 {
		return nil
	}
	if rapid.IntRange(0, 3).Draw(d.T, "the last") > 0 {
		return held[len(held)-1]
	}
	return rapid.SampledFrom(held).Draw(d.T, "held run")
}

func (d *driver) reject() {
	held := d.drawHeld()
	if held == nil {
		return
	}
	d.say("reject %v", held.runs)
	waits := slices.Contains(d.model.waiting(), held)
	for i, org := range d.orgs {
		_, err := org.store.Reject(d.t.Context(), operator, org.id, held.runs[i])
		d.conflict(waits, err)
	}
	if waits {
		d.model.reject(held)
	}
}
