//go:build cgo

package clustergossip

import (
	"bytes"
	"math"
)

// Value is what an entry is set to and read as: one of [Bytes], [Text], [Bool], [Int], [Float] and [Message]. The members
// of other languages read it as their own language's type, and what they wrote is read here as one of these.
//
//	switch value := entry.Value.(type) {
//	case clustergossip.Text:
//		fmt.Println("a text:", string(value))
//	case clustergossip.Int:
//		fmt.Println("a number:", int64(value))
//	}
type Value interface {
	isValue()
}

// Bytes are plain bytes.
type Bytes []byte

// Text is a text in UTF-8.
type Text string

// Bool is a boolean.
type Bool bool

// Int is an integer of 64 bits.
type Int int64

// Float is a floating-point number of 64 bits.
type Float float64

// Message is a value of any other type, a google.protobuf.Any; the module clustergossip/pb makes protobuf messages of it.
type Message struct {
	// TypeURL such as "type.googleapis.com/shop.Order": 1 to 255 bytes.
	TypeURL string
	// Bytes are the encoded message.
	Bytes []byte
}

func (Bytes) isValue()   {}
func (Text) isValue()    {}
func (Bool) isValue()    {}
func (Int) isValue()     {}
func (Float) isValue()   {}
func (Message) isValue() {}

// Equal says whether two values are of the same type and the same; floats by their bits, so that NaN is equal to itself.
// (== panics for Bytes and Messages.)
func Equal(a, b Value) bool {
	switch a := a.(type) {
	case Bytes:
		b, same := b.(Bytes)
		return same && bytes.Equal(a, b)
	case Float:
		b, same := b.(Float)
		return same && math.Float64bits(float64(a)) == math.Float64bits(float64(b))
	case Message:
		b, same := b.(Message)
		return same && a.TypeURL == b.TypeURL && bytes.Equal(a.Bytes, b.Bytes)
	}
	switch b.(type) {
	case Bytes, Message:
		return false
	}
	return a == b
}
