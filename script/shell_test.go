package script_test

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// shell runs the generated script from its syntax tree: the part of PowerShell that the script uses, on a computer that is made up (see windows). It is
// stricter than PowerShell: a variable that was never set, an unknown command, type, member or operator ends the test.
type shell struct {
	t         *testing.T
	windows   *windows
	functions map[string]*node
	scopes    []map[string]any // the script's first; PowerShell looks variables up in the scopes of the callers
}

// thrown is an error of PowerShell's.
type thrown struct {
	message string
	line    int
}

// signal is how a statement ends.
type signal int

const (
	goesOn signal = iota
	continues
	returns
	exits
)

// nothing is what a command gives that writes nothing; not the same as $null.
var nothing = &struct{ _ int }{}

// block is a script block.
type block struct{ body *node }

// runScript runs a script with parameters, and returns its exit code.
func runScript(t *testing.T, tree *node, w *windows, parameters map[string]any) int {
	t.Helper()
	s := &shell{t: t, windows: w, functions: map[string]*node{}, scopes: []map[string]any{{}}}
	for _, f := range tree.all("function_statement") {
		s.functions[strings.ToLower(f.child("function_name").Text)] = f
	}
	for _, p := range tree.child("param_block").all("script_parameter") {
		name := variableName(p.child("variable").Text)
		value, given := parameters[name]
		if d := p.child("script_parameter_default"); !given && d != nil {
			value = s.value(d.Children[1])
		}
		s.scopes[0][name] = s.cast(p.child("type_literal").Text, value)
	}
	var out []any
	switch end := s.run(tree.child("statement_list"), &out); {
	case end != exits:
		t.Fatalf("the script ended without exit")
	case len(out) != 1:
		t.Fatalf("the script wrote %v", out)
	}
	return out[0].(int)
}

func variableName(text string) string { return strings.ToLower(strings.Trim(text, "${}")) }

func (s *shell) lookup(n *node) any {
	name := variableName(n.Text)
	if variable, ok := strings.CutPrefix(name, "env:"); ok {
		return s.windows.environment[strings.ToUpper(variable)]
	}
	for _, scope := range slices.Backward(s.scopes) {
		if v, ok := scope[name]; ok {
			return v
		}
	}
	v, ok := s.windows.automatic(name)
	if !ok {
		s.t.Fatalf("line %d: the variable %s was never set", n.Line, n.Text)
	}
	return v
}

// run carries out a statement. What it writes is appended to out.
func (s *shell) run(n *node, out *[]any) signal {
	switch n.Type {
	case "statement_list", "statement_block":
		for _, c := range n.Children {
			if end := s.run(c, out); end != goesOn {
				return end
			}
		}
	case "comment", "{", "}", ";", "function_statement":
	case "if_statement":
		return s.runIf(n, out)
	case "foreach_statement":
		return s.runForeach(n, out)
	case "try_statement":
		return s.runTry(n, out)
	case "continue":
		return continues
	case "flow_control_statement":
		return s.runFlow(n, out)
	case "assignment_expression":
		s.assign(n)
	default:
		emit(out, s.eval(n))
	}
	return goesOn
}

// emit writes a value as PowerShell does: an array element by element.
func emit(out *[]any, v any) {
	if list, ok := v.([]any); ok {
		*out = append(*out, list...)
	} else if v != nothing {
		*out = append(*out, v)
	}
}

// collapse is what a variable gets of what was written: nothing, one value, or an array.
func collapse(out []any) any {
	switch len(out) {
	case 0:
		return nothing
	case 1:
		return out[0]
	}
	return out
}

// value returns what stands right of an assignment.
func (s *shell) value(n *node) any {
	var out []any
	if n.Type == "foreach_statement" || n.Type == "if_statement" {
		s.run(n, &out)
		return orNull(collapse(out))
	}
	return orNull(s.eval(n))
}

func orNull(v any) any {
	if v == nothing {
		return nil
	}
	return v
}

func (s *shell) runIf(n *node, out *[]any) signal {
	if truth(s.value(n.Children[2])) {
		return s.run(n.child("statement_block"), out)
	}
	if e := n.child("else_clause"); e != nil {
		return s.run(e.child("statement_block"), out)
	}
	return goesOn
}

