package desired_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/marketstream/marketstream/controllers/desired"
)

// TestTemplates: what each revision of the templates builds, for ever. -rewrite writes what is not there
// yet; what is there was released, and a change of it would roll the pods of everybody who upgrades: make a
// new revision. (While a revision was never released, remove its directory and write it again.)
func TestTemplates(t *testing.T) {
	for revision := 1; revision <= desired.Newest; revision++ {
		dir := filepath.Join("testdata", "templates", fmt.Sprint(revision))
		_, err := os.Stat(dir)
		if *rewrite && err == nil {
			t.Logf("%s stays as it is", dir)
			continue
		}
		files := make(map[string]string)
		for name := range cases {
			in := load(t, name)
			in.Streamer.Revision, in.Backbone.Revision = revision, revision
			all, _ := bodies(t, in)
			for _, body := range all {
				kind, _ := body["kind"].(string)
				if template := at(body, "spec", "template"); template != nil {
					if got := at(body, "metadata", "annotations", desired.AnnotationTemplate); got != fmt.Sprint(revision) {
						t.Errorf("%s %s says that it is of revision %v, not %d", name, kind, got, revision)
					}
					files[map[string]string{"Deployment": "streamer", "StatefulSet": "backbone"}[kind]+"-"+name+".yaml"] = text(t, template)
				}
			}
		}
		compare(t, dir, files)
	}
	if entries, err := os.ReadDir(filepath.Join("testdata", "templates")); err != nil || len(entries) != desired.Newest {
		t.Errorf("%d revisions in testdata, %d here: %v", len(entries), desired.Newest, err)
	}
}
