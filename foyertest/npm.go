package foyertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
)

// InstallNPM puts in place what the package-lock.json in a folder names, unless it is there. It needs npm.
func InstallNPM(folder string) error {
	wanted, err := npmVersions(filepath.Join(folder, "package-lock.json"))
	if err != nil {
		return err
	}
	if there, err := npmVersions(filepath.Join(folder, "node_modules", ".package-lock.json")); err == nil && maps.Equal(there, wanted) {
		return nil
	}
	cmd := exec.Command("npm", "ci")
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci in %s: %w\n%s\nIt needs node and npm: apt-get install nodejs npm", folder, err, out)
	}
	return nil
}

// npmVersions returns the versions that a lock file names, by folder.
func npmVersions(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var lock struct {
		Packages map[string]struct{ Version string }
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		return nil, err
	}
	found := map[string]string{}
	for folder, p := range lock.Packages {
		if folder != "" {
			found[folder] = p.Version
		}
	}
	return found, nil
}
