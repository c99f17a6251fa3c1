package server

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"foyer"
	"foyer/connect"
	"foyer/pages"
)

// said is what a page says that follows upon something that was done; the query names it, and says nothing itself.
var said = map[string]string{
	connect.ActConfirm: "Confirmed. The first sync is under way.",
	connect.ActPause:   "Paused.",
	connect.ActResume:  "Resumed.",
	"saved":            "Saved.",
}

// connection answers GET /connect/entra/connection: how the connection stands.
func (v *visit) connection() error {
	query, err := v.query("said", "wait")
	if err != nil {
		return err
	}
	view, err := v.Connect.Show(v.ctx, v.session, v.browser, v.from)
	if err != nil {
		return err
	}
	return pages.Write(v.w, http.StatusOK, pages.Connection{View: view, Now: v.Store.Now(), Said: said[query.Get("said")], Wait: query.Get("wait") == "yes"})
}

// settings answers GET /connect/entra/settings: the form.
func (v *visit) settings() error {
	query, err := v.query("said")
	if err != nil {
		return err
	}
	view, err := v.settled()
	if view == nil || err != nil {
		return err
	}
	return pages.Write(v.w, http.StatusOK, pages.Settings{View: view, Settings: view.Connection.Settings, Said: said[query.Get("said")]})
}

// settled is the connection for a page about its settings; nil where there are none yet, and the browser was sent to the page that says what is missing.
func (v *visit) settled() (*connect.View, error) {
	view, err := v.Connect.Show(v.ctx, v.session, v.browser, v.from)
	if err != nil {
		return nil, err
	}
	if state := view.Connection.State; state == foyer.Consenting || state == foyer.Disconnected {
		pages.Redirect(v.w, connectionPath)
		return nil, nil
	}
	sees, err := v.Connect.SeesGroups(v.ctx, v.session, v.browser)
	view.SeesGroups = sees || err != nil // who cannot be asked now is not said to have refused
	return view, nil
}

// groups answers GET /connect/entra/groups: the groups whose names begin so.
func (v *visit) groups() error {
	query, err := v.query("prefix")
	if err != nil {
		return err
	}
	return v.showGroups(http.StatusOK, query.Get("prefix"), "")
}

func (v *visit) showGroups(status int, prefix, problem string) error {
	view, err := v.settled()
	if view == nil || err != nil {
		return err
	}
	prefix = strings.TrimSpace(prefix)
	found, err := v.Connect.Groups(v.ctx, v.session, v.browser, prefix)
	if err != nil {
		return err
	}
	return pages.Write(v.w, status, pages.Groups{View: view, Prefix: prefix, Found: found, Problem: problem})
}

// set answers POST /connect/entra/set: the form of the settings, or of the groups that were found. What cannot be meant is shown again, with what is wrong.
func (v *visit) set() error {
	form, err := v.form("part", "guests", "principal_names", "leave_disabled", "only_groups", "offices", "every", "site.*", "attribute.*")
	if err != nil {
		return err
	}
	part := form.Get("part")
	if part != "all" && part != "groups" {
		return foyer.Errorf(foyer.Malformed, "the form is not whole")
	}
	var wanted foyer.EntraSettings
	err = v.Connect.Set(v.ctx, v.session, v.browser, v.from, func(s *foyer.EntraSettings) error {
		defer func() { wanted = *s }()
		if part == "all" {
			if err := form.choose(s); err != nil {
				return err
			}
		}
		return form.putGroups(s)
	})
	switch {
	case foyer.KindOf(err) == foyer.Invalid && part == "groups":
		return v.showGroups(http.StatusUnprocessableEntity, "", messageOf(err))
	case foyer.KindOf(err) == foyer.Invalid:
		view, failed := v.settled()
		if view == nil || failed != nil {
			return failed
		}
		return pages.Write(v.w, http.StatusUnprocessableEntity, pages.Settings{View: view, Settings: wanted, Problem: messageOf(err)})
	case err != nil:
		return err
	case part == "groups":
		pages.Redirect(v.w, settingsPath+"?said=saved#groups")
	default:
		pages.Redirect(v.w, connectionPath+"?said=saved")
	}
	return nil
}

