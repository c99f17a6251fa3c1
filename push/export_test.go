package push

import (
	"context"
	"time"

	"foyer/directory"
)

// FromPeople makes the files of people whom no directory need hold.
func FromPeople(keys []Key, people []directory.Person) ([]*File, error) {
	return fromPeople(&Config{Keys: keys}, people)
}

// Waits has a client not wait between its tries, and returns where the waits are noted that it would have made.
func (c *Client) Waits() *[]time.Duration {
	waits := &[]time.Duration{}
	c.wait = func(ctx context.Context, d time.Duration) error {
		*waits = append(*waits, d)
		return ctx.Err()
	}
	return waits
}
