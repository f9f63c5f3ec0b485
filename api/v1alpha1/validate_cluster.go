package v1alpha1

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (c *check) feed(path *field.Path, f *Feed) {
	var there []string
	for _, named := range f.named() {
		if named.there {
			there = append(there, named.name)
		}
	}
	if one := "name exactly one feed: polygon, alpaca, coinbase, kraken, binance, replay or synthetic"; len(there) == 0 {
		c.required(path, "", one)
	} else if len(there) > 1 {
		c.invalid(path, strings.Join(there, " and "), one)
	}
	if p := f.Polygon; p != nil {
		c.vendor(path.Child("polygon"), &p.VendorEndpoint)
		oneOf(c, path.Child("polygon", "market"), p.Market, PolygonStocks, PolygonCrypto)
		c.secretKey(path.Child("polygon", "apiKeySecretRef"), &p.APIKeySecretRef)
	}
	if a := f.Alpaca; a != nil {
		c.vendor(path.Child("alpaca"), &a.VendorEndpoint)
		oneOf(c, path.Child("alpaca", "feed"), a.Feed, AlpacaIEX, AlpacaSIP, AlpacaCrypto, AlpacaTest)
		c.required(path.Child("alpaca", "keySecretRef", "name"), a.KeySecretRef.Name, "name the Secret")
	}
	if v := f.Coinbase; v != nil {
		c.vendor(path.Child("coinbase"), &v.VendorEndpoint)
	}
	if v := f.Kraken; v != nil {
		c.vendor(path.Child("kraken"), &v.VendorEndpoint)
	}
	if v := f.Binance; v != nil {
		c.vendor(path.Child("binance"), &v.VendorEndpoint)
		oneOf(c, path.Child("binance", "venue"), v.Venue, BinanceGlobal, BinanceUS)
	}
	if r := f.Replay; r != nil {
		path := path.Child("replay")
		c.required(path.Child("path"), r.Path, "name a CSV file of trades or a directory of them")
		c.speed(path.Child("speed"), r.Speed)
		oneOf(c, path.Child("loop"), r.Loop, LoopNever, LoopForever)
		oneOf(c, path.Child("rebase"), r.Rebase, RebaseNow, RebaseKeep)
		if r.Volume != nil && r.ConfigMap != nil {
			c.errs = append(c.errs, field.Forbidden(path.Child("configMap"), "name volume or configMap, not both"))
		}
		if r.Volume != nil {
			c.required(path.Child("volume", "claimName"), r.Volume.ClaimName, "name the claim")
		}
		if r.ConfigMap != nil {
			c.required(path.Child("configMap", "name"), r.ConfigMap.Name, "name the ConfigMap")
		}
	}
	if s := f.Synthetic; s != nil {
		within(c, path.Child("synthetic", "ticksPerSecond"), s.TicksPerSecond, 1, 10_000)
		c.speed(path.Child("synthetic", "speed"), s.Speed)
	}
}

func (c *check) vendor(path *field.Path, v *VendorEndpoint) {
	c.match(path.Child("endpoint"), v.Endpoint, wsPattern, "want a ws or wss URL without user information")
	c.match(path.Child("restEndpoint"), v.RESTEndpoint, httpPattern, "want an http or https URL without user information")
	within(c, path.Child("connections"), v.Connections, 1, 256)
}

