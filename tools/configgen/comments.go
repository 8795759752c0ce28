package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"github.com/weftrun/weft/runtime/config"
)

// declared is a struct as its source has it.
type declared struct {
	doc    string
	fields []fieldDoc
}

// fieldDoc is a field: of is the type that it has, or is a list or mapping of, below what
// stands between its key and the keys of that type. about is the field that the comment
// belongs to.
type fieldDoc struct{ name, key, doc, about, of, below string }

// comments reads the documentation comments of the structs in a folder, in the words of
// the file and not of Go: fields by their keys, absent for nil.
func comments(folder string) (config.Docs, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	structs := map[string]declared{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("reading the comments of %s: %w", file, err)
		}
		for _, decl := range parsed.Decls {
			if types, ok := decl.(*ast.GenDecl); ok && types.Tok == token.TYPE {
				collect(types, structs)
			}
		}
	}
	at := paths(structs)
	docs := config.Docs{}
	for name, s := range structs {
		docs[name] = inKeys(s.doc, s.fields, at, name)
		for _, f := range s.fields {
			docs[name+"."+f.name] = inKeys(f.doc, namesIn(s, structs[f.of]), at, f.about)
		}
	}
	return docs, nil
}

// collect notes the structs of a declaration. A field without a comment has that of the
// field above it, which is about both.
func collect(types *ast.GenDecl, structs map[string]declared) {
	for _, spec := range types.Specs {
		t, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		body, ok := t.Type.(*ast.StructType)
		if !ok {
			continue
		}
		doc := t.Doc
		if doc == nil {
			doc = types.Doc
		}
		s := declared{doc: doc.Text()}
		above, about := s.doc, t.Name.Name
		for _, f := range body.Fields.List {
			if f.Tag == nil || len(f.Names) != 1 {
				continue
			}
			key := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("koanf")
			if key == "" || key == "-" {
				continue
			}
			if f.Doc != nil {
				above, about = f.Doc.Text(), f.Names[0].Name
			}
			of, below := elementOf(f.Type)
			s.fields = append(s.fields, fieldDoc{f.Names[0].Name, key, above, about, of, below})
		}
		structs[t.Name.Name] = s
	}
}

// elementOf is the name of the type that a field has, or is a list or mapping of.
func elementOf(t ast.Expr) (name, below string) {
	switch t := t.(type) {
	case *ast.StarExpr:
		return elementOf(t.X)
	case *ast.ArrayType:
		name, _ = elementOf(t.Elt)
		return name, "[]."
	case *ast.MapType:
		name, _ = elementOf(t.Value)
		return name, ".NAME."
	case *ast.Ident:
		return t.Name, "."
	}
	return "", "."
}

// paths are the keys under which structs stand first: Sessions is session.
func paths(structs map[string]declared) map[string]string {
	at := map[string]string{"Config": ""}
	for todo := []string{"Config"}; len(todo) > 0; todo = todo[1:] {
		for _, f := range structs[todo[0]].fields {
			if _, known := at[f.of]; known || structs[f.of].fields == nil {
				continue
			}
			at[f.of] = at[todo[0]] + f.key + f.below
			todo = append(todo, f.of)
		}
	}
	return at
}

var (
	word   = regexp.MustCompile(`\b[A-Z][A-Za-z0-9]*(\.[A-Z][A-Za-z0-9]*)*\b(-[A-Z])?`)
	absent = regexp.MustCompile(`\b([Nn])il\b`)
	keyed  = regexp.MustCompile(`([a-z0-9])([A-Z])`)
)

// namesIn are the fields that a comment may name: those beside it, and those of what it
// is about.
func namesIn(s, of declared) []fieldDoc {
	names := append([]fieldDoc{}, s.fields...)
	for _, f := range of.fields {
		known := false
		for _, own := range s.fields {
			known = known || own.name == f.name
		}
		if !known {
			names = append(names, f)
		}
	}
	return names
}

// inKeys is a comment in the words of the file, on one line. about is the name of what it
// is about: that is the key where it comes first, and a word where it comes again (TLS
// puts TLS under the frames).
func inKeys(doc string, fields []fieldDoc, at map[string]string, about string) string {
	doc = strings.Join(strings.Fields(doc), " ")
	first := true
	doc = word.ReplaceAllStringFunc(doc, func(name string) string {
		subject := first
		first = false
		for _, f := range fields {
			if f.name == name && (subject || name != about && name != strings.ToUpper(name)) {
				return "`" + f.key + "`"
			}
		}
		kind, rest, dotted := strings.Cut(name, ".")
		if !dotted {
			return name
		}
		if path, known := at[kind]; known {
			return "`" + path + snake(rest) + "`"
		}
		return "`" + snake(name) + "`"
	})
	return absent.ReplaceAllStringFunc(doc, func(nil_ string) string {
		if nil_ == "Nil" {
			return "Absent"
		}
		return "absent"
	})
}

// snake is a Go name, or several divided by dots, as keys.
func snake(name string) string { return strings.ToLower(keyed.ReplaceAllString(name, "${1}_${2}")) }
