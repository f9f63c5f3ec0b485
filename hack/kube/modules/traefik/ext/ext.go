// Package ext stands in for a module of Traefik that is in its repository alone: types to extend its configuration with, all empty.
package ext

// HTTP extends the configuration of HTTP.
type HTTP struct{}

// Router extends that of a router.
type Router struct{}
