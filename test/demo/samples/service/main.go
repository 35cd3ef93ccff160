// Command service answers HTTP requests with a greeting and counts them. It
// is the demo's compiled component: real third-party modules, a multi-stage
// Containerfile, and a self-test that the integration pipeline runs.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
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

func main() {
	test := flag.Bool("self-test", false, "Check the service against itself and exit")
	listen := flag.String("listen", ":8080", "Address to serve on")
	flag.Parse()
	if *test {
		if err := selfTest(); err != nil {
			fmt.Fprintln(os.Stderr, "self-test:", err)
			os.Exit(1)
		}
		fmt.Println("self-test: passed")
		return
	}
	log.Fatal(http.ListenAndServe(*listen, router()))
}
