// Package polygon is the feed of Massive, which was Polygon.io: its WebSocket and its REST, with a key.
package polygon
