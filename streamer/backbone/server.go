package backbone

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/marketstream/marketstream/streamer/logs"
)

const (
	serverStart = 30 * time.Second // a big log is read again after a kill
	serverLook  = 200 * time.Millisecond
	// headerRoom is what a message may have beside its data.
	headerRoom = 4 << 10
	// slack is what the server may hold beyond the bytes that its streams are bounded to: it
	// stores first and discards then.
	slack = 64 << 20
)

// embedded is a NATS server in this process. It can be stopped and started again on the same
// store; connections made through it then find the new one.
type embedded struct {
	options server.Options
	logger  *serverLogger
	dir     string
	temp    bool // dir is ours to remove
	lock    *dirLock

	mu  sync.Mutex
	srv *server.Server // nil while it is stopped
}

// startEmbedded starts a server for the logs that o asks for. It brings o.MaxBytes in line
// with the volume.
func startEmbedded(o *Options) (*embedded, error) {
	e := &embedded{dir: o.Dir, logger: &serverLogger{log: o.Log.WithName("nats")}}
	if err := e.prepareDir(); err != nil {
		return nil, err
	}
	if o.Dir != "" {
		if err := fitVolume(o, e.dir); err != nil {
			return nil, errors.Join(err, e.close())
		}
	}
	e.options = server.Options{
		ServerName: o.Namespace + "_" + o.Name,
		DontListen: true, NoSigs: true, NoSystemAccount: true,
		MaxPayload: logs.MaxEntry + headerRoom,
		JetStream:  true, StoreDir: e.dir, DisableJetStreamBanner: true,
		JetStreamMaxMemory: o.TicksBytes + slack, JetStreamMaxStore: 1,
		SyncAlways: o.Dir != "",
	}
	if o.Dir == "" {
		e.options.JetStreamMaxMemory += o.MaxBytes + ctlBytes
	} else {
		e.options.JetStreamMaxStore = o.MaxBytes + ctlBytes + slack
	}
	if err := e.start(); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

// prepareDir makes sure that the directory is there and ours alone. A server without one
// would put its files into a place that all processes share.
func (e *embedded) prepareDir() (err error) {
	if e.temp = e.dir == ""; e.temp {
		if e.dir, err = os.MkdirTemp("", "marketstream-"); err != nil {
			return fmt.Errorf("a directory for the server's own use: %w", err)
		}
		return nil
	}
	if e.dir, err = filepath.Abs(e.dir); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	e.lock, err = lockDir(e.dir)
	return err
}

func (e *embedded) start() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	options := e.options
	srv, err := server.NewServer(&options)
	if err != nil {
		return fmt.Errorf("start the NATS server: %w", err)
	}
	e.logger.forget()
	srv.SetLoggerV2(e.logger, false, false, false)
	srv.Start()
	if !e.logger.ready(srv) {
		srv.Shutdown()
		srv.WaitForShutdown()
		if why := e.logger.fatal(); why != "" {
			return fmt.Errorf("start the NATS server on %s: %s", e.dir, why)
		}
		return fmt.Errorf("start the NATS server on %s: not ready in %s", e.dir, serverStart)
	}
	want := filepath.Join(e.dir, server.JetStreamStoreDir)
	if c := srv.JetStreamConfig(); c.StoreDir != want {
		srv.Shutdown()
		srv.WaitForShutdown()
		return fmt.Errorf("the NATS server keeps its files in %s, not in %s", c.StoreDir, want)
	}
	e.srv = srv
	return nil
}

// stop lets the server write what it has and ends it.
func (e *embedded) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.srv != nil {
		e.srv.Shutdown()
		e.srv.WaitForShutdown()
		e.srv = nil
	}
}

// writeError returns why the server no longer stores to a stream, "" if it does.
func (e *embedded) writeError(stream string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.srv == nil {
		return "the server is stopped"
	}
	if !e.srv.JetStreamEnabled() {
		return "JetStream has stopped"
	}
	h := e.srv.Healthz(&server.HealthzOptions{Account: server.DEFAULT_GLOBAL_ACCOUNT, Stream: stream})
	if h.Status == "ok" {
		return ""
	}
	return h.Error
}

// InProcessConn implements nats.InProcessConnProvider.
func (e *embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.srv == nil {
		return nil, errors.New("the server is stopped")
	}
	return e.srv.InProcessConn()
}

func (e *embedded) close() error {
	e.stop()
	var err error
	if e.temp {
		err = os.RemoveAll(e.dir)
	}
	return errors.Join(err, e.lock.release())
}

// serverLogger gives what the server says to a logr.Logger: its notices are details here.
type serverLogger struct {
	log logr.Logger

	mu        sync.Mutex
	lastFatal string
}

func (l *serverLogger) Debugf(format string, v ...any) { l.log.V(2).Info(fmt.Sprintf(format, v...)) }
func (l *serverLogger) Tracef(format string, v ...any) { l.log.V(3).Info(fmt.Sprintf(format, v...)) }

// Noticef passes a notice on, as a detail but for one: who is cut off wants to know why.
func (l *serverLogger) Noticef(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if strings.Contains(text, "Slow Consumer Detected") {
		l.log.Info("a connection takes what it is sent too slowly: it is cut, connects again, and reads on from the logs", "connection", text)
		return
	}
	l.log.V(1).Info(text)
}

// Errorf passes an error on. That a client is refused is its own to say: it tries several times
// a second.
func (l *serverLogger) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if strings.Contains(text, "authentication error") {
		l.log.V(1).Info(text)
		return
	}
	l.log.Error(nil, text)
}

// Warnf passes a warning on, but the one about our own choice of payload (docs/contracts/logs.md).
func (l *serverLogger) Warnf(format string, v ...any) {
	if strings.HasPrefix(format, "Maximum payloads over") {
		l.Noticef(format, v...)
		return
	}
	l.log.Info(fmt.Sprintf(format, v...))
}

// Fatalf keeps the text for the error of start: the process is not the server's to end.
func (l *serverLogger) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastFatal = fmt.Sprintf(format, v...)
}

// ready waits until the server takes connections and stores; false: it never will.
func (l *serverLogger) ready(srv *server.Server) bool {
	for limit := time.Now().Add(serverStart); time.Now().Before(limit) && l.fatal() == ""; {
		if srv.ReadyForConnections(serverLook) {
			return srv.JetStreamEnabled()
		}
	}
	return false
}

// forget drops what an earlier start said.
func (l *serverLogger) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastFatal = ""
}

func (l *serverLogger) fatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lastFatal
}
