package router_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/router"
)

// values is what the templates of these tests are filled with.
func values(pairs ...string) *router.AttributeValues {
	var block abi.Attributes
	for i := 0; i < len(pairs); i += 2 {
		block = block.AppendString(pairs[i], pairs[i+1])
	}
	return &router.AttributeValues{First: block}
}

func TestTemplate(t *testing.T) {
	for _, c := range []struct {
		parse      func(string) (*router.Template, error)
		text, want string
	}{
		{router.TopicTemplate, "truck/{identity}/telemetry", "truck/7/telemetry"},
		{router.TopicTemplate, "{identity}", "7"},
		{router.TopicTemplate, "{identity}{identity}/x-{site}", "77/x-north"},
		{router.TopicTemplate, "in/{path...}", "in/a/b"},
		{router.TopicTemplate, "{{x}}/{identity}", "{x}/7"},
		{router.TopicTemplate, "raw/trucks", "raw/trucks"},
		{router.TopicTemplate, "money/{dollar}", "money/$x"},
		{router.PatternTemplate, "truck/{identity}/in/#", "truck/7/in/#"},
		{router.PatternTemplate, "+/{identity}/*", "+/7/*"},
		{router.TextTemplate, "{path}", "a/b"},
		{router.TextTemplate, "{hostile}", "7/#"},
		{router.RawTemplate, "ACK: {zero}{empty}", "ACK: a\x00b"},
		{router.TextTemplate, "{tls.cn}", "cn"},
	} {
		template, err := c.parse(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		v := values("identity", "7", "site", "north", "path", "a/b", "hostile", "7/#", "dollar", "$x", "zero", "a\x00b", "empty", "", "tls.cn", "cn")
		got, err := template.Append([]byte("before "), v)
		if err != nil || string(got) != "before "+c.want {
			t.Errorf("%q: got %q, %v, want %q", c.text, got, err, c.want)
		}
		if template.Fixed() != !strings.Contains(strings.ReplaceAll(c.text, "{{", ""), "{") || template.String() != c.text {
			t.Errorf("%q: fixed %t, text %q", c.text, template.Fixed(), template.String())
		}
	}
}

// TestTemplateKeepsItsLevels is the security side: what a client calls itself
// must not reach into another's topics.
func TestTemplateKeepsItsLevels(t *testing.T) {
	for _, c := range []struct {
		parse       func(string) (*router.Template, error)
		text, value string
		want        error
	}{
		{router.TopicTemplate, "truck/{id}/telemetry", "7/#", router.ErrUnsafe},
		{router.TopicTemplate, "truck/{id}/telemetry", "7/x", router.ErrUnsafe},
		{router.PatternTemplate, "truck/{id}/in/#", "+", router.ErrUnsafe},
		{router.PatternTemplate, "truck/{id}/in/#", "*", router.ErrUnsafe},
		{router.PatternTemplate, "truck/{id}", "#", router.ErrUnsafe},
		{router.PatternTemplate, "truck/{id}", "a+", router.ErrUnsafe},
		{router.PatternTemplate, "truck/{id...}", "a/#", router.ErrUnsafe},
		{router.TopicTemplate, "truck/{id...}", "a/+/b", router.ErrUnsafe},
		{router.TopicTemplate, "truck/{id}", "a\x00", router.ErrUnsafe},
		{router.TopicTemplate, "{id}/x", "$SYS", router.ErrUnsafe},
		{router.TopicTemplate, "{id...}", "$SYS/x", router.ErrUnsafe},
		{router.TextTemplate, "{id}", "a\x00b", router.ErrUnsafe},
		{router.TopicTemplate, "truck/{id}", "", router.ErrMissing},
		{router.TopicTemplate, "truck/{other}", "x", router.ErrMissing},
		{router.TopicTemplate, "truck/{id}/{id}", strings.Repeat("x", 40000), router.ErrTooLong},
	} {
		template, err := c.parse(c.text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := template.Append([]byte("kept"), values("id", c.value))
		if !errors.Is(err, c.want) || string(got) != "kept" {
			t.Errorf("%q with %.20q: got %.40q, %v, want %v", c.text, c.value, got, err, c.want)
		}
	}
}

func TestTemplateRefuses(t *testing.T) {
	for _, c := range []struct {
		parse        func(string) (*router.Template, error)
		text, remedy string
	}{
		{router.TopicTemplate, "", "empty"},
		{router.TopicTemplate, "a/{id", "offset 2 is not closed"},
		{router.TopicTemplate, "a/id}", "} without { at offset 4"},
		{router.TopicTemplate, "a/{}", "expected a name"},
		{router.TopicTemplate, "a/{...}", "expected a name"},
		{router.TopicTemplate, "a/{b c}", "expected a name"},
		{router.TopicTemplate, "a/{b/c}", "expected a name"},
		{router.TopicTemplate, "a/#", "wildcards belong in patterns"},
		{router.PatternTemplate, "a/{id}#", "whole level"},
		{router.PatternTemplate, "#/{id}", "end the pattern there"},
	} {
		if _, err := c.parse(c.text); !errors.Is(err, router.ErrTemplate) || !strings.Contains(err.Error(), c.remedy) {
			t.Errorf("%q: got %v, want %q in it", c.text, err, c.remedy)
		}
	}
}

func TestTemplateNames(t *testing.T) {
	template, err := router.TopicTemplate("{b}/{a}/{b}/{c...}")
	if err != nil {
		t.Fatal(err)
	}
	if got := template.Names(); !slices.Equal(got, []string{"b", "a", "c"}) {
		t.Errorf("got %v", got)
	}
}

func TestTemplateAppendDoesNotAllocate(t *testing.T) {
	template, err := router.TopicTemplate("truck/{identity}/telemetry/{site}")
	if err != nil {
		t.Fatal(err)
	}
	v := values("identity", "truck-7")
	dst := make([]byte, 0, 64)
	v.Second = values("site", "north").First
	if n := testing.AllocsPerRun(100, func() {
		if _, err := template.Append(dst[:0], v); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	bad := values("identity", "7/#")
	if n := testing.AllocsPerRun(100, func() {
		if _, err := template.Append(dst[:0], bad); err == nil {
			t.Fatal("no error")
		}
	}); n != 0 {
		t.Errorf("%v allocations for a refusal", n)
	}
}

// FuzzTemplate checks that whatever a client calls itself, the result has the
// levels of the template and matches the pattern that the operator thinks of.
func FuzzTemplate(f *testing.F) {
	f.Add("truck/{id}/telemetry", "7")
	f.Add("truck/{id}/telemetry", "7/#")
	f.Add("{id}/{id...}", "$a")
	f.Add("a/{{}}{id}", "+")
	f.Fuzz(func(t *testing.T, text, value string) {
		if len(value) > abi.MaxAttribute {
			return
		}
		template, err := router.TopicTemplate(text)
		if err != nil {
			return
		}
		got, err := template.Append(nil, values("id", value))
		if err != nil {
			if len(got) > 0 {
				t.Fatalf("%q came with %v", got, err)
			}
			return
		}
		reference, err := template.Append(nil, values("id", "x"))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, "...}") {
			return
		}
		if a, b := strings.Count(string(got), "/"), strings.Count(string(reference), "/"); a != b {
			t.Fatalf("%q with %q: %q has %d levels, want %d", text, value, got, a+1, b+1)
		}
		if text[0] == '{' && text[:2] != "{{" && got[0] == '$' {
			t.Fatalf("%q with %q begins with $", text, value)
		}
		if err := router.ValidateTopic(got); err != nil && strings.Contains(err.Error(), "wildcard") {
			t.Fatalf("%q with %q: %v", text, value, err)
		}
	})
}