// choose sets what the form of the settings says, but for the groups.
func (f form) choose(s *foyer.EntraSettings) error {
	every, err := time.ParseDuration(f.Get("every"))
	if err != nil {
		return foyer.Errorf(foyer.Malformed, "the form is not whole")
	}
	s.Every = every
	s.Guests, s.PrincipalNames, s.LeaveDisabled, s.OnlyGroups = f.yes("guests"), f.yes("principal_names"), f.yes("leave_disabled"), f.yes("only_groups")
	s.NoOffices = !f.yes("offices")
	s.Attributes = map[string]string{}
	for field := foyer.FirstName; field < foyer.Manager; field++ {
		name := "attribute." + field.String()
		if usual := new(foyer.EntraSettings).Attribute(field); f.Has(name) && f.Get(name) != usual {
			s.Attributes[field.String()] = f.Get(name)
		}
	}
	return nil
}

// putGroups puts the groups of the form where it says, the only ones that it changes.
func (f form) putGroups(s *foyer.EntraSettings) error {
	rest := map[string]foyer.SiteID{}
	gone := map[string]bool{}
	for name := range f.Values {
		group, ok := strings.CutPrefix(name, "site.")
		if !ok {
			continue
		}
		if f.Get(name) == "" {
			gone[group] = true
			continue
		}
		site, err := strconv.ParseInt(f.Get(name), 10, 64)
		if err != nil || site < 0 {
			return foyer.Errorf(foyer.Malformed, "the form is not whole")
		}
		rest[group] = foyer.SiteID(site)
	}
	var groups []foyer.GroupSite
	for _, g := range s.Groups { // in the order in which they were put there
		if site, ok := rest[g.Group]; ok {
			g.Site = site
			delete(rest, g.Group)
		}
		if !gone[g.Group] {
			groups = append(groups, g)
		}
	}
	for _, group := range sorted(rest) {
		groups = append(groups, foyer.GroupSite{Group: group, Site: rest[group]})
	}
	s.Groups = groups
	if len(groups) > foyer.MaxGroups { // before Microsoft is asked for each
		return foyer.Errorf(foyer.Invalid, "%d groups are chosen; the most is %d", len(groups), foyer.MaxGroups)
	}
	return nil
}

// act answers POST /connect/entra/act.
func (v *visit) act() error {
	form, err := v.form("act", "version", "sure")
	if err != nil {
		return err
	}
	act := form.Get("act")
	switch act {
	case "agree":
		address, err := v.Connect.AskAgain(v.ctx, v.session, v.browser)
		if err == nil {
			pages.Redirect(v.w, address)
		}
		return err
	case connect.ActDisconnect:
		return v.disconnect(form)
	case connect.ActConfirm:
		if err := v.sameAsSeen(form.Get("version")); err != nil {
			return err
		}
	case connect.ActPause, connect.ActResume, connect.ActSync:
	default:
		return foyer.Errorf(foyer.Malformed, "the form is not whole")
	}
	if _, err := v.Connect.Act(v.ctx, v.session, v.browser, v.from, act); err != nil {
		return err
	}
	pages.Redirect(v.w, connectionPath+"?said="+act)
	return nil
}

// disconnect ends the connection, and the session with it.
func (v *visit) disconnect(form form) error {
	if !form.yes("sure") {
		return foyer.Errorf(foyer.Malformed, "the box that says yes is not checked: nothing was disconnected")
	}
	if _, err := v.Connect.Act(v.ctx, v.session, v.browser, v.from, connect.ActDisconnect); err != nil {
		return err
	}
	v.setCookie(sessionCookie, "", 0)
	pages.Redirect(v.w, endedPath)
	return nil
}

// sameAsSeen returns an error where what somebody confirms is no longer what they were shown.
func (v *visit) sameAsSeen(version string) error {
	view, err := v.Connect.Show(v.ctx, v.session, v.browser, v.from)
	if err != nil {
		return err
	}
	if view.Connection.State == foyer.Confirming && (view.Plan == nil || strconv.FormatInt(view.Plan.Version, 10) != version) {
		return foyer.Errorf(foyer.Conflict, "what would happen is not any more what you were shown, since the directory or the settings changed meanwhile: nothing was confirmed. Look at it again")
	}
	return nil
}
