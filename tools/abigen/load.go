package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"
)

// group is one const declaration of package abi.
type group struct {
	doc    string // the declaration's comment
	consts []record
}

// record is one exported constant.
type record struct {
	name string // as in Go, such as RecordQoS
	typ  string // its named type, such as Verdict; "" if it is untyped
	doc  string // the comment above or behind it
	val  constant.Value
}

// hostOnly are the types whose constants no guest needs: value types of
// signatures, capabilities and parsed destinations.
var hostOnly = map[string]bool{"ValueType": true, "Capability": true, "DestinationKind": true}

// load reads the exported constants of the package in dir, in the order of its
// files and of the declarations in them.
func load(dir string) ([]group, error) {
	fset := token.NewFileSet()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(fset, name, src, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no Go files there; run abigen in the repository's root or give -root", dir)
	}
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}}
	// Constants depend on nothing outside the package, so imports are stood in
	// for by empty packages and what the checker says about them is ignored.
	conf := types.Config{Importer: hollow{}, Error: func(error) {}, IgnoreFuncBodies: true}
	conf.Check("abi", fset, files, info) //nolint:errcheck // see above; collect checks every value
	var groups []group
	for _, file := range files {
		for _, d := range file.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok || decl.Tok != token.CONST {
				continue
			}
			g, err := collect(decl, info)
			if err != nil {
				return nil, err
			}
			if len(g.consts) > 0 {
				groups = append(groups, g)
			}
		}
	}
	return groups, nil
}

func collect(decl *ast.GenDecl, info *types.Info) (group, error) {
	g := group{doc: decl.Doc.Text()}
	alone := !decl.Lparen.IsValid()
	if alone {
		g.doc = ""
	}
	for _, s := range decl.Specs {
		spec := s.(*ast.ValueSpec)
		doc := spec.Doc.Text() + spec.Comment.Text()
		if alone {
			doc = decl.Doc.Text()
		}
		for _, ident := range spec.Names {
			obj, ok := info.Defs[ident].(*types.Const)
			if !ok || !ident.IsExported() {
				continue
			}
			c := record{name: ident.Name, doc: doc, val: obj.Val()}
			if named, ok := obj.Type().(*types.Named); ok {
				c.typ = named.Obj().Name()
			}
			if hostOnly[c.typ] {
				continue
			}
			if k := c.val.Kind(); k != constant.Int && k != constant.String {
				return g, fmt.Errorf("abi.%s has no value that can be copied: %v", c.name, c.val)
			}
			g.consts = append(g.consts, c)
			doc = ""
		}
	}
	return g, nil
}

// hollow imports every package as an empty one.
type hollow struct{}

func (hollow) Import(path string) (*types.Package, error) {
	p := types.NewPackage(path, filepath.Base(path))
	p.MarkComplete()
	return p, nil
}
