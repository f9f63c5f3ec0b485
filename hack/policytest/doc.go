// Package policytest holds the admission policies of config/policy as a table of requests: what
// somebody asks for, which Secrets they may get, and which rule refuses it. Here the table runs
// past the API server's own code with an authorizer of ours; [Cases] is exported so that it can run
// against a real API server too.
package policytest