func (s *shell) runForeach(n *node, out *[]any) signal {
	// foreach ( variable in expression ) statement_block
	for _, v := range elements(s.value(n.Children[4])) {
		s.scopes[len(s.scopes)-1][variableName(n.Children[2].Text)] = v
		if end := s.run(n.child("statement_block"), out); end > continues {
			return end
		}
	}
	return goesOn
}

func (s *shell) runTry(n *node, out *[]any) (end signal) {
	if f := n.child("finally_clause"); f != nil {
		defer func() { s.run(f.child("statement_block"), out) }()
	}
	c := n.child("catch_clause")
	depth := len(s.scopes)
	defer func() {
		problem := recover()
		if problem == nil {
			return
		}
		e, ok := problem.(*thrown)
		if !ok {
			panic(problem)
		}
		s.scopes = s.scopes[:depth]
		s.scopes[depth-1]["_"] = e
		end = s.run(c.child("statement_block"), out)
	}()
	return s.run(n.child("statement_block"), out)
}

func (s *shell) runFlow(n *node, out *[]any) signal {
	switch n.Children[0].Type {
	case "throw":
		panic(&thrown{text(s.value(n.Children[1])), n.Line})
	case "return", "exit":
		if len(n.Children) > 1 {
			emit(out, s.eval(n.Children[1]))
		}
		if n.Children[0].Type == "exit" {
			return exits
		}
		return returns
	}
	s.t.Fatalf("line %d: %s is not known", n.Line, n.Text)
	return goesOn
}

func (s *shell) assign(n *node) {
	to, operator, v := n.Children[0], n.Children[1].Text, s.value(n.Children[2])
	if operator == "+=" {
		v = text(s.value(to)) + text(v)
	}
	switch to.Type {
	case "variable":
		name, scope := variableName(to.Text), s.scopes[len(s.scopes)-1]
		if bare, ok := strings.CutPrefix(name, "script:"); ok {
			name, scope = bare, s.scopes[0]
		}
		scope[name] = v
	case "element_access":
		s.value(to.Children[0]).(*table).put(text(s.value(to.Children[2])), v)
	case "member_access":
		if to.Children[1].Text == "::" {
			s.windows.setStatic(typeName(to.Children[0].Text), to.Children[2].Text, v)
			return
		}
		s.value(to.Children[0]).(settable).set(strings.ToLower(to.Children[2].Text), v)
	default:
		s.t.Fatalf("line %d: nothing can be assigned to %s", n.Line, to.Text)
	}
}

// eval returns the value of an expression or a command.
func (s *shell) eval(n *node) any {
	switch n.Type {
	case "variable", "braced_variable", "$_", "verbatim_string_characters", "expandable_string_literal", "decimal_integer_literal", "generic_token":
		return s.literal(n)
	case "parenthesized_expression":
		return orNull(s.eval(n.Children[1]))
	case "sub_expression", "array_expression":
		var out []any
		for _, c := range n.Children[1 : len(n.Children)-1] {
			s.run(c, &out)
		}
		if n.Type == "array_expression" {
			return out
		}
		return orNull(collapse(out))
	case "array_literal_expression":
		var list []any
		for i := 0; i < len(n.Children); i += 2 {
			list = append(list, s.value(n.Children[i]))
		}
		return list
	case "hash_literal_expression":
		return s.hash(n)
	case "cast_expression":
		return s.cast(n.Children[0].Text, s.value(n.Children[1]))
	case "script_block_expression":
		return &block{n}
	case "expression_with_unary_operator":
		return !truth(s.value(n.Children[1]))
	case "comparison_expression", "logical_expression", "additive_expression", "additive_argument_expression", "bitwise_expression":
		return s.operate(n)
	case "member_access", "element_access", "invokation_expression":
		return s.access(n)
	case "command", "command_name":
		return s.command(n, nil)
	case "pipeline_chain":
		return s.pipeline(n)
	}
	s.t.Fatalf("line %d: %s is not known: %s", n.Line, n.Type, n.Text)
	return nil
}

