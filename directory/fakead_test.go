package directory_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"foyer/certs"
)

// fakeAD is a small LDAP server that behaves as Active Directory does in what matters here: the bit filter and the in-chain rule, objectGUID as bytes, ranges of
// members, pages of at most 1,000, references at the root of the domain, and what it says when a bind is refused.
type fakeAD struct {
	url, caFile string
	references  []string // given with each search of the whole domain
	cutPages    bool     // gives the first page only, and says no more of pages
	cutRanges   bool     // gives the first range of members only, and then nothing
	hides       string   // an attribute, in lower case, that the account which reads may not read
	sealed      string   // a group whose SID it may not read
	quiet       bool     // does not say what it holds
	dieAfter    int      // closes the connection after that many entries of searches; 0: never

	mu      sync.Mutex
	entries []*object
	lists   map[string][]string // member -> groups, by name in lower case
	rid     uint32
	given   int
}

// object is an entry: attributes by lower-case name.
type object struct {
	dn    string
	names map[string]string
	attrs map[string][][]byte
}

// What a fakeAD is called and gives at most.
const (
	adBase     = "DC=corp,DC=example,DC=com"
	adUser     = "Administrator@corp.example.com"
	adPassword = "Passw0rd.of.fake"
	adPage     = 1000
	adRange    = 1500
)

// startFakeAD starts one that holds a domain, its root and the group Domain Users. It ends with the test.
func startFakeAD(t *testing.T) *fakeAD {
	t.Helper()
	certificates, err := certs.Load(certs.Config{Dir: t.TempDir(), Hosts: []string{"localhost"}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ad := &fakeAD{url: "ldaps://" + l.Addr().String(), caFile: certificates.CAFile(), rid: 1103, lists: map[string][]string{}, references: []string{
		"ldap://ForestDnsZones.corp.example.com/DC=ForestDnsZones," + adBase, "ldap://corp.example.com/CN=Configuration," + adBase,
	}}
	ad.put(adBase, map[string][]string{"objectClass": {"domainDNS"}})
	ad.put("CN=Users,"+adBase, map[string][]string{"objectClass": {"container"}})
	users := ad.put("CN=Domain Users,CN=Users,"+adBase, map[string][]string{"objectClass": {"group"}, "objectCategory": {"CN=Group,CN=Schema,CN=Configuration," + adBase}})
	users.set("objectSid", sid(513))
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() { ad.session(tls.Server(conn, certificates.TLSConfig())) })
		}
	})
	t.Cleanup(func() { l.Close() })
	return ad
}

// sid returns a SID of the domain with that relative id.
func sid(rid uint32) []byte {
	return binary.LittleEndian.AppendUint32([]byte("\x01\x05\x00\x00\x00\x00\x00\x05domain-sid-16-by"), rid)
}

func (o *object) set(name string, values ...[]byte) {
	key := strings.ToLower(name)
	o.names[key], o.attrs[key] = name, values
}

// put adds an entry as the directory stores it: with an objectGUID, and accounts and groups with a SID.
func (ad *fakeAD) put(dn string, attributes map[string][]string) *object {
	o := &object{dn: dn, names: map[string]string{}, attrs: map[string][][]byte{}}
	guid := make([]byte, 16)
	rand.Read(guid)
	o.set("objectGUID", guid)
	for name, values := range attributes {
		var raw [][]byte
		for _, v := range values {
			raw = append(raw, []byte(v))
		}
		o.set(name, raw...)
	}
	category := map[string]string{"user": "Person", "contact": "Person", "group": "Group"}
	for _, class := range attributes["objectClass"] {
		if category[class] != "" {
			ad.rid++
			o.set("objectCategory", []byte("CN="+category[class]+",CN=Schema,CN=Configuration,"+adBase))
			o.set("objectSid", sid(ad.rid))
		}
		if class == "user" {
			o.set("primaryGroupID", []byte("513"))
			if o.attrs["useraccountcontrol"] == nil {
				o.set("userAccountControl", []byte("512"))
			}
			if o.attrs["accountexpires"] == nil {
				o.set("accountExpires", []byte(strconv.Itoa(math.MaxInt64)))
			}
		}
	}
	for _, member := range attributes["member"] {
		key := strings.ToLower(member)
		ad.lists[key] = append(ad.lists[key], dn)
	}
	ad.entries = append(ad.entries, o)
	return o
}

