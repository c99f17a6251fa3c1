package entratest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
)

// batchRequest is one of a $batch.
type batchRequest struct {
	ID      string            `json:"id"`
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
}

// batchResponse is the answer to one.
type batchResponse struct {
	ID      string            `json:"id"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body,omitempty"`
}

// batch is $batch: up to 20 GETs, answered in the opposite order, each with its own status. Faults of Fail happen to each of them too.
func (f *Fake) batch(routes http.Handler) func(*call) *graphError {
	return func(c *call) *graphError {
		var body struct{ Requests []batchRequest }
		bad := &graphError{http.StatusBadRequest, "BadRequest", "Invalid batch payload format."}
		if err := json.NewDecoder(http.MaxBytesReader(c.w, c.Body, 4<<20)).Decode(&body); err != nil {
			return bad
		}
		if len(body.Requests) > 20 {
			return &graphError{http.StatusBadRequest, "MaximumValueExceeded", "Number of batch request steps exceeds the maximum value of 20."}
		}
		seen := map[string]bool{}
		responses := []batchResponse{}
		for _, step := range body.Requests {
			id := strings.ToLower(step.ID)
			if id == "" || seen[id] || step.URL == "" {
				return bad
			}
			seen[id] = true
			responses = append([]batchResponse{f.step(routes, c, step)}, responses...)
		}
		return c.reply(map[string]any{"responses": responses})
	}
}

func (f *Fake) step(routes http.Handler, c *call, step batchRequest) batchResponse {
	r, err := http.NewRequestWithContext(c.Context(), step.Method, f.Graph+"/v1.0/"+strings.TrimPrefix(step.URL, "/"), nil)
	if err != nil || step.Method != http.MethodGet {
		return batchResponse{ID: step.ID, Status: http.StatusMethodNotAllowed,
			Body: json.RawMessage(`{"error":{"code":"Request_BadRequest","message":"Specified HTTP method is not allowed for the request target."}}`)}
	}
	for name, value := range step.Headers {
		r.Header.Set(name, value)
	}
	r.Header.Set("Authorization", c.Header.Get("Authorization"))
	a := &answer{header: http.Header{}, status: http.StatusOK}
	if failure := f.fault(Graph, r); failure != nil && failure.Status != 0 {
		f.refuse(a, Graph, r, failure)
	} else {
		routes.ServeHTTP(a, r)
	}
	headers := map[string]string{}
	for name := range a.header {
		headers[name] = a.header.Get(name)
	}
	text := bytes.TrimSpace(a.Bytes())
	if !json.Valid(text) {
		text = []byte(quote(string(text)))
	}
	return batchResponse{step.ID, a.status, headers, text}
}
