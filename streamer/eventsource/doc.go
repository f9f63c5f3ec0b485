// Package eventsource reads Server-Sent Events as a browser's EventSource does (WHATWG HTML,
// section 9.2): the last event ID moves with a bare id line too, and an event without data
// is not dispatched. The program's own client (marketstream tail) and its tests read with it.
package eventsource