// same tells whether two names are one.
func same(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	x, err1 := ldap.ParseDN(a)
	y, err2 := ldap.ParseDN(b)
	return err1 == nil && err2 == nil && x.EqualFold(y)
}

func below(dn, base string) bool {
	x, err1 := ldap.ParseDN(dn)
	y, err2 := ldap.ParseDN(base)
	return err1 == nil && err2 == nil && y.AncestorOfFold(x)
}

// session answers the requests of one connection.
func (ad *fakeAD) session(conn net.Conn) {
	defer conn.Close()
	bound := false
	for {
		p, err := ber.ReadPacket(conn)
		if err != nil || len(p.Children) < 2 {
			return
		}
		id, op := p.Children[0].Value.(int64), p.Children[1]
		ad.mu.Lock()
		var answers []*ber.Packet
		switch {
		case op.Tag == ldap.ApplicationBindRequest:
			bound = op.Children[1].Value.(string) == adUser && op.Children[2].Data.String() == adPassword
			code, text := ldap.LDAPResultSuccess, ""
			if !bound {
				code, text = ldap.LDAPResultInvalidCredentials, "80090308: LdapErr: DSID-0C09050F, comment: AcceptSecurityContext error, data 52e, v4563"
			}
			answers = []*ber.Packet{result(id, ldap.ApplicationBindResponse, code, text, nil)}
		case !bound:
			answers = []*ber.Packet{result(id, ldap.ApplicationSearchResultDone, ldap.LDAPResultOperationsError, "In order to perform this operation a successful bind must be completed", nil)}
		case op.Tag == ldap.ApplicationAddRequest:
			answers = []*ber.Packet{result(id, ldap.ApplicationAddResponse, ad.add(op), "", nil)}
		case op.Tag == ldap.ApplicationDelRequest:
			ad.entries = slices.DeleteFunc(ad.entries, func(o *object) bool { return same(o.dn, op.Data.String()) })
			answers = []*ber.Packet{result(id, ldap.ApplicationDelResponse, ldap.LDAPResultSuccess, "", nil)}
		case op.Tag == ldap.ApplicationSearchRequest:
			answers = ad.search(id, op, pagingOf(p))
		}
		ad.mu.Unlock()
		for _, a := range answers {
			ad.mu.Lock()
			if a.Children[1].Tag == ldap.ApplicationSearchResultEntry && ad.dieAfter > 0 {
				if ad.given++; ad.given > ad.dieAfter {
					ad.mu.Unlock()
					return
				}
			}
			ad.mu.Unlock()
			if _, err := conn.Write(a.Bytes()); err != nil {
				return
			}
		}
	}
}

// add stores what an AddRequest says.
func (ad *fakeAD) add(op *ber.Packet) int {
	attributes := map[string][]string{}
	for _, a := range op.Children[1].Children {
		for _, v := range a.Children[1].Children {
			attributes[a.Children[0].Data.String()] = append(attributes[a.Children[0].Data.String()], v.Data.String())
		}
	}
	dn := op.Children[0].Data.String()
	if slices.ContainsFunc(ad.entries, func(o *object) bool { return strings.EqualFold(o.dn, dn) }) {
		return ldap.LDAPResultEntryAlreadyExists
	}
	ad.put(dn, attributes)
	return ldap.LDAPResultSuccess
}

// pagingOf returns the paging control of a request, nil where it has none.
func pagingOf(p *ber.Packet) *ldap.ControlPaging {
	if len(p.Children) < 3 {
		return nil
	}
	for _, c := range p.Children[2].Children {
		if control, err := ldap.DecodeControl(c); err == nil && control.GetControlType() == ldap.ControlTypePaging {
			return control.(*ldap.ControlPaging)
		}
	}
	return nil
}

