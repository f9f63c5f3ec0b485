package v1alpha1

// Feed is where trades come from: exactly one of its members. A change between invented,
// recorded and a vendor's data is refused, so that no invented bar is ever served as real.
//
// +kubebuilder:validation:XValidation:rule="[has(self.polygon), has(self.alpaca), has(self.coinbase), has(self.kraken), has(self.binance), has(self.replay), has(self.synthetic)].filter(x, x).size() == 1",message="name exactly one feed: polygon, alpaca, coinbase, kraken, binance, replay or synthetic"
// +kubebuilder:validation:XValidation:rule="has(self.synthetic) == has(oldSelf.synthetic) && has(self.replay) == has(oldSelf.replay)",message="a stream keeps its kind of data: invented (synthetic), recorded (replay) and a vendor's are never mixed in one log; make another MarketStream"
type Feed struct {
	// Polygon is Massive (was Polygon.io).
	// +optional
	Polygon *PolygonFeed `json:"polygon,omitempty"`
	// Alpaca is Alpaca's market data.
	// +optional
	Alpaca *AlpacaFeed `json:"alpaca,omitempty"`
	// Coinbase is Coinbase Exchange; no key is needed.
	// +optional
	Coinbase *CoinbaseFeed `json:"coinbase,omitempty"`
	// Kraken is Kraken's version 2; no key is needed.
	// +optional
	Kraken *KrakenFeed `json:"kraken,omitempty"`
	// Binance is Binance spot; no key is needed.
	// +optional
	Binance *BinanceFeed `json:"binance,omitempty"`
	// Replay says recorded trades again.
	// +optional
	Replay *ReplayFeed `json:"replay,omitempty"`
	// Synthetic invents trades, for trying things out.
	// +optional
	Synthetic *SyntheticFeed `json:"synthetic,omitempty"`
}

// VendorEndpoint is what every vendor has.
type VendorEndpoint struct {
	// Endpoint of the WebSocket; absent: the vendor's own.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^wss?://[^@]+$`
	Endpoint string `json:"endpoint,omitempty"`
	// RESTEndpoint for history and repair; absent: the vendor's own.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^https?://[^@]+$`
	RESTEndpoint string `json:"restEndpoint,omitempty"`
	// Connections that the account allows at once. Absent: 1 where the vendor allows one for an
	// account (polygon, alpaca), else as many as there are pods.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=256
	Connections *int32 `json:"connections,omitempty"`
}

// SecretKey names a key of a Secret in the stream's namespace.
type SecretKey struct {
	// Name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Key in the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
}

