package entratest

import (
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"net/http"
	"net/url"
	"time"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

func notClient(number int, format string, args ...any) *stsError {
	return refusal(http.StatusUnauthorized, "invalid_client", number, format, args...)
}

// authenticate checks the client's credentials: a secret or an assertion.
func (f *Fake) authenticate(app *App, tenant string, form url.Values) *stsError {
	switch {
	case form.Has("client_assertion"):
		if form.Get("client_assertion_type") != assertionType {
			return refusal(http.StatusBadRequest, "invalid_request", 900144, "The request body must contain the following parameter: 'client_assertion_type'.")
		}
		return f.checkAssertion(app, tenant, form.Get("client_assertion"))
	case form.Has("client_secret"):
		return f.checkSecret(app, form.Get("client_secret"))
	}
	return notClient(7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
}

func (f *Fake) checkSecret(app *App, given string) *stsError {
	for _, s := range app.Secrets {
		if subtle.ConstantTimeCompare([]byte(s.Text), []byte(given)) == 0 {
			continue
		}
		if !s.Ends.IsZero() && !f.clock().Before(s.Ends) {
			return notClient(7000222, "The provided client secret keys for app '%s' are expired. Visit the Azure portal to create new keys for your app: "+
				"https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds.", app.ID)
		}
		return nil
	}
	return notClient(7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, "+
		"for a secret added to app '%s'.", app.ID)
}

// checkAssertion checks a client's assertion as certificate-credentials asks for it, and takes each only once, which Microsoft does not say it does.
func (f *Fake) checkAssertion(app *App, tenant, assertion string) *stsError {
	t, err := parseToken(assertion)
	if err != nil || t.header["alg"] != "RS256" && t.header["alg"] != "PS256" {
		return refusal(http.StatusBadRequest, "invalid_request", 50027, "JWT token is invalid or malformed.")
	}
	certificate, thumbprint := app.certificate(t.header)
	badKey := func(reason string) *stsError {
		return notClient(700027, "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - %s, "+
			"Thumbprint of key used by client: '%s', Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id '%s'.]", reason, thumbprint, app.ID)
	}
	switch {
	case thumbprint == "":
		return refusal(http.StatusBadRequest, "invalid_request", 50027, "Invalid JWT token. No certificate thumbprint specified in token header.")
	case certificate == nil:
		return badKey("The key was not found.")
	case f.clock().After(certificate.NotAfter), f.clock().Before(certificate.NotBefore):
		return badKey("The key used is expired.")
	}
	key, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok || !t.signedBy(key) {
		return badKey("The provided signature value did not match the expected signature value.")
	}
	return f.checkClaims(app, tenant, t.claims)
}

func (f *Fake) checkClaims(app *App, tenant string, c claims) *stsError {
	now := f.clock()
	ends, timed := c.seconds("exp")
	begins, _ := c.seconds("nbf")
	id := app.ID + "\x00" + c.text("jti")
	const skew = 5 * time.Minute
	switch {
	case c.text("iss") != app.ID || c.text("sub") != app.ID:
		return notClient(700021, "Client assertion application identifier doesn't match 'client_id' parameter. Review the documentation at https://aka.ms/certificateCredentials.")
	case c.text("aud") != f.Authority+"/"+tenant+"/oauth2/v2.0/token":
		return notClient(700023, "Client assertion audience claim does not match Realm issuer. Review the documentation at https://aka.ms/certificateCredentials.")
	case !timed || now.Add(-skew).Unix() >= ends || now.Add(skew).Unix() < begins:
		return notClient(700024, "Client assertion is not within its valid time range. Current time: %s.", now.UTC().Format(time.RFC3339))
	case c.text("jti") == "" || f.spent[id]:
		return notClient(50027, "JWT token is invalid or malformed: it has no 'jti', or one that was used before.")
	}
	f.spent[id] = true
	return nil
}

// certificate returns the one that the header names by its thumbprint, and the thumbprint; "" if it names none, nil if the application has no such certificate.
func (a *App) certificate(header claims) (*x509.Certificate, string) {
	for _, c := range a.Certificates {
		sha1Sum, sha256Sum := sha1.Sum(c.Raw), sha256.Sum256(c.Raw)
		if header.text("x5t#S256") == encode(sha256Sum[:]) || header.text("x5t") == encode(sha1Sum[:]) {
			return c, header.text("x5t#S256") + header.text("x5t")
		}
	}
	return nil, header.text("x5t#S256") + header.text("x5t")
}
