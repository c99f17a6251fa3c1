//go:build linux || darwin || freebsd

package store

import "golang.org/x/sys/unix"

// freeSpace returns how many bytes this process may still write to the disk of a folder, and whether that can be found out here.
func freeSpace(dir string) (free uint64, known bool, err error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return 0, false, err
	}
	return uint64(disk.Bavail) * uint64(disk.Bsize), true, nil
}
