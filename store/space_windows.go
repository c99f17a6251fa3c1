package store

import "golang.org/x/sys/windows"

// freeSpace returns how many bytes this process may still write to the disk of a folder, and whether that can be found out here.
func freeSpace(dir string) (free uint64, known bool, err error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, false, err
	}
	err = windows.GetDiskFreeSpaceEx(path, &free, nil, nil)
	return free, err == nil, err
}
