package plugins

import (
	"slices"
	"strings"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins/module"
)

func sameSignature(t module.FuncType, s abi.Signature) bool {
	same := func(a []module.ValueType, b []abi.ValueType) bool {
		return slices.EqualFunc(a, b, func(x module.ValueType, y abi.ValueType) bool { return byte(x) == byte(y) })
	}
	return same(t.Params, s.Params) && same(t.Results, s.Results)
}

func signature(s abi.Signature) string {
	list := func(types []abi.ValueType) string {
		var names []string
		for _, t := range types {
			names = append(names, t.String())
		}
		return "(" + strings.Join(names, ", ") + ")"
	}
	return list(s.Params) + " -> " + list(s.Results)
}

func typeText(t module.FuncType) string {
	var s abi.Signature
	for _, p := range t.Params {
		s.Params = append(s.Params, abi.ValueType(p))
	}
	for _, r := range t.Results {
		s.Results = append(s.Results, abi.ValueType(r))
	}
	return signature(s)
}
