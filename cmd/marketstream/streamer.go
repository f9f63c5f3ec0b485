package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // calendars need the time zones, also where the system has none

	"github.com/marketstream/marketstream/streamer/backbone"
	"github.com/marketstream/marketstream/streamer/engine"
	"github.com/marketstream/marketstream/streamer/logs"
)

// What a directory of configuration holds: the document, its generation as JSON, and the salt of fingerprints.
const (
	documentFile   = "stream.yaml"
	generationFile = "configGeneration"
	saltFile       = "fingerprintSalt"
)

// streamerCommand runs one of the many processes of a MarketStream. Flags that are wrong end it; what it finds, a document
// that it cannot run, a Secret that is not there, a backbone that is away, it waits for.
func streamerCommand(ctx context.Context, args []string, _, errs io.Writer) error {
	fs := newFlags("streamer", errs)
	dir := fs.String("config", "", "directory with "+documentFile+" and "+generationFile+" (required)")
	urls := fs.String("backbone", "", "the backbone: nats://host:port, with commas between them (required)")
	credentials := fs.String("backbone-credentials", "", "file with what the backbone knows us by")
	secret := fs.String("backbone-secret", "", "name of the Secret that --backbone-credentials is of, for /status")
	secrets := fs.String("secrets", "", "directory with a directory for each Secret that the document names, and a file for each of its keys")
	recordings := fs.String("recordings", "", "directory in which what is replayed must lie, and in which a relative feed.replay.path begins")
	template := fs.Int("template-revision", 0, "revision of the template that this process was started by, for /status")
	ca := fs.String("backbone-ca", "", "file with the certificates that sign the backbone's")
	cert := fs.String("backbone-cert", "", "file with our certificate for the backbone")
	key := fs.String("backbone-key", "", "file with its key")
	replicas := fs.Int("backbone-replicas", 0, "replicas of the logs: 1 or 3; 0: as many as the backbone has nodes")
	listen := fs.String("listen", ":8080", "address for browsers")
	internal := fs.String("internal-listen", ":9090", "address for metrics, probes, status and other pods")
	address := fs.String("address", "", "host:port at which other pods reach the internal port, an IP in brackets or not; empty: where it listens")
	pod := fs.String("pod", "", "name of this process among those of the stream; empty: the host's, and eight letters at random")
	drain := fs.Duration("drain", 20*time.Second, "how long open streams are given to end")
	format := fs.String("log-format", "json", "console or json")
	level := fs.String("log-level", "info", "debug, info or error")
	if err := parse(fs, args); err != nil {
		return err
	}
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("unexpected %q: streamer takes flags only", fs.Arg(0))
	case *dir == "":
		return errors.New("--config: name a directory with " + documentFile)
	case *urls == "":
		return errors.New("--backbone: name where the backbone is, as nats://host:4222")
	case *drain < 0:
		return fmt.Errorf("--drain %s: want it positive", *drain)
	case *template < 0:
		return fmt.Errorf("--template-revision %d: want it positive", *template)
	}
	at, err := reachedAt(*address)
	if err != nil {
		return err
	}
	remote := &backbone.RemoteOptions{URLs: strings.Split(*urls, ","), Credentials: *credentials, CA: *ca, Cert: *cert, Key: *key, Replicas: *replicas}
	if err := remote.Check(); err != nil {
		return err
	}
	log, flush, err := newLogger(*format, *level, errs)
	if err != nil {
		return err
	}
	defer flush()
	public, inside, err := bindBoth(*listen, *internal)
	if err != nil {
		return err
	}
	ctx, hurry, stop := untilSignal(ctx)
	defer stop()
	o := engine.Options{
		Read: func() (engine.Input, error) { return readDirectory(*dir) }, Public: public, Internal: inside, Address: at, Pod: *pod,
		Remote: remote, BackboneSecret: *secret, SecretsDir: *secrets, SaltFile: filepath.Join(*dir, saltFile), Recordings: *recordings,
		Version: version, Log: log, DrainFor: *drain,
		Progress: func(what string) { log.Info("starting", "step", what) },
		Ready: func() {
			log.Info("serving", "public", public.Addr().String(), "internal", inside.Addr().String())
		},
		Draining: func(streams int) { log.Info("draining", "streams", streams, "within", drain.String()) },
	}
	if *template > 0 {
		o.TemplateRevision = strconv.Itoa(*template)
	}
	log.Info("probes", "internal", inside.Addr().String(), "public", public.Addr().String())
	err = engine.Run(ctx, o, hurry)
	if err == nil {
		log.Info("stopped")
	}
	return err
}

// reachedAt is an address as others dial it. A pod's template puts every IP in brackets: it does not know whether it
// will be one of IPv6, which needs them.
func reachedAt(address string) (string, error) {
	if address == "" {
		return "", nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" {
		return "", fmt.Errorf("--address %q: want host:port, as 10.1.2.3:9090 or [2001:db8::1]:9090", address)
	}
	return net.JoinHostPort(host, port), nil
}

// readDirectory reads a document and its generation, as the operator mounts them.
func readDirectory(dir string) (in engine.Input, err error) {
	if in.Document, err = readFile(filepath.Join(dir, documentFile)); err != nil {
		return in, err
	}
	path := filepath.Join(dir, generationFile)
	text, err := readFile(path)
	if err != nil {
		return in, err
	}
	g := &logs.ConfigGeneration{}
	if err := json.Unmarshal(text, g); err != nil || g.Generation <= 0 {
		return in, fmt.Errorf("%s: %q: want {\"createdMs\":…,\"generation\":1}, the object's creation in Unix ms and its generation", path, text)
	}
	in.Generation = g
	return in, nil
}
