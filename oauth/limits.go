package oauth

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"foyer"
	"foyer/store"
)

// What is remembered of failures and of tokens is bounded, whoever asks: by the minute, and in number.
const (
	maxRevocations = 120     // of tokens of one client id in a minute
	maxFailures    = 20      // of one client id from one address in a minute; more are told to wait
	maxRemember    = 100_000 // pairs of client id and address in a minute; beyond, all others share one count
	maxAddresses   = 50      // of one key in a minute, for the counts; beyond, they are "others"
)

// failures counts failures, or acts, by client id and address, within the minute. Only failures count, and only further failures are told to wait: a flood with a
// known id locks nobody out.
type failures struct {
	mu     sync.Mutex
	minute int64
	counts map[failure]int
}

type failure struct {
	id   string
	from netip.Prefix
}

// add counts a failure and returns how long its sender is to wait; 0 where it is within the limit.
func (f *failures) add(id string, from netip.Addr, now time.Time, limit int) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	minute := now.Unix() / 60
	if f.counts == nil || f.minute != minute {
		f.minute, f.counts = minute, map[failure]int{}
	}
	key := failure{id[:min(len(id), 64)], foyer.ClientNetwork(from)}
	if _, met := f.counts[key]; !met && len(f.counts) >= maxRemember {
		key = failure{}
	}
	f.counts[key]++
	if f.counts[key] <= limit {
		return 0
	}
	return time.Unix((minute+1)*60, 0).Sub(now)
}

// counts counts tokens issued and refused by key, address and minute, until they are written.
type counts struct {
	mu        sync.Mutex
	pending   map[counted]*store.TokenCount
	addresses map[counted]int // by key and minute
}

type counted struct {
	org     foyer.OrgID
	key     foyer.KeyID
	minute  int64
	address string
}

func (c *counts) add(org foyer.OrgID, key foyer.KeyID, from netip.Addr, now time.Time, issued bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending == nil {
		c.pending, c.addresses = map[counted]*store.TokenCount{}, map[counted]int{}
	}
	all := counted{org: org, key: key, minute: now.Unix() / 60}
	one := all
	one.address = from.Unmap().WithZone("").String()
	if c.pending[one] == nil && c.addresses[all] >= maxAddresses {
		one.address = "others"
	}
	if c.pending[one] == nil {
		c.addresses[all]++
		c.pending[one] = &store.TokenCount{Org: org, Key: key, Minute: time.Unix(one.minute*60, 0), Address: one.address}
	}
	if issued {
		c.pending[one].Issued++
	} else {
		c.pending[one].Refused++
	}
}

// Flush writes the counts of tokens issued and refused since it was called last. What cannot be written is counted on.
func (a *Authority) Flush(ctx context.Context) error {
	a.counts.mu.Lock()
	pending := a.counts.pending
	a.counts.pending, a.counts.addresses = nil, nil
	a.counts.mu.Unlock()
	if len(pending) == 0 {
		return nil
	}
	lists := map[foyer.OrgID][]store.TokenCount{}
	for _, count := range pending {
		lists[count.Org] = append(lists[count.Org], *count)
	}
	var errs []error
	for org, list := range lists {
		slices.SortFunc(list, func(a, b store.TokenCount) int { // two servers that count the same wait for each other, and not in a ring
			return cmp.Or(cmp.Compare(a.Key, b.Key), a.Minute.Compare(b.Minute), cmp.Compare(a.Address, b.Address))
		})
		err := a.store.CountTokens(ctx, org, list)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		maps.DeleteFunc(pending, func(_ counted, count *store.TokenCount) bool { return count.Org == org })
	}
	if len(pending) > 0 {
		a.counts.giveBack(pending)
	}
	return errors.Join(errs...)
}

// giveBack takes up again what could not be written, unless so much waits already that it would only grow.
func (c *counts) giveBack(unwritten map[counted]*store.TokenCount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending == nil {
		c.pending, c.addresses = map[counted]*store.TokenCount{}, map[counted]int{}
	}
	for at, count := range unwritten {
		switch now := c.pending[at]; {
		case now != nil:
			now.Issued, now.Refused = now.Issued+count.Issued, now.Refused+count.Refused
		case len(c.pending) < maxRemember:
			c.pending[at] = count
			at.address = ""
			c.addresses[at]++
		}
	}
}
