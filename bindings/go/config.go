//go:build cgo

package clustergossip

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config is settings by name; [Settings] lists all that there are. They are handed to the library as they are, so a setting of a
// newer library needs no newer binding. A value may be
//
//   - a string, in the library's own notation,
//   - a bool ("on", "off"), an integer or a float, which has the setting's own unit,
//   - a [time.Duration],
//   - a []string, whose items get commas between them,
//   - a map[string]string, which becomes "name=value,name=value",
//   - anything with a String method, such as a netip.AddrPort,
//   - nil, which leaves the default.
type Config map[string]any

// Setting is a row of the library's table of settings.
type Setting struct {
	Name string
	// Type is "text", "list", "integer", "duration", "size" or "choice".
	Type string
	// Unit is what a bare number counts: "ms", "bytes" or "".
	Unit    string
	Default string
	// Bounds are "1..100", or the choices with spaces between them, or words.
	Bounds string
	// Text says what it is for.
	Text string
	// Live is true if Reconfigure can change it.
	Live bool
	// Secret is true if its value is never shown.
	Secret bool
}

// setting is a name and a value as the library takes them.
type setting struct {
	name, value string
}

// settings gives them in the order of their names, so that of several errors it is always the same one that is reported.
func (c Config) settings() ([]setting, error) {
	list := make([]setting, 0, len(c))
	for name, value := range c {
		if value == nil {
			continue
		}
		text, err := settingText(value)
		if err != nil {
			return nil, newError(ErrInvalidArgument, fmt.Sprintf("setting %s: %v", name, err))
		}
		list = append(list, setting{name, text})
	}
	slices.SortFunc(list, func(a, b setting) int { return strings.Compare(a.name, b.name) })
	return list, nil
}

// settingText gives a setting's value as the library reads it.
func settingText(value any) (string, error) {
	switch value := value.(type) {
	case string:
		return value, nil
	case time.Duration:
		return durationText(value), nil
	case []string:
		return joined(value)
	case map[string]string:
		items := make([]string, 0, len(value))
		for name, each := range value {
			items = append(items, name+"="+each)
		}
		slices.Sort(items)
		return joined(items)
	case fmt.Stringer:
		return value.String(), nil
	}
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.String:
		return v.String(), nil
	case reflect.Bool:
		if v.Bool() {
			return "on", nil
		}
		return "off", nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10), nil
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'f', -1, 64), nil
	}
	return "", fmt.Errorf("a value of type %T cannot be written as text", value)
}

func joined(items []string) (string, error) {
	for _, item := range items {
		if strings.Contains(item, ",") {
			// It would silently become two items.
			return "", fmt.Errorf("%q contains a comma, which separates items", item)
		}
	}
	return strings.Join(items, ","), nil
}

// durationText writes it exactly: what is finer than the library can do it shall refuse, not get rounded.
func durationText(d time.Duration) string {
	sign := ""
	ns := uint64(d)
	if d < 0 {
		sign, ns = "-", -ns
	}
	text := sign + strconv.FormatUint(ns/1e6, 10)
	if rest := ns % 1e6; rest != 0 {
		text += "." + strings.TrimRight(fmt.Sprintf("%06d", rest), "0")
	}
	return text + "ms"
}
