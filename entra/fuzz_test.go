package entra

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// FuzzPage holds that whatever comes as a page is either refused or a page: with one link, and with items that say who, and nothing that was not asked for.
func FuzzPage(f *testing.F) {
	for _, seed := range []string{
		`{"value":[],"@odata.deltaLink":"d"}`,
		`{"value":[{"id":"a","mail":"a@b.c","jobTitle":null,"other":1}],"@odata.nextLink":"n"}`,
		`{"value":[{"id":"a","@removed":{"reason":"changed"}},{"id":"b","@removed":{"reason":"deleted"}},{"id":"c","@removed":null}],"@odata.nextLink":"n"}`,
		`{"value":[{"id":"a","manager@delta":[{"id":"m"}]},{"id":"b","manager@delta":[{"id":"m","@removed":{"reason":"deleted"}}]},{"id":"c","manager@delta":[]}],"@odata.deltaLink":"d"}`,
		`{"value":[{"id":"a","manager@delta":[{"id":"n"},{"id":"m","@removed":{}}]}],"@odata.deltaLink":"d"}`,
		`{"value":[{"id":""}],"@odata.deltaLink":"d"}`, `{"value":[null],"@odata.deltaLink":"d"}`, `{"value":null,"@odata.deltaLink":"d"}`, `{"value":[]}`,
		`{"value":[],"@odata.deltaLink":"d","@odata.nextLink":"n"}`, `{"value":[],"@odata.deltaLink":"d"}{}`, `{"value":{}}`, `[]`, `null`, ``, `{"value":[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := parseDelta(body)
		if err != nil {
			return
		}
		if (p.next == "") == (p.delta == "") {
			t.Errorf("the links are %q and %q", p.next, p.delta)
		}
		for _, item := range p.items {
			if item.ID == "" || (item.Attributes == nil) != (item.Removed != "") || item.Removed != "" && item.Manager != nil {
				t.Errorf("the item is %+v", item)
			}
			if item.Removed != "" && item.Removed != RemovedChanged && item.Removed != RemovedDeleted {
				t.Errorf("the reason is %q", item.Removed)
			}
			if len(item.Attributes) > len(attributes) {
				t.Errorf("there are %d attributes", len(item.Attributes))
			}
			for name, value := range item.Attributes {
				if !json.Valid(value) {
					t.Errorf("%s is %q", name, value)
				}
			}
		}
	})
}

// FuzzCheckLink holds that no link which is let pass leads a request to another host, or to one in plain.
func FuzzCheckLink(f *testing.F) {
	a := &App{graph: "https://graph.microsoft.com"}
	for _, seed := range []string{
		"https://graph.microsoft.com/v1.0/users/delta?$skiptoken=a", "https://GRAPH.microsoft.com:443/", "https://graph.microsoft.com:444/", "http://graph.microsoft.com/",
		"https://graph.microsoft.com@evil.example/", "https://evil.example/https://graph.microsoft.com/", "https://graph.microsoft.com.evil.example/", "https://graph.microsoft.com\\@evil.example/",
		"https://graph.microsoft.com%2eevil.example/", "https:graph.microsoft.com", "//graph.microsoft.com/", "https://graph.microsoft.com#@evil.example/", "https://[::1]/",
		"https://graph.microsoft.com:/", "https://graph.microsoft.com\t/", "HTTPS://graph.microsoft.com/", "https://graph.microsoft.com?@evil.example",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, link string) {
		if a.checkLink(link) != nil {
			return
		}
		r, err := http.NewRequest(http.MethodGet, link, nil)
		if err != nil {
			return
		}
		if r.URL.Scheme != "https" || !strings.EqualFold(r.URL.Hostname(), "graph.microsoft.com") || r.URL.Port() != "" && r.URL.Port() != "443" || r.URL.User != nil {
			t.Errorf("%q leads to %q", link, r.URL)
		}
	})
}

// FuzzJudge holds that no text of a callback comes out again but what looks like a code of Microsoft's.
func FuzzJudge(f *testing.F) {
	f.Add("access_denied", "AADSTS65004: User declined to consent.\r\nTrace ID: x")
	f.Add("<b>", "AADSTS1 AADSTS12345678901 AADSTS70008")
	f.Fuzz(func(t *testing.T, code, description string) {
		e := judge(code, description)
		if e.Code != "" && !safeCode.MatchString(e.Code) || e.Message == "" || e.Err != nil {
			t.Errorf("the error is %+v", e)
		}
	})
}
