package certs

import (
	"errors"
	"os"
	"syscall"
)

// errSharing is ERROR_SHARING_VIOLATION, which package syscall does not name.
const errSharing = syscall.Errno(32)

// tryLock opens the file shared with nobody; held is false where somebody else has it open.
func tryLock(file string) (f *os.File, held bool, err error) {
	name, err := syscall.UTF16PtrFromString(file)
	if err != nil {
		return nil, false, err
	}
	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errSharing) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, &os.PathError{Op: "open", Path: file, Err: err}
	}
	return os.NewFile(uintptr(handle), file), true, nil
}
