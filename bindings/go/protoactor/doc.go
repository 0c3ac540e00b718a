// Package protoactor has no code: its tests show that Proto.Actor's own Go module decodes what this project encodes, and that both
// live in one program. It is a module of its own, so that nobody else needs Proto.Actor.
package protoactor
