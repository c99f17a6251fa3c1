package server

import (
	"net/http"

	"foyer/connect"
)

// Routes returns each route as "METHOD /path".
func Routes() (routes []string) {
	for path, r := range New(Config{Connect: &connect.Connector{}}).routes {
		routes = append(routes, r.method+" "+path)
	}
	return routes
}

// Handle adds a route to a server.
func Handle(s *Server, method, path string, fn func(http.ResponseWriter, *http.Request) error) {
	s.routes[path] = route{method, fn, failProblem}
}
