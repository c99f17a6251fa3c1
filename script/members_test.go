package script_test

import (
	"slices"
	"strings"
)

// settable is an object of .NET's whose properties the script sets; names come in lower case.
type settable interface{ set(name string, v any) }

// gettable is one that has properties.
type gettable interface {
	get(name string) (v any, known bool)
}

// callable is one that has methods.
type callable interface {
	call(name string, args []any) (v any, known bool)
}

// table is a hashtable, ordered or not, or an object made of one. Names of keys ignore case.
type table struct {
	keys   []string
	values []any
}

func (x *table) at(key string) int {
	return slices.IndexFunc(x.keys, func(k string) bool { return strings.EqualFold(k, key) })
}

func (x *table) get(key string) any {
	if i := x.at(key); i >= 0 {
		return x.values[i]
	}
	return nil
}

func (x *table) put(key string, v any) {
	if i := x.at(key); i >= 0 {
		x.values[i] = v
		return
	}
	x.keys, x.values = append(x.keys, key), append(x.values, v)
}

func (x *table) set(name string, v any) { x.put(name, v) }

// object is an object of .NET's: properties, and methods by name.
type object struct {
	properties map[string]any
	methods    map[string]func(args []any) any
}

func (o *object) get(name string) (any, bool) {
	v, ok := o.properties[name]
	return v, ok
}

func (o *object) set(name string, v any) { o.properties[name] = v }

func (o *object) call(name string, args []any) (any, bool) {
	if m, ok := o.methods[name]; ok {
		return m(args), true
	}
	return nil, false
}

// member returns a property.
func (s *shell) member(n *node, v any, name string) any {
	switch x := v.(type) {
	case nil:
		return nil
	case *table:
		switch name {
		case "keys":
			return anys(x.keys)
		case "values":
			return slices.Clone(x.values)
		}
		return x.get(name)
	case []any:
		if name == "count" {
			return len(x)
		}
	case string:
		if name == "length" {
			return len([]rune(x))
		}
	case *thrown:
		switch name {
		case "exception":
			return &object{properties: map[string]any{"message": x.message}, methods: map[string]func([]any) any{
				"getbaseexception": func([]any) any { return &object{properties: map[string]any{"message": x.message}} }}}
		case "invocationinfo":
			return &object{properties: map[string]any{"scriptlinenumber": x.line}}
		}
	case gettable:
		if value, ok := x.get(name); ok {
			return value
		}
	}
	s.t.Fatalf("line %d: %T has no property %s", n.Line, v, name)
	return nil
}

// call calls a method.
func (s *shell) call(n *node, v any, name string, args []any) any {
	switch x := v.(type) {
	case *table:
		if name == "containskey" {
			return x.at(text(args[0])) >= 0
		}
	case string:
		switch name {
		case "trim":
			return strings.TrimSpace(x)
		case "trimend":
			return strings.TrimRight(x, text(args[0]))
		case "replace":
			return strings.ReplaceAll(x, text(args[0]), text(args[1]))
		case "substring":
			letters := []rune(x)
			if len(args) == 2 {
				return string(letters[args[0].(int) : args[0].(int)+args[1].(int)])
			}
			return string(letters[args[0].(int):])
		case "tostring":
			return x
		}
	case callable:
		if value, ok := x.call(name, args); ok {
			return value
		}
	}
	s.t.Fatalf("line %d: %T has no method %s", n.Line, v, name)
	return nil
}

func anys[T any](list []T) (all []any) {
	for _, v := range list {
		all = append(all, v)
	}
	return all
}
