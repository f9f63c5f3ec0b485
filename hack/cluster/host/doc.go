// Package host changes this machine for a cluster: it starts programs that outlive us, lays network namespaces, and
// undoes both. What it starts it writes down, id and time of start, and it stops nothing else.
package host
