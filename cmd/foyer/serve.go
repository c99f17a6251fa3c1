package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"foyer"
	"foyer/certs"
	"foyer/connect"
	"foyer/jobs"
	"foyer/notify"
	"foyer/server"
)

type serveCmd struct {
	Listen       string         `help:"Address and port to listen on." default:":8443" placeholder:"ADDR" env:"FOYER_LISTEN"`
	PublicURL    *url.URL       `help:"As clients reach the server; its name goes into the certificate." placeholder:"https://HOST" name:"public-url" env:"FOYER_PUBLIC_URL"`
	TLSCert      string         `help:"Certificate (PEM), the server's first, then what it was issued by. Otherwise one is made." placeholder:"FILE" name:"tls-cert" env:"FOYER_TLS_CERT"`
	TLSKey       string         `help:"Its private key (PEM)." placeholder:"FILE" name:"tls-key" env:"FOYER_TLS_KEY"`
	BehindProxy  string         `help:"Listen here without TLS besides, for a proxy on this machine: unix:/run/foyer.sock or 127.0.0.1:8080. Needs --trusted-proxy." placeholder:"ADDR" env:"FOYER_BEHIND_PROXY"`
	TrustedProxy []netip.Prefix `help:"Addresses of proxies whose X-Forwarded-For is believed; over a Unix socket the proxy is 127.0.0.1/32." placeholder:"CIDR" env:"FOYER_TRUSTED_PROXY"`
	SMTP         string         `help:"Mail server for alerts: smtps://USER@HOST:465, or smtp://USER@HOST:587 for STARTTLS; the password in FOYER_SMTP_PASSWORD. Otherwise alerts are listed and logged only." placeholder:"URL" name:"smtp" env:"FOYER_SMTP"`
	MailFrom     string         `help:"Sender of that mail; needed with --smtp." placeholder:"EMAIL" env:"FOYER_MAIL_FROM"`
	Uploads      int            `help:"Most uploads of one key in a minute." default:"120" placeholder:"N" env:"FOYER_UPLOADS"`
	UndoFor      string         `help:"How long runs can be undone; older changes are deleted." placeholder:"90d" default:"90d" env:"FOYER_UNDO_FOR"`
	Drain        time.Duration  `help:"How long /readyz says that the server shuts down before it takes no more requests, for a load balancer to look elsewhere." placeholder:"10s" default:"0s" env:"FOYER_DRAIN"`
}

// Run runs the server until it is interrupted; then it finishes what runs.
func (c *serveCmd) Run(a *app) error {
	o, err := a.openOrMake()
	if err != nil {
		return err
	}
	defer o.Close()
	defer o.authority.Close()
	runner, err := c.jobs(a, o)
	if err != nil {
		return err
	}
	i, err := a.start(o, c)
	if err != nil {
		return err
	}
	a.printf("Foyer listens on %s", i.url)
	a.explainTrust(i.certs)
	ctx, stop := context.WithCancel(a.ctx)
	var running sync.WaitGroup
	running.Go(func() { runner.Run(ctx) })
	running.Go(func() { i.connector.Run(ctx) })
	err = i.serve(ctx)
	stop()
	running.Wait()
	return err
}

// jobs returns what runs on a schedule besides.
func (c *serveCmd) jobs(a *app, o *opened) (*jobs.Runner, error) {
	keep, err := foyer.ParseDuration(c.UndoFor)
	if err == nil && keep < 7*24*time.Hour {
		err = foyer.Errorf(foyer.Invalid, "the guard counts over a week, so changes are kept at least 7d")
	}
	if err != nil {
		return nil, fmt.Errorf("--undo-for: %w", err)
	}
	settings := jobs.Config{Store: o.Store, Log: a.log, Keep: keep, Flush: o.authority.Flush}
	if c.SMTP != "" {
		mailer, err := notify.New(notify.Config{URL: c.SMTP, Password: os.Getenv("FOYER_SMTP_PASSWORD"), From: c.MailFrom})
		if err != nil {
			return nil, fmt.Errorf("--smtp, --mail-from: %w", err)
		}
		settings.Mailer = mailer
	}
	return jobs.New(settings), nil
}

