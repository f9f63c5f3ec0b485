// Package backbone keeps the two logs, TICKS and BARS, in NATS JetStream. It is the only
// package that knows NATS.
//
//	Open ─▶ server.go      a NATS server in this process: no port, its own directory, its own logger
//	   │    volume.go      watches over its disk: see below
//	   │
//	   │   Connect ─▶ remote.go       a server elsewhere: waits for it,
//	   │      │       credentials.go  says who we are, again at each connect,
//	   │      │       fit.go          and checks that it, the account and its streams will do
//	   ▼      ▼
//	        conn.go      a connection and its stream, and the sessions it consists of: one from each (re)connect to
//	          │          the next loss; read.go, again.go: readings that get over a loss
//	          ├─ bars.go, tail.go      logs.Log over a connection
//	          ├─ ticks.go, acks.go     logs.Ticks
//	          └─ registry.go, watch.go, peers.go  logs.Registry, logs.Peers
//
// A node is the server of a backbone of our own, alone or one of three:
//
//	StartNode ─▶ node.go        does what nodestate.go decides from its own state and from
//	                │           what the others say (greet.go); nodehealth.go answers probes
//	                ├─ nodeserve.go, nodeserver.go  a NATS server that listens; gate.go lets
//	                │           clients in, or not; nodetls.go has its certificate
//	                ├─ nodemove.go, copy.go         from one node to three and back
//	                └─ nodevolume.go                keeps it from a full disk
//
// Everything below conn.go works the same over a connection to a server elsewhere. Subjects,
// streams and their settings are a contract: docs/contracts/logs.md.
//
// What was learned the hard way, and is therefore so:
//
//   - The server syncs each write of BARS (sync_always): without it an acknowledged frame can
//     be lost when power fails.
//   - A tail makes its own ordered reading out of plain consumers, and checks for itself that it
//     gets on: a consumer may vanish, or hang, without a word. Whenever it begins anew it
//     first reads again the last entry that it had: after a loss of power the server gives the
//     same sequences to other entries, and [logs.ErrRewound] must say so.
//   - A reader is given one replica, which may lag behind the leader. So the end of a reading is
//     asked of the leader.
//   - A connection that is down refuses what is published: buffered, an append would be
//     sent long after its writer was told that it failed.
//   - When the disk is full, JetStream stops the stream for good and answers no more. So an append is
//     refused before that ([logs.ErrFull]), and if it happens all the same, the
//     server is started again once there is space.
package backbone
