//go:build !windows

package certs

import (
	"errors"
	"os"
	"syscall"
)

// tryLock opens the file and locks it; held is false where somebody else has it.
func tryLock(file string) (f *os.File, held bool, err error) {
	f, err = os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, err
	}
	if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		return f, true, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		err = nil
	}
	return nil, false, err
}
