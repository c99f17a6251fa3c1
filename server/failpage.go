package server

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"

	"foyer"
	"foyer/connect"
	"foyer/pages"
)

// failPage replies with a page that says what went wrong, and what somebody without a command line can do about it.
func failPage(w http.ResponseWriter, r *http.Request, err error) {
	sh, known := shapeOf(r, err)
	if sh.status == http.StatusUnauthorized {
		sh.status = http.StatusForbidden // 401 wants to be told how to authenticate, and what is missing here no browser can send
	}
	retryAfter(w, known)
	at := path.Clean("/" + r.URL.Path)
	page := pages.Failure{Status: sh.status, Title: titleOf(known.Kind, at), Message: known.Message, Calm: calmOf(known.Kind, at), Request: logOf(r).id}
	if known.Kind == foyer.Unauthenticated { // the message of the store speaks to whoever has the command line
		page.Message = "A visit to these pages lasts twelve hours at most, in the browser in which it began"
	}
	page.Cures = curesOf(known, at)
	if cookie(r, sessionCookie) != "" && known.Kind != foyer.Unauthenticated && at != connectionPath {
		page.Back = &pages.Way{URL: connectionPath, Name: "To your connection"}
	}
	if failed := pages.Write(w, sh.status, page); failed != nil {
		failProblem(w, r, errors.Join(failed, err))
	}
}

// titleOf says what the matter is, in a few words.
func titleOf(kind foyer.Kind, at string) string {
	switch kind {
	case foyer.NotFound:
		if at == landingPath || at == beginPath || at == connect.SignedInPath {
			return "You need a new link"
		}
		return "This connection is not there any more"
	case foyer.Unauthenticated:
		return "Your visit has ended"
	case foyer.Forbidden:
		if at == connect.AgreedPath {
			return "No permission was given"
		}
		return "This was refused"
	case foyer.Conflict:
		return "This is not possible as things stand"
	case foyer.Limited:
		return "One moment, please"
	case foyer.Busy:
		return "Not at the moment"
	case foyer.Internal:
		return "Something went wrong on this side"
	}
	return "This request is not whole"
}

// calmOf says what did not happen, whatever the matter is.
func calmOf(kind foyer.Kind, at string) string {
	switch {
	case kind == foyer.Internal, kind == foyer.NotFound && at != connect.SignedInPath:
		return "" // the message says it, or there is nothing to say
	case kind == foyer.Unauthenticated:
		return "The connection goes on as it stands."
	case at == connect.SignedInPath && kind != foyer.NotFound:
		return "Nothing was changed, and the link was not used up."
	case at == connect.AgreedPath:
		return "Nothing was changed, and nothing is read."
	}
	return "Nothing was changed."
}

// curesOf says what somebody can do about an error at a page.
func curesOf(known *foyer.Error, at string) []string {
	again := "Go back, and try it again."
	if at == connect.SignedInPath {
		again = "Open the link again, in this browser."
	}
	switch known.Kind {
	case foyer.NotFound:
		return []string{"If a mail program broke the link into two lines, copy all of it into the address bar.", "If you have used it and only want to look at the connection, open it in the same browser as before."}
	case foyer.Unauthenticated:
		return []string{"To look at it, or to change something, ask whoever runs Foyer for a new link. It leads to the connection that is there."}
	case foyer.Forbidden:
		return forbiddenCures(at)
	case foyer.Conflict:
		if at == connect.SignedInPath {
			return []string{"Show this page to whoever sent you the link."}
		}
		return []string{"Look how the connection stands now. If this page comes again, show it to whoever runs Foyer."}
	case foyer.Limited, foyer.Busy:
		return []string{fmt.Sprintf("Wait %s.", waiting(known)), again}
	case foyer.Internal:
		return []string{again, "If it happens again, tell whoever runs Foyer, with the name of the request below."}
	}
	return []string{again}
}

func forbiddenCures(at string) []string {
	switch at {
	case connect.SignedInPath:
		return []string{"Open the link again, stay in one browser, and sign in with a work account of the organization that the link names."}
	case connect.AgreedPath:
		return []string{"Ask for it again on the connection’s page, with a Global Administrator or a Privileged Role Administrator of your organization."}
	}
	return []string{"Go to the page by itself, not from another site, and try it there."}
}

func waiting(known *foyer.Error) string {
	if n := int(known.RetryAfter.Seconds()); n > 1 {
		return fmt.Sprintf("%d seconds", n)
	}
	return "a moment"
}

// messageOf is what an error says to the user.
func messageOf(err error) string {
	if known, ok := errors.AsType[*foyer.Error](err); ok {
		return known.Message
	}
	return strings.TrimSpace(err.Error())
}
