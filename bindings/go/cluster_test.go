package clustergossip_test

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	cg "github.com/cluster-gossip/cluster-gossip/bindings/go"
)

// bansOf is the bans that stand, as a node knows them.
func bansOf(t testing.TB, node *cg.Node) []cg.Ban {
	t.Helper()
	bans, err := node.Bans()
	must(t, err)
	return bans
}

// heartbeatsOf is the statistics of all members, as a node knows them.
func heartbeatsOf(t testing.TB, node *cg.Node, options ...cg.ReadOption) map[string]map[string]int64 {
	t.Helper()
	found, err := node.Heartbeats(options...)
	must(t, err)
	return found
}

func stateOf(t testing.TB, node *cg.Node) cg.NodeState {
	t.Helper()
	state, err := node.State()
	must(t, err)
	return state
}

// statusOf is what a node holds of a member; 0 where it does not know it.
func statusOf(t testing.TB, node *cg.Node, id string) cg.MemberStatus {
	t.Helper()
	members, err := node.Members(cg.Departed())
	must(t, err)
	for _, member := range members {
		if member.ID == id {
			return member.Status
		}
	}
	return 0
}

func TestBanHidesAMemberUntilAnybodyLiftsIt(t *testing.T) {
	writer, reader := pair(t)
	changes := subscribe(t, reader, cg.Filter{Kinds: cg.KindMemberBanned | cg.KindMemberUnbanned})
	set(t, writer, "key", cg.Text("seen"))
	seen := func(options ...cg.ReadOption) bool {
		_, found, err := reader.GetFrom("writer", "key", options...)
		must(t, err)
		return found
	}
	until(t, "it is seen", func() bool { return seen() })
	if bans := bansOf(t, reader); len(bans) != 0 {
		t.Errorf("bans: %v", bans)
	}
	must(t, reader.Ban("writer"))
	must(t, reader.Ban("writer"))
	if bans := bansOf(t, reader); !slices.Equal(bans, []cg.Ban{{Member: "writer", By: "reader"}}) {
		t.Errorf("bans: %v", bans)
	}
	if seen() || !seen(cg.Departed()) || statusOf(t, reader, "writer") != cg.MemberBanned {
		t.Error("a ban does not hide a member")
	}
	// Taken before the ban is lifted: both in one take would be drawn together to the last.
	told := func(kind cg.Kind) {
		t.Helper()
		if change := collect(t, changes, 1)[0]; change.Kind != kind || change.Member != "writer" {
			t.Errorf("%v of %s, not %v", change.Kind, change.Member, kind)
		}
	}
	told(cg.KindMemberBanned)
	until(t, "the banned one knows it", func() bool { return stateOf(t, writer) == cg.StateBanned })
	_, err := writer.Set("key", cg.Text("no"))
	fails(t, "set of a banned node", err, cg.ErrBanned)
	must(t, writer.Ban("größe"))
	until(t, "both are known", func() bool {
		return slices.Equal(bansOf(t, reader), []cg.Ban{{Member: "größe", By: "writer"}, {Member: "writer", By: "reader"}})
	})
	must(t, writer.Unban("writer"))
	must(t, writer.Unban("größe"))
	until(t, "they are lifted", func() bool { return len(bansOf(t, reader)) == 0 && len(bansOf(t, writer)) == 0 })
	until(t, "it may write again", func() bool { return stateOf(t, writer) == cg.StateJoined })
	if !seen() {
		t.Error("the entry does not come back")
	}
	told(cg.KindMemberUnbanned)
}

func TestMisuseOfBansAndStatistics(t *testing.T) {
	node := open(t, cg.Config{"id": "own"})
	err := node.Ban("own")
	fails(t, "a ban of the node itself", err, cg.ErrInvalidArgument)
	if !strings.Contains(err.Error(), "itself") {
		t.Errorf("the error says %q", err)
	}
	must(t, node.Unban("nobody"))
	must(t, node.DeleteStatistic("none"))
	for _, wrong := range []string{"", "a\x00b", strings.Repeat("n", 256), "\xff"} {
		fails(t, fmt.Sprintf("ban %q", wrong), node.Ban(wrong), cg.ErrInvalidArgument)
		fails(t, fmt.Sprintf("statistic %q", wrong), node.SetStatistic(wrong, 1), cg.ErrInvalidArgument)
		fails(t, fmt.Sprintf("delete statistic %q", wrong), node.DeleteStatistic(wrong), cg.ErrInvalidArgument)
	}
	fails(t, "unban", node.Unban("a\x00b"), cg.ErrInvalidArgument)
	for i := range 1024 {
		must(t, node.SetStatistic(fmt.Sprint(i), int64(i)))
	}
	fails(t, "one statistic too many", node.SetStatistic("one more", 1), cg.ErrLimit)
	must(t, node.DeleteStatistic("5"))
	must(t, node.SetStatistic("one more", 1))
	must(t, node.Close())
	_, bansErr := node.Bans()
	_, heartbeatsErr := node.Heartbeats()
	for what, err := range map[string]error{
		"ban": node.Ban("x"), "unban": node.Unban("x"), "bans": bansErr, "heartbeats": heartbeatsErr,
		"set a statistic": node.SetStatistic("n", 1), "delete a statistic": node.DeleteStatistic("n"),
	} {
		fails(t, what, err, cg.ErrClosed)
	}
}

