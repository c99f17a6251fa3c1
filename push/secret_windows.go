package push

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// private refuses a file that everybody on the machine or in the domain can read, or can give themselves the right to, by its access control list.
func private(f *os.File) error {
	owner, list, err := accessOf(f)
	if err != nil {
		return err
	}
	if who := openTo(owner, list, seeing); who != "" {
		// Local System and the Administrators by number: their names differ between languages.
		return errShared(f.Name(), who, fmt.Sprintf(`icacls "%s" /reset, and then: icacls "%s" /inheritance:r /grant:r *S-1-5-18:R *S-1-5-32-544:F`, f.Name(), f.Name()))
	}
	return nil
}

// unchangeable refuses a file that everybody on the machine or in the domain can change, or can give themselves the right to.
func unchangeable(f *os.File) error {
	owner, list, err := accessOf(f)
	if err != nil {
		return err
	}
	if who := openTo(owner, list, changing); who != "" {
		return errChangeable(f.Name(), who, fmt.Sprintf(`icacls "%s" /reset, and then: icacls "%s" /inheritance:r /grant:r *S-1-5-18:RX *S-1-5-32-544:F`, f.Name(), f.Name()))
	}
	return nil
}

// accessOf returns who owns an open file and whom its access control list lets do what. A file without a list is open to everybody.
func accessOf(f *os.File) (owner string, list []grant, err error) {
	descriptor, err := windows.GetSecurityInfo(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return "", nil, fmt.Errorf("read who may read %s: %w", f.Name(), err)
	}
	if sid, _, err := descriptor.Owner(); err == nil && sid != nil {
		owner = sid.String()
	}
	acl, _, err := descriptor.DACL()
	if err != nil {
		return "", nil, fmt.Errorf("read who may read %s: %w", f.Name(), err)
	}
	if acl == nil {
		return owner, []grant{{kind: accessAllowed, mask: genericAll, who: "S-1-1-0"}}, nil
	}
	for i := range acl.AceCount {
		var entry *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(acl, uint32(i), &entry); err != nil {
			return "", nil, fmt.Errorf("read who may read %s: %w", f.Name(), err)
		}
		g := grant{kind: entry.Header.AceType, flags: entry.Header.AceFlags, mask: uint32(entry.Mask)}
		switch g.kind {
		case accessAllowed, accessDenied, accessAllowedCallback, accessDeniedCallback: // of the others the SID is elsewhere
			g.who = (*windows.SID)(unsafe.Pointer(&entry.SidStart)).String()
		}
		list = append(list, g)
	}
	return owner, list, nil
}

// serviceAccounts are those for services, as the service manager calls them in each language; their names as accounts differ.
var serviceAccounts = map[string]string{"": localSystem, `NT AUTHORITY\LocalService`: "S-1-5-19", `NT AUTHORITY\NetworkService`: "S-1-5-20"}

// ReadableBy returns an error that says what to do where a service that runs as an account cannot read a file; "" stands for Local System. Of the groups of an account those are known in
// which all services are, and of Local System the Administrators.
func ReadableBy(account, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, list, err := accessOf(f)
	if err != nil {
		return err
	}
	sid, grantee := serviceAccounts[account], "*"+serviceAccounts[account]
	if sid == "" {
		found, _, _, err := windows.LookupSID("", account)
		if err != nil {
			return fmt.Errorf("there is no account %s: %w", account, err)
		}
		sid, grantee = found.String(), account
	}
	sids := []string{sid}
	if sid == localSystem {
		sids = append(sids, administrators)
	}
	for sid := range crowds {
		if !strings.HasPrefix(sid, "S-1-15-") {
			sids = append(sids, sid)
		}
	}
	if !canRead(list, sids...) {
		return fmt.Errorf(`the service, as %s, cannot read %s; run: icacls "%s" /grant "%s:R"`, cmp.Or(account, "Local System"), file, file, grantee)
	}
	return nil
}
