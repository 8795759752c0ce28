// Package build compiles plugins: it finds the toolchain of their language, says
// what to install where there is none, and attaches the manifest. tools/guests
// builds the guests of this repository with it, `weft plugin build` the projects
// of authors.
package build
