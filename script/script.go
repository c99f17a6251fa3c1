// Package script does, request by request and byte for byte, what the PowerShell script of the document that Foyer implements does: it gets a
// token and uploads a file. The demonstration and the tests use it.
package script

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Script does what the seed's PowerShell script does: a token, then an upload, with the headers and the body that .NET's WebClient sends.
type Script struct {
	URL          string // https://localhost:8443
	ClientID     string
	ClientSecret string
	Client       *http.Client // trusts the server; see Trust
}

// Trust returns a client that trusts the certificate authority of that file, and waits as long as .NET does.
func Trust(caFile string) (*http.Client, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", caFile)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ExpectContinueTimeout: 350 * time.Millisecond}
	return &http.Client{Transport: transport, Timeout: 100 * time.Second}, nil
}

// Reply is what the server answered.
type Reply struct {
	Status int
	Header http.Header
	Body   string
}

// Line returns the first line of the body.
func (r *Reply) Line() string {
	line, _, _ := strings.Cut(r.Body, "\n")
	return line
}

// Do sends a request and reads the reply to its end.
func (s *Script) Do(req *http.Request) (*Reply, error) {
	resp, err := s.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return &Reply{resp.StatusCode, resp.Header, string(body)}, err
}

// Token gets a token as the script does: the form is put together without escaping anything.
func (s *Script) Token() (string, error) {
	form := "grant_type=client_credentials&client_id=" + s.ClientID + "&client_secret=" + s.ClientSecret
	req, err := http.NewRequest(http.MethodPost, s.URL+"/auth/connect/token", strings.NewReader(form))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	reply, err := s.Do(req)
	if err != nil {
		return "", err
	}
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if reply.Status != http.StatusOK {
		return "", fmt.Errorf("the token was refused: %d %s", reply.Status, reply.Body)
	}
	return token.AccessToken, json.Unmarshal([]byte(reply.Body), &token)
}

// boundary is one as WebClient makes them.
const boundary = "---------------------8df492f9c1cea88"

// Multipart returns the body that WebClient.UploadFile sends for a file, and its Content-Type.
func Multipart(fileName string, file []byte) (body []byte, contentType string) {
	var b bytes.Buffer
	b.WriteString("--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + fileName + "\"\r\n")
	b.WriteString("Content-Type: application/x-www-form-urlencoded\r\n\r\n")
	b.Write(file)
	b.WriteString("\r\n--" + boundary + "--\r\n")
	return b.Bytes(), "multipart/form-data; boundary=" + boundary
}

// Upload gets a token and sends a file as the script does. query is what stands behind the "?" of the URL, or nothing.
func (s *Script) Upload(file []byte, query url.Values) (*Reply, error) {
	token, err := s.Token()
	if err != nil {
		return nil, err
	}
	req, err := s.UploadRequest(token, file)
	if err != nil {
		return nil, err
	}
	req.URL.RawQuery = query.Encode()
	return s.Do(req)
}

// UploadRequest is the script's upload, ready to be changed and sent.
func (s *Script) UploadRequest(token string, file []byte) (*http.Request, error) {
	body, contentType := Multipart("adextract.csv", file)
	req, err := http.NewRequest(http.MethodPost, s.URL+"/addressbook/uploadcsv", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Expect", "100-continue")
	return req, nil
}
