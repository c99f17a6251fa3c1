package store

import (
	"context"
	"sync"
	"time"

	"foyer"
)

// orgLocks lets one goroutine at a time work on an organization's book, in the order in which they came (R19).
// It holds a lock only for organizations in use.
type orgLocks struct {
	mu   sync.Mutex
	held map[foyer.OrgID]*orgLock
}

type orgLock struct {
	turn  chan struct{} // holds one token while nobody has the lock
	users int
}

// take waits for the organization's lock, at most busyTimeout, and returns the function that gives it back.
func (l *orgLocks) take(ctx context.Context, org foyer.OrgID) (release func(), err error) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[foyer.OrgID]*orgLock{}
	}
	lock := l.held[org]
	if lock == nil {
		lock = &orgLock{turn: make(chan struct{}, 1)}
		lock.turn <- struct{}{}
		l.held[org] = lock
	}
	lock.users++
	l.mu.Unlock()

	timeout := time.NewTimer(busyTimeout)
	defer timeout.Stop()
	select {
	case <-lock.turn:
		return func() { lock.turn <- struct{}{}; l.leave(org, lock) }, nil
	case <-ctx.Done():
		l.leave(org, lock)
		return nil, ctx.Err()
	case <-timeout.C:
		l.leave(org, lock)
		return nil, &foyer.Error{Kind: foyer.Busy, Message: "another sync of this organization is still running; nothing was changed, try again", RetryAfter: busyTimeout}
	}
}

func (l *orgLocks) leave(org foyer.OrgID, lock *orgLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lock.users--; lock.users == 0 {
		delete(l.held, org)
	}
}
