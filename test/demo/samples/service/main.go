// Command service answers HTTP requests with a greeting and counts them. It
// is the demo's compiled component: real third-party modules, a multi-stage
// Containerfile, and a self-test that the integration pipeline runs.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
)

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