// cluster checks the fields of the control plane.
func (c *check) cluster(path *field.Path, s *MarketStreamSpec) {
	oneOf(c, path.Child("service", "type"), or(s.Service).Type, "ClusterIP", "NodePort", "LoadBalancer")
	if s.Ingress != nil {
		c.required(path.Child("ingress", "host"), s.Ingress.Host, "name the host")
	}
	if g := s.Gateway; g != nil {
		if len(g.ParentRefs) == 0 {
			c.errs = append(c.errs, field.Required(path.Child("gateway", "parentRefs"), "name at least one Gateway"))
		}
		c.atMost(path.Child("gateway", "parentRefs"), len(g.ParentRefs), 8)
		for i := range g.ParentRefs {
			c.required(path.Child("gateway", "parentRefs").Index(i).Child("name"), g.ParentRefs[i].Name, "name the Gateway")
		}
		c.atMost(path.Child("gateway", "hostnames"), len(g.Hostnames), 16)
	}
	c.backbone(path.Child("backbone"), s.Backbone)
	if n := s.NetworkPolicy; n != nil {
		path := path.Child("networkPolicy")
		oneOf(c, path.Child("mode"), n.Mode, "Managed", "None")
		c.atMost(path.Child("extraEgress"), len(n.ExtraEgress), 32)
		for i := range n.ExtraEgress {
			e, at := &n.ExtraEgress[i], path.Child("extraEgress").Index(i)
			if _, err := netip.ParsePrefix(e.CIDR); err != nil {
				c.invalid(at.Child("cidr"), e.CIDR, "want a CIDR, as 10.0.0.0/8")
			}
			within(c, at.Child("port"), e.Port, 1, 65_535)
		}
	}
	if m := s.Monitoring; m != nil {
		path := path.Child("monitoring")
		for _, f := range []struct {
			name string
			v    Switch
		}{{"serviceMonitor", m.ServiceMonitor}, {"rules", m.Rules}, {"symbolLabels", m.SymbolLabels}} {
			oneOf(c, path.Child(f.name), f.v, SwitchAuto, SwitchEnabled, SwitchDisabled)
		}
		c.length(path.Child("interval"), m.Interval, 5*time.Second, 5*time.Minute)
	}
	if p := s.Pod; p != nil {
		path := path.Child("pod")
		oneOf(c, path.Child("updates"), p.Updates, "Pinned", "Follow")
		oneOf(c, path.Child("topologySpread"), p.TopologySpread, "Zone", "Node", "None")
		c.atMost(path.Child("imagePullSecrets"), len(p.ImagePullSecrets), 2)
		c.atMost(path.Child("env"), len(p.Env), 64)
		for i := range p.Env {
			c.required(path.Child("env").Index(i).Child("name"), p.Env[i].Name, "name the variable")
			if slices.ContainsFunc(p.Env[:i], func(e EnvVar) bool { return e.Name == p.Env[i].Name }) {
				c.errs = append(c.errs, field.Duplicate(path.Child("env").Index(i), p.Env[i].Name))
			}
		}
	}
}

func (c *check) backbone(path *field.Path, b *Backbone) {
	if b == nil {
		return
	}
	if r := b.Replicas; r != nil && *r != 1 && *r != 3 {
		c.invalid(path.Child("replicas"), *r, "want 1 or 3")
	}
	c.length(path.Child("retention"), b.Retention, 48*time.Hour, 10*365*24*time.Hour)
	if st := b.Storage; st != nil {
		oneOf(c, path.Child("storage", "whenDeleted"), st.WhenDeleted, "Retain", "Delete")
		if st.Size != nil && st.Size.Value() < 1<<30 {
			c.invalid(path.Child("storage", "size"), st.Size.String(), "want at least 1Gi, as 10Gi: with less nothing can be stored beside what a node keeps free")
		}
	}
	if x := b.External; x != nil {
		c.required(path.Child("external", "url"), x.URL, "name the server")
		c.match(path.Child("external", "url"), x.URL, natsPattern, "want a nats or tls URL without user information")
		if x.Prefix != "" && (len(x.Prefix) > 128 || !prefixPattern.MatchString(x.Prefix)) {
			c.invalid(path.Child("external", "prefix"), x.Prefix, "want at most 128 letters, digits, _ or -")
		}
		if x.CredentialsSecretRef != nil {
			c.secretKey(path.Child("external", "credentialsSecretRef"), x.CredentialsSecretRef)
		}
		if b.Replicas != nil || b.Storage != nil || b.Resources != nil {
			c.errs = append(c.errs, field.Forbidden(path.Child("external"), "an external backbone has no replicas, storage or resources of ours"))
		}
	}
}
