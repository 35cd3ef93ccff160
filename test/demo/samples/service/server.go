package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func router() http.Handler {
	registry := prometheus.NewRegistry()
	greetings := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "greetings_total", Help: "Greetings sent since the start.",
	})
	registry.MustRegister(greetings)
	r := chi.NewRouter()
	r.Get("/hello/{name}", func(w http.ResponseWriter, req *http.Request) {
		greetings.Inc()
		w.Header().Set("X-Request-Id", uuid.NewString())
		fmt.Fprintf(w, "hello, %s\n", chi.URLParam(req, "name"))
	})
	r.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return r
}

// selfTest asks the real router over a real connection.
func selfTest() error {
	server := httptest.NewServer(router())
	defer server.Close()
	for path, want := range map[string]string{
		"/hello/world": "hello, world\n",
	} {
		if err := expect(server.URL+path, want); err != nil {
			return err
		}
	}
	return expect(server.URL+"/metrics", "greetings_total 1")
}

func expect(url, want string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var body strings.Builder
	if err := resp.Write(&body); err != nil {
		return err
	}
	if !strings.Contains(body.String(), want) {
		return fmt.Errorf("GET %s: no %q in the answer:\n%s", url, want, body.String())
	}
	return nil
}
