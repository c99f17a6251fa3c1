package entratest

import (
	"reflect"
	"strings"
)

// User is an account of a tenant. An empty text is null.
type User struct {
	ID string // the object id, a GUID; "": made by Add

	UserPrincipalName, Mail, DisplayName, GivenName, Surname string
	JobTitle, Department, OfficeLocation, MobilePhone        string
	BusinessPhones                                           []string
	EmployeeID, EmployeeType, CompanyName, City, Country     string
	PreferredLanguage                                        string

	UserType string // "": Member
	Disabled bool   // accountEnabled is false
	Manager  string // the manager's id

	Role    Role
	SignsIn bool // the account picker lists it; it lists everybody with a Role too
}

// property is what the Graph tells of a user. get returns nil for null.
type property struct {
	name  string
	usual bool // comes without $select
	get   func(*User) any
}

// properties are all but id and manager.
var properties = [...]property{
	{"businessPhones", true, func(u *User) any { return append([]string{}, u.BusinessPhones...) }},
	{"displayName", true, func(u *User) any { return text(u.DisplayName) }},
	{"givenName", true, func(u *User) any { return text(u.GivenName) }},
	{"jobTitle", true, func(u *User) any { return text(u.JobTitle) }},
	{"mail", true, func(u *User) any { return text(u.Mail) }},
	{"mobilePhone", true, func(u *User) any { return text(u.MobilePhone) }},
	{"officeLocation", true, func(u *User) any { return text(u.OfficeLocation) }},
	{"preferredLanguage", true, func(u *User) any { return text(u.PreferredLanguage) }},
	{"surname", true, func(u *User) any { return text(u.Surname) }},
	{"userPrincipalName", true, func(u *User) any { return text(u.UserPrincipalName) }},
	{"accountEnabled", false, func(u *User) any { return !u.Disabled }},
	{"city", false, func(u *User) any { return text(u.City) }},
	{"companyName", false, func(u *User) any { return text(u.CompanyName) }},
	{"country", false, func(u *User) any { return text(u.Country) }},
	{"department", false, func(u *User) any { return text(u.Department) }},
	{"employeeId", false, func(u *User) any { return text(u.EmployeeID) }},
	{"employeeType", false, func(u *User) any { return text(u.EmployeeType) }},
	{"userType", false, func(u *User) any { return text(u.UserType) }},
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// presence is whether an account is there.
type presence uint8

const (
	alive       presence = iota
	softDeleted          // can be restored
	purged
)

// person is a User and when what of it changed, by the tenant's count of changes.
type person struct {
	User
	presence   presence
	moved      uint64                  // when it was added, removed or restored
	changed    [len(properties)]uint64 // 0: never set
	managed    uint64                  // when the manager changed
	forerunner string                  // the manager before
}

// Add adds an account, and returns it with what was filled in: the id, the user principal name, the display name.
func (t *Tenant) Add(u User) User {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	return t.add(u)
}

func (t *Tenant) add(u User) User {
	if u.ID == "" {
		u.ID = newID()
	}
	if u.UserPrincipalName == "" {
		u.UserPrincipalName = u.Mail
	}
	if u.UserPrincipalName == "" {
		u.UserPrincipalName = u.ID + "@" + t.domains[0].Name
	}
	if u.DisplayName == "" {
		u.DisplayName = strings.TrimSpace(u.GivenName + " " + u.Surname)
	}
	if u.DisplayName == "" {
		u.DisplayName, _, _ = strings.Cut(u.UserPrincipalName, "@")
	}
	if u.UserType == "" {
		u.UserType = "Member"
	}
	p := &person{}
	p.User.ID = u.ID
	t.people = append(t.people, p)
	t.byID[u.ID] = p
	p.moved = t.tick()
	p.become(u, p.moved)
	return u
}

// tick counts a change.
func (t *Tenant) tick() uint64 {
	t.seq++
	return t.seq
}

// become sets the account and notes what differs.
func (p *person) become(u User, at uint64) {
	for i, prop := range properties {
		before, after := prop.get(&p.User), prop.get(&u)
		if !reflect.DeepEqual(before, after) || p.changed[i] == 0 && after != nil {
			p.changed[i] = at
		}
	}
	if u.Manager != p.Manager {
		p.managed, p.forerunner = at, p.Manager
	}
	u.ID = p.ID
	p.User = u
}

// User returns the account with this id, also if it is deleted; the zero User if there is none.
func (t *Tenant) User(id string) User {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	if p := t.byID[id]; p != nil {
		return p.User
	}
	return User{}
}

// Users returns the accounts that are there, in the order they were added.
func (t *Tenant) Users() []User {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	var all []User
	for _, p := range t.people {
		if p.presence == alive {
			all = append(all, p.User)
		}
	}
	return all
}

// Update changes the account with this id; it panics if there is none.
func (t *Tenant) Update(id string, change func(*User)) {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	p := t.byID[id]
	u := p.User
	u.BusinessPhones = append([]string{}, u.BusinessPhones...)
	change(&u)
	p.become(u, t.tick())
}

// SoftDelete moves the account to the deleted ones, from where it can be restored for 30 days: @removed, "changed".
func (t *Tenant) SoftDelete(id string) { t.move(id, softDeleted) }

// Delete deletes the account for good: @removed, "deleted".
func (t *Tenant) Delete(id string) { t.move(id, purged) }

// Restore brings a deleted account back, as it was.
func (t *Tenant) Restore(id string) { t.move(id, alive) }

func (t *Tenant) move(id string, to presence) {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	p := t.byID[id]
	p.presence, p.moved = to, t.tick()
}
