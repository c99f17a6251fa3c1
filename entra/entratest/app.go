package entratest

import (
	"crypto/x509"
	"time"
)

// Secret is a client secret.
type Secret struct {
	Text string
	Ends time.Time // the zero time: never
}

// App is an application registration, which every tenant may consent to. Secrets and certificates are told apart by what they are: an app may have several of each.
type App struct {
	ID           string // the client id, a GUID; "": made
	Name         string // as people see it when they consent; "": "Foyer"
	Secrets      []Secret
	Certificates []*x509.Certificate
	RedirectURIs []string // compared exactly
	Permissions  []string // application permissions of the Graph that it asks for; nil: User.Read.All
}

// Register registers the application, or replaces the registration with the same id, and returns it as it stands.
func (f *Fake) Register(a App) App {
	if a.ID == "" {
		a.ID = newID()
	}
	if a.Name == "" {
		a.Name = "Foyer"
	}
	if a.Permissions == nil {
		a.Permissions = []string{"User.Read.All"}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.apps[a.ID] = &a
	return a
}

// Unregister deletes the registration: no tenant knows the application from then on (AADSTS700016).
func (f *Fake) Unregister(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.apps, id)
	for _, t := range f.tenants {
		delete(t.principals, id)
	}
}

// EndTokens makes every access token that was given out end now.
func (f *Fake) EndTokens() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, g := range f.grants {
		g.ends = time.Time{}
	}
}
