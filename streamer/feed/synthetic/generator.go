package synthetic

import (
	"strings"

	"github.com/cespare/xxhash/v2"
)

const (
	stepMs     = 100
	stepsInDay = 86_400_000 / stepMs
	// A burst: one in burstOdds stretches of burstEvery steps holds burstSteps steps of
	// burstFactor times the mean (measured: SPY's peak 100 ms, market-facts section 4).
	burstEvery  = 100
	burstOdds   = 60
	burstSteps  = 3
	burstFactor = 40
	million     = 1_000_000
)

// octaves are the waves of which a price consists: a lattice of random values every period
// steps, with lines between. Their heights, in millionths of the base price, grow with the
// root of the period, as those of a random walk do.
var octaves = [...]struct{ period, height int64 }{
	{80, 60}, {640, 170}, {5_120, 480}, {40_960, 1_350}, {327_680, 3_800}, {2_621_440, 10_800},
}

// generator invents the trades of one symbol.
type generator struct {
	key  uint64
	base int64 // cents
	mean int64 // trades per step, in millionths
	cell [len(octaves)]cell
}

// cell is the stretch of an octave's lattice that was looked up last.
type cell struct {
	at       int64 // its number + 1
	from, to int64 // values at its ends, -million … million
}

func newGenerator(seed int64, symbol string, perSecond float64) *generator {
	g := &generator{mean: int64(perSecond * million * stepMs / 1000)}
	g.key = mix(xxhash.Sum64String(strings.ToUpper(symbol)) ^ mix(uint64(seed)))
	g.base = 1_000 + int64(g.hash(0, 1)%49_000) // 10.00 to 499.99
	return g
}

// mix is the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hash is a random number for a purpose at a place.
func (g *generator) hash(place int64, purpose uint64) uint64 {
	return mix(g.key ^ mix(uint64(place)*0x9e3779b97f4a7c15+purpose))
}

// count is how many trades step holds.
func (g *generator) count(step int64) int64 {
	// U over the day: half the mean at noon UTC, twice the mean at midnight, 1 on average.
	x := 2*(step%stepsInDay) - stepsInDay // -stepsInDay … stepsInDay
	u := million/2 + 3*(x*million/stepsInDay)*(x*million/stepsInDay)/(2*million)
	rate := g.mean * u / million
	random := g.hash(step, 2)
	rate = rate * (250_000 + int64(random%1_500_000)) / million
	if g.inBurst(step) {
		rate = g.mean * burstFactor
	}
	return (rate + int64(random>>32)*million>>32) / million
}

func (g *generator) inBurst(step int64) bool {
	h := g.hash(step/burstEvery, 3)
	if h%burstOdds != 0 {
		return false
	}
	begin := int64(h>>32) % (burstEvery - burstSteps)
	in := step % burstEvery
	return in >= begin && in < begin+burstSteps
}

// price is the price in cents about which the trades of step happen.
func (g *generator) price(step int64) int64 {
	sum := int64(0)
	for i := range octaves {
		o, c := &octaves[i], &g.cell[i]
		n := step / o.period
		if c.at != n+1 {
			c.from, c.to, c.at = g.lattice(n, i), g.lattice(n+1, i), n+1
		}
		sum += o.height * (c.from + (c.to-c.from)*(step%o.period)/o.period) / million
	}
	return max(1, g.base+g.base*sum/million)
}

func (g *generator) lattice(n int64, octave int) int64 {
	return int64(g.hash(n, 16+uint64(octave))%(2*million)) - million
}

// trade is the k-th of n trades of a step.
func (g *generator) trade(step, k, n, price int64) (ns, cents, size int64, buy bool) {
	h := g.hash(step<<12+k, 4)
	ns = step*stepMs*1e6 + (k*stepMs*1e6+int64(h%(stepMs*1e6)))/n
	move := int64(h>>32%5) - 2 // -2 … 2 cents
	size = 1 + int64(h>>40%100)
	if h>>56%3 > 0 { // two in three are round lots
		size = 100 * (1 + size/20)
	}
	return ns, max(1, price+move), size, move >= 0
}
