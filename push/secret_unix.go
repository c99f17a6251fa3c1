//go:build !windows

package push

import (
	"fmt"
	"os"
)

// private refuses a file that others than its owner can read.
func private(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no file", f.Name())
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return errShared(f.Name(), fmt.Sprintf("others than its owner (mode %04o)", mode), "chmod 600 "+f.Name())
	}
	return nil
}

// unchangeable refuses a file that everybody can change.
func unchangeable(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); info.Mode().IsRegular() && mode&0o002 != 0 {
		return errChangeable(f.Name(), fmt.Sprintf("everybody (mode %04o)", mode), "chmod o-w "+f.Name())
	}
	return nil
}
