package pages

import (
	"net/url"
	"strings"
	"time"

	"foyer"
	"foyer/connect"
	"foyer/entra"
)

// again is what the page of a connection that is being read asks after three seconds. What was just done is said once.
const again = "3; url=/connect/entra/connection"

// Landing is the page of a link.
type Landing struct {
	*connect.Landing
	Token string // of the link
	Host  string // of this server
	Now   time.Time
}

func (Landing) template() string { return "landing" }
func (p Landing) head() Head {
	return Head{Title: "Connect " + p.For() + " to " + p.Org.Name, Org: p.Org.Name, LeadsTo: p.Microsoft}
}

// IsDomain tells whether the link is for a domain, instead of a tenant by its id.
func (p Landing) IsDomain() bool {
	return !p.Link.AnyTenant && strings.Contains(p.Link.For, ".")
}

// For says what is to be connected.
func (p Landing) For() string {
	if p.IsDomain() {
		return p.Link.For
	}
	return "your directory"
}

// MicrosoftHost is where the form leads to.
func (p Landing) MicrosoftHost() string { return host(p.Microsoft) }

func host(address string) string {
	if u, err := url.Parse(address); err == nil {
		return u.Host
	}
	return address
}

// Connection is the page of a connection, as it stands.
type Connection struct {
	*connect.View
	Now  time.Time
	Said string // what was just done; "": nothing
	Wait bool   // it does not ask again by itself: whoever reads it wants to take their time (WCAG 2.2.1)
}

func (Connection) template() string { return "connection" }
func (p Connection) head() Head {
	h := Head{Title: p.Heading() + " · " + p.Connection.TenantName, Org: p.Org.Name, LeadsTo: p.Microsoft}
	if p.Reading() && !p.Wait {
		h.Again = again
	}
	return h
}

// Shows says which part of the page is shown: it is the state of the connection, of which confirming has two.
func (p Connection) Shows() string {
	if p.Connection.State != foyer.Confirming {
		return string(p.Connection.State)
	}
	if p.Plan == nil {
		return "reading"
	}
	return "plan"
}

// Setup tells whether it is still on the way to be connected, and Step how far it is.
func (p Connection) Setup() bool {
	return p.Connection.State == foyer.Consenting || p.Connection.State == foyer.Confirming
}

// Step is the step that is to be taken now.
func (p Connection) Step() int {
	return map[string]int{"consenting": 1, "reading": 2, "plan": 3}[p.Shows()]
}

// Due tells whether the tenant is being read, or will be within seconds.
func (p Connection) Due() bool {
	return p.Connection.State == foyer.Connected && !p.Connection.NextAt.After(p.Now)
}

// Reading tells whether something is being waited for.
func (p Connection) Reading() bool { return p.Shows() == "reading" || p.Due() }

// Held tells whether the newest run waits for a person to decide.
func (p Connection) Held() bool { return p.Last != nil && p.Last.Status == foyer.Held }

// StateName says how the connection stands, in a word or two.
func (p Connection) StateName() string {
	switch {
	case p.Due():
		return "Reading now"
	case p.Shows() == "connected" && p.Connection.Problem != "":
		return "Connected, with a problem"
	case p.Shows() == "connected" && p.Held():
		return "Waiting for a decision"
	}
	return map[string]string{"consenting": "Waiting for the permission", "reading": "Reading", "plan": "Waiting for you", "connected": "Connected", "paused": "Paused", "disconnected": "Disconnected"}[p.Shows()]
}

// Tone is how the state is coloured: good, warn or bad.
func (p Connection) Tone() string {
	switch {
	case p.Shows() == "disconnected", p.Connection.Problem != "":
		return "bad"
	case p.Shows() == "connected" && !p.Held():
		return "good"
	}
	return "warn"
}

// Heading is the title of the page.
func (p Connection) Heading() string {
	name := p.Connection.TenantName
	switch p.Shows() {
	case "consenting":
		return name + " has to agree"
	case "reading":
		return "Reading " + name
	case "plan":
		return "Review what will happen"
	case "connected":
		return name + " is connected"
	case "paused":
		return name + " is paused"
	}
	return name + " is disconnected"
}

// MicrosoftHost is where the form that asks for the permission leads to.
func (p Connection) MicrosoftHost() string { return host(p.Microsoft) }

// SiteName returns the name of a site.
func (p Connection) SiteName(id foyer.SiteID) string {
	for _, site := range p.Sites {
		if site.ID == id {
			return site.Name
		}
	}
	return "no site in particular"
}

// ProblemCount is how many problems the plan has.
func (p Connection) ProblemCount() int { return p.Plan.Counts.Errors + p.Plan.Counts.Warnings }

// RunProblems is how many problems the last run had.
func (p Connection) RunProblems() int { return p.Last.Errors + p.Last.Warnings }

// FirstProblems are the first problems of the last run.
func (p Connection) FirstProblems() []foyer.Problem {
	return p.Last.Problems[:min(len(p.Last.Problems), 20)]
}

