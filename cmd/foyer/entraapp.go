package main

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"foyer"
	"foyer/connect"
	"foyer/entra"
	"foyer/store"
)

type entraAppCmd struct {
	ClientID    string   `help:"The application's (client) id, as Microsoft gave it." placeholder:"ID"`
	SecretFile  string   `help:"Use the client secret in this file; a certificate is better, since it never leaves this machine." type:"existingfile" placeholder:"FILE" xor:"credential"`
	Expires     string   `help:"With --secret-file: the day on which the secret ends." placeholder:"2027-11-25"`
	Certificate string   `help:"Make a certificate, and write what has to be registered at Microsoft into this file, which must not exist." type:"path" placeholder:"FILE" xor:"credential"`
	Use         int      `help:"Present this credential from now on: it is registered at Microsoft." placeholder:"NUMBER" xor:"credential"`
	Drop        int      `help:"Forget this credential." placeholder:"NUMBER" xor:"credential"`
	Authority   *url.URL `help:"Where Microsoft signs people in; only for national clouds." placeholder:"https://login.microsoftonline.com"`
	Graph       *url.URL `help:"Microsoft Graph; only for national clouds." placeholder:"https://graph.microsoft.com"`
	PublicURL   *url.URL `help:"The server as browsers reach it." placeholder:"https://HOST" name:"public-url" env:"FOYER_PUBLIC_URL"`
}

// certificateLife is how long a certificate of the application is good: two years, as long as Microsoft takes secrets.
const certificateLife = 2 * 365 * 24 * time.Hour

type credentialJSON struct {
	Number     int     `json:"number"`
	Kind       string  `json:"kind"`
	Thumbprint string  `json:"thumbprint,omitempty"`
	InUse      bool    `json:"in_use"`
	CreatedAt  *string `json:"created_at"`
	ExpiresAt  *string `json:"expires_at"`
}

type entraAppJSON struct {
	ClientID     string           `json:"client_id"`
	Authority    string           `json:"authority,omitempty"`
	Graph        string           `json:"graph,omitempty"`
	Credentials  []credentialJSON `json:"credentials"`
	RedirectURIs []string         `json:"redirect_uris,omitempty"`
	Manifest     map[string]any   `json:"manifest"`
}

// Run changes the application as the flags say, and shows it.
func (c *entraAppCmd) Run(a *app) error {
	if err := c.check(); err != nil {
		return err
	}
	if !c.changes() && a.cli.Database == "" && a.installed() != nil { // to be told how it is done makes no installation
		if a.cli.JSON {
			return a.json(c.out(store.EntraApp{}))
		}
		c.explain(a, store.EntraApp{})
		return nil
	}
	o, err := a.openOrMake()
	if err != nil {
		return err
	}
	defer o.Close()
	defer o.authority.Close()
	if c.changes() {
		if err := o.SetEntraApp(a.ctx, o.operator, func(app *store.EntraApp) error { return c.edit(app, o.Now()) }); err != nil {
			return err
		}
	}
	app, err := o.EntraApp(a.ctx, o.operator)
	if err != nil && foyer.KindOf(err) != foyer.NotFound {
		return err
	}
	if a.cli.JSON {
		return a.json(c.out(app))
	}
	c.print(a, app, o.Now())
	return nil
}

var applicationID = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

func (c *entraAppCmd) changes() bool {
	return c.ClientID != "" || c.SecretFile != "" || c.Certificate != "" || c.Use != 0 || c.Drop != 0 || c.Authority != nil || c.Graph != nil
}

func (c *entraAppCmd) check() error {
	for flag, address := range map[string]*url.URL{"authority": c.Authority, "graph": c.Graph, "public-url": c.PublicURL} {
		if address != nil && (address.Scheme != "https" || address.Host == "") {
			return fmt.Errorf("--%s %q is no https address", flag, address)
		}
	}
	if id := strings.TrimSpace(c.ClientID); id != "" && !applicationID.MatchString(id) {
		return fmt.Errorf("--client-id %q is no id of an application; Microsoft shows it as Application (client) ID: 11111111-2222-3333-4444-555555555555", id)
	}
	if (c.SecretFile == "") != (c.Expires == "") {
		return errors.New("--secret-file and --expires go together: Microsoft says on which day the secret ends, and before that day an alert says so")
	}
	return nil
}

