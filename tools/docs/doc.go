// Command docs runs what the documents tell people to type. It reads README.md, the
// guides and the READMEs of the examples, takes every block of commands and every
// configuration in the order in which a reader meets them, and runs them against a real
// weft, in a scratch folder and on the ports that the documents name. What a document
// shows as output has to be printed.
//
//	go run ./tools/docs                     # every document
//	go run ./tools/docs README.md           # one of them
//	go run ./tools/docs -list               # the blocks, and what is done with each
//	go run ./tools/docs -scene MQTT         # the scenes with this in their names
//
// CONTRIBUTING.md says how a command is written in a document.
//
// As root on Linux it runs in a network of its own, where every port is free and nobody
// is disturbed; -host takes the machine's.
package main