// setting is one that is shown.
type setting struct{ Name, Text string }

// Who says whom the settings list.
func (p Connection) Who() []setting {
	s := &p.Connection.Settings
	say := func(yes bool, whenYes, otherwise string) string {
		if yes {
			return whenYes
		}
		return otherwise
	}
	return []setting{
		{"Members", say(s.OnlyGroups, "only who is in one of the groups below", "everybody in the directory")},
		{"Guests", say(s.Guests, "are listed too", "are not listed")},
		{"Without a mail address", say(s.PrincipalNames, "listed by user principal name", "are not listed")},
		{"Disabled accounts", say(s.LeaveDisabled, "are not listed", "are listed as disabled: nobody can ask for them")},
	}
}

// source is where a field comes from.
type source struct {
	Key, Name, Attribute string
	Else                 string // another attribute, where that one is empty
}

// Fields says where each field comes from.
func (p Connection) Fields() []source {
	all := append([]source{{"email", "Email", "mail", ""}}, choosable(&p.Connection.Settings)...)
	if p.Connection.Settings.PrincipalNames {
		all[0].Else = "userPrincipalName"
	}
	return append(all, source{"manager", "Manager", "manager", ""})
}

// choosable are the fields of which the attribute can be chosen.
func choosable(s *foyer.EntraSettings) (all []source) {
	for f := foyer.FirstName; f < foyer.Manager; f++ {
		all = append(all, source{f.String(), sentenceCase(f.Label()), s.Attribute(f), ""})
	}
	return all
}

func sentenceCase(text string) string {
	text = sentence(text)
	return text[:len(text)-1]
}

// Settings is the page where the settings are changed.
type Settings struct {
	*connect.View
	Settings foyer.EntraSettings // as they are, or as somebody wanted them who got Problem
	Said     string              // what was just done
	Problem  string              // why they were not saved; "": nothing was wrong
}

func (Settings) template() string { return "settings" }
func (p Settings) head() Head {
	title := "Settings · " + p.Connection.TenantName
	if p.Problem != "" {
		title = "Not saved · " + title
	}
	return Head{Title: title, Org: p.Org.Name, LeadsTo: p.Microsoft}
}

// MicrosoftHost is where the form that asks for a permission leads to.
func (p Settings) MicrosoftHost() string { return host(p.Microsoft) }

// Choosable are the fields of which the attribute can be chosen.
func (p Settings) Choosable() []source { return choosable(&p.Settings) }

// Attributes are the attributes that can be chosen.
func (p Settings) Attributes() []string { return foyer.EntraAttributes() }

// option is one of a list to choose from.
type option struct {
	Value, Name string
	Chosen      bool
}

// Intervals are how often a tenant can be read; what is set on the command line is one of them too.
func (p Settings) Intervals() (all []option) {
	usual := []time.Duration{5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour}
	now, found := p.Settings.Interval(), false
	for _, d := range usual {
		if !found && d >= now {
			if d != now {
				all = append(all, option{now.String(), interval(now), true})
			}
			found = true
		}
		all = append(all, option{d.String(), interval(d), d == now})
	}
	return all
}

// choice is a group and where it is put.
type choice struct {
	Group  string
	None   string // what it is called that the group is put nowhere
	Mapped bool
	Site   foyer.SiteID
	Sites  []foyer.Site
}

// Choice is where a group of the settings is put.
func (p Settings) Choice(g foyer.GroupSite) choice {
	return choice{Group: g.Group, None: "remove this group", Mapped: true, Site: g.Site, Sites: p.Sites}
}

// Groups is the page where groups are looked for.
type Groups struct {
	*connect.View
	Prefix  string
	Found   []entra.Group
	Problem string // why it was not saved; "": nothing was wrong
}

func (Groups) template() string { return "groups" }
func (p Groups) head() Head {
	return Head{Title: "Groups · " + p.Connection.TenantName, Org: p.Org.Name}
}

// ChoiceOf is where a group that was found is put.
func (p Groups) ChoiceOf(g entra.Group) choice {
	c := choice{Group: g.ID, None: "not used", Sites: p.Sites}
	for _, mapped := range p.Connection.Settings.Groups {
		if mapped.Group == g.ID {
			c.Mapped, c.Site = true, mapped.Site
		}
	}
	return c
}

// Ended is the page after a connection was ended for good.
type Ended struct{}

func (Ended) template() string { return "ended" }
func (Ended) head() Head       { return Head{Title: "Disconnected"} }

// Failure is the page that says what went wrong.
type Failure struct {
	Status  int
	Title   string
	Message string
	Calm    string   // what did not happen; "": nobody can be sure
	Cures   []string // what can be done
	Back    *Way     // nil: nowhere
	Request string
}

// Way is an address of ours and what it is called.
type Way struct{ URL, Name string }

func (Failure) template() string { return "failure" }
func (p Failure) head() Head     { return Head{Title: p.Title} }
