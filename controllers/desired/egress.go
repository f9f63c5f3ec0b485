package desired

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/marketstream/marketstream/api/v1alpha1"
)

// notPublic are the addresses at which no vendor is: an answer of a name server that leads there is a
// mistake or an attack.
var notPublic = map[string][]string{
	"0.0.0.0/0": {
		"0.0.0.0/8",      // this network
		"10.0.0.0/8",     // private
		"100.64.0.0/10",  // carrier-grade NAT
		"127.0.0.0/8",    // loopback
		"169.254.0.0/16", // link-local, and with it the metadata of clouds
		"172.16.0.0/12",  // private
		"192.168.0.0/16", // private
		"224.0.0.0/4",    // multicast
		"240.0.0.0/4",    // reserved, broadcast
	},
	"::/0": {
		"::/127",    // unspecified, loopback
		"fc00::/7",  // unique local
		"fe80::/10", // link-local
		"ff00::/8",  // multicast
	},
}

// egress is what streamers must reach besides name servers and our own backbone.
type egress struct {
	// vendor: port 443 of public addresses.
	vendor bool
	// ports anywhere: of the URLs that the user gave. A policy knows no names, and where a name leads,
	// into the cluster even, only the user knows.
	ports []int32
}

// egressOf finds what the spec makes necessary.
func egressOf(s *v1alpha1.MarketStream) egress {
	var e egress
	add := func(urls ...string) {
		for _, u := range urls {
			if port := portOf(u); port != 0 {
				e.ports = append(e.ports, port)
			}
		}
	}
	if v := vendorOf(&s.Spec.Feed); v != nil {
		add(v.Endpoint, v.RESTEndpoint)
		e.vendor = v.Endpoint == "" || v.RESTEndpoint == ""
	}
	if auth := or(s.Spec.Access).Auth; auth != nil && auth.JWT != nil {
		add(auth.JWT.JWKSURL)
	}
	if x := backboneOf(s).External; x != nil {
		add(strings.Split(x.URL, ",")...)
	}
	slices.SortFunc(e.ports, cmp.Compare[int32])
	e.ports = slices.Compact(e.ports)
	return e
}

// vendorOf is the endpoint of a feed that is a vendor's.
func vendorOf(f *v1alpha1.Feed) *v1alpha1.VendorEndpoint {
	switch {
	case f.Polygon != nil:
		return &f.Polygon.VendorEndpoint
	case f.Alpaca != nil:
		return &f.Alpaca.VendorEndpoint
	case f.Coinbase != nil:
		return &f.Coinbase.VendorEndpoint
	case f.Kraken != nil:
		return &f.Kraken.VendorEndpoint
	case f.Binance != nil:
		return &f.Binance.VendorEndpoint
	}
	return nil
}

// schemePorts are the ports of URLs that name none.
var schemePorts = map[string]int32{"ws": 80, "http": 80, "wss": 443, "https": 443, "nats": portNATS, "tls": portNATS}

// portOf is the port of a URL; 0: it has none. (net/url would bring the network in.)
func portOf(url string) int32 {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(url), "://")
	if !ok {
		return 0
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, ']') {
		if port, err := strconv.ParseUint(rest[i+1:], 10, 16); err == nil && port > 0 {
			return int32(port)
		}
		return 0
	}
	return schemePorts[strings.ToLower(scheme)]
}
