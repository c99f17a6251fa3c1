package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"foyer"
	"foyer/match"
)

// Read returns everybody whom the directory lists, in the order of their emails, or an error that says what was found, where, and what to do; a directory
// without anybody is an error too. It is one snapshot as far as LDAP gives one: pages are read one after the other.
func Read(ctx context.Context, c Config, o Options) (*Result, error) {
	c, err := c.WithDefaults()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the connection
	s, err := connect(ctx, c, o)
	if err != nil {
		return nil, err
	}
	if err := s.checkPlaces(); err != nil {
		return nil, err
	}
	entries, err := s.find()
	if err != nil {
		return nil, err
	}
	found := len(entries)
	disabled, err := s.disabledNames(entries)
	if err != nil {
		return nil, err
	}
	if c.Disabled == LeaveOut {
		entries = slices.DeleteFunc(entries, func(e *ldap.Entry) bool { return disabled[keyOf(e.DN)] })
		s.result.LeftOut = found - len(entries)
	}
	sites, err := s.sitesOf(entries)
	if err != nil {
		return nil, err
	}
	if s.unseen > 0 {
		s.warnOnce(fmt.Sprintf("%d members of groups are not to be seen: they are gone, or this account may not see them; of those that are groups the members are missing", s.unseen))
	}
	for i, entry := range entries {
		p := s.person(entry)
		for _, site := range sites[i] {
			if !slices.Contains(p.Sites, site) {
				p.Sites = append(p.Sites, site)
			}
		}
		if c.Disabled == Send {
			p.Enabled = foyer.Yes
			if disabled[keyOf(entry.DN)] {
				p.Enabled = foyer.No
			}
		}
		s.add(p)
	}
	if len(s.result.People) == 0 {
		return nil, fmt.Errorf("of %d entries that match the filter none can be sent: %d are disabled or have expired, %d have no email (%s), %d are at no site; check bases, map and the site rules",
			found, s.result.LeftOut, s.result.WithoutEmail, strings.Join(c.Map["email"], ", "), s.result.WithoutSite)
	}
	s.result.sort()
	return s.result, s.findManagers()
}

// checkPlaces returns an error for a part of the tree that the settings name and that is not to be seen: a slip in it would take in whom it is to keep out, or put nobody at its
// site. A part to exclude may be in another directory.
func (s *session) checkPlaces() error {
	for _, dn := range s.Exclude {
		entry, err := s.look(dn, noAttributes)
		if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultReferral) {
			return fmt.Errorf("exclude: %w", err)
		}
		if err == nil && entry == nil {
			return fmt.Errorf("exclude: %w", missing(dn))
		}
	}
	for _, rule := range s.Sites {
		if rule.OU == "" {
			continue
		}
		entry, err := s.look(rule.OU, noAttributes)
		if err == nil && entry == nil {
			err = missing(rule.OU)
		}
		if err != nil {
			return fmt.Errorf("ou of site %q: %w", rule.Name, err)
		}
	}
	return nil
}

// missing says that there is nothing of a name.
func missing(dn string) error {
	return fmt.Errorf("there is no %q, or this account may not see it; write its distinguished name as the directory shows it, or take it out", dn)
}

// judgesBit tells whether who is disabled is judged here, by the bit, and not by a filter.
func (s *session) judgesBit() bool {
	return s.Kind == ActiveDirectory && s.DisabledFilter == disabledBit
}

// isDisabled tells by the bit whether an account is disabled. One whose bit cannot be read is an error: to a filter it would be enabled.
func (s *session) isDisabled(e *ldap.Entry) (bool, error) {
	value := e.GetEqualFoldAttributeValue(control)
	if value == "" && s.isContact(e) {
		return false, nil
	}
	flags, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return false, fmt.Errorf("this account may not read %s of %q (it reads %q), so disabled accounts would pass for enabled ones: give it the right to, or set disabled_filter to what it may read",
			control, e.DN, value)
	}
	return flags&2 != 0, nil
}

// isContact tells whether an entry says of itself that it is no account, and so has nothing to disable.
func (s *session) isContact(e *ldap.Entry) bool {
	classes := e.GetEqualFoldAttributeValues("objectClass")
	return len(classes) > 0 && !slices.ContainsFunc(classes, func(class string) bool { return strings.EqualFold(class, "user") })
}

// checkControl returns an error for an account of Active Directory by whose bits the filter judges, and whose bits cannot be read.
func (s *session) checkControl(e *ldap.Entry) error {
	if s.Kind != ActiveDirectory || !strings.Contains(strings.ToLower(s.DisabledFilter), strings.ToLower(control)) {
		return nil
	}
	_, err := s.isDisabled(e)
	return err
}