// literal returns the value of a variable, a text or a number.
func (s *shell) literal(n *node) any {
	switch n.Type {
	case "verbatim_string_characters":
		return strings.ReplaceAll(n.Text[1:len(n.Text)-1], "''", "'")
	case "expandable_string_literal":
		return s.expand(n)
	case "decimal_integer_literal":
		v, err := strconv.Atoi(n.Text)
		if err != nil {
			s.t.Fatal(err)
		}
		return v
	case "generic_token":
		return n.Text
	}
	return s.lookup(n)
}

var escapes = strings.NewReplacer("`n", "\n", "`$", "$", "`\"", "\"", "``", "`")

// expand returns a text in double quotes with what stands in it.
func (s *shell) expand(n *node) string {
	var b strings.Builder
	rest := n.Text[1 : len(n.Text)-1]
	for _, c := range n.Children {
		at := strings.Index(rest, c.Text)
		for at > 0 && rest[at-1] == '`' {
			at += 1 + strings.Index(rest[at+1:], c.Text)
		}
		b.WriteString(escapes.Replace(rest[:at]))
		b.WriteString(text(s.value(c)))
		rest = rest[at+len(c.Text):]
	}
	return b.String() + escapes.Replace(rest)
}

func (s *shell) hash(n *node) *table {
	made := &table{}
	for _, e := range n.all("hash_entry") {
		if owner := nearest(n, e); owner != n {
			continue
		}
		made.put(e.Children[0].Text, s.value(e.Children[2]))
	}
	return made
}

// nearest returns the hash literal at or below n to which an entry belongs.
func nearest(n, entry *node) *node {
	found := n
	for _, c := range n.all("hash_literal_expression") {
		if c != n && slices.Contains(c.all("hash_entry"), entry) {
			found = c
		}
	}
	return found
}

func (s *shell) cast(kind string, v any) any {
	switch typeName(kind) {
	case "string":
		return text(v)
	case "int", "long":
		switch x := v.(type) {
		case nil:
			return 0
		case int:
			return x
		case float64:
			return int(math.RoundToEven(x))
		}
	case "switch":
		return truth(v)
	case "scriptblock":
		return v.(*block)
	case "string[]":
		return elements(v)
	case "ordered", "pscustomobject":
		return v.(*table)
	}
	s.t.Fatalf("%T cannot be turned into %s", v, kind)
	return nil
}

// operate carries out an operator with two sides.
func (s *shell) operate(n *node) any {
	left, operator := s.value(n.Children[0]), strings.ToLower(n.Children[1].Text)
	switch operator {
	case "-and":
		return truth(left) && truth(s.value(n.Children[2]))
	case "-or":
		return truth(left) || truth(s.value(n.Children[2]))
	}
	right := s.value(n.Children[2])
	switch operator {
	case "-eq":
		return equal(left, right)
	case "-ne":
		return !equal(left, right)
	case "-le":
		return left.(int) <= right.(int)
	case "-gt":
		return left.(int) > right.(int)
	case "-ge":
		return left.(int) >= right.(int)
	case "-band":
		return left.(int) & right.(int)
	case "+":
		if list, ok := left.([]any); ok {
			return append(slices.Clone(list), elements(right)...)
		}
		return left.(int) + right.(int)
	case "-in":
		return slices.ContainsFunc(elements(right), func(v any) bool { return equal(v, left) })
	case "-notin":
		return !slices.ContainsFunc(elements(right), func(v any) bool { return equal(v, left) })
	case "-like":
		return regexp.MustCompile("(?is)^" + strings.ReplaceAll(regexp.QuoteMeta(right.(string)), `\*`, ".*") + "$").MatchString(text(left))
	case "-match":
		return regexp.MustCompile("(?i)" + right.(string)).MatchString(text(left))
	case "-cmatch":
		return regexp.MustCompile(right.(string)).MatchString(text(left))
	case "-notmatch":
		return !regexp.MustCompile("(?i)" + right.(string)).MatchString(text(left))
	case "-split":
		var list []any
		for _, part := range regexp.MustCompile(right.(string)).Split(text(left), -1) {
			list = append(list, part)
		}
		return list
	case "-join":
		var parts []string
		for _, v := range elements(left) {
			parts = append(parts, text(v))
		}
		return strings.Join(parts, text(right))
	}
	s.t.Fatalf("line %d: the operator %s is not known", n.Line, operator)
	return nil
}

