package admin

// The code in weftv1 is generated from proto/ and committed; protogen -check
// fails when the two do not agree.
//go:generate go run github.com/weftrun/weft/tools/protogen