// edit changes the application as the flags say.
func (c *entraAppCmd) edit(app *store.EntraApp, now time.Time) error {
	if c.ClientID != "" {
		app.ClientID = strings.TrimSpace(c.ClientID)
	}
	for flag, to := range map[*url.URL]*string{c.Authority: &app.Authority, c.Graph: &app.Graph} {
		if flag != nil {
			*to = strings.TrimSuffix(flag.String(), "/")
		}
	}
	switch {
	case c.SecretFile != "":
		return c.addSecret(app, now)
	case c.Certificate != "":
		return c.addCertificate(app, now)
	case c.Use == 0 && c.Drop == 0:
		return nil
	}
	at := slices.IndexFunc(app.Credentials, func(x store.EntraCredential) bool { return x.Number == c.Use+c.Drop })
	if at < 0 {
		return foyer.Errorf(foyer.NotFound, "there is no credential %d; foyer entra app shows them", c.Use+c.Drop)
	}
	if c.Use != 0 {
		app.Credentials[at].InUse = true
		return nil
	}
	others := slices.Delete(slices.Clone(app.Credentials), at, at+1)
	if _, err := connect.Credential(store.EntraApp{Credentials: others}, now); err != nil {
		return foyer.Errorf(foyer.Conflict, "without the credential %d no tenant could be read: make another one, register it, and use it first", c.Drop)
	}
	app.Credentials = others
	return nil
}

func (c *entraAppCmd) addSecret(app *store.EntraApp, now time.Time) error {
	text, err := os.ReadFile(c.SecretFile)
	if err != nil {
		return err
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" || len(secret) > 500 || strings.ContainsAny(secret, "\r\n") {
		return fmt.Errorf("%s holds no secret: it is one line, as Microsoft shows it once", c.SecretFile)
	}
	ends, err := time.Parse(time.DateOnly, c.Expires)
	if err != nil || !ends.After(now) {
		return fmt.Errorf("--expires %q is no day to come; write it as 2027-11-25", c.Expires)
	}
	app.Credentials = append(app.Credentials, store.EntraCredential{Number: nextNumber(app), Secret: secret, CreatedAt: now, ExpiresAt: ends, InUse: true})
	return nil
}

