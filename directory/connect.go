package directory

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"foyer/trust"
)

// session is a connection to a directory, bound.
type session struct {
	Config
	Options
	ctx     context.Context
	conn    *ldap.Conn
	url     string
	groups  map[string]*membership
	people  map[string]*ldap.Entry // those found, by the keys of their names
	unseen  int                    // members of groups that are gone or hidden
	undated int                    // accounts that do not show whether they have expired
	holds   []string               // the trees that the server holds; nil until contexts asks
	result  *Result
}

// connect connects to the first of the directory's servers that answers, and binds. c has its defaults. The session ends with ctx.
func connect(ctx context.Context, c Config, o Options) (*session, error) {
	config, err := trust.Config(c.CAFile)
	if err != nil {
		return nil, err
	}
	if o.Password == "" {
		return nil, fmt.Errorf("the password of %s is empty: a directory would take that for nobody in particular", c.BindDN)
	}
	var failures []error
	for _, address := range c.URLs {
		conn, err := dial(ctx, address, config, time.Duration(c.Timeout))
		if err != nil {
			failures = append(failures, err)
			continue
		}
		s := &session{Config: c, Options: o, ctx: ctx, conn: conn, url: address, groups: map[string]*membership{}, people: map[string]*ldap.Entry{},
			result: &Result{Filled: map[string]int{}}}
		if err := conn.Bind(c.BindDN, o.Password); err != nil {
			conn.Close()
			if ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
				return nil, fmt.Errorf("%s: %w", address, explainBind(c.BindDN, err)) // trying it elsewhere would lock the account
			}
			failures = append(failures, fmt.Errorf("%s: bind as %s: %w", address, c.BindDN, explain(err)))
			continue
		}
		return s, nil
	}
	return nil, errors.Join(failures...)
}

// dial connects over TLS: at once for ldaps, else by StartTLS. Once ctx is done, the connection ends.
func dial(ctx context.Context, address string, config *tls.Config, timeout time.Duration) (*ldap.Conn, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ldaps": "636", "ldap": "389"}[u.Scheme]
	}
	config = config.Clone()
	config.ServerName = u.Hostname()
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(within, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w; is the name right, and may this machine reach port %s?", address, err, port)
	}
	stop := context.AfterFunc(within, func() { raw.Close() }) // until TLS is spoken
	conn, err := secure(within, raw, u.Scheme, config)
	if !stop() || err != nil {
		raw.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if within.Err() != nil {
			err = fmt.Errorf("no answer within %v; is it a directory that listens there, and does a firewall between let it answer? (timeout)", timeout)
		}
		if why := trust.Explain(err); why != "" {
			err = fmt.Errorf("%w; %s", err, why)
		} else if strings.HasSuffix(err.Error(), "EOF") {
			err = fmt.Errorf("%w: the directory hung up; does it speak %s at port %s? Usual are 389 for ldap, which has StartTLS, and 636 for ldaps", err, u.Scheme, port)
		}
		return nil, fmt.Errorf("TLS with %s: %w", address, err)
	}
	conn.SetTimeout(timeout)
	context.AfterFunc(ctx, func() { conn.Close() })
	return conn, nil
}

// secure speaks TLS on a connection and returns it as one of LDAP.
func secure(ctx context.Context, raw net.Conn, scheme string, config *tls.Config) (*ldap.Conn, error) {
	if scheme == "ldaps" {
		over := tls.Client(raw, config)
		if err := over.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn := ldap.NewConn(over, true)
		conn.Start()
		return conn, nil
	}
	conn := ldap.NewConn(raw, false)
	conn.Start()
	if err := conn.StartTLS(config); err != nil {
		return nil, explain(err)
	}
	return conn, nil
}

// bindCodes are what Active Directory says in the text of a refused bind, in hexadecimal.
var bindCodes = map[string]string{
	"525": "there is no such account", "52e": "the password is wrong, or there is no such account", "530": "the account may not log on at this time",
	"531": "the account may not log on from this machine", "532": "the password of the account has expired", "533": "the account is disabled",
	"701": "the account has expired", "773": "the password of the account must be changed first", "775": "the account is locked out",
}

