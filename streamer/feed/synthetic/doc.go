// Package synthetic is the feed that invents trades, for trying things out: reproducible,
// with a U-shaped day and bursts of 40 times the mean. What it makes is labelled as
// synthetic wherever it is served, and no log holds it beside real data.
//
// Everything that happens in a step of 100 ms is a pure function of the seed, the symbol
// and the number of the step, in whole numbers: so the feed can begin anywhere at no cost,
// a symbol that joins changes no other, and every machine invents the same.
package synthetic