func TestStatisticsAreReadByAll(t *testing.T) {
	name := cluster()
	first := open(t, cg.Config{"cluster": name, "id": "first", "heartbeat_interval": "50ms"})
	second := open(t, cg.Config{"cluster": name, "id": "second", "seeds": first.Address()})
	must(t, first.SetStatistic("actors", math.MinInt64))
	must(t, first.SetStatistic("größe", math.MaxInt64))
	both := map[string]map[string]int64{"first": {"actors": math.MinInt64, "größe": math.MaxInt64}}
	for _, node := range []*cg.Node{first, second} {
		until(t, "they are read", func() bool { return reflect.DeepEqual(heartbeatsOf(t, node), both) })
	}
	must(t, first.DeleteStatistic("actors"))
	must(t, second.SetStatistic("zero", 0))
	changed := map[string]map[string]int64{"first": {"größe": math.MaxInt64}, "second": {"zero": 0}}
	until(t, "changes are read", func() bool { return reflect.DeepEqual(heartbeatsOf(t, second), changed) })
	must(t, first.Kill())
	living := map[string]map[string]int64{"second": {"zero": 0}}
	until(t, "the dead are left out", func() bool { return reflect.DeepEqual(heartbeatsOf(t, second), living) })
	if found := heartbeatsOf(t, second, cg.Departed()); !reflect.DeepEqual(found, changed) {
		t.Errorf("with the departed: %v", found)
	}
}

func TestTopologyAndDeath(t *testing.T) {
	name := cluster()
	first := open(t, cg.Config{"cluster": name, "id": "first"})
	changes := subscribe(t, first, cg.Filter{Kinds: cg.KindTopology | cg.KindMemberDead | cg.KindMemberLeft})
	second := open(t, cg.Config{"cluster": name, "id": "second", "seeds": first.Address()})
	others := subscribe(t, second, cg.Filter{Kinds: cg.KindTopology})
	// topology waits for one of so many members; deaths are counted on the way.
	deaths := 0
	topology := func(subscription *cg.Subscription, members int) string {
		t.Helper()
		for {
			change := collect(t, subscription, 1)[0]
			switch found := change.Topology(); {
			case change.Kind == cg.KindMemberDead && change.Member == "second" && change.Info.Status == cg.MemberDead:
				deaths++
			case found == nil:
				t.Fatalf("%v of %s", change.Kind, change.Member)
			case !regexp.MustCompile("^[0-9a-f]{16}$").MatchString(found.Hash):
				t.Fatalf("the hash is %q", found.Hash)
			case found.Members == members:
				return found.Hash
			}
		}
	}
	two := topology(changes, 2)
	if other := topology(others, 2); other != two {
		t.Errorf("the members of one cluster have %s and %s", two, other)
	}
	must(t, second.Kill())
	if one := topology(changes, 1); one == two || deaths != 1 {
		t.Errorf("hash %s as before, %d deaths", one, deaths)
	}
	if status := statusOf(t, first, "second"); status != cg.MemberDead {
		t.Errorf("the killed member is %v", status)
	}
}

func TestKeysOfTheLibraryAreGivenByNameOnly(t *testing.T) {
	node := open(t, nil)
	set(t, node, "own", cg.Int(1))
	must(t, node.Ban("x"))
	must(t, node.SetStatistic("n", 1))
	until(t, "the heartbeat is there", func() bool { return len(heartbeatsOf(t, node)) == 1 })
	keys := func(prefix string) (keys []string) {
		entries, err := node.Entries(prefix)
		must(t, err)
		for _, entry := range entries {
			keys = append(keys, entry.Key)
		}
		return keys
	}
	if found := keys(""); !slices.Equal(found, []string{"own"}) {
		t.Errorf("without a prefix: %v", found)
	}
	if found := keys("cluster:"); !slices.Contains(found, "cluster:banned") || !slices.Contains(found, "cluster:heartbeat") {
		t.Errorf("the library's own: %v", found)
	}
}
