package server

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"foyer"
	"foyer/csvfile"
)

// Limits bound what clients may cost. A zero means the default.
type Limits struct {
	Body        int64 // bytes of a file; 256 MiB
	CSV         csvfile.Limits
	Uploads     int           // of one key in a minute; 120
	Pages       int           // of one address (of IPv6: one network of 64 bits) in a minute, of which one that is dear counts as six; 240
	Stall       time.Duration // between two parts of a body, and until a reply is taken; 30 seconds
	Header      time.Duration // until the header of a request is there; 10 seconds
	Connections int           // at once; 10,000
	PerAddress  int           // of these from one address (of IPv6: one network of 64 bits), but for trusted proxies; 256
}

func (l Limits) orDefault() Limits {
	setDefault(&l.Body, 256<<20)
	setDefault(&l.Uploads, 120)
	setDefault(&l.Pages, 240)
	setDefault(&l.Stall, 30*time.Second)
	setDefault(&l.Header, 10*time.Second)
	setDefault(&l.Connections, 10_000)
	setDefault(&l.PerAddress, 256)
	return l
}

func setDefault[T ~int | ~int64](v *T, to T) {
	if *v <= 0 {
		*v = to
	}
}

// perMinute counts what each of some clients does within the minute.
type perMinute[K comparable] struct {
	mu     sync.Mutex
	minute int64
	counts map[K]int
}

// maxCounted is how many clients are counted; who comes beyond waits for the next minute.
const maxCounted = 100_000

// take counts what a client does, by what it costs, and returns how long it is to wait; 0 where it is within the limit.
func (p *perMinute[K]) take(client K, cost, limit int, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	minute := now.Unix() / 60
	if p.counts == nil || p.minute != minute {
		p.minute, p.counts = minute, map[K]int{}
	}
	if n, known := p.counts[client]; n+cost > limit || !known && len(p.counts) >= maxCounted {
		return time.Unix((minute+1)*60, 0).Sub(now)
	}
	p.counts[client] += cost
	return 0
}

// crowd bounds how many connections are open at once, in all and from one address: clients that connect and say nothing use up neither memory nor files of the
// server. A connection too many is closed at once.
type crowd struct {
	net.Listener
	limits Limits
	spared func(netip.Addr) bool // trusted proxies, of whom all connections come
	log    *slog.Logger

	mu     sync.Mutex
	open   int
	from   map[netip.Prefix]int
	warned time.Time
}

// Accept returns the next connection within the limits.
func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address := addressOf(conn)
		if c.enter(address) {
			return &visitor{Conn: conn, leave: func() { c.leave(address) }}, nil
		}
		conn.Close()
	}
}

// Limit bounds how many connections of a listener are open at once. It goes below TLS.
func (s *Server) Limit(l net.Listener) net.Listener {
	return &crowd{Listener: l, limits: s.Limits, spared: s.trusted, log: s.Log}
}

// addressOf returns the peer of a connection; the zero address over a Unix socket.
func addressOf(conn net.Conn) netip.Addr {
	peer, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap()
}

func (c *crowd) enter(address netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	spared, network := !address.IsValid() || c.spared(address), foyer.ClientNetwork(address)
	if c.open >= c.limits.Connections || !spared && c.from[network] >= c.limits.PerAddress {
		if now := time.Now(); now.Sub(c.warned) > time.Minute {
			c.warned = now
			c.log.LogAttrs(context.Background(), slog.LevelWarn, "connections are refused: too many are open", slog.String("from", address.String()), slog.Int("open", c.open))
		}
		return false
	}
	if c.from == nil {
		c.from = map[netip.Prefix]int{}
	}
	c.open++
	c.from[network]++
	return true
}

func (c *crowd) leave(address netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	network := foyer.ClientNetwork(address)
	if c.from[network]--; c.from[network] == 0 {
		delete(c.from, network)
	}
}

// visitor is a connection that is counted until it is closed.
type visitor struct {
	net.Conn
	once  sync.Once
	leave func()
}

// Close closes the connection.
func (v *visitor) Close() error {
	v.once.Do(v.leave)
	return v.Conn.Close()
}
