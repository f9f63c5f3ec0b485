#!/bin/sh
# Writes what is generated: from api/v1alpha1 deepcopy, apply configurations and the CRD; from config
# dist/install.yaml and the Helm chart.
#   hack/generate.sh           writes it
#   hack/generate.sh --check   writes nothing; says what is stale, and fails if anything is
# The tool's version is that of hack/go.mod.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$root/hack" && go build -o "$work/controller-gen" sigs.k8s.io/controller-tools/cmd/controller-gen)

tree=$root
if [ "${1:-}" = --check ]; then
	tree=$work/tree
	mkdir -p "$tree/config"
	cp "$root/go.mod" "$root/go.sum" "$tree/"
	cp -R "$root/api" "$tree/api"
	cp -R "$root/config/crd" "$tree/config/crd"
elif [ $# -gt 0 ]; then
	echo "usage: hack/generate.sh [--check]" >&2
	exit 2
fi
(cd "$tree" && "$work/controller-gen" object crd applyconfiguration \
	paths=./api/v1alpha1 output:crd:dir=config/crd/bases)
(cd "$root/hack" && go run ./render -root "$tree")

[ "$tree" = "$root" ] && exit 0
stale=0
diff -r "$root/api" "$tree/api" || stale=1
diff -r "$root/config/crd" "$tree/config/crd" || stale=1
diff -r "$root/config/chart" "$tree/config/chart" || stale=1
diff -r "$root/dist" "$tree/dist" || stale=1
[ $stale = 0 ] || echo "generated files are stale: run hack/generate.sh" >&2
exit $stale