// addCertificate makes a certificate. The first one is in use at once; a further one once it is registered.
func (c *entraAppCmd) addCertificate(app *store.EntraApp, now time.Time) error {
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "Foyer"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(c.Certificate, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if err := errors.Join(pem.Encode(file, &pem.Block{Type: "CERTIFICATE", Bytes: der}), file.Close()); err != nil {
		return err
	}
	app.Credentials = append(app.Credentials, store.EntraCredential{Number: nextNumber(app), Certificate: der, Key: private, CreatedAt: now, ExpiresAt: template.NotAfter,
		InUse: len(app.Credentials) == 0})
	return nil
}

func nextNumber(app *store.EntraApp) int {
	n := 0
	for _, x := range app.Credentials {
		n = max(n, x.Number)
	}
	return n + 1
}

// What Microsoft calls the permissions that the application asks for.
const (
	graphID         = "00000003-0000-0000-c000-000000000000"
	userRead        = "e1fe6dd8-ba31-4d61-89e7-88639da4683d" // delegated: who signs in, and their tenant's name and domains
	userReadAll     = "df021288-bdef-4463-88db-98f22de89214" // application
	groupMemberRead = "98830695-27a2-4c18-8c18-0c3ebc9698f6" // application: who is in which group
)

// manifest returns what is registered at Microsoft, in its words.
func (c *entraAppCmd) manifest() map[string]any {
	type access = map[string]string
	m := map[string]any{
		"displayName": "Foyer", "signInAudience": "AzureADMultipleOrgs",
		"requiredResourceAccess": []any{map[string]any{"resourceAppId": graphID, "resourceAccess": []access{
			{"id": userRead, "type": "Scope"}, {"id": userReadAll, "type": "Role"}, {"id": groupMemberRead, "type": "Role"}}}},
	}
	if c.PublicURL != nil {
		m["web"] = map[string]any{"redirectUris": connect.RedirectURIs(c.PublicURL.String())}
	}
	return m
}

func (c *entraAppCmd) out(app store.EntraApp) entraAppJSON {
	out := entraAppJSON{ClientID: app.ClientID, Authority: app.Authority, Graph: app.Graph, Credentials: []credentialJSON{}, Manifest: c.manifest()}
	if c.PublicURL != nil {
		out.RedirectURIs = connect.RedirectURIs(c.PublicURL.String())
	}
	for _, x := range app.Credentials {
		out.Credentials = append(out.Credentials, credentialJSON{x.Number, kindOf(x), thumbprint(x), x.InUse, stamp(x.CreatedAt), stamp(x.ExpiresAt)})
	}
	return out
}

func kindOf(x store.EntraCredential) string {
	if x.Secret != "" {
		return "secret"
	}
	return "certificate"
}

// thumbprint is what Microsoft's pages show of a certificate.
func thumbprint(x store.EntraCredential) string {
	if x.Secret != "" {
		return ""
	}
	sum := sha1.Sum(x.Certificate)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func (c *entraAppCmd) print(a *app, app store.EntraApp, now time.Time) {
	if app.ClientID == "" || len(app.Credentials) == 0 {
		c.explain(a, app)
		return
	}
	a.printf("application %s", app.ClientID)
	if app.Authority != "" || app.Graph != "" {
		a.printf("  signs people in at %s, reads %s", cmp.Or(app.Authority, entra.DefaultAuthority), cmp.Or(app.Graph, entra.DefaultGraph))
	}
	for _, x := range app.Credentials {
		state := "in use"
		if !x.InUse {
			state = fmt.Sprintf("waits: register it at Microsoft, then: foyer entra app --use %d", x.Number)
		}
		if !x.ExpiresAt.After(now) {
			state = "ended"
		}
		a.printf("  %d  %s %s until %s  %s", x.Number, kindOf(x), thumbprint(x), when(x.ExpiresAt), state)
	}
	if c.Certificate != "" {
		a.printf("\nUpload %s at entra.microsoft.com: App registrations, the application, Certificates & secrets, Certificates. Its key stays here, sealed.", c.Certificate)
	}
	a.printf("\nA customer connects a tenant by a link: foyer entra link --org ORG --domain DOMAIN")
}

// explain says how the application is set up.
func (c *entraAppCmd) explain(a *app, app store.EntraApp) {
	where := "https://YOUR-HOST"
	if c.PublicURL != nil {
		where = strings.TrimSuffix(c.PublicURL.String(), "/")
	}
	a.printf("Customers let Foyer read their tenants through one application, which you register at Microsoft once:")
	a.printf("\n1. entra.microsoft.com, App registrations, New registration. Name: what customers shall see, as Foyer of YOUR COMPANY. Accounts: in any organizational directory.")
	a.printf("   Redirect URIs, of the platform Web:")
	for _, address := range connect.RedirectURIs(where) {
		a.printf("     %s", address)
	}
	a.printf("2. API permissions, Microsoft Graph: delegated User.Read; application User.Read.All; application GroupMember.Read.All, if groups shall say who is at which site.")
	a.printf("   Nothing that writes. Or paste this into Manifest:")
	text, _ := json.MarshalIndent(c.manifest(), "     ", "  ")
	a.printf("     %s", text)
	a.printf("3. Its Application (client) ID, and a certificate whose key never leaves this machine:")
	if app.ClientID != "" {
		a.printf("     foyer entra app --certificate foyer-entra.pem")
	} else {
		a.printf("     foyer entra app --client-id ID --certificate foyer-entra.pem")
	}
	a.printf("   then upload foyer-entra.pem under Certificates & secrets, Certificates.")
}
