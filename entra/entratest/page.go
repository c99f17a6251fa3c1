package entratest

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"slices"
)

//go:embed pages.html
var pages string

// field is a hidden one of a form.
type field struct{ Name, Value string }

// pickerPage is what the account picker shows.
type pickerPage struct {
	App      string
	Hidden   []field
	Accounts []User
	Problem  string
}

// consentPage is what the permission screens show.
type consentPage struct {
	App         string
	Hidden      []field
	Account     string
	Tenant      string // whose administrator is asked; "": the account alone
	Permissions []permission
	Description string // of the error
}

// permission is one that is asked for, in people's words.
type permission struct{ Name, Title string }

// titles puts permissions into the words of Microsoft's permissions reference.
func titles(names []string) []permission {
	words := map[string]string{"openid": "Sign you in", "profile": "View your basic profile", "email": "View your email address", "User.Read": "Sign in and read user profile",
		"offline_access": "Maintain access to data you have given it access to", "User.ReadBasic.All": "Read all users' basic profiles",
		"User.Read.All": "Read all users' full profiles", "GroupMember.Read.All": "Read all group memberships", "Group.Read.All": "Read all groups",
		"Directory.Read.All": "Read directory data", "Organization.Read.All": "Read organization information"}
	var all []permission
	for _, name := range names {
		title := words[name]
		if title == "" {
			title = name
		}
		all = append(all, permission{name, title})
	}
	return all
}

// hidden returns what the application asked for, and of what was chosen on pages before only what is named, to go on in a form.
func (v *visit) hidden(chosen ...string) []field {
	var fields []field
	for name, values := range v.form {
		if (name == "account" || name == "do") && !slices.Contains(chosen, name) {
			continue
		}
		fields = append(fields, field{name, values[0]})
	}
	slices.SortFunc(fields, func(a, b field) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return fields
}

// page makes a handler of what leads a visit on. Without a known application and one of its redirect URIs nothing leads back to anybody.
func (f *Fake) page(lead func(*visit) *outcome) http.HandlerFunc {
	shown := template.Must(template.New("").Parse(pages))
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodPost || r.ParseForm() != nil {
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		v := &visit{name: r.PathValue("tenant"), form: r.Form}
		out := f.enter(v)
		if out == nil {
			out = lead(v)
		}
		w.Header().Set("Cache-Control", "no-store, no-cache")
		w.Header().Set("X-Frame-Options", "DENY")
		w.Header().Set("Referrer-Policy", "strict-origin-when-cross-origin")
		if out.page == "" {
			f.leadBack(w, shown, v, out.redirect)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(max(out.status, http.StatusOK))
		shown.ExecuteTemplate(w, out.page, out.data)
	}
}

// enter finds the tenant and the application of a visit, or the page that says what is wrong with them.
func (f *Fake) enter(v *visit) *outcome {
	if v.tenant = f.tenant(v.name); v.tenant == nil && !anyTenant(v.name) {
		return f.trouble(v, noTenant(v.name))
	}
	if v.app = f.apps[v.form.Get("client_id")]; v.app == nil {
		return f.trouble(v, noApp(v.form.Get("client_id"), directory(v.tenant, v.name)))
	}
	if !slices.Contains(v.app.RedirectURIs, v.form.Get("redirect_uri")) {
		return f.trouble(v, refusal(http.StatusBadRequest, "", 50011, "The redirect URI '%s' specified in the request does not match the redirect URIs configured for the application '%s'. Make sure the redirect URI sent "+
			"in the request matches one added to your application in the Azure portal.", v.form.Get("redirect_uri"), v.app.ID))
	}
	return nil
}

// trouble is the page that ends a visit.
func (f *Fake) trouble(v *visit, e *stsError) *outcome {
	return &outcome{page: "trouble", status: http.StatusBadRequest, data: consentPage{Hidden: v.hidden(), Description: f.describe(e).Description}}
}

// leadBack brings the answer to the application, as response_mode says.
func (f *Fake) leadBack(w http.ResponseWriter, shown *template.Template, v *visit, answer url.Values) {
	if v.form.Has("state") {
		answer.Set("state", v.form.Get("state"))
	}
	target := v.form.Get("redirect_uri")
	if v.form.Get("response_mode") == "form_post" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		shown.ExecuteTemplate(w, "post", map[string]any{"Target": target, "Fields": (&visit{form: answer}).hidden("account", "do")})
		return
	}
	u, err := url.Parse(target)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	query := u.Query()
	for name, values := range answer {
		query[name] = values
	}
	u.RawQuery = query.Encode()
	w.Header().Set("Location", u.String())
	w.WriteHeader(http.StatusFound)
}
