// Package entratest is a Microsoft that tests can break: the identity platform (sign-in, consent, tokens) and the Graph (users, groups, changes), each on a
// TLS listener of its own. It answers as Microsoft's documents say, and where they leave a choice a test makes it (Habits), or a fault (Failure).
//
//	f := entratest.Start(t)
//	app := f.Register(entratest.App{Secrets: []entratest.Secret{{Text: "s3cret"}}, RedirectURIs: []string{callback}})
//	acme := f.Tenant("Acme", "acme.com")
//	ann := acme.Add(entratest.User{Mail: "ann@acme.com", Role: entratest.GlobalAdministrator})
//	request, err := f.Walk(ctx, authorizeURL, entratest.Walk{Account: ann})   // what the browser brings to the callback
//
// From entra-docs: v2-oauth2-auth-code-flow, v2-oauth2-client-creds-grant-flow, v2-admin-consent, certificate-credentials, id-token-claims-reference,
// reference-error-codes. From microsoft-graph-docs-contrib: delta-query-overview, user-delta, group-list-transitivemembers, aad-advanced-queries, json-batching,
// throttling, errors. Stricter than Microsoft: an assertion is taken once, PKCE is S256, and users/delta refuses $top where Microsoft passes over it. Missing:
// passwords, MFA, refresh tokens, personal accounts, implicit grants, writing through the Graph. It does not import testing, so a program may carry it.
package entratest
