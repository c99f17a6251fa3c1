package script_test

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// command carries out a command; input is what comes through the pipe.
func (s *shell) command(n *node, input []any) any {
	name := n
	if n.Type == "command" {
		name = n.Children[0]
		if name.Text == "&" {
			name = n.Children[1]
		}
	}
	args, named := s.elements(n)
	if name.Type == "variable" {
		return s.within(map[string]any{}, s.value(name).(*block).body)
	}
	if f := s.functions[strings.ToLower(name.Text)]; f != nil {
		if len(named.keys) > 0 {
			s.t.Fatalf("line %d: the script calls its functions by place, not by name: %s", n.Line, n.Text)
		}
		return s.invoke(n, f, args)
	}
	if strings.EqualFold(name.Text, "Where-Object") {
		return s.where(args[0].(*block), input)
	}
	run, ok := commands[strings.ToLower(name.Text)]
	if !ok {
		s.t.Fatalf("line %d: there is no command %s", n.Line, name.Text)
	}
	return run(s.windows, call{n.Line, args, named, input})
}

// call is a call of one of Windows' commands.
type call struct {
	line  int
	args  []any
	named *table
	input []any
}

// switches are parameters that take no value.
var switches = []string{"-assecurestring", "-force", "-notypeinformation"}

// elements returns the arguments of a command: by place, and by name.
func (s *shell) elements(n *node) (args []any, named *table) {
	named = &table{}
	list := n.child("command_elements")
	if list == nil {
		return nil, named
	}
	parameter := ""
	for _, c := range list.Children {
		switch {
		case strings.TrimSpace(c.Text) == "":
		case c.Type == "command_parameter" && slices.Contains(switches, strings.ToLower(c.Text)):
			named.put(c.Text[1:], true)
		case c.Type == "command_parameter":
			parameter = c.Text[1:]
		case c.Text[0] == '@' && c.Type == "variable":
			splat := s.lookup(&node{Type: "variable", Text: c.Text[1:], Line: c.Line}).(*table)
			for i, key := range splat.keys {
				named.put(key, splat.values[i])
			}
		case parameter != "":
			named.put(parameter, s.value(c))
			parameter = ""
		default:
			args = append(args, s.value(c))
		}
	}
	return args, named
}

func (s *shell) pipeline(n *node) any {
	out := elements(s.value(n.Children[0]))
	var v any = out
	for i := 2; i < len(n.Children); i += 2 {
		v = s.command(n.Children[i], out)
		out = elements(orNull(v))
	}
	return v
}

func (s *shell) where(b *block, input []any) any {
	var out []any
	for _, v := range input {
		if truth(orNull(s.within(map[string]any{"_": v}, b.body))) {
			out = append(out, v)
		}
	}
	return collapse(out)
}

// commands are the commands of Windows that the script uses.
var commands = map[string]func(*windows, call) any{
	"add-type": func(w *windows, c call) any {
		w.assemblies = append(w.assemblies, text(c.named.get("AssemblyName")))
		return nothing
	},
	"import-module": func(w *windows, c call) any {
		w.check(c.args[0] == "ActiveDirectory", "the module %v", c.args)
		w.directory.imported = true
		return nothing
	},
	"get-aduser":   func(w *windows, c call) any { return w.directory.users(w, c) },
	"get-adgroup":  func(w *windows, c call) any { return w.directory.group(w, c) },
	"get-adobject": func(w *windows, c call) any { return w.directory.object(w, c) },
	"join-path":    func(_ *windows, c call) any { return filepath.Join(text(c.args[0]), text(c.args[1])) },
	"test-path": func(_ *windows, c call) any {
		_, err := os.Stat(text(c.named.get("LiteralPath")))
		return err == nil
	},
	"remove-item": func(_ *windows, c call) any { return orThrow(c, os.Remove(text(c.named.get("LiteralPath")))) },
	"move-item": func(_ *windows, c call) any {
		return orThrow(c, os.Rename(text(c.named.get("LiteralPath")), text(c.named.get("Destination"))))
	},
	"read-host":     func(w *windows, _ call) any { return w.typed },
	"write-host":    func(w *windows, c call) any { w.screen = append(w.screen, text(c.args[0])); return nothing },
	"write-warning": func(w *windows, c call) any { w.screen = append(w.screen, "WARNING: "+text(c.args[0])); return nothing },
	"start-sleep": func(w *windows, c call) any {
		w.slept = append(w.slept, time.Duration(c.named.get("Seconds").(int))*time.Second)
		return nothing
	},
	"out-null":         func(*windows, call) any { return nothing },
	"convertto-csv":    func(_ *windows, c call) any { return anys(csvLines(c.input)) },
	"convertfrom-json": func(_ *windows, c call) any { return fromJSON(c) },
	"icacls.exe":       func(w *windows, c call) any { return w.icacls(c) },
}

func orThrow(c call, err error) any {
	if err != nil {
		panic(&thrown{err.Error(), c.line})
	}
	return nothing
}

// csvLines writes objects as ConvertTo-Csv does: everything in quotes, the header from the first.
func csvLines(rows []any) (lines []string) {
	quoted := func(fields []string) string {
		for i := range fields {
			fields[i] = `"` + strings.ReplaceAll(fields[i], `"`, `""`) + `"`
		}
		return strings.Join(fields, ",")
	}
	for i, row := range rows {
		if i == 0 {
			lines = append(lines, quoted(slices.Clone(row.(*table).keys)))
		}
		var fields []string
		for _, key := range rows[0].(*table).keys {
			fields = append(fields, text(row.(*table).get(key)))
		}
		lines = append(lines, quoted(fields))
	}
	return lines
}

// readCSV reads what the script wrote: rows by column.
func readCSV(file string) (rows []map[string]string, err error) {
	all, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(file, "\uFEFF"))).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, fields := range all[1:] {
		row := map[string]string{}
		for i, field := range fields {
			row[all[0][i]] = field
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func fromJSON(c call) any {
	var v map[string]any
	if err := json.Unmarshal([]byte(text(c.args[0])), &v); err != nil {
		panic(&thrown{"Invalid JSON: " + err.Error(), c.line})
	}
	made := &table{}
	for key, value := range v {
		if number, ok := value.(float64); ok {
			value = int(number)
		}
		made.put(key, value)
	}
	return made
}
