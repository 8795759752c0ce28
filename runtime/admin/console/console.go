// Package console is the page that shows an operator what weft does: its source in
// src, built by ./build into dist, which is part of the binary.
package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed dist
var built embed.FS

// Prefix is the path under which the handler expects to be.
const Prefix = "/console/"

// hashed is the folder of files whose names have the hash of what is in them.
const hashed = "assets/"

// policy lets the page load what this server has, run no script and no style that is not
// in a file of its own, talk to this server alone, and be in nobody's frame.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; manifest-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// file is one built file, as it is sent.
type file struct {
	kind   string // its Content-Type
	tag    string // its ETag
	plain  []byte
	packed []byte // by gzip; nil where that is not shorter
	cache  string
}

// handler answers from memory: what is not in files does not exist, whatever a path
// looks like.
type handler struct {
	files map[string]*file
	index *file
}

// New returns the handler of everything under Prefix. It needs no credential: the page
// has no data of its own, and asks for a token where the API does. It fails where the
// binary was made without the built page.
func New() (http.Handler, error) {
	dist, err := fs.Sub(built, "dist")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	return newHandler(dist)
}

func newHandler(dist fs.FS) (http.Handler, error) {
	h := &handler{files: map[string]*file{}}
	err := fs.WalkDir(dist, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(dist, name)
		if err != nil {
			return err
		}
		h.files[name] = newFile(name, text)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("console: reading the built page: %w", err)
	}
	if h.index = h.files["index.html"]; h.index == nil {
		return nil, fmt.Errorf("console: dist/index.html: %w; build it by runtime/admin/console/build", fs.ErrNotExist)
	}
	return h, nil
}

// kinds are the types of what Vite writes; what a machine has in /etc/mime.types does not
// count.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".png": "image/png", ".json": "application/json",
}

func newFile(name string, text []byte) *file {
	sum := sha256.Sum256(text)
	f := &file{plain: text, tag: `"` + hex.EncodeToString(sum[:12]) + `"`, cache: "no-cache"}
	if strings.HasPrefix(name, hashed) {
		f.cache = "public, max-age=31536000, immutable"
	}
	if f.kind = kinds[path.Ext(name)]; f.kind == "" {
		f.kind = mime.TypeByExtension(path.Ext(name))
	}
	if f.kind == "" {
		f.kind = "application/octet-stream"
	}
	var packed bytes.Buffer
	zip, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression) // the level is a valid one
	_, _ = zip.Write(text)                                       // a Buffer takes everything
	_ = zip.Close()
	if packed.Len() < len(text) {
		f.packed = packed.Bytes()
	}
	return f
}

// ServeHTTP answers a file, or the page for a path that is one of its views.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "the console's files are only read: GET, HEAD", http.StatusMethodNotAllowed)
		return
	}
	name, under := strings.CutPrefix(r.URL.Path, Prefix)
	f := h.files[name]
	if name == "" {
		f = h.index
	}
	if under && f == nil && isView(name) && navigates(r) {
		f = h.index
	}
	if !under || f == nil {
		header.Set("Cache-Control", "no-store")
		http.Error(w, "the console has no such file; "+Prefix+" is its first page", http.StatusNotFound)
		return
	}
	f.send(w, r)
}

// isView tells whether a path can be a view of the page: it is in no folder of files, and
// climbs nowhere.
func isView(name string) bool {
	return !strings.HasPrefix(name, hashed) && !strings.Contains(name, "..") && !strings.ContainsAny(name, "\\\x00")
}

// navigates tells whether a browser wants a page to show, and not a script, a picture or
// data that is not here.
func navigates(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" && mode != "navigate" {
		return false
	}
	return r.Method == http.MethodGet && WantsPage(r)
}

// WantsPage tells whether a request asks for HTML, as browsers do when somebody enters an
// address.
func WantsPage(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

func (f *file) send(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", f.kind)
	header.Set("Cache-Control", f.cache)
	header.Set("Vary", "Accept-Encoding")
	body, tag := f.plain, f.tag
	if f.packed != nil && takesGzip(r.Header.Get("Accept-Encoding")) {
		header.Set("Content-Encoding", "gzip")
		body, tag = f.packed, strings.TrimSuffix(f.tag, `"`)+`-gzip"`
	}
	header.Set("ETag", tag)
	if hasTag(r.Header.Get("If-None-Match"), tag) {
		header.Del("Content-Type")
		header.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) // a browser that is gone cannot be told
}

// takesGzip reads an Accept-Encoding header (RFC 9110, section 12.5.3).
func takesGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		_, q, given := strings.Cut(weight, "=")
		value, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
		return !given || err == nil && value > 0
	}
	return false
}

// hasTag reads an If-None-Match header (RFC 9110, section 13.1.2: weak comparison).
func hasTag(header, tag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		if part = strings.TrimSpace(part); part == "*" || strings.TrimPrefix(part, "W/") == tag {
			return true
		}
	}
	return false
}