// explainBind says why a directory refused who reads.
func explainBind(who string, err error) error {
	for code, why := range bindCodes {
		if strings.Contains(err.Error(), "data "+code) {
			return fmt.Errorf("the directory refuses %s: %s", who, why)
		}
	}
	return fmt.Errorf("the directory refuses %s: the name or the password is wrong; check bind_dn, and password_file or password_env", who)
}

// explain adds to an error of the directory's what it means and what to do.
func explain(err error) error {
	var why string
	failed, ok := errors.AsType[*ldap.Error](err)
	if !ok {
		return err
	}
	switch failed.ResultCode {
	case ldap.LDAPResultSizeLimitExceeded, ldap.LDAPResultAdminLimitExceeded:
		why = "the directory gives this account no more entries than a limit of its own: set page_size below it, or have the limit raised for this account; OpenLDAP counts all pages together, until size.prtotal is set"
	case ldap.LDAPResultTimeLimitExceeded:
		why = "the directory gave up: make the filter simpler, or have its time limit raised for this account"
	case ldap.LDAPResultNoSuchObject:
		why = "there is no such entry, or this account may not see it"
	case ldap.LDAPResultReferral:
		why = "that part of the tree is in another directory: make it a [[directory]] of its own"
	case ldap.LDAPResultInsufficientAccessRights:
		why = "the account may not read this: give it the right to"
	case ldap.LDAPResultConfidentialityRequired, ldap.LDAPResultStrongAuthRequired:
		why = "the directory wants more protection than it was offered"
	case ldap.LDAPResultUnavailableCriticalExtension, ldap.LDAPResultProtocolError:
		why = "the directory does not do what it was asked: does it offer StartTLS and simple paged results?"
	case ldap.LDAPResultBusy, ldap.LDAPResultUnavailable:
		why = "the directory is not available now"
	case ldap.ErrorNetwork:
		if strings.Contains(failed.Error(), "timed out") {
			why = "there was no answer in time: the directory is too busy, or something between keeps it from answering; otherwise raise timeout"
			break
		}
		why = "the connection ended before the answer was complete"
	default:
		return err
	}
	if err == error(failed) && failed.Err != nil && failed.Err.Error() == "" { // most directories add nothing to the code
		return &ldap.Error{Err: errors.New(why), ResultCode: failed.ResultCode, MatchedDN: failed.MatchedDN, Packet: failed.Packet}
	}
	return fmt.Errorf("%w; %s", err, why)
}

// Probe is what a directory says about itself.
type Probe struct {
	URL    string
	TLS    string    // version, cipher and certificate, in words
	Vendor string    // as it calls itself; Active Directory where it is one
	Kind   string    // ActiveDirectory or OpenLDAP, judging by what it says
	Paging bool      // it offers simple paged results (RFC 2696)
	Clock  time.Time // its time; zero where it does not say
}

// Look connects to a directory as Read does, binds, and asks what it is.
func Look(ctx context.Context, c Config, o Options) (*Probe, error) {
	c, err := c.WithDefaults()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the connection
	s, err := connect(ctx, c, o)
	if err != nil {
		return nil, err
	}
	p := &Probe{URL: s.url, Kind: OpenLDAP, Vendor: "a directory that does not say what it is"}
	if state, ok := s.conn.TLSConnectionState(); ok {
		p.TLS = trust.Describe(&state)
	}
	root, err := s.read("", "vendorName", "vendorVersion", "supportedControl", "supportedCapabilities", "currentTime", "objectClass")
	if err != nil || root == nil {
		return p, err
	}
	p.Paging = slices.Contains(root.GetAttributeValues("supportedControl"), ldap.ControlTypePaging)
	switch {
	case slices.Contains(root.GetEqualFoldAttributeValues("supportedCapabilities"), "1.2.840.113556.1.4.800"):
		p.Kind, p.Vendor = ActiveDirectory, "Active Directory"
	case root.GetEqualFoldAttributeValue("vendorName") != "":
		p.Vendor = root.GetEqualFoldAttributeValue("vendorName")
	case slices.Contains(root.GetEqualFoldAttributeValues("objectClass"), "OpenLDAProotDSE"):
		p.Vendor = "OpenLDAP"
	}
	if clock, err := time.Parse("20060102150405.0Z", root.GetEqualFoldAttributeValue("currentTime")); err == nil {
		p.Clock = clock
	}
	return p, nil
}