// search answers a SearchRequest: the entries of a page, the references, and the end.
func (ad *fakeAD) search(id int64, op *ber.Packet, paging *ldap.ControlPaging) []*ber.Packet {
	base, scope := op.Children[0].Data.String(), op.Children[1].Value.(int64)
	done := func(code int, text string, control ldap.Control) *ber.Packet {
		return result(id, ldap.ApplicationSearchResultDone, code, text, control)
	}
	if base == "" {
		root := &object{names: map[string]string{}, attrs: map[string][][]byte{}}
		root.set("supportedCapabilities", []byte("1.2.840.113556.1.4.800"))
		root.set("supportedControl", []byte(ldap.ControlTypePaging))
		if !ad.quiet {
			root.set("namingContexts", []byte("CN=Configuration,"+adBase), []byte(adBase))
		}
		return []*ber.Packet{ad.entry(id, root, nil), done(0, "", nil)}
	}
	base = ad.resolve(base)
	if !below(base, adBase) && !same(base, adBase) || slices.ContainsFunc(ad.references, func(r string) bool { return strings.HasSuffix(strings.ToLower(r), "/"+strings.ToLower(base)) }) {
		return []*ber.Packet{done(ldap.LDAPResultReferral, "0000202B: RefErr: DSID-0310084A, data 0, 1 access points", nil)}
	}
	if !slices.ContainsFunc(ad.entries, func(o *object) bool { return same(o.dn, base) }) {
		return []*ber.Packet{done(ldap.LDAPResultNoSuchObject, "0000208D: NameErr: DSID-0310028B, problem 2001 (NO_OBJECT)", nil)}
	}
	var found []*object
	for _, o := range ad.entries {
		if ad.matches(o, op.Children[6]) && (same(o.dn, base) || scope == ldap.ScopeWholeSubtree && below(o.dn, base)) {
			found = append(found, o)
		}
	}
	start, size := 0, adPage
	if paging != nil {
		start, _ = strconv.Atoi(string(paging.Cookie))
		size = min(size, int(paging.PagingSize))
	}
	page := found[start:min(len(found), start+size)]
	var answers []*ber.Packet
	for _, o := range page {
		answers = append(answers, ad.entry(id, o, op.Children[7].Children))
	}
	for _, reference := range ad.references {
		if same(base, adBase) && scope == ldap.ScopeWholeSubtree && start == 0 {
			p := envelope(id)
			r := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultReference, nil, "")
			r.AppendChild(text(reference))
			p.AppendChild(r)
			answers = append(answers, p)
		}
	}
	rest := len(found) - start - len(page)
	if ad.cutPages && start > 0 {
		return append(answers[:0], done(0, "", nil))
	}
	switch {
	case paging == nil && rest > 0:
		return append(answers, done(ldap.LDAPResultSizeLimitExceeded, "", nil))
	case paging != nil && rest > 0:
		return append(answers, done(0, "", &ldap.ControlPaging{Cookie: []byte(strconv.Itoa(start + len(page)))}))
	case paging != nil:
		return append(answers, done(0, "", &ldap.ControlPaging{}))
	}
	return append(answers, done(0, "", nil))
}

// resolve returns the name of the entry that <GUID=…> stands for.
func (ad *fakeAD) resolve(base string) string {
	guid, ok := strings.CutPrefix(strings.TrimSuffix(base, ">"), "<GUID=")
	if !ok {
		return base
	}
	for _, o := range ad.entries {
		b := o.attrs["objectguid"][0]
		written := fmt.Sprintf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x-%02x", b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8:10], b[10:])
		if strings.EqualFold(written, guid) {
			return o.dn
		}
	}
	return "CN=none," + adBase
}

// memberships returns the names of the groups that list an entry.
func (ad *fakeAD) memberships(dn string) []string { return ad.lists[strings.ToLower(dn)] }

// chained tells whether an entry is a member of a group, through any groups.
func (ad *fakeAD) chained(dn, group string, seen map[string]bool) bool {
	if seen[strings.ToLower(dn)] {
		return false
	}
	seen[strings.ToLower(dn)] = true
	return slices.ContainsFunc(ad.memberships(dn), func(g string) bool { return same(g, group) || ad.chained(g, group, seen) })
}