// access returns a member, an element, or what a method returns.
func (s *shell) access(n *node) any {
	of := n.Children[0]
	var args []any
	if n.Type == "invokation_expression" {
		args = s.arguments(n.child("argument_list"))
	}
	if of.Type == "type_literal" {
		return s.windows.static(s, typeName(of.Text), strings.ToLower(n.Children[2].Text), args)
	}
	v := s.value(of)
	if n.Type == "element_access" {
		key := s.value(n.Children[2])
		if list, ok := v.([]any); ok {
			if i := key.(int); i < len(list) {
				return list[i]
			}
			return nil
		}
		return v.(*table).get(text(key))
	}
	name := n.Children[2].Text
	if n.Children[2].Type == "variable" {
		name = text(s.value(n.Children[2]))
	}
	if n.Type == "invokation_expression" {
		return s.call(n, v, strings.ToLower(name), args)
	}
	return s.member(n, v, strings.ToLower(name))
}

func (s *shell) arguments(list *node) []any {
	args := []any{}
	for _, c := range list.Children[1 : len(list.Children)-1] {
		if c.Type != "argument_expression_list" {
			args = append(args, s.value(c))
			continue
		}
		for i := 0; i < len(c.Children); i += 2 {
			args = append(args, s.value(c.Children[i]))
		}
	}
	return args
}

// invoke calls a function of the script's, with the arguments in the order of its parameters.
func (s *shell) invoke(n *node, f *node, args []any) any {
	scope := map[string]any{}
	if d := f.child("function_parameter_declaration"); d != nil {
		parameters := append(d.all("script_parameter"), bareParameters(d)...)
		slices.SortStableFunc(parameters, func(a, b *node) int { return strings.Index(d.Text, a.Text) - strings.Index(d.Text, b.Text) })
		if len(args) > len(parameters) {
			s.t.Fatalf("line %d: %s has too many arguments", n.Line, n.Text)
		}
		for i, p := range parameters {
			var v any
			if i < len(args) {
				v = args[i]
			}
			if p.Type == "script_parameter" {
				scope[variableName(p.child("variable").Text)] = s.cast(p.child("type_literal").Text, v)
			} else {
				scope[variableName(p.Text)] = v
			}
		}
	} else if len(args) > 0 {
		s.t.Fatalf("line %d: %s takes no arguments", n.Line, f.child("function_name").Text)
	}
	return s.within(scope, f)
}

// bareParameters returns the parameters without a type.
func bareParameters(d *node) (found []*node) {
	list := d
	if l := d.child("parameter_list"); l != nil {
		list = l
	}
	for _, c := range list.Children {
		if c.Type == "variable" {
			found = append(found, c)
		}
	}
	return found
}

// within runs what stands in the braces of a function or a block, in a scope of its own.
func (s *shell) within(scope map[string]any, of *node) any {
	s.scopes = append(s.scopes, scope)
	depth := len(s.scopes)
	var out []any
	inside := false
	for _, c := range of.Children {
		if c.Type == "{" {
			inside = true
		} else if inside && s.run(c, &out) == returns {
			break
		}
	}
	s.scopes = s.scopes[:depth-1]
	return collapse(out)
}

func text(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case bool:
		return map[bool]string{true: "True", false: "False"}[x]
	case []any:
		var parts []string
		for _, e := range x {
			parts = append(parts, text(e))
		}
		return strings.Join(parts, " ")
	}
	return fmt.Sprint(v)
}

func truth(v any) bool {
	switch x := v.(type) {
	case nil:
		return false
	case bool:
		return x
	case int:
		return x != 0
	case string:
		return x != ""
	case []any:
		return len(x) > 1 || len(x) == 1 && truth(x[0])
	}
	return true
}

func equal(a, b any) bool { return strings.EqualFold(text(a), text(b)) }

// elements returns what foreach goes through: the elements of an array, nothing of $null, else the one value; a hashtable is one.
func elements(v any) []any {
	switch x := v.(type) {
	case nil:
		return nil
	case []any:
		return x
	}
	return []any{v}
}

// typeName is a type's name in lower case, without brackets.
func typeName(literal string) string {
	literal = strings.ToLower(strings.ReplaceAll(literal, " ", ""))
	return strings.TrimSuffix(strings.TrimPrefix(literal, "["), "]")
}
