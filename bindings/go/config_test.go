package clustergossip

import (
	"errors"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestSettingText(t *testing.T) {
	type word string
	for _, each := range []struct {
		value    any
		expected string
	}{
		{"as it is, ü", "as it is, ü"},
		{word("of a type of its own"), "of a type of its own"},
		{true, "on"},
		{false, "off"},
		{3, "3"},
		{int64(math.MinInt64), "-9223372036854775808"},
		{uint16(65535), "65535"},
		{0.5, "0.5"},
		{1e6, "1000000"},
		{300 * time.Millisecond, "300ms"},
		{90 * time.Minute, "5400000ms"},
		{1500 * time.Microsecond, "1.5ms"},
		{time.Nanosecond, "0.000001ms"},
		{-time.Second, "-1000ms"},
		{time.Duration(math.MinInt64), "-9223372036854.775808ms"},
		{[]string{"10.0.0.1:4711", "[::1]:1"}, "10.0.0.1:4711,[::1]:1"},
		{[]string{}, ""},
		{map[string]string{"zone": "a", "role": "web"}, "role=web,zone=a"},
		{netip.MustParseAddrPort("127.0.0.1:0"), "127.0.0.1:0"},
	} {
		found, err := settingText(each.value)
		if err != nil || found != each.expected {
			t.Errorf("%v: %q, %v, not %q", each.value, found, err, each.expected)
		}
	}
	for _, value := range []any{[]string{"a,b"}, map[string]string{"a": "b,c"}, []byte("bytes"), struct{}{}, []int{1}} {
		if found, err := settingText(value); err == nil {
			t.Errorf("%v is written as %q", value, found)
		}
		if _, err := Open(Config{"tags": value}); !errors.Is(err, ErrInvalidArgument) || !strings.Contains(err.Error(), "tags") {
			t.Errorf("%v: %v", value, err)
		}
	}
}

func TestConfigReachesTheNode(t *testing.T) {
	node, err := Open(Config{
		"cluster":         "settings",
		"id":              "määrä",
		"bind":            netip.MustParseAddrPort("127.0.0.1:0"),
		"tags":            map[string]string{"role": "web", "zone": "a"},
		"gossip_interval": 1500 * time.Millisecond,
		"gossip_fanout":   4,
		"max_value_size":  "64KiB",
		"log_level":       nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	if node.ID() != "määrä" {
		t.Errorf("id %q", node.ID())
	}
	self, err := node.Self()
	if err != nil || self.Tags["role"] != "web" || self.Tags["zone"] != "a" {
		t.Errorf("%+v, %v", self, err)
	}
	for name, expected := range map[string]string{"cluster": "settings", "gossip_fanout": "4", "log_level": "warn"} {
		if found, err := node.Setting(name); err != nil || found != expected {
			t.Errorf("%s is %q, %v, not %q", name, found, err, expected)
		}
	}
	if err := node.Reconfigure(Config{"gossip_fanout": 7, "tags": map[string]string{"role": "db"}}); err != nil {
		t.Error(err)
	}
	if found, err := node.Setting("gossip_fanout"); err != nil || found != "7" {
		t.Errorf("gossip_fanout is %q, %v", found, err)
	}
	for what, each := range map[string]struct {
		config Config
		status Status
	}{
		"not live":   {Config{"bind": "127.0.0.1:0"}, ErrNotLive},
		"unknown":    {Config{"gossip_fnout": 3}, ErrUnknownSetting},
		"bad":        {Config{"gossip_fanout": -1}, ErrBadSetting},
		"zero bytes": {Config{"tags": "a=\x00"}, ErrInvalidArgument},
	} {
		if err := node.Reconfigure(each.config); !errors.Is(err, each.status) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestOpenText(t *testing.T) {
	node, err := OpenText("# a comment\ncluster=text\n\nbind=127.0.0.1:0\nid=of the text")
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	if node.ID() != "of the text" {
		t.Errorf("id %q", node.ID())
	}
	_, err = OpenText("cluster=text\ngossip_fanout=many")
	if !errors.Is(err, ErrBadSetting) || !strings.Contains(err.Error(), "2") {
		t.Errorf("a bad line: %v", err)
	}
	if _, err := OpenText("cluster=a\x00b"); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("a zero byte: %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	for what, each := range map[string]struct {
		config Config
		status Status
	}{
		"an unknown setting": {Config{"clutser": "x"}, ErrUnknownSetting},
		"a bad value":        {Config{"gossip_fanout": "many"}, ErrBadSetting},
		"a zero byte":        {Config{"cluster": "a\x00b"}, ErrInvalidArgument},
		"a zero byte inside": {Config{"clus\x00ter": "a"}, ErrInvalidArgument},
		// Of the addresses reserved for documentation: this machine has none of them.
		"an address that is not here": {Config{"bind": "192.0.2.1:0"}, ErrBind},
	} {
		node, err := Open(each.config)
		if !errors.Is(err, each.status) {
			t.Errorf("%s: %v", what, err)
		}
		if node != nil {
			t.Errorf("%s: there is a node", what)
			node.Close()
		}
	}
}

func TestSettings(t *testing.T) {
	table := Settings()
	seen := map[string]Setting{}
	for _, row := range table {
		if row.Name == "" || row.Type == "" || row.Text == "" {
			t.Errorf("%+v", row)
		}
		seen[row.Name] = row
	}
	if len(seen) != len(table) || len(table) < 20 {
		t.Errorf("%d rows, %d names", len(table), len(seen))
	}
	row := seen["gossip_interval"]
	if row.Type != "duration" || row.Unit != "ms" || row.Default != "300ms" || !row.Live || row.Secret || row.Bounds == "" {
		t.Errorf("%+v", row)
	}
	if seen["bind"].Live {
		t.Error("bind is live")
	}
	if Version() == "" || strings.Count(Version(), ".") != 2 {
		t.Errorf("version %q", Version())
	}
}
