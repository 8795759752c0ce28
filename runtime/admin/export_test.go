package admin

import (
	"log/slog"
	"net/http"

	"github.com/weftrun/weft/runtime/tlsconf"
)

// NeedOf tells which roles may POST to a path, and whether that is written down.
func NeedOf(path string) (by map[string]bool, known bool) {
	r, err := http.NewRequest(http.MethodPost, path, http.NoBody)
	if err != nil {
		return nil, false
	}
	by = map[string]bool{}
	for role, name := range roleNames {
		by[name] = Role(role).may(needOf(r))
	}
	_, known = needs[path]
	return by, known
}

// ByCertificate is who has such a certificate.
func ByCertificate(a *Access, id tlsconf.Identity) (name string, role Role) {
	c := a.byCertificate(id)
	return c.name, c.role
}

// Asked is what an audit record says of a request.
func Asked(request any) slog.Attr { return asked(request) }
