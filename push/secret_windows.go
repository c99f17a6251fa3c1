package push

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// everybody are those who must not be able to read a secret.
var everybody = []struct {
	kind windows.WELL_KNOWN_SID_TYPE
	name string
}{
	{windows.WinWorldSid, "Everyone"}, {windows.WinAuthenticatedUserSid, "Authenticated Users"}, {windows.WinBuiltinUsersSid, "Users"},
	{windows.WinAccountDomainUsersSid, "Domain Users"}, {windows.WinBuiltinGuestsSid, "Guests"},
}

// reading are the rights that let somebody read a file.
const reading = windows.FILE_READ_DATA | windows.GENERIC_READ | windows.GENERIC_ALL

// private refuses a file that everybody on the machine or in the domain can read, by its access control list.
func private(f *os.File) error {
	descriptor, err := windows.GetNamedSecurityInfo(f.Name(), windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("read who may read %s: %w", f.Name(), err)
	}
	list, _, err := descriptor.DACL()
	if err != nil {
		return fmt.Errorf("read who may read %s: %w", f.Name(), err)
	}
	// Local System and the Administrators by number: their names differ between languages.
	cure := fmt.Sprintf(`icacls "%s" /inheritance:r /grant:r *S-1-5-18:R *S-1-5-32-544:F`, f.Name())
	if list == nil {
		return errShared(f.Name(), "everybody", cure)
	}
	for i := range list.AceCount {
		var entry *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(list, uint32(i), &entry); err != nil {
			return fmt.Errorf("read who may read %s: %w", f.Name(), err)
		}
		if entry.Header.AceType != windows.ACCESS_ALLOWED_ACE_TYPE || entry.Mask&reading == 0 {
			continue
		}
		who := (*windows.SID)(unsafe.Pointer(&entry.SidStart))
		for _, e := range everybody {
			if who.IsWellKnown(e.kind) {
				return errShared(f.Name(), e.name, cure)
			}
		}
	}
	return nil
}
