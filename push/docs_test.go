package push_test

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"foyer/directory"
	"foyer/push"
)

// document returns docs/push.md.
func document(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/push.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDocs_CompleteExamplesCanBeUsed holds that the settings which docs/push.md shows are right.
func TestDocs_CompleteExamplesCanBeUsed(t *testing.T) {
	whole := 0
	for _, block := range regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(document(t), -1) {
		if !strings.Contains(block[1], "[server]") {
			continue
		}
		whole++
		if _, err := load(t, block[1]); err != nil {
			t.Errorf("%v\n%s", err, block[1])
		}
	}
	if whole != 2 {
		t.Errorf("there are %d complete examples", whole)
	}
}

// TestDocs_EachSettingIsDescribed holds that no setting is missing in docs/push.md.
func TestDocs_EachSettingIsDescribed(t *testing.T) {
	text, settings := document(t), 0
	for _, of := range []any{push.Server{}, push.Key{}, directory.Config{}, directory.SiteRule{}} {
		for field := range reflect.TypeOf(of).Fields() {
			name := field.Tag.Get("toml")
			if name == "" {
				t.Errorf("%T.%s has no name", of, field.Name)
			}
			if settings++; !strings.Contains(text, "`"+name+"`") && !strings.Contains(text, "[directory."+name+"]") {
				t.Errorf("%s is not described", name)
			}
		}
	}
	if settings < 30 {
		t.Errorf("there are %d settings", settings)
	}
	c, err := directory.Config{Kind: "ad", URLs: []string{"ldaps://x"}, BindDN: "x", Bases: []string{"dc=x"}}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	for column, attributes := range c.Map {
		for _, name := range append(attributes, "`"+column+"`") {
			if !strings.Contains(text, name) {
				t.Errorf("of the column %s %s is not described", column, name)
			}
		}
	}
}
