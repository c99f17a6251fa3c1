package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/gofrs/flock"

	"foyer"
)

// databaseName is the database in the data folder.
const databaseName = "foyer.db"

// Whoever has the database open shares the lock of its folder; a restore has it alone. The system gives it back when a process ends, however it does.
const lockName = "lock"

// shareFolder takes a share of the lock; foyer.Conflict while something is restored.
func shareFolder(dir string) (*flock.Flock, error) {
	lock := flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o600))
	held, err := lock.TryRLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	if !held {
		return nil, foyer.Errorf(foyer.Conflict, "a backup is being restored in %s; wait until foyer restore has ended", dir)
	}
	return lock, nil
}

// takeFolder takes the lock alone; foyer.Conflict while anybody has the database open.
func takeFolder(dir string) (*flock.Flock, error) {
	lock := flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	if !held {
		return nil, inUse(dir)
	}
	return lock, nil
}

func inUse(dir string) error {
	return foyer.Errorf(foyer.Conflict, "a server or a command works on %s; stop it first. Nothing was changed", dir)
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" { // a folder cannot be synced there
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
