// Package marketstream is the operator: the only package that holds a Kubernetes client.
//
// A reconcile gathers, decides, acts and reports, in that order (reconcile.go reads as the list):
//
//	gather   what is there: objects and pods from the caches, reports from controllers/reports
//	decide   controllers/rollout, then controllers/desired: pure
//	apply    server-side, own fields only, and only what differs from what is there
//	act      what is not an object of ours to apply: the Secret, touches of pods, a pod that is to go, volumes
//	report   controllers/conditions, then the status, in one place
//
// Nothing waits inside: what has to be waited for comes back as a watch event, a changed report, or
// a time after which to look again. A settled stream causes no write.
//
// It cannot read a Secret: it only creates one. Caches hold what carries our label. An object
// that is not in a cache is read from the API server before it is applied for the first
// time, and one that is not ours is left alone.
package marketstream
