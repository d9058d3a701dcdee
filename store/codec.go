package store

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// codec says how to read a body. Each body is stored with its codec, so that SQL looks only into
// bodies that are JSON. SQL could not find out by trying, because a guard against errors does not
// work in parallel plans.
type codec int16

const (
	codecOther codec = iota // anything
	codecJSON               // JSON that jsonb can hold
	codecText               // JSON that jsonb cannot hold
)

func codecOf(body []byte) codec {
	switch {
	case !json.Valid(body) || !utf8.Valid(body):
		return codecOther
	case fitsJSONB(body):
		return codecJSON
	default:
		return codecText
	}
}

// These limits stay well within those of Postgres: 256 MB for the elements of an array, 131,072
// digits before the decimal point of a number and 16,383 after it, and a depth that its stack
// allows. Postgres writes numbers out, so 1e1000 takes 1001 digits.
const (
	maxJSONBBytes  = 16 << 20
	maxJSONBDepth  = 200
	maxJSONBNumber = 1000     // bytes of a number; also its greatest exponent
	maxJSONBDigits = 16 << 20 // digits that all exponents together write out
)

// fitsJSONB tells whether jsonb can hold body, which must be valid JSON.
func fitsJSONB(body []byte) bool {
	depth, digits := 0, 0
	for i := 0; i < len(body); {
		n := 1
		switch c := body[i]; {
		case c == '"':
			n = textLength(body[i:])
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == '-' || c >= '0' && c <= '9':
			length, exponent := number(body[i:])
			if length > maxJSONBNumber || exponent > maxJSONBNumber {
				return false
			}
			n, digits = length, digits+exponent
		}
		if n == 0 || depth > maxJSONBDepth || digits > maxJSONBDigits {
			return false
		}
		i += n
	}
	return len(body) <= maxJSONBBytes
}

// textLength returns the length of the string that the JSON text begins with. It returns 0 if the
// string contains the NUL character or half of a surrogate pair.
func textLength(text []byte) int {
	for i := 1; ; i++ {
		switch text[i] {
		case '"':
			return i + 1
		case '\\':
			i++
			if text[i] != 'u' {
				continue
			}
			switch unit := escaped(text[i+1:]); {
			case unit == 0, unit >= 0xdc00 && unit <= 0xdfff:
				return 0
			case unit < 0xd800 || unit > 0xdbff:
				i += 4
			case text[i+5] == '\\' && text[i+6] == 'u' && escaped(text[i+7:])>>10 == 0xdc00>>10:
				i += 10
			default:
				return 0
			}
		}
	}
}

// escaped returns the UTF-16 unit that four hexadecimal digits stand for.
func escaped(digits []byte) uint64 {
	unit, _ := strconv.ParseUint(string(digits[:4]), 16, 16) // valid JSON has digits here
	return unit
}

// number returns the length of the number that the JSON text begins with, and the size of its
// exponent.
func number(text []byte) (length, exponent int) {
	for length < len(text) && strings.IndexByte("+-.0123456789eE", text[length]) >= 0 {
		length++
	}
	if e := bytes.IndexAny(text[:length], "eE"); e >= 0 {
		power, err := strconv.Atoi(string(text[e+1 : length]))
		if err != nil {
			return length, maxJSONBNumber + 1
		}
		exponent = max(power, -power)
	}
	return length, exponent
}
