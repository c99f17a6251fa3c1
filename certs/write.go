package certs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// lockPoll is how often a process that waits for the lock looks whether it is free.
const lockPoll = 20 * time.Millisecond

// lock takes the exclusive lock that is a file: among processes and goroutines alike. It ends with the process,
// however that ends; the file stays.
func lock(file string, wait time.Duration) (unlock func(), err error) {
	for deadline := time.Now().Add(wait); ; time.Sleep(lockPoll) {
		f, held, err := tryLock(file)
		if err != nil {
			return nil, fmt.Errorf("locking the folder for the server's certificate: %w", err)
		}
		if held {
			return func() { f.Close() }, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("another process holds %s and did not let it go within %s", file, wait)
		}
	}
}

// writeFile replaces a file in one step that a crash leaves done or undone. The lock must be held.
func writeFile(file string, text []byte, mode fs.FileMode) error {
	if err := replace(file, text, mode); err != nil {
		return fmt.Errorf("writing a certificate or key: %w", err)
	}
	return nil
}

func replace(file string, text []byte, mode fs.FileMode) error {
	temp := file + ".tmp"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()) // Chmod: whatever the umask
	if err == nil {
		err = os.Rename(temp, file)
	}
	if err != nil {
		os.Remove(temp)
		return err
	}
	return syncDir(filepath.Dir(file))
}

// syncDir makes a rename durable; Windows cannot, and does not have to.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
