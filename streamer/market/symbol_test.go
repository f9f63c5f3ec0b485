package market

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

// TestRespell: a symbol keeps its number and takes another spelling, while others read it.
func TestRespell(t *testing.T) {
	var table SymbolTable
	if changed := table.Respell([]string{"AAA", "BACpB"}); changed != nil {
		t.Errorf("new symbols were spelled otherwise: %v", changed)
	}
	b := table.Intern("bacpb")
	if table.Name(b) != "BACpB" {
		t.Error(table.Name(b))
	}
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			for i := range 1000 {
				if name := table.Name(b); name != "BACpB" && name != "BACPB" {
					t.Error(name)
				}
				table.Intern(fmt.Sprint("X", i))
			}
		})
	}
	if changed := table.Respell([]string{"AAA", "BACPB", "NEW"}); !slices.Equal(changed, []uint32{b}) {
		t.Errorf("%v, want %d", changed, b)
	}
	wait.Wait()
	if id, ok := table.ID("bacPB"); table.Name(b) != "BACPB" || id != b || !ok {
		t.Errorf("%s %d", table.Name(b), id)
	}
	for i := range 1000 {
		if id, ok := table.ID(fmt.Sprint("X", i)); !ok || table.Name(id) != fmt.Sprint("X", i) {
			t.Fatalf("X%d is %d, %s", i, id, table.Name(id))
		}
	}
}