// instance is a server that is ready to serve.
type instance struct {
	url       string
	certs     *certs.Store
	server    *server.Server
	connector *connect.Connector // reads tenants while it runs
	listeners []net.Listener
}

func (i *instance) serve(ctx context.Context) error { return i.server.Serve(ctx, i.listeners...) }

// start opens the listeners of a server. The caller must serve them.
func (a *app) start(o *opened, c *serveCmd) (*instance, error) {
	publicURL, hosts := "", []string{}
	if c.PublicURL != nil {
		if c.PublicURL.Scheme != "https" || c.PublicURL.Host == "" {
			return nil, fmt.Errorf("--public-url %q is no https address", c.PublicURL)
		}
		publicURL = c.PublicURL.String()
		hosts = append(hosts, c.PublicURL.Hostname())
	}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	certificates, err := certs.Load(certs.Config{Dir: filepath.Join(a.cli.Data, "tls"), CertFile: c.TLSCert, KeyFile: c.TLSKey, Hosts: hosts, Log: a.log})
	if err != nil {
		return nil, err
	}
	spool := filepath.Join(a.cli.Data, "spool")
	if err := os.MkdirAll(spool, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for uploads: %w", err)
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", c.Listen, err)
	}
	i := &instance{url: urlOf(l.Addr()), certs: certificates}
	i.connector = connect.New(connect.Config{Store: o.Store, PublicURL: publicURL, Key: o.vault.Key("connect visits"), SpoolDir: spool, Log: a.log})
	settings := server.Config{Store: o.Store, Authority: o.authority, Log: a.log, SpoolDir: spool, PublicURL: publicURL, TrustedProxies: c.TrustedProxy,
		Limits: server.Limits{Uploads: c.Uploads}, Drain: c.Drain}
	if publicURL != "" { // Microsoft has to know where to send browsers back to
		settings.Connect = i.connector
	}
	i.server = server.New(settings)
	i.listeners = []net.Listener{tls.NewListener(i.server.Limit(l), certificates.TLSConfig())}
	if c.BehindProxy != "" {
		plain, err := c.listenPlain()
		if err != nil {
			l.Close()
			return nil, err
		}
		i.listeners = append(i.listeners, i.server.Limit(plain))
	}
	return i, nil
}

// listenPlain listens without TLS where only this machine can connect.
func (c *serveCmd) listenPlain() (net.Listener, error) {
	if len(c.TrustedProxy) == 0 {
		return nil, fmt.Errorf("--behind-proxy needs --trusted-proxy: name the proxy, as 127.0.0.1/32")
	}
	if path, ok := strings.CutPrefix(c.BehindProxy, "unix:"); ok {
		os.Remove(path)
		return net.Listen("unix", path)
	}
	address, err := netip.ParseAddrPort(c.BehindProxy)
	if err != nil || !address.Addr().IsLoopback() {
		return nil, fmt.Errorf("--behind-proxy %q is neither unix:PATH nor a loopback address with a port: without TLS nothing may leave this machine", c.BehindProxy)
	}
	return net.Listen("tcp", c.BehindProxy)
}

// urlOf returns the address of a listener as one can type it on this machine.
func urlOf(address net.Addr) string {
	host, port, err := net.SplitHostPort(address.String())
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && (ip.IsUnspecified() || ip.IsLoopback())) {
		host = "localhost"
	}
	return "https://" + net.JoinHostPort(host, port)
}

// explainTrust says how clients come to trust a certificate that was made here.
func (a *app) explainTrust(certificates *certs.Store) {
	ca := certificates.CAFile()
	if ca == "" {
		return
	}
	a.printf("Its certificate was made here. Clients trust it once they trust %s:", ca)
	a.printf("  Windows:  Import-Certificate -FilePath ca.pem -CertStoreLocation Cert:\\LocalMachine\\Root")
	a.printf("  Debian:   cp ca.pem /usr/local/share/ca-certificates/foyer.crt && update-ca-certificates")
	a.printf("  curl:     curl --cacert %s …", ca)
	if sum, err := certs.CAFingerprint(filepath.Dir(ca)); err == nil {
		a.printf("  Whoever imports it compares its SHA-256: %s", sum)
	}
	a.printf("A certificate that clients trust already: --tls-cert FILE --tls-key FILE")
}
