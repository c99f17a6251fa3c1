package push

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// proxyFunc returns by which proxy a request goes: that of the settings, none, or that of the environment.
func (c *Config) proxyFunc() (func(*http.Request) (*url.URL, error), error) {
	switch c.Server.Proxy {
	case "none":
		return nil, nil
	case "":
		return c.environmentProxy()
	}
	proxy, err := parseProxy(c.Server.Proxy)
	if err != nil {
		return nil, failf(Misused, "[server] proxy is no address")
	}
	return http.ProxyURL(proxy), nil
}

// environmentProxy returns by which proxy a request goes as HTTPS_PROXY and NO_PROXY say. One that cannot be read is an error: it would be left aside in silence, or
// part of its password be taken for the host. The error does not repeat it.
func (c *Config) environmentProxy() (func(*http.Request) (*url.URL, error), error) {
	value := cmp.Or(c.getenv("HTTPS_PROXY"), c.getenv("https_proxy"))
	if value == "" {
		return nil, nil
	}
	proxy, err := parseProxy(value)
	if err != nil {
		return nil, failf(Misused, "HTTPS_PROXY of the environment is no address, such as http://user:password@proxy.example.com:3128; write special characters of the password as %%2F for /, %%25 for %%, %%23 for #, %%3F for ?")
	}
	find := (&httpproxy.Config{HTTPSProxy: proxy.String(), NoProxy: cmp.Or(c.getenv("NO_PROXY"), c.getenv("no_proxy"))}).ProxyFunc()
	return func(req *http.Request) (*url.URL, error) { return find(req.URL) }, nil
}

// plainHost is what a proxy's host may be: a name or an address.
var plainHost = regexp.MustCompile(`^[\pL\pN._:-]+$`)

// errNoProxy says that a text is no proxy's address, and not what it is.
var errNoProxy = errors.New("no address of a proxy")

// parseProxy reads the address of a proxy; http:// may be left out.
func parseProxy(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || !plainHost.MatchString(u.Hostname()) || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, errNoProxy
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return u, nil
	}
	return nil, errNoProxy
}
