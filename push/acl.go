package push

import (
	"regexp"
	"strings"
)

// grant is an entry of an access control list of Windows: whom it lets do what (MS-DTYP §2.4.4).
type grant struct {
	kind  byte   // accessAllowed, accessDenied …
	flags byte   // inheritOnly …
	mask  uint32 // the rights
	who   string // a SID as text: S-1-5-18
}

// Kinds and flags of entries, and rights (MS-DTYP §2.4.3, §2.4.4.1).
const (
	accessAllowed         = 0x00
	accessDenied          = 0x01
	accessAllowedCallback = 0x09 // with a condition behind, which counts as true here
	accessDeniedCallback  = 0x0A

	inheritOnly = 0x08 // for what is below, not for the file itself

	readData     = 0x0000_0001
	writeData    = 0x0000_0002
	appendData   = 0x0000_0004
	writeDAC     = 0x0004_0000 // to give oneself the right to read
	writeOwner   = 0x0008_0000 // likewise, as the owner
	genericAll   = 0x1000_0000
	genericWrite = 0x4000_0000
	genericRead  = 0x8000_0000
)

// seeing are the rights by which somebody reads a file, at once or after one more step, and changing those by which somebody changes it.
const (
	seeing   = readData | genericRead | genericAll | writeDAC | writeOwner
	changing = writeData | appendData | genericWrite | genericAll | writeDAC | writeOwner
)

// crowds are those whom a secret must not be open to: everybody, however they came, and groups in which everybody is.
var crowds = map[string]string{
	"S-1-1-0": "Everyone", "S-1-2-0": "LOCAL", "S-1-2-1": "CONSOLE LOGON", "S-1-5-1": "DIALUP", "S-1-5-2": "NETWORK", "S-1-5-3": "BATCH", "S-1-5-4": "INTERACTIVE", "S-1-5-6": "SERVICE",
	"S-1-5-7": "ANONYMOUS LOGON", "S-1-5-11": "Authenticated Users", "S-1-5-13": "TERMINAL SERVER USER", "S-1-5-14": "REMOTE INTERACTIVE LOGON", "S-1-5-15": "This Organization",
	"S-1-5-113": "Local account", "S-1-5-1000": "Other Organization", "S-1-5-80-0": "ALL SERVICES", "S-1-5-32-545": "Users", "S-1-5-32-546": "Guests", "S-1-5-32-547": "Power Users",
	"S-1-5-32-554": "Pre-Windows 2000 Compatible Access", "S-1-5-32-555": "Remote Desktop Users", "S-1-15-2-1": "ALL APPLICATION PACKAGES", "S-1-15-2-2": "ALL RESTRICTED APPLICATION PACKAGES",
	"S-1-5-64-10": "NTLM Authentication", "S-1-5-64-14": "SChannel Authentication", "S-1-5-64-21": "Digest Authentication",
	"S-1-18-1": "Authentication authority asserted identity", "S-1-18-2": "Service asserted identity",
}

// domainCrowds are the last parts of the SIDs of such groups and accounts of a domain or machine.
var domainCrowds = map[string]string{"501": "Guest", "513": "Domain Users", "514": "Domain Guests", "515": "Domain Computers"}

// domainSID is the SID of an account or group of a domain or machine.
var domainSID = regexp.MustCompile(`^S-1-5-21-\d+-\d+-\d+-(\d+)$`)

// crowdOf returns what those are called whom a secret must not be open to; "" for others.
func crowdOf(sid string) string {
	if m := domainSID.FindStringSubmatch(sid); m != nil {
		return domainCrowds[m[1]]
	}
	return crowds[sid]
}

// openTo returns to whom a file with that owner and list is open for one of those rights though it must not be; "" where to nobody. What is denied does not count: it is the order that decides, and who is in
// a group is not known here.
func openTo(owner string, list []grant, rights uint32) string {
	if who := crowdOf(owner); who != "" {
		return who + ", the owner"
	}
	for _, g := range list {
		if g.flags&inheritOnly != 0 || g.kind == accessDenied || g.kind == accessDeniedCallback || g.mask&rights == 0 {
			continue
		}
		if g.kind != accessAllowed && g.kind != accessAllowedCallback {
			return "those whom an entry of an unusual kind names"
		}
		if who := crowdOf(g.who); who != "" {
			return who
		}
	}
	return ""
}

// Accounts and groups of Windows that are the same on each machine.
const (
	localSystem    = "S-1-5-18"
	administrators = "S-1-5-32-544"
)

// canRead tells whether an account can read a file with that list, as far as its own SID and those of its groups in who say: the first entry that speaks of one of them decides.
func canRead(list []grant, who ...string) bool {
	for _, g := range list {
		concerned := false
		for _, sid := range who {
			concerned = concerned || strings.EqualFold(g.who, sid)
		}
		if !concerned || g.flags&inheritOnly != 0 || g.mask&(readData|genericRead|genericAll) == 0 {
			continue
		}
		return g.kind == accessAllowed || g.kind == accessAllowedCallback
	}
	return false
}