// SecretName names a Secret in the stream's namespace.
type SecretName struct {
	// Name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// PolygonMarket is a cluster of Massive.
//
// +kubebuilder:validation:Enum=Stocks;Crypto
type PolygonMarket string

// The markets.
const (
	PolygonStocks PolygonMarket = "Stocks"
	PolygonCrypto PolygonMarket = "Crypto"
)

// PolygonFeed is Massive (was Polygon.io).
type PolygonFeed struct {
	VendorEndpoint `json:",inline"`
	// Market; absent: Stocks.
	// +optional
	Market PolygonMarket `json:"market,omitempty"`
	// APIKeySecretRef holds the key.
	// +required
	APIKeySecretRef SecretKey `json:"apiKeySecretRef"`
}

// AlpacaSource is one of Alpaca's feeds.
//
// +kubebuilder:validation:Enum=IEX;SIP;Crypto;Test
type AlpacaSource string

// The feeds of Alpaca.
const (
	AlpacaIEX    AlpacaSource = "IEX"
	AlpacaSIP    AlpacaSource = "SIP"
	AlpacaCrypto AlpacaSource = "Crypto"
	AlpacaTest   AlpacaSource = "Test"
)

// AlpacaFeed is Alpaca's market data.
type AlpacaFeed struct {
	VendorEndpoint `json:",inline"`
	// Feed; absent: IEX.
	// +optional
	Feed AlpacaSource `json:"feed,omitempty"`
	// KeySecretRef holds keyID and secretKey.
	// +required
	KeySecretRef SecretName `json:"keySecretRef"`
}

// CoinbaseFeed is Coinbase Exchange.
type CoinbaseFeed struct {
	VendorEndpoint `json:",inline"`
}

// KrakenFeed is Kraken's version 2.
type KrakenFeed struct {
	VendorEndpoint `json:",inline"`
}

// BinanceVenue is one of Binance's exchanges.
//
// +kubebuilder:validation:Enum=Global;US
type BinanceVenue string

// The venues of Binance.
const (
	BinanceGlobal BinanceVenue = "Global"
	BinanceUS     BinanceVenue = "US"
)

// BinanceFeed is Binance spot.
type BinanceFeed struct {
	VendorEndpoint `json:",inline"`
	// Venue; absent: Global.
	// +optional
	Venue BinanceVenue `json:"venue,omitempty"`
}

// Speed is a factor of real time as text ("1", "2.5"), or Max.
//
// +kubebuilder:validation:MaxLength=12
// +kubebuilder:validation:Pattern=`^(Max|[0-9]+(\.[0-9]+)?)$`
// +kubebuilder:validation:XValidation:rule="self == 'Max' || (double(self) >= 0.001 && double(self) <= 1000000.0)",message="want a number from 0.001 to 1000000 as a string, or Max"
type Speed string

// LoopMode says what a replay does at its end.
//
// +kubebuilder:validation:Enum=Never;Forever
type LoopMode string

// The loops.
const (
	LoopNever   LoopMode = "Never"
	LoopForever LoopMode = "Forever"
)

// RebaseMode says what a replay does with the recorded times.
//
// +kubebuilder:validation:Enum=Now;Keep
type RebaseMode string

// The rebases.
const (
	RebaseNow  RebaseMode = "Now"
	RebaseKeep RebaseMode = "Keep"
)

// ReplayFeed says recorded trades again.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.volume) && has(self.configMap))",message="name volume or configMap, not both"
type ReplayFeed struct {
	// Path of a CSV file of trades or of a directory of them; in a cluster, inside volume or configMap. A relative
	// path begins where the process is started, not where the document is.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path"`
	// Speed: "1" is the recorded pace, "10" ten times faster, Max as fast as it goes. Absent: 1.
	// +optional
	Speed Speed `json:"speed,omitempty"`
	// Loop Forever begins again at the end, each round later than the one before. Absent: Never, it ends there.
	// +optional
	Loop LoopMode `json:"loop,omitempty"`
	// Rebase Now shifts all times by a whole number of the longest timeframe, so that the first trade is less than one
	// of it ago; Keep leaves them as recorded. Absent: Now.
	// +optional
	Rebase RebaseMode `json:"rebase,omitempty"`
	// Volume that holds the trades.
	// +optional
	Volume *ClaimVolume `json:"volume,omitempty"`
	// ConfigMap that holds the trades.
	// +optional
	ConfigMap *ConfigMapName `json:"configMap,omitempty"`
}

// ClaimVolume is a PersistentVolumeClaim in the stream's namespace.
type ClaimVolume struct {
	// ClaimName of the claim.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ClaimName string `json:"claimName"`
}

// ConfigMapName names a ConfigMap in the stream's namespace.
type ConfigMapName struct {
	// Name of the ConfigMap.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// SyntheticFeed invents trades.
type SyntheticFeed struct {
	// Seed: the same one invents the same trades. Absent: 1.
	// +optional
	Seed *int64 `json:"seed,omitempty"`
	// TicksPerSecond is the mean rate of one symbol. Absent: 20.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	TicksPerSecond *int32 `json:"ticksPerSecond,omitempty"`
	// Speed; absent: 1.
	// +optional
	Speed Speed `json:"speed,omitempty"`
}