// find returns the entries of all people who belong, disabled or not, each once.
func (s *session) find() ([]*ldap.Entry, error) {
	filter, judgedHere := s.Filter, s.Nesting == Members
	var groups []*membership
	if len(s.Groups) > 0 && !judgedHere {
		var err error
		if groups, err = s.memberships(); err != nil {
			return nil, err
		}
		any := ""
		for _, m := range groups {
			any += m.candidates()
		}
		filter = "(&" + filter + "(|" + any + "))"
	}
	var found []*ldap.Entry
	for _, base := range s.Bases {
		before, all := len(found), 0
		err := s.search(base, scopes[s.Scope], filter, s.attributes(), func(entry *ldap.Entry) error {
			if isBelowAny(entry.DN, s.Exclude) {
				all++
				return nil
			}
			if err := s.checkControl(entry); err != nil {
				return err
			}
			all++
			if key := keyOf(entry.DN); s.people[key] == nil {
				s.people[key] = entry
				found = append(found, entry)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if all == 0 {
			if err := s.emptyBase(base, filter); err != nil {
				return nil, err
			}
		}
		if s.Log != nil {
			s.Log.Info("read", "directory", s.Name, "base", base, "entries", len(found)-before)
		}
	}
	if len(s.Groups) > 0 && judgedHere {
		return s.members(found)
	}
	return s.judged(found, groups)
}

// memberships returns who belongs to each of the groups of the settings.
func (s *session) memberships() ([]*membership, error) {
	var groups []*membership
	for _, dn := range s.Groups {
		m, err := s.group(dn)
		if err != nil {
			return nil, err
		}
		groups = append(groups, m)
	}
	return groups, nil
}

// errFound ends a search that has shown what it should.
var errFound = errors.New("found")

// emptyBase judges a base where nobody belongs. Where there are people, but in no group, that is only worth a warning; where there is nobody
// at all, this account may have lost the right to see them, and an error is what keeps them.
func (s *session) emptyBase(base, filter string) error {
	err := s.search(base, scopes[s.Scope], s.Filter, []string{noAttributes}, func(*ldap.Entry) error { return errFound })
	if errors.Is(err, errFound) {
		s.warnOnce(fmt.Sprintf("of those below %q nobody is to be sent: they are in none of the groups", base))
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("nobody is found below %q with the filter %s: does this account see that part, and is the filter right? "+
		"If it is empty for good, take it out of bases", base, filter)
}

// members returns those entries that are members of one of the groups, by what the groups say.
func (s *session) members(entries []*ldap.Entry) ([]*ldap.Entry, error) {
	groups, err := s.memberships()
	if err != nil {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e *ldap.Entry) bool {
		return !slices.ContainsFunc(groups, func(m *membership) bool { return m.has(e) })
	})
	if len(entries) == 0 {
		return nil, fmt.Errorf("none of those found is a member of %s", strings.Join(s.Groups, " or "))
	}
	return entries, nil
}

// attributes returns which attributes of people to ask for.
func (s *session) attributes() []string {
	var all []string
	for _, attributes := range s.Map {
		all = append(all, attributes...)
	}
	for _, rule := range s.Sites {
		all = append(all, nonEmpty(rule.Attribute)...)
	}
	if s.Nesting == Members {
		all = append(all, "uid", "memberUid")
		all = append(all, memberAttributes...)
	}
	if s.Kind == ActiveDirectory {
		all = append(all, control, expires, "objectClass")
	}
	if s.knowsPrimary() {
		all = append(all, objectSID, primaryID)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// namesOf returns the keys of the names of all entries below the bases that match.
func (s *session) namesOf(filter string) (map[string]bool, error) {
	names := map[string]bool{}
	for _, base := range s.Bases {
		err := s.search(base, scopes[s.Scope], filter, []string{noAttributes}, func(entry *ldap.Entry) error {
			names[keyOf(entry.DN)] = true
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return names, nil
}

// disabledNames returns who of those found is disabled, or has expired, by the keys of their names.
func (s *session) disabledNames(entries []*ldap.Entry) (map[string]bool, error) {
	disabled, err := s.switchedOff(entries)
	if err != nil {
		return nil, err
	}
	return disabled, s.noteExpired(entries, disabled)
}

// switchedOff returns who of those found is disabled. They are asked for after everybody was read, so that nobody falls between two questions.
func (s *session) switchedOff(entries []*ldap.Entry) (map[string]bool, error) {
	if s.judgesBit() {
		names := map[string]bool{}
		for _, e := range entries {
			disabled, err := s.isDisabled(e)
			if err != nil {
				return nil, err
			}
			names[keyOf(e.DN)] = disabled
		}
		return names, nil
	}
	if s.DisabledFilter == "" {
		return nil, nil
	}
	return s.askDisabled(entries)
}

// askDisabled asks the directory who is disabled, and who is not. Where the account may not read what the filter asks for, it is neither, for a filter that cannot be
// decided is not true, and neither is its opposite (RFC 4511 §4.5.1.7): to ask one question only would have everybody there enabled, or gone.
func (s *session) askDisabled(entries []*ldap.Entry) (map[string]bool, error) {
	disabled, err := s.namesOf("(&" + s.Filter + s.DisabledFilter + ")")
	if err != nil {
		return nil, err
	}
	enabled, err := s.namesOf("(&" + s.Filter + "(!" + s.DisabledFilter + "))")
	if err != nil {
		return nil, err
	}
	unknown, example := 0, ""
	for _, e := range entries {
		if key := keyOf(e.DN); enabled[key] {
			delete(disabled, key) // enabled between the two questions
		} else if !disabled[key] {
			unknown++
			example = e.DN
		}
	}
	if unknown > 0 {
		return nil, fmt.Errorf("the directory does not say of %d people whether they are disabled (%s), of %q for one: give this account the right to read what disabled_filter asks for, "+
			"or correct it, or leave it out where the directory does not know that attribute; if somebody left this very moment, try again", unknown, s.DisabledFilter, example)
	}
	return disabled, nil
}

// sitesOf returns for each entry the sites at which the rules put it, in their order.
func (s *session) sitesOf(entries []*ldap.Entry) ([][]string, error) {
	sites := make([][]string, len(entries))
	for _, rule := range s.Sites {
		applies, err := s.rule(rule)
		if err != nil {
			return nil, fmt.Errorf("site %q: %w", rule.Name, err)
		}
		for i, entry := range entries {
			if applies(entry) && !slices.Contains(sites[i], rule.Name) {
				sites[i] = append(sites[i], rule.Name)
			}
		}
	}
	return sites, nil
}

// rule returns what tells whether a site rule applies to an entry.
func (s *session) rule(r SiteRule) (func(*ldap.Entry) bool, error) {
	switch {
	case r.OU != "":
		return func(e *ldap.Entry) bool { return isBelowAny(e.DN, []string{r.OU}) }, nil
	case r.Attribute != "":
		return func(e *ldap.Entry) bool {
			return slices.ContainsFunc(e.GetEqualFoldAttributeValues(r.Attribute), func(have string) bool {
				return slices.ContainsFunc(r.Values, func(want string) bool { return strings.EqualFold(strings.TrimSpace(have), strings.TrimSpace(want)) })
			})
		}, nil
	}
	m, err := s.group(r.Group)
	if err != nil || m.filter == "" {
		return m.has, err
	}
	names, err := s.namesOf("(&" + s.Filter + m.filter + ")")
	return func(e *ldap.Entry) bool { return names[keyOf(e.DN)] || m.hasPrimary(e) }, err
}

// add takes a person into the result, unless they are to be left out.
func (s *session) add(p Person) {
	switch {
	case p.Values[foyer.Email] == "":
		s.result.WithoutEmail++
	case len(p.Sites) == 0 && s.WithoutSite == LeaveOut:
		s.result.WithoutSite++
	default:
		s.result.People = append(s.result.People, p)
	}
}

// sort orders the people, so that the same directory gives the same file.
func (r *Result) sort() {
	slices.SortFunc(r.People, func(a, b Person) int {
		return cmp.Or(cmp.Compare(a.Values[foyer.Email], b.Values[foyer.Email]), cmp.Compare(a.DN, b.DN))
	})
}

// Join makes one whole of what the directories hold, each read to its end: it turns the names of managers and assistants into emails, since a manager may be in
// another domain, and takes out the disabled accounts of people who have an enabled one in any of the directories: of two rows of one email the last would decide.
func Join(results ...*Result) {
	linkAll(results)
	enabled := map[match.Key]bool{}
	for _, r := range results {
		for _, p := range r.People {
			if p.Enabled != foyer.No {
				enabled[personKey(p)] = true
			}
		}
	}
	for _, r := range results {
		before := len(r.People)
		r.People = slices.DeleteFunc(r.People, func(p Person) bool { return p.Enabled == foyer.No && enabled[personKey(p)] })
		if gone := before - len(r.People); gone > 0 {
			r.Warnings = append(r.Warnings, fmt.Sprintf("%d disabled accounts have the email of an enabled one, here or in another directory, and were left out", gone))
		}
		r.Disabled = 0
		for _, p := range r.People {
			if p.Enabled == foyer.No {
				r.Disabled++
			}
		}
	}
}

// personKey returns by what the server knows a person (R1). An address that it will not read is its own key.
func personKey(p Person) match.Key {
	email := p.Values[foyer.Email]
	if key, err := match.Email(email); err == nil {
		return key
	}
	return match.Key(strings.ToLower(email))
}
