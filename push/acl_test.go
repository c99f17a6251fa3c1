package push

import (
	"strings"
	"testing"
)

const (
	me   = "S-1-5-21-1-2-3-1104"
	full = 0x001F01FF // what icacls calls F
	read = 0x00120089 // R
)

// well is what icacls makes by docs/push.md, for an account besides.
var well = []grant{{accessAllowed, 0, read, localSystem}, {accessAllowed, 0, full, administrators}, {accessAllowed, 0, read, me}}

// TestPrivate_NoCrowdMayReadASecret holds of each crowd that an entry by which it reads, or can give itself the right to, has the file refused, and that nothing else has.
func TestPrivate_NoCrowdMayReadASecret(t *testing.T) {
	if who := openTo(me, well, seeing); who != "" {
		t.Errorf("as docs/push.md has it, it is open to %s", who)
	}
	named := map[string]string{"Everyone": "S-1-1-0", "INTERACTIVE": "S-1-5-4", "NETWORK": "S-1-5-2", "ANONYMOUS LOGON": "S-1-5-7", "Authenticated Users": "S-1-5-11", "Users": "S-1-5-32-545",
		"Guests": "S-1-5-32-546", "Domain Users": "S-1-5-21-10-20-30-513", "Domain Computers": "S-1-5-21-10-20-30-515", "SERVICE": "S-1-5-6", "Guest": "S-1-5-21-1-2-3-501"}
	for sid, name := range crowds {
		named[name] = sid
	}
	for name, sid := range named {
		for what, mask := range map[string]uint32{"R": read, "F": full, "GR": genericRead, "GA": genericAll, "RD": readData, "WDAC": writeDAC, "WO": writeOwner} {
			for _, kind := range []byte{accessAllowed, accessAllowedCallback} {
				for _, list := range [][]grant{append([]grant{{kind, 0, mask, sid}}, well...), append(well[:3:3], grant{kind, 0x10, mask, sid})} {
					if got := openTo(me, list, seeing); got != name {
						t.Errorf("%s:%s: it is open to %q", name, what, got)
					}
				}
			}
		}
		if got := openTo(sid, well, seeing); !strings.Contains(got, name) {
			t.Errorf("%s owns it, and it is open to %q", name, got)
		}
		for _, harmless := range []grant{{accessDenied, 0, full, sid}, {accessDeniedCallback, 0, full, sid}, {accessAllowed, inheritOnly, full, sid}, {accessAllowed, 0, 0x00120080, sid}} {
			if got := openTo(me, append([]grant{harmless}, well...), seeing); got != "" {
				t.Errorf("%s with %+v: it is open to %q", name, harmless, got)
			}
		}
	}
	if openTo(me, []grant{{kind: 0x05, mask: read}}, seeing) == "" {
		t.Error("an entry of another kind passes")
	}
}

// TestUnchangeable_NoCrowdMayChangeSettings holds that what everybody may read is no matter for settings, and what everybody may change is; as what lies below C:\ is made.
func TestUnchangeable_NoCrowdMayChangeSettings(t *testing.T) {
	const modify, users, authenticated = 0x001301BF, "S-1-5-32-545", "S-1-5-11"
	readable := append([]grant{{accessAllowed, 0, read, users}, {accessAllowed, 0, 0x001200A9, "S-1-1-0"}}, well...)
	if who := openTo(administrators, readable, changing); who != "" {
		t.Errorf("what Users can read can be changed by %s", who)
	}
	for _, mask := range []uint32{modify, full, writeData, appendData, genericWrite, writeDAC, writeOwner} {
		if who := openTo(administrators, append(readable[:len(readable):len(readable)], grant{accessAllowed, 0x10, mask, authenticated}), changing); who != "Authenticated Users" {
			t.Errorf("%#x: it can be changed by %q", mask, who)
		}
	}
}

// TestCanRead_TheFirstEntryThatSpeaksOfAnAccountDecides holds how a service's account is found to be able to read a file.
func TestCanRead_TheFirstEntryThatSpeaksOfAnAccountDecides(t *testing.T) {
	for _, step := range []struct {
		list []grant
		who  []string
		want bool
	}{
		{well, []string{me}, true}, {well, []string{localSystem, administrators}, true}, {well, []string{"S-1-5-19"}, false}, {nil, []string{me}, false},
		{append([]grant{{accessDenied, 0, read, me}}, well...), []string{me}, false},
		{append(well[:3:3], grant{accessDenied, 0, read, me}), []string{me}, true},
		{[]grant{{accessAllowed, inheritOnly, read, me}}, []string{me}, false},
		{[]grant{{accessAllowed, 0, 0x00120080, me}, {accessAllowed, 0, read, administrators}}, []string{me, administrators}, true},
	} {
		if got := canRead(step.list, step.who...); got != step.want {
			t.Errorf("%+v for %q: %v", step.list, step.who, got)
		}
	}
}
