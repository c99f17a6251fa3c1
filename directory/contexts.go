package directory

import (
	"net/url"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// contexts returns the names of the trees that the server holds, as it says itself (namingContexts of RFC 4512 §5.1); none where it does not say.
func (s *session) contexts() ([]string, error) {
	if s.holds != nil {
		return s.holds, nil
	}
	root, err := s.read("", "namingContexts", "defaultNamingContext")
	if err != nil {
		return nil, err
	}
	s.holds = []string{}
	if root != nil {
		s.holds = append(root.GetEqualFoldAttributeValues("namingContexts"), root.GetEqualFoldAttributeValues("defaultNamingContext")...)
	}
	return s.holds, nil
}

// trees returns below which names to look for the groups in a group of that name: the trees that hold the group and the people.
func (s *session) trees(group string) ([]string, error) {
	if s.isGlobalCatalog() {
		return []string{""}, nil // it answers for the whole forest
	}
	held, err := s.contexts()
	if err != nil {
		return nil, err
	}
	var trees []string
	for _, name := range append([]string{group}, s.Bases...) {
		tree := treeOf(name, held)
		if !slices.ContainsFunc(trees, func(t string) bool { return keyOf(t) == keyOf(tree) }) {
			trees = append(trees, tree)
		}
	}
	return trees, nil
}

// treeOf returns in which of the trees an entry is; the innermost of several. Where the server does not say what it holds, it is by the end of the name.
func treeOf(dn string, held []string) string {
	tree, longest := "", 0
	for _, name := range held {
		parsed, err := ldap.ParseDN(name)
		if err == nil && len(parsed.RDNs) > longest && isBelowAny(dn, []string{name}) {
			tree, longest = name, len(parsed.RDNs)
		}
	}
	if tree == "" {
		return endOf(dn)
	}
	return tree
}

// isGlobalCatalog tells by the port whether it is a global catalog of Active Directory.
func (s *session) isGlobalCatalog() bool {
	u, err := url.Parse(s.url)
	return err == nil && s.Kind == ActiveDirectory && (u.Port() == "3268" || u.Port() == "3269")
}

// endOf returns the DC= parts at the end of a name, or else its last part.
func endOf(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return ""
	}
	at := len(parsed.RDNs) - 1
	for at > 0 && strings.EqualFold(parsed.RDNs[at].Attributes[0].Type, "dc") && strings.EqualFold(parsed.RDNs[at-1].Attributes[0].Type, "dc") {
		at--
	}
	return (&ldap.DN{RDNs: parsed.RDNs[at:]}).String()
}
