package entratest

import (
	"maps"
	"slices"
	"strings"
)

// Domain is a domain of a tenant.
type Domain struct {
	Name       string
	Default    bool // new people get it
	Initial    bool // the one of onmicrosoft.com
	Unverified bool // the tenant says it is theirs and has not proved it: /organization does not list it
}

// Role is what an account may do in its tenant.
type Role string

// Who may consent to application permissions of the Graph, and one of those who may consent to everything else.
const (
	GlobalAdministrator           Role = "Global Administrator"
	PrivilegedRoleAdministrator   Role = "Privileged Role Administrator"
	CloudApplicationAdministrator Role = "Cloud Application Administrator" // not to application permissions of the Graph
)

// Tenant is a directory. Its methods may be called while the Fake answers.
type Tenant struct {
	ID   string // a GUID
	Name string

	fake         *Fake
	domains      []Domain
	people       []*person
	byID         map[string]*person
	groups       []*group
	principals   map[string]*principal // by client id
	blockConsent bool
	seq          uint64 // counts changes
	generation   int    // counts resets
	reset        Reset
}

// principal is an application within a tenant: the enterprise application.
type principal struct {
	roles  map[string]bool            // application permissions
	scopes map[string]map[string]bool // delegated permissions by the user's id; "" is everybody
}

// Tenant makes a tenant. The first domain is its default one; NAME.onmicrosoft.com is added, of the letters a to z and the digits of its name.
func (f *Fake) Tenant(name string, domains ...string) *Tenant {
	t := &Tenant{ID: newID(), Name: name, fake: f, byID: map[string]*person{}, principals: map[string]*principal{}, seq: 1}
	for i, domain := range domains {
		t.domains = append(t.domains, Domain{Name: domain, Default: i == 0})
	}
	initial := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' && r < 'a' || r > 'z' {
			return -1
		}
		return r
	}, strings.ToLower(name))
	t.domains = append(t.domains, Domain{Name: initial + ".onmicrosoft.com", Initial: true, Default: len(domains) == 0})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tenants = append(f.tenants, t)
	return t
}

// AddDomain adds a domain, or replaces the one of that name.
func (t *Tenant) AddDomain(d Domain) {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	t.domains = slices.DeleteFunc(t.domains, func(other Domain) bool { return other.Name == d.Name })
	t.domains = append(t.domains, d)
}

// BlockConsent makes an administrator's approval needed even for User.Read, as a tenant may set it (AADSTS90094).
func (t *Tenant) BlockConsent() {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	t.blockConsent = true
}

// Consent does what an administrator's consent does: it adds the application to the tenant with all application permissions that it asks for, or with those named.
func (t *Tenant) Consent(app App, permissions ...string) {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	if permissions == nil {
		permissions = app.Permissions
	}
	t.principal(app.ID).grant("", nil, permissions)
}

// Withdraw takes one application permission back. Access tokens that were given out keep it, as Microsoft's do: up to an hour, or until EndTokens.
func (t *Tenant) Withdraw(app App, permission string) {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	delete(t.principal(app.ID).roles, permission)
}

// Remove removes the enterprise application: the tenant does not know it any more (AADSTS700016). Access tokens end as with Withdraw.
func (t *Tenant) Remove(app App) {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	delete(t.principals, app.ID)
}

// Permissions returns the application permissions that the tenant has consented to, sorted; nil if it does not know the application.
func (t *Tenant) Permissions(app App) []string {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	if t.principals[app.ID] == nil {
		return nil
	}
	return t.principals[app.ID].permissions()
}

func (p *principal) permissions() []string {
	return append([]string{}, slices.Sorted(maps.Keys(p.roles))...)
}

// principal returns the application within the tenant, and adds it if it is not there.
func (t *Tenant) principal(id string) *principal {
	if t.principals[id] == nil {
		t.principals[id] = &principal{roles: map[string]bool{}, scopes: map[string]map[string]bool{}}
	}
	return t.principals[id]
}

// grant notes what somebody has consented to, for himself or ("") for everybody.
func (p *principal) grant(user string, scopes, roles []string) {
	for _, r := range roles {
		p.roles[r] = true
	}
	if p.scopes[user] == nil {
		p.scopes[user] = map[string]bool{}
	}
	for _, s := range scopes {
		p.scopes[user][s] = true
	}
}

// lacks returns which of the scopes nobody has consented to for the user. p may be nil.
func (p *principal) lacks(user string, scopes []string) []string {
	if p == nil {
		return scopes
	}
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return p.scopes[""][s] || p.scopes[user][s] })
}

// tenant finds a tenant by what stands in a path: its id or one of its verified domains.
func (f *Fake) tenant(name string) *Tenant {
	for _, t := range f.tenants {
		if strings.EqualFold(t.ID, name) || slices.ContainsFunc(t.domains, func(d Domain) bool { return !d.Unverified && strings.EqualFold(d.Name, name) }) {
			return t
		}
	}
	return nil
}

// anyTenant tells whether the name in a path leaves open which tenant it is.
func anyTenant(name string) bool { return name == "organizations" || name == "common" }
