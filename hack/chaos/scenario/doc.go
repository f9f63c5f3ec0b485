// Package scenario are planned courses of things that are done to a whole system, each for a line of what the
// project promises, with the clients and the oracle of chaos:
//
//	make scenario NAME=reshard CLIENTS=1000
//	cd hack && go run ./chaos -scenario roll -clients 50
//
// Each prints its figures in the end, one a line. What the oracle finds, and counts that a promise names, are
// findings; times that a promise names are printed beside what was measured, and are a finding only
// at ten times their value: machines are shared.
package scenario