// matches evaluates a filter (RFC 4511 §4.5.1.7).
func (ad *fakeAD) matches(o *object, f *ber.Packet) bool {
	one := func(c *ber.Packet) bool { return ad.matches(o, c) }
	switch f.Tag {
	case ldap.FilterAnd:
		return !slices.ContainsFunc(f.Children, func(c *ber.Packet) bool { return !one(c) })
	case ldap.FilterOr:
		return slices.ContainsFunc(f.Children, one)
	case ldap.FilterNot:
		return !one(f.Children[0])
	case ldap.FilterPresent:
		return o.attrs[strings.ToLower(f.Data.String())] != nil
	case ldap.FilterEqualityMatch:
		return ad.equal(o, strings.ToLower(f.Children[0].Data.String()), f.Children[1].Data.String())
	case ldap.FilterExtensibleMatch:
		var rule, name, value string
		for _, c := range f.Children {
			switch c.Tag {
			case ldap.MatchingRuleAssertionMatchingRule:
				rule = c.Data.String()
			case ldap.MatchingRuleAssertionType:
				name = strings.ToLower(c.Data.String())
			case ldap.MatchingRuleAssertionMatchValue:
				value = c.Data.String()
			}
		}
		return ad.extended(o, rule, name, value)
	}
	panic(fmt.Sprintf("the fake does not know the filter %d", f.Tag))
}

func (ad *fakeAD) equal(o *object, name, value string) bool {
	if name == "objectclass" && value == "*" {
		return true
	}
	if name == "memberof" {
		return slices.ContainsFunc(ad.memberships(o.dn), func(g string) bool { return same(g, value) })
	}
	return slices.ContainsFunc(o.attrs[name], func(v []byte) bool {
		have := string(v)
		if name == "objectcategory" { // "person" stands for the name of the class
			have = strings.TrimPrefix(strings.ToLower(have[:strings.Index(have, ",")]), "cn=")
		}
		return strings.EqualFold(have, value)
	})
}

// extended evaluates the matching rules of Active Directory (MS-ADTS §3.1.1.3.4.4).
func (ad *fakeAD) extended(o *object, rule, name, value string) bool {
	switch {
	case name == ad.hides:
		return false // and so its negation is true
	case rule == "1.2.840.113556.1.4.803" && len(o.attrs[name]) > 0:
		have, _ := strconv.Atoi(string(o.attrs[name][0]))
		want, _ := strconv.Atoi(value)
		return have&want == want
	case rule == "1.2.840.113556.1.4.1941" && name == "memberof":
		return ad.chained(o.dn, value, map[string]bool{})
	}
	return false
}

// entry is an answer that holds an entry, with the attributes that were asked for.
func (ad *fakeAD) entry(id int64, o *object, asked []*ber.Packet) *ber.Packet {
	p := envelope(id)
	e := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	e.AppendChild(text(o.dn))
	list := ber.NewSequence("")
	give := func(name string, values [][]byte) {
		a := ber.NewSequence("")
		a.AppendChild(text(name))
		set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		for _, v := range values {
			set.AppendChild(text(string(v)))
		}
		a.AppendChild(set)
		list.AppendChild(a)
	}
	for _, want := range asked {
		name, option, _ := strings.Cut(strings.ToLower(want.Data.String()), ";")
		values := o.attrs[name]
		if len(values) == 0 || name == ad.hides || name == "objectsid" && same(o.dn, ad.sealed) {
			continue
		}
		from := 0
		fmt.Sscanf(option, "range=%d-*", &from)
		switch {
		case name == "member" && len(values)-from > adRange:
			give(fmt.Sprintf("member;range=%d-%d", from, from+adRange-1), values[from:from+adRange])
		case from > 0 && ad.cutRanges:
		case from > 0:
			give(fmt.Sprintf("member;range=%d-*", from), values[from:])
		default:
			give(o.names[name], values)
		}
	}
	if len(asked) == 0 {
		for name, values := range o.attrs {
			give(o.names[name], values)
		}
	}
	e.AppendChild(list)
	p.AppendChild(e)
	return p
}

func envelope(id int64) *ber.Packet {
	p := ber.NewSequence("")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	return p
}

func text(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

// result is an answer that ends a request.
func result(id int64, tag ber.Tag, code int, diagnostic string, control ldap.Control) *ber.Packet {
	p := envelope(id)
	r := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	r.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(code), ""))
	r.AppendChild(text(""))
	r.AppendChild(text(diagnostic))
	p.AppendChild(r)
	if control != nil {
		controls := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
		controls.AppendChild(control.Encode())
		p.AppendChild(controls)
	}
	return ber.DecodePacket(bytes.Clone(p.Bytes()))
}
