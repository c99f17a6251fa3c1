package script_test

import (
	"net/url"
	"strconv"
	"time"

	"foyer/script"
)

// message is an HttpRequestMessage, its headers, or its content.
type message struct {
	w *windows
	*script.Request
	disposed bool
}

func (m *message) get(name string) (any, bool) {
	switch name {
	case "headers":
		return &headers{m, false}, true
	case "content":
		return &object{properties: map[string]any{"headers": &headers{m, true}}}, true
	}
	return nil, false
}

func (m *message) set(name string, v any) {
	m.w.check(name == "content", "the request's %s is set", name)
	made := v.(*content)
	m.Body, m.Type = made.body, made.kind
}

func (m *message) call(name string, _ []any) (any, bool) {
	m.disposed = true
	return nothing, name == "dispose"
}

// content is the content of a request.
type content struct {
	body []byte
	kind string
}

// headers are those of a message, or of its content.
type headers struct {
	of      *message
	content bool
}

func (h *headers) set(name string, v any) {
	h.of.w.check(name == "expectcontinue" && v == false, "the header %s is set to %v", name, v)
}

func (h *headers) call(name string, args []any) (any, bool) {
	if h.content {
		h.of.w.check(args[0] == "Content-Type", "the content's header %v", args[0])
		h.of.Type = text(args[1])
	} else {
		h.of.Header = append(h.of.Header, [2]string{text(args[0]), text(args[1])})
	}
	return nothing, name == "add"
}

// http is what the script uses of System.Net.Http.
func (w *windows) http(kind, name string, args []any) any {
	switch kind + "::" + name {
	case "system.net.http.httpmethod::post":
		return "POST"
	case "system.net.http.httpclienthandler::new":
		return &object{properties: map[string]any{}}
	case "system.net.http.httpclient::new":
		return w.client(args[0].(*object))
	case "system.net.http.httprequestmessage::new":
		return &message{w: w, Request: &script.Request{Method: text(args[0]), Address: text(args[1])}}
	case "system.net.http.formurlencodedcontent::new":
		return &content{[]byte(args[0].(*form).text()), "application/x-www-form-urlencoded"}
	case "system.net.http.bytearraycontent::new":
		return &content{args[0].([]byte), ""}
	}
	w.t.Fatalf("%s::%s is not known", kind, name)
	return nil
}

// form is a Dictionary[string, string], which keeps the order in which it was filled.
type form struct{ pairs [][2]string }

func (f *form) text() (out string) {
	for i, p := range f.pairs {
		if i > 0 {
			out += "&"
		}
		out += url.QueryEscape(p[0]) + "=" + url.QueryEscape(p[1])
	}
	return out
}

func (f *form) call(name string, args []any) (any, bool) {
	f.pairs = append(f.pairs, [2]string{text(args[0]), text(args[1])})
	return nothing, name == "add"
}

func init() {
	statics["system.collections.generic.dictionary[string,string]::new"] = func(*windows, []any) any { return &form{} }
}

// client is an HttpClient, which sends what it is given over the test's connection. What it must have been told before is checked.
func (w *windows) client(handler *object) any {
	p := handler.properties
	w.check(w.protocol == "Tls12", "TLS 1.2 was not pinned before the first call")
	w.check(p["allowautoredirect"] == false && p["usecookies"] == false, "the handler is %v", p)
	w.check(w.edition == script.Desktop || p["sslprotocols"] == "Tls12", "TLS 1.2 is not pinned in PowerShell 7: %v", p)
	for name := range p {
		switch name {
		case "allowautoredirect", "usecookies", "proxy":
		case "sslprotocols", "defaultproxycredentials":
			w.check(w.edition == script.Core, "the handler's %s is set, which .NET Framework before 4.7.1 does not have", name)
		default:
			w.t.Fatalf("the handler's %s is set", name)
		}
	}
	w.asked = p
	return &object{properties: map[string]any{}, methods: map[string]func([]any) any{
		"sendasync": func(a []any) any { return w.answer(a[0].(*message)) },
		"dispose":   func([]any) any { w.conn.Close(); return nothing },
	}}
}

// later is a task with that result.
func later(result func() any) any {
	awaiter := &object{methods: map[string]func([]any) any{"getresult": func([]any) any { return result() }}}
	return &object{methods: map[string]func([]any) any{"getawaiter": func([]any) any { return awaiter }}}
}

func (w *windows) answer(m *message) any {
	w.check(!m.disposed, "a request is sent twice")
	w.sent = append(w.sent, *m.Request)
	reply := w.conn.Send(*m.Request)
	return later(func() any {
		if reply.Status == 0 {
			panic(&thrown{reply.Body, 0})
		}
		return &object{properties: map[string]any{
			"statuscode": reply.Status,
			"headers":    &object{properties: map[string]any{"retryafter": retryAfter(reply.Header.Get("Retry-After")), "location": location(reply.Header.Get("Location"))}},
			"content": &object{methods: map[string]func([]any) any{
				"readasstringasync": func([]any) any { return later(func() any { return reply.Body }) }}},
		}}
	})
}

// location is a Uri, of which the script takes the text alone.
func location(value string) any {
	if value == "" {
		return nil
	}
	return value
}

// retryAfter is a RetryConditionHeaderValue.
func retryAfter(value string) any {
	if value == "" {
		return nil
	}
	made := map[string]any{"delta": nil, "date": nil}
	if seconds, err := strconv.Atoi(value); err == nil {
		made["delta"] = &object{properties: map[string]any{"totalseconds": float64(seconds)}}
	} else if date, err := time.Parse(time.RFC1123, value); err == nil {
		made["date"] = date
	}
	return &object{properties: made}
}
