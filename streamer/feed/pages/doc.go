// Package pages asks a vendor's REST side for pages: paced for all that a process asks with one account, and with the
// vendor's wishes kept. What is no page is told apart: [feed.RetryError] where it is of use to ask again, with the time to
// wait (a 429 above all, which is a wait and never "there is nothing"); [feed.ErrUnrepairable] where it is not. A page
// without anything in it is a page.
//
// Keys go into headers and nowhere else: never into a URL, which errors and logs quote; a redirect is not followed, and a
// link to the next page leads nowhere but to the same host.
package pages
