package directory

import (
	"fmt"
	"strconv"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// expires is where Active Directory notes until when an account may be used: as a file time, in 100 ns since 1601; 0 and the greatest number stand for never (MS-ADA1 §2.1).
const expires = "accountExpires"

// fileTime returns a time as Windows counts (MS-DTYP §2.3.3).
func fileTime(t time.Time) int64 {
	const from1601 = 11_644_473_600 // seconds until 1970
	return (t.Unix()+from1601)*10_000_000 + int64(t.Nanosecond()/100)
}

// isExpired tells whether an account of Active Directory may not be used any more. One that shows no time counts as one without an end, and is counted.
func (s *session) isExpired(e *ldap.Entry, now int64) (bool, error) {
	value := e.GetEqualFoldAttributeValue(expires)
	if value == "" {
		if !s.isContact(e) {
			s.undated++
		}
		return false, nil
	}
	until, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return false, fmt.Errorf("%s of %q is %q, which is no time, so it cannot be known whether the account has expired: set it right", expires, e.DN, value)
	}
	return until != 0 && until <= now, nil
}

// noteExpired notes which accounts of Active Directory have expired, as disabled ones.
func (s *session) noteExpired(entries []*ldap.Entry, disabled map[string]bool) error {
	if s.Kind != ActiveDirectory {
		return nil
	}
	clock := s.Clock
	if clock == nil {
		clock = time.Now
	}
	now := fileTime(clock())
	for _, e := range entries {
		expired, err := s.isExpired(e, now)
		if err != nil {
			return err
		}
		if key := keyOf(e.DN); expired && !disabled[key] {
			disabled[key] = true
			s.result.Expired++
		}
	}
	if s.undated > 0 {
		s.warnOnce(fmt.Sprintf("%d accounts do not show %s, so those of them that have expired count as enabled: a global catalog does not hold it; read a domain controller of each domain instead", s.undated, expires))
	}
	return nil
}
